"""Which part of an image matters to each output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ..diagnosis import PatchIntervention, patch_intervention
from ..diagnosis.patches import PATCH
from ..genome import VALP
from ..problem import Problem
from .style import figure_of, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COVER = 0.8
"""How opaque the strongest patch lies over the mean image."""

LEAST = 0.05
"""A change below this share of the loss is never drawn as strong, however weak all others are."""


def patches_data(
    individual: VALP,
    problem: Problem,
    patch: int = PATCH,
    input: str | None = None,
    device: str = "auto",
) -> PatchIntervention:
    """Return how much the validation losses rise when a patch of an image is hidden.

    Arguments and errors are those of ``patch_intervention``.
    """
    return patch_intervention(individual, problem, patch, input, device)


def plot_patches(
    individual: VALP,
    problem: Problem,
    patch: int = PATCH,
    input: str | None = None,
    axes: Sequence[Axes] | None = None,
    device: str = "auto",
) -> Figure:
    """Draw for each output which patches of an image it needs, over the mean image.

    The stronger the red, the more the validation loss rises where the patch is hidden; blue says
    that it falls. Clear patches do not matter. Each output has its own scale, and its strongest
    colour is a change by at least a twentieth of its loss.

    Args:
        individual: Evaluated by ``evaluate``; not changed.
        problem: What it was evaluated on.
        patch: The height and width of a patch in pixels.
        input: The name of the input; not needed where there is one image.
        axes: One for each output that the input reaches.
        device: As for ``evaluate``.

    Raises:
        ValpError: There is another number of axes than of outputs, or an error of
            ``patch_intervention``.
    """
    from matplotlib.colors import Normalize

    data = patches_data(individual, problem, patch, input, device)
    height, width = data.mean.shape[:2]
    axes = panels(axes, len(data.changes), 3.0, 0.9 + 2.8 * height / width)
    for ax, (output, changes) in zip(axes, data.changes.items(), strict=True):
        ax.imshow(data.mean.mean(2), cmap="gray")
        pixels = np.kron(changes, np.ones((patch, patch)))[:height, :width]
        loss = data.losses[output]
        most = max(np.abs(changes).max(), LEAST * loss) or 1.0
        strength = COVER * np.abs(pixels) / most
        ax.imshow(pixels, cmap="RdBu_r", norm=Normalize(-most, most), alpha=strength)
        ax.set(xticks=[], yticks=[], title=output)
        ax.set_xlabel(_words(loss, changes), fontsize=8)
    return figure_of(axes)


def _words(loss: float, changes: np.ndarray) -> str:
    """Return what the colours mean in units of the loss."""
    rise, fall = max(changes.max(), 0.0), max(-changes.min(), 0.0)
    return f"loss {loss:.3g}\nred: rises by up to {rise:.3g}\nblue: falls by up to {fall:.3g}"
