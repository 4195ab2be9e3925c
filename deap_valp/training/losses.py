"""The losses of a training step, and their sum.

An output kind defines the loss of its head. Here the KL divergence of the latents is added.

References:
    Paper III: the losses of the outputs are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from operator import mul
from typing import NamedTuple

import torch
from torch import Tensor

from ..problem import Problem
from ..problem.losses import Differentiated
from .model import Latents, Model

__all__ = [
    "Differentiated",
    "Divergence",
    "LossWeights",
    "loss_weights",
    "sub_losses",
]


class Divergence(NamedTuple):
    """The KL divergence of a decoder, by the weights that an output gives the examples."""

    decoder: str
    output: str


class LossWeights(NamedTuple):
    """The loss of each output as a weighted sum of parts: losses of heads, and KL divergences.

    Attributes:
        parts: The parts: names of the outputs, then of the decoders whose divergence is part of
            some loss, then the divergences by the example weights of an output.
        rows: The weight of each part, for each output.
    """

    parts: tuple[str | Divergence, ...]
    rows: tuple[tuple[float, ...], ...]

    def pulled(self, pulls: Mapping[str, float]) -> list[float]:
        """Return the weight of each part in the sum of the outputs' losses times their pulls.

        An output without a pull counts 0.
        """
        # The first parts are the outputs, in the order of the rows.
        outputs = [str(output) for output in self.parts[: len(self.rows)]]
        factors = [pulls.get(output, 0.0) for output in outputs]
        return [sum(map(mul, factors, column)) for column in zip(*self.rows, strict=True)]


def loss_weights(model: Model, problem: Problem, weighted: Collection[str] = ()) -> LossWeights:
    """Return the weight of each part in the loss of each output.

    The weights include the problem's ``loss_scale``. By default the best constant prediction then
    has a loss of 1.

    Args:
        model: The model.
        problem: The problem, which has the losses.
        weighted: The outputs whose examples do not all weigh the same.
    """
    shares = {name: _divergence_weights(model, problem, name) for name in model.outputs}
    plain = [row for name, row in shares.items() if name not in weighted]
    decoders = [
        name
        for name in model.order
        if name not in model.outputs and any(name in row for row in plain)
    ]
    own = [
        Divergence(decoder, name)
        for name, row in shares.items()
        if name in weighted
        for decoder in row
    ]
    parts: tuple[str | Divergence, ...] = (*model.outputs, *decoders, *own)
    rows = []
    for output, row in shares.items():
        found: dict[str | Divergence, float] = {output: 1.0}
        for decoder, share in row.items():
            found[Divergence(decoder, output) if output in weighted else decoder] = share
        scale = problem.loss_scale[output]
        rows.append(tuple(scale * found.get(part, 0.0) for part in parts))
    return LossWeights(parts, tuple(rows))


def _divergence_weights(model: Model, problem: Problem, output: str) -> dict[str, float]:
    """Return the weight of each decoder's divergence in the loss of one output, if it has any."""
    weight = problem.outputs[output].divergence_weight
    if weight == 0:
        return {}
    return {name: share * weight for name, share in model.divergences(output)}


def sub_losses(
    model: Model, problem: Problem, weighted: Collection[str] = ()
) -> Callable[..., Tensor]:
    """Return a function from results, targets and latents to the loss of every output.

    Its result has the shape (outputs,), and autograd can differentiate it. Its fourth argument are
    the weights of the examples, shape (batch,), of each output in ``weighted``: those of
    ``Split.weights``. Its fifth are losses that are known already, by output, without the KL part.
    """
    weights = loss_weights(model, problem, weighted)
    matrix = next(model.parameters()).new_tensor(weights.rows)
    plain = {name: problem.outputs[name].loss for name in model.outputs if name not in weighted}
    by_weight = {name: problem.outputs[name].weighted_loss for name in weighted}

    def losses(
        results: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        latents: Latents,
        examples: Mapping[str, Tensor] | None = None,
        known: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        examples, known = examples or {}, known or {}
        parts = []
        for name in model.outputs:
            if name in known:
                parts.append(known[name])
            elif name in plain:
                parts.append(plain[name](results[name], targets[name]))
            else:
                parts.append(by_weight[name](results[name], targets[name], examples[name]))
        for part in weights.parts[len(parts) :]:
            if isinstance(part, Divergence):
                parts.append(latents.divergence(part.decoder, examples[part.output]))
            else:
                parts.append(latents.divergence(part))
        return matrix @ torch.stack(parts)

    return losses
