"""Pure functions on weight tensors. None writes to what it is given.

References:
    Paper V (gentle operators); Net2Net (Chen et al. 2016) for copied units and identity layers.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

Packed = tuple[tuple[tuple[str, tuple[int, ...]], ...], Any]


def new_generator() -> torch.Generator:
    """A torch generator seeded from Python's global ``random``, the one source of variation."""
    return torch.Generator().manual_seed(random.getrandbits(63))


def initial(
    rows: int, columns: int, fan_in: int, gain: float, generator: torch.Generator
) -> Tensor:
    """Random weights, shape (rows, columns), of standard deviation ``gain / sqrt(fan_in)``.

    ``fan_in`` counts all that the receiver reads, so a block of several gets its fair part of the
    variance.
    """
    return torch.randn(rows, columns, generator=generator) * (gain / fan_in**0.5)


def split(weight: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Two tensors that add up to ``weight``, shared out at random element by element.

    The shares are random since equal halves would get equal gradients for ever. The larger part is
    rounded and the smaller is ``weight`` minus it, which floating point computes exactly
    (Sterbenz), so the sum is exact.
    """
    share = torch.rand(weight.shape, generator=generator)
    larger = weight * torch.maximum(share, 1 - share)
    smaller = weight - larger
    first_larger = share >= 0.5
    return torch.where(first_larger, larger, smaller), torch.where(first_larger, smaller, larger)


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
    """``[weight; -weight]``: what a relu layer needs to pass ``weight @ x`` on through both its signs."""
    return torch.cat([weight, -weight])


def read_pair(weight: Tensor) -> Tensor:
    """``[weight, -weight]``: reads back through ``weight`` what ``relu_pair`` passed on."""
    return torch.cat([weight, -weight], 1)


def pack(tensors: Mapping[str, Tensor]) -> Packed:
    """Names, shapes and one contiguous array, for pickling.

    Tensors would travel as views that each carry their whole buffer, or as shared-memory handles
    that run out.
    """
    index = tuple((str(name), tuple(tensor.shape)) for name, tensor in tensors.items())
    flat = [tensor.detach().cpu().reshape(-1) for tensor in tensors.values()]
    return index, (torch.cat(flat).numpy() if flat else np.empty(0, np.float32))


def unpack(packed: Packed) -> dict[str, Tensor]:
    """The tensors that ``pack`` was given, each with memory of its own."""
    index, flat = packed
    tensors, start = {}, 0
    for name, shape in index:
        size = int(np.prod(shape, dtype=np.int64))
        tensors[name] = torch.from_numpy(flat[start : start + size].copy()).reshape(shape)
        start += size
    return tensors
