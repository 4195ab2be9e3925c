"""How far generated data is from real data: Fréchet distance, Inception Score, and the features they look at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from ..device import one_thread
from ..errors import ProblemError
from .data.storage import cache_folder, made_once

Statistics = tuple[Tensor, Tensor]  # mean (k,) and covariance (k, k), float64
Labelled = tuple[
    Tensor, Tensor
]  # rows in training units (examples, width) and class indices (examples,)

HIDDEN = (256, 64)  # of the reference classifier
STEPS, BATCH, RATE = 1250, 200, 2e-3  # of its training: five passes over 50,000 examples


def statistics(features: Tensor) -> Statistics:
    """Mean and covariance of features ``(examples, k)``, in float64."""
    exact = features.detach().to("cpu", torch.float64)
    mean = exact.mean(0)
    centred = exact - mean
    return mean, centred.T @ centred / max(len(exact) - 1, 1)


def frechet_from_statistics(first: Statistics, second: Statistics) -> float:
    """Squared Fréchet distance of two normal distributions.

    The trace of ``(A B)^(1/2)`` is taken as the sum of the singular values of ``A^(1/2) B^(1/2)``,
    which needs no root of an eigenvalue that is zero but for rounding. What rounding leaves of two
    equal sets is cut to exactly 0.

    References:
        Heusel et al. (2017), GANs trained by a two time-scale update rule.
    """
    (mean_a, covariance_a), (mean_b, covariance_b) = first, second
    spread = (covariance_a.trace() + covariance_b.trace()).item()
    shared = torch.linalg.svdvals(_root(covariance_a) @ _root(covariance_b)).sum().item()
    distance = (mean_a - mean_b).square().sum().item() + spread - 2 * shared
    return distance if distance > 1e-12 * spread else 0.0


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """Squared Fréchet distance between two sets of features ``(examples, k)``: 0 for equal sets."""
    if features_a.shape[1:] != features_b.shape[1:]:
        raise ProblemError(
            f"frechet_distance needs equal widths, got {tuple(features_a.shape)} and {tuple(features_b.shape)}"
        )
    return frechet_from_statistics(statistics(features_a), statistics(features_b))


def inception_score(probabilities: Tensor) -> float:
    """``exp(mean KL(p(y|x) || p(y)))`` of rows of class probabilities.

    1 where all rows are equal (collapse), the number of classes where rows are certain and cover
    the classes evenly.

    References:
        Salimans et al. (2016), Improved techniques for training GANs.
    """
    rows = probabilities.detach().to("cpu", torch.float64)
    divergence = torch.xlogy(rows, rows) - torch.xlogy(rows, rows.mean(0))
    return divergence.sum(1).mean().exp().item()


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Features for data without labels: its coordinates along the directions in which the training data varies most."""

    mean: Tensor
    directions: Tensor

    @classmethod
    def of(cls, training: Tensor, count: int = 64, examples: int = 10_000) -> PrincipalComponents:
        """The leading ``count`` directions; the covariance of 10,000 examples costs a fifth of that of 50,000."""
        mean, covariance = statistics(training[:examples])
        _, vectors = torch.linalg.eigh(covariance)
        return cls(mean.float(), vectors[:, -count:].float().contiguous())

    def features(self, data: Tensor) -> Tensor:
        """Coordinates ``(examples, count)`` of rows in training units."""
        return (data.to(self.mean.dtype) - self.mean) @ self.directions


@dataclass(frozen=True, eq=False)
class ReferenceClassifier:
    """A small classifier that belongs to a problem: its last hidden layer gives the features of the Fréchet distance.

    Attributes:
        layers: weight and bias of each layer in turn.
        accuracy: on the validation split.
    """

    layers: tuple[Tensor, ...]
    accuracy: float

    def features(self, data: Tensor) -> Tensor:
        """Last hidden layer, ``(examples, 64)``, of rows in training units."""
        return _hidden(self.layers, data.to(self.layers[0].dtype))

    def probabilities(self, data: Tensor) -> Tensor:
        """Class probabilities of rows in training units."""
        return _logits(self.layers, data.to(self.layers[0].dtype)).softmax(1)

    @classmethod
    def cached(cls, training: Labelled, validation: Labelled, classes: int) -> ReferenceClassifier:
        """The classifier of this data: trained by the first process that asks, then read from the cache folder."""
        from safetensors.torch import load_file, save_file

        path = (
            cache_folder()
            / "reference"
            / f"{_fingerprint(training, validation, classes)}.safetensors"
        )
        with made_once(path) as making:
            if making:
                trained = cls.trained(training, validation, classes, STEPS)
                tensors = {str(number): tensor for number, tensor in enumerate(trained.layers)}
                save_file(
                    {**tensors, "accuracy": torch.tensor(trained.accuracy, dtype=torch.float64)},
                    making,
                )
        stored = load_file(path)
        accuracy = stored.pop("accuracy").item()
        return cls(tuple(stored[str(number)] for number in range(len(stored))), accuracy)

    @classmethod
    def trained(
        cls, training: Labelled, validation: Labelled, classes: int, steps: int
    ) -> ReferenceClassifier:
        """Train on one thread, from a generator of its own: neither the caller's threads nor random state change."""
        # Gradients are needed even where the caller, who only scores, has switched them off.
        with one_thread(), torch.inference_mode(False), torch.enable_grad():
            layers = _train(training, classes, steps)
            predicted = _logits(layers, validation[0]).argmax(1)
        return cls(layers, (predicted == validation[1]).double().mean().item())


def _train(training: Labelled, classes: int, steps: int) -> tuple[Tensor, ...]:
    """Adam with a rate that falls to 0, on random batches."""
    data, labels = training
    generator = torch.Generator().manual_seed(0)
    layers = _fresh_layers((data.shape[1], *HIDDEN, classes), generator)
    optimizer = torch.optim.Adam(layers, lr=RATE, fused=True)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / steps)
        batch = torch.randint(len(data), (BATCH,), generator=generator)
        optimizer.zero_grad()
        functional.cross_entropy(_logits(layers, data[batch]), labels[batch]).backward()
        optimizer.step()
    return tuple(layer.detach() for layer in layers)


def _fresh_layers(widths: tuple[int, ...], generator: torch.Generator) -> list[Tensor]:
    layers = []
    for width, units in pairwise(widths):
        weight = (
            torch.randn(units, width, generator=generator, dtype=torch.float32) * (2 / width) ** 0.5
        )
        layers += [
            weight.requires_grad_(),
            torch.zeros(units, dtype=torch.float32, requires_grad=True),
        ]
    return layers


def _hidden(layers: Sequence[Tensor], data: Tensor) -> Tensor:
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        data = functional.linear(data, weight, bias).relu()
    return data


def _logits(layers: Sequence[Tensor], data: Tensor) -> Tensor:
    return functional.linear(_hidden(layers, data), layers[-2], layers[-1])


def _fingerprint(training: Labelled, validation: Labelled, classes: int) -> str:
    """A name for this data and this recipe."""
    digest = hashlib.sha256(repr((classes, HIDDEN, STEPS, BATCH, RATE)).encode())
    for tensor in (*training, *validation):
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:32]
