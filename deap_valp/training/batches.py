"""The batches of a session, in the order in which they are trained on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..problem import Split

RESHUFFLED = 2**22
"""The size, in numbers, up to which a training split is copied in a new order in each epoch.

The copy of a larger split would cost more than a few steps.
"""

Batch = tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]
"""The features by input, the targets by output, and the weights of ``Split.weights``."""


class Epoch(NamedTuple):
    """The batches of an epoch. Each is a slice of the data, since slices cost nothing.

    Attributes:
        features: The features of all examples, by input.
        targets: The targets, by output.
        weights: The weights of ``Split.weights``.
        starts: The first example of each batch, in the order of the batches.
    """

    features: Mapping[str, Tensor]
    targets: Mapping[str, Tensor]
    weights: Mapping[str, Tensor]
    starts: list[int]

    def batches(self, size: int) -> Iterator[Batch]:
        """Yield the batches of this size."""
        for start in self.starts:
            rows = slice(start, start + size)
            yield (
                {name: tensor[rows] for name, tensor in self.features.items()},
                {name: tensor[rows] for name, tensor in self.targets.items()},
                {name: tensor[rows] for name, tensor in self.weights.items()},
            )


def batches_of(
    data: Split, batch_size: int, seed: int, generator: torch.Generator | None
) -> Iterator[Batch]:
    """Yield the batches of ``epochs_of`` without end."""
    for epoch in epochs_of(data, batch_size, seed, generator):
        yield from epoch.batches(batch_size)


def epochs_of(
    data: Split, batch_size: int, seed: int, generator: torch.Generator | None
) -> Iterator[Epoch]:
    """Yield epochs without end.

    Args:
        data: The training split, which is stored in a random order.
        batch_size: Number of examples in a batch, at most those of the split.
        seed: The seed of the order of the batches.
        generator: A generator on the device of the data, which draws a new order of the examples
            for each epoch. With None, or where the split is large (``RESHUFFLED``), the order of
            the examples stays as it is.
    """
    small = sum(rows.numel() for rows in data.inputs.values()) <= RESHUFFLED
    reshuffles = generator is not None and small
    device = next(iter(data.inputs.values())).device
    rng = random.Random(seed)
    while True:
        features, targets, weights = data.inputs, data.targets, data.weights
        if reshuffles:
            order = torch.randperm(data.size, generator=generator, device=device)
            features, targets = _rows(features, order), _rows(targets, order)
            weights = _rows(weights, order)
        yield Epoch(features, targets, weights, epoch_starts(data.size, batch_size, rng))


def _rows(tensors: Mapping[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    return {name: tensor[order] for name, tensor in tensors.items()}


def epoch_starts(size: int, batch_size: int, rng: random.Random) -> list[int]:
    """Return the first example of each batch of one epoch, in random order.

    All batches are shifted by one random offset, so that their borders differ between epochs.
    """
    most = size % batch_size if size < 2 * batch_size else batch_size - 1
    starts = list(range(rng.randint(0, most), size - batch_size + 1, batch_size))
    rng.shuffle(starts)
    return starts


def batch_starts(size: int, batch_size: int, batches: int, seed: int) -> list[int]:
    """Return the first example of each batch of a session whose examples keep their order."""
    rng, starts = random.Random(seed), list[int]()
    while len(starts) < batches:
        starts += epoch_starts(size, batch_size, rng)
    return starts[:batches]
