"""What an output kind is: what it takes from a VALP, what its loss is, and how it is scored."""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..device import one_thread
from ..errors import ProblemError, RegistrationError
from ..genome.ports import DISCRETE, OUTPUT_KINDS, SAMPLES, VALUES, Output
from ..text import place_of
from .data.arrays import length_of
from .data.missing import Present, checked_weights, is_missing, mean_one
from .data.splits import SPLITS, Rows, refuse_unknown_split
from .identity import digest_of_labels
from .inputs import InputKind
from .losses import (
    LossFunction,
    LossWithGradient,
    WeightedLoss,
    WeightedWithGradient,
    weighted,
    weighted_with_gradient,
    with_gradient,
)

ScoreFunction = Callable[[Tensor, Tensor], float]
"""From predictions and targets, in the user's units, to a number to minimise."""


@dataclass(frozen=True)
class Binding:
    """What an output kind sees of the problem that it becomes a part of.

    Attributes:
        port: The name of the output.
        rows: The rows of each split that have a target and count.
        wish: The problem's ``standardize`` for this port; None stands for the default rule.
        inputs: The kinds of the model inputs, around the user's arrays.
    """

    port: str
    rows: Rows
    wish: bool | None
    inputs: Mapping[str, InputKind]


class OutputKind:
    """One model output: where its targets come from, its loss, and its score.

    A subclass with a ``kind`` is a new output kind and needs no other registration. It defines
    ``kind``, ``takes``, ``encode``, ``default_loss``, ``default_score``, ``score_name``,
    ``constant_head`` and ``performance``, or inherits them from another kind. ``Problem`` binds a
    copy, so one object can serve several problems.

    A kind sees only examples that have a target. The others, of which a value of the target is
    missing (NaN, None, masked) or whose weight is 0, count for the other outputs of the problem.

    Args:
        target: One row per example.
        loss: A loss in place of the kind's. It gets the head and the target of a batch, in training
            units, and returns a scalar tensor.
        score: A score in place of the kind's. It gets the predictions and targets of a split, as
            tensors on the CPU in the user's units (class indices for classes), and returns a number
            to minimise. ``Problem`` tries it once, on the targets of the validation split.
        loss_weight: Factor of this output's loss in the sum of all losses.
        example_weights: One number from 0 on for each example, by which it counts in the loss. Only
            their ratios matter. They do not change scores, except that an example of weight 0 is
            left out everywhere.

    Attributes:
        kind: Name of the kind, by which a VALP and its file refer to it.
        takes: Types of result that a provider of this output may give.
        draws_samples: Whether the score looks at rows that the model draws from noise. If not, it
            looks at predictions from the inputs, with latents at their mean.
        mixture: The number of normal distributions that samples are drawn from; 0 is N(0, I).
        higher_is_better: Whether a higher ``performance`` is the better one.
        default_loss: The kind's loss: a method, or an object of ``problem.losses`` that knows its
            gradient in closed form.
        score_name: What the score is called, for plots.
        port: What a VALP knows of this output.
        targets: The targets of each split, in training units, of the examples that have one.
        weights: By split, the weights of these examples in the loss, 1 on average; None where all
            weigh the same.
        present: Which examples have a target.
        baseline: The loss, in training units, of the best constant prediction on the training
            split.
        loss_weight: Factor of this output's loss in the sum of all losses.
        shape: The shape of the target of one example, as the problem was given it; empty where it
            is not known.
        classes: The user's labels in the order of the columns; empty where there are no classes.
        columns: The names of the target's columns; empty where it is not a frame.

    Raises:
        RegistrationError: A subclass declares a kind that cannot be used.
        ProblemError: An argument breaks a rule.
    """

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    draws_samples: ClassVar[bool] = False
    mixture: int = 0
    higher_is_better: ClassVar[bool] = False

    default_loss: LossFunction
    score_name: str = "score"
    port: Output
    targets: Mapping[str, Tensor]
    weights: Mapping[str, Tensor | None]
    present: Present
    baseline: float
    shape: tuple[int, ...] = ()
    classes: tuple[Hashable, ...] = ()
    columns: tuple[Hashable, ...] = ()
    _name: str

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            _check_declaration(cls)
            OUTPUT_KINDS[cls.kind] = cls
        elif hasattr(cls, "kind"):
            _check_inheritance(cls)

    def __init__(
        self,
        target: Any,
        *,
        loss: LossFunction | None = None,
        score: ScoreFunction | None = None,
        loss_weight: float = 1.0,
        example_weights: Any = None,
    ):
        self._refuse_uncallable(loss=loss, score=score)
        if not (isinstance(loss_weight, (int, float, np.floating)) and 0 < loss_weight < math.inf):
            raise ProblemError(
                f"{type(self).__name__} needs a positive finite loss_weight, got {loss_weight!r}"
            )
        self.loss_weight = float(loss_weight)
        self._target = target
        self._example_weights = example_weights
        self._loss, self._score = loss, score
        if score is not None:
            name = getattr(score, "__name__", "")
            self.score_name = name if name.isidentifier() else "score"  # not that of a lambda

    def _refuse_uncallable(self, **functions: Any) -> None:
        for name, function in functions.items():
            if function is not None and not callable(function):
                raise ProblemError(
                    f"{type(self).__name__} needs a callable {name}, got {function!r}"
                )

    # -- becoming a part of a problem

    def arrays(self) -> tuple[Any, ...]:
        """Return the user's arrays that must have one row per example."""
        return tuple(given for given in (self._target, self._example_weights) if given is not None)

    def needed_in_training(self) -> Any:
        """Return the labels that training must have all of, one per example; None for none."""
        return None

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the user's own functions by the name of their argument."""
        named = {"loss": self._loss, "score": self._score}
        return {name: function for name, function in named.items() if function is not None}

    def bind(self, binding: Binding) -> OutputKind:
        """Return a copy that belongs to a problem: it has targets and drops the user's arrays."""
        if hasattr(self, "port"):
            raise ProblemError(
                f"output {binding.port!r} needs a kind of its own, got one that a problem has bound"
            )
        bound = copy.copy(self)
        bound._name = binding.port
        target, weights = bound.target_of(binding), None
        if target is None:  # a kind that has its targets from elsewhere
            port, data = next(iter(binding.inputs.items()))
            missing = np.zeros(length_of(port, data.values), dtype=bool)
        else:
            missing = is_missing(target)
        if self._example_weights is not None:
            weights = checked_weights(binding.port, self._example_weights, len(missing))
            missing = missing | (weights == 0)
        bound.present = Present.of(binding.port, missing, binding.rows)
        bound._target = None if target is None else bound.present.filled(target)
        made, bound.targets = bound.encode(replace(binding, rows=bound.present.rows))
        bound.port = replace(made, labels=digest_of_labels(bound.named_rows(made.width)))
        bound._target = bound._example_weights = None
        bound.weights = {name: bound._weights_of(name, weights) for name in SPLITS}
        bound.baseline = bound._constant_loss()
        if bound._score is not None:
            bound._try_score()
        return bound

    def named_rows(self, width: int) -> tuple[Hashable, ...]:
        """Return what the rows of the head are called; nothing where they are not classes."""
        named = not self.draws_samples and len(self.classes) == width
        return tuple(self.classes) if named else ()

    def target_of(self, binding: Binding) -> Any:
        """Return the user's array of targets."""
        return self._target

    def _weights_of(self, split_name: str, weights: np.ndarray | None) -> Tensor | None:
        """Return the weights of the examples of a split that have a target, 1 on average."""
        factors = self.class_factors(split_name)
        if weights is None and factors is None:
            return None
        product = np.ones(len(self.targets[split_name]))
        if weights is not None:
            product = weights[self.present.rows[split_name]]
        return mean_one(product if factors is None else product * factors)

    def class_factors(self, split_name: str) -> np.ndarray | None:
        """Return factors of the weights of a split's targets, by their value; None for none."""
        return None

    def encode(self, binding: Binding) -> tuple[Output, dict[str, Tensor]]:
        """Return the port, and the targets of each split in training units."""
        raise NotImplementedError

    def constant_head(self) -> Tensor:
        """Return the head ``(width,)`` of the best constant predictor on the training split."""
        raise NotImplementedError

    def _constant_loss(self) -> float:
        """Return the mean loss of the constant head over batches of the training split."""
        # On one thread: more threads add in another order, and every search would depend on their
        # number.
        with one_thread():
            head, total, weights = self.constant_head(), 0.0, self.weights["train"]
            start, weighted_loss = 0, self.weighted_loss
            for target in self.targets["train"].split(1000):
                heads = head.expand(len(target), -1)
                loss = self._checked_loss(heads, target)
                if weights is not None:
                    part = weights[start : start + len(target)]
                    loss = weighted_loss(heads.clone(), target, part).item()
                total += loss * len(target)
                start += len(target)
        return total / len(self.targets["train"])

    def _checked_loss(self, head: Tensor, target: Tensor) -> float:
        try:
            with torch.enable_grad():
                loss = self.loss(head.clone().requires_grad_(), target)
        except Exception as error:
            raise ProblemError(
                f"output {self._name!r} needs a loss of (head, target), here of shapes "
                f"{tuple(head.shape)} and {tuple(target.shape)}; its loss raised {error!r}"
            ) from error
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            raise ProblemError(
                f"output {self._name!r} needs a loss that gives a differentiable scalar, "
                f"got {_form(loss)}"
            )
        return loss.item()

    def _try_score(self) -> None:
        """Score one made-up prediction, so that a score that cannot work is refused at once.

        It gets all targets of the validation split, as in an evaluation: of a few rows a score such
        as the area under a ROC curve may be undefined. The prediction varies for the same reason.
        """
        target = self.targets["validation"]
        noise = torch.randn(
            len(target), self.port.width, generator=torch.Generator().manual_seed(0)
        )
        prediction = self.predict(self.port, self.constant_head() + noise)
        with one_thread(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._users_score(prediction, self._real(prediction, "validation"), Exception)

    # -- training

    @property
    def loss(self) -> LossFunction:
        """The loss of (head, target): the user's where there is one, else the kind's.

        It is the mean over the batch, in training units, and neither loses its gradient nor waits
        for the device.
        """
        return self._loss or self.default_loss

    @property
    def loss_with_gradient(self) -> LossWithGradient:
        """The same loss together with its gradient, in closed form where the loss knows it."""
        return with_gradient(self.loss)

    @property
    def weighted_loss(self) -> WeightedLoss:
        """The mean of weight times loss, from (head, target, one weight per example)."""
        return weighted(self.loss)

    @property
    def weighted_loss_with_gradient(self) -> WeightedWithGradient:
        """The same together with its gradient, in closed form where the loss knows it."""
        return weighted_with_gradient(self.loss)

    @property
    def divergence_weight(self) -> float:
        """Factor with which the KL divergence of the latents counts in the loss; 0 for no KL part.

        The divergence is that of the posterior from N(0, I), summed over the dimensions and over
        the latents before this output.
        """
        return 0.0

    # -- scoring

    def score(self, prediction: Tensor, split_name: str) -> float:
        """Return what the fitness minimises: NaN where a prediction is not finite.

        Predictions for examples without a target are left out. Those with one all count the same,
        whatever their weights in the loss.

        Args:
            prediction: Predictions for the first rows of the split, ``(examples, width)``, in the
                user's units.
            split_name: "train", "validation" or "test".

        Raises:
            ProblemError: The predictions have another width, are none or too many, or there is no
                such split.
        """
        refuse_unknown_split(split_name)
        prediction = prediction.detach().cpu()
        if prediction.ndim != 2 or prediction.shape[1] != self.port.width or not len(prediction):
            raise ProblemError(
                f"output {self._name!r} scores predictions (examples, {self.port.width}), "
                f"got {tuple(prediction.shape)}"
            )
        prediction = self._with_targets(prediction, split_name)
        if not _finite(prediction):
            return math.nan
        if self._score is not None:
            return self._users_score(prediction, self._real(prediction, split_name))
        return self.default_score(prediction, split_name)

    def _users_score(
        self,
        prediction: Tensor,
        target: Tensor,
        # Not memory that runs out: ``evaluate`` then tries again with less.
        refused: type[Exception] | tuple[type[Exception], ...] = (TypeError, ValueError),
    ) -> float:
        assert self._score is not None
        try:
            found = self._score(prediction, target)
        except refused as error:
            what = "probabilities and class indices" if self.classes else "numbers"
            raise ProblemError(
                f"output {self._name!r} needs a score of (prediction, target), here {what} of "
                f"shapes {tuple(prediction.shape)} and {tuple(target.shape)}; its score raised "
                f"{error!r}"
            ) from error
        try:
            return float(found)
        except (TypeError, ValueError, RuntimeError) as error:
            raise ProblemError(
                f"output {self._name!r} needs a score that gives one number to minimise, got "
                f"{_form(found)}"
            ) from error

    def _with_targets(self, prediction: Tensor, split_name: str) -> Tensor:
        """Return the predictions for examples with a target; samples are for none in particular."""
        places, size = self.present.places[split_name], self.present.sizes[split_name]
        if self.draws_samples or places is None or len(prediction) > size:
            return prediction
        found = prediction[places[places < len(prediction)]]
        if not len(found):
            raise ProblemError(
                f"output {self._name!r} scores predictions for examples with a target, got "
                f"{len(prediction)} without any of split {split_name!r}"
            )
        return found

    def default_score(self, prediction: Tensor, split_name: str) -> float:
        """Return the kind's own score of finite predictions, as ``score`` gets them."""
        raise NotImplementedError

    def score_step(self, size: int) -> float:
        """Return the smallest difference between two scores of ``size`` examples; 0 for any."""
        return 0.0

    def performance(self, head: Tensor, target: Tensor) -> float:
        """Return how well a batch in training units is predicted, as module intervention asks.

        The number is never negative: interventions compare two of them as a ratio.
        """
        raise NotImplementedError

    @staticmethod
    def predict(port: Output, head: Tensor) -> Tensor:
        """Return the prediction in the user's units: ``head * scale + shift``.

        It is the head itself where training has the user's units.
        """
        if port.plain:
            return head
        return head * head.new_tensor(port.scale) + head.new_tensor(port.shift)

    def _real(self, prediction: Tensor, split_name: str) -> Tensor:
        """Return the targets, in the user's units, that a prediction is compared with."""
        target = self._split_targets(split_name)
        if len(prediction) > len(target):
            raise ProblemError(
                f"output {self._name!r} scores {self.present.sizes[split_name]} predictions of "
                f"split {split_name!r}, "
                f"got {len(prediction)}"
            )
        return self._in_users_units(target[: len(prediction)])

    def _split_targets(self, split_name: str) -> Tensor:
        return self.targets[split_name]

    def _in_users_units(self, target: Tensor) -> Tensor:
        return target.clone()  # a score of the user's own may write to it


def _form(found: Any) -> str:
    """Return what is no number, or no loss, in words."""
    if not isinstance(found, Tensor | np.ndarray):
        return repr(found)
    if found.ndim:
        what = "a tensor" if isinstance(found, Tensor) else "an array"
        return f"{what} of shape {tuple(found.shape)}: take its mean"
    return f"{found!r}, which does not depend on the head by torch's operations"


def _finite(numbers: Tensor) -> bool:
    """Return whether all numbers are finite, in one pass: a NaN becomes the least and the most."""
    return all(bound.isfinite().item() for bound in numbers.aminmax())


def _check_declaration(cls: type[OutputKind]) -> None:
    """Raise where a class with a ``kind`` cannot be an output kind."""
    if not isinstance(cls.kind, str) or not cls.kind.isidentifier():
        raise RegistrationError(
            f"output kind {cls.__name__} needs a kind that is an identifier, got {cls.kind!r}"
        )
    known = OUTPUT_KINDS.get(cls.kind)
    if known is not None and place_of(known) != place_of(cls):
        raise RegistrationError(
            f"output kind {cls.__name__} needs a kind of its own, got {cls.kind!r}, which is "
            f"{place_of(known)}'s"
        )
    takes = getattr(cls, "takes", None)
    types = [VALUES, DISCRETE, SAMPLES]
    if not isinstance(takes, frozenset) or not takes or not takes <= set(types):
        raise RegistrationError(
            f"output kind {cls.__name__} needs takes as a frozenset of some of {types}, "
            f"got {takes!r}"
        )
    if cls.draws_samples and takes != {SAMPLES}:
        raise RegistrationError(
            f"output kind {cls.__name__} draws samples from noise, so it needs takes to be "
            f"{{{SAMPLES!r}}} alone, got {set(takes)}"
        )


def _check_inheritance(cls: type[OutputKind]) -> None:
    """Raise where a class without a ``kind`` of its own changes what a VALP asks by kind."""
    changed = [name for name in ("takes", "draws_samples", "predict") if name in vars(cls)]
    if changed:
        raise RegistrationError(
            f"output kind {cls.__name__} needs a kind of its own to change {changed}: a VALP looks "
            f"them up under {cls.kind!r}"
        )
