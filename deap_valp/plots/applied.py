"""How an operator looks, and points that operators made: the same in every plot of a search."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..variation.operators import operators
from .style import FAINT, INK, colours_of, markers_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes

START, UNCHANGED = "start", "no change"
_MANY = 200  # candidates; more are drawn smaller
_NO_OPERATOR = {
    START: {"color": INK, "marker": "o"},
    UNCHANGED: {"color": FAINT, "marker": "P"},
}


def looks_of(applied: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return colour and marker by operator, the same in every plot; no two share a colour.

    Operators that are not registered, as in an archive from elsewhere, follow the registered ones.
    """
    wanted = list(dict.fromkeys(applied))
    names = dict.fromkeys([*operators(), *(name for name in wanted if name not in _NO_OPERATOR)])
    colour, marker = colours_of(names), markers_of(names)
    looks = {name: {"color": colour[name], "marker": marker[name]} for name in names}
    looks.update(_NO_OPERATOR)
    return {name: looks[name] for name in wanted}


def draw_applied(
    ax: Axes, x: np.ndarray, y: np.ndarray, applied: Iterable[str], accepted: np.ndarray
) -> None:
    """Draw a point for each candidate in the look of its operator; those not accepted are hollow.

    Args:
        ax: Where to draw.
        x: Shape (candidates,).
        y: Shape (candidates,).
        applied: The operator that made each, ``START`` or ``UNCHANGED``.
        accepted: Whether each was accepted, shape (candidates,).
    """
    made_by = np.array(list(applied))
    size = 6 if len(made_by) <= _MANY else 4
    hollow: dict[str, Any] = {"markerfacecolor": "white", "markersize": size - 2}
    for name, look in looks_of(made_by.tolist()).items():
        for style, shown in (
            ({"markersize": size, "zorder": 3}, (made_by == name) & accepted),
            ({**hollow, "zorder": 2}, (made_by == name) & ~accepted),
        ):
            if shown.any():
                ax.plot(x[shown], y[shown], linestyle="", label=name, **look, **style)
    if not accepted.all():
        ax.plot([], [], "o", color=FAINT, label="hollow: not accepted", **hollow)
