"""The course of a search, from its logbook."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ValpError
from ..genome import PENALTY
from ..variation.operators import operators
from .style import (
    FAINT,
    INK,
    PALETTE,
    colours_of,
    grid,
    legend_beside,
    markers_of,
    panels,
)

if TYPE_CHECKING:
    from deap.tools import Logbook
    from matplotlib.axes import Axes

_NOT_OBJECTIVES = {"gen", "nevals", "move", "rule", "accepted"}


@dataclass(frozen=True)
class Search:
    """What ``plot_search`` draws of hill climbing; every array has one entry a step.

    Attributes:
        steps: Their numbers; 0 is the start.
        operators: What made the candidate of the incumbent; ``start`` at the start.
        accepted: Whether the candidate became the incumbent.
        candidates: By objective; NaN where the evaluation failed.
        incumbent: By objective, of the incumbent after the step.
    """

    steps: np.ndarray
    operators: tuple[str, ...]
    accepted: np.ndarray
    candidates: dict[str, np.ndarray]
    incumbent: dict[str, np.ndarray]


@dataclass(frozen=True)
class Generations:
    """What ``plot_search`` draws of a population's search; every array has one entry a generation.

    Attributes:
        generations: Their numbers.
        minimum: By chapter of the logbook.
        average: By chapter.
    """

    generations: np.ndarray
    minimum: dict[str, np.ndarray]
    average: dict[str, np.ndarray]


def search_data(logbook: Logbook, objectives: Sequence[str] | None = None) -> Search:
    """The steps of ``hillClimbing`` from its logbook.

    Args:
        logbook: One record a step.
        objectives: Their names; by default all that is a number in the records, which includes what
            ``stats`` of ``hillClimbing`` added.

    Raises:
        ValpError: The logbook is not one of ``hillClimbing``, or lacks an objective.
    """
    if not logbook or "accepted" not in logbook[0]:
        raise ValpError(
            "search_data needs the logbook of hillClimbing, with a record of what was accepted"
        )
    numbers = [
        n for n, value in logbook[0].items() if isinstance(value, Real) and n not in _NOT_OBJECTIVES
    ]
    names = _chosen(objectives, numbers)
    accepted = np.array(logbook.select("accepted"), dtype=bool)
    last_accepted = np.maximum.accumulate(np.where(accepted, np.arange(len(accepted)), 0))
    candidates = {name: _finite(logbook.select(name)) for name in names}
    return Search(
        steps=np.array(logbook.select("gen")),
        operators=tuple(move.partition("(")[0] for move in logbook.select("move")),
        accepted=accepted,
        candidates=candidates,
        incumbent={name: values[last_accepted] for name, values in candidates.items()},
    )


def generations_data(logbook: Logbook, objectives: Sequence[str] | None = None) -> Generations:
    """Minimum and average by generation, of each chapter that has both, as those of ``valp.statistics(problem)``.

    Raises:
        ValpError: No chapter has both, or there is none of an objective.
    """
    chapters = {
        name: log
        for name, log in logbook.chapters.items()
        if log and {"min", "avg"} <= log[0].keys()
    }
    if not chapters:
        raise ValpError(
            "generations_data needs chapters with min and avg, as stats=valp.statistics(problem) makes them"
        )
    names = _chosen(objectives, list(chapters))
    return Generations(
        generations=np.array(logbook.select("gen")),
        minimum={name: _finite(chapters[name].select("min")) for name in names},
        average={name: _finite(chapters[name].select("avg")) for name in names},
    )


def _chosen(objectives: Sequence[str] | None, known: Sequence[str]) -> Sequence[str]:
    unknown = [name for name in objectives or () if name not in known]
    if unknown:
        raise ValpError(f"the logbook has the objectives {list(known)}, got {unknown}")
    return objectives or known


def _finite(values: Iterable[float]) -> np.ndarray:
    array = np.array(list(values), dtype=float)
    return np.where(array < PENALTY, array, np.nan)


def plot_search(
    logbook: Logbook,
    objectives: Sequence[str] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
) -> tuple[Axes, ...]:
    """Draw the course of a search, one panel an objective.

    Of ``hillClimbing``: the incumbent as a line, each accepted candidate by the operator that made
    it, the others
    hollow. Candidates far above the rest stand at the upper edge. Of any other algorithm that was
    given ``stats=valp.statistics(problem)``: minimum and average of the population.

    Args:
        logbook: As the search returned it.
        objectives: Which to draw; by default all.
        axes: One for each objective.

    Raises:
        ValpError: The logbook is of neither sort, or there is another number of axes than of
            objectives.
    """
    if logbook and "accepted" in logbook[0]:
        search = search_data(logbook, objectives)
        axes = panels(axes, len(search.candidates), 3.6, 3.0, beside=1.6)
        for ax, name in zip(axes, search.candidates, strict=True):
            _draw_steps(ax, search, name)
    else:
        generations = generations_data(logbook, objectives)
        axes = panels(axes, len(generations.minimum), 3.6, 3.0, beside=1.6)
        for ax, name in zip(axes, generations.minimum, strict=True):
            _draw_generations(ax, generations, name)
    legend_beside(*axes)
    return axes


def _draw_steps(ax: Axes, data: Search, objective: str) -> None:
    values, applied = data.candidates[objective], np.array(data.operators)
    ax.step(
        data.steps,
        data.incumbent[objective],
        where="post",
        color=INK,
        linewidth=1.2,
        label="incumbent",
    )
    for name, style in _styles(data.operators).items():
        shown = data.accepted & (applied == name)
        if shown.any():
            ax.plot(
                data.steps[shown],
                values[shown],
                linestyle="",
                markersize=7,
                label=name,
                zorder=3,
                **style,
            )
    top = _top(values, data.accepted)
    _draw_points(
        ax, data.steps, values, ~data.accepted & (values <= top), marker="o", label="not accepted"
    )
    _draw_points(
        ax,
        data.steps,
        None,
        ~data.accepted & (values > top),
        marker="^",
        label="not accepted, far above",
    )
    _draw_points(ax, data.steps, None, np.isnan(values), marker="x", label="failed")
    _label(ax, objective, "step")


def _styles(applied: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Colour and marker by operator, the same in every plot."""
    names = dict.fromkeys([*operators(), *applied])
    colour, marker = {**dict.fromkeys(names, INK), **colours_of(operators())}, markers_of(names)
    return {
        name: {"color": colour[name], "marker": marker[name]} for name in dict.fromkeys(applied)
    }


def _top(values: np.ndarray, accepted: np.ndarray) -> float:
    """Above it stand only rejected candidates that would press all the rest into a line."""
    low, high = np.nanquantile(values, [0.25, 0.75]) if np.isfinite(values).any() else (0.0, 0.0)
    return float(np.nanmax([high + 3 * (high - low), *values[accepted]]))


def _draw_points(
    ax: Axes,
    steps: np.ndarray,
    values: np.ndarray | None,
    shown: np.ndarray,
    marker: str,
    label: str,
) -> None:
    """Hollow markers, at the upper edge without values."""
    if shown.any():
        style: dict[str, Any] = {
            "linestyle": "",
            "color": "none",
            "markeredgecolor": FAINT,
            "markersize": 5,
            "zorder": 2,
        }
        if values is None:
            style |= {"transform": ax.get_xaxis_transform(), "clip_on": False}
        heights = np.ones(int(shown.sum())) if values is None else values[shown]
        ax.plot(steps[shown], heights, marker=marker, label=label, **style)


def _draw_generations(ax: Axes, data: Generations, objective: str) -> None:
    minimum, average = data.minimum[objective], data.average[objective]
    ax.plot(data.generations, minimum, color=PALETTE[0], label="minimum")
    ax.plot(data.generations, average, color=PALETTE[5], linestyle="--", label="average")
    ax.fill_between(data.generations, minimum, average, color=PALETTE[0], alpha=0.15, linewidth=0)
    _label(ax, objective, "generation")


def _label(ax: Axes, objective: str, steps: str) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set(xlabel=steps, ylabel=f"{objective} (minimised)")
    grid(ax)
