"""What the kinds with convolutional layers have in common: their layers, and how these change."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..activations import Layer
from ..maps import Convolution, Maps
from ..weights import Selection, initial, new_generator
from .base import Calculator, Change, Made, Part, Value
from .dense import Dense, Wider, made_pair, renumbered
from .settings import Layout, Limits

if TYPE_CHECKING:
    from typing_extensions import Self

KERNEL, FIRST_KERNEL = 3, 5
"""Height and width of new kernels, and of those with which a random sub-network reads images."""

LARGE = 8
"""A layer of a random sub-network halves maps that are higher or wider than this."""

LARGEST_SIZE, LARGEST_KERNEL = 1024, 31


@dataclass(frozen=True)
class Filter(Layer):
    """A convolutional layer: ``width`` channels, their activation and the kernel's geometry.

    Attributes:
        kernel: The height and width of the kernel, an odd number.
        stride: The distance between two positions of the result.
    """

    kernel: int = KERNEL
    stride: int = 1

    def __str__(self) -> str:
        stride = f"/{self.stride}" if self.stride > 1 else ""
        return f"{self.width} {self.activation} {self.kernel}x{self.kernel}{stride}"


@dataclass(frozen=True)
class Filtered(Dense):
    """A stack of convolutional layers. A unit of a layer is a channel.

    A layer may have at most a quarter as many channels as the limit of width says.

    Attributes:
        layers: The layers from first to last.
        size: The height and width that a kind begins with, or ends with.
    """

    layers: tuple[Filter, ...]
    size: tuple[int, int] = (LARGE, LARGE)

    def layer_maps(self) -> list[Maps]:
        """Return the maps of each layer."""
        raise NotImplementedError

    def reading(self, index: int, maps: list[Maps]) -> Convolution:
        """Return how a layer after the first reads the one before it, of the maps of each."""
        raise NotImplementedError

    @property
    def maps(self) -> Maps:
        """The maps of the last layer."""
        return self.layer_maps()[-1]

    @property
    def width(self) -> int:
        """The number of columns of the maps."""
        return self.maps.columns

    def kernels(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of kernels and bias of each layer after the first."""
        maps, shapes = self.layer_maps(), dict[str, tuple[int, ...]]()
        for index in range(1, len(self.layers)):
            shapes[f"{index}.weight"] = self.reading(index, maps).weights
            shapes[f"{index}.bias"] = (self.layers[index].width,)
        return shapes

    def convolved(self, hidden: Value, calculator: Calculator[Value]) -> Value:
        """Apply the first layer's activation, then each further layer."""
        maps, hidden = self.layer_maps(), calculator.activate(hidden, self.layers[0])
        for index in range(1, len(self.layers)):
            hidden = calculator.convolve(hidden, index, self.reading(index, maps))
            hidden = calculator.activate(hidden, self.layers[index])
        return hidden

    def fault(self) -> str:
        """Return a message if a size, a kernel or a stride is not possible, or a layer is wrong."""
        if not all(1 <= side <= LARGEST_SIZE for side in self.size):
            return f"needs a size from 1 to {LARGEST_SIZE}, got {self.size}"
        for layer in self.layers:
            if layer.kernel % 2 == 0 or not 1 <= layer.kernel <= LARGEST_KERNEL:
                return f"needs odd kernels from 1 to {LARGEST_KERNEL}, got {layer}"
            if layer.stride < 1:
                return f"needs strides from 1 on, got {layer}"
        return super().fault()

    def largest_of(self, others: Iterable[Any]) -> Self:
        """Return the description with the size of the largest maps, or as it is without any."""
        sizes = [(other.maps.height, other.maps.width) for other in others if other.maps]
        size = max(sizes, key=lambda size: size[0] * size[1], default=self.size)
        return replace(self, size=size)

    @classmethod
    def draw_filters(cls, layout: Layout, kernel: int) -> tuple[Filter, ...]:
        """Return random layers, with half as many channels as a dense layer would have units."""
        layers = []
        for layer in layout.draw_layers():
            layers.append(Filter(max(1, layer.width // 2), layer.activation, kernel))
            kernel = KERNEL
        return tuple(layers)

    # -- surgery

    def resized(self, part: Part, stage: str, units: int, rows: Change, columns: Change) -> Part:
        """Return the part with other channels in a layer."""
        channels = self.units_of(stage)
        return super().resized(part, stage, units, rows_of(rows), by_channel(columns, channels))

    def wide_places(self, limits: Limits) -> list[str]:
        """Return the layers below a quarter of the limit of width."""
        return [stage for stage in self._stages() if self.units_of(stage) < most_channels(limits)]

    def widened(self, part: Part, stage: str, limits: Limits, gentle: bool) -> Part:
        """Add channels to a layer, up to half as many as it has, as a dense layer gets units."""
        channels = self.units_of(stage)
        wider = Wider(channels, most_channels(limits), gentle)
        return self.resized(part, stage, channels + wider.added, wider.rows, wider.columns)

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers after which one can be added, as for a dense one."""
        return super().deep_places(replace(limits, width=most_channels(limits)), gentle)

    def deepened(self, part: Part, stage: str, layout: Layout, gentle: bool) -> Part:
        """Add a layer of the same size after a stage.

        Gentle: a relu layer whose kernels pass on each channel and, if they may be negative, its
        negative. Aggressive: a random layer with as many channels.
        """
        channels, index = self.units_of(stage), int(stage) + 1
        if gentle:
            weight = identity_of(channels)
            if self._signs(stage) == 2:
                weight = torch.cat([weight, -weight])
                part = self._with_columns(part, index - 1, by_channel(made_pair, channels))
            new = Filter(len(weight), "relu")
        else:
            new = Filter(channels, random.choice(layout.activations))
            fan_in = channels * KERNEL**2
            weight = initial(channels, fan_in, fan_in, new.gain, new_generator())
            weight = weight.view(channels, KERNEL, KERNEL, channels)
        tensors = renumbered(part.tensors, index, 1)
        tensors |= {f"{index}.weight": weight, f"{index}.bias": torch.zeros(new.width)}
        layers = (*self.layers[:index], new, *self.layers[index:])
        return replace(part, component=replace(self, layers=layers), tensors=tensors)

    def removed(self, part: Part, index: int) -> Part:
        """Remove a layer that has kernels of its own.

        The next layer, or the one before the last, takes over its stride, so the maps keep their
        size. What reads the removed layer keeps its weights if it can read the layer before it;
        otherwise they are random.
        """
        tensors = dict(part.tensors)
        del tensors[f"{index}.weight"], tensors[f"{index}.bias"]
        last = index == len(self.layers) - 1
        shorter = self.without(index, index - 1 if last else index + 1)
        leaving = part.leaving
        before, gone = self.layers[index - 1].width, self.layers[index].width
        if last and before != gone:
            leaving = dict.fromkeys(leaving)
        tensors = shorter.fitting(renumbered(tensors, index + 1, -1))
        return replace(part, component=shorter, tensors=tensors, leaving=leaving)

    def without(self, index: int, heir: int) -> Self:
        """Return the description without a layer, whose stride another layer takes over."""
        layers = list(self.layers)
        stride = layers[heir].stride * layers[index].stride
        layers[heir] = replace(layers[heir], stride=stride)
        del layers[index]
        return replace(self, layers=tuple(layers))

    def fitting(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the tensors with random ones in place of those of another shape."""
        drawn = self.initial(new_generator())
        return {
            name: tensors[name] if tensors[name].shape == new.shape else new
            for name, new in drawn.items()
        }


def most_channels(limits: Limits) -> int:
    """Return the largest number of channels of a layer: a quarter of the limit of width."""
    return max(1, limits.width // 4)


def identity_of(channels: int) -> Tensor:
    """Return kernels that pass on each channel, shape (channels, 3, 3, channels)."""
    weight = torch.zeros(channels, KERNEL, KERNEL, channels)
    weight[:, KERNEL // 2, KERNEL // 2] = torch.eye(channels)
    return weight


def rows_of(change: Change) -> Change:
    """Return a change of rows that works on kernels too: each channel's kernels are a row."""

    def changed(tensor: Tensor) -> Made:
        made = change(tensor if tensor.dim() == 1 else tensor.flatten(1))
        new = made.new.view(-1, *tensor.shape[1:])
        return Made(new, tensor, made.selection)

    return changed


def by_channel(change: Change, channels: int) -> Change:
    """Return a change of columns that works on channels, the last part of a tensor's columns.

    Args:
        change: Changes the columns of a tensor of shape (rows, channels).
        channels: The number of channels. The last dimension of kernels is one; the columns of a
            block on flat rows are those of one position after the other.
    """

    def changed(tensor: Tensor) -> Made:
        made = change(tensor.reshape(-1, channels))
        new = made.new.reshape(*tensor.shape[:-1], -1)
        source, factor = made.selection.source, made.selection.factor
        positions = tensor.shape[-1] // channels
        starts = channels * torch.arange(positions)[:, None]
        selection = Selection(
            tensor.dim() - 1, (starts + source).flatten(), factor.repeat(positions)
        )
        return Made(new, tensor, selection)

    return changed
