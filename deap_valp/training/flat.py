"""The parameters of a model in one buffer, and the step that updates it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..genome import Connection, Optimizer
from ..genome.optimizers import make_optimizer
from .model import Model


class Slot(NamedTuple):
    """A tensor of the model, or several that lie one after the other as one, and the memory of its gradient."""

    value: Tensor
    gradient: Tensor


class Flat:
    """The parameters of a model laid out in one buffer, and their gradients in another.

    One fused kernel then updates all of them; a step on 40 small tensors costs several times as
    much.

    Args:
        model: Its parameters become views of the buffer.
        order: Names of all parameters as they are to lie.
    """

    def __init__(self, model: Model, order: Sequence[str]) -> None:
        self._shapes = {key: model.tensors[key].shape for key in order}
        self._turned = {key for key in _heads(model) if _tall(self._shapes[key])}
        stored = [
            model.tensors[key].detach().t() if key in self._turned else model.tensors[key]
            for key in order
        ]
        self.parameter = nn.Parameter(torch.cat([tensor.detach().reshape(-1) for tensor in stored]))
        self.gradient = self.parameter.grad = torch.zeros_like(self.parameter.data)
        self._parts: dict[str, slice] = {}
        start = 0
        for key, shape in self._shapes.items():
            self._parts[key] = slice(start, start := start + shape.numel())
            model.tensors[key].data = self.slot(key).value

    def slot(self, *keys: str) -> Slot:
        """A tensor by name; several that follow each other and differ in their rows alone as one."""
        part = slice(self._parts[keys[0]].start, self._parts[keys[-1]].stop)
        return Slot(
            *(self._view(keys[0], buffer[part]) for buffer in (self.parameter.data, self.gradient))
        )

    def _view(self, key: str, part: Tensor) -> Tensor:
        rows, *columns = self._shapes[key]
        return part.view(-1, rows).t() if key in self._turned else part.view(-1, *columns)

    def mask(self, keys: Iterable[str]) -> Tensor:
        """1 where a weight belongs to one of these tensors, else 0, shape of the buffer."""
        mask = torch.zeros_like(self.gradient)
        for key in keys:
            mask[self._parts[key]] = 1
        return mask


def _heads(model: Model) -> list[str]:
    """Return the blocks through which outputs read."""
    heads: list[str] = []
    for output in model.outputs:
        heads += [Connection(provider, output) for provider in model.providers[output]]
    return heads


def _tall(shape: torch.Size) -> bool:
    # the wide head of an image is stored turned: its gradient's product then takes two thirds of
    # the time at 20 units
    return len(shape) == 2 and shape[0] > shape[1]


# ---- the step: from gradients to new weights -----------------------------------------------------


def make_step(
    model: Model, flat: Flat, optimizers: Mapping[str, Optimizer]
) -> Callable[[], object]:
    """A function that takes one step along the gradient of the summed losses.

    Each output's algorithm and rate propose an update of that output's subgraph, and a weight moves
    by the mean of its outputs' proposals. All propose from the one gradient, so where they agree,
    this is the step of one optimizer, and changing one rate slightly changes training slightly.

    References:
        Paper V-C, change_lr and change_sgd.
    """
    settings = list(dict.fromkeys(optimizers[name] for name in model.outputs))
    if len(settings) == 1:
        return make_optimizer(settings[0].name, settings[0].learning_rate, flat.parameter).step
    trials = [nn.Parameter(flat.parameter.detach().clone()) for _ in settings]
    steppers = [
        make_optimizer(s.name, s.learning_rate, trial)
        for s, trial in zip(settings, trials, strict=True)
    ]
    shares = _shares(
        model, flat, [[name for name in model.outputs if optimizers[name] == s] for s in settings]
    )
    moved = torch.zeros_like(flat.gradient)

    def step() -> None:
        current = flat.parameter.data
        moved.zero_()
        for trial, optimizer, share in zip(trials, steppers, shares, strict=True):
            trial.data.copy_(current)
            trial.grad = flat.gradient
            optimizer.step()
            moved.addcmul_(trial.data.sub_(current), share)
        current.add_(moved)

    return step


def _shares(model: Model, flat: Flat, groups: Sequence[Sequence[str]]) -> list[Tensor]:
    """For each group of outputs, its part of the outputs that each weight can reach."""
    reached = {
        output: flat.mask(key for name in model.subgraph(output) for key in model.tensors_of(name))
        for output in model.outputs
    }
    all_of_them = torch.stack(list(reached.values())).sum(0)
    return [
        torch.stack([reached[output] for output in group]).sum(0) / all_of_them for group in groups
    ]
