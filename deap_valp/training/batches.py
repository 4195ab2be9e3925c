"""The batches of a session, in the order in which they are trained on."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ..problem import Split

RESHUFFLED = 2**22
"""Numbers of a training split up to which its rows are gathered anew in each epoch.

Above, the gathering would cost more than a few steps.
"""

Batch = tuple[dict[str, Tensor], dict[str, Tensor]]
"""Features by input and targets by output."""


def batches_of(
    data: Split, batch_size: int, seed: int, generator: torch.Generator | None
) -> Iterator[Batch]:
    """Yield batches without end. Each is a slice, for slices cost nothing.

    Args:
        data: The training split, which is stored in a random order.
        batch_size: Examples of a batch; at most those of the split.
        seed: Seeds the order of the batches.
        generator: Draws a new order of the examples for each epoch, on the data's device; None
            leaves them as they are.
    """
    small = sum(rows.numel() for rows in data.inputs.values()) <= RESHUFFLED
    reshuffles = generator is not None and small
    device = next(iter(data.inputs.values())).device
    rng = random.Random(seed)
    while True:
        features, targets = data.inputs, data.targets
        if reshuffles:
            order = torch.randperm(data.size, generator=generator, device=device)
            features, targets = _rows(features, order), _rows(targets, order)
        for start in epoch_starts(data.size, batch_size, rng):
            batch = slice(start, start + batch_size)
            yield (
                {name: rows[batch] for name, rows in features.items()},
                {name: rows[batch] for name, rows in targets.items()},
            )


def _rows(tensors: Mapping[str, Tensor], order: Tensor) -> dict[str, Tensor]:
    return {name: tensor[order] for name, tensor in tensors.items()}


def epoch_starts(size: int, batch_size: int, rng: random.Random) -> list[int]:
    """Return where the batches of one epoch start: shifted by a random offset, in random order."""
    most = size % batch_size if size < 2 * batch_size else batch_size - 1
    starts = list(range(rng.randint(0, most), size - batch_size + 1, batch_size))
    rng.shuffle(starts)
    return starts


def batch_starts(size: int, batch_size: int, batches: int, seed: int) -> list[int]:
    """Return where each of so many batches starts in a split that is not reshuffled."""
    rng, starts = random.Random(seed), list[int]()
    while len(starts) < batches:
        starts += epoch_starts(size, batch_size, rng)
    return starts[:batches]
