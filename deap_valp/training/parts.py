"""A batch played in parts, for a device that has no room for all of it at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
from torch import Tensor

from ..problem import Problem
from .model import Model
from .tape import Tape

Key = TypeVar("Key")


class InParts:
    """Plays each batch as micro-batches one after the other; losses and gradient are those of the whole.

    Every loss is a mean over the batch, so the whole one's is the mean of the parts' by size, up to
    rounding. (A user's own loss that is no such mean is taken for one.)

    Args:
        model: As for ``Tape``.
        problem: As for ``Tape``.
        batch_size: Examples of every batch.
        parts: Micro-batches of a batch; what is left over by the division is one more, of its own
            small size.
        pulls: As for ``Tape``.
    """

    def __init__(
        self,
        model: Model,
        problem: Problem,
        batch_size: int,
        parts: int,
        pulls: Sequence[Mapping[str, float]] | None = None,
    ) -> None:
        size, rest = divmod(batch_size, min(parts, batch_size))
        tape = Tape(model, problem, size, pulls=pulls)
        self.batch_size, self.flat = batch_size, tape.flat
        self.plays = [
            (tape, slice(start, start + size)) for start in range(0, batch_size - rest, size)
        ]
        if rest:
            self.plays.append(
                (Tape(model, problem, rest, tape.flat, pulls), slice(batch_size - rest, batch_size))
            )
        self.totals = [torch.zeros_like(self.flat.gradient) for _ in tape.pulled]

    def forward(
        self,
        features: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        noise: Mapping[int, Tensor],
    ) -> Tensor:
        """The loss of every output, shape (outputs,). Each part goes back at once: the next needs its memory."""
        losses = self.flat.gradient.new_zeros(len(targets))
        for total in self.totals:
            total.zero_()
        for tape, rows in self.plays:
            part = tape.forward(_rows(features, rows), _rows(targets, rows), _rows(noise, rows))
            share = tape.batch_size / self.batch_size
            losses.add_(part, alpha=share)
            for index, total in enumerate(self.totals):
                tape.backward(index)
                total.add_(self.flat.gradient, alpha=share)
        return losses

    def backward(self, index: int = 0) -> None:
        """Write the gradient of a sum of the losses to ``flat``: that of ``pulls[index]``."""
        self.flat.gradient.copy_(self.totals[index])


def _rows(tensors: Mapping[Key, Tensor], rows: slice) -> dict[Key, Tensor]:
    return {key: tensor[rows] for key, tensor in tensors.items()}
