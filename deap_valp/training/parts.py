"""A batch played in parts, for a device that has no room for all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
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
    """

    def __init__(self, model: Model, problem: Problem, batch_size: int, parts: int) -> None:
        size, rest = divmod(batch_size, min(parts, batch_size))
        tape = Tape(model, problem, size)
        self.batch_size, self.flat = batch_size, tape.flat
        self.plays = [
            (tape, slice(start, start + size)) for start in range(0, batch_size - rest, size)
        ]
        if rest:
            self.plays.append(
                (Tape(model, problem, rest, tape.flat), slice(batch_size - rest, batch_size))
            )
        self.total = torch.zeros_like(self.flat.gradient)

    def forward(
        self,
        features: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        noise: Mapping[int, Tensor],
    ) -> Tensor:
        """The loss of every output, shape (outputs,). Each part goes back at once: the next needs its memory."""
        losses = self.total.new_zeros(len(targets))
        self.total.zero_()
        for tape, rows in self.plays:
            part = tape.forward(_rows(features, rows), _rows(targets, rows), _rows(noise, rows))
            share = tape.batch_size / self.batch_size
            losses.add_(part, alpha=share)
            tape.backward()
            self.total.add_(self.flat.gradient, alpha=share)
        return losses

    def backward(self) -> None:
        """Write the gradient of the sum of the losses to ``flat``."""
        self.flat.gradient.copy_(self.total)


def _rows(tensors: Mapping[Key, Tensor], rows: slice) -> dict[Key, Tensor]:
    return {key: tensor[rows] for key, tensor in tensors.items()}
