"""Who was made of whom in a search, and what it was worth."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import networkx as nx
import numpy as np

from ..errors import ValpError
from ..problem import Problem
from ..search.genealogy import Entry, genealogy
from .applied import START, draw_applied
from .points import label_of, without_failures
from .style import FAINT, INK, figure_of, grid_below, left_out, legend_beside, panel, scale

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEP = 0.75  # of the distance between two steps, over which the individuals of one step stand


@dataclass(frozen=True)
class Genealogy:
    """What ``plot_genealogy`` draws; each array has one entry for each individual.

    Attributes:
        objective: Name of the objective that ``values`` are of.
        seeds: Names of the individuals.
        steps: When each was evaluated first.
        values: NaN where the evaluation failed.
        operators: What made each; empty for one without parents, or where it is not known.
        accepted: Whether each became the incumbent, or came into the population.
        ancestry: Whether each is the best, or an ancestor of the best.
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

    @property
    def places(self) -> np.ndarray:
        """Where each individual stands: the individuals of one step beside each other.

        The lowest value of a step stands at the step itself, the others to the right of it in the
        order of their values. Shape (individuals, 2).
        """
        x = self.steps.astype(float)
        for step in np.unique(self.steps):
            members = np.flatnonzero((self.steps == step) & np.isfinite(self.values))
            ranked = members[np.argsort(self.values[members], kind="stable")]
            x[ranked] += _STEP * np.arange(len(ranked)) / max(len(ranked), 1)
        return np.stack([x, self.values], axis=1)


def genealogy_data(
    archive: Iterable[Entry] | nx.DiGraph, objective: str | None = None
) -> Genealogy:
    """Return the individuals of an archive with one of their objectives, and who was made of whom.

    Args:
        archive: As a search filled it, or its ``genealogy``. Parents that are not in it themselves
            are left out.
        objective: Its name; by default the first.

    Raises:
        ValpError: Nobody is in the archive, or there is no such objective.
    """
    graph = archive
    if not isinstance(graph, nx.DiGraph):
        graph = genealogy(graph)
    nodes = {seed: node for seed, node in graph.nodes(data=True) if "step" in node}
    chosen = _chosen(nodes, objective)
    values = without_failures(node["values"][chosen] for node in nodes.values())
    seeds = tuple(nodes)
    position = {seed: index for index, seed in enumerate(seeds)}
    edges = [edge for edge in graph.edges(data=True) if edge[0] in position]
    pairs = [(position[parent], position[child]) for parent, child, _ in edges]
    made_by = {child: name for _, child, name in graph.edges(data="operator", default="")}
    line: set[int] = set()
    if np.isfinite(values).any():
        best = seeds[int(np.nanargmin(values))]
        line = {best, *nx.ancestors(graph, best)}
    return Genealogy(
        objective=chosen,
        seeds=seeds,
        steps=np.array([node["step"] for node in nodes.values()]),
        values=values,
        operators=tuple(made_by.get(seed, "") for seed in seeds),
        accepted=np.array([node["accepted"] for node in nodes.values()], dtype=bool),
        ancestry=np.array([seed in line for seed in seeds]),
        edges=np.array(pairs, dtype=int).reshape(-1, 2),
        donations=np.array([edge["role"] == "donor" for _, _, edge in edges], dtype=bool),
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
    archive: Iterable[Entry] | nx.DiGraph,
    ax: Axes | None = None,
    objective: str | None = None,
    *,
    problem: Problem | None = None,
) -> Figure:
    """Draw each individual of a search by step and objective, with lines from its parents.

    Colour and marker say which operator made it, as in ``plot_search``; a hollow one was not
    accepted, and has no line. The way to the best is dark; the line of a donor is broken. The
    individuals of one step stand beside each other, from the lowest value to the highest. The axis
    is logarithmic where its values span a factor of 20 or more. Failed individuals are left out,
    and counted.

    Args:
        archive: As a search filled it, or its ``genealogy``.
        ax: Where to draw.
        objective: Its name; by default the first.
        problem: Names the axis by its score.

    Raises:
        ValpError: Nobody is in the archive, or there is no such objective.
    """
    data = genealogy_data(archive, objective)
    steps = 1 + int(data.steps.max())
    ax = panel(ax, min(14.0, max(7.0, 1.5 + 0.25 * steps)), 4.5, beside=1.8)
    _draw_lines(ax, data)
    x, y = data.places.T
    draw_applied(ax, x, y, [name or START for name in data.operators], data.accepted)
    scale(ax, "y", data.values)
    _draw_steps(ax, data)
    ax.set(xlabel="step", ylabel=label_of(data.objective, problem))
    failed = int(np.isnan(data.values).sum())
    legend_beside(ax, handles=left_out("failed", failed))
    return figure_of((ax,))


def _draw_lines(ax: Axes, data: Genealogy) -> None:
    from matplotlib.collections import LineCollection

    to_best = data.ancestry[data.edges].all(axis=1)
    accepted = data.accepted[data.edges[:, 1]]
    faint: dict[str, Any] = {"linewidth": 0.6, "color": FAINT, "alpha": 0.6, "zorder": 1}
    dark: dict[str, Any] = {"linewidth": 1.6, "color": INK, "zorder": 1.5}
    for donation, dashes in ((False, "-"), (True, "--")):
        for style, shown in ((faint, accepted & ~to_best), (dark, to_best)):
            edges = data.edges[shown & (data.donations == donation)]
            lines = LineCollection(data.places[edges], linestyle=dashes, **style)
            if style is dark and len(edges):
                lines.set_label("donated to the best" if donation else "way to the best")
            ax.add_collection(lines)


def _draw_steps(ax: Axes, data: Genealogy) -> None:
    """Draw every other step on a faint band, where several individuals stand in a step."""
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlim(-0.5, data.steps.max() + 0.9)
    grid_below(ax)
    if len(np.unique(data.steps)) == len(data.steps):
        return
    for step in range(0, 1 + int(data.steps.max()), 2):
        ax.axvspan(step - 0.12, step + 0.88, color=FAINT, alpha=0.08, linewidth=0, zorder=0)
