"""How much outputs lose without a sub-network or an input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .matrix import Diagnosed, draw_matrix, height_of, matrix_of, measured_by, names_at
from .style import THRESHOLDS, AllThresholds, figure_of, number, panel, thresholds_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class Relevance:
    """What ``plot_relevance`` draws.

    Attributes:
        components: The rows: sub-networks, then inputs where they were measured.
        outputs: The columns.
        values: Shape (components, outputs); NaN where a component does not reach an output.
        relevant: Whether a value is above its output's threshold, of the same shape.
    """

    components: tuple[str, ...]
    outputs: tuple[str, ...]
    values: np.ndarray
    relevant: np.ndarray


def relevance_data(subject: Diagnosed, thresholds: AllThresholds = THRESHOLDS) -> Relevance:
    """Return the relevance of sub-networks for outputs, and of inputs where it was measured.

    Args:
        subject: A diagnosis, or an evaluation or individual that has one.
        thresholds: Above which a component is relevant; one for all outputs, or by output.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or relevance was not measured.
    """
    networks = measured_by(subject, "module_intervention")
    inputs = measured_by(subject, "input_intervention", needed=False)
    measured = {**networks, **inputs}
    components = names_at(networks, 0) + names_at(inputs, 0)
    outputs = names_at(measured, 1)
    limits = np.array([thresholds_of(thresholds, output).limit() for output in outputs])
    values = matrix_of(measured, components, outputs)
    return Relevance(components, outputs, values, values > limits)


def plot_relevance(
    subject: Diagnosed, ax: Axes | None = None, thresholds: AllThresholds = THRESHOLDS
) -> Figure:
    """Draw how relevant each sub-network, and each input that was measured, is for each output.

    1 means that nothing is lost without it, 2 that performance is halved. A bold number is above
    the threshold. A cell is blank where the component does not reach the output.

    Args:
        subject: As in ``relevance_data``.
        ax: Where to draw.
        thresholds: As in ``relevance_data``.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or relevance was not measured.

    References:
        Paper IV-B, module intervention and input intervention.
    """
    from matplotlib.colors import LogNorm

    data = relevance_data(subject, thresholds)
    ax = panel(ax, max(3.4, 1.0 + 0.8 * len(data.outputs)), height_of(data.components))
    cells = {}
    for place, value in np.ndenumerate(data.values):
        if np.isfinite(value):
            cells[place] = number(value)
    norm = LogNorm(1, 10, clip=True)
    draw_matrix(ax, data.components, data.outputs, data.values, cells, norm, data.relevant)
    ax.set(title="relevance (bold: relevant)", ylabel="component")
    ax.set_xlabel(
        "1: nothing lost without it, 2: performance halved\nblank: does not reach the output",
        fontsize=8,
    )
    return figure_of((ax,))
