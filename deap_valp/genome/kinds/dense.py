"""Stacks of fully connected layers: what the shipped kinds have in common."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import torch
from torch import Tensor

from ..activations import ACTIVATIONS, Layer
from ..weights import (
    added,
    initial,
    more_columns,
    more_rows,
    new_generator,
    paired,
    read_pair,
    relu_pair,
)
from .base import Calculator, Change, Made, Part, SubNetwork, Value, new_id
from .settings import Layout, Limits

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Dense(SubNetwork):
    """A stack of fully connected layers. The first layer reads the providers through the blocks."""

    layers: tuple[Layer, ...]

    first: ClassVar[int] = 1
    """The index of the first layer that has a weight of its own, and does not read the blocks."""

    @property
    def width(self) -> int:
        """The number of units of the last layer."""
        return self.layers[-1].width

    @property
    def rows(self) -> int:
        """The number of units of the layer that reads the providers."""
        return self.layers[0].width

    @property
    def entry_gain(self) -> float:
        """The gain of the layer that reads the providers."""
        return self.layers[0].gain

    @property
    def nonnegative(self) -> bool:
        """Whether the result of the last layer is never negative."""
        return self.layers[-1].nonnegative

    def widths(self) -> tuple[int, ...]:
        """Return the widths of its layers from first to last."""
        return tuple(layer.width for layer in self.layers)

    def width_before(self, index: int) -> int:
        """Return the number of columns of the weight of a layer: the width of what it reads."""
        return self.layers[index - 1].width

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes: that of the first bias, then weight and bias of each further layer."""
        shapes: dict[str, tuple[int, ...]] = {self.entry_bias: (self.rows,)}
        for index in range(self.first, len(self.layers)):
            width = self.layers[index].width
            shapes[f"{index}.weight"] = width, self.width_before(index)
            shapes[f"{index}.bias"] = (width,)
        return shapes

    def gain_of(self, tensor: str) -> float:
        """Return the gain of the layer that the weight belongs to."""
        return self.layers[int(tensor.partition(".")[0])].gain

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Apply the first layer's activation, then the other layers."""
        return self._pass_layers(calculator.activate(pre, self.layers[0]), calculator)

    def _pass_layers(self, hidden: Value, calculator: Calculator[Value]) -> Value:
        for index in range(self.first, len(self.layers)):
            hidden = calculator.activate(calculator.dense(hidden, index), self.layers[index])
        return hidden

    def fault(self) -> str:
        """Return a message if there is no layer or an activation is not one of ``ACTIVATIONS``."""
        names = [layer.activation for layer in self.hidden_layers()]
        if not self.layers or not set(names) <= set(ACTIVATIONS):
            return f"needs layers with activations among {list(ACTIVATIONS)}, got {self}"
        return ""

    def hidden_layers(self) -> tuple[Layer, ...]:
        """Return the layers that operators may change."""
        return self.layers

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return a sub-network of random layers."""
        return cls(id=new_id(), layers=layout.draw_layers())

    def __str__(self) -> str:
        layers = "-".join(f"{layer.width} {layer.activation}" for layer in self.layers)
        return f"{self.kind} {layers}"

    # -- surgery

    def _stages(self) -> list[str]:
        return [str(index) for index in range(len(self.hidden_layers()))]

    def unit_places(self) -> list[str]:
        """Return the layers that operators may change."""
        return self._stages()

    def units_of(self, stage: str) -> int:
        """Return the number of units of a layer."""
        return self.layers[int(stage)].width

    def resized(self, part: Part, stage: str, units: int, rows: Change, columns: Change) -> Part:
        """Return the part with other units in a layer."""
        index = int(stage)
        part = self._with_columns(self._with_rows(part, index, rows), index, columns)
        layers = list(self.layers)
        layers[index] = replace(layers[index], width=units)
        return replace(part, component=replace(self, layers=tuple(layers)))

    def wide_places(self, limits: Limits) -> list[str]:
        """Return the layers below the limit of width."""
        return [stage for stage in self._stages() if self.units_of(stage) < limits.width]

    def widened(self, part: Part, stage: str, limits: Limits, gentle: bool) -> Part:
        """Add units to a layer, up to half its width.

        Gentle: a new unit copies a random one, and every weight that reads the unit is split
        between the two. Aggressive: new units are random.
        """
        width = self.units_of(stage)
        wider = Wider(width, limits.width, gentle)
        return self.resized(part, stage, width + wider.added, wider.rows, wider.columns)

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers after which one can be added.

        The gentle layer may be twice as wide as the one before it, and must keep the limit.
        """
        if len(self.layers) >= limits.layers:
            return []
        return [
            stage
            for stage in self._stages()
            if not gentle or self.units_of(stage) * self._signs(stage) <= limits.width
        ]

    def _signs(self, stage: str) -> int:
        """Return the relu units that pass on one unit: 2 if it may be negative, otherwise 1."""
        return 1 if self.layers[int(stage)].nonnegative else 2

    def deepened(self, part: Part, stage: str, layout: Layout, gentle: bool) -> Part:
        """Add a layer after a stage.

        Gentle: a relu layer that passes on what it reads, the positive and, if there is one, the
        negative part. Aggressive: a random layer of the same width, so that no other weight has to
        change.
        """
        width, signs = self.units_of(stage), self._signs(stage)
        index = self._index(stage) + 1
        if gentle:
            new = Layer(width * signs, "relu")
            weight = torch.eye(width) if signs == 1 else relu_pair(torch.eye(width))
        else:
            new = Layer(width, random.choice(layout.activations))
            weight = initial(width, width, width, new.gain, new_generator())
        if gentle and signs == 2:
            part = self._with_columns(part, index - 1, made_pair)
        tensors = renumbered(part.tensors, index, 1)
        tensors |= {f"{index}.weight": weight, f"{index}.bias": torch.zeros(new.width)}
        layers = (*self.layers[:index], new, *self.layers[index:])
        return replace(part, component=replace(self, layers=layers), tensors=tensors)

    def spare_places(self) -> list[str]:
        """Return all layers, or none if there is only one."""
        return self._stages() if len(self.layers) > 1 else []

    def shortened(self, part: Part, stage: str) -> Part:
        """Remove a layer; the other layers stay the same.

        The next layer, or every receiver, then reads what is before the removed layer. It keeps
        its weights if the two widths are equal; otherwise they are random.
        """
        index = int(stage)
        layers = (*self.layers[:index], *self.layers[index + 1 :])
        shorter = replace(self, layers=layers)
        if index < self.first:
            return self._without_entry(part, shorter)
        tensors = dict(part.tensors)
        del tensors[f"{index}.weight"], tensors[f"{index}.bias"]
        tensors = renumbered(tensors, index + 1, -1)
        before, gone = self.width_before(index), self.layers[index].width
        leaving = part.leaving
        if before != gone and index == len(layers):
            leaving = dict.fromkeys(part.leaving)
        elif before != gone:
            rows, gain = layers[index].width, layers[index].gain
            tensors[f"{index}.weight"] = initial(rows, before, before, gain, new_generator())
        return replace(part, component=shorter, tensors=tensors, leaving=leaving)

    def _without_entry(self, part: Part, shorter: Self) -> Part:
        """Remove the layer that reads the providers, so that the next one reads them."""
        tensors = dict(part.tensors)
        del tensors["0.bias"], tensors["1.weight"]
        tensors = renumbered(tensors, 1, -1)
        entering = part.entering
        if shorter.rows != self.rows:
            entering = dict.fromkeys(part.entering)
        return replace(part, component=shorter, tensors=tensors, entering=entering)

    def _index(self, stage: str) -> int:
        return int(stage)

    def _with_rows(self, part: Part, index: int, change: Change) -> Part:
        """Change every tensor whose rows are the units of a layer, with the bias."""
        if index >= self.first:
            part = part.with_tensor(f"{index}.weight", change)
            return part.with_tensor(f"{index}.bias", change)
        return part.with_tensor(self.entry_bias, change).with_entering(change)

    def _with_columns(self, part: Part, index: int, change: Change) -> Part:
        """Change every tensor whose columns are the units of a layer."""
        if index == len(self.layers) - 1:
            return part.with_leaving(change)
        return part.with_tensor(f"{index + 1}.weight", change)


class Wider:
    """The new units of one layer: their number, and the units that they copy if gentle."""

    def __init__(self, width: int, limit: int, gentle: bool) -> None:
        self.added = random.randint(1, min(max(1, width // 2), limit - width))
        self.gentle, self.generator = gentle, new_generator()
        self.copied = torch.randperm(width, generator=self.generator)[: self.added]

    def rows(self, tensor: Tensor) -> Made:
        """Make a weight or bias with rows for the new units."""
        new = more_rows(tensor, self.copied, self.gentle, self.generator)
        return Made(new, tensor, added(0, len(tensor), self.copied, float(self.gentle)))

    def columns(self, tensor: Tensor) -> Made:
        """Make a weight with columns through which the new units are read."""
        new = more_columns(tensor, self.copied, self.gentle, self.generator)
        return Made(new, tensor, added(1, tensor.shape[1], self.copied, float(self.gentle)))


def made_pair(tensor: Tensor) -> Made:
    """Make the columns that read both signs of a signal as the tensor reads the signal."""
    return Made(read_pair(tensor), tensor, paired(1, tensor.shape[1]))


def renumbered(tensors: Mapping[str, Tensor], first: int, by: int) -> dict[str, Tensor]:
    """Return the tensors with ``by`` added to the number of each layer from ``first`` on."""
    moved = {}
    for name, tensor in tensors.items():
        stage, _, part = name.partition(".")
        if stage.isdecimal() and int(stage) >= first:
            name = f"{int(stage) + by}.{part}"
        moved[name] = tensor
    return moved
