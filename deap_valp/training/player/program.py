"""Programs of the compiled player: a list of operations, with what each of them works on.

This is independent of tapes. A program knows memory, strides and matrix products.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ...problem import Split
from . import codes
from .blas import Blas

COLUMNS = 13
"""The length of an operation: its code and its operands."""


class Unknown(Exception):
    """The compiled player has no operation for a part of a tape. The message says for which."""


class Source(NamedTuple):
    """Memory that is elsewhere at every step, such as the features of a batch.

    Attributes:
        kind: ``"features"``, ``"targets"``, ``"weights"``, ``"noise"`` or ``"history"``.
        name: The name of the input or output, or the id of the latent.
        offset: The distance in bytes from the start of that memory.
    """

    kind: str
    name: str | int = ""
    offset: int = 0


Address = int | Source


class View(NamedTuple):
    """A float32 matrix in memory, of shape (units, examples) if it is a signal.

    Attributes:
        address: Where it starts.
        shape: The number of rows and of columns.
        strides: The distance, in numbers, from one row to the next, and from column to column.
    """

    address: Address
    shape: tuple[int, int]
    strides: tuple[int, int]

    @classmethod
    def of(cls, tensor: Tensor) -> View:
        """Return the view of a tensor, which must stay alive as long as the view is used."""
        need_float32(tensor)
        rows, columns = tensor.shape
        return cls(tensor.data_ptr(), (rows, columns), (tensor.stride(0), tensor.stride(1)))

    def t(self) -> View:
        """Return the transposed view."""
        return View(self.address, self.shape[::-1], self.strides[::-1])

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.shape[0] * self.shape[1]

    @property
    def by_units(self) -> bool:
        """Whether the columns of a row are adjacent, and the rows too."""
        return self.strides == (self.shape[1], 1)


def need_float32(tensor: Tensor) -> None:
    """Raise ``Unknown`` for a tensor that is not of 32 bits or not on the CPU."""
    if tensor.dtype != torch.float32 or tensor.device.type != "cpu":
        raise Unknown(f"a tensor of {tensor.dtype} on {tensor.device}")


def need_readable(data: Split) -> None:
    """Raise ``Unknown`` if the examples are not in the form that the operations read."""
    for kind in (data.inputs, data.targets, data.weights):
        for name, tensor in kind.items():
            whole = tensor.dtype == torch.int64 and tensor.dim() == 1
            if tensor.dtype != torch.float32 and not whole:
                raise Unknown(f"data of {tensor.dtype} for {name}")
            if not tensor.is_contiguous() or tensor.device.type != "cpu":
                raise Unknown(f"data for {name} that is not in one piece on the CPU")


class Program:
    """A list of operations, which grows.

    Attributes:
        sources: The memory that changes from step to step, with its column in the addresses.
        kept: The tensors whose memory the operations use, to keep them alive.
    """

    def __init__(self, blas: Blas) -> None:
        self.blas = blas
        self.sources: dict[tuple[str, str | int], int] = {}
        self.kept: list[Tensor] = []
        self._rows: list[list[int]] = []
        self._factors: list[tuple[float, float]] = []
        self._patches: list[tuple[int, int, int, int]] = []

    def emit(self, code: int, *operands: Address, factors: Sequence[float] = ()) -> None:
        """Append an operation."""
        row = [code] + [0] * (COLUMNS - 1)
        for column, operand in enumerate(operands, 1):
            if isinstance(operand, Source):
                key = operand.kind, operand.name
                source = self.sources.setdefault(key, len(self.sources))
                self._patches.append((len(self._rows), column, source, operand.offset))
            else:
                row[column] = int(operand)
        self._rows.append(row)
        first, second, *_ = (*factors, 0.0, 0.0)
        self._factors.append((first, second))

    def new(self, *shape: int) -> Tensor:
        """Return new memory, filled with zeros."""
        tensor = torch.zeros(shape)
        self.kept.append(tensor)
        return tensor

    def zero(self, tensor: Tensor) -> None:
        """Append that a tensor becomes zero."""
        self.emit(codes.FILL, tensor.data_ptr(), tensor.numel())

    def add(self, read: Tensor, into: Tensor, factor: float) -> None:
        """Append ``into += factor * read``."""
        addresses = read.data_ptr(), into.data_ptr()
        self.emit(codes.ADD_SCALED, *addresses, read.numel(), factors=[factor])

    def multiply(
        self, into: View, left: View, right: View, factor: float = 1.0, keep: float = 0.0
    ) -> None:
        """Append ``into = factor * left @ right + keep * into``.

        BLAS counts by columns. Where the rows of the result are adjacent, the transposed product
        is computed.
        """
        if into.strides[0] != 1:
            into, left, right = into.t(), right.t(), left.t()
        (rows, columns), inner = into.shape, left.shape[1]
        (turn_a, step_a), (turn_b, step_b) = _layout(left), _layout(right)
        self.emit(
            codes.GEMM,
            self.blas.sgemm(turn_a, rows, columns, inner),
            ord(turn_a),
            ord(turn_b),
            rows,
            columns,
            inner,
            left.address,
            step_a,
            right.address,
            step_b,
            into.address,
            max(into.strides[1], rows),
            factors=(factor, keep),
        )

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return operations, factors and patches as the interpreter takes them."""
        return (
            np.array(self._rows, dtype=np.int64).reshape(-1, COLUMNS),
            np.array(self._factors, dtype=np.float32).reshape(-1, 2),
            np.array(self._patches, dtype=np.int64).reshape(-1, 4),
        )


def _layout(view: View) -> tuple[str, int]:
    """Return whether BLAS has to transpose a matrix, and the distance of its lines in memory."""
    (rows, columns), (down, across) = view.shape, view.strides
    if down == 1 and (across >= rows or columns == 1):
        return "N", max(across, rows)
    if across == 1 and (down >= columns or rows == 1):
        return "T", max(down, columns)
    raise Unknown(f"a matrix of shape {view.shape} with strides {view.strides}")
