"""Maps: results that are images, as flat rows with a known shape, and convolutions of them.

A row holds one example: its positions row by row, and at each position its channels. So a receiver
that knows nothing of images reads maps as it reads any other row of numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

SMALLEST = 12
"""The least height and width of an image that convolutions read; a smaller one is read whole."""

CHANNELS = 4
"""The largest number of colours of an image. With more, an array is no image."""


class Maps(NamedTuple):
    """The shape of maps.

    Attributes:
        height: The number of rows of positions.
        width: The number of positions in a row.
        channels: The numbers at each position.
        planes: Whether a flat row has one channel after the other, as an image given with its
            colours first. All other maps have the channels of a position side by side.
    """

    height: int
    width: int
    channels: int
    planes: bool = False

    @property
    def positions(self) -> int:
        """The number of positions."""
        return self.height * self.width

    @property
    def columns(self) -> int:
        """The number of columns of a flat row."""
        return self.positions * self.channels

    def images(self, flat: Tensor) -> Tensor:
        """Return flat rows, shape (batch, columns), as shape (batch, channels, height, width)."""
        if self.planes:
            return flat.reshape(-1, self.channels, self.height, self.width)
        return flat.reshape(-1, self.height, self.width, self.channels).permute(0, 3, 1, 2)


def maps_of(shape: tuple[int, ...], smallest: int = SMALLEST) -> Maps | None:
    """Return the maps that an example of this shape is, or None if it is no image.

    Args:
        shape: The shape of one example.
        smallest: The least height and width of an image.
    """
    if len(shape) not in (2, 3):
        return None
    found = Maps(shape[0], shape[1], 1)
    if len(shape) == 3 and shape[2] <= CHANNELS:
        found = Maps(*shape)
    elif len(shape) == 3:
        found = Maps(shape[1], shape[2], shape[0], planes=True)
    large = min(found.height, found.width) >= smallest
    return found if large and found.channels <= CHANNELS else None


def flat_of(images: Tensor, planes: bool = False) -> Tensor:
    """Return images, shape (batch, channels, height, width), as flat rows."""
    return images.flatten(1) if planes else images.permute(0, 2, 3, 1).flatten(1)


@dataclass(frozen=True)
class Convolution:
    """How a layer reads maps: the geometry of a convolution.

    Maps of another size than ``size`` are first brought to it by adaptive average pooling: each
    position then has the mean of the part of the maps that it covers, or the value of the nearest
    position if they are smaller. At the border, the maps are padded with zeros.

    Attributes:
        read: The maps that are read.
        size: The height and width at which they are read.
        channels: The number of channels of the result.
        kernel: The height and width of the kernel, an odd number.
        stride: The distance between two positions of the result.
        planes: Whether the flat result has one channel after the other.
    """

    read: Maps
    size: tuple[int, int]
    channels: int
    kernel: int
    stride: int
    planes: bool = False

    @property
    def result(self) -> Maps:
        """The maps of the result."""
        height, width = (-(-side // self.stride) for side in self.size)
        return Maps(height, width, self.channels, self.planes)

    @property
    def weights(self) -> tuple[int, ...]:
        """The shape of the kernels: (channels of the result, height, width, channels read)."""
        return self.channels, self.kernel, self.kernel, self.read.channels

    @property
    def pools(self) -> bool:
        """Whether the maps have another size than that at which they are read."""
        return (self.read.height, self.read.width) != self.size

    @property
    def repeats(self) -> bool:
        """Whether each position is read several times, the same for all: a faster pooling."""
        times = self.size[0] // self.read.height, self.size[1] // self.read.width
        even = (self.read.height * times[0], self.read.width * times[1]) == self.size
        return self.pools and even

    def seen(self, flat: Tensor) -> Tensor:
        """Return the maps at ``size``, shape (batch, channels, height, width)."""
        images = self.read.images(flat)
        if self.repeats:
            return functional.interpolate(images, self.size)
        return functional.adaptive_avg_pool2d(images, self.size) if self.pools else images

    def convolved(self, seen: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Return the flat result of what ``seen`` gave."""
        kernels, padding = weight.permute(0, 3, 1, 2), self.kernel // 2
        result = functional.conv2d(seen, kernels, bias, self.stride, padding)
        return flat_of(result, self.planes)

    def __call__(self, flat: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return the result for flat rows, as flat rows."""
        return self.convolved(self.seen(flat), weight, bias)

    def gradients(
        self, gradient: Tensor, seen: Tensor, weight: Tensor, wanted: tuple[bool, bool, bool]
    ) -> tuple[Any, Any, Any]:
        """Return the gradients of what is read, of the weight and of the bias.

        Args:
            gradient: That of the flat result.
            seen: What ``seen`` gave.
            weight: The kernels.
            wanted: Which of the three are wanted; the others are None.
        """
        stride, padding = [self.stride] * 2, [self.kernel // 2] * 2
        of_seen, of_weight, of_bias = torch.ops.aten.convolution_backward(
            self.result.images(gradient),
            seen,
            weight.permute(0, 3, 1, 2),
            [self.channels],
            stride,
            padding,
            [1, 1],
            False,
            [0, 0],
            1,
            list(wanted),
        )
        if of_weight is not None:
            of_weight = of_weight.permute(0, 2, 3, 1)
        return of_seen, of_weight, of_bias

    def unpooled(self, gradient: Tensor, flat: Tensor) -> Tensor:
        """Return the gradient of flat rows from that of what ``seen`` made of them."""
        if self.repeats:
            shape = [len(flat), self.read.channels, self.read.height, self.read.width]
            gradient = torch.ops.aten.upsample_nearest2d_backward(gradient, list(self.size), shape)
        elif self.pools:
            images = self.read.images(flat)
            gradient = torch.ops.aten._adaptive_avg_pool2d_backward(gradient, images)
        return flat_of(gradient, self.read.planes)
