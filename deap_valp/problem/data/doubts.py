"""What is odd about the columns of a user's data, in words for the log."""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
from torch import Tensor

from ...text import listed
from .arrays import Encoding, is_frame

FEWEST = 10
"""Fewer categories than this are never too many."""

LOOKED_AT = 1000
"""The number of rows, evenly spaced, in which a column is compared with a target."""


def of_columns(frame: Any, encoding: Encoding, training: slice | np.ndarray) -> Iterator[str]:
    """Yield what is odd about the columns of categories of a frame, in its training rows.

    Numbers may have been read as text, or the values may name the rows. A column whose type is
    ``category`` is taken for one.
    """
    for name, categories in encoding.columns:
        if categories is None:
            continue
        column = frame if frame.ndim == 1 else frame[name]
        seen = column.iloc[training].dropna().tolist()
        odd = [value for value in seen if not _is_number(value)]
        if 2 * len(odd) < len(seen) and not hasattr(column, "cat"):
            share = _percent(1 - len(odd) / len(seen))
            yield (
                f"takes column {name!r} for text, though {share} of its values are numbers"
                f"{_but(list(dict.fromkeys(odd)))}: it becomes {len(categories)} categories. "
                "pandas.to_numeric(column, errors='coerce') makes numbers and missing values of "
                "it, read_csv(decimal=',') reads decimal commas, and astype('category') says that "
                "it has categories"
            )
        elif len(categories) >= FEWEST and 2 * len(categories) > len(seen):
            yield (
                f"has {len(categories)} categories in {len(seen)} training rows of column {name!r}"
                ": does it name the rows? Then leave it out"
            )


def _is_number(value: Any) -> bool:
    """Return whether a value is a number, or text that is one with a point or a comma."""
    if isinstance(value, (bool, np.bool_)):
        return False
    try:
        float(value.replace(",", ".") if isinstance(value, str) else value)
    except (TypeError, ValueError):
        return False
    return True


def of_unseen(data: Any, encoding: Encoding, matrix: np.ndarray) -> Iterator[str]:
    """Yield which columns of a frame have categories that training did not have.

    Args:
        data: The frame.
        encoding: That of the training rows.
        matrix: What the encoding made of the frame.
    """
    for name, start, count in encoding.places(matrix.shape[1]):
        if count is None:
            continue
        unseen = np.flatnonzero((matrix[:, start : start + count] == 0).all(1))
        if len(unseen):
            column = data if data.ndim == 1 else data[name]
            known = dict(encoding.columns)[name] or ()
            example = column.iloc[unseen[:1]].tolist()[0]
            yield (
                f"has values in column {name!r} that training never had, in "
                f"{_percent(len(unseen) / len(data))} of the rows: {example!r} is "
                f"none of {listed(known)}"
            )


def of_target(values: Any, target: Any, missing: np.ndarray) -> list[Hashable]:
    """Return which columns of an input are the same as a column of a target.

    Args:
        values: The input, an array or a frame of one dimension or two.
        target: The target of each example.
        missing: Of which examples there is none.
    """
    rows = np.flatnonzero(~missing)
    rows = rows[:: max(1, len(rows) // LOOKED_AT)]
    wanted = {column for _, column in _columns(target, rows) if len(set(column)) > 1}
    return [name for name, column in _columns(values, rows) if column in wanted]


def _columns(data: Any, rows: np.ndarray) -> Iterator[tuple[Hashable, tuple[Any, ...]]]:
    """Yield name and values of each column in some rows."""
    if is_frame(data):
        frame = data.to_frame() if data.ndim == 1 else data
        for name in frame.columns:
            yield name, tuple(frame[name].iloc[rows].tolist())
        return
    array = np.asarray(data.detach().cpu() if isinstance(data, Tensor) else data)
    for number, column in enumerate(array.reshape(len(array), -1)[rows].T):
        yield number, tuple(column.tolist())


def _but(odd: list[Any]) -> str:
    return f", all but {listed(odd)}" if odd else ""


def _percent(share: float) -> str:
    """Return a share in words, which is never 100 % by rounding."""
    if share == 1:
        return "100 %"
    return f"{min(99, max(1, round(100 * share)))} %"
