"""How far generated data is from real data: Fréchet distance, Inception Score, and features."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

from ..device import one_thread
from ..errors import ProblemError
from .data.storage import cache_folder, made_once

Labelled = tuple[Tensor, Tensor]
"""Rows in training units ``(examples, width)``, and class indices ``(examples,)``."""

HIDDEN = (256, 64)
"""Widths of the reference classifier's hidden layers."""

STEPS, BATCH, RATE = 1250, 200, 2e-3
"""Training of the reference classifier; the steps are five passes over 50,000 examples."""


class Gaussian(NamedTuple):
    """The normal distribution with the mean and covariance of a set of features.

    Attributes:
        mean: Shape (k,), float64.
        covariance: Shape (k, k), float64.
    """

    mean: Tensor
    covariance: Tensor

    @classmethod
    def of(cls, features: Tensor) -> Gaussian:
        """Fit features ``(examples, k)``, in float64 on the CPU."""
        exact = features.detach().to("cpu", torch.float64)
        mean = exact.mean(0)
        centred = exact - mean
        return cls(mean, centred.T @ centred / max(len(exact) - 1, 1))

    def distance(self, other: Gaussian) -> float:
        """Return the squared Fréchet distance to another normal distribution.

        It contains the trace of ``(A B)^(1/2)`` for the covariances A and B. That trace is computed
        as the sum of the singular values of ``A^(1/2) B^(1/2)``, which takes no root of an
        eigenvalue that is zero but for rounding. A distance as small as rounding errors counts as
        exactly 0.

        References:
            Heusel et al. (2017), GANs trained by a two time-scale update rule.
        """
        spread = (self.covariance.trace() + other.covariance.trace()).item()
        roots = _root(self.covariance) @ _root(other.covariance)
        shared = torch.linalg.svdvals(roots).sum().item()
        distance = (self.mean - other.mean).square().sum().item() + spread - 2 * shared
        return distance if distance > 1e-12 * spread else 0.0


def _root(covariance: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(covariance)
    return vectors * values.clamp_min(0).sqrt() @ vectors.T


def frechet_distance(features_a: Tensor, features_b: Tensor) -> float:
    """Return the squared Fréchet distance between two sets of features; 0 for equal sets.

    Args:
        features_a: Shape (examples, k).
        features_b: Shape (examples, k), with examples of its own number.

    Raises:
        ProblemError: The widths differ.
    """
    if features_a.shape[1:] != features_b.shape[1:]:
        raise ProblemError(
            f"frechet_distance needs equal widths, got {tuple(features_a.shape)} and "
            f"{tuple(features_b.shape)}"
        )
    return Gaussian.of(features_a).distance(Gaussian.of(features_b))


def inception_score(probabilities: Tensor) -> float:
    """Return ``exp(mean KL(p(y|x) || p(y)))`` of rows of class probabilities.

    It is 1 where all rows are equal (collapse), and the number of classes where rows are certain
    and cover the classes evenly.

    References:
        Salimans et al. (2016), Improved techniques for training GANs.
    """
    rows = probabilities.detach().to("cpu", torch.float64)
    divergence = torch.xlogy(rows, rows) - torch.xlogy(rows, rows.mean(0))
    return divergence.sum(1).mean().exp().item()


@dataclass(frozen=True, eq=False)
class PrincipalComponents:
    """Features for data without labels: coordinates along the directions of largest variance.

    Attributes:
        mean: Of the training data, shape (width,).
        directions: Shape (width, count), those of larger variance last.
    """

    mean: Tensor
    directions: Tensor

    @classmethod
    def of(cls, training: Tensor, count: int = 64, examples: int = 10_000) -> PrincipalComponents:
        """Return the leading ``count`` directions of the first ``examples`` rows.

        The covariance of 10,000 examples costs a fifth of that of 50,000.
        """
        # Not scikit-learn's PCA: its last bits depend on the number of BLAS threads, so a search
        # would depend on the machine, and its import costs a worker 0.9 s and 80 MB.
        mean, covariance = Gaussian.of(training[:examples])
        _, vectors = torch.linalg.eigh(covariance)
        return cls(mean.float(), vectors[:, -count:].float().contiguous())

    def features(self, data: Tensor) -> Tensor:
        """Return the coordinates ``(examples, count)`` of rows in training units."""
        return (data.to(self.mean.dtype) - self.mean) @ self.directions


@dataclass(frozen=True, eq=False)
class ReferenceClassifier:
    """A small classifier that belongs to a problem and gives the features of the Fréchet distance.

    Attributes:
        layers: Weight and bias of each layer in turn.
        accuracy: On the validation split.
    """

    layers: tuple[Tensor, ...]
    accuracy: float

    def features(self, data: Tensor) -> Tensor:
        """Return the last hidden layer, ``(examples, 64)``, of rows in training units."""
        return _hidden(self.layers, data.to(self.layers[0].dtype))

    def probabilities(self, data: Tensor) -> Tensor:
        """Return class probabilities ``(examples, classes)`` of rows in training units."""
        return _logits(self.layers, data.to(self.layers[0].dtype)).softmax(1)

    @classmethod
    def cached(cls, training: Labelled, validation: Labelled, classes: int) -> ReferenceClassifier:
        """Return the classifier of this data from the cache folder.

        The first process that asks trains it and stores it there.
        """
        from safetensors.torch import load_file, save_file

        name = f"{_fingerprint(training, validation, classes)}.safetensors"
        path = cache_folder() / "reference" / name
        with made_once(path) as making:
            if making:
                trained = cls.trained(training, validation, classes, STEPS)
                tensors = {str(number): tensor for number, tensor in enumerate(trained.layers)}
                tensors["accuracy"] = torch.tensor(trained.accuracy, dtype=torch.float64)
                save_file(tensors, making)
        stored = load_file(path)
        accuracy = stored.pop("accuracy").item()
        return cls(tuple(stored[str(number)] for number in range(len(stored))), accuracy)

    @classmethod
    def trained(
        cls, training: Labelled, validation: Labelled, classes: int, steps: int
    ) -> ReferenceClassifier:
        """Train a classifier on one thread, with a random generator of its own.

        Neither the caller's number of threads nor any global random state changes.
        """
        # Gradients are needed even where the caller, who only scores, has switched them off.
        with one_thread(), torch.inference_mode(False), torch.enable_grad():
            layers = _train(training, classes, steps)
            predicted = _logits(layers, validation[0]).argmax(1)
        return cls(layers, (predicted == validation[1]).double().mean().item())


def _train(training: Labelled, classes: int, steps: int) -> tuple[Tensor, ...]:
    """Train by Adam on random batches, with a rate that falls to 0."""
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
        drawn = torch.randn(units, width, generator=generator, dtype=torch.float32)
        weight = drawn * (2 / width) ** 0.5
        bias = torch.zeros(units, dtype=torch.float32)
        layers += [weight.requires_grad_(), bias.requires_grad_()]
    return layers


def _hidden(layers: Sequence[Tensor], data: Tensor) -> Tensor:
    for weight, bias in zip(layers[:-2:2], layers[1:-2:2], strict=True):
        data = functional.linear(data, weight, bias).relu()
    return data


def _logits(layers: Sequence[Tensor], data: Tensor) -> Tensor:
    return functional.linear(_hidden(layers, data), layers[-2], layers[-1])


def _fingerprint(training: Labelled, validation: Labelled, classes: int) -> str:
    """Return a name for the classifier of this data, by this recipe."""
    digest = hashlib.sha256(repr((classes, HIDDEN, STEPS, BATCH, RATE)).encode())
    for tensor in (*training, *validation):
        digest.update(repr(tuple(tensor.shape)).encode())
        digest.update(tensor.contiguous().numpy().data)
    return digest.hexdigest()[:32]
