"""The training losses of an individual, over one session or several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ..arguments import need_many, need_whole
from ..errors import EvaluationError
from ..genome import VALP, Evaluation
from .matrix import evaluation_of
from .style import FAINT, colours_of, figure_of, grid_below, legend_beside, panel

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Trained = Evaluation | VALP


def losses_data(
    subject: Trained | Sequence[Trained], window: int | None = None
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return by output numbers of batches, and the mean loss of the ``window`` batches around each.

    Batches count through all sessions; NaN stands where a session ends and another follows.

    Args:
        subject: An individual or an evaluation, whose last session is meant; or a sequence of them,
            one for each session, as the way to the best of a search in its order.
        window: Number of batches that a mean is taken over; by default a 20th of the session. No
            mean reaches over the end of a session.

    Raises:
        EvaluationError: An individual was not evaluated since it was last changed, an evaluation
            failed, or the sequence is empty.
    """
    # An Evaluation is a tuple of numbers, so it must be told from a sequence of sessions.
    sessions: list[Any] = [subject]
    if not isinstance(subject, Evaluation | VALP):
        sessions = need_many(subject, "this plot", "an individual, an evaluation or several")
    if window is not None:
        need_whole(window, 1, "this plot", "window")
    if not sessions:
        raise EvaluationError("this plot needs an individual or a sequence of them, got none")
    parts: dict[str, list[tuple[np.ndarray, np.ndarray]]] = {}
    end = 0
    for session in sessions:
        history = _history_of(session)
        for output, losses in history.items():
            batches, means = _smoothed(losses, window)
            before = parts.setdefault(output, [])
            if before:
                before.append((np.array([end + 0.5]), np.array([np.nan])))
            before.append((end + batches, means))
        end += max(len(losses) for losses in history.values())
    joined = {}
    for output, pieces in parts.items():
        batches, means = (np.concatenate(arrays) for arrays in zip(*pieces, strict=True))
        joined[output] = batches, means
    return joined


def _history_of(session: Trained) -> Mapping[str, np.ndarray]:
    evaluation = evaluation_of(session)
    if not evaluation.history:
        raise EvaluationError(
            f"this plot needs training losses, got an evaluation of status {evaluation.status!r}"
        )
    return evaluation.history


def _smoothed(losses: np.ndarray, window: int | None) -> tuple[np.ndarray, np.ndarray]:
    width = min(window or max(1, len(losses) // 20), len(losses))
    means = np.convolve(losses.astype(np.float64), np.full(width, 1 / width), mode="valid")
    return 1 + np.arange(len(means)) + (width - 1) / 2, means


def plot_losses(
    subject: Trained | Sequence[Trained], ax: Axes | None = None, window: int | None = None
) -> Figure:
    """Draw the training loss of each output, smoothed, with a line between two sessions.

    With the default ``normalize=True`` of a problem, 1 is the loss of the best constant prediction.

    Args:
        subject: As in ``losses_data``.
        ax: Where to draw.
        window: As in ``losses_data``.

    Raises:
        EvaluationError: An individual was not evaluated since it was last changed, or an evaluation
            failed.
    """
    data = losses_data(subject, window)
    ends = np.concatenate([batches[np.isnan(losses)] for batches, losses in data.values()])
    ax = panel(ax, 6.4 if len(ends) else 4.2, 3.0, beside=1.1)
    for output, colour in colours_of(data).items():
        ax.plot(*data[output], color=colour, label=output)
    for end in np.unique(ends):
        ax.axvline(end, color=FAINT, linewidth=0.6, zorder=0)
    if min(np.nanmin(losses) for _, losses in data.values()) > 0:
        ax.set_yscale("log")
    where = "batch of all sessions" if len(ends) else "batch of the last training session"
    ax.set(xlabel=where, ylabel="training loss, smoothed")
    grid_below(ax)
    legend_beside(ax)
    return figure_of((ax,))
