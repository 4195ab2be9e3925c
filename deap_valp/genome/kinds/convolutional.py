"""The kind for images: a stack of convolutions.

References:
    Not of the paper. LeCun et al. (1989) for convolutions; Springenberg et al. (2015) for strides
    in place of pooling.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..maps import Convolution, Maps
from ..ports import MAPS, VALUES
from .base import Calculator, Part, Value, new_id
from .dense import renumbered
from .filters import FIRST_KERNEL, KERNEL, LARGE, Filter, Filtered, identity_of
from .settings import Layout

if TYPE_CHECKING:
    from typing_extensions import Self

CARRIER = 16
"""The largest number of channels of a new path (``carrier``)."""


@dataclass(frozen=True)
class Convolutional(Filtered):
    """A stack of convolutions, which takes maps: of images, and of others of its kind.

    Its result is maps, as flat rows. A receiver of another kind, or an output, reads all of their
    columns.

    Attributes:
        size: The height and width at which the first layer reads maps of any size.
    """

    kind = "convolutional"
    takes = frozenset({MAPS})
    gives = VALUES
    given = frozenset({VALUES, MAPS})
    carries = True

    def convolution(self, provider: Any) -> Convolution:
        """Return the convolution of the first layer with the maps of a provider."""
        return self._by(0, provider.maps, self.size)

    def _by(self, index: int, read: Maps, size: tuple[int, int]) -> Convolution:
        layer = self.layers[index]
        return Convolution(read, size, layer.width, layer.kernel, layer.stride)

    def reading(self, index: int, maps: list[Maps]) -> Convolution:
        """Return how a layer after the first reads the one before it: at its size."""
        read = maps[index - 1]
        return self._by(index, read, (read.height, read.width))

    def layer_maps(self) -> list[Maps]:
        """Return the maps of each layer."""
        found = [self._by(0, Maps(*self.size, 0), self.size).result]
        for index in range(1, len(self.layers)):
            found.append(self.reading(index, found).result)
        return found

    @property
    def entry_width(self) -> int:
        """The number of columns of the maps of the first layer."""
        return self.layer_maps()[0].columns

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes: the first bias, then kernels and bias of each further layer."""
        return {self.entry_bias: (self.rows,), **self.kernels()}

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Apply the first layer's activation, then the other layers."""
        return self.convolved(pre, calculator)

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return random layers, with half as many channels as a dense layer would have units."""
        layers = cls.draw_filters(layout, FIRST_KERNEL)
        return cls(id=new_id(), layers=layers, size=(LARGE, LARGE))

    def settled(self, providers: Iterable[Any], receivers: Iterable[Any] = ()) -> Self:
        """Take the size of the largest maps; each layer that reads larger maps than 8 x 8 halves.

        A convolutional sub-network that reads nothing yet keeps the size that it has.
        """
        found = self.largest_of(providers)
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
        block = identity_of(maps.channels)
        if not provider.nonnegative:
            block = torch.cat([block, -block])
        layer = Filter(len(block), "relu", KERNEL)
        return cls(id=new_id(), layers=(layer,), size=(maps.height, maps.width)), block

    # -- surgery

    def shortened(self, part: Part, stage: str) -> Part:
        """Remove a layer; the next one, or the one before the last, takes over its stride."""
        index, gone = int(stage), self.layers[int(stage)]
        if index > 0:
            return self.removed(part, index)
        tensors, entering = dict(part.tensors), part.entering
        del tensors["0.bias"], tensors["1.weight"]
        shorter = self.without(0, 1)
        first = shorter.layers[0]
        if (first.width, first.kernel) != (gone.width, gone.kernel):
            entering = dict.fromkeys(entering)
        tensors = shorter.fitting(renumbered(tensors, 1, -1))
        return replace(part, component=shorter, tensors=tensors, entering=entering)
