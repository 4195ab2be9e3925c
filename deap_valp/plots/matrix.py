"""Measurements by component and output: read from a diagnosis, drawn as a matrix."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import need_type
from ..errors import EvaluationError
from ..genome import VALP, Evaluation
from ..genome.diagnosis import Diagnosis
from .style import ink_on, weight_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Diagnosed = Diagnosis | Evaluation | VALP


def evaluation_of(subject: Evaluation | VALP) -> Evaluation:
    """Return the evaluation of an individual, or the evaluation itself.

    Raises:
        EvaluationError: The individual was not evaluated since it was last changed.
    """
    if isinstance(subject, Evaluation):
        return subject
    need_type(subject, VALP, "this plot", "an individual, an evaluation or a diagnosis")
    evaluation = subject.evaluation
    if evaluation is None:
        raise EvaluationError(
            "this plot needs an individual that was evaluated since it was last changed"
        )
    return evaluation


def all_measured_by(subject: Diagnosed) -> Mapping[str, Mapping[Any, Any]]:
    """Return by metric what a diagnosis measured; nothing where there is no diagnosis.

    Raises:
        EvaluationError: The individual was not evaluated since it was last changed.
    """
    if isinstance(subject, Diagnosis):
        return subject.measured
    diagnosis = evaluation_of(subject).diagnosis
    return {} if diagnosis is None else diagnosis.measured


def measured_by(subject: Diagnosed, metric: str, needed: bool = True) -> Mapping[Any, Any]:
    """Return what a metric measured; nothing where it did not, unless that is needed.

    Raises:
        EvaluationError: There is no evaluation of the subject, or the metric was not measured.
    """
    measured = all_measured_by(subject)
    if needed and not measured.get(metric):
        raise EvaluationError(
            f"this plot needs a diagnosis with the metric {metric}, got {list(measured)}"
        )
    return measured.get(metric, {})


def names_at(measured: Iterable[tuple[str, str]], position: int) -> tuple[str, ...]:
    """Return the names at a position of the keys, n2 before n10."""
    return tuple(sorted({key[position] for key in measured}, key=lambda name: (len(name), name)))


def matrix_of(
    measured: Mapping[Any, float], rows: Sequence[str], columns: Sequence[str]
) -> np.ndarray:
    """Return measurements by pair as an array (rows, columns); NaN where there is none."""
    values = np.full((len(rows), len(columns)), np.nan)
    for row, column in np.ndindex(values.shape):
        values[row, column] = measured.get((rows[row], columns[column]), np.nan)
    return values


def height_of(rows: Sequence[str]) -> float:
    """Return the height in inches of a panel with a line for each row."""
    return max(2.0, 1.3 + 0.26 * len(rows))


def draw_matrix(
    ax: Axes,
    rows: Sequence[str],
    columns: Sequence[str],
    values: np.ndarray,
    cells: Mapping[tuple[int, ...], str],
    norm: Any,
    bold: np.ndarray,
    cmap: str = "YlGnBu",
) -> None:
    """Draw a coloured matrix with a text in each cell.

    Args:
        ax: Where to draw.
        rows: Their names, the first at the top.
        columns: Their names.
        values: Shape (rows, columns); a cell of NaN stays blank.
        cells: Text by (row, column).
        norm: matplotlib's norm, from values to colours.
        bold: Whether the text of a cell is bold, shape (rows, columns).
        cmap: Name of matplotlib's colour map.
    """
    mesh = ax.pcolormesh(
        np.ma.masked_invalid(values), cmap=cmap, norm=norm, edgecolors="white", linewidth=2
    )
    for (row, column), text in cells.items():
        style: dict[str, Any] = {
            "color": ink_on(mesh.to_rgba(values[row, column])[:3]),
            "fontweight": weight_of(bold[row, column]),
        }
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8, **style)
    ax.set_xticks(np.arange(len(columns)) + 0.5, columns)
    ax.set_yticks(np.arange(len(rows)) + 0.5, rows)
    ax.set_ylim(len(rows), 0)
    ax.tick_params(length=0)
