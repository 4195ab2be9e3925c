"""What an output kind is: what it takes from a VALP, what its loss is, and how it is scored."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..device import one_thread
from ..errors import ProblemError, RegistrationError
from ..genome.ports import DISCRETE, OUTPUT_KINDS, SAMPLES, VALUES, Output
from ..text import place_of
from .data.splits import Rows, refuse_unknown_split
from .losses import LossFunction, LossWithGradient, with_gradient

ScoreFunction = Callable[[Tensor, Tensor], float]
"""From predictions and targets, in the user's units, to a number to minimise."""


@dataclass(frozen=True)
class Binding:
    """What an output kind sees of the problem that it becomes a part of.

    Attributes:
        port: The name of the output.
        rows: The rows of each split.
        wish: The problem's ``standardize`` for this port; None stands for the default rule.
        inputs: The user's arrays of the model inputs.
    """

    port: str
    rows: Rows
    wish: bool | None
    inputs: Mapping[str, Any]


class OutputKind:
    """One model output: where its targets come from, its loss, and its score.

    A subclass with a ``kind`` is a new output kind and needs no other registration. It defines
    ``kind``, ``takes``, ``encode``, ``default_loss``, ``default_score``, ``score_name``,
    ``constant_head`` and ``performance``, or inherits them from another kind. ``Problem`` binds a
    copy, so one object can serve several problems.

    Args:
        target: One row per example.
        loss: A loss in place of the kind's. It gets the head and the target of a batch, in training
            units, and returns a scalar tensor.
        score: A score in place of the kind's. It gets the predictions and targets of a split, as
            tensors on the CPU in the user's units (class indices for classes), and returns a number
            to minimise.
        loss_weight: Factor of this output's loss in the sum of all losses.

    Attributes:
        kind: Name of the kind, by which a VALP and its file refer to it.
        takes: Types of result that a provider of this output may give.
        draws_samples: Whether the score looks at rows that the model draws from noise. If not, it
            looks at predictions from the inputs, with latents at their mean.
        higher_is_better: Whether a higher ``performance`` is the better one.
        default_loss: The kind's loss: a method, or an object of ``problem.losses`` that knows its
            gradient in closed form.
        score_name: What the score is called, for plots.
        port: What a VALP knows of this output.
        targets: The targets of each split, in training units.
        baseline: The loss, in training units, of the best constant prediction on the training
            split.
        loss_weight: Factor of this output's loss in the sum of all losses.
        shape: The shape of the target of one example, as the problem was given it; empty where it
            is not known.
        classes: The user's labels in the order of the columns; empty where there are no classes.

    Raises:
        RegistrationError: A subclass declares a kind that cannot be used.
        ProblemError: An argument breaks a rule.
    """

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    draws_samples: ClassVar[bool] = False
    higher_is_better: ClassVar[bool] = False

    default_loss: LossFunction
    score_name: str = "score"
    port: Output
    targets: Mapping[str, Tensor]
    baseline: float
    shape: tuple[int, ...] = ()
    classes: tuple[Hashable, ...] = ()
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
    ):
        self._refuse_uncallable(loss=loss, score=score)
        if not (isinstance(loss_weight, (int, float, np.floating)) and 0 < loss_weight < math.inf):
            raise ProblemError(
                f"{type(self).__name__} needs a positive finite loss_weight, got {loss_weight!r}"
            )
        self.loss_weight = float(loss_weight)
        self._target = target
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
        return () if self._target is None else (self._target,)

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
        bound.port, bound.targets = bound.encode(binding)
        bound._target = None
        bound.baseline = bound._constant_loss()
        return bound

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
                f"output {self._name!r} needs a loss of (head, target), here of shapes "
                f"{tuple(head.shape)} and {tuple(target.shape)}; its loss raised {error!r}"
            ) from error
        if not isinstance(loss, Tensor) or loss.ndim or not loss.requires_grad:
            raise ProblemError(
                f"output {self._name!r} needs a loss that gives a differentiable scalar, "
                f"got {loss!r}"
            )
        return loss.item()

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
    def divergence_weight(self) -> float:
        """Factor with which the KL divergence of the latents counts in the loss; 0 for no KL part.

        The divergence is that of the posterior from N(0, I), summed over the dimensions and over
        the latents before this output.
        """
        return 0.0

    # -- scoring

    def score(self, prediction: Tensor, split_name: str) -> float:
        """Return what the fitness minimises: NaN where a prediction is not finite.

        Args:
            prediction: Predictions for the first rows of the split, ``(examples, width)``, in the
                user's units.
            split_name: "train", "validation" or "test".

        Raises:
            ProblemError: The predictions have another width, are none or too many, or there is no
                such split.
        """
        prediction = prediction.detach().cpu()
        if prediction.ndim != 2 or prediction.shape[1] != self.port.width or not len(prediction):
            raise ProblemError(
                f"output {self._name!r} scores predictions (examples, {self.port.width}), "
                f"got {tuple(prediction.shape)}"
            )
        if not prediction.isfinite().all():
            return math.nan
        if self._score is not None:
            return float(self._score(prediction, self._real(prediction, split_name)))
        return self.default_score(prediction, split_name)

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
        """Return the prediction in the user's units: ``head * scale + shift``."""
        return head * head.new_tensor(port.scale) + head.new_tensor(port.shift)

    def _real(self, prediction: Tensor, split_name: str) -> Tensor:
        """Return the targets, in the user's units, that a prediction is compared with."""
        target = self._split_targets(split_name)
        if len(prediction) > len(target):
            raise ProblemError(
                f"output {self._name!r} scores {len(target)} predictions of split {split_name!r}, "
                f"got {len(prediction)}"
            )
        return self._in_users_units(target[: len(prediction)])

    def _split_targets(self, split_name: str) -> Tensor:
        refuse_unknown_split(split_name)
        return self.targets[split_name]

    def _in_users_units(self, target: Tensor) -> Tensor:
        return target


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
