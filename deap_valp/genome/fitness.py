"""The result of an evaluation, and the DEAP fitness that keeps it.

DEAP does one thing with the result of ``evaluate``: ``ind.fitness.values = result``. So the result
is a tuple of objectives that also carries the trained weights, and ``Fitness`` keeps it. The next
operator finds the weights there, in any algorithm of DEAP and under any map.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from deap import base
from torch import Tensor

from ..arguments import got, is_number
from ..errors import EvaluationError
from .diagnosis import Diagnosis
from .optimizers import State, States
from .weights import Tensors

logger = logging.getLogger("deap_valp")

PENALTY = 1e6
"""The value of every objective of an individual whose evaluation failed.

It is finite, since DEAP's selections and archives give wrong results with NaN or infinity.
"""

OK = "ok"
"""The status of an evaluation that succeeded."""

_LEAST = 1e-9  # smaller objectives and losses are raised to this, so no logarithm is of 0

RESERVED = ("gen", "nevals", "move", "rule", "accepted", "operators", "self")
"""Names that no objective may have.

The logbooks of DEAP and of this package have columns and chapters of these names, and ``self`` is
an argument of DEAP's ``Logbook.record``. An objective of such a name would be hidden, or end the
search with an error, after the first training.
"""


class Evaluation(tuple[float, ...]):
    """The objectives of an individual as a tuple of numbers, with the results of its training.

    Attributes:
        objectives: The names of the numbers: the problem's outputs, then its costs.
        seed: The seed of the individual that was evaluated. A change gives an individual another
            seed, so that this evaluation no longer belongs to it.
        weights: The trained tensors, by their names in ``VALP.weights``. Nothing writes to them.
        history: The training losses of each output, one float32 per batch, shape (batches,). A
            session that ended early has fewer batches than its budget.
        kept: The number of batches after which the model had these weights.
        losses: The validation loss of each output with these weights and with latents at their
            mean. Empty where the session did not look at it.
        resolution: The smallest difference of each objective that has one. For an error rate it is
            1 / (number of validation examples).
        window: The number of batches, at the end of the history, that the loss slopes are fitted
            to.
        optimizer_state: The state of the optimizers, by the name of a tensor and of an algorithm.
            The next session continues from it.
        diagnosis: The diagnosis of these weights, or None where the evaluation failed.
        sessions: The number of training sessions that the individual had since it was last
            changed.
        engine: What took the training steps, ``"torch"`` or ``"compiled"``.
        seconds: The wall time of each part: ``train``, ``score`` and ``diagnose``.
        status: ``"ok"``, or the reason why the evaluation failed. Every objective is then
            ``PENALTY``, and the weights are those that the evaluation started from.

    Raises:
        EvaluationError: There is another number of names than of values, or a name is in
            ``RESERVED``.
    """

    objectives: tuple[str, ...]
    seed: int
    weights: Mapping[str, Tensor]
    history: dict[str, np.ndarray]
    kept: int
    losses: dict[str, float]
    resolution: dict[str, float]
    window: int
    optimizer_state: State
    diagnosis: Diagnosis | None
    sessions: int
    engine: str
    seconds: dict[str, float]
    status: str

    def __new__(
        cls,
        values: Iterable[float],
        *,
        objectives: Iterable[str],
        seed: int,
        weights: Mapping[str, Tensor],
        history: Mapping[str, np.ndarray] | None = None,
        kept: int = 0,
        losses: Mapping[str, float] | None = None,
        resolution: Mapping[str, float] | None = None,
        window: int = 1000,
        optimizer_state: State | None = None,
        diagnosis: Diagnosis | None = None,
        sessions: int = 1,
        engine: str = "torch",
        seconds: Mapping[str, float] | None = None,
        status: str = OK,
    ) -> Evaluation:
        evaluation = super().__new__(cls, (float(value) for value in values))
        evaluation.objectives = tuple(objectives)
        _check_names(evaluation)
        evaluation.seed = seed
        evaluation.weights = Tensors.of(weights)
        evaluation.history = dict(history or {})
        evaluation.kept = kept
        evaluation.losses = dict(losses or {})
        evaluation.resolution = dict(resolution or {})
        evaluation.window = window
        evaluation.optimizer_state = States.of(optimizer_state or {})
        evaluation.diagnosis = diagnosis
        evaluation.sessions = sessions
        evaluation.engine = engine
        evaluation.seconds = dict(seconds or {})
        evaluation.status = status
        return evaluation

    @property
    def ok(self) -> bool:
        """Whether the evaluation succeeded."""
        return self.status == OK

    @property
    def loss(self) -> float | None:
        """The sum of the outputs' validation losses; None where the session did not look."""
        return sum(self.losses.values()) if self.losses else None

    @property
    def named(self) -> dict[str, float]:
        """The values by the names of the objectives."""
        return dict(zip(self.objectives, self, strict=True))

    def with_values(self, values: Mapping[str, float] | Iterable[float]) -> Evaluation:
        """Return the same evaluation with values of one's own, for an ``evaluate`` of one's own.

        Weights, history, diagnosis and status stay, so the next operator finds them, and
        ``score``, ``decode`` and ``save`` see the trained model. A bare tuple would lose them.

        >>> def evaluate_with_depth(individual):  # doctest: +SKIP
        ...     evaluation = evaluate(individual, problem)
        ...     return evaluation.with_values({**evaluation.named, "depth": depth(individual)})

        Args:
            values: The values by name, in the order of the fitness's weights; or as many numbers
                as the evaluation has, which keep its names.

        Raises:
            EvaluationError: A value is not a finite number, there is another number of values
                without names, or a name is in ``RESERVED``.
        """
        named = self._named_anew(values)
        for name, value in named.items():
            if not is_number(value) or not math.isfinite(value):
                raise EvaluationError(
                    f"with_values needs finite numbers, got {value!r} for {name!r}"
                )
        state = dict(self.__dict__)
        state["objectives"] = tuple(named)
        before = self.named
        state["resolution"] = {
            name: step for name, step in self.resolution.items() if named.get(name) == before[name]
        }
        return type(self)(named.values(), **state)

    def _named_anew(self, values: Any) -> dict[str, float]:
        if isinstance(values, Mapping):
            return dict(values)
        given: Any = values
        if isinstance(values, Iterable) and not isinstance(values, str):
            given = tuple(values)
            if len(given) == len(self):
                return dict(zip(self.objectives, given, strict=True))
        raise EvaluationError(
            f"with_values needs {len(self)} values, of {list(self.objectives)}, or a mapping by "
            f"name, got {got(given)}"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Evaluation:
        return self  # it never changes, so clones, halls of fame and histories share it

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), tuple(self), self.__dict__)

    def __repr__(self) -> str:
        values = ", ".join(f"{value:.6g}" for value in self)
        return f"Evaluation(({values}), status={self.status!r})"


def log_change(
    name: str, after: float, before: float, evaluation: Evaluation, losses: Mapping[str, float]
) -> float:
    """Return the logarithm of an objective divided by its value before; below 0 is better.

    Where the objective can only take few values, as an error rate can, half of the change is that
    of the output's validation loss, which also sees changes that are too small for the objective.

    Args:
        name: The objective.
        after: Its value now.
        before: Its value before.
        evaluation: The evaluation that gave the value now.
        losses: The validation losses before, by output.
    """
    step = evaluation.resolution.get(name, 0.0)
    change = log_ratio(after + step / 2, before + step / 2)
    if step and name in evaluation.losses and name in losses:
        change = (change + log_ratio(evaluation.losses[name], losses[name])) / 2
    return change


def log_ratio(after: float, before: float) -> float:
    """Return the logarithm of a number divided by another; both are raised to ``_LEAST``."""
    return math.log(max(after, _LEAST)) - math.log(max(before, _LEAST))


def _check_names(evaluation: Evaluation) -> None:
    names = evaluation.objectives
    if len(names) != len(evaluation):
        raise EvaluationError(
            f"an Evaluation needs a name for each value, got {len(evaluation)} values and the "
            f"names {list(names)}"
        )
    for name in names:
        if name in RESERVED:
            raise EvaluationError(
                f"an Evaluation needs names of objectives that no logbook uses "
                f"({list(RESERVED)}), got {name!r}"
            )


def _restore(cls: type[Evaluation], values: tuple[float, ...], state: dict[str, Any]) -> Evaluation:
    return cls(values, **state)


class Fitness(base.Fitness):
    """A DEAP fitness that keeps the ``Evaluation`` that is assigned to its values.

    ``del fitness.values`` makes the fitness invalid but keeps the evaluation. So the trained
    weights are still there in algorithms that delete the values and evaluate again.

    A plain tuple carries no weights. The first time that a fitness is given one, the log of
    ``deap_valp`` has a warning; ``Evaluation.with_values`` is for values of one's own.

    Raises:
        EvaluationError: The values are not as many finite numbers as the class has objective
            weights.
    """

    evaluation: Evaluation | None = None

    def _set_values(self, values: Iterable[float]) -> None:
        _check_values(values, type(self))
        self.setValues(values)
        if isinstance(values, Evaluation):
            self.evaluation = values
        else:
            _say_bare_tuple()

    # DEAP's property holds the functions of its own class, so overriding setValues has no effect.
    values = property(base.Fitness.getValues, _set_values, base.Fitness.delValues)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fitness:
        copy_: Fitness = super().__deepcopy__(memo)
        copy_.evaluation = self.evaluation
        return copy_


def _check_values(values: Any, cls: type[Fitness]) -> None:
    """Raise where DEAP would fail at an assertion, or inside a multiplication."""
    count = len(cls.weights)
    if not isinstance(values, Iterable) or isinstance(values, str):
        raise EvaluationError(
            f"{cls.__name__} needs values as a tuple of {count} numbers, got {got(values)}: an "
            "evaluate for one objective returns (value,)"
        )
    numbers = tuple(values)
    if len(numbers) != count:
        named = ""
        if isinstance(values, Evaluation):
            named = f" {list(values.objectives)}"
        raise EvaluationError(
            f"{cls.__name__} has {count} weights, {cls.weights}, but got {len(numbers)} "
            f"values{named}: creator.create(..., weights=problem.weights) has one for each output "
            "and cost of the problem"
        )
    wrong = [value for value in numbers if not is_number(value)]
    if wrong:
        raise EvaluationError(f"{cls.__name__} needs values that are numbers, got {got(wrong[0])}")
    endless = [value for value in numbers if not math.isfinite(value)]
    if endless:
        raise EvaluationError(
            f"{cls.__name__} needs finite values, as DEAP's selections and archives go wrong "
            f"with NaN and infinity, got {got(endless[0])}: give deap_valp.PENALTY instead"
        )


@functools.cache
def _say_bare_tuple() -> None:
    """Warn once in a process that a plain tuple loses what an evaluation carries."""
    logger.warning(
        "a Fitness was given its values as a plain sequence, which keeps numbers alone: the "
        "trained weights, the diagnosis and the history of the evaluation are lost, and the next "
        "session starts from the weights before it. Return the Evaluation that evaluate returns; "
        "for values of your own, return evaluation.with_values(...)."
    )
