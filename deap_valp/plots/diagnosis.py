"""All that a diagnosis measured, side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..genome.diagnosis import Dependency
from .dependency import plot_dependency
from .matrix import Diagnosed, all_measured_by, height_of
from .metric import gives_pairs, plot_metric
from .relevance import plot_relevance, relevance_data
from .slopes import plot_slopes
from .style import THRESHOLDS, AllThresholds, figure_of, panels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


_DRAWN = ("module_intervention", "input_intervention", "loss_slope")  # by the first two panels


def plot_diagnosis(
    subject: Diagnosed, axes: Sequence[Axes] | None = None, thresholds: AllThresholds = THRESHOLDS
) -> Figure:
    """Draw relevance and slopes, then each further metric that gives a number by pair.

    Each panel is that of ``plot_relevance``, ``plot_slopes``, ``plot_dependency`` or
    ``plot_metric``. The pairs are those of a component, or a connection, and an output.

    Args:
        subject: A diagnosis, or an evaluation or individual that has one.
        axes: One for each panel.
        thresholds: One for all outputs, or by output.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or it lacks relevance or slopes.
        ValpError: There is another number of axes than of panels.
    """
    components = relevance_data(subject, thresholds).components
    further: dict[str, Callable[..., Any]] = {}
    for metric, measured in all_measured_by(subject).items():
        if metric not in _DRAWN and measured:
            if isinstance(next(iter(measured.values())), Dependency):
                further[metric] = plot_dependency
            elif gives_pairs(measured):
                further[metric] = plot_metric
    height = max(2.6, height_of(components))
    axes = panels(axes, 2 + len(further), 4.0, beside=1.6, height=height)
    plot_relevance(subject, axes[0], thresholds)
    plot_slopes(subject, axes[1], thresholds)
    for ax, (metric, draw) in zip(axes[2:], further.items(), strict=True):
        draw(subject, ax, metric=metric)
    return figure_of(axes)
