"""What the result of a sub-network tells of an output, beyond what its providers tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .matrix import Diagnosed, draw_matrix, height_of, matrix_of, measured_by, names_at
from .style import figure_of, number, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DEPENDENCIES: Mapping[str, str] = {
    "dependency": "score of a linear probe",
    "mutual_information": "nats",
}
"""The units of the two metrics of paper IV-B 4."""


@dataclass(frozen=True)
class Dependencies:
    """What ``plot_dependency`` draws.

    Attributes:
        networks: The rows.
        outputs: The columns.
        own: What the result of a sub-network tells of an output, shape (sub-networks, outputs); NaN
            where it does not reach the output.
        gain: What that is beyond its providers' results, of the same shape.
    """

    networks: tuple[str, ...]
    outputs: tuple[str, ...]
    own: np.ndarray
    gain: np.ndarray


def dependency_data(subject: Diagnosed, metric: str = "dependency") -> Dependencies:
    """Return what sub-networks tell of outputs.

    Args:
        subject: A diagnosis, or an evaluation or individual that has one.
        metric: ``dependency`` (a linear probe) or ``mutual_information``, or another metric that
            measures a ``Dependency`` by sub-network and output.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or the metric was not measured.
    """
    measured = measured_by(subject, metric)
    networks, outputs = names_at(measured, 0), names_at(measured, 1)
    own = {key: found.own for key, found in measured.items()}
    gain = {key: found.gain for key, found in measured.items()}
    return Dependencies(
        networks,
        outputs,
        matrix_of(own, networks, outputs),
        matrix_of(gain, networks, outputs),
    )


def plot_dependency(
    subject: Diagnosed, ax: Axes | None = None, metric: str = "dependency"
) -> Figure:
    """Draw what each sub-network tells of each output, and in brackets what its providers do not.

    A bold number tells more than the providers. A cell is blank where the sub-network does not
    reach the output.

    Args:
        subject: As in ``dependency_data``.
        ax: Where to draw.
        metric: As in ``dependency_data``.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or the metric was not measured.

    References:
        Paper IV-B 4.
    """
    from matplotlib.colors import Normalize

    data = dependency_data(subject, metric)
    ax = panel(ax, max(3.4, 1.0 + 1.1 * len(data.outputs)), height_of(data.networks))
    cells = {}
    for place, own in np.ndenumerate(data.own):
        if np.isfinite(own):
            cells[place] = f"{number(own)} ({data.gain[place]:+.2f})"
    norm = Normalize(0, max(1.0, np.nanmax(data.own)), clip=True)
    draw_matrix(ax, data.networks, data.outputs, data.own, cells, norm, data.gain > 0)
    unit = DEPENDENCIES.get(metric, metric.replace("_", " "))
    ax.set(title=metric.replace("_", " "), ylabel="sub-network")
    ax.set_xlabel(f"{unit} (beyond its providers)\nblank: does not reach the output", fontsize=8)
    return figure_of((ax,))
