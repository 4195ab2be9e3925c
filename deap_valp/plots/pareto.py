"""The objectives of many individuals, and their Pareto front beside the start of the search."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import need_many
from ..errors import ValpError
from ..problem import Problem
from .parallel import START, draw_parallel, prefix_of
from .points import label_of, names_of, succeeded, values_of
from .style import (
    FAINT,
    INK,
    colours_of,
    figure_of,
    grid_below,
    legend_beside,
    markers_of,
    note,
    panels,
    scale,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Points = Iterable[Any]

_POINTS = "a sequence of individuals, entries, evaluations or rows of numbers"
_MOST_PAIRED = 3  # objectives that are drawn in pairs by default
_MOST_NUMBERED = 20  # points of a front whose numbers still can be read


@dataclass(frozen=True)
class Pareto:
    """What ``plot_pareto`` draws. Arrays by method have one row for each point that is drawn.

    Attributes:
        objectives: Names of the objectives.
        values: By method, shape (points, objectives).
        front: By method, whether each point is in the Pareto front of all methods, shape (points,).
        start: By method, whether the search began at the point, shape (points,).
        numbers: By method, numbers of the front's points in the order of their first objective,
            from 1 on, the same for equal points; 0 for dominated ones. Shape (points,).
        left_out: By method, how many points failed or were not evaluated.
    """

    objectives: tuple[str, ...]
    values: dict[str, np.ndarray]
    front: dict[str, np.ndarray]
    start: dict[str, np.ndarray]
    numbers: dict[str, np.ndarray]
    left_out: dict[str, int]

    @property
    def all_values(self) -> np.ndarray:
        """The values of all methods, shape (all points, objectives)."""
        return _together(self.values, (0, len(self.objectives)))

    @property
    def all_starts(self) -> np.ndarray:
        """Whether each row of ``all_values`` is a start, shape (all points,)."""
        return _together(self.start, (0,)).astype(bool)

    @property
    def all_front(self) -> np.ndarray:
        """Whether each row of ``all_values`` is in the front, shape (all points,)."""
        return _together(self.front, (0,)).astype(bool)


def _together(by_method: Mapping[str, np.ndarray], empty: tuple[int, ...]) -> np.ndarray:
    return np.concatenate([np.empty(empty), *by_method.values()])


def pareto_data(
    points: Points | Mapping[str, Points],
    objectives: Sequence[str] | None = None,
    start: Points = (),
) -> Pareto:
    """Return the objectives of points, all minimised, and which of them are in the Pareto front.

    Args:
        points: Individuals, archive entries, evaluations or rows of numbers; or a mapping of them
            by the name of the method that found them. The front is that of all together.
        objectives: Names of the objectives; by default those that evaluations or entries give, or
            numbered ones.
        start: Points from which the search began, besides archive entries of step 0. They become a
            method of their own, ``start``, and count for the front.

    Raises:
        ValpError: No point was evaluated, points differ in the number of objectives, or that is not
            the number of names.
    """
    methods = _methods(points, start)
    given = [point for some in methods.values() for point in some]
    if given and not any(values_of(point) for point in given):
        raise ValpError(
            f"this plot needs points that were evaluated, got {len(given)} without any value"
        )
    names = tuple(names_of(given) if objectives is None else objectives)
    lengths = {len(values_of(point)) for point in given} - {0}
    if lengths - {len(names)}:
        raise ValpError(f"points have {sorted(lengths)} objectives, the names are {list(names)}")
    values, starts, left_out = {}, {}, {}
    for name, some in methods.items():
        drawn = [point for point in some if succeeded(point)]
        values[name] = np.array([values_of(p) for p in drawn], dtype=float).reshape(
            len(drawn), len(names)
        )
        begun = [name == START or getattr(point, "step", None) == 0 for point in drawn]
        starts[name] = np.array(begun, dtype=bool)
        left_out[name] = len(some) - len(drawn)
    together = _together(values, (0, len(names)))
    front = _by_method(values, nondominated(together))
    numbers = _by_method(values, _numbered(together, nondominated(together)))
    return Pareto(names, values, front, starts, numbers, left_out)


def _methods(points: Points | Mapping[str, Points], start: Points) -> dict[str, list[Any]]:
    if isinstance(points, Mapping):
        methods = {name: need_many(some, "this plot", _POINTS) for name, some in points.items()}
    else:
        methods = {"": need_many(points, "this plot", _POINTS)}
    begun = need_many(start, "this plot", f"start as {_POINTS}")
    if begun:
        methods[START] = begun
    return methods


def _by_method(values: Mapping[str, np.ndarray], together: np.ndarray) -> dict[str, np.ndarray]:
    """Cut what belongs to all points into the parts that belong to each method."""
    parts, begin = {}, 0
    for name, array in values.items():
        parts[name] = together[begin : begin + len(array)]
        begin += len(array)
    return parts


def _numbered(values: np.ndarray, front: np.ndarray) -> np.ndarray:
    numbers = np.zeros(len(values), dtype=int)
    if front.any():
        numbers[front] = 1 + np.unique(values[front], axis=0, return_inverse=True)[1].ravel()
    return numbers


def nondominated(values: np.ndarray) -> np.ndarray:
    """Return whether no row is as low everywhere and lower somewhere; of equal rows all or none.

    Args:
        values: Shape (points, objectives), all minimised.
    """
    from moocore import is_nondominated

    if not len(values):
        return np.zeros(0, dtype=bool)
    return is_nondominated(values, keep_weakly=True)


def plot_pareto(
    points: Points | Mapping[str, Points],
    objectives: Sequence[str] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
    *,
    start: Points = (),
    problem: Problem | None = None,
    parallel: bool | None = None,
) -> Figure:
    """Draw points in the space of objectives: the start of a search, its front, dominated points.

    Up to three objectives are drawn two at a time, beyond that as parallel coordinates. The front
    is that of all objectives together (minimised), so with three or more of them a point of it need
    not look like one in a single panel: each has a number, the same in all panels. Where the start
    is known, the shaded area is what the search added to what the start had reached in those two
    objectives. Failed individuals are left out, and counted in the legend.

    Args:
        points: As in ``pareto_data``. Methods are told apart by colour and marker.
        objectives: As in ``pareto_data``.
        axes: One for each pair of objectives, in the order of ``itertools.combinations``; a single
            one for parallel coordinates.
        start: As in ``pareto_data``.
        problem: Names the axes by its scores.
        parallel: Whether to draw parallel coordinates; by default beyond three objectives.

    Raises:
        ValpError: No point was evaluated, there are fewer than two objectives,
            or another number of axes than of panels.
    """
    data = pareto_data(points, objectives, start)
    count = len(data.objectives)
    if count < 2:
        raise ValpError(f"plot_pareto needs two objectives or more, got {list(data.objectives)}")
    labels = [label_of(name, problem) for name in data.objectives]
    if parallel or (parallel is None and count > _MOST_PAIRED):
        axes = panels(axes, 1, 1.6 + 1.3 * count, 3.6, beside=1.7)
        draw_parallel(axes[0], data, labels)
    else:
        pairs = list(combinations(range(count), 2))
        axes = panels(axes, len(pairs), 3.4, 3.2, beside=1.7)
        for ax, pair in zip(axes, pairs, strict=True):
            _draw_pair(ax, data, pair, labels)
    _draw_legend(axes, data)
    return figure_of(axes)


def _draw_legend(axes: Sequence[Axes], data: Pareto) -> None:
    left = [f"{name} {missing}".strip() for name, missing in data.left_out.items() if missing]
    handles = []
    if left:
        handles.append(note(f"left out, failed or\nnot evaluated: {', '.join(left)}"))
    legend_beside(*axes, handles=handles)


def _draw_pair(ax: Axes, data: Pareto, pair: tuple[int, int], labels: Sequence[str]) -> None:
    colour, marker = colours_of(data.values), markers_of(data.values)
    if START in colour:
        colour[START] = INK
    for name, values in data.values.items():
        x, y = values[:, pair].T
        for shown, looks in _groups(data, name):
            if shown.any():
                style = {"marker": marker[name], "color": colour[name], **looks}
                ax.scatter(x[shown], y[shown], **style)
    for axis, index in zip("xy", pair, strict=True):
        scale(ax, axis, data.all_values[:, index])
    ax.set(xlabel=labels[pair[0]], ylabel=labels[pair[1]])
    grid_below(ax)
    _draw_added(ax, data, pair)
    if len(data.objectives) > 2:
        _draw_numbers(ax, data, pair)


def _groups(data: Pareto, method: str) -> Iterable[tuple[np.ndarray, dict[str, Any]]]:
    """Yield which points of a method look alike, and how they look."""
    front, start = data.front[method], data.start[method]
    prefix = prefix_of(method)
    begun = {"marker": "*", "s": 110, "edgecolor": INK, "linewidth": 0.9}
    yield (
        ~front & ~start,
        {"alpha": 0.55, "s": 24, "linewidth": 0, "label": f"{prefix}dominated"},
    )
    yield ~front & start, {**begun, "facecolor": "white", "label": f"{prefix}start"}
    yield (
        front & ~start,
        {"edgecolor": INK, "s": 46, "linewidth": 0.9, "label": f"{prefix}Pareto front"},
    )
    yield front & start, {**begun, "label": f"{prefix}start, in the Pareto front"}


def _draw_added(ax: Axes, data: Pareto, pair: tuple[int, int]) -> None:
    """Shade what is reached in these two objectives and was not reached by the start."""
    starts = data.all_values[data.all_starts]
    if not len(starts):
        return
    limits = ax.get_xlim(), ax.get_ylim()
    corner = limits[0][1], limits[1][1]
    after, before = (_staircase(rows[:, pair], corner) for rows in (data.all_values, starts))
    outline = np.concatenate([after, before[::-1]])
    ax.fill(*outline.T, color=FAINT, alpha=0.15, linewidth=0, zorder=0, label="added by the search")
    ax.plot(*before.T, color=FAINT, linewidth=0.9, linestyle="--", zorder=1)
    ax.set(xlim=limits[0], ylim=limits[1])


def _staircase(points: np.ndarray, corner: tuple[float, float]) -> np.ndarray:
    """Return the border of what is as high as some point in both objectives, shape (steps, 2).

    Args:
        points: Shape (points, 2).
        corner: Where the border ends to the right, and begins above.
    """
    best = np.unique(points[nondominated(points)], axis=0)
    x = np.concatenate([np.repeat(best[:, 0], 2), corner[:1]])
    y = np.concatenate([corner[1:], np.repeat(best[:, 1], 2)])
    return np.stack([x, y], axis=1)


def _draw_numbers(ax: Axes, data: Pareto, pair: tuple[int, int]) -> None:
    numbers = _together(data.numbers, (0,)).astype(int)
    if numbers.max(initial=0) > _MOST_NUMBERED:
        return
    named = dict(zip(numbers.tolist(), data.all_values[:, pair].tolist(), strict=True))
    for name in sorted(named.keys() - {0}):
        offset: dict[str, Any] = {"xytext": (4, 3), "textcoords": "offset points"}
        ax.annotate(str(name), named[name], **offset, fontsize=7, color=INK, zorder=4)
