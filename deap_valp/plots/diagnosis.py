"""All that a diagnosis measured, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .dependency import DEPENDENCIES, plot_dependency
from .matrix import Diagnosed, height_of, measured_by
from .relevance import plot_relevance, relevance_data
from .slopes import plot_slopes
from .style import THRESHOLDS, AllThresholds, figure_of, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def plot_diagnosis(
    subject: Diagnosed, axes: Sequence[Axes] | None = None, thresholds: AllThresholds = THRESHOLDS
) -> Figure:
    """Draw relevance, slopes, and dependency and mutual information where they were measured.

    Each panel is that of ``plot_relevance``, ``plot_slopes`` or ``plot_dependency``.

    Args:
        subject: A diagnosis, or an evaluation or individual that has one.
        axes: One for each metric that was measured.
        thresholds: One for all outputs, or by output.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or it lacks relevance or slopes.
        ValpError: There is another number of axes than of metrics.
    """
    components = relevance_data(subject, thresholds).components
    further = [metric for metric in DEPENDENCIES if measured_by(subject, metric, needed=False)]
    height = max(2.6, height_of(components))
    axes = panels(axes, 2 + len(further), 4.0, beside=1.6, height=height)
    plot_relevance(subject, axes[0], thresholds)
    plot_slopes(subject, axes[1], thresholds)
    for ax, metric in zip(axes[2:], further, strict=True):
        plot_dependency(subject, ax, metric)
    return figure_of(axes)
