"""The losses of a training step, and their sum.

An output kind defines the loss of its head. Here the KL divergence of the latents is added.

References:
    Paper III: the losses of the outputs are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import mul
from typing import NamedTuple

import torch
from torch import Tensor

from ..problem import Problem
from ..problem.losses import LossWithGradient as Measure
from .model import Latents, Model

__all__ = ["LossWeights", "Measure", "loss_weights", "sub_losses"]


class LossWeights(NamedTuple):
    """The loss of each output as a weighted sum of parts: losses of heads, and KL divergences.

    Attributes:
        parts: The names of the parts: the outputs, then the decoders whose divergence is part of
            some loss.
        rows: The weight of each part, for each output.
    """

    parts: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]

    def pulled(self, pulls: Mapping[str, float]) -> list[float]:
        """Return the weight of each part in the sum of the outputs' losses times their pulls.

        An output without a pull counts 0.
        """
        # The first parts are the outputs, in the order of the rows.
        factors = [pulls.get(output, 0.0) for output in self.parts[: len(self.rows)]]
        return [sum(map(mul, factors, column)) for column in zip(*self.rows, strict=True)]


def loss_weights(model: Model, problem: Problem) -> LossWeights:
    """Return the weight of each part in the loss of each output.

    The weights include the problem's ``loss_scale``. By default the best constant prediction then
    has a loss of 1.
    """
    weights = {
        name: {name: 1.0, **_divergence_weights(model, problem, name)} for name in model.outputs
    }
    decoders = [
        name
        for name in model.order
        if name not in model.outputs and any(name in row for row in weights.values())
    ]
    parts = (*model.outputs, *decoders)
    rows = []
    for output, row in weights.items():
        scale = problem.loss_scale[output]
        rows.append(tuple(scale * row.get(part, 0.0) for part in parts))
    return LossWeights(parts, tuple(rows))


def _divergence_weights(model: Model, problem: Problem, output: str) -> dict[str, float]:
    """Return the weight of each decoder's divergence in the loss of one output, if it has any."""
    weight = problem.outputs[output].divergence_weight
    if weight == 0:
        return {}
    return {name: share * weight for name, share in model.divergences(output)}


def sub_losses(
    model: Model, problem: Problem
) -> Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Latents], Tensor]:
    """Return a function from results, targets and latents to the loss of every output.

    Its result has the shape (outputs,), and autograd can differentiate it.
    """
    weights = loss_weights(model, problem)
    matrix = next(model.parameters()).new_tensor(weights.rows)

    def losses(
        results: Mapping[str, Tensor], targets: Mapping[str, Tensor], latents: Latents
    ) -> Tensor:
        parts = [problem.outputs[name].loss(results[name], targets[name]) for name in model.outputs]
        parts += [latents.divergence(name) for name in weights.parts[len(parts) :]]
        return matrix @ torch.stack(parts)

    return losses
