"""``Progress``: what a stop, a reporter and a user's predicate see of a search after a step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from deap import tools


class Fall(NamedTuple):
    """A new lowest value of an objective among the members of the population.

    Attributes:
        step: The step after which a member had it.
        objective: The name of the objective.
        value: The value.
    """

    step: int
    objective: str
    value: float


@dataclass(frozen=True)
class Progress:
    """A search after one of its steps. Nothing of it is to be changed.

    A step is a candidate in ``hillClimbing`` and ``eaSteadyState``, and a generation in
    ``eaGuided`` and ``eaAging``. The population of ``hillClimbing`` is its incumbent.

    Attributes:
        search: The name of the search.
        step: The step; 0 is the evaluation of the start.
        last: The last step that the search may do; None if only ``until`` ends it.
        seconds: How long the search has run. After a kill it goes on from the time at the last
            saved state.
        evaluations: The number of evaluations so far.
        falls: Every new lowest value of an objective so far, in their order. Failed individuals
            are left out.
        population: The members of the population.
        logbook: The logbook, whose last record is that of this step.
    """

    search: str
    step: int
    last: int | None
    seconds: float
    evaluations: int
    falls: Sequence[Fall]
    population: Sequence[Any]
    logbook: tools.Logbook

    @property
    def lowest(self) -> dict[str, float]:
        """The lowest value of each objective that a member of the population has had."""
        return {fall.objective: fall.value for fall in self.falls}


def objective_names(individual: Any) -> tuple[str, ...]:
    """Return the names of the objectives of an evaluated individual.

    They are ``objective0``, ``objective1``, ... where its fitness keeps no evaluation.
    """
    evaluation = getattr(individual.fitness, "evaluation", None)
    if evaluation is not None:
        return tuple(evaluation.objectives)
    return tuple(f"objective{index}" for index in range(len(individual.fitness.values)))


def objectives_of(individual: Any) -> dict[str, float]:
    """Return the values of an individual by name; none if it has no valid fitness or failed."""
    if not individual.fitness.valid or getattr(individual, "failed", False):
        return {}
    return dict(zip(objective_names(individual), individual.fitness.values, strict=True))


def lowest_of(population: Sequence[Any]) -> dict[str, float]:
    """Return the lowest value of each objective among the individuals that have one."""
    lowest: dict[str, float] = {}
    for individual in population:
        for name, value in objectives_of(individual).items():
            lowest[name] = min(value, lowest.get(name, value))
    return lowest


def falls_of(step: int, population: Sequence[Any], lowest: dict[str, float]) -> list[Fall]:
    """Return the objectives that have a new lowest value in this population."""
    return [
        Fall(step, name, value)
        for name, value in lowest_of(population).items()
        if name not in lowest or value < lowest[name]
    ]
