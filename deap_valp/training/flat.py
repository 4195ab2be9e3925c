"""The parameters of a model in one buffer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..genome import Connection
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

    Attributes:
        order: The same.
        parameter: All of them.
        gradient: All of their gradients.
    """

    def __init__(self, model: Model, order: Sequence[str]) -> None:
        self.order = tuple(order)
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

    def view(self, key: str, buffer: Tensor) -> Tensor:
        """A tensor, in its own shape, in another buffer of this layout."""
        return self._view(key, buffer[self._parts[key]])

    def stretch(self, keys: Sequence[str], buffer: Tensor) -> Tensor:
        """Tensors that follow each other, as one row of numbers, in a buffer of this layout."""
        return buffer[self._parts[keys[0]].start : self._parts[keys[-1]].stop]


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
