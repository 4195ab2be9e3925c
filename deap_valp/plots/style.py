"""What the plots have in common: colours, markers, figures, legends."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ValpError
from ..selection import Thresholds

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442")
"""Okabe and Ito's colours, told apart with any colour vision."""

MARKERS = ("o", "s", "D", "p", "^", "v", "P", "X", "<", ">", "*")
SHARED = "#BDBDBD"
FAINT = "#8A8A8A"
INK = "#222222"

AllThresholds = Thresholds | Mapping[str, Thresholds]
THRESHOLDS = Thresholds()


def colours_of(names: Iterable[str]) -> dict[str, str]:
    """A colour for each name, by its position."""
    return dict(zip(names, cycle(PALETTE), strict=False))


def markers_of(names: Iterable[str]) -> dict[str, str]:
    """A marker for each name, by its position."""
    return dict(zip(names, cycle(MARKERS), strict=False))


def ink_on(colour: Any) -> str:
    """Black or white, whichever reads better on a colour."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return "black" if 0.299 * red + 0.587 * green + 0.114 * blue > 0.5 else "white"


def darker(colour: str) -> tuple[float, float, float]:
    """The colour, dark enough for text on white."""
    from matplotlib.colors import to_rgb

    red, green, blue = to_rgb(colour)
    return 0.6 * red, 0.6 * green, 0.6 * blue


def number(value: float) -> str:
    """As 1.02, 14.3, 100."""
    return f"{value:.2f}" if value < 9.995 else f"{value:.3g}"


def thresholds_of(thresholds: AllThresholds, output: str) -> Thresholds:
    """Those of an output."""
    return thresholds if isinstance(thresholds, Thresholds) else thresholds[output]


def panels(
    axes: Axes | Sequence[Axes] | None, count: int, width: float, height: float, beside: float = 0.0
) -> tuple[Axes, ...]:
    """The axes given, or new ones, up to three beside each other, each of this size, and room for a legend; in inches.

    Raises:
        ValpError: Axes are given, and not ``count`` of them.
    """
    if axes is None:
        return _new_panels(count, width, height, beside)
    given: tuple[Axes, ...] = tuple(np.ravel(axes))  # type: ignore[arg-type]
    if len(given) != count:
        raise ValpError(f"this plot needs {count} axes, one for each panel, got {len(given)}")
    return given


def _new_panels(count: int, width: float, height: float, beside: float) -> tuple[Axes, ...]:
    import matplotlib.pyplot as plt

    columns = count if count <= 3 else min(3, -(-count // 2))
    rows = -(-count // columns)
    size = columns * width + beside, rows * height
    grid = plt.subplots(rows, columns, figsize=size, layout="constrained", squeeze=False)[1].ravel()
    for spare in grid[count:]:
        spare.remove()
    return tuple(grid[:count])


def panel(ax: Axes | None, width: float, height: float, beside: float = 0.0) -> Axes:
    """The axes given, or that of a new figure of this size in inches."""
    return panels(ax, 1, width, height, beside)[0]


def grid(ax: Axes) -> None:
    """A faint grid, below all that is drawn."""
    ax.grid(alpha=0.25)
    ax.set_axisbelow(True)


def legend_beside(*axes: Axes, handles: Sequence[Any] = ()) -> None:
    """A legend of all that has a label, once each, to the right of the last axes, where it hides nothing."""
    labelled = {
        label: handle
        for ax in axes
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)
    }
    labelled.update((handle.get_label(), handle) for handle in handles)
    place: dict[str, Any] = {
        "loc": "upper left",
        "bbox_to_anchor": (1.02, 1.0),
        "borderaxespad": 0.0,
    }
    if labelled:
        axes[-1].legend(labelled.values(), labelled.keys(), **place, frameon=False, fontsize=8)


def note(text: str) -> Any:
    """A line of a legend that has no marker."""
    from matplotlib.lines import Line2D

    return Line2D([], [], linestyle="", label=text)
