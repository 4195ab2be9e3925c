"""Objectives of many individuals, two at a time, with their Pareto front."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ValpError
from ..genome import PENALTY
from .style import (
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

Points = Iterable[Any]


@dataclass(frozen=True)
class Pareto:
    """What ``plot_pareto`` draws.

    Attributes:
        objectives: Their names.
        values: By method, shape (points, objectives); without those left out.
        front: By method, whether each point is in the Pareto front of all methods together, shape
            (points,).
        left_out: By method, how many failed or were not evaluated.
    """

    objectives: tuple[str, ...]
    values: dict[str, np.ndarray]
    front: dict[str, np.ndarray]
    left_out: dict[str, int]


def pareto_data(
    points: Points | Mapping[str, Points], objectives: Sequence[str] | None = None
) -> Pareto:
    """Objectives and Pareto front (all minimised) of points: individuals, archive entries or rows of numbers.

    Args:
        points: Points, or points by the name of the method that found them; the front is that of
            all together.
        objectives: Names of the objectives; by default those that evaluations or entries give, or
            numbered ones.

    Raises:
        ValpError: Points differ in the number of objectives, or that is not the number of names.
    """
    methods = {
        name: list(some)
        for name, some in (points if isinstance(points, Mapping) else {"": points}).items()
    }
    given = [point for some in methods.values() for point in some]
    names = tuple(objectives) if objectives is not None else _names(given)
    lengths = {len(_values(point)) for point in given} - {0}
    if lengths - {len(names)}:
        raise ValpError(f"points have {sorted(lengths)} objectives, the names are {list(names)}")
    rows = {
        name: np.array([_values(p) for p in some if _succeeded(p)], dtype=float)
        for name, some in methods.items()
    }
    values = {name: array.reshape(-1, len(names)) for name, array in rows.items()}
    front = nondominated(np.concatenate([np.empty((0, len(names))), *values.values()]))
    ends = np.cumsum([len(array) for array in values.values()])
    parts = np.split(front, ends[:-1]) if values else []
    left_out = {name: len(methods[name]) - len(array) for name, array in values.items()}
    return Pareto(names, values, dict(zip(values, parts, strict=True)), left_out)


def nondominated(values: np.ndarray) -> np.ndarray:
    """Whether each row is as low as any other in some way; of equal rows all or none."""
    from moocore import is_nondominated

    return is_nondominated(values, keep_weakly=True) if len(values) else np.zeros(0, dtype=bool)


def _values(point: Any) -> tuple[float, ...]:
    """Of an individual those of its fitness, of an entry its own; a row of numbers itself."""
    return tuple(
        point.fitness.values if hasattr(point, "fitness") else getattr(point, "values", point)
    )


def _succeeded(point: Any) -> bool:
    values = np.array(_values(point), dtype=float)
    return bool(values.size and np.isfinite(values).all() and values.max() < PENALTY)


def _names(points: Sequence[Any]) -> tuple[str, ...]:
    for point in points:
        evaluation = getattr(getattr(point, "fitness", None), "evaluation", point)
        if names := getattr(evaluation, "objectives", ()):
            return tuple(names)
    width = max((len(_values(point)) for point in points), default=2)
    return tuple(f"objective{index}" for index in range(width))


def plot_pareto(
    points: Points | Mapping[str, Points],
    objectives: Sequence[str] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
) -> tuple[Axes, ...]:
    """Draw each pair of objectives on an axes of its own; what is in the Pareto front has a rim.

    The front is that of all objectives together (minimised), so with three or more of them a point
    of it need not look like one in a projection. Failed individuals are left out, and counted
    beside the last axes. The other arguments are those of ``pareto_data``.

    Args:
        points: Points, or points by method, which then are told apart by colour and marker.
        objectives: Names of the objectives.
        axes: One for each pair of objectives, in the order of ``itertools.combinations``.

    Raises:
        ValpError: There are fewer than two objectives, or another number of axes than of pairs.
    """
    data = pareto_data(points, objectives)
    if len(data.objectives) < 2:
        raise ValpError(f"plot_pareto needs two objectives or more, got {list(data.objectives)}")
    pairs = list(combinations(range(len(data.objectives)), 2))
    axes = panels(axes, len(pairs), 3.3, 3.2, beside=1.7)
    for ax, pair in zip(axes, pairs, strict=True):
        _draw_pair(ax, data, pair)
    counts = ", ".join(f"{name} {count}".strip() for name, count in data.left_out.items() if count)
    legend_beside(
        *axes, handles=[note(f"left out, failed or\nnot evaluated: {counts}")] if counts else []
    )
    return axes


def _draw_pair(ax: Axes, data: Pareto, pair: tuple[int, int]) -> None:
    colour, marker = colours_of(data.values), markers_of(data.values)
    for name, values in data.values.items():
        x, y = values[:, pair].T
        front, prefix = data.front[name], f"{name}, " if name else ""
        style: dict[str, Any] = {"marker": marker[name], "color": colour[name]}
        faint: dict[str, Any] = {
            "alpha": 0.55,
            "s": 24,
            "linewidth": 0,
            "label": f"{prefix}dominated",
        }
        rimmed: dict[str, Any] = {
            "edgecolor": INK,
            "s": 46,
            "linewidth": 0.9,
            "label": f"{prefix}Pareto front",
        }
        for shown, looks in ((~front, faint), (front, rimmed)):
            if shown.any():
                ax.scatter(x[shown], y[shown], **style, **looks)
    ax.set(
        xlabel=f"{data.objectives[pair[0]]} (minimised)",
        ylabel=f"{data.objectives[pair[1]]} (minimised)",
    )
    ax.locator_params(axis="x", nbins=4)  # of labels such as 0.00125, no more fit beside each other
    grid(ax)
