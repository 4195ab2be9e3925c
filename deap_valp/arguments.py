"""Checks of arguments that several rooms share: their errors read the same everywhere.

An error says who needs which argument as what, and what it got.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from typing import Any

from .errors import ValpError

_LONGEST = 60  # characters of a value in an error; of longer ones the type is named


def got(value: Any) -> str:
    """Return how an error names a wrong argument: a short plain value, or its type."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if hasattr(value, "best") and hasattr(value, "archive"):
        return (
            f"{type(value).__name__}, whose .best is an individual and .archive a list of entries"
        )
    plain = value is None or isinstance(value, bool | int | float | str | tuple)
    if plain and len(repr(value)) <= _LONGEST:
        return repr(value)
    return type(value).__name__


def need_type(
    value: Any,
    kind: type | tuple[type, ...],
    who: str,
    wanted: str,
    error: type[ValpError] = ValpError,
) -> None:
    """Raise unless a value is an instance of a type.

    Args:
        value: The argument.
        kind: The type, or several of them.
        who: The public function.
        wanted: The argument, and what it has to be: ``"problem as a Problem"``.
        error: The exception to raise.
    """
    if not isinstance(value, kind):
        raise error(f"{who} needs {wanted}, got {got(value)}")


def need_whole(
    value: Any, least: int, who: str, name: str, error: type[ValpError] = ValpError
) -> None:
    """Raise unless a value is a whole number from ``least`` on."""
    if not is_whole(value) or value < least:
        raise error(f"{who} needs {name} as a whole number from {least} on, got {got(value)}")


def need_many(value: Any, who: str, wanted: str, error: type[ValpError] = ValpError) -> list[Any]:
    """Return the members of an argument as a list. Raise if it has none to give, or is a text."""
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise error(f"{who} needs {wanted}, got {got(value)}")
    return list(value)


def need_path(value: Any, who: str, error: type[ValpError] = ValpError) -> None:
    """Raise unless a value is the path of a file, as ``open`` takes it."""
    need_type(value, (str, os.PathLike), who, "path as a path of a file", error)


def need_folder(path: Any, who: str) -> None:
    """Raise ``FileNotFoundError`` unless the folder of a file that is to be written is there."""
    folder = Path(path).parent
    if not folder.is_dir():
        raise FileNotFoundError(f"{who} needs a folder that exists, got a path in {str(folder)!r}")


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number. True and False are not; those of numpy are."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """Return whether a value is a real number, such as a Python or numpy float."""
    if isinstance(value, str | bytes | bool | complex):
        return False
    try:
        float(value)
    except (TypeError, ValueError):
        return False
    return True
