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

    def _maps(self) -> list[Maps]:
        """Return the maps of each layer."""
        found, read = [], Maps(*self.size, 0)
        for index in range(len(self.layers)):
            read = self._by(index, read).result
            found.append(read)
        return found

    @property
    def maps(self) -> Maps:
        """The maps of the last layer."""
        return self._maps()[-1]

    @property
    def width(self) -> int:
        """The number of columns of the maps."""
        return self.maps.columns

    @property
    def entry_width(self) -> int:
        """The number of columns of the maps of the first layer."""
        return self._maps()[0].columns

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes: the first bias, then kernels and bias of each further layer."""
        maps = self._maps()
        shapes: dict[str, tuple[int, ...]] = {self.entry_bias: (self.rows,)}
        for index in range(1, len(self.layers)):
            shapes[f"{index}.weight"] = self._by(index, maps[index - 1]).weights
            shapes[f"{index}.bias"] = (self.layers[index].width,)
        return shapes

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Apply the first layer's activation, then the other layers."""
        maps, hidden = self._maps(), calculator.activate(pre, self.layers[0])
        for index in range(1, len(self.layers)):
            by = self._by(index, maps[index - 1])
            hidden = calculator.activate(calculator.convolve(hidden, index, by), self.layers[index])
        return hidden

    def fault(self) -> str:
        """Return a message if a size, a kernel or a stride is not possible, or a layer is wrong."""
        return self.size_fault(self.size) or super().fault()

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return random layers, with half as many channels as a dense layer would have units."""
        layers = cls.draw_filters(layout, FIRST_KERNEL)
        return cls(id=new_id(), layers=layers, size=(LARGE, LARGE))

    def settled(self, providers: Iterable[Any], receivers: Iterable[Any] = ()) -> Self:
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
            last = index == len(self.layers) - 1
            return self.removed(part, index, index - 1 if last else index + 1)
        tensors, entering = dict(part.tensors), part.entering
        del tensors["0.bias"], tensors["1.weight"]
        shorter = self.without(0, 1)
        first = shorter.layers[0]
        if (first.width, first.kernel) != (gone.width, gone.kernel):
            entering = dict.fromkeys(entering)
        tensors = shorter.fitting(renumbered(tensors, 1, -1))
        return replace(part, component=shorter, tensors=tensors, entering=entering)
