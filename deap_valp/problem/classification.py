"""Classification: an output kind that names one class per example."""

from __future__ import annotations

from torch import Tensor

from ..genome.ports import DISCRETE, VALUES, Output
from .data.arrays import class_indices
from .losses import CrossEntropy
from .outputs import Binding, OutputKind


class Classification(OutputKind):
    """One class per example, of any hashable labels; scored by the error rate, 1 - accuracy."""

    kind = "classification"
    takes = frozenset({VALUES, DISCRETE})
    higher_is_better = True
    default_loss = CrossEntropy()
    score_name = "error rate"

    def encode(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        """Return the port, and the class index of each example of each split."""
        self.classes, targets = class_indices(binding.port, self._target, binding.rows)
        return Output(self.kind, len(self.classes)), targets

    def constant_head(self) -> Tensor:
        """Return the logarithms of the class frequencies."""
        return self.targets["train"].bincount().float().div(len(self.targets["train"])).log()

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
