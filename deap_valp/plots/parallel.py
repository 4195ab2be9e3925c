"""Parallel coordinates: many objectives in one panel, a line for each point."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from .style import FAINT, INK, colours_of, is_wide

if TYPE_CHECKING:
    from matplotlib.axes import Axes

START = "start"
_MARGIN = 0.1  # of the height, above and below the axes


class Objectives(Protocol):
    """What is drawn: values, and whether each point is a start or in the front (``Pareto``)."""

    @property
    def values(self) -> Mapping[str, np.ndarray]: ...

    @property
    def front(self) -> Mapping[str, np.ndarray]: ...

    @property
    def start(self) -> Mapping[str, np.ndarray]: ...

    @property
    def all_values(self) -> np.ndarray: ...

    @property
    def all_front(self) -> np.ndarray: ...

    @property
    def all_starts(self) -> np.ndarray: ...


def draw_parallel(ax: Axes, data: Objectives, labels: Sequence[str]) -> None:
    """Draw a vertical axis for each objective, its lowest value below, and a line for each point.

    An axis spans what the front and the starts have; dominated points may leave it. An axis whose
    values span a large factor is logarithmic. The front of a lone method is coloured by its first
    objective, so that each line can be followed; several methods have a colour each.
    """
    shown = data.all_values[data.all_front | data.all_starts]
    low, high = np.zeros(len(labels)), np.ones(len(labels))
    if len(shown):
        low, high = shown.min(0), shown.max(0)
    wide = np.array([is_wide(column) for column in shown.T], dtype=bool)
    methods = [name for name in data.values if name != START]
    colour = colours_of(data.values)
    for name, values in data.values.items():
        heights = heights_of(values, low, high, wide)
        front, start = data.front[name], data.start[name]
        prefix = prefix_of(name)
        _draw_lines(ax, heights[~front & ~start], f"{prefix}dominated", color=FAINT, alpha=0.2)
        own: dict[str, Any] = {"color": colour[name]}
        if len(methods) == 1:
            own = {"colours": _by_first(heights[front & ~start])}
        _draw_lines(ax, heights[front & ~start], f"{prefix}Pareto front", **own, linewidth=1.6)
        begun: dict[str, Any] = {"color": INK, "linestyle": "--", "linewidth": 1.2}
        _draw_lines(ax, heights[start & ~front], f"{prefix}start", **begun)
        begun["linestyle"] = "-"
        _draw_lines(ax, heights[start & front], f"{prefix}start, in the Pareto front", **begun)
    _draw_axes(ax, labels, low, high, wide)


def prefix_of(method: str) -> str:
    """Return how labels of a method's points begin; a lone method has no name."""
    if method in ("", START):
        return ""
    return f"{method}, "


def heights_of(
    values: np.ndarray, low: np.ndarray, high: np.ndarray, wide: np.ndarray
) -> np.ndarray:
    """Return values as heights: 0 at ``low``, 1 at ``high``, logarithmic where ``wide``."""
    heights = np.empty_like(values)
    for index, column in enumerate(values.T):
        floor, top = low[index], high[index]
        if wide[index]:
            smallest = max(floor, 1e-3 * top)  # a value of 0 has no logarithm
            column, floor, top = np.log(np.maximum(column, smallest)), np.log(smallest), np.log(top)
        heights[:, index] = 0.5
        if top > floor:
            heights[:, index] = (column - floor) / (top - floor)
    return heights


def _by_first(heights: np.ndarray) -> Any:
    from matplotlib import colormaps

    return colormaps["viridis"](0.9 * np.clip(heights[:, 0], 0, 1))


def _draw_lines(
    ax: Axes, heights: np.ndarray, label: str, colours: Any = None, **style: Any
) -> None:
    for index, line in enumerate(heights):
        if colours is not None:
            style["color"] = colours[index]
        ax.plot(line, label=label, marker="o", markersize=3, **style)


def _draw_axes(
    ax: Axes, labels: Sequence[str], low: np.ndarray, high: np.ndarray, wide: np.ndarray
) -> None:
    for index, (floor, top) in enumerate(zip(low, high, strict=True)):
        ax.vlines(index, 0, 1, color=INK, linewidth=0.8, zorder=0)
        for height, value, side, points in ((0, floor, "top", -3), (1, top, "bottom", 3)):
            offset: dict[str, Any] = {"xytext": (0, points), "textcoords": "offset points"}
            place: dict[str, Any] = {"ha": "center", "va": side, "fontsize": 7}
            ax.annotate(f"{value:.3g}", (index, height), **offset, **place)
    ticks = [label.removesuffix(" (minimised)").replace(": ", ":\n") for label in labels]
    for position in np.flatnonzero(wide):
        ticks[position] += " (log)"
    ax.set_xticks(range(len(labels)), ticks, fontsize=8)
    ax.set(
        xlim=(-0.3, len(labels) - 0.7),
        ylim=(-_MARGIN, 1 + _MARGIN),
        yticks=[],
        ylabel="lower is better",
    )
    ax.tick_params(axis="x", length=0)
    for side in ("top", "right", "left", "bottom"):
        ax.spines[side].set_visible(False)
