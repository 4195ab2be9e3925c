"""Generated images side by side, and beside real ones."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from ..errors import ValpError
from .style import figure_of, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GAP = 1
"""Pixels between two images."""

BETWEEN = "#9DB8CF"
"""The colour between images: neither black nor white, so that their edges show."""

_CHANNELS = (1, 3)  # of grey and of RGB images


def samples_data(images: Any, shape: Sequence[int] | None = None) -> np.ndarray:
    """Return images side by side in one array, with NaN between them.

    The array is about as many images wide as it is high: shape (height, width) for grey images,
    (height, width, 3) for RGB.

    Args:
        images: Array or tensor, one image a row: (images, pixels), (images, height, width),
            (images, height, width, 3) or (images, 3, height, width).
        shape: Shape of one image whose pixels stand in a row: (height, width), (height, width, 3)
            or (3, height, width); by default a grey square.

    Raises:
        ValpError: There is no image, or its pixels do not make the shape.
    """
    pixels = _pixels(images, shape)
    number, height, width, channels = pixels.shape
    columns = int(np.ceil(np.sqrt(number)))
    rows = -(-number // columns)
    grid = np.full((rows, height + GAP, columns, width + GAP, channels), np.nan)
    for index, image in enumerate(pixels):
        grid[index // columns, :height, index % columns, :width] = image
    grid = grid.reshape(rows * (height + GAP), columns * (width + GAP), channels)[:-GAP, :-GAP]
    if channels == 1:
        return grid[..., 0]
    return grid


def _pixels(images: Any, shape: Sequence[int] | None) -> np.ndarray:
    """Return images as an array (images, height, width, channels)."""
    if isinstance(images, Mapping):
        outputs = list(images)
        raise ValpError(
            f"samples need the images of one output, such as [{outputs[0]!r}], got a "
            f"mapping of {outputs}"
        )
    if isinstance(images, torch.Tensor):
        images = images.detach().cpu()
    try:
        array = np.asarray(images)
    except ValueError as error:
        raise ValpError(f"samples need images of one shape: {error}") from error
    if array.ndim not in (2, 3, 4) or not array.size:
        raise ValpError(
            "samples need images (images, pixels), (images, height, width) or either with 3 "
            f"channels, got shape {array.shape}"
        )
    if shape is None:
        shape = array.shape[1:]
        if array.ndim == 2:
            shape = 2 * (round(array.shape[1] ** 0.5),)
    if array[0].size != np.prod(shape) or len(shape) not in (2, 3):
        wanted = " x ".join(map(str, shape))
        raise ValpError(f"images of {array[0].size} pixels are not {wanted}: name their shape")
    array = array.reshape(len(array), *shape)
    if len(shape) == 2:
        return array[..., None]
    if shape[-1] not in _CHANNELS and shape[0] in _CHANNELS:
        array, shape = np.moveaxis(array, 1, -1), (*shape[1:], shape[0])
    if shape[-1] not in _CHANNELS:
        raise ValpError(f"images have 1 or 3 channels, first or last, got the shape {tuple(shape)}")
    return array


def plot_samples(
    images: Any,
    shape: Sequence[int] | None = None,
    axes: Axes | Sequence[Axes] | None = None,
    *,
    real: Any = None,
) -> Figure:
    """Draw images in a grid, and real ones in a second grid beside it.

    All stand on one scale: the smallest value of the real images, or of all without real ones, is
    black, the largest white (of RGB images: all three channels).

    Args:
        images: As in ``samples_data``, for example ``valp.decode(best).generate(25)["sample"]``.
        shape: As in ``samples_data``.
        axes: One, or two where there are real images.
        real: Images of the same shape, for example those of a split:
            ``problem.split("validation").targets["sample"]``. As many as there are samples are
            drawn, the first ones.

    Raises:
        ValpError: There is no image, its pixels do not make the shape, or there is another number
            of axes than of grids.
    """
    titled = {"": samples_data(images, shape)}
    if real is not None:
        titled = {"generated": titled[""], "real": samples_data(real[: len(images)], shape)}
    height, width = next(iter(titled.values())).shape[:2]
    axes = panels(axes, len(titled), 4.0, 0.3 * (real is not None) + 4.0 * height / width)
    scale = list(titled.values())[-1]
    low, high = float(np.nanmin(scale)), float(np.nanmax(scale))
    for ax, (title, grid) in zip(axes, titled.items(), strict=True):
        ax.imshow(coloured(grid, low, high), interpolation="nearest")
        ax.set_title(title, fontsize=10)
        ax.set_axis_off()
    return figure_of(axes)


def coloured(grid: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return a grid of images as colours (height, width, 3), ``low`` black and ``high`` white."""
    from matplotlib.colors import to_rgb

    shares = np.clip((grid - low) / ((high - low) or 1.0), 0, 1)
    if shares.ndim == 2:
        shares = np.repeat(shares[..., None], 3, axis=2)
    return np.where(np.isnan(shares), to_rgb(BETWEEN), shares)
