"""From the user's arrays and frames to checked numbers in training units, and to class indices."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ProblemError
from .splits import SPLITS, Rows


@dataclass(frozen=True)
class Encoding:
    """How one port's array or frame becomes a matrix of numbers.

    Attributes:
        shape: of one example of an array.
        image: three or more dimensions, or bytes.
        columns: of a frame, each with its categories (None for a column of numbers); empty for an
            array.
    """

    shape: tuple[int, ...]
    image: bool = False
    columns: tuple[tuple[Hashable, tuple[Hashable, ...] | None], ...] = ()

    @classmethod
    def of(cls, port: str, data: Any, training: slice | np.ndarray) -> Encoding:
        """The encoding of a port, its categories those of the training rows."""
        if is_frame(data):
            frame = _frame(port, data)
            columns = tuple(
                (name, _categories(port, frame[name], training)) for name in frame.columns
            )
            return cls((len(columns),), columns=columns)
        array = _array(port, data)
        return cls(array.shape[1:], image=array.ndim >= 3 or array.dtype == np.uint8)

    def matrix(self, port: str, data: Any) -> np.ndarray:
        """The rows of an array or a frame as finite numbers, ``(examples, width)``; a view where that is possible.

        A category that training did not see becomes zeros in all its columns.
        """
        if self.columns and is_frame(data):
            matrix = self._frame_matrix(port, _frame(port, data))
        elif any(categories is not None for _, categories in self.columns):
            names = [name for name, _ in self.columns]
            raise ProblemError(
                f"port {port!r} needs a frame with the columns {names}, got {type(data).__name__}"
            )
        else:
            matrix = self._array_matrix(port, _array(port, data))
        refuse_infinite(port, matrix)
        return matrix

    def _frame_matrix(self, port: str, frame: Any) -> np.ndarray:
        missing = [name for name, _ in self.columns if name not in frame.columns]
        if missing:
            raise ProblemError(
                f"port {port!r} needs the columns {missing}, got a frame of {list(frame.columns)}"
            )
        return np.concatenate(
            [_column(port, frame[name], categories) for name, categories in self.columns], axis=1
        )

    def _array_matrix(self, port: str, array: np.ndarray) -> np.ndarray:
        width = int(np.prod(self.shape))
        if array.shape[1:] not in (self.shape, (width,)):
            raise ProblemError(
                f"port {port!r} needs examples of shape {self.shape}, got {array.shape[1:]}"
            )
        return array.reshape(len(array), width)


@dataclass(frozen=True)
class Standard:
    """Shift and spread that take a port's numbers to training units: ``(x - shift) / spread``."""

    shift: tuple[float, ...] = (0.0,)
    spread: tuple[float, ...] = (1.0,)

    @classmethod
    def of(cls, training: np.ndarray) -> Standard:
        """Mean and standard deviation of each column; a constant column keeps spread 1."""
        shift, spread = training.mean(0, dtype=np.float64), training.std(0, dtype=np.float64)
        # Compared value by value: the deviation of a constant column need not come out as exactly
        # 0.
        constant = (training == training[0]).all(0) | (spread < np.finfo(np.float32).tiny)
        spread[constant] = 1.0
        return cls(tuple(shift.tolist()), tuple(spread.tolist()))

    def apply(self, rows: np.ndarray) -> Tensor:
        """Rows in training units, float32; a view where nothing changes."""
        exact: Any = (
            np.float32 if rows.dtype in (np.float16, np.uint8, np.bool_, np.float32) else np.float64
        )
        numbers = rows.astype(exact, copy=False)
        if self != Standard():
            numbers = (numbers - np.array(self.shift, exact)) / np.array(self.spread, exact)
        with warnings.catch_warnings():
            # A file mapped read-only stays shared between processes; nobody writes to the tensors
            # of a split.
            warnings.filterwarnings("ignore", "The given NumPy array is not writable")
            return torch.from_numpy(np.ascontiguousarray(numbers, dtype=np.float32))


def standard_of(image: bool, wish: bool | None, training: np.ndarray) -> Standard:
    """The units a port trains in: bytes become fractions of 255, other images stay, the rest is standardised.

    Args:
        wish: True standardises images as well, False nothing, None is the rule above.
    """
    if wish or (wish is None and not image):
        return Standard.of(training)
    return Standard(spread=(255.0,)) if training.dtype == np.uint8 else Standard()


def training_units(
    matrix: np.ndarray, image: bool, wish: bool | None, rows: Rows
) -> tuple[Standard, dict[str, Tensor]]:
    """How a port is standardised, and its rows of each split in training units."""
    training = matrix[rows["train"]]
    standard = standard_of(image, wish, training)
    return standard, {
        name: standard.apply(training if name == "train" else matrix[rows[name]]) for name in SPLITS
    }


def refuse_infinite(port: str, matrix: np.ndarray) -> None:
    """Raise where a number is NaN, infinite or too large for float32, naming the first row."""
    largest = np.finfo(np.float32).max
    for start in range(
        0, len(matrix), 1024
    ):  # in pieces, so that the masks stay in the cache of the CPU
        piece = matrix[start : start + 1024]
        # NaN fails every comparison, so one test finds NaN, infinities and what float32 cannot
        # hold.
        good = np.abs(piece) <= largest if piece.dtype.itemsize > 4 else np.isfinite(piece)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            raise ProblemError(
                f"port {port!r} needs finite numbers that fit float32, got {piece[row, column]} in row {start + row}, "
                f"column {column}"
            )


def is_frame(data: Any) -> bool:
    """Whether this is a pandas Series or DataFrame; nobody can hold one without pandas having been imported."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, (pandas.Series, pandas.DataFrame))


def length_of(port: str, data: Any) -> int:
    """How many examples an array or frame holds."""
    return len(data) if is_frame(data) else len(_array(port, data, kinds=None))


def _array(port: str, data: Any, kinds: str | None = "buif") -> np.ndarray:
    if isinstance(data, Tensor):
        tensor = data.detach().cpu()
        array = (tensor.float() if tensor.dtype is torch.bfloat16 else tensor).numpy()
    else:
        try:
            array = np.asarray(data)
        except ValueError as error:
            raise ProblemError(
                f"port {port!r} needs an array, got something ragged: {error}"
            ) from error
    if array.ndim == 0 or array.size == 0:
        raise ProblemError(
            f"port {port!r} needs an array of examples, got {type(data).__name__} {array.shape}"
        )
    if kinds and array.dtype.kind not in kinds:
        raise ProblemError(
            f"port {port!r} needs numbers, or a frame with columns of categories, got {array.dtype}"
        )
    return array[:, None] if array.ndim == 1 else array


def _frame(port: str, data: Any) -> Any:
    frame = data.to_frame() if data.ndim == 1 else data
    if frame.size == 0:
        raise ProblemError(
            f"port {port!r} needs a frame with rows and columns, got shape {frame.shape}"
        )
    if not frame.columns.is_unique:
        raise ProblemError(
            f"port {port!r} needs column names that differ, got {list(frame.columns)}"
        )
    return frame


def _categories(
    port: str, series: Any, training: slice | np.ndarray
) -> tuple[Hashable, ...] | None:
    from pandas.api import types

    if types.is_bool_dtype(series.dtype) or types.is_numeric_dtype(series.dtype):
        if types.is_complex_dtype(series.dtype):
            raise ProblemError(
                f"port {port!r} needs real numbers, got {series.dtype} in column {series.name!r}"
            )
        return None
    categorical = hasattr(series, "cat")
    if not (
        categorical or types.is_object_dtype(series.dtype) or types.is_string_dtype(series.dtype)
    ):
        raise ProblemError(
            f"port {port!r} needs columns of numbers, booleans, strings or categories, got {series.dtype} in column "
            f"{series.name!r}"
        )
    seen = series.iloc[training].dropna()
    try:
        found = in_order(seen.tolist())
    except TypeError as error:
        raise ProblemError(
            f"port {port!r} needs hashable categories in column {series.name!r}: {error}"
        ) from error
    return tuple(name for name in series.cat.categories if name in found) if categorical else found


def _column(port: str, series: Any, categories: tuple[Hashable, ...] | None) -> np.ndarray:
    """One column of a frame as numbers, ``(examples, 1)``, or one-hot, ``(examples, categories)``."""
    missing = np.flatnonzero(series.isna())
    if len(missing):
        raise ProblemError(
            f"port {port!r} needs every value, got none in row {missing[0]}, column {series.name!r}"
        )
    if categories is None:
        try:
            return series.to_numpy(dtype=np.float64)[:, None]
        except (TypeError, ValueError) as error:
            raise ProblemError(
                f"port {port!r} needs numbers in column {series.name!r}: {error}"
            ) from error
    index = {category: number for number, category in enumerate(categories)}
    codes = np.array([index.get(value, -1) for value in series.tolist()])
    return (codes[:, None] == np.arange(len(categories))).astype(np.float32)


# --- Labels ---------------------------------------------------------------------------------------


def in_order(labels: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """The different labels, sorted where they can be compared, else in order of appearance."""
    different = list(dict.fromkeys(labels))
    try:
        return tuple(sorted(different))  # type: ignore[type-var]
    except TypeError:
        return tuple(different)


def class_indices(
    port: str, data: Any, rows: Rows
) -> tuple[tuple[Hashable, ...], dict[str, Tensor]]:
    """The classes of the training split, and for each split the index of every example's class."""
    labels = _labels(port, data)
    chosen = {name: labels[rows[name]].tolist() for name in SPLITS}
    try:
        classes = in_order(chosen["train"])
    except TypeError as error:
        raise ProblemError(f"port {port!r} needs hashable labels: {error}") from error
    if len(classes) < 2:
        raise ProblemError(
            f"port {port!r} needs at least two classes in the training split, got only {classes[0]!r}"
        )
    index = {label: number for number, label in enumerate(classes)}
    for name in SPLITS[1:]:
        unseen = [label for label in chosen[name] if label not in index]
        if unseen:
            raise ProblemError(
                f"port {port!r} needs every label of split {name!r} among the classes of the training split "
                f"({_shortened(classes)}), got {unseen[0]!r}"
            )
    return classes, {
        name: torch.tensor([index[label] for label in chosen[name]]) for name in SPLITS
    }


def _labels(port: str, data: Any) -> np.ndarray:
    """One label per example, as an array of Python objects."""
    if is_frame(data):
        frame = _frame(port, data)
        shape, values = (
            frame.shape,
            frame.astype(object).where(frame.notna(), None).to_numpy(dtype=object),
        )
    else:
        array = _array(port, data, kinds=None)
        if array.dtype.kind not in "biufUSO":
            raise ProblemError(
                f"port {port!r} needs labels that are numbers, strings or objects, got {array.dtype}"
            )
        shape, values = array.shape, array.astype(object)
    if len(shape) != 2 or shape[1] != 1:
        raise ProblemError(
            f"port {port!r} needs one label per example, got shape {shape} (one-hot? pass argmax(1))"
        )
    labels = values[:, 0]
    for row, label in enumerate(labels):
        if label is None or (isinstance(label, (float, np.floating)) and label != label):
            raise ProblemError(
                f"port {port!r} needs a label for every example, got {label} in row {row}"
            )
    return labels


def _shortened(classes: Sequence[Hashable]) -> str:
    return ", ".join(map(repr, classes[:10])) + (", ..." if len(classes) > 10 else "")
