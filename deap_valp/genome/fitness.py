"""What an evaluation leaves, and the DEAP fitness that keeps it.

DEAP does one thing with the result of ``evaluate``: ``ind.fitness.values = result``. So the result
is a tuple of objectives that also carries what training left, and ``Fitness`` keeps it; the next
operator finds the trained weights there, in any algorithm and under any map.
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
"""Every objective of an individual whose evaluation failed. Finite: NaN and infinity poison DEAP's selections."""

OK = "ok"


class Evaluation(tuple[float, ...]):
    """One number per objective, and what training left.

    Attributes:
        objectives: Name by value: the problem's outputs, then its costs.
        seed: The seed of the individual it belongs to; an individual that was changed since has
            another.
        weights: Tensor by name, as in ``VALP.weights``; treated as values, never written to.
        history: Per output its training losses, one float32 per batch, shape (batches,). A session
            that ended early has fewer batches than its budget.
        kept: After how many batches of the session the model had these weights.
        losses: Per output its validation loss with these weights, latents at their mean; empty where
            the session did not look at it.
        resolution: By objective the smallest difference that it can show, where it comes in steps:
            1 / (validation examples) of an error rate.
        window: Batches at the end of the history that say how the loss moves now.
        optimizer_state: What the optimizers remember of each tensor, by its name and the
            algorithm's: the next session goes on from it.
        diagnosis: What ``diagnose`` measured on these weights, or None where the evaluation failed.
        sessions: Number of training sessions that the weights have been through without a
            structural change.
        seconds: Wall time by part: ``train``, ``score``, ``diagnose``.
        status: ``"ok"``, or why the evaluation failed; then every objective is ``PENALTY`` and the
            weights are those it started from.
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
        """The validation losses of all outputs, added up; None where the session did not look."""
        return sum(self.losses.values()) if self.losses else None

    @property
    def named(self) -> dict[str, float]:
        """The values by the names of the objectives."""
        return dict(zip(self.objectives, self, strict=True))

    def __deepcopy__(self, memo: dict[int, Any]) -> Evaluation:
        return self  # an evaluation is a value, shared by clones, halls of fame and histories

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
    """A DEAP fitness that keeps the ``Evaluation`` it was assigned.

    ``del fitness.values`` makes the fitness invalid and keeps the evaluation, so that weights
    survive the loops that delete and evaluate again.
    """

    evaluation: Evaluation | None = None

    def _set_values(self, values: Iterable[float]) -> None:
        self.setValues(values)
        if isinstance(values, Evaluation):
            self.evaluation = values

    # DEAP binds its functions into the property at class creation, so overriding setValues would be
    # ignored.
    values = property(base.Fitness.getValues, _set_values, base.Fitness.delValues)

    def __deepcopy__(self, memo: dict[int, Any]) -> Fitness:
        copy_: Fitness = super().__deepcopy__(memo)
        copy_.evaluation = self.evaluation
        return copy_
