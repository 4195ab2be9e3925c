"""Who was made of whom in a search, and what it was worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from ..errors import ValpError
from ..genome import PENALTY
from ..search.genealogy import Entry, genealogy
from ..variation.operators import operators
from .style import (
    FAINT,
    INK,
    colours_of,
    grid,
    legend_beside,
    markers_of,
    note,
    panel,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Genealogy:
    """What ``plot_genealogy`` draws; every array has one entry an individual.

    Attributes:
        objective: Whose values they are.
        seeds: They name the individuals.
        steps: When each was evaluated first.
        values: NaN where the evaluation failed.
        operators: What made each; empty for one without parents, or where it is not known.
        accepted: Whether it became the incumbent, or came into the population.
        ancestry: Whether it is the best, or an ancestor of it.
        edges: Positions of parent and child, shape (edges, 2).
        donations: Whether the parent of an edge was the donor, shape (edges,).
    """

    objective: str
    seeds: tuple[int, ...]
    steps: np.ndarray
    values: np.ndarray
    operators: tuple[str, ...]
    accepted: np.ndarray
    ancestry: np.ndarray
    edges: np.ndarray
    donations: np.ndarray


def genealogy_data(
    archive: Iterable[Entry] | nx.DiGraph, objective: str | None = None
) -> Genealogy:
    """The individuals of an archive, or of its ``genealogy``, with one of their objectives (minimised).

    Args:
        archive: Individuals that are not in it themselves, but parents of others, are left out.
        objective: By default the first.

    Raises:
        ValpError: Nobody is in it, or there is no such objective.
    """
    graph = archive if isinstance(archive, nx.DiGraph) else genealogy(archive)
    nodes = {seed: node for seed, node in graph.nodes(data=True) if "step" in node}
    chosen = _chosen(nodes, objective)
    values = np.array([node["values"][chosen] for node in nodes.values()])
    values = np.where(values < PENALTY, values, np.nan)
    seeds, position = tuple(nodes), {seed: index for index, seed in enumerate(nodes)}
    known = [
        (parent, child, role)
        for parent, child, role in graph.edges(data="role")
        if parent in position
    ]
    made_by = {child: name for _, child, name in graph.edges(data="operator", default="")}
    best = seeds[int(np.nanargmin(values))] if np.isfinite(values).any() else None
    line = set() if best is None else {best, *nx.ancestors(graph, best)}
    return Genealogy(
        objective=chosen,
        seeds=seeds,
        steps=np.array([node["step"] for node in nodes.values()]),
        values=values,
        operators=tuple(made_by.get(seed, "") for seed in seeds),
        accepted=np.array([node["accepted"] for node in nodes.values()], dtype=bool),
        ancestry=np.array([seed in line for seed in seeds]),
        edges=np.array(
            [(position[parent], position[child]) for parent, child, _ in known], dtype=int
        ).reshape(-1, 2),
        donations=np.array([role == "donor" for _, _, role in known], dtype=bool),
    )


def _chosen(nodes: dict[int, dict[str, Any]], objective: str | None) -> str:
    if not nodes:
        raise ValpError(
            "genealogy_data needs the archive of a search with somebody in it, got an empty one"
        )
    names: list[str] = list(next(iter(nodes.values()))["values"])
    if objective is not None and objective not in names:
        raise ValpError(f"the archive has the objectives {names}, got {objective!r}")
    return objective or names[0]


def plot_genealogy(
    archive: Iterable[Entry] | nx.DiGraph, ax: Axes | None = None, objective: str | None = None
) -> Axes:
    """Draw every individual of a search by step and objective, with lines from its parents.

    Colour and marker say what made it, as in ``plot_search``; hollow ones were not accepted. The
    way to the best is dark, and a donor's line broken. Failed individuals are left out, and
    counted.

    Args:
        archive: As a search filled it, or its ``genealogy``.
        ax: Where to draw.
        objective: By default the first.

    Raises:
        ValpError: Nobody is in it, or there is no such objective.
    """
    data = genealogy_data(archive, objective)
    ax = panel(ax, 7.0, 4.0, beside=1.8)
    _draw_lines(ax, data)
    _draw_individuals(ax, data)
    ax.set(xlabel="step", ylabel=f"{data.objective} (minimised)")
    grid(ax)
    failed = int(np.isnan(data.values).sum())
    legend_beside(ax, handles=[note(f"left out, failed: {failed}")] if failed else [])
    return ax


def _draw_lines(ax: Axes, data: Genealogy) -> None:
    from matplotlib.collections import LineCollection

    points = np.stack([data.steps, data.values], axis=1)
    to_best = data.ancestry[data.edges].all(axis=1)
    for dark in (False, True):
        for donation in (False, True):
            shown = (to_best == dark) & (data.donations == donation)
            style: dict[str, Any] = (
                {"linewidth": 1.4, "color": INK} if dark else {"linewidth": 0.5, "color": FAINT}
            )
            lines = LineCollection(
                points[data.edges[shown]], **style, linestyle="--" if donation else "-", zorder=1
            )
            if dark and shown.any():
                lines.set_label("donated to the best" if donation else "way to the best")
            ax.add_collection(lines)


def _draw_individuals(ax: Axes, data: Genealogy) -> None:
    colour, marker, made_by = (
        colours_of(operators()),
        markers_of(operators()),
        np.array(data.operators),
    )
    for name in dict.fromkeys(data.operators):
        style: dict[str, Any] = {
            "linestyle": "",
            "marker": marker.get(name, "o"),
            "color": colour.get(name, INK),
        }
        for accepted in (True, False):
            shown = (made_by == name) & (data.accepted == accepted)
            hollow = {} if accepted else {"markerfacecolor": "white", "markersize": 4}
            label = (
                (name or "start")
                if accepted or not (data.accepted & (made_by == name)).any()
                else None
            )
            if shown.any():
                ax.plot(
                    data.steps[shown],
                    data.values[shown],
                    **{"markersize": 6, **style, **hollow},
                    label=label,
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
