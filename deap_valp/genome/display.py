"""How a notebook shows a VALP.

The picture is made in the room ``plots``, which stands above this one and registers it here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Painter = Callable[[Any], str]

_PAINTERS: list[Painter] = []


def painter(function: Painter) -> Painter:
    """Register what makes a picture of an individual, in SVG. The last one registered is used."""
    _PAINTERS.append(function)
    return function


def painted(individual: Any) -> str | None:
    """Return the picture of an individual in SVG; None where nothing makes one."""
    if not _PAINTERS:
        return None
    return _PAINTERS[-1](individual)
