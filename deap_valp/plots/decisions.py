"""Whether the decisions of a search paid."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ValpError
from ..problem import Problem
from ..search.decisions import Outcome, payoff
from ..search.genealogy import Entry
from .applied import UNCHANGED, draw_applied
from .points import label_of
from .style import FAINT, INK, figure_of, grid_below, left_out, legend_beside, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Decided:
    """What ``plot_decisions`` draws. Groups have the order of ``payoff``.

    Attributes:
        groups: Names of the groups, each with how often it was accepted of how often applied.
        group: Position of each decision's group, shape (decisions,).
        operators: The operator of each decision; ``no change`` without a move.
        accepted: Whether each decision's candidate was accepted, shape (decisions,).
        improvement: By objective, the part of the value before that is gone, shape (decisions,);
            NaN where that is not known.
        means: By objective, the mean improvement of each group, shape (groups,).
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
    """Return the decisions of a search by group, and what each improved.

    Args:
        archive: As a search filled it, or those of several searches one after the other.
        by: What to group by, among ``rule``, ``operator``, ``version``, ``place``.

    Raises:
        ValpError: There is no decision in the archive, or ``by`` names what a decision does not
            have.
    """
    paid = payoff(archive, by)
    group: list[int] = []
    outcomes: list[Outcome] = []
    for row, members in enumerate(paid.rows.values()):
        group += [row] * len(members)
        outcomes += members
    if not outcomes:
        raise ValpError(
            "decisions_data needs an archive with a decision in it, got one with starts alone"
        )
    labels = []
    for parts in paid.rows:
        name = " ".join(part for part in parts if part)
        labels.append(f"{name}  {paid.accepted(parts)}/{paid.applied(parts)}")
    return Decided(
        groups=tuple(labels),
        group=np.array(group),
        operators=tuple(made.move.operator if made.move else UNCHANGED for made in outcomes),
        accepted=np.array([made.accepted for made in outcomes], dtype=bool),
        improvement=_by_objective([made.improvement for made in outcomes]),
        means=_by_objective([paid.improvement(parts) for parts in paid.rows]),
    )


def _by_objective(rows: Sequence[Mapping[str, float]]) -> dict[str, np.ndarray]:
    """Return an array for each objective that any of the rows has; NaN where a row lacks it."""
    names: dict[str, None] = {}
    for row in rows:
        names.update(dict.fromkeys(row))
    return {name: np.array([row.get(name, np.nan) for row in rows]) for name in names}


def plot_decisions(
    archive: Iterable[Entry],
    axes: Axes | Sequence[Axes] | None = None,
    by: Sequence[str] = ("rule", "operator", "version"),
    *,
    problem: Problem | None = None,
) -> Figure:
    """Draw what each decision improved: a panel for each objective, a row for each group.

    A filled point is a decision whose candidate was accepted, a hollow one was not; the bar is the
    mean of the row. Beside its name a row says how many of how many were accepted. Improvements
    beyond 100 % to either side stand at the edge. Where the improvement is unknown, because the
    candidate failed or its parent had no evaluation, a decision is left out, and counted.

    Args:
        archive: As a search filled it, or those of several searches one after the other.
        axes: One for each objective.
        by: What to group by, among ``rule``, ``operator``, ``version``, ``place``.
        problem: Names the axes by its scores.

    Raises:
        ValpError: There is no decision in the archive, ``by`` names what a decision does not have,
            or there is another number of axes than of objectives.
    """
    data = decisions_data(archive, by)
    axes = panels(axes, len(data.improvement), 3.2, 1.2 + 0.3 * len(data.groups), beside=3.6)
    for ax, name in zip(axes, data.improvement, strict=True):
        _draw(ax, data, name)
        label = label_of(name, problem).removesuffix(" (minimised)")
        ax.set_xlabel(f"{label}\n% better")
    for ax in axes[1:]:
        ax.set_yticklabels([])
    axes[0].set_yticks(range(len(data.groups)), data.groups, fontsize=8)
    unknown = int(np.isnan(next(iter(data.improvement.values()))).sum())
    legend_beside(*axes, handles=left_out("unknown", unknown))
    return figure_of(axes)


def _draw(ax: Axes, data: Decided, objective: str) -> None:
    shares = np.clip(100 * data.improvement[objective], -100, 100)
    draw_applied(ax, shares, data.group, data.operators, data.accepted)
    means = np.clip(100 * data.means[objective], -100, 100)
    bar: dict[str, Any] = {"color": INK, "markersize": 14, "markeredgewidth": 1.8}
    ax.plot(means, range(len(means)), "|", label="mean", **bar)
    ax.axvline(0, color=FAINT, linewidth=0.8)
    ax.set(ylim=(len(data.groups) - 0.5, -0.5), yticks=range(len(data.groups)))
    grid_below(ax)
