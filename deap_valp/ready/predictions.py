"""Predictions of an individual for new data, from what fits into a file of its own."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..device import one_thread
from ..genome import VALP
from ..problem import Problem
from ..training import decode

CHUNK = 2000
"""The number of examples that are computed at the same time."""


@dataclass(frozen=True)
class Predictor:
    """A trained individual with what its inputs and outputs mean. It pickles without the problem.

    Attributes:
        individual: The trained individual.
        encodings: How the user's array or frame of each input becomes numbers.
        outputs: The names of the outputs, in the order of the problem.
        classes: The labels of each classification output, in the order of its probabilities.
    """

    individual: VALP
    encodings: Mapping[str, Any]
    outputs: tuple[str, ...]
    classes: Mapping[str, tuple[Hashable, ...]]

    @classmethod
    def of(cls, individual: VALP, problem: Problem) -> Predictor:
        """Return the predictor of an individual of a problem."""
        classes = {
            name: tuple(kind.classes)
            for name, kind in problem.outputs.items()
            if not kind.draws_samples and len(kind.classes) == kind.port.width
        }
        return cls(individual, dict(problem._encodings), tuple(problem.outputs), classes)

    @torch.no_grad()
    def raw(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return probabilities, or numbers in the user's units, of shape (examples, width).

        Everything is computed in float64, so that a row gets the same answer in any batch.
        """
        model = decode(self.individual, dtype=torch.float64)
        matrices = {
            name: np.array(encoding.matrix(name, inputs[name]), dtype=np.float64)
            for name, encoding in self.encodings.items()
        }
        size = len(next(iter(matrices.values())))
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.outputs}
        with one_thread():
            for first in range(0, size, CHUNK):
                batch = {
                    name: torch.from_numpy(matrix[first : first + CHUNK])
                    for name, matrix in matrices.items()
                }
                for name, value in model(batch).items():
                    parts[name].append(value.numpy())
        return {name: np.concatenate(values) for name, values in parts.items()}

    def __call__(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return labels of shape (examples,), and numbers of shape (examples, width)."""
        answer = {}
        for name, values in self.raw(inputs).items():
            if name in self.classes:
                answer[name] = labels_of(self.classes[name], values)
            else:
                answer[name] = values
        return answer


def labels_of(classes: Sequence[Hashable] | np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the likeliest label of each row."""
    return np.asarray(classes)[probabilities.argmax(1)]
