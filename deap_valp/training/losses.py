"""The losses of a step, for autograd and in closed form.

References:
    Paper III: the losses of the outputs are added up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import mul
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..model import Latents, Model, generation_outputs
from ..problem import Classification, Generation, OutputKind, Problem, Regression

Measure = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, float]]
"""From head and target to the loss, its gradient, and a factor that the gradient is still to be multiplied by.

The head, shape (batch, width), is the measure's to overwrite.
"""


class LossWeights(NamedTuple):
    """How the loss of each output is made of its head's and of divergences.

    Attributes:
        parts: The outputs, then the decoders with a divergence in some loss.
        rows: For each output, the weight of each part.
    """

    parts: tuple[str, ...]
    rows: tuple[tuple[float, ...], ...]

    def pulled(self, pulls: Mapping[str, float]) -> list[float]:
        """Weight of each part in the sum of the losses, each times its output's pull; an output without has 0.

        The first parts are the outputs, in the order of the rows.
        """
        factors = [pulls.get(output, 0.0) for output in self.parts[: len(self.rows)]]
        return [sum(map(mul, factors, column)) for column in zip(*self.rows, strict=True)]


def loss_weights(model: Model, problem: Problem) -> LossWeights:
    """Divided by the constant predictor's loss unless the problem says otherwise, so that 1 is "knows nothing"."""
    shares = {
        output: {name: share * problem.outputs[output].kl_weight for name, share in model.divergences(output)}
        for output in generation_outputs(model)
    }
    decoders = tuple(name for name in model.order if any(name in decoders for decoders in shares.values()))
    rows = []
    for output in model.outputs:
        own = {name: share / model.components[output].width for name, share in shares.get(output, {}).items()}
        own[output] = 1.0
        rows.append(tuple(problem.loss_scale[output] * own.get(part, 0.0) for part in (*model.outputs, *decoders)))
    return LossWeights((*model.outputs, *decoders), tuple(rows))


def sub_losses(
    model: Model, problem: Problem
) -> Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Latents], Tensor]:
    """A function from results, targets and latents to the loss of every output, shape (outputs,), for autograd."""
    weights = loss_weights(model, problem)
    matrix = next(model.parameters()).new_tensor(weights.rows)

    def losses(results: Mapping[str, Tensor], targets: Mapping[str, Tensor], latents: Latents) -> Tensor:
        parts = [problem.outputs[name].loss(results[name], targets[name]) for name in model.outputs]
        parts += [latents.divergence(name) for name in weights.parts[len(parts) :]]
        return matrix @ torch.stack(parts)

    return losses


# ---- closed forms ----------------------------------------------------------------------------------------------------


def squared_error(head: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
    """Mean squared error."""
    difference = head.sub_(target)
    flat = difference.flatten()
    return flat.dot(flat) / flat.numel(), difference, 2 / flat.numel()


def cross_entropy(head: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
    """Softmax cross-entropy of class indices."""
    logarithms = head.t().log_softmax(0)
    loss = functional.nll_loss(logarithms.t(), target)
    gradient = logarithms.exp_().scatter_(0, target[None], -1, reduce="add")  # softmax less the one-hot target
    return loss, gradient.t(), 1 / len(target)


def by_autograd(loss: Callable[[Tensor, Tensor], Tensor]) -> Measure:
    """Whatever a user wrote."""

    def measure(head: Tensor, target: Tensor) -> tuple[Tensor, Tensor, float]:
        with torch.enable_grad():
            head = head.contiguous().detach().requires_grad_()
            value = loss(head, target)
            (gradient,) = torch.autograd.grad(value, head)
        return value.detach(), gradient, 1.0

    return measure


CLOSED_FORMS: dict[type[OutputKind], Measure] = {
    Classification: cross_entropy,
    Regression: squared_error,
    Generation: squared_error,
}


def measure_of(kind: OutputKind) -> Measure:
    """The closed form of the kind's own loss; autograd's gradient of a user's loss or kind."""
    closed = CLOSED_FORMS.get(type(kind))  # not of a subclass, which may have a loss of its own
    return by_autograd(kind.loss) if closed is None or "loss" in kind.functions() else closed
