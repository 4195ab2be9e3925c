"""Whether the loss of each output still falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..genome.diagnosis import Slope
from ..selection import Thresholds
from .matrix import Diagnosed, measured_by
from .style import (
    FAINT,
    INK,
    MARKERS,
    THRESHOLDS,
    AllThresholds,
    figure_of,
    legend_beside,
    panel,
    thresholds_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

STATES = {"steep": "#009E73", "moderate": "#0072B2", "stuck": "#D55E00"}


@dataclass(frozen=True)
class Slopes:
    """What ``plot_slopes`` draws, by output.

    Attributes:
        slopes: Slope of the loss with its standard error, both per batch.
        states: ``stuck``, ``moderate`` or ``steep``.
        thresholds: The thresholds that give the states.
    """

    slopes: Mapping[str, Slope]
    states: dict[str, str]
    thresholds: dict[str, Thresholds]


def slopes_data(subject: Diagnosed, thresholds: AllThresholds = THRESHOLDS) -> Slopes:
    """Return slopes of the losses over the last training session, and the state of each.

    Args:
        subject: A diagnosis, or an evaluation or individual that has one.
        thresholds: They give the states; one for all outputs, or by output.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or slopes were not measured.
    """
    slopes = measured_by(subject, "loss_slope")
    own = {output: thresholds_of(thresholds, output) for output in slopes}
    states = {output: own[output].state(slope) for output, slope in slopes.items()}
    return Slopes(slopes, states, own)


def plot_slopes(
    subject: Diagnosed, ax: Axes | None = None, thresholds: AllThresholds = THRESHOLDS
) -> Figure:
    """Draw the slope of each output's loss beside the thresholds of ``steep`` and ``stuck``.

    The bar is the standard error times the thresholds' ``deviations`` (once, where they are None):
    a slope whose bar reaches 0 is stuck. The axis is logarithmic on both sides of 0, and linear
    close to it.

    Args:
        subject: As in ``slopes_data``.
        ax: Where to draw.
        thresholds: As in ``slopes_data``.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or slopes were not measured.

    References:
        Paper IV-B, historic sub-loss.
    """
    from matplotlib.ticker import SymmetricalLogLocator

    data = slopes_data(subject, thresholds)
    ax = panel(ax, 4.0, 1.3 + 0.45 * len(data.slopes), beside=1.6)
    for row, output in enumerate(data.slopes):
        _draw_slope(ax, data, row, output)
    nearest = min(abs(limits.steep) for limits in data.thresholds.values()) / 2 or 1e-5
    ax.set_xscale("symlog", linthresh=nearest)
    locator = SymmetricalLogLocator(base=10, linthresh=nearest)
    locator.set_params(numticks=6)  # more labels run into each other
    ax.xaxis.set_major_locator(locator)
    ax.set_yticks(range(len(data.slopes)), list(data.slopes))
    ax.set_ylim(len(data.slopes) - 0.5, -0.5)
    ax.set(title="slope of the loss", xlabel=f"per batch, ± {_bar_text(data)}")
    legend_beside(ax)
    return figure_of((ax,))


def _draw_slope(ax: Axes, data: Slopes, row: int, output: str) -> None:
    limits, state = data.thresholds[output], data.states[output]
    slope, error = data.slopes[output]
    bar = error * _deviations(limits)
    marker = dict(zip(STATES, MARKERS, strict=False))[state]
    style: dict[str, Any] = {"fmt": marker, "color": STATES[state], "capsize": 3}
    ax.errorbar(slope, row, xerr=bar if np.isfinite(bar) else None, label=state, **style)
    ends = row - 0.5, row + 0.5
    ax.vlines(limits.steep, *ends, INK, "--", label=f"steep below {limits.steep:g}")
    ax.vlines(limits.stuck, *ends, FAINT, "-", label=f"stuck above {limits.stuck:g}")


def _deviations(limits: Thresholds) -> float:
    if limits.deviations is None:
        return 1.0
    return limits.deviations


def _bar_text(data: Slopes) -> str:
    different = {_deviations(limits) for limits in data.thresholds.values()}
    if len(different) > 1:
        return "deviations x standard errors"
    return f"{different.pop():g} standard errors"
