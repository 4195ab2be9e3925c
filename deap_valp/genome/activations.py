"""Activations, and the layer that applies one. An entry of ``ACTIVATIONS`` adds an activation.

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
