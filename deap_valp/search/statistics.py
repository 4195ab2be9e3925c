"""Statistics of objectives and operators for DEAP's logbook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from deap import tools

from ..arguments import need_type
from ..errors import EvaluationError, ProblemError
from ..problem import Problem


@dataclass(frozen=True)
class ObjectiveKey:
    """A key for ``tools.Statistics`` that reads one objective of an individual.

    The key is NaN where the evaluation of the individual failed.

    Attributes:
        index: The position of the objective in ``fitness.values``.
    """

    index: int

    def __call__(self, individual: Any) -> float:
        """Return the objective of the individual, or NaN.

        Raises:
            EvaluationError: The individual has no value at this position.
        """
        values = individual.fitness.values
        if not self.index < len(values):
            raise EvaluationError(
                f"ObjectiveKey needs an evaluated individual with an objective {self.index}, got "
                f"{individual!r} with {len(values)} values"
            )
        value: float = values[self.index]
        return float("nan") if individual.failed else value


def move_key(individual: Any) -> str:
    """Return the name of the operator that last changed an individual, or ``init``.

    This is a key for ``tools.Statistics``.
    """
    if individual.move is None:
        return "init"
    name: str = individual.move.operator
    return name


def _over_successes(function: Callable[[np.ndarray], Any]) -> Callable[[Sequence[float]], float]:
    """Return a statistic that leaves out failed evaluations; it is NaN where all failed."""

    def compile_(values: Sequence[float]) -> float:
        finite = np.asarray([value for value in values if np.isfinite(value)])
        return float(function(finite)) if len(finite) else float("nan")

    return compile_


def _count(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())


def statistics(problem: Problem) -> tools.MultiStatistics:
    """Return statistics for the logbook of any DEAP algorithm.

    There is a chapter for each objective, with its minimum, mean, maximum and standard deviation
    over the evaluations that succeeded. The chapter ``operators`` counts the individuals that each
    operator changed last.
    """
    need_type(problem, Problem, "statistics", "problem as a Problem", ProblemError)
    chapters = {
        name: tools.Statistics(ObjectiveKey(index)) for index, name in enumerate(problem.objectives)
    }
    for chapter in chapters.values():
        for name, function in (("min", np.min), ("avg", np.mean), ("max", np.max), ("std", np.std)):
            chapter.register(name, _over_successes(function))
    operator_chapter = tools.Statistics(move_key)
    operator_chapter.register("applied", _count)
    return tools.MultiStatistics(**chapters, operators=operator_chapter)
