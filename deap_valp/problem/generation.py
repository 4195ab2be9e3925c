"""Generation: an output kind that makes new rows like the data's."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from ..arguments import is_whole
from ..errors import ProblemError
from ..genome.ports import SAMPLES, Output
from .data.arrays import class_indices
from .data.splits import SPLITS
from .losses import LossFunction
from .outputs import Binding, ScoreFunction
from .regression import Numbers
from .scores import Gaussian, PrincipalComponents, ReferenceClassifier
from .scores import inception_score as inception_score_of


class Generation(Numbers):
    """New rows like the target's; scored by the Fréchet distance of generated to real rows.

    The Fréchet distance compares the means and covariances of two sets of features; it is 0 where
    both are equal. The real rows are those of the split that is scored, without those of which a
    number is missing.

    Args:
        target: The real data; None stands for the problem's only input.
        labels: One class per example. A reference classifier learns them when it is first needed,
            and is kept in the cache folder; its last hidden layer then gives the features.
        features: Features of your own instead, a function from rows in the user's units to
            ``(examples, k)``. Without labels and features, the features are the coordinates along
            the principal components of the training split.
        standardize: True, False, or None for what the problem says.
        loss: A reconstruction loss in place of the squared error, as for ``Regression``; the KL
            part is added to it.
        score: A score in place of the Fréchet distance: a function of generated rows and all real
            rows of a split, (examples, width), on the CPU in the user's units, that returns a
            number to minimise.
        loss_weight: Factor of this output's loss, KL part included, in the sum of all losses.
        kl_weight: Factor of the KL part of the loss. Below 1, targets of little variance keep their
            latents, which the KL part would otherwise switch off.
        mixture: The number of normal distributions that latents of samples are drawn from. After
            training they are fitted to the latents of training examples, at most 5,000. The
            samples are far more like the data's, and a ``kl_weight`` below 1 makes them sharper.
            0 draws from N(0, I), as the paper does.
        example_weights: As for ``Regression``. They weigh the KL part too.

    Raises:
        ProblemError: An argument breaks a rule. Targets and labels are checked by ``Problem``.

    References:
        Paper III (loss), VI-A (sampling images like the data's).
    """

    kind = "generation"
    takes = frozenset({SAMPLES})
    draws_samples = True
    score_name = "Fréchet distance"

    def __init__(
        self,
        target: Any = None,
        *,
        labels: Any = None,
        features: Callable[[Tensor], Tensor] | None = None,
        standardize: bool | None = None,
        loss: LossFunction | None = None,
        score: ScoreFunction | None = None,
        loss_weight: float = 1.0,
        kl_weight: float = 1.0,
        mixture: int = 0,
        example_weights: Any = None,
    ):
        super().__init__(
            target,
            standardize=standardize,
            loss=loss,
            score=score,
            loss_weight=loss_weight,
            example_weights=example_weights,
        )
        if not 0 <= kl_weight < math.inf:
            raise ProblemError(f"Generation needs a finite kl_weight from 0 on, got {kl_weight}")
        if not is_whole(mixture) or mixture < 0:
            raise ProblemError(f"Generation needs mixture as a number from 0 on, got {mixture!r}")
        self.kl_weight, self.mixture = kl_weight, mixture
        self._refuse_uncallable(features=features)
        if labels is not None and features is not None:
            raise ProblemError("Generation needs labels or features of its own, got both")
        self._labels, self._features = labels, features
        self._classes_of_rows: dict[str, Tensor] = {}
        self._extractor: ReferenceClassifier | PrincipalComponents | None = None
        self._real_features: dict[str, Gaussian] = {}

    # -- becoming a part of a problem

    def arrays(self) -> tuple[Any, ...]:
        """Return target and labels, where given."""
        given = super().arrays()
        return given if self._labels is None else (*given, self._labels)

    def needed_in_training(self) -> Any:
        """Return the labels of the reference classifier."""
        return self._labels

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the user's own functions, ``features`` among them."""
        named = super().functions()
        if self._features is not None:
            named["features"] = self._features
        return named

    def target_of(self, binding: Binding) -> Any:
        """Return the target, which is the problem's only input where none was given."""
        if self._target is not None:
            return self._target
        if len(binding.inputs) != 1:
            raise ProblemError(
                f"output {binding.port!r} needs a target where there are several inputs "
                f"({sorted(binding.inputs)})"
            )
        (self._target_kind,) = binding.inputs.values()
        return self._target_kind.values

    def encode(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        """Return the port with its units, and the targets of each split in training units."""
        if self._labels is not None:
            self.classes, self._classes_of_rows = class_indices(
                binding.port, self._labels, binding.rows
            )
            self._labels = None
        self._real_features = {}
        return super().encode(binding)

    # -- training

    @property
    def divergence_weight(self) -> float:
        """``kl_weight`` divided by the number of dimensions, as the squared error is."""
        return self.kl_weight / self.port.width

    # -- scoring

    @property
    def reference(self) -> ReferenceClassifier | None:
        """The classifier that the features come from; None without labels."""
        if not self.classes:
            return None
        extractor = self._feature_extractor()
        return extractor if isinstance(extractor, ReferenceClassifier) else None

    def inception_score(self, samples: Tensor) -> float:
        """Return the Inception Score of generated rows: from 1 to the number of classes.

        Higher is better, and the fitness does not use it.

        Args:
            samples: Rows ``(examples, width)`` in the user's units.

        Raises:
            ProblemError: The output has no labels, hence no classifier.
        """
        if self.reference is None:
            raise ProblemError(
                f"inception_score needs labels for output {self._name!r}, got Generation without"
            )
        return inception_score_of(self.reference.probabilities(self._in_training_units(samples)))

    def default_score(self, prediction: Tensor, split_name: str) -> float:
        """Return the squared Fréchet distance of generated rows to the real ones of a split."""
        if split_name not in self._real_features:
            real = self._features_of(self._real(prediction, split_name))
            self._real_features[split_name] = Gaussian.of(real)
        generated = Gaussian.of(self._features_of(prediction))
        return generated.distance(self._real_features[split_name])

    def _real(self, prediction: Tensor, split_name: str) -> Tensor:
        """Return the whole split, since a generated row stands for no row in particular."""
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
        if self.port.plain:
            return rows
        return (rows - rows.new_tensor(self.port.shift)) / rows.new_tensor(self.port.scale)
