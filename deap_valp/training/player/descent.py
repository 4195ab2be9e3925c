"""The steps of the SGD algorithms, as operations of the compiled player.

What they take of the number of the step is computed before, by ``updates``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .memory import get, put
from .numbers import HALF, ONE, compiled, float32

MEAN, SQUARE = float32(0.9), float32(0.99)
REST, SQUARE_REST = float32(1 - 0.9), float32(1 - 0.99)
SMALL, TINY = float32(1e-8), float32(1e-10)


@compiled
def adam(
    value: Any,
    gradient: Any,
    means: Any,
    squares: Any,
    count: Any,
    rate: Any,
    root: Any,
    shrink: Any,
) -> None:
    """Take a step of Adam, or of AdamW where ``shrink`` is below 1."""
    for i in range(count):
        slope = get(gradient, i)
        mean = MEAN * get(means, i) + REST * slope
        square = SQUARE * get(squares, i) + SQUARE_REST * slope * slope
        put(means, i, mean)
        put(squares, i, square)
        step = rate * mean / (np.sqrt(square) * root + SMALL)
        put(value, i, get(value, i) * shrink - step)


@compiled
def nadam(
    value: Any,
    gradient: Any,
    means: Any,
    squares: Any,
    count: Any,
    now: Any,
    ahead: Any,
    scale: Any,
) -> None:
    """Take a step of NAdam."""
    for i in range(count):
        slope = get(gradient, i)
        mean = MEAN * get(means, i) + REST * slope
        square = SQUARE * get(squares, i) + SQUARE_REST * slope * slope
        put(means, i, mean)
        put(squares, i, square)
        root = np.sqrt(square * scale) + SMALL
        put(value, i, get(value, i) - (now * slope + ahead * mean) / root)


@compiled
def sgd(value: Any, gradient: Any, momenta: Any, count: Any, rate: Any) -> None:
    """Take a step of SGD with momentum."""
    for i in range(count):
        momentum = MEAN * get(momenta, i) + get(gradient, i)
        put(momenta, i, momentum)
        put(value, i, get(value, i) - rate * momentum)


@compiled
def by_root(
    value: Any,
    gradient: Any,
    squares: Any,
    count: Any,
    rate: Any,
    stays: Any,
    comes: Any,
    least: Any,
) -> None:
    """Take a step of RMSprop or AdaGrad: the gradient over the root of a mean square."""
    for i in range(count):
        slope = get(gradient, i)
        square = stays * get(squares, i) + comes * slope * slope
        put(squares, i, square)
        put(value, i, get(value, i) - rate * slope / (np.sqrt(square) + least))


@compiled
def follow(value: Any, average: Any, count: Any, share: Any) -> None:
    """Move an average towards the weights, as ``Tensor.lerp_`` does."""
    for i in range(count):
        new, old = get(value, i), get(average, i)
        if share < HALF:
            put(average, i, old + share * (new - old))
        else:
            put(average, i, new - (new - old) * (ONE - share))
