"""The mathematics of a latent variable, written once: its draw, its KL divergence, their gradients.

A decoder's two heads give the mean and the log-variance of a normal posterior. Decoded models
compute with these functions under autograd, and the tape of training with their gradients.

References:
    Paper III; Kingma and Welling 2014 for the closed form of the divergence.
"""

from __future__ import annotations

import torch
from torch import Tensor

BOUND = 10.0
"""Log-variances are clamped to [-10, 10], so no deviation vanishes or overflows."""

_clamp_backward = torch.ops.aten.hardtanh_backward.grad_input


def log_variance_of(raw: Tensor) -> Tensor:
    """Return the log-variance that a head stands for."""
    return raw.clamp(-BOUND, BOUND)


def drawn(mean: Tensor, deviation: Tensor, noise: Tensor) -> Tensor:
    """Return ``mean + deviation * noise``."""
    return torch.addcmul(mean, deviation, noise)


def divergence(mean: Tensor, log_variance: Tensor, variance: Tensor, examples: int) -> Tensor:
    """Return the KL divergence from N(0, I): the sum over dimensions, the mean over the examples.

    It is ``1/2 sum(variance - log_variance + mean^2 - 1)``.
    """
    terms = (variance - log_variance).addcmul(mean, mean)
    return (terms.sum() - terms.numel()) * (0.5 / examples)


def divergences(mean: Tensor, log_variance: Tensor, variance: Tensor, dim: int) -> Tensor:
    """Return the KL divergence of each example, with the dimensions of the latent along ``dim``."""
    terms = (variance - log_variance).addcmul(mean, mean)
    return (terms.sum(dim) - terms.shape[dim]) * 0.5


def write_gradients(
    gradient: Tensor,
    noise: Tensor,
    mean: Tensor,
    deviation: Tensor,
    raw: Tensor,
    pull: float | Tensor,
    rest: Tensor,
    of_mean: Tensor,
    of_raw: Tensor,
) -> None:
    """Write the gradients of the two heads, for the draw and the divergence together.

    Args:
        gradient: The gradient of what was drawn.
        noise: As for ``drawn``.
        mean: As for ``drawn``.
        deviation: As for ``drawn``.
        raw: The log-variances before the clamp, which lets no gradient through beyond the bound.
        pull: The weight of the divergence, divided by the number of examples: one number, or one
            for each example, in a shape that broadcasts.
        rest: ``-pull / 2``, as a tensor: the divergence's gradient of the log-variance is
            ``pull / 2 * (variance - 1)``.
        of_mean: Where the gradient of the mean is written.
        of_raw: Where the gradient of ``raw`` is written.
    """
    if isinstance(pull, Tensor):
        torch.addcmul(gradient, mean, pull, out=of_mean)
        slope = torch.mul(gradient, noise).addcmul_(deviation, pull)
    else:
        torch.add(gradient, mean, alpha=pull, out=of_mean)
        slope = torch.mul(gradient, noise).add_(deviation, alpha=pull)
    slope = torch.addcmul(rest, slope, deviation, value=0.5)
    _clamp_backward(slope, raw, -BOUND, BOUND, grad_input=of_raw)
