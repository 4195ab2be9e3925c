"""Regression: an output kind that predicts rows of numbers, and what it shares with generation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..errors import ProblemError
from ..genome.ports import VALUES, Output
from .inputs import InputKind, image_shape, kind_of
from .losses import LossFunction, SquaredError
from .outputs import Binding, OutputKind, ScoreFunction


class Numbers(OutputKind):
    """What the kinds whose target is a row of numbers have in common.

    Args:
        target: As for every kind, or a ``Table``, ``Series`` or ``Image`` around it. A bare one is
            guessed as a bare input is.
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
        self._target_kind = target if isinstance(target, InputKind) else None
        super().__init__(
            target if self._target_kind is None else self._target_kind.values,
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
        port, rows = binding.port, binding.rows
        kind = self._target_kind or kind_of(port, self._target)
        self._target_kind = None
        kind = kind.around(self._target)
        encoding = kind.encoding(port, rows["train"])
        if encoding.categorical:
            raise ProblemError(
                f"port {port!r} needs a target of numbers, got categories: Classification?"
            )
        source = kind.source(port, encoding, rows)
        self.shape = encoding.shape
        self.columns = tuple(name for name, _ in encoding.columns)
        standard, targets = kind.units(port, encoding, source, wish)
        training = targets["train"]
        if all((part == training[0]).all() for part in training.split(1000)):
            raise ProblemError(
                f"port {port!r} needs a target that varies, got one row throughout training"
            )
        shape, width = image_shape(kind, encoding), source.matrix.shape[1]
        return Output(self.kind, width, standard.shift, standard.spread, shape), targets

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
        predicted = OutputKind.predict(self.port, target)
        # A score of the user's own may write to it.
        return predicted.clone() if predicted is target else predicted


class Regression(Numbers):
    """Rows of numbers; scored by the mean squared error in the user's units.

    An example of which any number is missing has no target. Where the numbers of a row go missing
    one by one, give each an output of its own.

    Args:
        target: One row of numbers per example, or one number: an array, a frame, or a ``Table``,
            ``Series`` or ``Image`` around one.
        standardize: True, False, or None for what the problem says.
        loss: A loss in place of the mean squared error: a function of the head (batch, width) and
            the targets (batch, width), in training units, that returns a differentiable scalar, the
            mean over the batch.
        score: A score in place of the mean squared error: a function of the predictions and the
            targets of a split, (examples, width), on the CPU in the user's units, that returns a
            number to minimise.
        loss_weight: Factor of this output's loss in the sum of all losses.
        example_weights: One number from 0 on for each example, by which it counts in the loss. Only
            their ratios matter; an example of weight 0 is left out of the score too.

    Raises:
        ProblemError: An argument breaks a rule. Targets and weights are checked by ``Problem``.
    """

    kind = "regression"
    takes = frozenset({VALUES})
