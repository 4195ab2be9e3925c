"""Where samples come from: normal distributions, fitted to the latents of training examples.

Training pulls the latents of all examples towards N(0, I), but they keep gaps, between the classes
for instance. What a decoder draws from within a gap looks like no example. A mixture of normal
distributions, fitted after training, leaves the gaps out.

References:
    Not of the paper, which draws from N(0, I). Ghosh et al. (2020), From variational to
    deterministic autoencoders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from .. import device as devices
from ..genome import Latent
from ..problem import Problem
from .model import Latents, Model

EXAMPLES = 5000
"""The number of training examples whose latents a mixture is fitted to, at most."""

ROUNDS = 50
"""The number of rounds of expectation and maximisation."""

RIDGE = 1e-3
"""What is added to each variance, so that no distribution shrinks to a point."""


@dataclass(frozen=True, eq=False)
class Mixture:
    """A mixture of k normal distributions of d dimensions, in float64 on the CPU.

    Attributes:
        shares: The probability of each distribution, shape (k,).
        means: Shape (k, d).
        roots: The lower triangular roots of the covariances, shape (k, d, d).
    """

    shares: Tensor
    means: Tensor
    roots: Tensor

    @classmethod
    def fitted(cls, rows: Tensor, count: int) -> Mixture:
        """Fit a mixture by expectation and maximisation, from a start that the rows determine.

        Args:
            rows: Shape (examples, d).
            count: The number of distributions; there are at most as many as rows.
        """
        rows = rows.detach().to("cpu", torch.float64)
        responsible = _nearest(rows, _centres(rows, min(count, len(rows))))
        mixture = cls._of(rows, responsible)
        for _ in range(ROUNDS if count > 1 else 0):
            mixture = cls._of(rows, mixture.log_densities(rows).softmax(1))
        return mixture

    @classmethod
    def _of(cls, rows: Tensor, responsible: Tensor) -> Mixture:
        """Return the mixture that is likeliest if each row belongs to the distributions so much.

        Args:
            rows: Shape (examples, d).
            responsible: Shape (examples, k); each row sums to 1.
        """
        total = responsible.sum(0).clamp_min(1e-9)
        means = responsible.t() @ rows / total[:, None]
        ridge = RIDGE * torch.eye(rows.shape[1], dtype=rows.dtype)
        covariances = []
        for mean, part, weight in zip(means, responsible.t(), total, strict=True):
            centred = rows - mean
            covariances.append((centred * part[:, None]).t() @ centred / weight + ridge)
        return cls(total / total.sum(), means, torch.linalg.cholesky(torch.stack(covariances)))

    def log_densities(self, rows: Tensor) -> Tensor:
        """Return the logarithm of share times density, shape (examples, k)."""
        centred = (rows[None] - self.means[:, None]).transpose(1, 2)
        scaled = torch.linalg.solve_triangular(self.roots, centred, upper=False)
        squares = scaled.square().sum(1)
        spread = self.roots.diagonal(dim1=1, dim2=2).log().sum(1)
        constant = self.shares.log() - spread - 0.5 * math.log(2 * math.pi) * rows.shape[1]
        return (constant[:, None] - 0.5 * squares).t()

    def drawn(
        self, size: int, generator: torch.Generator | None, temperature: float, like: Tensor
    ) -> Tensor:
        """Return draws of shape (size, d).

        Args:
            size: The number of draws.
            generator: The generator of the draws, on the device of ``like``.
            temperature: The factor of the deviations from the means.
            like: A tensor whose type and device the draws have.
        """
        shares, means, roots = (part.to(like) for part in (self.shares, self.means, self.roots))
        which = torch.multinomial(shares, size, replacement=True, generator=generator)
        noise = torch.randn(
            size, means.shape[1], generator=generator, device=like.device, dtype=like.dtype
        )
        moved = torch.einsum("nij,nj->ni", roots[which], noise)
        return torch.add(means[which], moved, alpha=temperature)


def _centres(rows: Tensor, count: int) -> Tensor:
    """Return so many rows, far from each other: each likelier, the farther it is from the others.

    References:
        Arthur and Vassilvitskii (2007), k-means++.
    """
    generator = torch.Generator().manual_seed(0)
    found = [rows[0]]
    distance = (rows - rows[0]).square().sum(1)
    for _ in range(count - 1):
        odds = distance if distance.sum() > 0 else torch.ones_like(distance)
        found.append(rows[int(torch.multinomial(odds, 1, generator=generator))])
        distance = torch.minimum(distance, (rows - found[-1]).square().sum(1))
    return torch.stack(found)


def _nearest(rows: Tensor, centres: Tensor) -> Tensor:
    """Return 1 for the centre that is nearest to each row and 0 for the others."""
    nearest = torch.cdist(rows, centres).argmin(1)
    return torch.nn.functional.one_hot(nearest, len(centres)).to(rows)


def fit_latents(model: Model, problem: Problem, chunk: int) -> Mixture | None:
    """Return the mixture that a problem asks for, fitted to the latents of training examples.

    Latents that one model draws together are fitted together, side by side in the order of
    ``Model.drawn_first``.

    Args:
        model: The trained model.
        problem: The problem, which has the examples.
        chunk: The number of examples that are computed at the same time.

    Returns:
        The mixture. None if no output of the problem asks for one, or if the model has no latents
        or latents that are not finite.
    """
    count = max(kind.mixture for kind in problem.outputs.values())
    drawing = model.drawn_first()
    if not count or not drawing:
        return None
    device = next(model.parameters()).device
    data = problem.split("train", device, EXAMPLES)
    generator = devices.generator(device, 0)
    needed = frozenset[str]().union(*(model.subgraph(name) for name in drawing))
    order = [name for name in model.order if name in needed]
    rows = []
    for start in range(0, data.size, chunk):
        features = {name: value[start : start + chunk] for name, value in data.inputs.items()}
        size = len(next(iter(features.values())))
        drawn = _Kept(model.draw_noise(size, generator))
        model.run(features, drawn, order)
        rows.append(torch.cat([drawn.kept[name] for name in drawing], 1))
    latents = torch.cat(rows)
    if not latents.isfinite().all():  # a failed training, which the scores will tell
        return None
    return Mixture.fitted(latents, count)


class _Kept(Latents):
    """Draws the latents as in training, and keeps them by the name of the sub-network."""

    def __init__(self, noise: dict[int, Tensor]) -> None:
        super().__init__("train", noise)
        self.kept: dict[str, Tensor] = {}

    def __call__(self, name: str, latent: Latent, heads: Tensor) -> Tensor:
        self.kept[name] = super().__call__(name, latent, heads)
        return self.kept[name]
