"""Classification: an output kind that names one class per example."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from ..errors import ProblemError
from ..genome.ports import DISCRETE, VALUES, Output
from .data.arrays import class_indices
from .losses import CrossEntropy, LossFunction
from .outputs import Binding, OutputKind, ScoreFunction


class Classification(OutputKind):
    """One class per example, of any hashable labels; scored by the error rate, 1 - accuracy.

    An example has no target where its label is None or NaN; -1 is a class like any other.

    Args:
        target: One label per example.
        loss: A loss in place of the cross-entropy: a function of the logits (batch, classes) and
            the class indices (batch,) that returns a differentiable scalar, the mean over the
            batch.
        score: A score in place of the error rate: a function of the probabilities (examples,
            classes) and the class indices (examples,) of a split, on the CPU, that returns a number
            to minimise.
        loss_weight: Factor of this output's loss in the sum of all losses.
        example_weights: One number from 0 on for each example, by which it counts in the loss. Only
            their ratios matter; an example of weight 0 is left out of the score too.
        class_weights: Factors by which the examples of each class count in the loss: a mapping of
            positive numbers by label, 1 for those it does not name, or ``"balanced"`` for factors
            that let all classes count the same over the training split. Like weights of examples,
            they do not change the score.

    Raises:
        ProblemError: An argument breaks a rule. Labels and weights are checked by ``Problem``.
    """

    kind = "classification"
    takes = frozenset({VALUES, DISCRETE})
    higher_is_better = True
    default_loss = CrossEntropy()
    score_name = "error rate"

    def __init__(
        self,
        target: Any,
        *,
        loss: LossFunction | None = None,
        score: ScoreFunction | None = None,
        loss_weight: float = 1.0,
        example_weights: Any = None,
        class_weights: str | Mapping[Hashable, float] | None = None,
    ):
        super().__init__(
            target,
            loss=loss,
            score=score,
            loss_weight=loss_weight,
            example_weights=example_weights,
        )
        _check_class_weights(class_weights)
        self._class_weights = class_weights
        self._factors: np.ndarray | None = None

    def needed_in_training(self) -> Any:
        """Return the target."""
        return self._target

    def encode(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        """Return the port, and the class index of each example of each split."""
        self.classes, targets = class_indices(binding.port, self._target, binding.rows)
        self._factors = self._factors_of(binding, targets["train"])
        return Output(self.kind, len(self.classes)), targets

    def _factors_of(self, binding: Binding, training: Tensor) -> np.ndarray | None:
        """Return the weight of each class."""
        if self._class_weights is None:
            return None
        if isinstance(self._class_weights, Mapping):
            unknown = [label for label in self._class_weights if label not in self.classes]
            if unknown:
                raise ProblemError(
                    f"output {binding.port!r} needs class_weights of its classes "
                    f"{list(self.classes)}, got {unknown[0]!r}"
                )
            return np.array([self._class_weights.get(label, 1.0) for label in self.classes])
        counts = np.ones(len(training))
        if self._example_weights is not None:
            given = np.asarray(self._example_weights, dtype=np.float64).reshape(-1)
            counts = given[binding.rows["train"]]
        totals = np.bincount(training.numpy(), counts, len(self.classes))
        return totals.mean() / totals

    def class_factors(self, split_name: str) -> np.ndarray | None:
        """Return the weight of the class of each example of a split that has one."""
        if self._factors is None:
            return None
        return self._factors[self.targets[split_name].numpy()]

    def constant_head(self) -> Tensor:
        """Return the logarithms of the class frequencies, by the weights of the examples."""
        target, weights = self.targets["train"], self.weights["train"]
        if weights is None:
            return target.bincount().float().div(len(target)).log()
        return target.bincount(weights.double()).div(len(target)).log().float()

    def default_score(self, prediction: Tensor, split_name: str) -> float:
        """Return the share of examples whose likeliest class is wrong."""
        return 1 - self.performance(prediction, self._real(prediction, split_name))

    def score_step(self, size: int) -> float:
        """Return what one example counts in the error rate; 0 for a score of the user's own."""
        return 0.0 if self._score is not None else 1 / size

    def performance(self, head: Tensor, target: Tensor) -> float:
        """Return the accuracy."""
        return (head.argmax(1) == target).double().mean().item()

    @staticmethod
    def predict(port: Output, head: Tensor) -> Tensor:
        """Return class probabilities."""
        return head.softmax(-1)


def _check_class_weights(weights: Any) -> None:
    if weights is None or (isinstance(weights, str) and weights == "balanced"):
        return
    if not isinstance(weights, Mapping):
        raise ProblemError(
            "Classification needs class_weights as 'balanced' or a mapping of numbers by label, "
            f"got {weights!r}"
        )
    for label, weight in weights.items():
        number = isinstance(weight, (int, float, np.number)) and not isinstance(weight, bool)
        if not number or not 0 < weight < math.inf:
            raise ProblemError(
                "Classification needs class_weights that are positive and finite, got "
                f"{weight!r} for {label!r}"
            )
