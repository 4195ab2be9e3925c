"""The kind that makes images: a decoder whose last layers are convolutions.

References:
    Not of the paper. Odena et al. (2016) for resizing before a convolution.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..maps import Convolution, Maps
from ..ports import MAPS, SAMPLES
from ..weights import Selection
from .base import Calculator, Change, Latent, Made, Part, Value, new_id
from .filters import KERNEL, LARGE, Filtered, by_channel, most_channels
from .settings import Layout, Limits
from .shipped import LATENT, Decoder

if TYPE_CHECKING:
    from typing_extensions import Self


@dataclass(frozen=True)
class Painter(Filtered, Decoder):
    """A decoder for images, which takes values and gives samples that are maps.

    The first layer is fully connected and makes small maps of the latent. Each further layer
    repeats the positions of the maps, so that they become larger by its stride, and applies its
    kernels. An output whose target is an image reads the last maps through kernels.

    Attributes:
        size: The height and width of the last maps.
    """

    kind = "painter"
    takes = Decoder.takes
    gives = SAMPLES
    given = frozenset({SAMPLES, MAPS})
    first = 0
    entry_bias = "latent.bias"

    @classmethod
    def suits(cls, receiver: Any) -> bool:
        """Return whether a component reads maps of samples: an output whose target is an image."""
        return receiver.maps is not None and SAMPLES in receiver.takes

    def layer_maps(self) -> list[Maps]:
        """Return the maps of each layer."""
        found, size = [], self.size
        for layer in reversed(self.layers):
            found.append(Maps(*size, layer.width))
            size = (-(-size[0] // layer.stride), -(-size[1] // layer.stride))
        return found[::-1]

    def reading(self, index: int, maps: list[Maps]) -> Convolution:
        """Return how a layer after the first reads the one before it: at its own size."""
        layer, into = self.layers[index], maps[index]
        size = into.height, into.width
        return Convolution(maps[index - 1], size, layer.width, layer.kernel, 1)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes: those of the latent and of the first layer, then the kernels."""
        columns = self.layer_maps()[0].columns
        return {
            self.entry_bias: (self.rows,),
            "0.weight": (columns, self.latent.dim),
            "0.bias": (columns,),
            **self.kernels(),
        }

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Draw the latent from its two heads, then apply the layers."""
        hidden = calculator.draw(pre, self.latent)
        return self.convolved(calculator.dense(hidden, 0), calculator)

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return at least two random layers that read a random latent."""
        layers = cls.draw_filters(layout, KERNEL)
        if len(layers) == 1:
            layers = (*layers, *layers)
        latent = Latent(new_id(), random.randint(*layout.latent))
        return cls(id=new_id(), layers=layers, latent=latent)

    def settled(self, providers: Iterable[Any], receivers: Iterable[Any] = ()) -> Self:
        """Take the size of the images of the receivers; each layer doubles maps from 8 x 8 on."""
        found = self.largest_of(receivers)
        side, layers = max(found.size), list(found.layers)
        for index in range(len(layers) - 1, 0, -1):
            stride = 2 if side > LARGE else 1
            side = -(-side // stride)
            layers[index] = replace(layers[index], stride=stride)
        layers[0] = replace(layers[0], stride=1)
        return replace(found, layers=tuple(layers))

    def __str__(self) -> str:
        layers = "-".join(str(layer) for layer in self.layers)
        return f"{self.kind} {layers} {self.size[0]}x{self.size[1]} (latent {self.latent.dim})"

    # -- surgery

    def resized(self, part: Part, stage: str, units: int, rows: Change, columns: Change) -> Part:
        """Return the part with other channels in a layer; the first has them at each position."""
        if stage != "0":
            return super().resized(part, stage, units, rows, columns)
        channels = self.units_of(stage)
        seed = seeds_of(rows, channels)
        part = part.with_tensor("0.weight", seed).with_tensor("0.bias", seed)
        part = self._with_columns(part, 0, by_channel(columns, channels))
        layers = (replace(self.layers[0], width=units), *self.layers[1:])
        return replace(part, component=replace(self, layers=layers))

    def wide_places(self, limits: Limits) -> list[str]:
        """Return the layers below the limit, and the latent if it is below its own."""
        latent = [LATENT] if self.latent.dim < limits.latent else []
        return latent + [s for s in self._stages() if self.units_of(s) < most_channels(limits)]

    def widened(self, part: Part, stage: str, limits: Limits, gentle: bool) -> Part:
        """Add channels to a layer, or dimensions to the latent as for any decoder."""
        if stage == LATENT:
            return Decoder.widened(self, part, stage, limits, gentle)
        return super().widened(part, stage, limits, gentle)

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers after which one can be added, but not the latent."""
        return [stage for stage in super().deep_places(limits, gentle) if stage != LATENT]

    def spare_places(self) -> list[str]:
        """Return the layers after the first, if there are two of them or more."""
        return self._stages()[1:] if len(self.layers) > 2 else []

    def shortened(self, part: Part, stage: str) -> Part:
        """Remove a layer; the next one, or the one before the last, takes over its stride."""
        return self.removed(part, int(stage))


def seeds_of(change: Change, channels: int) -> Change:
    """Return a change of rows that works on the channels of the first layer of a painter.

    Its weight has the shape (positions x channels, columns): the channels of a position are one
    below the other. New biases are what the change makes of old ones: copies, or zero.
    """

    def changed(tensor: Tensor) -> Made:
        rows = tensor.view(-1, channels, *tensor.shape[1:]).transpose(0, 1)
        positions = rows.shape[1]
        made = change(rows.flatten(1))
        source, factor = made.selection.source, made.selection.factor
        starts = channels * torch.arange(positions)[:, None]
        selection = Selection(0, (starts + source).flatten(), factor.repeat(positions))
        if tensor.dim() == 1:
            return Made(selection(tensor), tensor, selection)
        new = made.new.view(-1, positions, tensor.shape[1]).transpose(0, 1)
        return Made(new.reshape(-1, tensor.shape[1]), tensor, selection)

    return changed
