"""Where samples come from: normal distributions, fitted to the latents of training examples.

Training pulls the latents of all examples towards N(0, I), but they keep gaps, between the classes
for instance. What a decoder draws from within a gap looks like no example. A mixture of normal
distributions, fitted after training, leaves the gaps out.

References:
    Not of the paper, which draws from N(0, I). Ghosh et al. (2020), From variational to
    deterministic autoencoders.
"""

from __future__ import annotations

import warnings
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
            rows: Shape (examples, d), at least two examples.
            count: The number of distributions; there are at most as many as rows.
        """
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.mixture import GaussianMixture

        values = rows.detach().to("cpu", torch.float64).numpy()
        model = GaussianMixture(
            min(count, len(values)), reg_covar=RIDGE, max_iter=ROUNDS, random_state=0
        )
        with warnings.catch_warnings():  # what ROUNDS reach is good enough; rows may be equal
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(values)
        found = (model.weights_, model.means_, model.covariances_)
        shares, means, covariances = map(torch.from_numpy, found)
        return cls(shares, means, torch.linalg.cholesky(covariances))

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
