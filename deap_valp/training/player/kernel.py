"""The interpreter of the compiled player: one function of numba that runs a list of operations.

An operation is a row of whole numbers: its code, then addresses of float32 memory, sizes and
strides. So nothing is compiled for an architecture. The function is compiled once on a machine and
kept on disk by numba. All that it calls is in this file, since numba looks at no other file to
find out whether what is on disk is current.

A matrix of shape (units, examples) has a stride for each, in numbers. Where an operation has no
strides, the examples of a unit are adjacent.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from . import codes

float32 = np.float32
ZERO, HALF, ONE, TWO = float32(0), float32(0.5), float32(1), float32(2)
BOUND = float32(10)  # of log-variances, as in ``posterior``
THRESHOLD = float32(20)  # softplus is the identity from here on, as in torch

# Division by zero gives infinity or NaN, as in torch, and no exception.
compiled = njit(error_model="numpy")
# Sums may be taken in any order, so that several numbers are added at once.
reordered = njit(error_model="numpy", fastmath={"reassoc", "nsz", "contract"})


# ---- memory --------------------------------------------------------------------------------------


@intrinsic
def get(typing: Any, address: Any, index: Any) -> Any:
    """Return the float32 at an index of the memory at an address."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.inttoptr(arguments[0], ir.FloatType().as_pointer())
        return builder.load(builder.gep(start, [arguments[1]]))

    return types.float32(types.int64, types.int64), build


@intrinsic
def put(typing: Any, address: Any, index: Any, value: Any) -> Any:
    """Write a float32 at an index of the memory at an address."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.inttoptr(arguments[0], ir.FloatType().as_pointer())
        builder.store(arguments[2], builder.gep(start, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.float32), build


@intrinsic
def get_class(typing: Any, address: Any, index: Any) -> Any:
    """Return the int64 at an index of the memory at an address."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        start = builder.inttoptr(arguments[0], ir.IntType(64).as_pointer())
        return builder.load(builder.gep(start, [arguments[1]]))

    return types.int64(types.int64, types.int64), build


@intrinsic
def power_of_two(typing: Any, shifted: Any) -> Any:
    """Return ``2 ** n``, where ``shifted`` is ``MAGIC + n`` and so has n in its lowest bits."""

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        word = ir.IntType(32)
        bits = builder.shl(builder.bitcast(arguments[0], word), ir.Constant(word, 23))
        return builder.bitcast(builder.add(bits, ir.Constant(word, 0x3F800000)), ir.FloatType())

    return types.float32(types.float32), build


@intrinsic
def call_sgemm(
    typing: Any,
    function: Any,
    turn_a: Any,
    turn_b: Any,
    m: Any,
    n: Any,
    k: Any,
    alpha: Any,
    a: Any,
    lda: Any,
    b: Any,
    ldb: Any,
    beta: Any,
    c: Any,
    ldc: Any,
) -> Any:
    """Call the ``sgemm`` of a BLAS at an address: ``c = alpha * a @ b + beta * c``, columns first.

    BLAS takes the addresses of all its arguments.
    """
    whole, number = types.int64, types.float32
    signature = types.void(*(whole,) * 6, number, *(whole,) * 4, number, whole, whole)

    def build(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        shapes = [ir.IntType(8)] * 2 + [word] * 3 + [ir.FloatType(), None, word, None, word]
        passed = []
        for value, shape in zip(arguments[1:], [*shapes, ir.FloatType(), None, word], strict=True):
            if shape is None:
                passed.append(builder.inttoptr(value, pointer))
                continue
            place = cgutils.alloca_once(builder, shape)
            builder.store(value if value.type == shape else builder.trunc(value, shape), place)
            passed.append(builder.bitcast(place, pointer))
        kind = ir.FunctionType(ir.VoidType(), [pointer] * 13)
        builder.call(builder.inttoptr(arguments[0], kind.as_pointer()), passed)
        return context.get_dummy_value()

    return signature, build


# ---- functions of numbers ------------------------------------------------------------------------

# Written in plain arithmetic, so that the compiler computes 8 or 16 at once. The polynomials are
# those of the Cephes library, exact to about two units in the last place. NaN stays NaN.
HIGH, LOW, MAGIC = float32(88.37), float32(-87.33), float32(1.5 * 2**23)
LOG2E = float32(1.44269504088896341)
LN2_HIGH, LN2_LOW = float32(0.693359375), float32(-2.12194440e-4)
EXP = tuple(
    map(
        float32,
        (
            1.9875691500e-4,
            1.3981999507e-3,
            8.3334519073e-3,
            4.1665795894e-2,
            1.6666665459e-1,
            5.0000001201e-1,
        ),
    )
)
TANH = tuple(
    map(
        float32,
        (
            -5.70498872745e-3,
            2.06390887954e-2,
            -5.37397155531e-2,
            1.33314422036e-1,
            -3.33332819422e-1,
        ),
    )
)
NARROW = float32(0.625)
ODD = tuple(float32(1 / odd) for odd in (15, 13, 11, 9, 7, 5, 3))


@compiled
def exp(x: Any) -> Any:
    x = HIGH if x > HIGH else x
    x = LOW if x < LOW else x
    shifted = x * LOG2E + MAGIC
    whole = shifted - MAGIC
    rest = x - whole * LN2_HIGH - whole * LN2_LOW
    high = (EXP[0] * rest + EXP[1]) * rest + EXP[2]
    high = ((high * rest + EXP[3]) * rest + EXP[4]) * rest + EXP[5]
    return (high * rest * rest + rest + ONE) * power_of_two(shifted)


@compiled
def tanh(x: Any) -> Any:
    square, size = x * x, abs(x)
    near = ((TANH[0] * square + TANH[1]) * square + TANH[2]) * square + TANH[3]
    near = (near * square + TANH[4]) * square * x + x
    far = ONE - TWO / (exp(TWO * size) + ONE)
    far = -far if x < ZERO else far
    return near if size < NARROW else far


@compiled
def softplus(x: Any) -> Any:
    """Return ``log(1 + exp(x))``; the logarithm as an area tangent, which has a short series."""
    small = exp(-abs(x))
    part = small / (TWO + small)
    square = part * part
    series = ((ODD[0] * square + ODD[1]) * square + ODD[2]) * square + ODD[3]
    series = ((series * square + ODD[4]) * square + ODD[5]) * square + ODD[6]
    return (x if x > ZERO else ZERO) + TWO * part * (series * square + ONE)


@reordered
def sum_of(row: Any, count: Any) -> Any:
    total = ZERO
    for i in range(count):
        total += get(row, i)
    return total


@reordered
def dot(one: Any, other: Any, count: Any) -> Any:
    total = ZERO
    for i in range(count):
        total += get(one, i) * get(other, i)
    return total


# ---- operations ----------------------------------------------------------------------------------


@compiled
def fill(out: Any, count: Any, value: Any) -> None:
    for i in range(count):
        put(out, i, value)


@compiled
def add_scaled(read: Any, out: Any, count: Any, factor: Any) -> None:
    for i in range(count):
        put(out, i, get(out, i) + factor * get(read, i))


@compiled
def pass_on(read: Any, out: Any, count: Any, keep: Any) -> None:
    for i in range(count):
        put(out, i, get(read, i) + (get(out, i) if keep else ZERO))


@compiled
def add(first: Any, second: Any, into: Any, count: Any) -> None:
    for i in range(count):
        put(into, i, get(first, i) + get(second, i))


@compiled
def multiply(out: Any, factors: Any, count: Any) -> None:
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
    for u in range(units):
        row = out + 4 * u * examples
        for e in range(examples):
            put(row, e, get(row, e) / get(divisors, e))


@compiled
def softmax_back(
    gradient: Any, result: Any, out: Any, units: Any, examples: Any, scratch: Any, keep: Any
) -> None:
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
    for o in range(outputs):
        put(out, o, get(out, o) + share * dot(matrix + 4 * o * count, parts, count))


@compiled
def clip(gradient: Any, count: Any, longest: Any) -> None:
    total, start = 0.0, 0
    while start < count:
        row, length = gradient + 4 * start, min(1024, count - start)
        total += float(dot(row, row, length))
        start += length
    factor = float32(longest / (math.sqrt(total) + 1e-12))
    factor = ONE if factor > ONE else factor
    for i in range(count):
        put(gradient, i, get(gradient, i) * factor)


# ---- the steps of the algorithms -----------------------------------------------------------------

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


# ---- the interpreter -----------------------------------------------------------------------------


@compiled
def update(code: Any, op: Any, now: Any) -> None:
    """Run an operation that depends on the number of the step through coefficients ``now``."""
    first = op[6]
    one, two, three = float32(now[first]), float32(now[first + 1]), float32(now[first + 2])
    if code == codes.ADAM:
        adam(op[1], op[2], op[3], op[4], op[5], one, two, three)
    elif code == codes.NADAM:
        nadam(op[1], op[2], op[3], op[4], op[5], one, two, three)
    elif code == codes.SGD:
        sgd(op[1], op[2], op[3], op[5], one)
    elif code == codes.RMSPROP:
        by_root(op[1], op[2], op[3], op[5], one, SQUARE, SQUARE_REST, SMALL)
    elif code == codes.ADAGRAD:
        by_root(op[1], op[2], op[3], op[5], one, ONE, ONE, TINY)
    else:
        follow(op[1], op[2], op[5], one)


@compiled
def run(op: Any, number: Any, now: Any, scratch: Any) -> None:
    """Run one operation."""
    code, factor = op[0], number[0]
    if code == codes.GEMM:
        call_sgemm(
            op[1],
            op[2],
            op[3],
            op[4],
            op[5],
            op[6],
            factor,
            op[7],
            op[8],
            op[9],
            op[10],
            number[1],
            op[11],
            op[12],
        )
    elif code >= codes.FIRST_UPDATE:
        update(code, op, now)
    elif code == codes.SPREAD:
        spread(op[1], op[2], op[3], op[4], op[5])
    elif code == codes.GATHER:
        gather(op[1], op[2], op[3], op[4], op[5], factor)
    elif code == codes.ACTIVATE:
        activate(op[1], op[2], op[3], op[4])
    elif code == codes.ACTIVATE_BACK:
        activate_back(op[1], op[2], op[3], op[4], op[5], op[6], op[7])
    elif code == codes.SOFTMAX:
        softmax(op[1], op[2], op[3], op[4], scratch)
        divide(op[2], scratch + 4 * op[4], op[3], op[4])
    elif code == codes.SOFTMAX_BACK:
        softmax_back(op[1], op[2], op[3], op[4], op[5], scratch, op[6])
    elif code == codes.ADD:
        add(op[1], op[2], op[3], op[4])
    elif code == codes.PASS:
        pass_on(op[1], op[2], op[3], op[4])
    elif code == codes.FILL:
        fill(op[1], op[2], factor)
    elif code == codes.ADD_SCALED:
        add_scaled(op[1], op[2], op[3], factor)
    elif code == codes.DRAW:
        draw(op[1], op[2], op[3], op[4], op[5], op[6], op[7], op[8])
    elif code == codes.DRAW_BACK:
        draw_back(op[1], op[2], op[3], op[4], op[5], op[6], op[7], op[8], op[9], op[10])
    elif code == codes.DOT:
        put(op[3], 0, factor * dot(op[1], op[2], op[4]))
    elif code == codes.ENTROPY:
        put(op[4], 0, float32(entropy(op[1], op[2], op[3], op[5], op[6], op[7], scratch)))
    elif code == codes.SQUARED:
        loss = squared(op[1], op[2], op[3], op[5], op[6], op[7], op[8])
        put(op[4], 0, float32(loss))
    elif code == codes.LOSSES:
        add_losses(op[1], op[2], op[3], op[4], op[5], factor)
    elif code == codes.CLIP:
        clip(op[1], op[2], factor)
    elif code == codes.MULTIPLY:
        multiply(op[1], op[2], op[3])


@njit(
    "void(int64[:,::1], float32[:,::1], int64[:,::1], int64[:,::1], float64[:,::1], int64)",
    error_model="numpy",
    cache=True,
    nogil=True,
)
def play(
    ops: Any, numbers: Any, patches: Any, addresses: Any, coefficients: Any, scratch: Any
) -> None:
    """Run all operations once for each row of addresses.

    Args:
        ops: The operations, a row for each. Written to.
        numbers: Two factors for each operation.
        patches: What changes from step to step: the row and column of an operation, the column in
            ``addresses``, and the distance from the address there.
        addresses: The addresses in each step.
        coefficients: What the steps of the algorithms depend on, a row for each step.
        scratch: The address of memory for three numbers an example.
    """
    for step in range(len(addresses)):
        for i in range(len(patches)):
            ops[patches[i, 0], patches[i, 1]] = addresses[step, patches[i, 2]] + patches[i, 3]
        for i in range(len(ops)):
            run(ops[i], numbers[i], coefficients[step], scratch)
