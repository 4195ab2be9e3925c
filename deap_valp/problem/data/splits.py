"""The rows of each split, and the tensors that they become."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
            tensor. An example without a target has that of another one, and weight 0.
        size: Number of examples.
        weights: Weights of the examples, float32 ``(size,)`` and 1 on average, of each output whose
            examples do not all weigh the same. The loss of an output is the mean over the examples
            of weight times loss.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    size: int
    weights: dict[str, Tensor] = field(default_factory=dict)

    def to(self, device: str | torch.device) -> Split:
        """Return the same split on another device; ports that share a tensor share one there."""
        return self._each(lambda tensor: tensor.to(device), self.size)

    def sample(self, limit: int) -> Split:
        """Return ``limit`` examples, always the same ones; all of them where there are not more.

        They are drawn at random, for a user's own split may be in the order of its classes. Of each
        output at least one has a target, if the limit allows.

        Raises:
            ProblemError: The limit is below 1.
        """
        if not is_whole(limit) or limit < 1:
            raise ProblemError(f"a split needs a limit of at least one example, got {limit!r}")
        if limit >= self.size:
            return self
        drawn = self._with_targets(np.random.default_rng(0).permutation(self.size), limit)
        rows = torch.from_numpy(np.sort(drawn))
        taken = self._each(lambda tensor: tensor[rows.to(tensor.device)], limit)
        for name, weights in taken.weights.items():
            total = weights.sum()
            taken.weights[name] = weights * (limit / total.clamp(min=1e-30))
        return taken

    def _each(self, change: Callable[[Tensor], Tensor], size: int) -> Split:
        """Return a split of changed tensors; ports that share a tensor share one there."""
        tensors = (*self.inputs.values(), *self.targets.values(), *self.weights.values())
        changed = {id(tensor): change(tensor) for tensor in tensors}
        inputs, targets, weights = (
            {name: changed[id(tensor)] for name, tensor in part.items()}
            for part in (self.inputs, self.targets, self.weights)
        )
        return Split(inputs, targets, size, weights)

    def _with_targets(self, order: np.ndarray, limit: int) -> np.ndarray:
        """Return the first rows of an order; the last give way where an output has no target."""
        drawn = order[:limit]
        needed = []
        for weights in self.weights.values():
            weighs = weights.cpu().numpy()[order] > 0
            if not weighs[:limit].any():
                needed.append(order[np.flatnonzero(weighs)[0]])
        if not needed:
            return drawn
        needed = list(dict.fromkeys(needed))[:limit]
        return np.concatenate([needed, drawn[: limit - len(needed)]])


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
