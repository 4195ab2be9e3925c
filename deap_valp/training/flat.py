"""The parameters of a model in one buffer, so that one kernel can update all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..genome import Connection
from .model import Model


class Slot(NamedTuple):
    """A tensor of the model, or several adjacent ones seen as one, with the memory of its gradient.

    Attributes:
        value: The parameters.
        gradient: The gradient, of the same shape.
    """

    value: Tensor
    gradient: Tensor


class Flat:
    """The parameters of a model in one buffer, and their gradients in another.

    One fused kernel can then update all parameters. A step on 40 small tensors costs several times
    as much.

    Args:
        model: The model. Its parameters become views of the buffer.
        order: The names of all parameters, in their order in the buffer.

    Attributes:
        order: The names of all parameters, in their order in the buffer.
        parameter: The buffer of the parameters, one row of numbers.
        gradient: The buffer of their gradients, of the same shape.
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
        """Return a tensor by its name, or several adjacent ones as one.

        Several tensors must have the same columns; their rows are put one below the other.
        """
        part = slice(self._parts[keys[0]].start, self._parts[keys[-1]].stop)
        value = self._view(keys[0], self.parameter.data[part])
        return Slot(value, self._view(keys[0], self.gradient[part]))

    def _view(self, key: str, part: Tensor) -> Tensor:
        """Return a part of a buffer in the shape of a tensor, with any number of rows."""
        rows, *columns = self._shapes[key]
        if key in self._turned:
            return part.view(-1, rows).t()
        return part.view(-1, *columns)

    def view(self, key: str, buffer: Tensor) -> Tensor:
        """Return a tensor in its own shape, from another buffer of this layout."""
        return self._view(key, buffer[self._parts[key]])

    def stretch(self, keys: Sequence[str], buffer: Tensor) -> Tensor:
        """Return adjacent tensors as one row of numbers, from a buffer of this layout."""
        return buffer[self._parts[keys[0]].start : self._parts[keys[-1]].stop]


def _heads(model: Model) -> list[str]:
    """Return the names of the blocks through which outputs read their providers."""
    heads: list[str] = []
    for output in model.outputs:
        heads += [Connection(provider, output) for provider in model.providers[output]]
    return heads


def _tall(shape: torch.Size) -> bool:
    """Return whether a block has more rows than columns, as the head of an image has.

    Such a block is stored transposed. The product that gives its gradient then takes two thirds of
    the time, measured at 20 columns.
    """
    return len(shape) == 2 and shape[0] > shape[1]
