"""Probes: ridge regressions from what providers give to the functional gradients of receivers.

A probe is fitted on training examples and judged on validation examples, so a probe that only
remembers its examples has nothing to show.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..genome.diagnosis import Gain
from ..problem import Problem
from .gradients import Place
from .subject import Subject

WIDTH = 128
"""Directions of a provider that a probe reads, the leading ones of a wider provider."""

UNITS = 48
"""Random relu units of the nonlinear probe."""

DIRECTIONS = 5
"""Directions of each provider of a pair; the probe reads the products of all of them."""

RANK = 16
"""Directions of a receiver's gradients that probes predict; the others count as unexplained."""


def leading_axes(values: Tensor, count: int, rounds: int = 1) -> Tensor:
    """Return about the leading principal directions of rows about their mean.

    Args:
        values: Shape (rows, columns).
        count: Number of directions.
        rounds: Of subspace iteration; more find directions that hardly stand out.

    Returns:
        Orthonormal columns, shape (columns of ``values``, count); the identity where there are no
        more columns than that.
    """
    columns = values.shape[1]
    if columns <= count:
        return torch.eye(columns).to(values)
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(columns, count, generator=generator).to(values)
    for _ in range(rounds):
        axes = torch.linalg.qr(values.T @ (values @ axes)).Q
    return axes


# ---- what probes read ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a probe reads of a provider: its result about the training mean, along some directions.

    Attributes:
        mean: Mean of the provider's result over the training examples, shape (width,).
        axes: Orthonormal directions, shape (width, at most ``WIDTH``).
        fitted: Training examples along the directions, shape (examples, directions).
        held: Validation examples along the directions.
    """

    mean: Tensor
    axes: Tensor
    fitted: Tensor
    held: Tensor

    @classmethod
    def of(cls, subject: Subject, provider: str) -> Reading:
        """Read a provider of a model. The reading of an input is that of the data, made once."""
        fitted, held = (subject.gradients[split][0][provider] for split in ("train", "validation"))
        known = _OF_INPUTS.setdefault(subject.problem, {})
        key = provider, subject.device
        if key in known:
            data, reading = known[key]
            if data[0] is fitted and data[1] is held:
                return reading
        reading = cls._made(fitted, held)
        if provider in subject.model.inputs:
            known[key] = (fitted, held), reading
        return reading

    @classmethod
    def _made(cls, fitted: Tensor, held: Tensor) -> Reading:
        mean = fitted.mean(0)
        centred = fitted - mean
        axes = leading_axes(centred, WIDTH)
        return cls(mean, axes, centred @ axes, (held - mean) @ axes)


_Known = dict[tuple[str, torch.device], tuple[tuple[Tensor, Tensor], Reading]]

_OF_INPUTS: WeakKeyDictionary[Problem, _Known] = WeakKeyDictionary()
"""The readings of inputs, and of which tensors they are; individuals of a problem share them."""


@dataclass(frozen=True)
class Units:
    """Random relu units that read a provider.

    Attributes:
        weights: Shape (directions of the reading, units).
        bias: Shape (units,).
    """

    weights: Tensor
    bias: Tensor

    @classmethod
    def drawn(cls, reading: Reading, seed: int) -> Units:
        """Draw units whose sums have a mean square of about 2, half of it from the bias."""
        generator = torch.Generator().manual_seed(seed)
        drawn = torch.randn(reading.fitted.shape[1] + 1, UNITS, generator=generator)
        size = reading.fitted.square().sum(1).mean().sqrt().clamp(min=1e-12)
        return cls(drawn[:-1].to(size) / size, drawn[-1].to(size))

    def __call__(self, values: Tensor) -> Tensor:
        return torch.relu(torch.addmm(self.bias, values, self.weights))


def products(one: Reading, other: Reading, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Return products of directions of two providers.

    The directions are those in which the products of the two providers' columns go along most with
    what is wanted, over the training examples. Wide providers have far too many products to read
    them all, and the directions in which they vary most need not be those that matter.

    Args:
        one: A provider.
        other: Another provider.
        wanted: What the products are to explain, of the training examples about their mean, shape
            (examples, columns).

    Returns:
        Of the training and of the validation examples, each of shape (examples, products).
    """
    (fitted, held), (others, others_held) = _unit_variance(one), _unit_variance(other)
    moments = fitted.T @ _outer(wanted, others)  # (columns of one, wanted x columns of other)
    moments = moments.reshape(len(moments), wanted.shape[1], -1)
    axes = leading_axes(moments.flatten(1).T, DIRECTIONS, rounds=4)
    others_axes = leading_axes(moments.flatten(0, 1), DIRECTIONS, rounds=4)
    return (
        _outer(fitted @ axes, others @ others_axes),
        _outer(held @ axes, others_held @ others_axes),
    )


def _unit_variance(reading: Reading) -> tuple[Tensor, Tensor]:
    spread = reading.fitted.square().mean(0).sqrt()
    spread = torch.maximum(spread, 1e-6 * spread.max()).clamp(min=1e-30)
    return reading.fitted / spread, reading.held / spread


def _outer(left: Tensor, right: Tensor) -> Tensor:
    return (left[:, :, None] * right[:, None, :]).flatten(1)


# ---- what probes predict -------------------------------------------------------------------------


@dataclass(frozen=True)
class Gradients:
    """Functional gradients of several receivers and outputs, side by side.

    Attributes:
        places: (receiver, output) of each group of columns.
        axes: By place, orthonormal directions of the receiver's rows that its columns stand for,
            shape (rows, at most ``RANK``).
        means: By place, the mean of the columns over the training examples. A constant is for the
            receiver's bias to learn, not for a provider.
        fitted: By place, the columns of the training examples about that mean.
        held: By place, the columns of the validation examples.
        energies: By place, the mean square of the validation examples' gradients about that mean,
            over all rows, those outside the directions too.
        examples: By output, the training and the validation examples that have a target of it;
            None where all have one. The columns of a place have a row for each of them.
    """

    places: tuple[Place, ...]
    axes: Mapping[Place, Tensor]
    means: Mapping[Place, Tensor]
    fitted: Mapping[Place, Tensor]
    held: Mapping[Place, Tensor]
    energies: Mapping[Place, Tensor]
    examples: Mapping[str, tuple[Tensor | None, Tensor | None]]

    @classmethod
    def of(cls, subject: Subject) -> Gradients:
        """Return the gradients of all receivers of a model."""
        (_, training), (_, validation) = (
            subject.gradients[split] for split in ("train", "validation")
        )
        axes, means, fitted, held, energies = {}, {}, {}, {}, {}
        for place, gradient in training.items():
            mean = gradient.mean(0)
            centred = gradient - mean
            axes[place] = leading_axes(centred, RANK)
            means[place] = mean @ axes[place]
            fitted[place] = centred @ axes[place]
            held[place] = validation[place] @ axes[place]
            energies[place] = (validation[place] - mean).square().sum(1).mean()
        examples = {
            output: (subject.rows("train", output), subject.rows("validation", output))
            for output in subject.model.outputs
        }
        return cls(tuple(training), axes, means, fitted, held, energies, examples)

    def at(self, receivers: Collection[str]) -> Gradients:
        """Return the gradients of these receivers."""
        return self._only(place for place in self.places if place[0] in receivers)

    def of_place(self, place: Place) -> Gradients:
        """Return the gradients of one receiver and output."""
        return self._only([place])

    def alike(self) -> list[Gradients]:
        """Return the gradients in groups of outputs that have targets of the same examples."""
        groups: dict[str | None, list[Place]] = {}
        for place in self.places:
            whole = self.examples[place[1]] == (None, None)
            groups.setdefault(None if whole else place[1], []).append(place)
        return [self._only(places) for places in groups.values()]

    def _only(self, places: Iterable[Place]) -> Gradients:
        return replace(self, places=tuple(places))

    def with_targets(self, fitted: Tensor, held: Tensor) -> tuple[Tensor, Tensor]:
        """Return the training and validation examples that a group of ``alike`` has targets of."""
        training, validation = self.examples[self.places[0][1]]
        return (
            fitted if training is None else fitted[training],
            held if validation is None else held[validation],
        )

    def lacking(self, examples: int) -> Tensor:
        """Return ``fitted`` of all places side by side, 0 for training examples without a target.

        Args:
            examples: Number of training examples.
        """
        columns = []
        for place in self.places:
            part, training = self.fitted[place], self.examples[place[1]][0]
            if training is not None:
                part = part.new_zeros(examples, part.shape[1]).index_copy_(0, training, part)
            columns.append(part)
        return torch.cat(columns, -1)

    def side_by_side(self, columns: Mapping[Place, Tensor]) -> Tensor:
        """Return the columns of all places as one tensor."""
        return torch.cat([columns[place] for place in self.places], -1)

    def totals(self, columns: Tensor) -> Tensor:
        """Add up the columns of each place, from shape (..., columns) to (..., places)."""
        widths = torch.tensor([len(self.means[place]) for place in self.places])
        owner = torch.arange(len(widths)).repeat_interleave(widths).to(columns.device)
        zeros = columns.new_zeros(*columns.shape[:-1], len(widths))
        return zeros.index_add_(-1, owner, columns)


# ---- probes --------------------------------------------------------------------------------------


def gains(fitted: Tensor, held: Tensor, wanted: Gradients) -> dict[Place, Gain]:
    """Return what probes of these features gain, each on the examples with a target of its output.

    Args:
        fitted: Features of the training examples, shape (examples, features).
        held: Features of the validation examples.
        wanted: What the probes predict.
    """
    found: dict[Place, Gain] = {}
    for group in wanted.alike():
        found |= Probe(*group.with_targets(fitted, held)).gains(group)
    return found


class Probe:
    """Ridge regressions from the same features to any columns, about the training means.

    The penalty weighs as much as one more example for each feature: hardly anything for a few
    features, and as much as the examples where there are as many features.

    Args:
        fitted: Features of the training examples, shape (examples, features).
        held: Features of the validation examples.

    Attributes:
        mean: Mean of the features over the training examples.
        fitted: Features of the training examples about that mean.
        held: Features of the validation examples about that mean.
    """

    def __init__(self, fitted: Tensor, held: Tensor) -> None:
        self.mean = fitted.mean(0)
        self.fitted, self.held = fitted - self.mean, held - self.mean

    @cached_property
    def factor(self) -> Tensor:
        """The Cholesky factor that all regressions share."""
        gram = self.fitted.T @ self.fitted
        diagonal = gram.diagonal()
        penalty = diagonal.mean() * len(diagonal) / len(self.fitted)
        diagonal.add_(penalty.clamp(min=1e-12))
        return torch.linalg.cholesky_ex(gram).L

    def coefficients(self, columns: Tensor) -> Tensor:
        """Return the coefficients for columns about their mean, shape (features, columns)."""
        return torch.cholesky_solve(self.fitted.T @ columns, self.factor)

    def gains(self, wanted: Gradients) -> dict[Place, Gain]:
        """Judge the predictions of gradients on the validation examples.

        No prediction is written down: sums over examples are products of small matrices.
        """
        examples = len(self.held)
        steps = self.coefficients(wanted.side_by_side(wanted.fitted))
        met = self.held.T @ wanted.side_by_side(wanted.held) / examples
        second = self.held.T @ self.held / examples
        agreement = (steps * met).sum(0)
        with_mean = (self.held.mean(0) @ steps) * wanted.side_by_side(wanted.means)
        size = (steps * (second @ steps)).sum(0)
        gains, with_means, sizes = wanted.totals(torch.stack([agreement, with_mean, size]))
        energies = torch.stack([wanted.energies[place] for place in wanted.places])
        shares = (2 * (gains - with_means) - sizes) / energies.clamp(min=1e-30)
        # A probe that overflowed tells nothing.
        judged = torch.stack([gains, shares], 1).nan_to_num(0.0, 0.0, 0.0).tolist()
        return {place: Gain(*numbers) for place, numbers in zip(wanted.places, judged, strict=True)}
