"""What numba lacks: memory by its address, powers of two, and calls of a BLAS by its address."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


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
