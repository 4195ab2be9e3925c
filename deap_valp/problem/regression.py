"""Regression: an output kind that predicts rows of numbers, and what it shares with generation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ProblemError
from ..genome.maps import maps_of
from ..genome.ports import VALUES, Output
from .data.arrays import Encoding, training_units
from .losses import LossFunction, SquaredError
from .outputs import Binding, OutputKind, ScoreFunction


class Numbers(OutputKind):
    """What the kinds whose target is a row of numbers have in common.

    Args:
        target: As for every kind.
        standardize: True, False, or None for what the problem says.
        loss: As for every kind.
        score: As for every kind.
        loss_weight: As for every kind.
        example_weights: As for every kind.
    """

    default_loss = SquaredError()
    score_name = "mean squared error"

    def __init__(
        self,
        target: Any,
        *,
        standardize: bool | None = None,
        loss: LossFunction | None = None,
        score: ScoreFunction | None = None,
        loss_weight: float = 1.0,
        example_weights: Any = None,
    ):
        super().__init__(
            target,
            loss=loss,
            score=score,
            loss_weight=loss_weight,
            example_weights=example_weights,
        )
        if standardize not in (None, True, False):
            raise ProblemError(
                f"{type(self).__name__} needs standardize to be True, False or None, "
                f"got {standardize!r}"
            )
        self._standardize = standardize

    def encode(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        """Return the port with its units, and the targets of each split in training units."""
        wish = binding.wish if self._standardize is None else self._standardize
        encoding = Encoding.of(binding.port, self._target, binding.rows["train"])
        if any(categories is not None for _, categories in encoding.columns):
            raise ProblemError(
                f"port {binding.port!r} needs a target of numbers, got categories: Classification?"
            )
        matrix = encoding.matrix(binding.port, self._target)
        self.shape = encoding.shape
        standard, targets = training_units(matrix, encoding.image, wish, binding.rows)
        training = targets["train"]
        if all((part == training[0]).all() for part in training.split(1000)):
            raise ProblemError(
                f"port {binding.port!r} needs a target that varies, got one row throughout training"
            )
        shape = encoding.shape if encoding.image and maps_of(encoding.shape) else ()
        port = Output(self.kind, matrix.shape[1], standard.shift, standard.spread, shape)
        return port, targets

    def constant_head(self) -> Tensor:
        """Return the mean of the targets, by their weights."""
        target, weights = self.targets["train"], self.weights["train"]
        # Summed in pieces: in float64 throughout, 50,000 images would be copied as 300 MB.
        parts = target.split(1000)
        if weights is None:
            sums = [part.sum(0) for part in parts]
        else:
            sums = [weight @ part for weight, part in zip(weights.split(1000), parts, strict=True)]
        return torch.stack(sums).double().sum(0).div(len(target)).float()

    def default_score(self, prediction: Tensor, split_name: str) -> float:
        """Return the mean squared error in the user's units."""
        return (prediction - self._real(prediction, split_name)).double().square().mean().item()

    def performance(self, head: Tensor, target: Tensor) -> float:
        """Return the kind's own loss, which is the mean squared error here."""
        return self.default_loss(head, target).item()

    def _in_users_units(self, target: Tensor) -> Tensor:
        # Not by the kind's own prediction, which may read a head in another way than a target.
        return OutputKind.predict(self.port, target)


class Regression(Numbers):
    """Rows of numbers; scored by the mean squared error in the user's units.

    An example of which any number is missing has no target. Where the numbers of a row go missing
    one by one, give each an output of its own.

    Args:
        target: One row per example.
        standardize: True, False, or None for what the problem says.
        loss: As for every kind.
        score: As for every kind.
        loss_weight: As for every kind.
        example_weights: As for every kind.
    """

    kind = "regression"
    takes = frozenset({VALUES})
