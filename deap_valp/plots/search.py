"""The course of a search, from its logbook."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import got
from ..errors import ValpError
from ..problem import Problem
from .applied import START, UNCHANGED, looks_of
from .points import label_of, without_failures
from .style import FAINT, INK, PALETTE, figure_of, grid_below, legend_beside, panels, scale

if TYPE_CHECKING:
    from deap.tools import Logbook
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NOT_OBJECTIVES = {"gen", "nevals", "move", "rule", "accepted"}


@dataclass(frozen=True)
class Search:
    """What ``plot_search`` draws of a hill climbing; each array has one entry for each step.

    Attributes:
        steps: Numbers of the steps; 0 is the start.
        operators: The operator that made the candidate of the incumbent; ``start`` at the start,
            ``no change`` where training went on.
        accepted: Whether the candidate became the incumbent.
        candidates: By objective, its value; NaN where the evaluation failed.
        incumbent: By objective, the value of the incumbent after the step.
    """

    steps: np.ndarray
    operators: tuple[str, ...]
    accepted: np.ndarray
    candidates: dict[str, np.ndarray]
    incumbent: dict[str, np.ndarray]


@dataclass(frozen=True)
class Generations:
    """What ``plot_search`` draws of a population's search; each array has one entry a generation.

    Attributes:
        generations: Numbers of the generations.
        minimum: By chapter of the logbook.
        average: By chapter of the logbook.
    """

    generations: np.ndarray
    minimum: dict[str, np.ndarray]
    average: dict[str, np.ndarray]


def search_data(logbook: Logbook, objectives: Sequence[str] | None = None) -> Search:
    """Return the steps of a ``hillClimbing`` from its logbook.

    Args:
        logbook: One record for each step.
        objectives: Their names; by default all that is a number in the records, which includes what
            ``stats`` of ``hillClimbing`` added.

    Raises:
        ValpError: The logbook is not one of ``hillClimbing``, or lacks an objective.
    """
    if not logbook or "accepted" not in logbook[0]:
        raise ValpError(
            "search_data needs the logbook of hillClimbing, with a record of what was accepted"
        )
    numbers = [name for name, value in logbook[0].items() if isinstance(value, Real)]
    names = _chosen(objectives, [name for name in numbers if name not in _NOT_OBJECTIVES])
    accepted = np.array(logbook.select("accepted"), dtype=bool)
    last_accepted = np.maximum.accumulate(np.where(accepted, np.arange(len(accepted)), 0))
    candidates = {name: without_failures(logbook.select(name)) for name in names}
    return Search(
        steps=np.array(logbook.select("gen")),
        operators=tuple(_operator(move) for move in logbook.select("move")),
        accepted=accepted,
        candidates=candidates,
        incumbent={name: values[last_accepted] for name, values in candidates.items()},
    )


def _operator(move: str) -> str:
    """Return the operator of a move as a logbook writes it: ``operator(place): reason``."""
    operator, bracket, _ = move.partition("(")
    if bracket or move == START:
        return operator
    return UNCHANGED


def generations_data(logbook: Logbook, objectives: Sequence[str] | None = None) -> Generations:
    """Return minimum and average by generation, of each chapter of a logbook that has both.

    Args:
        logbook: Of a search with ``stats=valp.statistics(problem)``.
        objectives: Names of the chapters; by default all.

    Raises:
        ValpError: No chapter has both, or there is no chapter for an objective.
    """
    chapters = {}
    for name, chapter in logbook.chapters.items():
        if chapter and {"min", "avg"} <= chapter[0].keys():
            chapters[name] = chapter
    if not chapters:
        raise ValpError(
            "generations_data needs chapters with min and avg, as stats=valp.statistics(problem) "
            f"makes them, got {list(logbook.chapters)}"
        )
    names = _chosen(objectives, list(chapters))
    return Generations(
        generations=np.array(logbook.select("gen")),
        minimum={name: without_failures(chapters[name].select("min")) for name in names},
        average={name: without_failures(chapters[name].select("avg")) for name in names},
    )


def _chosen(objectives: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    unknown = [name for name in objectives or () if name not in known]
    if unknown:
        raise ValpError(f"the logbook has the objectives {list(known)}, got {unknown}")
    return objectives or known


def plot_search(
    logbook: Logbook,
    objectives: Sequence[str] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
    *,
    problem: Problem | None = None,
) -> Figure:
    """Draw the course of a search, one panel for each objective.

    A hill climbing shows the incumbent as a line, each accepted candidate in the look of its
    operator, and the other candidates hollow; those far above the rest stand at the upper edge. Any
    other algorithm that was given ``stats=valp.statistics(problem)`` shows minimum and average of
    the population. An axis is logarithmic where its values span a factor of 20 or more.

    Args:
        logbook: As the search returned it.
        objectives: Which to draw; by default all, or those of the problem.
        axes: One for each objective.
        problem: Names the objectives, and the axes by its scores.

    Raises:
        ValpError: The logbook is of neither sort, lacks an objective, or there is another number of
            axes than of objectives.
    """
    if not isinstance(logbook, list) or not hasattr(logbook, "chapters"):
        raise ValpError(f"this plot needs the Logbook of a search, got {got(logbook)}")
    if objectives is None and problem is not None:
        objectives = problem.objectives
    if logbook and "accepted" in logbook[0]:
        search = search_data(logbook, objectives)
        axes = panels(axes, len(search.candidates), 3.6, 3.0, beside=1.6)
        for ax, name in zip(axes, search.candidates, strict=True):
            _draw_steps(ax, search, name)
            _label(ax, label_of(name, problem), "step")
    else:
        generations = generations_data(logbook, objectives)
        axes = panels(axes, len(generations.minimum), 3.6, 3.0, beside=1.6)
        for ax, name in zip(axes, generations.minimum, strict=True):
            _draw_generations(ax, generations, name)
            _label(ax, label_of(name, problem), "generation")
    legend_beside(*axes)
    return figure_of(axes)


def _draw_steps(ax: Axes, data: Search, objective: str) -> None:
    values, incumbent = data.candidates[objective], data.incumbent[objective]
    line: dict[str, Any] = {"where": "post", "color": INK, "linewidth": 1.2}
    ax.step(data.steps, incumbent, label="incumbent", **line)
    for name, look in looks_of(data.operators).items():
        shown = data.accepted & (np.array(data.operators) == name)
        if shown.any():
            style = {"linestyle": "", "markersize": 7, "zorder": 3, **look}
            ax.plot(data.steps[shown], values[shown], label=name, **style)
    top = top_of(values, data.accepted)
    near, above = ~data.accepted & (values <= top), ~data.accepted & (values > top)
    if near.any():
        ax.plot(data.steps[near], values[near], label="not accepted", **_hollow("o"))
    _draw_at_edge(ax, data.steps[above], "^", "not accepted, far above")
    _draw_at_edge(ax, data.steps[np.isnan(values)], "x", "failed")
    scale(ax, "y", np.concatenate([incumbent, values[near]]))


def top_of(values: np.ndarray, accepted: np.ndarray) -> float:
    """Return the value above which rejected candidates would press the rest into a line."""
    low, high = 0.0, 0.0
    if np.isfinite(values).any():
        low, high = np.nanquantile(values, [0.25, 0.75])
    return float(np.nanmax([high + 3 * (high - low), *values[accepted]]))


def _hollow(marker: str) -> dict[str, Any]:
    return {
        "linestyle": "",
        "marker": marker,
        "color": "none",
        "markeredgecolor": FAINT,
        "markersize": 5,
        "zorder": 2,
    }


def _draw_at_edge(ax: Axes, steps: np.ndarray, marker: str, label: str) -> None:
    """Draw hollow markers at the upper edge, for what has no place below it."""
    if len(steps):
        edge: dict[str, Any] = {"transform": ax.get_xaxis_transform(), "clip_on": False}
        ax.plot(steps, np.ones(len(steps)), label=label, **_hollow(marker), **edge)


def _draw_generations(ax: Axes, data: Generations, objective: str) -> None:
    minimum, average = data.minimum[objective], data.average[objective]
    ax.plot(data.generations, minimum, color=PALETTE[0], label="minimum")
    ax.plot(data.generations, average, color=PALETTE[5], linestyle="--", label="average")
    ax.fill_between(data.generations, minimum, average, color=PALETTE[0], alpha=0.15, linewidth=0)
    scale(ax, "y", np.concatenate([minimum, average]))


def _label(ax: Axes, objective: str, steps: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel=steps, ylabel=objective)
    grid_below(ax)
