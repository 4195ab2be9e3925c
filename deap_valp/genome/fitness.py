"""The result of an evaluation, and the DEAP fitness that keeps it.

DEAP does one thing with the result of ``evaluate``: ``ind.fitness.values = result``. So the result
is a tuple of objectives that also carries the trained weights, and ``Fitness`` keeps it. The next
operator finds the weights there, in any algorithm of DEAP and under any map.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from deap import base
from torch import Tensor

from .diagnosis import Diagnosis
from .optimizers import State, pack_state, unpack_state
from .weights import pack, unpack

PENALTY = 1e6
"""The value of every objective of an individual whose evaluation failed.

It is finite, since DEAP's selections and archives give wrong results with NaN or infinity.
"""

OK = "ok"
"""The status of an evaluation that succeeded."""


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
        seconds: The wall time of each part: ``train``, ``score`` and ``diagnose``.
        status: ``"ok"``, or the reason why the evaluation failed. Every objective is then
            ``PENALTY``, and the weights are those that the evaluation started from.
    """

    objectives: tuple[str, ...]
    seed: int
    weights: dict[str, Tensor]
    history: dict[str, np.ndarray]
    kept: int
    losses: dict[str, float]
    resolution: dict[str, float]
    window: int
    optimizer_state: State
    diagnosis: Diagnosis | None
    sessions: int
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
        seconds: Mapping[str, float] | None = None,
        status: str = OK,
    ) -> Evaluation:
        evaluation = super().__new__(cls, (float(value) for value in values))
        evaluation.objectives = tuple(objectives)
        evaluation.seed = seed
        evaluation.weights = dict(weights)
        evaluation.history = dict(history or {})
        evaluation.kept = kept
        evaluation.losses = dict(losses or {})
        evaluation.resolution = dict(resolution or {})
        evaluation.window = window
        evaluation.optimizer_state = dict(optimizer_state or {})
        evaluation.diagnosis = diagnosis
        evaluation.sessions = sessions
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

    def __deepcopy__(self, memo: dict[int, Any]) -> Evaluation:
        return self  # it never changes, so clones, halls of fame and histories share it

    def __reduce__(self) -> tuple[Any, ...]:
        state = {**self.__dict__, "weights": pack(self.weights)}
        state["optimizer_state"] = pack_state(self.optimizer_state)
        return _restore, (type(self), tuple(self), state)

    def __repr__(self) -> str:
        values = ", ".join(f"{value:.6g}" for value in self)
        return f"Evaluation(({values}), status={self.status!r})"


def _restore(cls: type[Evaluation], values: tuple[float, ...], state: dict[str, Any]) -> Evaluation:
    state["weights"] = unpack(state["weights"])
    state["optimizer_state"] = unpack_state(state["optimizer_state"])
    return cls(values, **state)


class Fitness(base.Fitness):
    """A DEAP fitness that keeps the ``Evaluation`` that is assigned to its values.

    ``del fitness.values`` makes the fitness invalid but keeps the evaluation. So the trained
    weights are still there in algorithms that delete the values and evaluate again.
    """

    evaluation: Evaluation | None = None

    def _set_values(self, values: Iterable[float]) -> None:
        self.setValues(values)
        if isinstance(values, Evaluation):
            self.evaluation = values

    # DEAP's property holds the functions of its own class, so overriding setValues has no effect.
    values = property(base.Fitness.getValues, _set_values, base.Fitness.delValues)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fitness:
        copy_: Fitness = super().__deepcopy__(memo)
        copy_.evaluation = self.evaluation
        return copy_
