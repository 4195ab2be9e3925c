"""What lies between two examples: a walk from one latent to the other, decoded on the way.

References:
    White (2016), Sampling Generative Networks, for walks on the sphere.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from .model import Latents, Model

ALMOST_STRAIGHT = 1e-3
"""Below this sine of the angle between two latents, the way is a straight line."""


def walked(model: Model, features: Mapping[str, Tensor], steps: int) -> dict[str, Tensor]:
    """Return what the generation outputs draw on the way between two examples.

    Args:
        model: The model.
        features: The features of the two examples, each of shape (2, width).
        steps: Number of points on the way, both ends included.

    Returns:
        By generation output, in the user's units, each of shape (steps, width).
    """
    latents = Latents("reconstruct")
    model.run(features, latents)
    shares = torch.linspace(0, 1, steps, dtype=torch.float64)[:, None]
    points = {
        name: between(mean[0], mean[1], shares) for name, (mean, _) in latents.moments.items()
    }
    return model.drawn(steps, Latents("generate", given=points))


def between(first: Tensor, second: Tensor, shares: Tensor) -> Tensor:
    """Return latents on the way from one to another: direction and length change evenly.

    A straight line would pass through shorter latents than a decoder has learned to draw. It is the
    way only where there is no direction to turn in: between parallel, opposite or zero latents.

    Args:
        first: A latent, shape (dim,).
        second: Another one.
        shares: The share of the way that lies behind each point, shape (points, 1).

    Returns:
        The points, shape (points, dim).
    """
    start, end = first.double(), second.double()
    lengths = torch.stack([start.norm(), end.norm()])
    cosine = (start @ end / lengths.prod()).clamp(-1, 1)
    angle = cosine.acos()
    shares = shares.to(start.device)
    if not angle.sin() > ALMOST_STRAIGHT:  # not a number where a latent is zero
        return torch.lerp(start, end, shares).to(first.dtype)
    near, far = ((1 - shares) * angle).sin(), (shares * angle).sin()
    turned = (near * start / lengths[0] + far * end / lengths[1]) / angle.sin()
    return (turned * torch.lerp(lengths[0], lengths[1], shares)).to(first.dtype)
