"""Holes in the data: features that are imputed, and examples that have no target.

A value is missing where it is NaN, None, NaT or pandas' NA, or masked in a numpy array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import ProblemError
from .arrays import Encoding, is_frame, piece_of
from .splits import SPLITS, Rows

PIECE = 1024
"""Rows that are looked at together, so that their masks stay in the cache of the CPU."""


# --- Features -------------------------------------------------------------------------------------


# Not scikit-learn's imputer: its import costs every worker 0.8 s and 70 MB, and it gives every
# column of a category an indicator of its own.
@dataclass(frozen=True)
class Imputation:
    """What stands in for the missing values of one input.

    A missing number becomes the mean of its column over the training split, so it is 0 in training
    units. A missing category becomes zeros in all columns of its categories. Each column of the
    user's that has holes in training gets an indicator, one more feature that is 1 where the value
    is missing and 0 elsewhere. So the indicator of a column of categories is the category of what
    is missing. A hole in a column without holes in training is filled without an indicator.

    Attributes:
        fills: What a hole of each feature is filled with; empty for images.
        columns: The first feature of each of the user's columns.
        indicated: The first feature of each column that gets an indicator.
    """

    fills: tuple[float, ...] = ()
    columns: tuple[int, ...] = ()
    indicated: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, port: str, encoding: Encoding, width: int, pieces: Iterable[np.ndarray]
    ) -> Imputation:
        """Return the imputation of an input, from its training rows, some at a time.

        Raises:
            ProblemError: A column has no value in the training split.
        """
        size, sums, missing = 0, np.zeros(width), np.zeros(width, dtype=int)
        for rows in pieces:
            holes = np.isnan(rows)
            size, missing = size + len(rows), missing + holes.sum(0)
            sums += rows.sum(0, dtype=np.float64, where=~holes)
        fills, columns, indicated = [], [], []
        for name, start, categories in encoding.places(width):
            if categories == 0 or missing[start] == size:
                raise ProblemError(
                    f"port {port!r} needs at least one value of each column in the training split, "
                    f"got none in column {name!r}"
                )
            columns.append(start)
            if missing[start]:
                indicated.append(start)
            if categories is None:
                fills.append(float(sums[start] / (size - missing[start])))
            else:
                fills += [0.0] * categories
        return cls(tuple(fills), tuple(columns), tuple(indicated))

    @classmethod
    def of_channels(
        cls, port: str, channels: int, width: int, pieces: Iterable[np.ndarray]
    ) -> Imputation:
        """Return the imputation of a series: a hole gets the mean of its channel over all steps.

        Each number with holes in training has an indicator of its own.

        Raises:
            ProblemError: A channel has no value in the training split.
        """
        counts, sums = np.zeros(channels, dtype=int), np.zeros(channels)
        holed = np.zeros(width, dtype=bool)
        for rows in pieces:
            holes = np.isnan(rows)
            holed |= holes.any(0)
            present = ~holes.reshape(-1, channels)
            counts += present.sum(0)
            sums += rows.reshape(-1, channels).sum(0, dtype=np.float64, where=present)
        empty = np.flatnonzero(counts == 0)
        if len(empty):
            raise ProblemError(
                f"port {port!r} needs at least one value of each channel in the training split, "
                f"got none in channel {empty[0]}"
            )
        fills, indicated = sums / counts, np.flatnonzero(holed)
        return cls(
            tuple(np.tile(fills, width // channels).tolist()),
            tuple(range(width)),
            tuple(indicated.tolist()),
        )

    def count(self, matrix: np.ndarray) -> int:
        """Return how many of the user's values are missing."""
        if not self.columns:
            return 0
        step = piece_of(matrix.shape[1])
        pieces = (matrix[start : start + step] for start in range(0, len(matrix), step))
        return sum(int(np.isnan(piece[:, list(self.columns)]).sum()) for piece in pieces)

    def __call__(self, matrix: np.ndarray) -> np.ndarray:
        """Return rows without holes, with their indicators; the rows themselves without either."""
        if not self.columns:
            return matrix
        holes = np.isnan(matrix)
        filled = matrix
        if holes.any():
            filled = np.where(holes, np.array(self.fills, matrix.dtype), matrix)
        if not self.indicated:
            return filled
        return np.concatenate([filled, holes[:, list(self.indicated)].astype(filled.dtype)], axis=1)


# --- Targets --------------------------------------------------------------------------------------


def is_missing(data: Any) -> np.ndarray:
    """Return of which examples a value is missing, bool ``(examples,)``."""
    if is_frame(data):
        return _of_any(data.isna().to_numpy())
    if isinstance(data, Tensor):
        return _of_any(data.detach().isnan().cpu().numpy())
    if isinstance(data, np.ma.MaskedArray):
        return _of_any(np.ma.getmaskarray(data)) | _holes(np.asarray(data))
    return _holes(_as_array(data))


def _of_any(values: np.ndarray) -> np.ndarray:
    """Return of which examples any value is True."""
    return np.asarray(values.reshape(len(values), -1).any(1))


def _as_array(data: Any) -> np.ndarray:
    array = np.asarray(data)
    # An array of strings would make a string of the NaN in a list of labels.
    return np.asarray(data, dtype=object) if array.dtype.kind in "US" else array


def _holes(array: np.ndarray) -> np.ndarray:
    """Return of which examples a value is missing."""
    if array.dtype.kind in "fcmM":
        pieces = [array[start : start + PIECE] for start in range(0, len(array), PIECE)]
        return np.concatenate([_unequal(piece) for piece in pieces])
    if array.dtype.kind == "O":
        found = [value is None or _is_nan(value) for value in array.ravel().tolist()]
        return _of_any(np.array(found).reshape(array.shape))
    return np.zeros(len(array), dtype=bool)


def _unequal(piece: np.ndarray) -> np.ndarray:
    # NaN and NaT differ from themselves.
    return _of_any(piece != piece)


def _is_nan(value: Any) -> bool:
    return (isinstance(value, (float, np.floating)) and value != value) or _is_na(value)


def _is_na(value: Any) -> bool:
    return type(value).__name__ in ("NAType", "NaTType")


@dataclass(frozen=True)
class Present:
    """Which examples of an output have a target and count.

    Attributes:
        missing: Whether an example has none, bool ``(examples,)`` over all splits.
        rows: The rows of each split that have one.
        places: Their places within the split, int64; None where all have one.
        sizes: Number of examples of each split, with a target or without.
    """

    missing: np.ndarray
    rows: Rows
    places: Mapping[str, Tensor | None]
    sizes: Mapping[str, int]

    @classmethod
    def of(cls, port: str, missing: np.ndarray, rows: Rows) -> Present:
        """Return the examples that have a target.

        Raises:
            ProblemError: A split has none.
        """
        kept: dict[str, slice | np.ndarray] = {}
        places: dict[str, Tensor | None] = {}
        sizes = {}
        for name in SPLITS:
            found = ~missing[rows[name]]
            sizes[name], kept[name], places[name] = len(found), rows[name], None
            if not found.any():
                raise ProblemError(
                    f"output {port!r} needs a target of positive weight for at least one example "
                    f"of each split, got none among the {len(found)} of split {name!r}"
                )
            if not found.all():
                kept[name] = np.arange(len(missing))[rows[name]][found]
                places[name] = torch.from_numpy(np.flatnonzero(found))
        return cls(missing, kept, places, sizes)

    def filled(self, data: Any) -> Any:
        """Return the targets with a target of the training split in place of each missing one."""
        if not self.missing.any():
            return data
        index = np.arange(len(self.missing))
        index[self.missing] = index[self.rows["train"]][0]
        if is_frame(data):
            return data.iloc[index]
        if isinstance(data, Tensor):
            return data[torch.from_numpy(index)]
        taken = _as_array(data)[index]
        return _as_numbers(taken) if taken.dtype == object else taken

    def spread(self, split: str, values: Tensor) -> Tensor:
        """Return values of a split's examples with a target for all; the others get the first."""
        places = self.places[split]
        if places is None:
            return values
        index = torch.zeros(self.sizes[split], dtype=torch.int64)
        index[places] = torch.arange(len(places))
        return values[index]

    def weights(self, split: str, weights: Tensor | None) -> Tensor | None:
        """Return the weights of all examples of a split; None where all weigh the same.

        They are 0 without a target, and 1 on average, so that the mean over batches of the weighted
        losses is the weighted mean over the examples.
        """
        places = self.places[split]
        if places is None:
            return weights
        size = self.sizes[split]
        share = size / len(places)
        found = torch.zeros(size)
        found[places] = share if weights is None else weights * share
        return found


def _as_numbers(array: np.ndarray) -> np.ndarray:
    """Return objects that are all numbers as an array of numbers, which a hole had prevented."""
    values = array.ravel().tolist()
    if all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in values):
        return np.array(values).reshape(array.shape)
    return array


def checked_weights(port: str, weights: Any, size: int) -> np.ndarray:
    """Return the user's weights of examples as float64 ``(examples,)``.

    Raises:
        ProblemError: They are no finite numbers from 0 on, one for each example.
    """
    try:
        array = np.asarray(weights, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProblemError(
            f"output {port!r} needs example_weights as numbers, got {weights!r}"
        ) from error
    if array.shape not in ((size,), (size, 1)):
        raise ProblemError(
            f"output {port!r} needs one number of example_weights for each of {size} examples, "
            f"got shape {array.shape}"
        )
    array = array.reshape(size)
    wrong = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(wrong):
        raise ProblemError(
            f"output {port!r} needs finite example_weights from 0 on, got {array[wrong[0]]} in row "
            f"{wrong[0]}"
        )
    return array


def mean_one(weights: np.ndarray) -> Tensor | None:
    """Return weights divided by their mean, float32; None where all are equal."""
    if (weights == weights[0]).all():
        return None
    return torch.from_numpy((weights / weights.mean()).astype(np.float32))
