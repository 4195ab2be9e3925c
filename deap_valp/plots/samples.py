"""Generated images, side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import ValpError
from .style import panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 1
"""Pixels between two images."""

BETWEEN = "#9DB8CF"


def samples_data(images: Any, shape: tuple[int, int] | None = None) -> np.ndarray:
    """Images side by side in one array, in rows as long as the columns or one longer; NaN between them.

    Args:
        images: Array or tensor, one image a row, (images, pixels) or (images, height, width).
        shape: Height and width of an image of (images, pixels); by default it is square.

    Raises:
        ValpError: There is no image, or its pixels do not make the shape.
    """
    array = (
        images.detach().cpu().numpy() if isinstance(images, torch.Tensor) else np.asarray(images)
    )
    if array.ndim not in (2, 3) or not array.size:
        raise ValpError(
            f"samples need images (images, pixels) or (images, height, width), got shape {array.shape}"
        )
    height, width = shape or (
        array.shape[1:] if array.ndim == 3 else (round(array.shape[1] ** 0.5),) * 2
    )
    if height * width != array[0].size:
        raise ValpError(
            f"images of {array[0].size} pixels are not {height} x {width}: name their shape"
        )
    columns = int(np.ceil(np.sqrt(len(array))))
    rows = -(-len(array) // columns)
    grid = np.full((rows, height + GAP, columns, width + GAP), np.nan)
    for index, image in enumerate(array):
        grid[index // columns, :height, index % columns, :width] = image.reshape(height, width)
    return grid.reshape(rows * (height + GAP), columns * (width + GAP))[:-GAP, :-GAP]


def plot_samples(images: Any, shape: tuple[int, int] | None = None, ax: Axes | None = None) -> Axes:
    """Draw images in a grid, all on one grey scale: the smallest value black, the largest white.

    As they come from ``valp.decode(best).generate(25)["sample"]``. The arguments are those of
    ``samples_data``.
    """
    from matplotlib import colormaps

    grid = samples_data(images, shape)
    ax = panel(ax, 4.0, 4.0 * grid.shape[0] / grid.shape[1])
    grey = colormaps["gray"].with_extremes(
        bad=BETWEEN
    )  # neither black nor white, so edges of images show
    ax.imshow(grid, cmap=grey, interpolation="nearest")
    ax.set_axis_off()
    return ax
