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
    index = tuple((name, tuple(tensor.shape)) for name, tensor in tensors.items())
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
