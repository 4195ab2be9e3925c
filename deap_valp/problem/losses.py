"""Losses of a batch: each is written once, its gradient in closed form beside its value.

A loss is any function from head and target to a differentiable scalar, the mean over the batch. A
loss that also has a method ``with_gradient`` is trained without autograd, which is quicker.

Where the examples of an output do not all weigh the same, the loss of a batch is the mean over its
examples of weight times loss. So the loss of each example is needed alone. A loss that has a method
``per_example`` gives them, of shape (batch,). Any other loss is called with one example at a time,
by ``torch.func.vmap`` where it can be.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

LossFunction = Callable[[Tensor, Tensor], Tensor]
"""From a head ``(batch, width)`` and a target, in training units, to a scalar."""


class Differentiated(NamedTuple):
    """A loss and its gradient with respect to the head.

    Attributes:
        loss: A scalar.
        gradient: Shape (batch, width); it still has to be multiplied by ``factor``.
        factor: A number that the next matrix product applies at no cost.
    """

    loss: Tensor
    gradient: Tensor
    factor: float


LossWithGradient = Callable[[Tensor, Tensor], Differentiated]
"""From head and target to loss and gradient. The function may overwrite the head."""


WeightedLoss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From head, target and one weight per example to the mean of weight times loss, a scalar."""

WeightedWithGradient = Callable[[Tensor, Tensor, Tensor], Differentiated]
"""The same with its gradient. The function may overwrite the head."""


class SquaredError:
    """Mean squared error over the batch and its dimensions."""

    def __call__(self, head: Tensor, target: Tensor) -> Tensor:
        """Return the loss; autograd can differentiate it."""
        return _mean_square(head - target)

    def with_gradient(self, head: Tensor, target: Tensor) -> Differentiated:
        """Return the loss and its gradient, twice the difference over the number of elements."""
        difference = head.sub_(target)
        return Differentiated(_mean_square(difference), difference, 2 / difference.numel())

    def per_example(self, head: Tensor, target: Tensor) -> Tensor:
        """Return the mean squared error of each example."""
        return (head - target).square().mean(1)

    def with_weighted_gradient(
        self, head: Tensor, target: Tensor, weight: Tensor
    ) -> Differentiated:
        """Return the weighted loss and its gradient."""
        difference = head.sub_(target)
        gradient = difference * weight[:, None]
        loss = (gradient * difference).sum() / difference.numel()
        return Differentiated(loss, gradient, 2 / difference.numel())


def _mean_square(difference: Tensor) -> Tensor:
    # The dot product with itself: mse_loss takes six times as long on 200 x 784.
    flat = difference.flatten()
    return flat.dot(flat) / flat.numel()


class CrossEntropy:
    """Softmax cross-entropy of class indices, mean over the batch."""

    def __call__(self, head: Tensor, target: Tensor) -> Tensor:
        """Return the loss; autograd can differentiate it."""
        return _mean_surprise(_log_softmax(head), target)

    def with_gradient(self, head: Tensor, target: Tensor) -> Differentiated:
        """Return the loss and its gradient: softmax minus the one-hot target, over the batch."""
        logarithms = _log_softmax(head)
        loss = _mean_surprise(logarithms, target)
        softmax = logarithms.t().exp_()
        gradient = softmax.scatter_(0, target[None], -1, reduce="add")
        return Differentiated(loss, gradient.t(), 1 / len(target))

    def per_example(self, head: Tensor, target: Tensor) -> Tensor:
        """Return the cross-entropy of each example."""
        return functional.nll_loss(_log_softmax(head), target, reduction="none")

    def with_weighted_gradient(
        self, head: Tensor, target: Tensor, weight: Tensor
    ) -> Differentiated:
        """Return the weighted loss and its gradient."""
        logarithms = _log_softmax(head)
        surprise = functional.nll_loss(logarithms, target, reduction="none")
        softmax = logarithms.t().exp_()
        gradient = softmax.scatter_(0, target[None], -1, reduce="add").mul_(weight)
        size = len(target)
        return Differentiated(surprise.dot(weight) / size, gradient.t(), 1 / size)


def _log_softmax(head: Tensor) -> Tensor:
    # Training keeps narrow heads as (width, batch) in memory, so this reads them in their order.
    return head.t().log_softmax(0).t()


def _mean_surprise(logarithms: Tensor, target: Tensor) -> Tensor:
    return functional.nll_loss(logarithms, target)


def with_gradient(loss: LossFunction) -> LossWithGradient:
    """Return the closed form of a loss where it has one, else its value and autograd's gradient."""
    closed_form: LossWithGradient | None = getattr(loss, "with_gradient", None)
    return _by_autograd(loss) if closed_form is None else closed_form


def weighted(loss: LossFunction) -> WeightedLoss:
    """Return the weighted form of a loss; autograd can differentiate it."""
    each: LossFunction = getattr(loss, "per_example", None) or OneByOne(loss)

    def by_weight(head: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        return each(head, target).dot(weight.to(head)) / len(weight)

    return by_weight


def weighted_with_gradient(loss: LossFunction) -> WeightedWithGradient:
    """Return the weighted form of a loss with its gradient, in closed form where it has one."""
    closed_form: WeightedWithGradient | None = getattr(loss, "with_weighted_gradient", None)
    return _by_autograd(weighted(loss)) if closed_form is None else closed_form


def _by_autograd(loss: Callable[..., Tensor]) -> Callable[..., Differentiated]:
    def by_autograd(head: Tensor, *others: Tensor) -> Differentiated:
        with torch.enable_grad():
            head = head.contiguous().detach().requires_grad_()
            value = loss(head, *others)
            (gradient,) = torch.autograd.grad(value, head)
        return Differentiated(value.detach(), gradient, 1.0)

    return by_autograd


class OneByOne:
    """A loss of one example at a time, from (head, target) to shape (batch,).

    Some functions cannot be vectorised, such as one that branches on numbers. The first call finds
    out; a loop over the examples then takes some milliseconds a batch.
    """

    def __init__(self, loss: LossFunction) -> None:
        self._loss = loss
        self._vectorised: bool | None = None

    def __call__(self, head: Tensor, target: Tensor) -> Tensor:
        if self._vectorised is None:
            self._vectorised = self._can_be_vectorised(head, target)
        if self._vectorised:
            return torch.func.vmap(self._alone)(head, target)
        return torch.stack([self._alone(*pair) for pair in zip(head, target, strict=True)])

    def _alone(self, head: Tensor, target: Tensor) -> Tensor:
        return self._loss(head[None], target[None])

    def _can_be_vectorised(self, head: Tensor, target: Tensor) -> bool:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # torch warns where it falls back to a slow loop
                torch.func.vmap(self._alone)(head, target)
        except Exception:  # the loss is the user's; the loop raises what it raises
            return False
        return True
