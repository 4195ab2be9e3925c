"""From the user's arrays and frames to checked numbers in training units, and to class indices.

Columns are standardised and encoded here and not by scikit-learn: its import costs every worker
0.8 s and 70 MB where an evaluation may take a second, it does the same arithmetic no faster, its
scaler overflows on columns whose deviation float32 cannot hold, and its encoders refuse labels that
cannot be compared with each other.
"""

from __future__ import annotations

import math
import sys
import warnings
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ProblemError
from ...text import listed
from .splits import SPLITS, Rows


@dataclass(frozen=True)
class Encoding:
    """How one port's array or frame becomes a matrix of numbers.

    Attributes:
        shape: Shape of one example; empty where an example is one number.
        columns: Name and categories of each column of a frame; None for the categories of a column
            of numbers. Empty for an array.
        holes: Whether values may be missing.
    """

    shape: tuple[int, ...]
    columns: tuple[tuple[Hashable, tuple[Hashable, ...] | None], ...] = ()
    holes: bool = True

    @classmethod
    def of(cls, port: str, data: Any, training: slice | np.ndarray, holes: bool = True) -> Encoding:
        """Return the encoding of a port; its categories are those of the training rows."""
        if is_frame(data):
            frame = _frame(port, data)
            columns = tuple(
                (name, _categories(port, frame[name], training)) for name in frame.columns
            )
            return cls(() if data.ndim == 1 else (len(columns),), columns, holes)
        return cls(shape_of(port, data)[1:], holes=holes)

    @property
    def categorical(self) -> bool:
        """Whether any column is one of categories."""
        return any(categories is not None for _, categories in self.columns)

    def matrix(self, port: str, data: Any) -> np.ndarray:
        """Return the rows of an array or a frame as finite numbers, ``(examples, width)``.

        It is a view of the array where that is possible. A category that training did not see
        becomes zeros in all its columns. What is missing is NaN, a missing category in all its
        columns.

        Raises:
            ProblemError: The data has another form than the encoding, or holds what is no finite
                number.
        """
        if self.columns and is_frame(data):
            matrix = self._frame_matrix(port, _frame(port, data))
        elif self.categorical:
            names = [name for name, _ in self.columns]
            raise ProblemError(
                f"port {port!r} needs a frame with the columns {names}, got {type(data).__name__}"
            )
        else:
            matrix = self._array_matrix(port, _array(port, data))
        refuse_infinite(port, matrix, self.holes, self._names(matrix.shape[1]))
        return matrix

    def places(self, width: int) -> Iterator[tuple[Hashable, int, int | None]]:
        """Yield name, first feature and number of categories of each column of a matrix.

        Columns of an array have their numbers for names. Numbers have no categories: None.
        """
        start = 0
        for name, categories in self.columns or [(column, None) for column in range(width)]:
            count = None if categories is None else len(categories)
            yield name, start, count
            start += 1 if count is None else count

    def _names(self, width: int) -> dict[int, Hashable]:
        """Return the names of the columns of a frame by their place in the matrix."""
        if not self.columns:
            return {}
        return {start: name for name, start, _ in self.places(width)}

    def _frame_matrix(self, port: str, frame: Any) -> np.ndarray:
        names = [name for name, _ in self.columns]
        missing = [name for name in names if name not in frame.columns]
        if missing:
            raise ProblemError(
                f"port {port!r} needs the columns {missing}, got a frame of {list(frame.columns)}"
            )
        unseen = [name for name in frame.columns if name not in names]
        if unseen:
            raise ProblemError(
                f"port {port!r} needs no columns but {names}, got {unseen} as well: leave them out"
            )
        columns = [_column(port, frame[name], categories) for name, categories in self.columns]
        return np.concatenate(columns, axis=1)

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

    def apply(self, rows: np.ndarray) -> Tensor:
        """Return rows in training units, float32; a view where nothing changes."""
        exact: Any = np.float64
        if rows.dtype in (np.float16, np.uint8, np.bool_, np.float32):
            exact = np.float32
        numbers = rows.astype(exact, copy=False)
        if self != Standard():
            numbers = (numbers - np.array(self.shift, exact)) / np.array(self.spread, exact)
        return mapped_tensor(np.ascontiguousarray(numbers, dtype=np.float32))


def mapped_tensor(array: np.ndarray) -> Tensor:
    """Return an array as a tensor on the same memory, which may be read-only.

    A read-only mapping of a file stays shared between processes, and nothing writes to the tensors
    of a split.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(array)


def piece_of(width: int) -> int:
    """Return how many rows of so many numbers are read together: 32 MB at most in float64."""
    return max(1, min(4096, 2**22 // max(1, width)))


def refuse_infinite(
    port: str, matrix: np.ndarray, holes: bool = False, names: Mapping[int, Hashable] | None = None
) -> None:
    """Raise where a number is infinite or too large for float32, naming the first row.

    Args:
        port: For the message.
        matrix: The numbers.
        holes: Whether a number may be NaN, which stands for a missing value.
        names: The names of columns, for the message.
    """
    largest = np.finfo(np.float32).max
    # In pieces, so that the masks stay in the cache of the CPU.
    step = min(1024, piece_of(matrix.shape[1]))
    for start in range(0, len(matrix), step):
        piece = matrix[start : start + step]
        # NaN fails every comparison, so one comparison finds NaN, infinities and what is too large.
        good = np.abs(piece) <= largest if piece.dtype.itemsize > 4 else np.isfinite(piece)
        if holes and not good.all():
            good |= np.isnan(piece)
        if not good.all():
            row, column = np.argwhere(~good)[0]
            named = (names or {}).get(int(column), int(column))
            if np.isnan(piece[row, column]):
                raise ProblemError(
                    f"port {port!r} needs finite numbers: values may be missing in tables, but not "
                    f"in images, got nan in row {start + row}, column {named!r}"
                )
            raise ProblemError(
                f"port {port!r} needs finite numbers that fit float32, got {piece[row, column]} in "
                f"row {start + row}, column {named!r}"
            )


def is_frame(data: Any) -> bool:
    """Return whether this is a pandas Series or DataFrame, without importing pandas."""
    # Where there is a frame, somebody has imported pandas.
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(data, (pandas.Series, pandas.DataFrame))


def length_of(port: str, data: Any) -> int:
    """Return how many examples an array or frame holds."""
    if is_frame(data):
        return len(data)
    return len(_array(port, data, kinds=None))


def shape_of(port: str, data: Any) -> tuple[int, ...]:
    """Return the shape of an array of numbers as it was given."""
    array = _array(port, data)
    return (len(array),) if np.ndim(data) == 1 else array.shape


def bounds_of(port: str, data: Any) -> tuple[float, float]:
    """Return the smallest and the largest number of an array, without the missing ones."""
    array, low, high = _array(port, data), math.inf, -math.inf
    with np.errstate(invalid="ignore"):
        for start in range(0, len(array), 1024):
            piece = array[start : start + 1024]
            low = min(low, float(np.fmin.reduce(piece, axis=None)))
            high = max(high, float(np.fmax.reduce(piece, axis=None)))
    return low, high


def _array(port: str, data: Any, kinds: str | None = "buif") -> np.ndarray:
    """Return data as an array of one row per example, of one of these numpy kinds of dtype."""
    if isinstance(data, Tensor):
        tensor = data.detach().cpu()
        if tensor.dtype is torch.bfloat16:  # numpy has no such type
            tensor = tensor.float()
        array = tensor.numpy()
    elif isinstance(data, np.ma.MaskedArray) and np.ma.is_masked(data):
        numbers = data.dtype.kind in "buif"
        array = np.ma.filled(data.astype(np.float64 if numbers else object), np.nan)
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
    """Return the categories of a column of a frame; None for a column of numbers."""
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
            f"port {port!r} needs columns of numbers, booleans, strings or categories, got "
            f"{series.dtype} in column {series.name!r}{_of_dates(series)}"
        )
    seen = series.iloc[training].dropna()
    try:
        found = in_order(seen.tolist())
    except TypeError as error:
        raise ProblemError(
            f"port {port!r} needs hashable categories in column {series.name!r}: {error}"
        ) from error
    if categorical:
        return tuple(name for name in series.cat.categories if name in found)
    return found


def _of_dates(series: Any) -> str:
    if series.dtype.kind == "m":
        return ": make numbers of it, such as column.dt.days"
    if series.dtype.kind == "M":
        return ": make numbers of it, such as column.dt.month or (column - column.min()).dt.days"
    return ""


def _column(port: str, series: Any, categories: tuple[Hashable, ...] | None) -> np.ndarray:
    """Return a column of a frame as numbers, ``(examples, 1)``, or as a column per category.

    What is missing is NaN.
    """
    if categories is None:
        try:
            return series.to_numpy(dtype=np.float64, na_value=np.nan)[:, None]
        except (TypeError, ValueError) as error:
            raise ProblemError(
                f"port {port!r} needs numbers in column {series.name!r}: {error}"
            ) from error
    index = {category: number for number, category in enumerate(categories)}
    missing = series.isna().to_numpy()
    values = series.astype(object).where(~missing, None).tolist()  # pandas' NA need not hash
    codes = np.array([index.get(value, -1) for value in values])
    columns = (codes[:, None] == np.arange(len(categories))).astype(np.float32)
    columns[missing] = np.nan
    return columns


# --- Labels ---------------------------------------------------------------------------------------


def in_order(labels: Sequence[Hashable]) -> tuple[Hashable, ...]:
    """Return the different labels, sorted where they can be compared, else as they first appear."""
    different = list(dict.fromkeys(labels))
    try:
        return tuple(sorted(different))  # type: ignore[type-var]
    except TypeError:
        return tuple(different)


def class_indices(
    port: str, data: Any, rows: Rows
) -> tuple[tuple[Hashable, ...], dict[str, Tensor]]:
    """Return the classes of the training split, and the class index of every example of each split.

    Raises:
        ProblemError: A label is missing, not hashable or not among the classes, or there are fewer
            than two classes.
    """
    labels = _labels(port, data)
    chosen = {name: labels[rows[name]].tolist() for name in SPLITS}
    try:
        classes = in_order(chosen["train"])
    except TypeError as error:
        raise ProblemError(f"port {port!r} needs hashable labels: {error}") from error
    if len(classes) < 2:
        raise ProblemError(
            f"port {port!r} needs at least two classes in the training split, got only "
            f"{classes[0]!r}"
        )
    index = {label: number for number, label in enumerate(classes)}
    for name in SPLITS[1:]:
        unseen = [label for label in chosen[name] if label not in index]
        if unseen:
            raise ProblemError(
                f"port {port!r} needs every label of split {name!r} among the classes of the "
                f"training split ({listed(classes, 10)}), got {unseen[0]!r}{_way_out(classes)}"
            )
    indices = {name: list(map(index.__getitem__, chosen[name])) for name in SPLITS}
    return classes, {name: torch.tensor(indices[name]) for name in SPLITS}


def _way_out(classes: Sequence[Hashable]) -> str:
    if len(classes) > 20 and all(isinstance(label, float) for label in classes):
        return ": many numbers, so Regression?"
    return ": splits as fractions give training an example of each label; or leave out rare ones"


def _labels(port: str, data: Any) -> np.ndarray:
    """Return one label per example, as an array of Python objects."""
    if is_frame(data):
        frame = _frame(port, data)
        values = frame.astype(object).where(frame.notna(), None).to_numpy(dtype=object)
    else:
        array = _array(port, data, kinds=None)
        if array.dtype.kind not in "biufUSO":
            raise ProblemError(
                f"port {port!r} needs labels that are numbers, strings or objects, "
                f"got {array.dtype}"
            )
        values = array.astype(object)
    if values.ndim != 2 or values.shape[1] != 1:
        raise ProblemError(
            f"port {port!r} needs one label per example, got shape {values.shape} "
            "(one-hot? pass argmax(1))"
        )
    labels = values[:, 0]
    for row, label in enumerate(labels):
        if label is None or (isinstance(label, (float, np.floating)) and label != label):
            raise ProblemError(
                f"port {port!r} needs a label for every example, got {label} in row {row}"
            )
    return labels
