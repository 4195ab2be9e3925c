"""Functions of numbers, and sums, for the operations of the compiled player.

They are written in plain arithmetic, so that the compiler computes 8 or 16 numbers at once. The
polynomials are those of the Cephes library, exact to about two units in the last place. NaN stays
NaN.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from .memory import get, power_of_two

float32 = np.float32
ZERO, HALF, ONE, TWO = float32(0), float32(0.5), float32(1), float32(2)

# Division by zero gives infinity or NaN, as in torch, and no exception.
WITHIN = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
compiled = njit(**WITHIN)
# Sums may be taken in any order, so that several numbers are added at once.
reordered = njit(**WITHIN, fastmath={"reassoc", "nsz", "contract"})

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
    """Return ``exp(x)``."""
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
    """Return ``tanh(x)``."""
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
    """Return the sum of a row of numbers."""
    total = ZERO
    for i in range(count):
        total += get(row, i)
    return total


@reordered
def dot(one: Any, other: Any, count: Any) -> Any:
    """Return the sum of the products of two rows of numbers."""
    total = ZERO
    for i in range(count):
        total += get(one, i) * get(other, i)
    return total
