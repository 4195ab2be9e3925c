"""Operators that change hyperparameters, not the network (paper V-C)."""

from __future__ import annotations

import math
import random
from dataclasses import replace

from ..genome import VALP, Draft, Place
from ..genome.optimizers import OPTIMIZERS
from .operators import operator

_SMALLEST_FACTOR, _LARGEST_FACTOR = 1.5, 4.0


def _rate_ranges(individual: VALP | Draft, output: str) -> list[tuple[float, float]]:
    optimizer = individual.optimizers[output]
    return _log_ranges(optimizer.learning_rate, individual.limits.learning_rate)


def _log_ranges(value: float, limits: tuple[float, float]) -> list[tuple[float, float]]:
    """Return the ranges below and above a value, as logarithms, to draw a new value from.

    The new value is the old one times or divided by 1.5 to 4, within the limits.
    """
    low, high = limits
    if value <= 0:
        return []
    below = (max(low, value / _LARGEST_FACTOR), value / _SMALLEST_FACTOR)
    above = (value * _SMALLEST_FACTOR, min(high, value * _LARGEST_FACTOR))
    return [(math.log(start), math.log(end)) for start, end in (below, above) if start <= end]


def _outputs_with_rate(individual: VALP, gentle: bool) -> list[Place]:
    return [Place(output) for output in individual.outputs if _rate_ranges(individual, output)]


@operator(scope="hyperparameter", effect="neutral", versions=("gentle",), places=_outputs_with_rate)
def mutChangeLR(draft: Draft, output: Place) -> None:
    """Multiply or divide the learning rate of an output by 1.5 to 4, within the limits.

    An output with a learning rate of 0 is not offered.

    References:
        Paper V-C, change_lr.
    """
    start, end = random.choice(_rate_ranges(draft, output))
    rate = math.exp(random.uniform(start, end))
    draft.optimizers[output] = replace(draft.optimizers[output], learning_rate=rate)


def _all_outputs(individual: VALP, gentle: bool) -> list[Place]:
    return [Place(output) for output in individual.outputs]


@operator(scope="hyperparameter", effect="neutral", versions=("gentle",), places=_all_outputs)
def mutChangeSGD(draft: Draft, output: Place) -> None:
    """Train an output with another SGD algorithm.

    The learning rate keeps its ratio to the usual rate of the algorithm, within the limits. A
    weight shrinks by rate times decay at each step, so the decay is divided by what the rate is
    multiplied by, again within the limits: the weights go on shrinking at the same pace.

    References:
        Paper V-C, change_sgd.
    """
    now = draft.optimizers[output]
    name = random.choice([other for other in OPTIMIZERS if other != now.name])
    rate = now.learning_rate * OPTIMIZERS[name].usual_rate / OPTIMIZERS[now.name].usual_rate
    decay = now.decay
    if rate > 0:
        rate = _within(rate, draft.limits.learning_rate)
        if decay > 0:
            decay = _within(decay * now.learning_rate / rate, draft.limits.decay)
    draft.optimizers[output] = replace(now, name=name, learning_rate=rate, decay=decay)


def _within(value: float, limits: tuple[float, float]) -> float:
    low, high = limits
    return min(max(value, low), high)


def _decay_ranges(individual: VALP | Draft, output: str) -> list[tuple[float, float]]:
    optimizer = individual.optimizers[output]
    return _log_ranges(optimizer.decay, individual.limits.decay)


def _outputs_with_decay(individual: VALP, gentle: bool) -> list[Place]:
    return [Place(output) for output in individual.outputs if _decay_ranges(individual, output)]


@operator(
    scope="hyperparameter", effect="neutral", versions=("gentle",), places=_outputs_with_decay
)
def mutChangeDecay(draft: Draft, output: Place) -> None:
    """Multiply or divide the weight decay of an output by 1.5 to 4, within the limits.

    An output with a weight decay of 0 is not offered, so an individual without weight decay never
    gets one.
    """
    start, end = random.choice(_decay_ranges(draft, output))
    decay = math.exp(random.uniform(start, end))
    draft.optimizers[output] = replace(draft.optimizers[output], decay=decay)


def _batch_sizes(individual: VALP | Draft) -> list[int]:
    low, high = individual.limits.batch_size
    return [
        size
        for size in (individual.batch_size // 2, individual.batch_size * 2)
        if low <= size <= high
    ]


def _batch_size_place(individual: VALP, gentle: bool) -> list[Place]:
    return [Place("batch_size")] if _batch_sizes(individual) else []


@operator(scope="hyperparameter", effect="neutral", versions=("gentle",), places=_batch_size_place)
def mutChangeBS(draft: Draft, hyperparameter: Place) -> None:
    """Halve or double the batch size, within the limits; the only place is ``"batch_size"``.

    References:
        Paper V-C, change_bs.
    """
    draft.batch_size = random.choice(_batch_sizes(draft))
