"""The numbers of a port, read in pieces of rows, so that they need not fit into memory.

Where the user's array is a mapping of a file (``numpy.memmap``), its features become a file as
well, in the order of training, and the tensors of the splits are mappings of that file: a batch
reads its own rows, and the system forgets them when it needs the memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .arrays import Standard, mapped_tensor, piece_of
from .splits import SPLITS, Rows
from .storage import feature_file, remember_file


@dataclass(frozen=True, eq=False)
class Source:
    """The numbers of a port and how they are read.

    Attributes:
        matrix: The numbers, ``(examples, width)``.
        rows: The rows of each split.
        fill: What fills the missing values of rows; None where nothing is missing.
        mapped: Whether the matrix is a mapping of a file, and features are to be one.
    """

    matrix: np.ndarray
    rows: Rows
    fill: Callable[[np.ndarray], np.ndarray] | None = None
    mapped: bool = False

    def pieces(self, split: str = "train") -> Iterator[np.ndarray]:
        """Yield the rows of a split, some at a time.

        Sums are added up by these pieces, in memory as on disk, so both give the same bits.
        """
        rows, step = self.rows[split], piece_of(self.matrix.shape[1])
        if isinstance(rows, slice):
            for start in range(rows.start, rows.stop, step):
                yield self._filled(self.matrix[start : min(start + step, rows.stop)])
        else:
            for start in range(0, len(rows), step):
                yield self._filled(self.matrix[rows[start : start + step]])

    def _filled(self, rows: np.ndarray) -> np.ndarray:
        return rows if self.fill is None else self.fill(rows)

    def features(self, standard: Standard) -> dict[str, Tensor]:
        """Return the rows of each split in training units, float32."""
        return {name: self._features(name, standard) for name in SPLITS}

    def _features(self, split: str, standard: Standard) -> Tensor:
        rows = self.rows[split]
        if not self.mapped:
            return standard.apply(self._filled(self.matrix[rows]))
        plain = self.fill is None and standard == Standard() and self.matrix.dtype == np.float32
        if plain and isinstance(rows, slice):  # the file has the features as they are
            return standard.apply(self.matrix[rows])
        return self._on_disk(split, standard)

    def _on_disk(self, split: str, standard: Standard) -> Tensor:
        rows = self.rows[split]
        size = rows.stop - rows.start if isinstance(rows, slice) else len(rows)
        width, path = self._filled(self.matrix[:1]).shape[1], feature_file()
        written = np.lib.format.open_memmap(path, "w+", np.float32, (size, width))
        start = 0
        for piece in self.pieces(split):
            written[start : start + len(piece)] = standard.apply(piece).numpy()
            start += len(piece)
        written.flush()
        tensor = mapped_tensor(np.load(path, mmap_mode="r"))
        remember_file(tensor, path)
        return tensor


def standard_of(pieces: Callable[[], Iterator[np.ndarray]]) -> Standard:
    """Return mean and standard deviation of each column; a constant column keeps spread 1.

    Args:
        pieces: Gives the rows anew at each call, some at a time.
    """
    count, total, first = 0, np.zeros(()), None
    constant = np.ones((), dtype=bool)
    for piece in pieces():
        first = piece[:1] if first is None else first
        count, total = count + len(piece), total + piece.sum(0, dtype=np.float64)
        # Value by value, since rounding can leave a constant column a deviation above 0.
        constant = constant & (piece == first).all(0)
    mean = total / count
    squares = np.zeros(())
    for piece in pieces():
        deviation = piece - mean
        squares = squares + np.multiply(deviation, deviation, out=deviation).sum(0)
    spread = np.sqrt(squares / count)
    spread[constant | (spread < np.finfo(np.float32).tiny)] = 1.0
    return Standard(tuple(mean.tolist()), tuple(spread.tolist()))


def largest_of(features: Tensor, columns: list[int]) -> Tensor:
    """Return the largest absolute value of each of some columns."""
    parts = [part[:, columns].abs().amax(0) for part in features.split(piece_of(features.shape[1]))]
    return torch.stack(parts).amax(0)
