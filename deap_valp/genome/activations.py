"""The activations, and the layer that applies one. To add one, add an entry to ``ACTIVATIONS``.

References:
    Paper III.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Backward = Callable[[Tensor, Tensor, Tensor, Tensor], object]


class Activation(NamedTuple):
    """An elementwise activation.

    Attributes:
        function: The function, from the sum that a layer reads to its result.
        nonnegative: Whether the result is never negative.
        gain: The gain of the initialiser of the layer's weights. Two gains keep the variance of a
            unit-normal signal, one forward and one backward; this is their geometric mean.
        backward: ``backward(gradient, pre, result, out)`` writes the gradient of ``pre`` to
            ``out``, given the gradient of the result. Without it training asks autograd, which
            takes longer.
        operation: The name by which the compiled player knows the activation. Without it, what
            has this activation is trained by torch.
    """

    function: Callable[[Tensor], Tensor]
    nonnegative: bool
    gain: float
    backward: Backward | None = None
    operation: str = ""


aten = torch.ops.aten  # each of these computes a derivative in one kernel
_relu = aten.threshold_backward.grad_input
_elu = aten.elu_backward.grad_input
_softplus = aten.softplus_backward.grad_input
_sigmoid = aten.sigmoid_backward.grad_input
_tanh = aten.tanh_backward.grad_input
_softmax = aten._softmax_backward_data.out


def _softsign(gradient: Tensor, pre: Tensor, result: Tensor, out: Tensor) -> None:
    # The derivative is 1 / (1 + |pre|)^2, and 1 - |result| is 1 / (1 + |pre|).
    slope = (1 - result.abs()).square_()
    torch.mul(gradient, slope, out=out)


ACTIVATIONS: dict[str, Activation] = {
    "relu": Activation(
        torch.relu, True, 1.41, lambda g, pre, _, out: _relu(g, pre, 0, grad_input=out), "relu"
    ),
    "elu": Activation(
        functional.elu,
        False,
        1.23,
        lambda g, _, result, out: _elu(g, 1, 1, 1, True, result, grad_input=out),
        "elu",
    ),
    "softplus": Activation(
        functional.softplus,
        True,
        1.39,
        lambda g, pre, _, out: _softplus(g, pre, 1, 20, grad_input=out),
        "softplus",
    ),
    "softsign": Activation(functional.softsign, False, 2.21, _softsign, "softsign"),
    "sigmoid": Activation(
        torch.sigmoid,
        True,
        2.95,
        lambda g, _, result, out: _sigmoid(g, result, grad_input=out),
        "sigmoid",
    ),
    "tanh": Activation(
        torch.tanh,
        False,
        1.53,
        lambda g, _, result, out: _tanh(g, result, grad_input=out),
        "tanh",
    ),
    "identity": Activation(
        lambda pre: pre, False, 1.0, lambda g, pre, result, out: out.copy_(g), "identity"
    ),
}
SOFTMAX = "softmax"


@dataclass(frozen=True)
class Layer:
    """A fully connected layer: ``width`` units and the name of their activation."""

    width: int
    activation: str

    @property
    def nonnegative(self) -> bool:
        """Whether the result of the layer is never negative."""
        return self.activation == SOFTMAX or ACTIVATIONS[self.activation].nonnegative

    @property
    def gain(self) -> float:
        """The gain of the initialiser of the layer's weights."""
        return 1.0 if self.activation == SOFTMAX else ACTIVATIONS[self.activation].gain

    def activate(self, pre: Tensor, units: int = 1) -> Tensor:
        """Apply the activation to ``pre``; ``units`` is the dimension that holds the units."""
        if self.activation == SOFTMAX:
            return torch.softmax(pre, units)
        return ACTIVATIONS[self.activation].function(pre)

    def backward(
        self, gradient: Tensor, pre: Tensor, result: Tensor, out: Tensor, units: int = 1
    ) -> None:
        """Write the gradient of ``pre`` to ``out``, given the gradient of the result."""
        if self.activation == SOFTMAX:
            _softmax(gradient, result, units, pre.dtype, grad_input=out)
        elif (backward := ACTIVATIONS[self.activation].backward) is not None:
            backward(gradient, pre, result, out)
        else:
            with torch.enable_grad():
                again = pre.detach().requires_grad_()
                out.copy_(torch.autograd.grad(self.activate(again, units), again, gradient)[0])
