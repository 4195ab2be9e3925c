"""The stages of a tape. Each has its operands, the memory of its gradients, and its derivative.

A signal has the shape (width, batch). Products of these sizes are faster with the batch last, and
some of the units are contiguous in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from ..genome import Convolution, Latent, Layer
from . import posterior
from .flat import Slot
from .losses import Differentiated


@dataclass(eq=False)
class Signal:
    """The result of one stage, which the next stages read.

    Attributes:
        value: The result, shape (width, batch).
        gradient: The gradient of the sum of the losses with respect to the value, of the same
            shape. None for features, which need none.
        factor: A number that the gradient is still to be multiplied by. A ``Product`` does this
            at no cost.
    """

    value: Tensor
    gradient: Tensor | None = None
    factor: float = 1.0

    def units(self, start: int, stop: int) -> Signal:
        """Return the signal of some of the units, in the same memory."""
        assert self.gradient is not None
        return Signal(self.value[start:stop], self.gradient[start:stop])


class Stage(Protocol):
    """One computation on the tape: forward to its result, and backward to the gradients.

    Attributes:
        keeps: One number for each signal that it reads. Several stages may read one signal and
            write its gradient. With 1, this stage adds to the gradient; with 0, it overwrites it.
    """

    keeps: list[int]

    @property
    def reads(self) -> tuple[Signal, ...]:
        """The signals that it reads."""

    def forward(self) -> None: ...

    def backward(self) -> None: ...


class Product:
    """``into = bias + weight @ read``; without a bias, ``into += weight @ read``."""

    def __init__(self, read: Signal, into: Signal, weight: Slot, bias: Slot | None) -> None:
        self.read, self.into = read, into
        self.reads, self.keeps = (read,), [0]
        self.weight, self.turned = weight, weight.value.t()
        self.bias, self.column = bias, None if bias is None else bias.value[:, None]
        self.ones = into.value.new_ones(into.value.shape[1])

    def forward(self) -> None:
        if self.column is None:
            self.into.value.addmm_(self.weight.value, self.read.value)
        else:
            torch.addmm(self.column, self.weight.value, self.read.value, out=self.into.value)

    def backward(self) -> None:
        gradient, factor = self.into.gradient, self.into.factor
        assert gradient is not None
        self.weight.gradient.addmm_(gradient, self.read.value.t(), beta=0, alpha=factor)
        if self.bias is not None:
            self.bias.gradient.addmv_(gradient, self.ones, beta=0, alpha=factor)
        if self.read.gradient is not None:
            self.read.gradient.addmm_(self.turned, gradient, beta=self.keeps[0], alpha=factor)


class Begin:
    """``into = bias``, where the first product of a sum has no bias of its own."""

    def __init__(self, into: Signal, bias: Slot) -> None:
        self.into, self.bias, self.column = into, bias, bias.value[:, None]
        self.reads: tuple[Signal, ...] = ()
        self.keeps: list[int] = []
        self.ones = into.value.new_ones(into.value.shape[1])

    def forward(self) -> None:
        self.into.value.copy_(self.column)

    def backward(self) -> None:
        assert self.into.gradient is not None
        self.bias.gradient.addmv_(self.into.gradient, self.ones, beta=0, alpha=self.into.factor)


class Convolve:
    """``into = bias + convolution(weight, read)``; without a bias, it is added to ``into``."""

    def __init__(
        self, read: Signal, into: Signal, weight: Slot, bias: Slot | None, by: Convolution
    ) -> None:
        self.read, self.into, self.by = read, into, by
        self.reads, self.keeps = (read,), [0]
        self.weight, self.bias = weight, bias

    def forward(self) -> None:
        self.seen = self.by.seen(self.read.value.t())
        if self.bias is None:
            result = self.by.convolved(self.seen, self.weight.value, None)
            self.into.value.add_(result.t())
        else:
            result = self.by.convolved(self.seen, self.weight.value, self.bias.value)
            self.into.value.copy_(result.t())

    def backward(self) -> None:
        assert self.into.gradient is not None
        wanted = self.read.gradient is not None, True, self.bias is not None
        gradient = self.into.gradient.t()
        if self.into.factor != 1.0:
            gradient = gradient * self.into.factor
        of_seen, of_weight, of_bias = self.by.gradients(
            gradient, self.seen, self.weight.value, wanted
        )
        self.weight.gradient.copy_(of_weight)
        if self.bias is not None:
            self.bias.gradient.copy_(of_bias)
        if self.read.gradient is None:
            return
        of_read = self.by.unpooled(of_seen, self.read.value.t()).t()
        if self.keeps[0]:
            self.read.gradient.add_(of_read)
        else:
            self.read.gradient.copy_(of_read)


class Add:
    """``into = first + second``."""

    def __init__(self, first: Signal, second: Signal, into: Signal) -> None:
        self.reads, self.keeps = (first, second), [0, 0]
        self.into = into

    def forward(self) -> None:
        first, second = self.reads
        self.into.value = first.value + second.value

    def backward(self) -> None:
        assert self.into.gradient is not None
        for read, keeps in zip(self.reads, self.keeps, strict=True):
            assert read.gradient is not None
            if keeps:
                read.gradient.add_(self.into.gradient)
            else:
                read.gradient.copy_(self.into.gradient)


class Activate:
    """``into = activation(read)``."""

    def __init__(self, read: Signal, into: Signal, layer: Layer) -> None:
        self.read, self.into, self.layer = read, into, layer
        self.reads, self.keeps = (read,), [0]

    def forward(self) -> None:
        self.into.value = self.layer.activate(self.read.value, units=0)

    def backward(self) -> None:
        gradient, out = self.into.gradient, self.read.gradient
        assert gradient is not None and out is not None
        if not self.keeps[0]:
            self.layer.backward(gradient, self.read.value, self.into.value, out, units=0)
            return
        added = torch.empty_like(out)
        self.layer.backward(gradient, self.read.value, self.into.value, added, units=0)
        out.add_(added)


class Apply:
    """``into = function(*reads)``; autograd differentiates it.

    The function sees tensors of shape (batch, width).
    """

    def __init__(
        self, reads: tuple[Signal, ...], into: Signal, function: Callable[..., Tensor]
    ) -> None:
        self.reads, self.keeps = reads, [0] * len(reads)
        self.into, self.function = into, function

    def forward(self) -> None:
        # Copies, because a stack is one memory: autograd would see a write to another signal of it.
        self.given = [read.value.t().clone().requires_grad_() for read in self.reads]
        with torch.enable_grad():
            self.result = self.function(*self.given)
        self.into.value = self.result.detach().t()

    def backward(self) -> None:
        assert self.into.gradient is not None
        gradients = torch.autograd.grad(
            self.result,
            self.given,
            self.into.gradient.t(),
            allow_unused=True,
            materialize_grads=True,
        )
        for read, keeps, gradient in zip(self.reads, self.keeps, gradients, strict=True):
            assert read.gradient is not None
            if keeps:
                read.gradient.add_(gradient.t())
            else:
                read.gradient.copy_(gradient.t())


class Draw:
    """The latent variable ``mean + exp(log_variance / 2) * noise``, and its KL divergence.

    Attributes:
        noise: The noise of this step, shape (dim, batch).
        loss: The KL divergence from N(0, I): the sum over dimensions, the mean over the batch. Its
            weight in the sum of the losses is not included.
    """

    noise: Tensor
    loss: Tensor

    def __init__(self, heads: Signal, into: Signal, latent: Latent) -> None:
        self.heads, self.latent, self.into = heads, latent, into
        self.reads, self.keeps = (heads,), [0]
        self.each = 1 / heads.value.shape[1]
        self.pull, self.rest = 0.0, heads.value.new_zeros(())
        self.weighted: list[WeightedDivergence] = []

    def weigh(self, weight: float) -> None:
        """Set the weight of the divergence in the sum that is differentiated next."""
        if self.pull != weight * self.each:
            # The gradient of the divergence pulls to mean 0 and variance 1, for each example.
            self.pull = weight * self.each
            self.rest.fill_(-0.5 * self.pull)

    def forward(self) -> None:
        self.mean, self.raw = self.heads.value.chunk(2)
        log_variance = posterior.log_variance_of(self.raw)
        variance = log_variance.exp()
        self.deviation = variance.sqrt()
        self.into.value = posterior.drawn(self.mean, self.deviation, self.noise)
        examples = self.mean.shape[1]
        self.loss = posterior.divergence(self.mean, log_variance, variance, examples)
        if self.weighted:
            each = posterior.divergences(self.mean, log_variance, variance, dim=0)
            for part in self.weighted:
                part.loss = each.dot(part.weights) * self.each

    def pulls(self) -> tuple[float | Tensor, Tensor]:
        """Return the weight of each example's divergence in the sum, and ``-1/2`` of it."""
        if not self.weighted:
            return self.pull, self.rest
        pull = torch.full_like(self.mean[:1], self.pull)
        for part in self.weighted:
            pull.add_(part.weights, alpha=part.weight * self.each)
        return pull, pull * -0.5

    def backward(self) -> None:
        gradient, out = self.into.gradient, self.heads.gradient
        assert gradient is not None and out is not None
        written = torch.empty_like(out) if self.keeps[0] else out
        of_mean, of_raw = written.chunk(2)
        pull, rest = self.pulls()
        posterior.write_gradients(
            gradient,
            self.noise,
            self.mean,
            self.deviation,
            self.raw,
            pull,
            rest,
            of_mean,
            of_raw,
        )
        if self.keeps[0]:
            out.add_(written)


class WeightedDivergence:
    """The divergence of a ``Draw``, by the weights that an output gives the examples.

    Attributes:
        weights: The weights of this step, shape (batch,).
        loss: The mean over the batch of weight times divergence.
        weight: Its weight in the sum that is differentiated next.
    """

    weights: Tensor
    loss: Tensor

    def __init__(self) -> None:
        self.weight = 0.0

    def weigh(self, weight: float) -> None:
        """Set the weight of the divergence in the sum that is differentiated next."""
        self.weight = weight


class Loss:
    """The loss of a head. The gradient of the head is computed with it, where it costs least.

    Attributes:
        target: The target of this step.
        loss: The loss in training units. Its weight in the sum of the losses is not included.
    """

    target: Tensor
    loss: Tensor

    def __init__(self, head: Signal, measure: Callable[..., Differentiated]) -> None:
        self.head, self.measure = head, measure
        self.reads, self.keeps = (head,), [0]
        self.factor, self.weight = 1.0, 0.0

    def weigh(self, weight: float) -> None:
        """Set the weight of the loss in the sum that is differentiated next."""
        self.weight = weight

    def forward(self) -> None:
        self._keep(self.measure(self.head.value.t(), self.target))

    def _keep(self, found: Differentiated) -> None:
        self.loss, gradient, self.factor = found
        self.head.gradient = gradient.t()

    def backward(self) -> None:
        self.head.factor = self.factor * self.weight


class WeightedLoss(Loss):
    """The mean over the batch of the weight of an example times its loss.

    Attributes:
        weights: The weights of this step, shape (batch,).
    """

    weights: Tensor

    def forward(self) -> None:
        self._keep(self.measure(self.head.value.t(), self.target, self.weights))
