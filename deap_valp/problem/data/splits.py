"""The rows of each split, and the tensors that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...arguments import is_whole
from ...errors import ProblemError

SPLITS = ("train", "validation", "test")
"""Names of the splits."""

Rows = Mapping[str, "slice | np.ndarray"]
"""The rows of each split, as a slice or as indices."""


@dataclass(frozen=True, eq=False)
class Split:
    """The examples of one split, as training reads them.

    Attributes:
        inputs: Features of each input, float32 ``(size, width)``.
        targets: Targets of each output in training units: class indices are int64 ``(size,)``,
            everything else is float32 ``(size, width)``. A target that equals an input is the same
            tensor.
        size: Number of examples.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    size: int

    def to(self, device: str | torch.device) -> Split:
        """Return the same split on another device; ports that share a tensor share one there."""
        tensors = (*self.inputs.values(), *self.targets.values())
        moved = {id(tensor): tensor.to(device) for tensor in tensors}
        return Split(
            {name: moved[id(tensor)] for name, tensor in self.inputs.items()},
            {name: moved[id(tensor)] for name, tensor in self.targets.items()},
            self.size,
        )

    def sample(self, limit: int) -> Split:
        """Return ``limit`` examples, always the same ones; all of them where there are not more.

        They are drawn at random, for a user's own split may be in the order of its classes.

        Raises:
            ProblemError: The limit is below 1.
        """
        if not is_whole(limit) or limit < 1:
            raise ProblemError(f"a split needs a limit of at least one example, got {limit!r}")
        if limit >= self.size:
            return self
        drawn = np.random.default_rng(0).permutation(self.size)[:limit]
        rows = torch.from_numpy(np.sort(drawn))
        tensors = (*self.inputs.values(), *self.targets.values())
        taken = {id(tensor): tensor[rows.to(tensor.device)] for tensor in tensors}
        return Split(
            {name: taken[id(tensor)] for name, tensor in self.inputs.items()},
            {name: taken[id(tensor)] for name, tensor in self.targets.items()},
            limit,
        )


def refuse_unknown_split(name: str) -> None:
    """Raise where this is not the name of a split."""
    if name not in SPLITS:
        raise ProblemError(f"a split needs a name among {list(SPLITS)}, got {name!r}")


def split_rows(
    splits: Sequence[float] | Mapping[str, Any], size: int, seed: int
) -> dict[str, slice | np.ndarray]:
    """Return the rows of each split; those of training in a seeded random order unless a slice.

    Args:
        splits: Three fractions, or slices or row indices by name of the split.
        size: Number of rows.
        seed: Seed of the fractions' split and of the order of training rows.

    Raises:
        ProblemError: The description breaks a rule, a split is empty, or two splits overlap.
    """
    generator = np.random.default_rng(seed)
    if not isinstance(splits, Mapping):
        return _rows_of_fractions(splits, size, generator)
    if set(splits) != set(SPLITS):
        raise ProblemError(f"splits needs the keys {list(SPLITS)}, got {list(splits)}")
    rows = {name: _checked_rows(name, splits[name], size) for name in SPLITS}
    _refuse_overlap(rows, size)
    if not isinstance(rows["train"], slice):
        rows["train"] = generator.permutation(rows["train"])
    return rows


def _rows_of_fractions(
    splits: Any, size: int, generator: np.random.Generator
) -> dict[str, slice | np.ndarray]:
    try:
        fractions = np.asarray(splits, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ProblemError(
            f"splits needs three fractions or a mapping of row indices, got {splits!r}"
        ) from error
    if fractions.shape != (3,) or not (fractions > 0).all() or abs(fractions.sum() - 1) > 1e-6:
        raise ProblemError(f"splits needs three positive fractions that sum to 1, got {splits!r}")
    ends = np.round(np.cumsum(fractions) * size).astype(int)
    parts = np.split(generator.permutation(size), ends[:2])
    for name, part in zip(SPLITS, parts, strict=True):
        if not len(part):
            raise ProblemError(
                f"split {name!r} needs at least one example, got none of {size} at {splits!r}"
            )
    return dict(zip(SPLITS, parts, strict=True))


def _checked_rows(name: str, rows: Any, size: int) -> slice | np.ndarray:
    if isinstance(rows, slice):
        return _checked_slice(name, rows, size)
    indices = np.asarray(rows)
    if indices.size == 0:
        raise ProblemError(f"split {name!r} needs at least one example, got none")
    if indices.ndim != 1 or indices.dtype.kind not in "iu":
        raise ProblemError(
            f"split {name!r} needs a slice or integer row indices, got {indices.dtype} of shape "
            f"{indices.shape}"
        )
    outside = indices[(indices < 0) | (indices >= size)]
    if len(outside):
        raise ProblemError(
            f"split {name!r} needs row indices from 0 to {size - 1}, got {outside[0]}"
        )
    return indices


def _checked_slice(name: str, rows: slice, size: int) -> slice:
    if rows.step not in (None, 1):
        raise ProblemError(f"split {name!r} needs a slice of step 1, got {rows}")
    first, last = rows.start or 0, size if rows.stop is None else rows.stop
    if not 0 <= first < last <= size:
        raise ProblemError(
            f"split {name!r} needs a slice of at least one of the {size} rows, got {rows}"
        )
    return slice(first, last)


def _refuse_overlap(rows: Rows, size: int) -> None:
    owner = np.full(size, -1)
    for number, name in enumerate(SPLITS):
        taken = owner[rows[name]]
        shared = np.flatnonzero(taken >= 0)
        if len(shared):
            row = np.arange(size)[rows[name]][shared[0]]
            other = SPLITS[taken[shared[0]]]
            raise ProblemError(
                f"splits need rows of their own, got row {row} in {other!r} and {name!r}"
            )
        owner[rows[name]] = number
