"""Batches that are computed in parts, for a device without memory for a whole batch."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ..problem import Problem
from .model import Model
from .tape import Tape

Key = TypeVar("Key")


class InParts:
    """Computes each batch in micro-batches, with the losses and the gradient of the whole batch.

    Every loss is a mean over the batch, of weight times loss where examples have weights. So the
    loss of the whole batch is the mean of those of its parts, weighted by their sizes, up to
    rounding. A user's own loss is treated like this too,
    even if it is not a mean.

    Args:
        model: As for ``Tape``.
        problem: As for ``Tape``.
        batch_size: Number of examples in every batch.
        parts: Number of micro-batches of equal size. The remainder of the division is one more,
            smaller micro-batch.
        pulls: As for ``Tape``.
        weighted: As for ``Tape``.
    """

    def __init__(
        self,
        model: Model,
        problem: Problem,
        batch_size: int,
        parts: int,
        pulls: Sequence[Mapping[str, float]] | None = None,
        weighted: Collection[str] = (),
    ) -> None:
        size, rest = divmod(batch_size, min(parts, batch_size))
        tape = Tape(model, problem, size, pulls=pulls, weighted=weighted)
        self.batch_size, self.flat = batch_size, tape.flat
        whole = batch_size - rest
        self.plays = [(tape, slice(start, start + size)) for start in range(0, whole, size)]
        if rest:
            last = Tape(model, problem, rest, tape.flat, pulls, weighted)
            self.plays.append((last, slice(whole, batch_size)))
        self.totals = [torch.zeros_like(self.flat.gradient) for _ in tape.pulled]

    def forward(
        self,
        features: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        noise: Mapping[int, Tensor],
        weights: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the loss of every output, shape (outputs,); the arguments are those of ``Tape``.

        The gradient of each part is computed at once, because the next part uses the same memory.
        """
        losses = self.flat.gradient.new_zeros(len(targets))
        for total in self.totals:
            total.zero_()
        weights = weights or {}
        for tape, rows in self.plays:
            part = tape.forward(
                _rows(features, rows),
                _rows(targets, rows),
                _rows(noise, rows),
                _rows(weights, rows),
            )
            share = tape.batch_size / self.batch_size
            losses.add_(part, alpha=share)
            for index, total in enumerate(self.totals):
                tape.backward(index)
                total.add_(self.flat.gradient, alpha=share)
        return losses

    def backward(self, index: int = 0) -> None:
        """Write to ``flat`` the gradient of the sum of losses that ``pulls[index]`` describes."""
        self.flat.gradient.copy_(self.totals[index])


def _rows(tensors: Mapping[Key, Tensor], rows: slice) -> dict[Key, Tensor]:
    return {key: tensor[rows] for key, tensor in tensors.items()}
