"""Statistics for DEAP's logbook."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from deap import tools

from ..problem import Problem


@dataclass(frozen=True)
class ObjectiveKey:
    """Key for ``tools.Statistics``: one objective of an individual, NaN where its evaluation failed."""

    index: int

    def __call__(self, individual: Any) -> float:
        value: float = individual.fitness.values[self.index]
        return float("nan") if individual.failed else value


def move_key(individual: Any) -> str:
    """Key for ``tools.Statistics``: name of the operator that last changed an individual, or ``init``."""
    return individual.move.operator if individual.move is not None else "init"


def _over_successes(function: Callable[[np.ndarray], Any]) -> Callable[[Sequence[float]], float]:
    def compile_(values: Sequence[float]) -> float:
        finite = np.asarray([value for value in values if np.isfinite(value)])
        return float(function(finite)) if len(finite) else float("nan")

    return compile_


def _count(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())


def statistics(problem: Problem) -> tools.MultiStatistics:
    """Statistics for the logbook of any DEAP algorithm: a chapter for each objective, and one for the operators.

    Minimum, mean, maximum and standard deviation by objective, over the evaluations that succeeded;
    by operator, how many individuals it changed last.
    """
    chapters = {
        name: tools.Statistics(ObjectiveKey(index)) for index, name in enumerate(problem.objectives)
    }
    for chapter in chapters.values():
        for name, function in (("min", np.min), ("avg", np.mean), ("max", np.max), ("std", np.std)):
            chapter.register(name, _over_successes(function))
    operator_chapter = tools.Statistics(move_key)
    operator_chapter.register("applied", _count)
    return tools.MultiStatistics(**chapters, operators=operator_chapter)
