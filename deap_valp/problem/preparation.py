"""What remains of a problem's data in a model of it: how inputs are read, what outputs mean.

It has the categories, means and units of the training split and the labels of the classes, but no
example. So it is small, and pickles into other processes without the problem.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import ProblemError
from .data import doubts
from .data.arrays import Encoding, Standard
from .data.missing import Imputation
from .data.splits import Rows
from .inputs import InputKind

logger = logging.getLogger("deap_valp")


@dataclass(frozen=True)
class InputPreparation:
    """How the values of one input become the features of a model.

    Attributes:
        port: The name of the input.
        kind: What the values are, without them.
        encoding: How an array or a frame becomes a matrix.
        imputation: What stands in for missing values.
        standard: How the numbers are scaled.
    """

    port: str
    kind: InputKind
    encoding: Encoding
    imputation: Imputation
    standard: Standard

    @classmethod
    def of(
        cls, port: str, kind: InputKind, wish: bool | None, rows: Rows
    ) -> tuple[InputPreparation, dict[str, Tensor], int]:
        """Return the preparation of an input from its training rows.

        Args:
            port: The name of the input.
            kind: Its kind, around the values.
            wish: As for ``InputKind.units``.
            rows: The rows of each split.

        Returns:
            The preparation, the features of each split, and the number of missing values.
        """
        encoding = kind.encoding(port, rows["train"])
        if encoding.categorical:
            _report(port, doubts.of_columns(kind.values, encoding, rows["train"]))
        given = kind.source(port, encoding, rows)
        imputation = kind.imputation(port, encoding, given)
        missing = imputation.count(given.matrix)
        if missing:
            given = replace(given, fill=imputation)
        standard, features = kind.units(port, encoding, given, wish)
        made = cls(port, kind.around(None), encoding, imputation, standard)
        return made, features, missing

    def matrix(self, data: Any) -> np.ndarray:
        """Return values as numbers in the user's units, ``(examples, width)``, without holes.

        Categories that training did not have are reported to the log.

        Raises:
            ProblemError: They have another form than those that the problem was made from.
        """
        values = data.values if isinstance(data, InputKind) else data
        matrix = self.encoding.matrix(self.port, values)
        if self.encoding.categorical:
            _report(self.port, doubts.of_unseen(values, self.encoding, matrix))
        return self.imputation(matrix)

    def features(self, data: Any) -> Tensor:
        """Return values as a model reads them, float32: those of the problem bit for bit.

        Values far from what the kind expects are reported to the log.

        Raises:
            ProblemError: They have another form than those that the problem was made from.
        """
        features = self.standard.apply(self.matrix(data))
        self.kind.report(self.port, self.encoding, self.standard, features)
        return features

    def __str__(self) -> str:
        guess = " (guessed)" if self.kind.guessed else ""
        return f"{self.kind.text(self.encoding, self.standard)}{guess}"


def _report(port: str, found: Iterable[str]) -> None:
    for doubt in found:
        logger.warning("%r %s", port, doubt)


@dataclass(frozen=True)
class Meaning:
    """What the numbers of one output mean.

    Attributes:
        kind: The kind of the output.
        shape: The shape of the target of one example; empty for a single number or label.
        classes: The labels in the order of the probabilities; empty where there are none.
        columns: The names of the numbers where the target was a frame.
    """

    kind: str
    shape: tuple[int, ...] = ()
    classes: tuple[Hashable, ...] = ()
    columns: tuple[Hashable, ...] = ()

    def shape_for(self, numbers: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of the result of one example, given that of its numbers.

        It is the shape of the target. Probabilities keep theirs, and so do the numbers of an output
        that predicts another count of them than its target has.
        """
        if self.classes or math.prod(self.shape) != math.prod(numbers):
            return numbers
        return self.shape


@dataclass(frozen=True)
class Preparation:
    """How a model's inputs are read, and what its outputs mean.

    Attributes:
        inputs: The preparation of each input by name.
        outputs: The meaning of each output by name.
    """

    inputs: Mapping[str, InputPreparation]
    outputs: Mapping[str, Meaning] = field(default_factory=dict)

    def check(self, inputs: Any, who: str) -> None:
        """Raise unless these are arrays or frames of all inputs, by name."""
        if not isinstance(inputs, Mapping) or set(inputs) != set(self.inputs):
            got = list(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
            raise ProblemError(
                f"{who} needs a mapping with the inputs {list(self.inputs)}, got {got}"
            )
