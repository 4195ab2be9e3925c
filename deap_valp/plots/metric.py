"""Any metric that gives a number for each pair of a component (or a connection) and an output."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EvaluationError
from .matrix import Diagnosed, draw_matrix, height_of, matrix_of, measured_by, names_at
from .style import figure_of, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Measured:
    """What ``plot_metric`` draws.

    Attributes:
        components: The rows: sub-networks, inputs or connections.
        outputs: The columns.
        values: Shape (components, outputs); NaN where nothing was measured.
    """

    components: tuple[str, ...]
    outputs: tuple[str, ...]
    values: np.ndarray


def gives_pairs(measured: Any) -> bool:
    """Return whether a metric measured a number for each pair of a component and an output."""
    pairs = all(isinstance(key, tuple) and len(key) == 2 for key in measured)
    return bool(measured) and pairs and all(np.isscalar(value) for value in measured.values())


def metric_data(subject: Diagnosed, metric: str) -> Measured:
    """Return what a metric measured as a matrix.

    Args:
        subject: A diagnosis, or an evaluation or individual that has one.
        metric: Its name. It gives a number for each (component, output).

    Raises:
        EvaluationError: There is no diagnosis of this subject, the metric was not measured, or it
            gives something else.
    """
    measured = measured_by(subject, metric)
    if not gives_pairs(measured):
        raise EvaluationError(
            "metric_data needs a metric that gives a number for each (component, output), "
            f"got {metric} with {next(iter(measured.items()))}"
        )
    components, outputs = names_at(measured, 0), names_at(measured, 1)
    return Measured(components, outputs, matrix_of(measured, components, outputs))


def plot_metric(subject: Diagnosed, ax: Axes | None = None, *, metric: str) -> Figure:
    """Draw the numbers of a metric by component and output; blank where nothing was measured.

    Red is below 0, blue above.

    Args:
        subject: As in ``metric_data``.
        ax: Where to draw.
        metric: As in ``metric_data``.

    Raises:
        EvaluationError: There is no diagnosis of this subject, the metric was not measured, or it
            gives something else.
    """
    from matplotlib.colors import CenteredNorm

    data = metric_data(subject, metric)
    ax = panel(ax, max(3.4, 1.0 + 0.9 * len(data.outputs)), height_of(data.components))
    cells = {}
    for place, value in np.ndenumerate(data.values):
        if np.isfinite(value):
            cells[place] = f"{value:.3g}"
    norm = CenteredNorm(0, halfrange=float(np.nanmax(np.abs(data.values))) or 1.0)
    bold = np.zeros(data.values.shape, dtype=bool)
    names = data.components, data.outputs
    draw_matrix(ax, *names, data.values, cells, norm, bold, cmap="RdBu")
    ax.set_title(metric.replace("_", " "))
    ax.set_xlabel("blank: not measured", fontsize=8)
    return figure_of((ax,))
