"""Functional gradients: which way each receiver would have to move to help each output.

References:
    GradMax (Evci et al. 2022) and Growing Tiny Networks (Verbockhaven et al. 2024) grow networks
    along them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from ..problem import Problem, Split
from ..training.losses import sub_losses
from ..training.model import Latents, Model

Place = tuple[str, str]
"""A receiver (a sub-network or an output), and an output that it reaches."""


class Pass(NamedTuple):
    """What a model computes on some examples, with all that a backward pass needs.

    Attributes:
        results: The features and results by component, shape (examples, width).
        latents: The moments of the latents, which are at their mean, so that nothing is drawn.
        biases: By receiver, its entry bias for each example, shape (examples, rows).
        traced: The results that autograd can differentiate by the biases.
    """

    results: dict[str, Tensor]
    latents: Latents
    biases: dict[str, Tensor]
    traced: dict[str, Tensor]

    @classmethod
    def of(cls, model: Model, data: Split) -> Pass:
        """Run a copy of the model that has an entry bias for each example."""
        twin, biases, latents = copy.copy(model), {}, Latents("reconstruct")
        # A metric may write to the model's tensors before a backward pass reads these.
        twin.tensors = {key: tensor.detach().clone() for key, tensor in model.tensors.items()}
        for name in model.order:
            bias = twin.tensors[model.entry_bias[name]].expand(data.size, -1)
            biases[name] = twin.tensors[model.entry_bias[name]] = bias.requires_grad_()
        with torch.enable_grad():
            traced = twin.run(data.inputs, latents)
        results = {name: result.detach() for name, result in traced.items()}
        return cls({**results, **data.inputs}, latents, biases, traced)


def functional_gradients(
    model: Model,
    problem: Problem,
    data: Split,
    rows: Mapping[str, Tensor | None],
    made: Pass,
) -> dict[Place, Tensor]:
    """Return the functional gradients of a model on some examples.

    Let ``pre`` be what the blocks and the entry bias of a receiver add up to. The functional
    gradient of an example is minus the derivative of the output's loss of that example by ``pre``:
    the direction in which ``pre`` would have to move. One backward pass for each output gives the
    gradients of all receivers at once.

    Args:
        model: The model.
        problem: The problem, which has the losses.
        data: The examples.
        rows: By output, the examples that have a target of it; None where all have one.
        made: What the model computes on the examples.

    Returns:
        The gradients by (receiver, output that it reaches), shape (examples with a target of the
        output, rows of the receiver).
    """
    gradients = {}
    with torch.enable_grad():
        losses_of = sub_losses(model, problem, data.weights)
        losses = losses_of(made.traced, data.targets, made.latents, data.weights).unbind()
    for output, loss in zip(model.outputs, losses, strict=True):
        receivers = [name for name in model.order if output in model.behind(name)]
        found = torch.autograd.grad(
            loss,
            [made.biases[name] for name in receivers],
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        chosen = rows[output]
        for name, gradient in zip(receivers, found, strict=True):
            if chosen is not None:
                gradient = gradient[chosen]
            # The loss is a mean over the examples; the loss of each example alone is meant.
            gradients[name, output] = gradient * -len(gradient)
    return gradients
