"""The operations of the compiled player, but for matrix products and the steps of the algorithms.

They work on float32 memory by its address. A matrix of shape (units, examples) has a stride for
each, in numbers. Where an operation has no strides, the examples of a unit are adjacent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import codes
from .memory import get, get_class, put
from .numbers import HALF, ONE, ZERO, compiled, dot, exp, float32, reordered, softplus, sum_of, tanh

BOUND = float32(10)  # of log-variances, as in ``posterior``
THRESHOLD = float32(20)  # softplus is the identity from here on, as in torch


@compiled
def fill(out: Any, count: Any, value: Any) -> None:
    """Write one value everywhere."""
    for i in range(count):
        put(out, i, value)


@compiled
def add_scaled(read: Any, out: Any, count: Any, factor: Any) -> None:
    """Add a factor times what is read."""
    for i in range(count):
        put(out, i, get(out, i) + factor * get(read, i))


@compiled
def pass_on(read: Any, out: Any, count: Any, keep: Any) -> None:
    """Copy what is read, or add it with ``keep``."""
    for i in range(count):
        put(out, i, get(read, i) + (get(out, i) if keep else ZERO))


@compiled
def add(first: Any, second: Any, into: Any, count: Any) -> None:
    """Write a sum."""
    for i in range(count):
        put(into, i, get(first, i) + get(second, i))


@compiled
def multiply(out: Any, factors: Any, count: Any) -> None:
    """Multiply number by number."""
    for i in range(count):
        put(out, i, get(out, i) * get(factors, i))


@compiled
def spread(bias: Any, into: Any, units: Any, examples: Any, unit: Any) -> None:
    """Write the bias of each unit for every example; ``unit`` is the stride of the units."""
    if unit == 1:
        for e in range(examples):
            row = into + 4 * e * units
            for u in range(units):
                put(row, u, get(bias, u))
    else:
        for u in range(units):
            fill(into + 4 * u * unit, examples, get(bias, u))


@compiled
def gather(gradient: Any, out: Any, units: Any, examples: Any, unit: Any, factor: Any) -> None:
    """Write the gradient of each bias: the factor times the sum over the examples."""
    if unit == 1:
        fill(out, units, ZERO)
        for e in range(examples):
            add_scaled(gradient + 4 * e * units, out, units, factor)
    else:
        for u in range(units):
            put(out, u, factor * sum_of(gradient + 4 * u * unit, examples))


@compiled
def activate(code: Any, pre: Any, into: Any, count: Any) -> None:
    """Apply an activation."""
    if code == codes.RELU:
        for i in range(count):
            x = get(pre, i)
            put(into, i, ZERO if x <= ZERO else x)
    elif code == codes.ELU:
        for i in range(count):
            x = get(pre, i)
            put(into, i, exp(x) - ONE if x < ZERO else x)
    elif code == codes.SOFTPLUS:
        for i in range(count):
            put(into, i, softplus(get(pre, i)))
    elif code == codes.SOFTSIGN:
        for i in range(count):
            x = get(pre, i)
            put(into, i, x / (ONE + abs(x)))
    elif code == codes.SIGMOID:
        for i in range(count):
            put(into, i, ONE / (ONE + exp(-get(pre, i))))
    elif code == codes.TANH:
        for i in range(count):
            put(into, i, tanh(get(pre, i)))
    else:
        pass_on(pre, into, count, False)


@compiled
def activate_back(
    code: Any, gradient: Any, pre: Any, result: Any, out: Any, count: Any, keep: Any
) -> None:
    """Write the gradient of an activation, or add it with ``keep``."""
    if code == codes.RELU:
        for i in range(count):
            slope = ZERO if get(pre, i) <= ZERO else ONE
            put(out, i, get(gradient, i) * slope + (get(out, i) if keep else ZERO))
    elif code == codes.ELU:
        for i in range(count):
            y = get(result, i)
            slope = y + ONE if y < ZERO else ONE
            put(out, i, get(gradient, i) * slope + (get(out, i) if keep else ZERO))
    elif code == codes.SOFTPLUS:
        for i in range(count):
            x = get(pre, i)
            slope = ONE if x > THRESHOLD else ONE / (ONE + exp(-x))
            put(out, i, get(gradient, i) * slope + (get(out, i) if keep else ZERO))
    elif code == codes.SOFTSIGN:
        for i in range(count):
            slope = ONE - abs(get(result, i))
            put(out, i, get(gradient, i) * slope * slope + (get(out, i) if keep else ZERO))
    elif code == codes.SIGMOID:
        for i in range(count):
            y = get(result, i)
            put(out, i, get(gradient, i) * y * (ONE - y) + (get(out, i) if keep else ZERO))
    elif code == codes.TANH:
        for i in range(count):
            y = get(result, i)
            put(out, i, get(gradient, i) * (ONE - y * y) + (get(out, i) if keep else ZERO))
    else:
        pass_on(gradient, out, count, keep)


@compiled
def softmax(pre: Any, into: Any, units: Any, examples: Any, scratch: Any) -> None:
    """Write ``exp(pre - maximum)``, and leave the maxima and the sums of it in ``scratch``.

    The result is still to be divided by the sums.
    """
    sums = scratch + 4 * examples
    pass_on(pre, scratch, examples, False)
    for u in range(1, units):
        row = pre + 4 * u * examples
        for e in range(examples):
            x, most = get(row, e), get(scratch, e)
            put(scratch, e, x if x > most else most)
    fill(sums, examples, ZERO)
    for u in range(units):
        row, written = pre + 4 * u * examples, into + 4 * u * examples
        for e in range(examples):
            power = exp(get(row, e) - get(scratch, e))
            put(written, e, power)
            put(sums, e, get(sums, e) + power)


@compiled
def divide(out: Any, divisors: Any, units: Any, examples: Any) -> None:
    """Divide every example by a number of its own."""
    for u in range(units):
        row = out + 4 * u * examples
        for e in range(examples):
            put(row, e, get(row, e) / get(divisors, e))


@compiled
def softmax_back(
    gradient: Any, result: Any, out: Any, units: Any, examples: Any, scratch: Any, keep: Any
) -> None:
    """Write the gradient of a softmax, or add it with ``keep``."""
    fill(scratch, examples, ZERO)
    for u in range(units):
        row, read = result + 4 * u * examples, gradient + 4 * u * examples
        for e in range(examples):
            put(scratch, e, get(scratch, e) + get(row, e) * get(read, e))
    for u in range(units):
        row, read = result + 4 * u * examples, gradient + 4 * u * examples
        written = out + 4 * u * examples
        for e in range(examples):
            value = get(row, e) * (get(read, e) - get(scratch, e))
            put(written, e, value + (get(written, e) if keep else ZERO))


@compiled
def entropy(
    head: Any, target: Any, weights: Any, units: Any, examples: Any, out: Any, scratch: Any
) -> Any:
    """Return the cross-entropy, and write its gradient times the number of examples.

    ``weights`` is 0 where all examples weigh the same.
    """
    total, sums, surprises = 0.0, scratch + 4 * examples, scratch + 8 * examples
    for e in range(examples):
        put(surprises, e, get(head, get_class(target, e) * examples + e))
    softmax(head, out, units, examples, scratch)
    divide(out, sums, units, examples)
    for e in range(examples):
        weight = ONE if weights == 0 else get(weights, e)
        likely = float(get(surprises, e) - get(scratch, e))
        total += float(weight) * (math.log(float(get(sums, e))) - likely)
        place = get_class(target, e) * examples + e
        put(out, place, get(out, place) - ONE)
    if weights != 0:
        for u in range(units):
            multiply(out + 4 * u * examples, weights, examples)
    return total / float(examples)


@reordered
def squared_row(head: Any, target: Any, units: Any, unit: Any, weight: Any) -> Any:
    """Write the differences times a weight, and return the sum of their squares."""
    total = ZERO
    if unit == 1:
        for u in range(units):
            difference = get(head, u) - get(target, u)
            put(head, u, difference * weight)
            total += difference * difference
    else:
        for u in range(units):
            difference = get(head, u * unit) - get(target, u)
            put(head, u * unit, difference * weight)
            total += difference * difference
    return total


@compiled
def squared(
    head: Any, target: Any, weights: Any, units: Any, examples: Any, unit: Any, example: Any
) -> Any:
    """Return the mean squared error; write half its gradient times all numbers into the head."""
    total = 0.0
    for e in range(examples):
        weight = ONE if weights == 0 else get(weights, e)
        row = head + 4 * e * example
        error = squared_row(row, target + 4 * e * units, units, unit, weight)
        total += float(weight) * float(error)
    return total / float(examples * units)


@compiled
def draw(
    heads: Any,
    into: Any,
    deviations: Any,
    noise: Any,
    stride: Any,
    each: Any,
    units: Any,
    examples: Any,
) -> None:
    """Draw a latent; write its divergence for each example into ``each``."""
    fill(each, examples, ZERO)
    for u in range(units):
        start = 4 * u * examples
        mean, raw = heads + start, heads + start + 4 * units * examples
        drawn, deviation, normal = into + start, deviations + start, noise + 4 * u * stride
        for e in range(examples):
            log_variance, center = get(raw, e), get(mean, e)
            log_variance = BOUND if log_variance > BOUND else log_variance
            log_variance = -BOUND if log_variance < -BOUND else log_variance
            variance = exp(log_variance)
            root = np.sqrt(variance)
            put(deviation, e, root)
            put(drawn, e, center + root * get(normal, e))
            term = variance - log_variance + center * center - ONE
            put(each, e, get(each, e) + HALF * term)


@compiled
def draw_back(
    gradient: Any,
    heads: Any,
    deviations: Any,
    noise: Any,
    stride: Any,
    pulls: Any,
    out: Any,
    units: Any,
    examples: Any,
    keep: Any,
) -> None:
    """Write the gradients of both heads of a latent, or add them with ``keep``."""
    for u in range(units):
        start = 4 * u * examples
        other = start + 4 * units * examples
        read, deviation, normal = gradient + start, deviations + start, noise + 4 * u * stride
        mean, raw, of_mean, of_raw = heads + start, heads + other, out + start, out + other
        for e in range(examples):
            pull, root = get(pulls, e), get(deviation, e)
            value = get(read, e) + get(mean, e) * pull
            put(of_mean, e, value + (get(of_mean, e) if keep else ZERO))
            slope = get(read, e) * get(normal, e) + root * pull
            slope = HALF * (slope * root - pull)
            slope = ZERO if abs(get(raw, e)) >= BOUND else slope
            put(of_raw, e, slope + (get(of_raw, e) if keep else ZERO))


@compiled
def add_losses(parts: Any, matrix: Any, out: Any, outputs: Any, count: Any, share: Any) -> None:
    """Add the loss of every output, from the parts of the losses, times a share."""
    for o in range(outputs):
        put(out, o, get(out, o) + share * dot(matrix + 4 * o * count, parts, count))


@compiled
def clip(gradient: Any, count: Any, longest: Any) -> None:
    """Shorten a gradient to the longest norm."""
    total, start = 0.0, 0
    while start < count:
        row, length = gradient + 4 * start, min(1024, count - start)
        total += float(dot(row, row, length))
        start += length
    factor = float32(longest / (math.sqrt(total) + 1e-12))
    factor = ONE if factor > ONE else factor
    for i in range(count):
        put(gradient, i, get(gradient, i) * factor)
