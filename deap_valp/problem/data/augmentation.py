"""Training images that are moved and mirrored at random, another way in every batch."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ...genome.maps import Maps, flat_of


@dataclass(frozen=True)
class Augmentation:
    """How images are changed before a model reads them in training.

    Attributes:
        maps: The shape of the images.
        shift: The largest number of pixels by which an image is moved, up or down and left or
            right. What moves in at the border is 0.
        flip: Whether half of the images are mirrored, left to right.
    """

    maps: Maps
    shift: int
    flip: bool

    def __call__(self, flat: Tensor, generator: torch.Generator | None) -> Tensor:
        """Return changed images, each changed in its own way; nothing waits for the device.

        Args:
            flat: The images as flat rows, shape (batch, columns).
            generator: Draws the changes, on the device of the images.
        """
        images, size = self.maps.images(flat), len(flat)
        device = flat.device
        if self.flip:
            draws = torch.rand(size, 1, 1, 1, generator=generator, device=device)
            images = torch.where(draws < 0.5, images.flip(3), images)
        if self.shift:
            padded = functional.pad(images, [self.shift] * 4).permute(0, 2, 3, 1)
            most = 2 * self.shift + 1
            moves = torch.randint(most, (2, size, 1), generator=generator, device=device)
            rows = moves[0] + torch.arange(self.maps.height, device=device)
            columns = moves[1] + torch.arange(self.maps.width, device=device)
            each = torch.arange(size, device=device)[:, None, None]
            images = padded[each, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
        return flat_of(images, self.maps.planes)
