"""Functional gradients: which way each receiver would have to move to help each output.

References:
    GradMax (Evci et al. 2022) and Growing Tiny Networks (Verbockhaven et al. 2024) grow networks
    along them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor

from ..problem import Problem, Split
from ..training.losses import sub_losses
from ..training.model import Latents, Model

Place = tuple[str, str]
"""A receiver (a sub-network or an output), and an output that it reaches."""


def functional_gradients(
    model: Model, problem: Problem, data: Split, rows: Mapping[str, Tensor | None]
) -> tuple[dict[str, Tensor], dict[Place, Tensor]]:
    """Return what a model computes on some examples, and its functional gradients there.

    Let ``pre`` be what the blocks and the entry bias of a receiver add up to. The functional
    gradient of an example is minus the derivative of the output's loss of that example by ``pre``:
    the direction in which ``pre`` would have to move. Latents are at their mean, so nothing is
    drawn. The model is not changed: a copy gets an entry bias for each example, and one backward
    pass for each output gives the gradients of all receivers at once.

    Args:
        model: The model.
        problem: The problem, which has the losses.
        data: The examples.
        rows: By output, the examples that have a target of it; None where all have one.

    Returns:
        The features and results by component, shape (examples, width), and the gradients by
        (receiver, output that it reaches), shape (examples with a target of the output, rows of the
        receiver).
    """
    twin = copy.copy(model)
    twin.tensors = {key: tensor.detach() for key, tensor in model.tensors.items()}
    biases = {}
    for name in model.order:
        bias = twin.tensors[model.entry_bias[name]].expand(data.size, -1)
        biases[name] = twin.tensors[model.entry_bias[name]] = bias.requires_grad_()
    latents, gradients = Latents("reconstruct"), {}
    with torch.enable_grad():
        results = twin.run(data.inputs, latents)
        losses_of = sub_losses(model, problem, data.weights)
        losses = losses_of(results, data.targets, latents, data.weights).unbind()
    for output, loss in zip(model.outputs, losses, strict=True):
        receivers = [name for name in model.order if output in model.behind(name)]
        found = torch.autograd.grad(
            loss,
            [biases[name] for name in receivers],
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
    detached = {name: result.detach() for name, result in results.items()}
    return {**detached, **data.inputs}, gradients
