"""What a diagnosis measured: relevance, dependency, slopes of the losses; and the losses themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import EvaluationError
from ..genome import VALP, Evaluation
from ..genome.diagnosis import Diagnosis, Slope
from ..selection import Thresholds
from .style import (
    FAINT,
    INK,
    MARKERS,
    THRESHOLDS,
    AllThresholds,
    colours_of,
    grid,
    ink_on,
    legend_beside,
    number,
    panel,
    panels,
    thresholds_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Diagnosed = Diagnosis | Evaluation | VALP

STATES = {"steep": "#009E73", "moderate": "#0072B2", "stuck": "#D55E00"}


def _evaluation_of(subject: Evaluation | VALP) -> Evaluation:
    evaluation = subject if isinstance(subject, Evaluation) else subject.evaluation
    if evaluation is None:
        raise EvaluationError(
            "this plot needs an individual that was evaluated since it was last changed"
        )
    return evaluation


def _measured(subject: Diagnosed, metric: str, needed: bool = True) -> Mapping[Any, Any]:
    diagnosis = subject if isinstance(subject, Diagnosis) else _evaluation_of(subject).diagnosis
    measured = {} if diagnosis is None else diagnosis.measured
    if needed and not measured.get(metric):
        raise EvaluationError(
            f"this plot needs a diagnosis with the metric {metric}, got {list(measured)}"
        )
    return measured.get(metric, {})


# ---- relevance -----------------------------------------------------------------------------------


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
    """Relevance of sub-networks, and of inputs where it was measured, for outputs as a matrix.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or relevance was not measured.
    """
    networks = _measured(subject, "module_intervention")
    inputs = _measured(subject, "input_intervention", needed=False)
    measured = {**networks, **inputs}
    components = _names(networks, 0) + _names(inputs, 0)
    outputs = _names(measured, 1)
    limits = np.array([thresholds_of(thresholds, output).relevance for output in outputs])
    values = _matrix(measured, components, outputs)
    return Relevance(components, outputs, values, values > limits)


def _names(measured: Iterable[tuple[str, str]], position: int) -> tuple[str, ...]:
    return tuple(sorted({key[position] for key in measured}, key=lambda name: (len(name), name)))


def _matrix(
    measured: Mapping[Any, float], rows: Sequence[str], columns: Sequence[str]
) -> np.ndarray:
    return np.array([[measured.get((row, column), np.nan) for column in columns] for row in rows])


def plot_relevance(
    subject: Diagnosed, ax: Axes | None = None, thresholds: AllThresholds = THRESHOLDS
) -> Axes:
    """Draw the relevance of each sub-network, and input, for each output; blank where it does not reach the output.

    1: nothing is lost without it, 2: performance is halved. Bold: above the threshold.
    """
    data = relevance_data(subject, thresholds)
    ax = panel(ax, max(3.4, 1.0 + 0.8 * len(data.outputs)), _height(data.components))
    _draw_relevance(ax, data)
    return ax


def _height(rows: Sequence[str]) -> float:
    """Of a panel with a line for each row, in inches."""
    return max(2.0, 1.3 + 0.26 * len(rows))


def _draw_relevance(ax: Axes, data: Relevance) -> None:
    from matplotlib.colors import LogNorm

    cells = {
        place: number(value) for place, value in np.ndenumerate(data.values) if np.isfinite(value)
    }
    _draw_matrix(
        ax,
        data.components,
        data.outputs,
        data.values,
        cells,
        LogNorm(1, 10, clip=True),
        data.relevant,
    )
    ax.set(title="relevance (bold: relevant)", ylabel="component")
    ax.set_xlabel(
        "1: nothing lost without it, 2: performance halved\nblank: does not reach the output",
        fontsize=8,
    )


def _draw_matrix(
    ax: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    cells: Mapping[tuple[int, ...], str],
    norm: Any,
    bold: np.ndarray,
) -> None:
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(values), cmap="YlGnBu", norm=norm, edgecolors="white", linewidth=2
    )
    for (row, column), text in cells.items():
        weight = "bold" if bold[row, column] else "normal"
        style: dict[str, Any] = {
            "color": ink_on(mesh.to_rgba(values[row, column])[:3]),
            "fontweight": weight,
        }
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, **style)
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns)
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
    ax.set_ylim(len(rows), 0)
    ax.tick_params(length=0)


# ---- dependency ----------------------------------------------------------------------------------

DEPENDENCIES = {"dependency": "score of a linear probe", "mutual_information": "nats"}
"""The metrics of paper IV-B 4, and what they count in."""


@dataclass(frozen=True)
class Dependencies:
    """What ``plot_dependency`` draws.

    Attributes:
        networks: The rows.
        outputs: The columns.
        own: What a sub-network's result tells of an output; shape (sub-networks, outputs), NaN
            where it does not reach it.
        gain: What that is beyond its providers' results, of the same shape.
    """

    networks: tuple[str, ...]
    outputs: tuple[str, ...]
    own: np.ndarray
    gain: np.ndarray


def dependency_data(subject: Diagnosed, metric: str = "dependency") -> Dependencies:
    """What sub-networks tell of outputs as matrices.

    Args:
        subject: What was diagnosed.
        metric: ``dependency`` (the linear probe) or ``mutual_information``.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or the metric was not measured.
    """
    measured = _measured(subject, metric)
    networks, outputs = _names(measured, 0), _names(measured, 1)
    own = _matrix({key: found.own for key, found in measured.items()}, networks, outputs)
    gain = _matrix({key: found.gain for key, found in measured.items()}, networks, outputs)
    return Dependencies(networks, outputs, own, gain)


def plot_dependency(subject: Diagnosed, ax: Axes | None = None, metric: str = "dependency") -> Axes:
    """Draw what each sub-network tells of each output, and what that is more than its providers tell.

    Bold where it is more; blank where it does not reach the output.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or the metric was not measured.
    """
    from matplotlib.colors import Normalize

    data = dependency_data(subject, metric)
    ax = panel(ax, max(3.4, 1.0 + 1.1 * len(data.outputs)), _height(data.networks))
    known = {place: own for place, own in np.ndenumerate(data.own) if np.isfinite(own)}
    cells = {place: f"{number(own)} ({data.gain[place]:+.2f})" for place, own in known.items()}
    top = max(1.0, *known.values())
    _draw_matrix(
        ax,
        data.networks,
        data.outputs,
        data.own,
        cells,
        Normalize(0, top, clip=True),
        data.gain > 0,
    )
    ax.set(title=metric.replace("_", " "), ylabel="sub-network")
    ax.set_xlabel(
        f"{DEPENDENCIES[metric]} (beyond its providers)\nblank: does not reach the output",
        fontsize=8,
    )
    return ax


# ---- slopes --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Slopes:
    """What ``plot_slopes`` draws, each by output.

    Attributes:
        slopes: With their standard errors.
        states: ``stuck``, ``moderate`` or ``steep``.
        thresholds: What the states follow from.
    """

    slopes: Mapping[str, Slope]
    states: dict[str, str]
    thresholds: dict[str, Thresholds]


def slopes_data(subject: Diagnosed, thresholds: AllThresholds = THRESHOLDS) -> Slopes:
    """Slopes of the losses over the last training session, and what the thresholds make of them.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or slopes were not measured.
    """
    slopes = _measured(subject, "loss_slope")
    own = {output: thresholds_of(thresholds, output) for output in slopes}
    return Slopes(
        slopes, {output: own[output].state(slope) for output, slope in slopes.items()}, own
    )


def plot_slopes(
    subject: Diagnosed, ax: Axes | None = None, thresholds: AllThresholds = THRESHOLDS
) -> Axes:
    """Draw the slope of each output's loss beside the thresholds of ``steep`` and ``stuck``.

    The bar is the standard error times the thresholds' ``deviations`` (once, where they are None):
    a slope whose bar reaches 0 is stuck. The axis is logarithmic on both sides of 0, save close to
    it.
    """
    data = slopes_data(subject, thresholds)
    ax = panel(ax, 4.0, 1.3 + 0.45 * len(data.slopes), beside=1.6)
    _draw_slopes(ax, data)
    return ax


def _draw_slopes(ax: Axes, data: Slopes) -> None:
    markers = dict(zip(STATES, MARKERS, strict=False))
    for row, (output, (slope, error)) in enumerate(data.slopes.items()):
        limits, state = data.thresholds[output], data.states[output]
        bar = error * (1.0 if limits.deviations is None else limits.deviations)
        style: dict[str, Any] = {
            "fmt": markers[state],
            "color": STATES[state],
            "capsize": 3,
            "label": state,
        }
        ax.errorbar(slope, row, xerr=bar if np.isfinite(bar) else None, **style)
        ax.vlines(
            limits.steep, row - 0.5, row + 0.5, INK, "--", label=f"steep below {limits.steep:g}"
        )
        ax.vlines(
            limits.stuck, row - 0.5, row + 0.5, FAINT, "-", label=f"stuck above {limits.stuck:g}"
        )
    nearest = min(abs(limits.steep) for limits in data.thresholds.values())
    ax.set_xscale("symlog", linthresh=nearest / 2 or 1e-5)
    ax.set_yticks(range(len(data.slopes)), list(data.slopes))
    ax.set_ylim(len(data.slopes) - 0.5, -0.5)
    deviations = {
        1.0 if limits.deviations is None else limits.deviations
        for limits in data.thresholds.values()
    }
    errors = (
        f"{deviations.pop():g} standard errors"
        if len(deviations) == 1
        else "deviations x standard errors"
    )
    ax.set(title="slope of the loss", xlabel=f"per batch, ± {errors}")
    legend_beside(ax)


# ---- all of them, and the losses -----------------------------------------------------------------


def plot_diagnosis(
    subject: Diagnosed, axes: Sequence[Axes] | None = None, thresholds: AllThresholds = THRESHOLDS
) -> tuple[Axes, ...]:
    """Draw all that was measured side by side: relevance, slopes, and dependency and mutual information if they were.

    As ``plot_relevance``, ``plot_slopes`` and ``plot_dependency`` do.

    Raises:
        EvaluationError: There is no diagnosis of this subject, or it lacks relevance or slopes.
    """
    components = relevance_data(subject, thresholds).components
    further = [metric for metric in DEPENDENCIES if _measured(subject, metric, needed=False)]
    axes = panels(axes, 2 + len(further), 4.0, beside=1.6, height=max(2.6, _height(components)))
    plot_relevance(subject, axes[0], thresholds)
    plot_slopes(subject, axes[1], thresholds)
    for ax, metric in zip(axes[2:], further, strict=True):
        plot_dependency(subject, ax, metric)
    return axes


def losses_data(
    subject: Evaluation | VALP, window: int | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """By output, numbers of batches and the mean loss of the ``window`` batches around each; by default a 20th of all.

    Raises:
        EvaluationError: The individual was not evaluated since it was last changed, or its
            evaluation failed.
    """
    evaluation = _evaluation_of(subject)
    if not evaluation.history:
        raise EvaluationError(
            f"this plot needs training losses, got an evaluation of status {evaluation.status!r}"
        )
    smoothed = {}
    for output, losses in evaluation.history.items():
        width = min(window or max(1, len(losses) // 20), len(losses))
        means = np.convolve(losses.astype(np.float64), np.full(width, 1 / width), mode="valid")
        smoothed[output] = 1 + np.arange(len(means)) + (width - 1) / 2, means
    return smoothed


def plot_losses(
    subject: Evaluation | VALP, ax: Axes | None = None, window: int | None = None
) -> Axes:
    """Draw the training losses of the last session, smoothed over ``window`` batches.

    With the default ``normalize=True`` of a problem, 1 is the loss of the best constant prediction.
    """
    data = losses_data(subject, window)
    ax = panel(ax, 4.2, 3.0, beside=1.1)
    for (output, (batches, losses)), colour in zip(
        data.items(), colours_of(data).values(), strict=True
    ):
        ax.plot(batches, losses, color=colour, label=output)
    if min(losses.min() for _, losses in data.values()) > 0:
        ax.set_yscale("log")
    ax.set(xlabel="batch of the last training session", ylabel="training loss, smoothed")
    grid(ax)
    legend_beside(ax)
    return ax
