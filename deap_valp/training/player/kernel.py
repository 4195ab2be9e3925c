"""The interpreter of the compiled player: one function of numba that runs a list of operations.

An operation is a row of whole numbers: its code, then addresses, sizes and strides. So nothing is
compiled for an architecture. The function is compiled once on a machine and kept on disk by numba.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit

from . import codes, descent, numbers, operations
from .memory import call_sgemm, put
from .numbers import ONE, compiled, float32

Array = np.ndarray


@compiled
def update(code: Any, op: Any, now: Any) -> None:
    """Run an operation that depends on the number of the step through coefficients ``now``."""
    first = op[6]
    one, two, three = float32(now[first]), float32(now[first + 1]), float32(now[first + 2])
    if code == codes.ADAM:
        descent.adam(op[1], op[2], op[3], op[4], op[5], one, two, three)
    elif code == codes.NADAM:
        descent.nadam(op[1], op[2], op[3], op[4], op[5], one, two, three)
    elif code == codes.SGD:
        descent.sgd(op[1], op[2], op[3], op[5], one)
    elif code == codes.RMSPROP:
        descent.by_root(
            op[1], op[2], op[3], op[5], one, descent.SQUARE, descent.SQUARE_REST, descent.SMALL
        )
    elif code == codes.ADAGRAD:
        descent.by_root(op[1], op[2], op[3], op[5], one, ONE, ONE, descent.TINY)
    else:
        descent.follow(op[1], op[2], op[5], one)


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
        operations.spread(op[1], op[2], op[3], op[4], op[5])
    elif code == codes.GATHER:
        operations.gather(op[1], op[2], op[3], op[4], op[5], factor)
    elif code == codes.ACTIVATE:
        operations.activate(op[1], op[2], op[3], op[4])
    elif code == codes.ACTIVATE_BACK:
        operations.activate_back(op[1], op[2], op[3], op[4], op[5], op[6], op[7])
    elif code == codes.SOFTMAX:
        operations.softmax(op[1], op[2], op[3], op[4], scratch)
        operations.divide(op[2], scratch + 4 * op[4], op[3], op[4])
    elif code == codes.SOFTMAX_BACK:
        operations.softmax_back(op[1], op[2], op[3], op[4], op[5], scratch, op[6])
    elif code == codes.ADD:
        operations.add(op[1], op[2], op[3], op[4])
    elif code == codes.PASS:
        operations.pass_on(op[1], op[2], op[3], op[4])
    elif code == codes.FILL:
        operations.fill(op[1], op[2], factor)
    elif code == codes.ADD_SCALED:
        operations.add_scaled(op[1], op[2], op[3], factor)
    elif code == codes.DRAW:
        operations.draw(op[1], op[2], op[3], op[4], op[5], op[6], op[7], op[8])
    elif code == codes.DRAW_BACK:
        operations.draw_back(op[1], op[2], op[3], op[4], op[5], op[6], op[7], op[8], op[9], op[10])
    elif code == codes.DOT:
        put(op[3], 0, factor * numbers.dot(op[1], op[2], op[4]))
    elif code == codes.ENTROPY:
        put(
            op[4], 0, float32(operations.entropy(op[1], op[2], op[3], op[5], op[6], op[7], scratch))
        )
    elif code == codes.SQUARED:
        loss = operations.squared(op[1], op[2], op[3], op[5], op[6], op[7], op[8])
        put(op[4], 0, float32(loss))
    elif code == codes.LOSSES:
        operations.add_losses(op[1], op[2], op[3], op[4], op[5], factor)
    elif code == codes.CLIP:
        operations.clip(op[1], op[2], factor)
    elif code == codes.MULTIPLY:
        operations.multiply(op[1], op[2], op[3])


def _compiled_play() -> Any:
    """Compile the interpreter, or load it from disk.

    numba looks for changes in the file of the interpreter alone. But what it keeps on disk belongs
    to the values that a function takes from around it, which here are all sources.
    """
    folder = Path(__file__).parent
    sources = b"".join(path.read_bytes() for path in sorted(folder.glob("*.py")))
    version = int(hashlib.sha256(sources).hexdigest()[:12], 16)

    @njit(
        "int64(int64[:,::1], float32[:,::1], int64[:,::1], int64[:,::1], float64[:,::1], int64)",
        error_model="numpy",
        cache=True,
        nogil=True,
    )
    def play(
        ops: Any, factors: Any, patches: Any, addresses: Any, coefficients: Any, scratch: Any
    ) -> Any:
        for step in range(len(addresses)):
            for i in range(len(patches)):
                ops[patches[i, 0], patches[i, 1]] = addresses[step, patches[i, 2]] + patches[i, 3]
            for i in range(len(ops)):
                run(ops[i], factors[i], coefficients[step], scratch)
        return version

    return play


play: Callable[[Array, Array, Array, Array, Array, int], int] = _compiled_play()
"""Run all operations once for each row of addresses.

Args:
    ops: The operations, a row for each. Written to.
    factors: Two factors for each operation.
    patches: What changes from step to step: the row and column of an operation, the column in
        ``addresses``, and the distance from the address there.
    addresses: The addresses in each step.
    coefficients: What the steps of the algorithms depend on, a row for each step.
    scratch: The address of memory for three numbers an example.

Returns:
    The version of the interpreter.
"""
