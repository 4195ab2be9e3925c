"""Functions on weight tensors. None of them writes to a tensor that it is given.

References:
    Paper V (gentle operators); Net2Net (Chen et al. 2016) for copied units and identity layers.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

Packed = tuple[tuple[tuple[str, tuple[int, ...]], ...], Any]
"""The names and shapes of tensors, and one numpy array of all their elements."""


class Tensors(Mapping[str, Tensor]):
    """Tensors by name, which never change: a genome and an evaluation can hold the same ones.

    Pickled, they are one array of contiguous bytes. Who shares them in memory shares it in a pickle
    as well, and after unpickling.
    """

    __slots__ = ("_tensors",)

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = dict(tensors)

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Tensors:
        """Return the tensors as they are if they cannot change, and otherwise a copy."""
        return tensors if isinstance(tensors, Tensors) else cls(tensors)

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __deepcopy__(self, memo: dict[int, Any]) -> Tensors:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return unpack, (pack(self._tensors),)

    def __repr__(self) -> str:
        return f"Tensors({self._tensors})"


def new_generator() -> torch.Generator:
    """Return a torch generator that is seeded from ``random``, the one source of variation."""
    return torch.Generator().manual_seed(random.getrandbits(63))


def initial(
    rows: int, columns: int, fan_in: int, gain: float, generator: torch.Generator
) -> Tensor:
    """Draw weights, shape (rows, columns), of standard deviation ``gain / sqrt(fan_in)``.

    ``fan_in`` stands for the columns of all blocks through which the receiver reads, not for those
    of this block alone. Then the sum over the blocks has the same variance for any number of them.
    """
    return torch.randn(rows, columns, generator=generator) * (gain / fan_in**0.5)


def split(weight: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Split each element of ``weight`` at random into two parts, and return the two tensors.

    The shares are random because equal halves would get equal gradients for ever. The two parts add
    up to ``weight`` exactly: the larger part is rounded, and floating point computes ``weight``
    minus the larger part without an error (Sterbenz).
    """
    share = torch.rand(weight.shape, generator=generator)
    larger = weight * torch.maximum(share, 1 - share)
    smaller = weight - larger
    first_larger = share >= 0.5
    return torch.where(first_larger, larger, smaller), torch.where(first_larger, smaller, larger)


class Selection(NamedTuple):
    """How the rows or columns of a new tensor come from those of an old one.

    The operators copy, split and pair the units of a layer. What an optimizer remembers about a
    unit then goes to the units that come from it.

    Attributes:
        dim: 0 for rows, 1 for columns.
        source: For each row or column of the new tensor, the one of the old tensor it comes from.
        factor: For each of them, 1 if it pulls in the same direction as the old one, -1 if in the
            opposite direction, and 0 if it is new.
    """

    dim: int
    source: Tensor
    factor: Tensor

    def __call__(self, tensor: Tensor) -> Tensor:
        """Return the rows or columns, each times its factor."""
        return tensor.index_select(self.dim, self.source) * self._along(tensor)

    def moment(self, moment: Tensor, power: int) -> Tensor:
        """Return a running mean of a power of the gradient for the new tensor.

        A new row or column has no mean gradient yet. For the mean square, it takes that of the
        one in ``source``, so that the size of its first steps fits its layer.
        """
        selected = moment.index_select(self.dim, self.source)
        return selected * self._along(moment) if power % 2 else selected

    def _along(self, tensor: Tensor) -> Tensor:
        return self.factor.view(-1, *[1] * (tensor.dim() - 1 - self.dim))


def added(dim: int, size: int, copied: Tensor, factor: float) -> Selection:
    """Return the selection of all rows or columns, followed by further ones.

    Args:
        dim: 0 for rows, 1 for columns.
        size: The number of old ones.
        copied: The index of an old one for each further one.
        factor: The factor of the further ones, as for ``Selection``.
    """
    factors = torch.cat([torch.ones(size), torch.full((len(copied),), factor)])
    return Selection(dim, torch.cat([torch.arange(size), copied]), factors)


def paired(dim: int, size: int) -> Selection:
    """Return the selection of all rows or columns, followed by their negatives."""
    return added(dim, size, torch.arange(size), -1.0)


def more_rows(tensor: Tensor, copied: Tensor, copy: bool, generator: torch.Generator) -> Tensor:
    """Return a weight or bias with further rows for new units.

    Args:
        tensor: Shape (units, columns), or (units,) for a bias.
        copied: Indices of units, one for each new unit.
        copy: Whether new rows are copies of these units' rows; else random, and 0 for a bias.
        generator: Draws the random rows.
    """
    rows = tensor[copied]
    if not copy and tensor.dim() == 1:
        rows = torch.zeros_like(rows)
    elif not copy:
        rows = initial(rows.shape[0], rows.shape[1], rows.shape[1], 1.0, generator)
    return torch.cat([tensor, rows])


def more_columns(tensor: Tensor, copied: Tensor, share: bool, generator: torch.Generator) -> Tensor:
    """Return a weight with further columns, through which new units are read.

    Args:
        tensor: Shape (rows, units).
        copied: Indices of units, one for each new unit.
        share: Whether a new column takes a random part of the weights of the unit that it copies,
            which keeps the product where the new units copy those; else it is random.
        generator: Draws the shares or the random columns.
    """
    columns = tensor[:, copied]
    if not share:
        fan_in = tensor.shape[1] + len(copied)
        new = initial(columns.shape[0], columns.shape[1], fan_in, 1.0, generator)
        return torch.cat([tensor, new], 1)
    kept, given = split(columns, generator)
    widened = torch.cat([tensor, given], 1)
    widened[:, copied] = kept
    return widened


def relu_pair(weight: Tensor) -> Tensor:
    """Return ``[weight; -weight]``, shape (2 * rows, columns).

    A relu layer with these weights keeps all of ``weight @ x``: its positive part in the first half
    of the units, its negative part in the second half. ``read_pair`` gives the weights to read it.
    """
    return paired(0, len(weight))(weight)


def read_pair(weight: Tensor) -> Tensor:
    """Return ``[weight, -weight]``, shape (rows, 2 * columns).

    It applies ``weight`` to the vector that a relu layer with the weights of ``relu_pair`` kept.
    """
    return paired(1, weight.shape[1])(weight)


def pack(tensors: Mapping[str, Tensor]) -> Packed:
    """Turn tensors into names, shapes and one contiguous array, for pickling.

    A pickled tensor would carry the whole buffer that it is a view of, and between processes it
    would travel as a shared-memory handle, of which a host has a limited number.
    """
    index = tuple((str(name), tuple(tensor.shape)) for name, tensor in tensors.items())
    flat = [tensor.detach().cpu().reshape(-1) for tensor in tensors.values()]
    return index, (torch.cat(flat).numpy() if flat else np.empty(0, np.float32))


def unpack(packed: Packed) -> Tensors:
    """Return the tensors that ``pack`` was given, each with memory of its own."""
    index, flat = packed
    tensors: dict[str, Tensor] = {}
    start = 0
    for name, shape in index:
        size = int(np.prod(shape, dtype=np.int64))
        tensors[name] = torch.from_numpy(flat[start : start + size].copy()).reshape(shape)
        start += size
    return Tensors(tensors)
