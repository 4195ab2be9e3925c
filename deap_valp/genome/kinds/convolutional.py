"""The kind for images: a stack of convolutions.

References:
    Not of the paper. LeCun et al. (1989) for convolutions; Springenberg et al. (2015) for strides
    in place of pooling.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..activations import Layer
from ..maps import Convolution, Maps
from ..ports import MAPS, VALUES
from ..weights import Selection, initial, new_generator
from .base import Calculator, Change, Made, Part, Value, new_id
from .dense import Dense, Wider, _read_pair, _renumbered
from .settings import Layout, Limits

if TYPE_CHECKING:
    from typing_extensions import Self

KERNEL, FIRST_KERNEL = 3, 5
"""Height and width of new kernels, and of those that read the providers of a random one."""

LARGE = 8
"""A layer of a random sub-network halves maps that are higher or wider than this."""

CARRIER = 16
"""The largest number of channels of a new path (``carrier``)."""

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
class Convolutional(Dense):
    """A stack of convolutions, which takes maps: of images, and of others of its kind.

    Its result is maps, as flat rows. A receiver of another kind, or an output, reads all of their
    columns. A unit of a layer is a channel; there may be at most a quarter as many as the limit of
    width says.

    Attributes:
        size: The height and width at which the first layer reads maps of any size.
    """

    layers: tuple[Filter, ...]
    size: tuple[int, int]

    kind = "convolutional"
    takes = frozenset({MAPS})
    gives = VALUES
    given = frozenset({VALUES, MAPS})
    carries = True

    def convolution(self, provider: Any) -> Convolution:
        """Return the convolution of the first layer with the maps of a provider."""
        return self._by(0, provider.maps)

    def _by(self, index: int, read: Maps) -> Convolution:
        layer, size = self.layers[index], (read.height, read.width)
        if index == 0:
            size = self.size
        return Convolution(read, size, layer.width, layer.kernel, layer.stride)

    def _maps_after(self, index: int) -> Maps:
        maps = Maps(*self.size, 0)
        for each in range(index + 1):
            maps = self._by(each, maps).result
        return maps

    @property
    def maps(self) -> Maps:
        """The maps of the last layer."""
        return self._maps_after(len(self.layers) - 1)

    @property
    def width(self) -> int:
        """The number of columns of the maps."""
        return self.maps.columns

    @property
    def entry_width(self) -> int:
        """The number of columns of the maps of the first layer."""
        return self._maps_after(0).columns

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes: the first bias, then kernels and bias of each further layer."""
        shapes: dict[str, tuple[int, ...]] = {self.entry_bias: (self.rows,)}
        for index in range(1, len(self.layers)):
            shapes[f"{index}.weight"] = self._by(index, self._maps_after(index - 1)).weights
            shapes[f"{index}.bias"] = (self.layers[index].width,)
        return shapes

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Apply the first layer's activation, then the other layers."""
        hidden = calculator.activate(pre, self.layers[0])
        for index in range(1, len(self.layers)):
            by = self._by(index, self._maps_after(index - 1))
            hidden = calculator.activate(calculator.convolve(hidden, index, by), self.layers[index])
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

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return random layers, with half as many channels as a dense layer would have units."""
        layers, kernel = [], FIRST_KERNEL
        for layer in layout.draw_layers():
            layers.append(Filter(max(1, layer.width // 2), layer.activation, kernel))
            kernel = KERNEL
        return cls(id=new_id(), layers=tuple(layers), size=(LARGE, LARGE))

    def settled(self, providers: Iterable[Any]) -> Self:
        """Take the size of the largest maps; each layer that reads larger maps than 8 x 8 halves.

        A convolutional sub-network that reads nothing yet keeps the size that it has.
        """
        sizes = [(read.maps.height, read.maps.width) for read in providers if read.maps]
        found = replace(
            self, size=max(sizes, key=lambda size: size[0] * size[1], default=self.size)
        )
        side, layers = max(found.size), []
        for layer in found.layers:
            stride = 2 if side > LARGE else 1
            side = -(-side // stride)
            layers.append(replace(layer, stride=stride))
        return replace(found, layers=tuple(layers))

    def __str__(self) -> str:
        layers = "-".join(str(layer) for layer in self.layers)
        return f"{self.kind} {self.size[0]}x{self.size[1]} {layers}"

    @classmethod
    def carrier(cls, units: int) -> Self:
        """Return one relu layer of at most 16 channels."""
        layer = Filter(min(units, CARRIER), "relu", FIRST_KERNEL)
        return cls(id=new_id(), layers=(layer,), size=(LARGE, LARGE))

    @classmethod
    def passing(cls, provider: Any) -> tuple[Self, Tensor]:
        """Return one relu layer, with kernels that pass on the maps and perhaps their negatives."""
        maps: Maps = provider.maps
        block = _identity(maps.channels)
        if not provider.nonnegative:
            block = torch.cat([block, -block])
        layer = Filter(len(block), "relu", KERNEL)
        return cls(id=new_id(), layers=(layer,), size=(maps.height, maps.width)), block

    # -- surgery

    def resized(self, part: Part, stage: str, units: int, rows: Change, columns: Change) -> Part:
        """Return the part with other channels in a layer."""
        channels = self.units_of(stage)
        return super().resized(part, stage, units, _rows_of(rows), by_channel(columns, channels))

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
            weight = _identity(channels)
            if self._signs(stage) == 2:
                weight = torch.cat([weight, -weight])
                part = self._with_columns(part, index - 1, by_channel(_read_pair, channels))
            new = Filter(len(weight), "relu")
        else:
            new = Filter(channels, random.choice(layout.activations))
            fan_in = channels * KERNEL**2
            weight = initial(channels, fan_in, fan_in, new.gain, new_generator())
            weight = weight.view(channels, KERNEL, KERNEL, channels)
        tensors = _renumbered(part.tensors, index, 1)
        tensors |= {f"{index}.weight": weight, f"{index}.bias": torch.zeros(new.width)}
        layers = (*self.layers[:index], new, *self.layers[index:])
        return replace(part, component=replace(self, layers=layers), tensors=tensors)

    def shortened(self, part: Part, stage: str) -> Part:
        """Remove a layer; the next one, or the one before the last, takes over its stride.

        So the maps keep their size. What reads the removed layer keeps its weights if it can read
        the layer before it; otherwise they are random.
        """
        index, gone = int(stage), self.layers[int(stage)]
        heir = index + 1 if index + 1 < len(self.layers) else index - 1
        layers = list(self.layers)
        layers[heir] = replace(layers[heir], stride=layers[heir].stride * gone.stride)
        del layers[index]
        shorter = replace(self, layers=tuple(layers))
        tensors = dict(part.tensors)
        entering, leaving = part.entering, part.leaving
        if index == 0:
            del tensors["0.bias"], tensors["1.weight"]
            if (layers[0].width, layers[0].kernel) != (gone.width, gone.kernel):
                entering = dict.fromkeys(entering)
        else:
            del tensors[f"{index}.weight"], tensors[f"{index}.bias"]
        tensors = _renumbered(tensors, max(index, 1), -1)
        if index == len(layers) and layers[-1].width != gone.width:
            leaving = dict.fromkeys(leaving)
        for name, shape in shorter.shapes().items():
            if tensors[name].shape != shape:
                tensors[name] = shorter.initial(new_generator())[name]
        return Part(shorter, tensors, entering, leaving, part.made)


def most_channels(limits: Limits) -> int:
    """Return the largest number of channels of a layer: a quarter of the limit of width."""
    return max(1, limits.width // 4)


def _identity(channels: int) -> Tensor:
    """Return kernels that pass on each channel, shape (channels, 3, 3, channels)."""
    weight = torch.zeros(channels, KERNEL, KERNEL, channels)
    weight[:, KERNEL // 2, KERNEL // 2] = torch.eye(channels)
    return weight


def _rows_of(change: Change) -> Change:
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
