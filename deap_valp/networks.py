"""The kinds of sub-network: what each takes, what it gives, how it computes.

A sub-network is described by a frozen, hashable value; its tensors live with the individual, under the keys
that ``shapes`` names. One class per kind: a new kind is one class here.

References:
    Paper III; the type table of the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from torch import Tensor

FEATURES, VALUES, DISCRETE, SAMPLES = "features", "values", "discrete", "samples"


class Activation(NamedTuple):
    """An elementwise activation: its function, whether it is never negative, and the gain of its initialiser.

    The gain is the geometric mean of the two that keep the variance of a unit-normal signal in the forward
    and in the backward direction.
    """

    function: Callable[[Tensor], Tensor]
    nonnegative: bool
    gain: float


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(torch.relu, True, 1.41),
    "elu": Activation(functional.elu, False, 1.23),
    "softplus": Activation(functional.softplus, True, 1.39),
    "softsign": Activation(functional.softsign, False, 2.21),
    "sigmoid": Activation(torch.sigmoid, True, 2.95),
    "tanh": Activation(torch.tanh, False, 1.53),
    "identity": Activation(lambda pre: pre, False, 1.0),
}
SOFTMAX = "softmax"


@dataclass(frozen=True)
class Layer:
    """A fully connected layer: ``width`` units and the name of their activation."""

    width: int
    activation: str

    @property
    def nonnegative(self) -> bool:
        """Whether what the layer gives is known to be at least 0."""
        return self.activation == SOFTMAX or ACTIVATIONS[self.activation].nonnegative

    @property
    def gain(self) -> float:
        """Gain of the initialiser of the layer's weights."""
        return 1.0 if self.activation == SOFTMAX else ACTIVATIONS[self.activation].gain

    def activate(self, pre: Tensor) -> Tensor:
        """Apply the activation to ``pre``, shape (batch, width)."""
        return torch.softmax(pre, 1) if self.activation == SOFTMAX else ACTIVATIONS[self.activation].function(pre)


@dataclass(frozen=True)
class Latent:
    """A latent variable of a decoder. Decoders that share ``id`` draw the same noise."""

    id: int
    dim: int


class Draw(Protocol):
    """Turns the two latent heads of decoder ``name``, shape (batch, 2 * dim), into its latent, (batch, dim)."""

    def __call__(self, name: str, latent: Latent, heads: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class SubNetwork:
    """An inner vertex of a VALP.

    ``id`` is drawn when the component is created and says which components of different individuals are
    homologous; copies made by ``clone_network`` get their own.
    """

    layers: tuple[Layer, ...]
    id: int

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    gives: ClassVar[str]

    @property
    def width(self) -> int:
        """Columns of what the sub-network gives."""
        return self.layers[-1].width

    @property
    def rows(self) -> int:
        """Rows of every block through which the sub-network reads a provider."""
        return self.layers[0].width

    @property
    def entry(self) -> str:
        """Name of the stage that the blocks feed; its bias is ``f"{entry}.bias"``."""
        return "0"

    @property
    def entry_gain(self) -> float:
        """Gain of the initialiser of the blocks."""
        return self.layers[0].gain

    @property
    def nonnegative(self) -> bool:
        """Whether what the sub-network gives is known to be at least 0."""
        return self.layers[-1].nonnegative

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of the sub-network, the blocks of its providers apart."""
        shapes: dict[str, tuple[int, ...]] = {"0.bias": (self.rows,)}
        for index, (layer, before) in enumerate(zip(self.layers[1:], self.layers, strict=False), start=1):
            shapes[f"{index}.weight"] = (layer.width, before.width)
            shapes[f"{index}.bias"] = (layer.width,)
        return shapes

    def compute(self, name: str, pre: Tensor, tensors: Mapping[str, Tensor], draw: Draw) -> Tensor:
        """Give the result, shape (batch, width), from the sum of the blocks' products, shape (batch, rows)."""
        return self._pass_layers(self.layers[0].activate(pre), tensors, first=1)

    def _pass_layers(self, hidden: Tensor, tensors: Mapping[str, Tensor], first: int) -> Tensor:
        for index, layer in enumerate(self.layers[first:], start=first):
            pre = torch.addmm(tensors[f"{index}.bias"], hidden, tensors[f"{index}.weight"].t())
            hidden = layer.activate(pre)
        return hidden

    def __str__(self) -> str:
        return f"{self.kind} {'-'.join(f'{layer.width} {layer.activation}' for layer in self.layers)}"


@dataclass(frozen=True)
class Generic(SubNetwork):
    """Takes anything, gives values."""

    kind = "generic"
    takes = frozenset({FEATURES, VALUES, DISCRETE, SAMPLES})
    gives = VALUES


@dataclass(frozen=True)
class Discrete(SubNetwork):
    """Takes anything, gives a discrete distribution: its last layer is a softmax."""

    kind = "discrete"
    takes = frozenset({FEATURES, VALUES, DISCRETE, SAMPLES})
    gives = DISCRETE


@dataclass(frozen=True)
class Decoder(SubNetwork):
    """The decoder of a variational autoencoder: two linear heads read the providers, layers read the latent.

    Decoders of one latent have one KL divergence, the mean of theirs weighted by ``share``. A gentle clone halves the
    share of its original between the two, which keeps the mean also where they differ from a third.
    """

    latent: Latent
    share: float = 1.0

    kind = "decoder"
    takes = frozenset({VALUES, DISCRETE})
    gives = SAMPLES

    @property
    def rows(self) -> int:
        """Rows of every block: the mean's, then the log-variance's."""
        return 2 * self.latent.dim

    @property
    def entry(self) -> str:
        """The latent heads."""
        return "latent"

    @property
    def entry_gain(self) -> float:
        """The heads are linear."""
        return 1.0

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of the decoder, the blocks of its providers apart."""
        shapes: dict[str, tuple[int, ...]] = {"latent.bias": (self.rows,)}
        widths = (self.latent.dim, *(layer.width for layer in self.layers))
        for index, layer in enumerate(self.layers):
            shapes[f"{index}.weight"] = (layer.width, widths[index])
            shapes[f"{index}.bias"] = (layer.width,)
        return shapes

    def compute(self, name: str, pre: Tensor, tensors: Mapping[str, Tensor], draw: Draw) -> Tensor:
        """Give samples, shape (batch, width), from the heads, shape (batch, 2 * latent.dim)."""
        return self._pass_layers(draw(name, self.latent, pre), tensors, first=0)

    def __str__(self) -> str:
        return f"{super().__str__()} (latent {self.latent.dim})"


@dataclass(frozen=True)
class Refiner(SubNetwork):
    """Takes samples, gives samples."""

    kind = "refiner"
    takes = frozenset({SAMPLES})
    gives = SAMPLES


KINDS: dict[str, type[SubNetwork]] = {kind.kind: kind for kind in (Generic, Discrete, Decoder, Refiner)}
