"""The kinds of sub-network: what each takes, what it gives, how it computes.

A sub-network is described by a frozen, hashable value; its tensors live with the individual, under
the keys that ``shapes`` names. One class per kind: a new kind is one class here.

References:
    Paper III; the type table of the model.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from .ports import DISCRETE, FEATURES, SAMPLES, VALUES

Backward = Callable[[Tensor, Tensor, Tensor, Tensor], object]


class Activation(NamedTuple):
    """An elementwise activation: its function, whether it is never negative, the gain of its initialiser, its backward.

    The gain is the geometric mean of the two that keep the variance of a unit-normal signal in the
    forward and in the backward direction.

    ``backward(gradient, pre, result, out)`` writes the gradient of ``pre`` to ``out``, given that
    of the result. Without it training asks autograd, which takes longer.
    """

    function: Callable[[Tensor], Tensor]
    nonnegative: bool
    gain: float
    backward: Backward | None = None


aten = torch.ops.aten  # each a derivative in one kernel
_relu = aten.threshold_backward.grad_input
_elu = aten.elu_backward.grad_input
_softplus = aten.softplus_backward.grad_input
_sigmoid = aten.sigmoid_backward.grad_input
_tanh = aten.tanh_backward.grad_input
_softmax = aten._softmax_backward_data.out


def _softsign(gradient: Tensor, pre: Tensor, result: Tensor, out: Tensor) -> None:
    slope = (1 - result.abs()).square_()  # 1 / (1 + |pre|)^2, as 1 - |result| is 1 / (1 + |pre|)
    torch.mul(gradient, slope, out=out)


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        torch.relu, True, 1.41, lambda g, pre, _, out: _relu(g, pre, 0, grad_input=out)
    ),
    "elu": Activation(
        functional.elu,
        False,
        1.23,
        lambda g, _, result, out: _elu(g, 1, 1, 1, True, result, grad_input=out),
    ),
    "softplus": Activation(
        functional.softplus,
        True,
        1.39,
        lambda g, pre, _, out: _softplus(g, pre, 1, 20, grad_input=out),
    ),
    "softsign": Activation(functional.softsign, False, 2.21, _softsign),
    "sigmoid": Activation(
        torch.sigmoid, True, 2.95, lambda g, _, result, out: _sigmoid(g, result, grad_input=out)
    ),
    "tanh": Activation(
        torch.tanh, False, 1.53, lambda g, _, result, out: _tanh(g, result, grad_input=out)
    ),
    "identity": Activation(lambda pre: pre, False, 1.0, lambda g, pre, result, out: out.copy_(g)),
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

    def activate(self, pre: Tensor, units: int = 1) -> Tensor:
        """Apply the activation to ``pre``, whose dimension ``units`` is the layer's width."""
        return (
            torch.softmax(pre, units)
            if self.activation == SOFTMAX
            else ACTIVATIONS[self.activation].function(pre)
        )

    def backward(
        self, gradient: Tensor, pre: Tensor, result: Tensor, out: Tensor, units: int = 1
    ) -> None:
        """Write the gradient of ``pre`` to ``out``, given that of the result."""
        if self.activation == SOFTMAX:
            _softmax(gradient, result, units, pre.dtype, grad_input=out)
        elif (backward := ACTIVATIONS[self.activation].backward) is not None:
            backward(gradient, pre, result, out)
        else:
            with torch.enable_grad():
                again = pre.detach().requires_grad_()
                out.copy_(torch.autograd.grad(self.activate(again, units), again, gradient)[0])


@dataclass(frozen=True)
class Latent:
    """A latent variable of a decoder. Decoders that share ``id`` draw the same noise."""

    id: int
    dim: int


Value = TypeVar("Value")


class Calculator(Protocol[Value]):
    """What a sub-network computes with: on tensors (``model``), or on a tape that training plays (``training``)."""

    def activate(self, pre: Value, layer: Layer) -> Value:
        """Apply the activation of a layer."""

    def dense(self, hidden: Value, index: int) -> Value:
        """Apply weight and bias ``index`` of the sub-network."""

    def draw(self, heads: Value, latent: Latent) -> Value:
        """Draw the latent, width ``dim``, from its two heads, width ``2 * dim``."""


@dataclass(frozen=True)
class SubNetwork:
    """An inner vertex of a VALP.

    ``id`` is drawn when the component is created and says which components of different individuals
    are homologous; copies made by ``clone_network`` get their own.
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
        for index, (layer, before) in enumerate(
            zip(self.layers[1:], self.layers, strict=False), start=1
        ):
            shapes[f"{index}.weight"] = (layer.width, before.width)
            shapes[f"{index}.bias"] = (layer.width,)
        return shapes

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Give the result from the sum of the blocks' products and the entry's bias, of width ``rows``."""
        return self._pass_layers(calculator.activate(pre, self.layers[0]), calculator, first=1)

    def _pass_layers(self, hidden: Value, calculator: Calculator[Value], first: int) -> Value:
        for index, layer in enumerate(self.layers[first:], start=first):
            hidden = calculator.activate(calculator.dense(hidden, index), layer)
        return hidden

    def __str__(self) -> str:
        return (
            f"{self.kind} {'-'.join(f'{layer.width} {layer.activation}' for layer in self.layers)}"
        )


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

    Decoders of one latent have one KL divergence, the mean of theirs weighted by ``share``. A
    gentle clone halves the share of its original between the two, which keeps the mean also where
    they differ from a third.
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

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Give samples from the two heads of the latent."""
        return self._pass_layers(calculator.draw(pre, self.latent), calculator, first=0)

    def __str__(self) -> str:
        return f"{super().__str__()} (latent {self.latent.dim})"


@dataclass(frozen=True)
class Refiner(SubNetwork):
    """Takes samples, gives samples."""

    kind = "refiner"
    takes = frozenset({SAMPLES})
    gives = SAMPLES


KINDS: dict[str, type[SubNetwork]] = {
    kind.kind: kind for kind in (Generic, Discrete, Decoder, Refiner)
}
