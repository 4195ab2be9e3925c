"""Historic sub-loss: how fast the training loss of each output still falls."""

from __future__ import annotations

import numpy as np

from ..genome.diagnosis import Slope
from .registry import metric
from .subject import Subject


@metric
def loss_slope(subject: Subject) -> dict[str, Slope]:
    """The slope of each output's training loss over the last session (paper IV-B 1)."""
    return {output: fit_slope(losses) for output, losses in subject.history.items()}


def fit_slope(losses: np.ndarray) -> Slope:
    """Return the slope of the least-squares line through a series, per step.

    A series of fewer than three steps tells nothing: its slope is 0 with an infinite error.
    """
    steps = len(losses)
    if steps < 3:
        return Slope(0.0, float("inf"))
    centred = np.arange(steps) - (steps - 1) / 2
    spread = float(centred @ centred)
    series = np.asarray(losses, dtype=np.float64)
    slope = float(centred @ series) / spread
    residuals = series - series.mean() - slope * centred
    return Slope(slope, float(np.sqrt(residuals @ residuals / (steps - 2) / spread)))
