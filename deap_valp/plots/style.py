"""What the plots have in common: colours, markers, scales, figures and legends."""

from __future__ import annotations

import colorsys
from collections.abc import Iterable, Mapping, Sequence
from itertools import count, cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ValpError
from ..selection import Thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""The colours of Okabe and Ito, which people with any colour vision can tell apart."""

FURTHER = ("#332288", "#882255", "#999933", "#661100", "#AA4499", "#117733", "#DDCC77")
"""Colours of Paul Tol's that differ from ``PALETTE``; they follow it."""

STRONG = ("#8855FF", "#FF0055", "#00DD00", "#0000FF", "#FF11FF")
"""Colours that are far from all before them and not too light for a white page."""

MARKERS = ("o", "s", "D", "p", "^", "v", "P", "X", "<", ">", "*")
SHARED = "#BDBDBD"
FAINT = "#8A8A8A"
INK = "#222222"

AllThresholds = Thresholds | Mapping[str, Thresholds]
THRESHOLDS = Thresholds()

_GOLDEN = 0.618034  # turns of the colour circle between two generated colours, so none comes back
_WIDE = 20.0  # a linear axis presses values that span a larger factor into a line


# ---- colours and markers -------------------------------------------------------------------------


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """Return a colour for each name, by its position. No two names share a colour."""
    unique = dict.fromkeys(names)
    return {name: _colour(index) for name, index in zip(unique, count(), strict=False)}


def _colour(index: int) -> str:
    known = PALETTE + FURTHER + STRONG
    if index < len(known):
        return known[index]
    lightness = (0.35, 0.6, 0.75)[index % 3]
    parts = colorsys.hls_to_rgb(_GOLDEN * index % 1, lightness, 0.65)
    return "#" + "".join(f"{round(255 * part):02X}" for part in parts)


def markers_of(names: Iterable[str]) -> dict[str, str]:
    """Return a marker for each name, by its position. Markers repeat where names outnumber them."""
    return dict(zip(dict.fromkeys(names), cycle(MARKERS), strict=False))


def ink_on(colour: Any) -> str:
    """Return black or white, whichever reads better on a colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5:
        return "black"
    return "white"


def darker(colour: str) -> tuple[float, float, float]:
    """Return the colour, dark enough for text on white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.6 * red, 0.6 * green, 0.6 * blue


# ---- numbers -------------------------------------------------------------------------------------


def number(value: float) -> str:
    """Return a number of three digits: 1.02, 14.3, 100."""
    if value < 9.995:
        return f"{value:.2f}"
    return f"{value:.3g}"


def weight_of(bold: bool) -> str:
    """Return matplotlib's name of a font weight."""
    return "bold" if bold else "normal"


def thresholds_of(thresholds: AllThresholds, output: str) -> Thresholds:
    """Return the thresholds of one output."""
    if isinstance(thresholds, Thresholds):
        return thresholds
    return thresholds[output]


def is_wide(values: np.ndarray) -> bool:
    """Return whether values span a factor so large that they need a logarithmic scale.

    Zeros do not count. NaN does not count either. Negative values never get such a scale.
    """
    positive = values[values > 0]
    return bool(len(positive)) and not (values < 0).any() and _span(positive) > _WIDE


def _span(positive: np.ndarray) -> float:
    return float(positive.max() / positive.min())


def scale(ax: Axes, axis: str, values: np.ndarray) -> None:
    """Make the axis ``"x"`` or ``"y"`` logarithmic where its values need that (``is_wide``).

    Values of 0 stand on a short linear piece at its lower end.
    """
    from matplotlib import ticker

    if not is_wide(values):
        return
    positive = values[values > 0]
    smallest = float(positive.min())
    steps = (1.0,) if _span(positive) > 300 else (1.0, 2.0, 5.0)
    ticks = getattr(ax, f"{axis}axis")
    locator: ticker.Locator = ticker.LogLocator(subs=steps)
    if (values == 0).any():
        getattr(ax, f"set_{axis}scale")("symlog", linthresh=smallest, linscale=0.3)
        locator = ticker.SymmetricalLogLocator(base=10, linthresh=smallest, subs=steps)
    else:
        getattr(ax, f"set_{axis}scale")("log")
    ticks.set_major_locator(locator)
    ticks.set_major_formatter(ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    ticks.set_minor_locator(ticker.NullLocator())
    ticks.set_minor_formatter(ticker.NullFormatter())


# ---- figures -------------------------------------------------------------------------------------


def panels(
    axes: Axes | Sequence[Axes] | None,
    needed: int,
    width: float,
    height: float,
    beside: float = 0.0,
) -> tuple[Axes, ...]:
    """Return the axes given, or those of a new figure.

    Args:
        axes: One for each panel, or None.
        needed: Number of panels.
        width: Width of a new panel in inches.
        height: Height of a new panel in inches.
        beside: Room for a legend to the right of new panels, in inches.

    Raises:
        ValpError: There is another number of axes than of panels.
    """
    if axes is None:
        return _new_panels(needed, width, height, beside)
    given: tuple[Axes, ...] = tuple(np.ravel(axes))  # type: ignore[arg-type]
    if len(given) != needed:
        raise ValpError(f"this plot needs {needed} axes, one for each panel, got {len(given)}")
    return given


def _new_panels(needed: int, width: float, height: float, beside: float) -> tuple[Axes, ...]:
    import matplotlib.pyplot as plt

    columns = needed
    if needed > 3:
        columns = min(4, int(np.ceil(np.sqrt(needed))))
    rows = -(-needed // columns)
    size = columns * width + beside, rows * height
    grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)[1].ravel()
    for spare in grid[needed:]:
        spare.remove()
    return tuple(grid[:needed])


def panel(ax: Axes | None, width: float, height: float, beside: float = 0.0) -> Axes:
    """Return the axes given, or that of a new figure of this size in inches."""
    return panels(ax, 1, width, height, beside)[0]


def figure_of(axes: Sequence[Axes]) -> Figure:
    """Return the figure that axes stand in; of a subfigure, the whole figure."""
    return axes[0].figure.canvas.figure


def grid_below(ax: Axes) -> None:
    """Draw a faint grid below everything else."""
    ax.grid(alpha=0.25)
    ax.set_axisbelow(True)


def legend_beside(*axes: Axes, handles: Sequence[Any] = ()) -> None:
    """Draw one legend of all panels to the right of them, where it hides nothing.

    Each label stands there once.
    """
    labelled: dict[str, Any] = {}
    for ax in axes:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            labelled.setdefault(label, handle)
    labelled.update((handle.get_label(), handle) for handle in handles)
    place: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (1.02, 1.0),
        "borderaxespad": 0.0,
    }
    if labelled:
        rightmost = max(axes, key=lambda ax: (round(ax.get_position().x1, 3), ax.get_position().y1))
        rightmost.legend(labelled.values(), labelled.keys(), **place, frameon=False, fontsize=8)


def note(text: str) -> Any:
    """Return a line of a legend that has no marker."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", label=text)


def left_out(why: str, number: int) -> list[Any]:
    """Return what a legend says of points that are not drawn; nothing where there are none."""
    if number == 0:
        return []
    return [note(f"left out, {why}: {number}")]
