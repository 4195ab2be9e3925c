"""How far a VALP may grow, and how its sub-networks are drawn."""

from __future__ import annotations

import random
from dataclasses import dataclass

from ..activations import Layer


@dataclass(frozen=True)
class Limits:
    """The sizes up to which operators may let a VALP grow.

    An operator has no legal place where it would exceed a limit. The defaults leave room for the
    60 steps of the paper's search, and for gentle operators that double the width of a layer.

    Attributes:
        networks: The largest number of sub-networks of a VALP.
        layers: The largest number of layers of a sub-network.
        width: The largest number of units of a layer.
        latent: The largest number of dimensions of a decoder's latent.
        batch_size: The smallest and the largest number of examples in a batch.
        learning_rate: The smallest and the largest learning rate.
        decay: The smallest and the largest weight decay.
    """

    networks: int = 64
    layers: int = 8
    width: int = 256
    latent: int = 64
    batch_size: tuple[int, int] = (25, 1600)
    learning_rate: tuple[float, float] = (1e-5, 1e-1)
    decay: tuple[float, float] = (1e-3, 10.0)


@dataclass(frozen=True)
class Layout:
    """The ranges from which a random sub-network is drawn, both ends included.

    Attributes:
        layers: The number of layers of a sub-network.
        width: The number of units of a layer.
        latent: The number of dimensions of a decoder's latent.
        activations: The names of the hidden activations to draw from.
    """

    layers: tuple[int, int] = (1, 4)
    width: tuple[int, int] = (8, 96)
    latent: tuple[int, int] = (4, 32)
    activations: tuple[str, ...] = (
        "relu",
        "elu",
        "softplus",
        "softsign",
        "sigmoid",
        "tanh",
        "identity",
    )

    def draw_layer(self) -> Layer:
        """Return a random layer."""
        return Layer(random.randint(*self.width), random.choice(self.activations))

    def draw_layers(self) -> tuple[Layer, ...]:
        """Return a random number of random layers."""
        return tuple(self.draw_layer() for _ in range(random.randint(*self.layers)))
