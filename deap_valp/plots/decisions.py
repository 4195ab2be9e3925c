"""Whether the decisions of a search paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ValpError
from ..search.decisions import payoff
from ..search.genealogy import Entry
from ..variation.operators import operators
from .style import (
    FAINT,
    INK,
    colours_of,
    grid,
    legend_beside,
    markers_of,
    note,
    panels,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Decided:
    """What ``plot_decisions`` draws; groups in the order of ``payoff``, arrays have one entry a decision.

    Attributes:
        groups: Names of the groups, and how often each was applied and accepted.
        group: Position of each decision's group.
        operators: The operator of each; ``no change`` without a move.
        accepted: Whether each one's candidate was accepted.
        improvement: By objective, the part of the value before that is gone; NaN where it is not
            known.
        means: By objective, one entry a group.
    """

    groups: tuple[str, ...]
    group: np.ndarray
    operators: tuple[str, ...]
    accepted: np.ndarray
    improvement: Mapping[str, np.ndarray]
    means: Mapping[str, np.ndarray]


def decisions_data(
    archive: Iterable[Entry], by: Sequence[str] = ("rule", "operator", "version")
) -> Decided:
    """The decisions of a search by group, and what each improved.

    Raises:
        ValpError: There is no decision in the archive, or ``by`` names what a decision does not
            have.
    """
    paid = payoff(archive, by)
    flat = [
        (row, outcome) for row, outcomes in enumerate(paid.rows.values()) for outcome in outcomes
    ]
    if not flat:
        raise ValpError(
            "decisions_data needs an archive with a decision in it, got one with starts alone"
        )
    names = list(dict.fromkeys(name for _, outcome in flat for name in outcome.after))
    found, means = (
        [outcome.improvement for _, outcome in flat],
        [paid.improvement(group) for group in paid.rows],
    )
    counts = [f"{paid.accepted(group)}/{paid.applied(group)}" for group in paid.rows]
    return Decided(
        groups=tuple(
            f"{' '.join(filter(None, group))}  {n}"
            for group, n in zip(paid.rows, counts, strict=True)
        ),
        group=np.array([row for row, _ in flat]),
        operators=tuple(
            outcome.move.operator if outcome.move else "no change" for _, outcome in flat
        ),
        accepted=np.array([outcome.accepted for _, outcome in flat], dtype=bool),
        improvement={
            name: np.array([values.get(name, np.nan) for values in found]) for name in names
        },
        means={name: np.array([values.get(name, np.nan) for values in means]) for name in names},
    )


def plot_decisions(
    archive: Iterable[Entry],
    axes: Axes | Sequence[Axes] | None = None,
    by: Sequence[str] = ("rule", "operator", "version"),
) -> tuple[Axes, ...]:
    """Draw what every decision improved, one panel an objective, one row for each rule and operator.

    Filled ones were accepted, hollow ones not; a bar is the mean of its row, and the numbers are
    how many of how many were accepted. Improvements beyond 100 % to either side stand at the edge.
    Left out, and counted, are those of which
    the improvement is unknown: failed candidates, and those of a parent without an evaluation.

    Args:
        archive: As a search filled it, or those of several searches one after the other.
        axes: One for each objective.
        by: What to group by, among ``rule``, ``operator``, ``version``, ``place``.

    Raises:
        ValpError: There is no decision in the archive, ``by`` names what a decision does not have,
            or there is another number of axes than of objectives.
    """
    data = decisions_data(archive, by)
    axes = panels(axes, len(data.improvement), 3.2, 1.2 + 0.3 * len(data.groups), beside=3.6)
    for ax, name in zip(axes, data.improvement, strict=True):
        _draw(ax, data, name)
    for ax in axes[1:]:
        ax.set_yticklabels([])
    axes[0].set_yticks(range(len(data.groups)), data.groups, fontsize=8)
    unknown = int(np.isnan(next(iter(data.improvement.values()))).sum())
    legend_beside(*axes, handles=[note(f"left out, unknown: {unknown}")] if unknown else [])
    return axes


def _draw(ax: Axes, data: Decided, objective: str) -> None:
    colour, marker, made_by = (
        colours_of(operators()),
        markers_of(operators()),
        np.array(data.operators),
    )
    shares = np.clip(100 * data.improvement[objective], -100, 100)
    for name in dict.fromkeys(data.operators):
        style: dict[str, Any] = {
            "linestyle": "",
            "marker": marker.get(name, "o"),
            "color": colour.get(name, INK),
        }
        for accepted in (True, False):
            shown = (made_by == name) & (data.accepted == accepted)
            hollow = {} if accepted else {"markerfacecolor": "white", "markersize": 4}
            label = name if accepted or not data.accepted[made_by == name].any() else None
            if shown.any():
                ax.plot(
                    shares[shown],
                    data.group[shown],
                    **{"markersize": 6, **style, **hollow},
                    label=label,
                )
    means = np.clip(100 * data.means[objective], -100, 100)
    ax.plot(
        means, range(len(means)), "|", color=INK, markersize=14, markeredgewidth=1.8, label="mean"
    )
    if not data.accepted.all():
        ax.plot(
            [],
            [],
            "o",
            color=FAINT,
            markerfacecolor="white",
            markersize=4,
            label="hollow: not accepted",
        )
    ax.axvline(0, color=FAINT, linewidth=0.8)
    ax.set(
        xlabel=f"{objective}, % better",
        ylim=(len(data.groups) - 0.5, -0.5),
        yticks=range(len(data.groups)),
    )
    grid(ax)
