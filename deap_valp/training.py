"""The training loop, visible from top to bottom.

The host never waits for the device inside the loop: batches are slices of resident data, losses stay where they are
computed. A step on ``device="meta"`` proves it, since anything else raises there.

References:
    Paper III (losses combined by addition), V-C (an SGD algorithm and learning rate for each output).
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from . import device as devices
from .genome import Optimizer
from .model import Latents, Model, generation_outputs
from .optimizers import make_optimizer
from .problem import Problem


def train(
    model: Model,
    problem: Problem,
    batches: int,
    batch_size: int,
    optimizers: Mapping[str, Optimizer],
    seed: int,
) -> Tensor:
    """Train the model in place.

    Args:
        model: The decoded individual; its device is where everything happens.
        problem: Gives the data and the losses.
        batches: Number of steps.
        batch_size: Examples of a step; at most the whole training split.
        optimizers: SGD algorithm and learning rate of every output.
        seed: Of the order of the batches and of the latents' noise.

    Returns:
        The loss of every output at every step, before the step was taken, shape (batches, outputs), on the device.
        Divided by the constant predictor's loss unless the problem says otherwise, so that 1 is "knows nothing".
    """
    device = next(model.parameters()).device
    data = problem.split("train", device)
    batch_size = min(batch_size, data.size)
    generator = devices.generator(device, seed)
    losses_of = sub_losses(model, problem)
    step = make_step(model, optimizers)
    history = torch.empty(batches, len(model.outputs), device=device)
    for index, start in enumerate(batch_starts(data.size, batch_size, batches, seed)):
        batch = slice(start, start + batch_size)
        features = {name: data.inputs[name][batch] for name in model.inputs}
        targets = {name: data.targets[name][batch] for name in model.outputs}
        latents = Latents("train", model.draw_noise(batch_size, generator) if model.latents else None)
        losses = losses_of(model.run(features, latents), targets, latents)
        history[index] = losses.detach()
        step(losses)
    return history


def batch_starts(size: int, batch_size: int, batches: int, seed: int) -> list[int]:
    """Where each batch starts in the training split, which is stored shuffled.

    Batches are slices, for a gather of random rows would cost more than the step it feeds. Each epoch shifts them by
    a random offset and takes them in a random order.
    """
    rng = random.Random(seed)
    starts: list[int] = []
    while len(starts) < batches:
        offset = rng.randint(0, size % batch_size if size < 2 * batch_size else batch_size - 1)
        epoch = list(range(offset, size - batch_size + 1, batch_size))
        rng.shuffle(epoch)
        starts += epoch
    return starts[:batches]


def sub_losses(
    model: Model, problem: Problem
) -> Callable[[Mapping[str, Tensor], Mapping[str, Tensor], Latents], Tensor]:
    """A function from results, targets and latents to the loss of every output, shape (outputs,)."""
    generative = set(generation_outputs(model))
    divergences = {name: model.divergences(name) if name in generative else () for name in model.outputs}
    first = next(model.parameters())
    scale = torch.tensor([problem.loss_scale[name] for name in model.outputs], dtype=first.dtype, device=first.device)

    def losses(results: Mapping[str, Tensor], targets: Mapping[str, Tensor], latents: Latents) -> Tensor:
        each = []
        for name in model.outputs:
            loss = problem.outputs[name].loss(results[name], targets[name])
            for decoder, share in divergences[name]:
                loss = loss + latents.divergence(decoder) * (share / model.components[name].width)
            each.append(loss)
        return torch.stack(each) * scale

    return losses


# ---- the step: from losses to new weights --------------------------------------------------------------------


class Flat:
    """The parameters of a model laid out in one buffer, and their gradients in another.

    One fused kernel then updates all of them; a step on 40 small tensors costs several times as much.
    """

    def __init__(self, model: Model) -> None:
        parameters = list(model.parameters())
        self.parameter = nn.Parameter(torch.cat([parameter.detach().reshape(-1) for parameter in parameters]))
        self.parameter.grad = torch.zeros_like(self.parameter)
        self.slices: dict[int, slice] = {}
        start = 0
        for parameter in parameters:
            part = slice(start, start + parameter.numel())
            self.slices[id(parameter)] = part
            parameter.data = self.parameter.data[part].view_as(parameter)
            parameter.grad = self.parameter.grad[part].view_as(parameter)
            start = part.stop

    def mask(self, model: Model, names: frozenset[str]) -> Tensor:
        """1 where a weight belongs to one of these components, else 0, shape of the buffer."""
        mask = torch.zeros_like(self.parameter.data)
        for name in sorted(names):
            for tensor in model.tensors_of(name).values():
                mask[self.slices[id(tensor)]] = 1
        return mask


def make_step(model: Model, optimizers: Mapping[str, Optimizer]) -> Callable[[Tensor], None]:
    """A function that takes one step on the losses: jointly where all outputs agree, else each with its own."""
    settings = [optimizers[name] for name in model.outputs]
    flat = Flat(model)
    return _joint_step(flat, settings[0]) if len(set(settings)) == 1 else _separate_step(model, flat, settings)


def _joint_step(flat: Flat, setting: Optimizer) -> Callable[[Tensor], None]:
    optimizer = make_optimizer(setting.name, setting.learning_rate, flat.parameter)
    gradient = flat.parameter.grad
    assert gradient is not None

    def step(losses: Tensor) -> None:
        gradient.zero_()
        losses.sum().backward()
        optimizer.step()

    return step


def _separate_step(model: Model, flat: Flat, settings: Sequence[Optimizer]) -> Callable[[Tensor], None]:
    """Each output's optimizer proposes an update of that output's subgraph; a shared weight moves by the mean.

    The mean, since a sum would more than double the step of a shared weight; so changing one rate slightly changes
    training slightly.
    """
    gradient = flat.parameter.grad
    assert gradient is not None
    trials = [nn.Parameter(flat.parameter.detach().clone()) for _ in settings]
    steppers = [make_optimizer(s.name, s.learning_rate, trial) for s, trial in zip(settings, trials, strict=True)]
    masks = [flat.mask(model, model.subgraph(name)) for name in model.outputs]
    shares = torch.stack(masks).sum(0).clamp(min=1)
    weights = [mask / shares for mask in masks]

    def step(losses: Tensor) -> None:
        current = flat.parameter.data
        moved = torch.zeros_like(current)
        for index, (loss, trial, optimizer) in enumerate(zip(losses.unbind(), trials, steppers, strict=True)):
            gradient.zero_()
            loss.backward(retain_graph=index < len(trials) - 1)
            trial.data.copy_(current)
            trial.grad = gradient
            optimizer.step()
            moved += (trial.data - current) * weights[index]
        current += moved

    return step
