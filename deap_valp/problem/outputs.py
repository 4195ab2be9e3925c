"""The ports of a problem: what a VALP knows of them, and the output kinds with their losses and scores."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..device import one_thread
from ..errors import ProblemError
from ..genome.ports import OUTPUT_KINDS, Output
from .data.arrays import Encoding, class_indices, training_units
from .data.splits import SPLITS, Rows, refuse_unknown_split
from .scores import (
    PrincipalComponents,
    ReferenceClassifier,
    Statistics,
    frechet_from_statistics,
    statistics,
)
from .scores import inception_score as inception_score_of

Loss = Callable[[Tensor, Tensor], Tensor]
Score = Callable[[Tensor, Tensor], float]


# --- Output kinds ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Binding:
    """What an output kind sees of the problem that it becomes a part of.

    Attributes:
        port: its name there.
        rows: of each split.
        wish: the problem's ``standardize`` for this port; None is the default rule.
        inputs: the user's arrays of the model's inputs.
    """

    port: str
    rows: Rows
    wish: bool | None
    inputs: Mapping[str, Any]


class OutputKind:
    """One model output: where its targets come from, and what is lost and scored there.

    A subclass with a ``kind`` is registered under that name. What it must have: ``takes``,
    ``_bound`` (targets from arrays), ``_default_loss``, ``_default_score``, ``constant_head`` and
    ``performance``. ``Problem`` binds a copy, so that one object can serve several problems.

    Args:
        target: one row per example.
        loss: of a batch, instead of the kind's: gets head and target in training units, gives a
            scalar tensor.
        score: of a split, instead of the kind's: gets prediction and target (class indices for
            classes) as tensors on the CPU in the user's units, gives a number to minimise.
        loss_weight: factor of this output's loss in the sum.

    Attributes:
        port: what a VALP knows of this output.
        targets: of each split, in training units.
        baseline: loss, in training units, of the best constant prediction on the training split.
        loss_weight: factor of this output's loss in the sum.
        classes: the user's labels in the order of the columns; empty where there are no classes.
    """

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    higher_is_better: ClassVar[bool] = False
    kl_weight: float = 1.0

    port: Output
    targets: Mapping[str, Tensor]
    baseline: float
    _name: str
    classes: tuple[Hashable, ...] = ()

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            OUTPUT_KINDS[cls.kind] = cls

    def __init__(
        self,
        target: Any,
        *,
        loss: Loss | None = None,
        score: Score | None = None,
        loss_weight: float = 1.0,
    ):
        self._refuse_uncallable(loss=loss, score=score)
        if not (isinstance(loss_weight, (int, float, np.floating)) and 0 < loss_weight < math.inf):
            raise ProblemError(
                f"{type(self).__name__} needs a positive finite loss_weight, got {loss_weight!r}"
            )
        self.loss_weight = float(loss_weight)
        self._target = target
        self._loss, self._score = loss, score

    def _refuse_uncallable(self, **functions: Any) -> None:
        for name, function in functions.items():
            if function is not None and not callable(function):
                raise ProblemError(
                    f"{type(self).__name__} needs a callable {name}, got {function!r}"
                )

    # -- becoming a part of a problem

    def arrays(self) -> tuple[Any, ...]:
        """The user's arrays that must have one row per example."""
        return () if self._target is None else (self._target,)

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The user's own functions by the name of their argument."""
        named = {"loss": self._loss, "score": self._score}
        return {name: function for name, function in named.items() if function is not None}

    def bind(self, binding: Binding) -> OutputKind:
        """A copy that belongs to a problem: it knows its targets, and no longer the user's arrays."""
        if hasattr(self, "port"):
            raise ProblemError(
                f"output {binding.port!r} needs a kind of its own, got one that a problem has bound"
            )
        bound = copy.copy(self)
        bound._name = binding.port
        bound.port, bound.targets = bound._bound(binding)
        bound._target = None
        bound.baseline = bound._constant_loss()
        return bound

    def _bound(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        """The port and the targets of each split in training units."""
        raise NotImplementedError

    def constant_head(self) -> Tensor:
        """The head ``(width,)`` of the best constant predictor on the training split."""
        raise NotImplementedError

    def _constant_loss(self) -> float:
        """Mean loss of the constant head over batches of the training split."""
        with (
            one_thread()
        ):  # more would add in another order, and every search would depend on how many there are
            head, total = self.constant_head(), 0.0
            for target in self.targets["train"].split(1000):
                total += self._checked_loss(head.expand(len(target), -1), target) * len(target)
        return total / len(self.targets["train"])

    def _checked_loss(self, head: Tensor, target: Tensor) -> float:
        try:
            with torch.enable_grad():
                loss = self.loss(head.clone().requires_grad_(), target)
        except Exception as error:
            raise ProblemError(
                f"output {self._name!r} needs a loss of (head, target), here of shapes {tuple(head.shape)} and "
                f"{tuple(target.shape)}; its loss raised {error!r}"
            ) from error
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            raise ProblemError(
                f"output {self._name!r} needs a loss that gives a differentiable scalar, got {loss!r}"
            )
        return loss.item()

    # -- training and scoring

    def loss(self, head: Tensor, target: Tensor) -> Tensor:
        """Mean over the batch, in training units: differentiable, without a host synchronisation."""
        return (self._loss or self._default_loss)(head, target)

    def score(self, prediction: Tensor, split_name: str) -> float:
        """What the fitness minimises, of predictions in the user's units for the first rows of a split.

        NaN where a prediction is not finite.
        """
        prediction = prediction.detach().cpu()
        if prediction.ndim != 2 or prediction.shape[1] != self.port.width or not len(prediction):
            raise ProblemError(
                f"output {self._name!r} scores predictions (examples, {self.port.width}), got {tuple(prediction.shape)}"
            )
        if not prediction.isfinite().all():
            return math.nan
        if self._score is not None:
            return float(self._score(prediction, self._real(prediction, split_name)))
        return self._default_score(prediction, split_name)

    def _real(self, prediction: Tensor, split_name: str) -> Tensor:
        """The targets, in the user's units, that a prediction is compared with."""
        target = self._split_targets(split_name)
        if len(prediction) > len(target):
            raise ProblemError(
                f"output {self._name!r} scores {len(target)} predictions of split {split_name!r}, got {len(prediction)}"
            )
        return self._in_users_units(target[: len(prediction)])

    def _split_targets(self, split_name: str) -> Tensor:
        refuse_unknown_split(split_name)
        return self.targets[split_name]

    def _in_users_units(self, target: Tensor) -> Tensor:
        return target

    def _default_loss(self, head: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError

    def _default_score(self, prediction: Tensor, split_name: str) -> float:
        raise NotImplementedError

    def performance(self, head: Tensor, target: Tensor) -> float:
        """What module intervention compares, of a batch in training units."""
        raise NotImplementedError

    @staticmethod
    def predict(port: Output, head: Tensor) -> Tensor:
        """The user's units: ``head * scale + shift``."""
        return head * head.new_tensor(port.scale) + head.new_tensor(port.shift)


class Classification(OutputKind):
    """One class per example, of any hashable labels; scored by ``1 - accuracy``."""

    kind = "classification"
    takes = frozenset({"values", "discrete"})
    higher_is_better = True

    def _bound(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        self.classes, targets = class_indices(binding.port, self._target, binding.rows)
        return Output(self.kind, len(self.classes)), targets

    def constant_head(self) -> Tensor:
        """Logarithm of the class frequencies."""
        return self.targets["train"].bincount().float().div(len(self.targets["train"])).log()

    def _default_loss(self, head: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(head, target)

    def _default_score(self, prediction: Tensor, split_name: str) -> float:
        return 1 - self.performance(prediction, self._real(prediction, split_name))

    def performance(self, head: Tensor, target: Tensor) -> float:
        """Accuracy."""
        return (head.argmax(1) == target).double().mean().item()

    @staticmethod
    def predict(port: Output, head: Tensor) -> Tensor:
        """Class probabilities."""
        return head.softmax(-1)


class _Numbers(OutputKind):
    """Shared by the kinds whose target is a row of numbers."""

    def __init__(
        self,
        target: Any,
        *,
        standardize: bool | None = None,
        loss: Loss | None = None,
        score: Score | None = None,
        loss_weight: float = 1.0,
    ):
        super().__init__(target, loss=loss, score=score, loss_weight=loss_weight)
        if standardize not in (None, True, False):
            raise ProblemError(
                f"{type(self).__name__} needs standardize to be True, False or None, got {standardize!r}"
            )
        self._standardize = standardize

    def _bound(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        wish = binding.wish if self._standardize is None else self._standardize
        encoding = Encoding.of(binding.port, self._target, binding.rows["train"])
        if any(categories is not None for _, categories in encoding.columns):
            raise ProblemError(
                f"port {binding.port!r} needs a target of numbers, got categories: Classification?"
            )
        matrix = encoding.matrix(binding.port, self._target)
        standard, targets = training_units(matrix, encoding.image, wish, binding.rows)
        training = targets["train"]
        if all((part == training[0]).all() for part in training.split(1000)):
            raise ProblemError(
                f"port {binding.port!r} needs a target that varies, got one row throughout training"
            )
        return Output(self.kind, matrix.shape[1], standard.shift, standard.spread), targets

    def constant_head(self) -> Tensor:
        """Mean of the targets."""
        target = self.targets["train"]
        # Summed in pieces: in float64 throughout, 50,000 images would be copied as 300 MB.
        sums = [part.sum(0) for part in target.split(1000)]
        return torch.stack(sums).double().sum(0).div(len(target)).float()

    def _default_loss(self, head: Tensor, target: Tensor) -> Tensor:
        # A dot product of the difference with itself: mse_loss takes six times as long on 200 x
        # 784.
        difference = (head - target).flatten()
        return difference.dot(difference) / difference.numel()

    def _default_score(self, prediction: Tensor, split_name: str) -> float:
        return (prediction - self._real(prediction, split_name)).double().square().mean().item()

    def _in_users_units(self, target: Tensor) -> Tensor:
        return self.port.predict(target)

    def performance(self, head: Tensor, target: Tensor) -> float:
        """Mean squared error."""
        return self._default_loss(head, target).item()


class Regression(_Numbers):
    """Rows of numbers; scored by the mean squared error in the user's units.

    Args:
        standardize: True, False, or None for what the problem says.
    """

    kind = "regression"
    takes = frozenset({"values"})


class Generation(_Numbers):
    """New rows like the target's; scored by the Fréchet distance of generated rows to the real ones of the split.

    Args:
        target: the real data; None is the problem's only input.
        labels: one class per example. A reference classifier of them, trained when it is first
            needed and kept in the cache folder, then gives the features that the distance looks at.
        features: own features instead, a function from rows in the user's units to ``(examples,
            k)``. Without labels and features: coordinates along the principal components of the
            training split.
        standardize: True, False, or None for what the problem says.
        kl_weight: factor of the KL part of the loss. Below 1, targets of little variance keep their
            latents, which the KL part would otherwise switch off.
    """

    kind = "generation"
    takes = frozenset({"samples"})

    def __init__(
        self,
        target: Any = None,
        *,
        labels: Any = None,
        features: Callable[[Tensor], Tensor] | None = None,
        standardize: bool | None = None,
        loss: Loss | None = None,
        score: Score | None = None,
        loss_weight: float = 1.0,
        kl_weight: float = 1.0,
    ):
        super().__init__(
            target, standardize=standardize, loss=loss, score=score, loss_weight=loss_weight
        )
        if not 0 <= kl_weight < math.inf:
            raise ProblemError(f"Generation needs a finite kl_weight from 0 on, got {kl_weight}")
        self.kl_weight = kl_weight
        self._refuse_uncallable(features=features)
        if labels is not None and features is not None:
            raise ProblemError("Generation needs labels or features of its own, got both")
        self._labels, self._features = labels, features
        self._classes_of_rows: dict[str, Tensor] = {}
        self._extractor: ReferenceClassifier | PrincipalComponents | None = None
        self._real_statistics: dict[str, Statistics] = {}

    def arrays(self) -> tuple[Any, ...]:
        """Target and labels, where given."""
        return super().arrays() + (() if self._labels is None else (self._labels,))

    def functions(self) -> dict[str, Callable[..., Any]]:
        """The user's own functions, ``features`` among them."""
        return super().functions() | ({"features": self._features} if self._features else {})

    def _bound(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        if self._target is None:
            if len(binding.inputs) != 1:
                raise ProblemError(
                    f"output {binding.port!r} needs a target where there are several inputs ({sorted(binding.inputs)})"
                )
            (self._target,) = binding.inputs.values()
        if self._labels is not None:
            self.classes, self._classes_of_rows = class_indices(
                binding.port, self._labels, binding.rows
            )
            self._labels = None
        self._real_statistics = {}
        return super()._bound(binding)

    @property
    def reference(self) -> ReferenceClassifier | None:
        """The classifier that the features come from; None without labels."""
        extractor = self._feature_extractor() if self.classes else None
        return extractor if isinstance(extractor, ReferenceClassifier) else None

    def inception_score(self, samples: Tensor) -> float:
        """Inception Score of generated rows in the user's units: from 1 to the number of classes, not minimised.

        Raises:
            ProblemError: the output has no labels, hence no classifier.
        """
        if self.reference is None:
            raise ProblemError(
                f"inception_score needs labels for output {self._name!r}, got Generation without"
            )
        return inception_score_of(self.reference.probabilities(self._in_training_units(samples)))

    def _default_score(self, prediction: Tensor, split_name: str) -> float:
        if split_name not in self._real_statistics:
            self._real_statistics[split_name] = statistics(
                self._features_of(self._real(prediction, split_name))
            )
        return frechet_from_statistics(
            statistics(self._features_of(prediction)), self._real_statistics[split_name]
        )

    def _real(self, prediction: Tensor, split_name: str) -> Tensor:
        """The whole split: generated rows stand for no row in particular."""
        return self._in_users_units(self._split_targets(split_name))

    def _features_of(self, rows: Tensor) -> Tensor:
        if self._features is not None:
            return self._features(rows)
        return self._feature_extractor().features(self._in_training_units(rows))

    def _feature_extractor(self) -> ReferenceClassifier | PrincipalComponents:
        if self._extractor is None and self.classes:
            training, validation = (
                (self.targets[name], self._classes_of_rows[name]) for name in SPLITS[:2]
            )
            self._extractor = ReferenceClassifier.cached(training, validation, len(self.classes))
        elif self._extractor is None:
            self._extractor = PrincipalComponents.of(self.targets["train"])
        return self._extractor

    def _in_training_units(self, rows: Tensor) -> Tensor:
        rows = rows.detach().cpu()
        return (rows - rows.new_tensor(self.port.shift)) / rows.new_tensor(self.port.scale)
