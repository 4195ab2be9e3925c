"""Points in the space of objectives: their values, whether they count, names of the axes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from ..genome import PENALTY
from ..problem import Problem


def values_of(point: Any) -> tuple[float, ...]:
    """Return the objective values of an individual, an archive entry, an evaluation or a row."""
    if hasattr(point, "fitness"):
        return tuple(point.fitness.values)
    return tuple(getattr(point, "values", point))


def succeeded(point: Any) -> bool:
    """Return whether a point was evaluated, and the evaluation did not fail."""
    values = without_failures(values_of(point))
    return bool(values.size) and bool(np.isfinite(values).all()) and _record_of(point, "ok", True)


def without_failures(values: Iterable[float]) -> np.ndarray:
    """Return values as an array with NaN in place of what a failed evaluation gave."""
    array = np.array(list(values), dtype=float)
    return np.where(array < PENALTY, array, np.nan)


def names_of(points: Sequence[Any]) -> tuple[str, ...]:
    """Return the names of objectives that the first evaluation or entry gives, or numbered ones."""
    for point in points:
        if names := _record_of(point, "objectives", ()):
            return tuple(names)
    width = max((len(values_of(point)) for point in points), default=2)
    return tuple(f"objective{index}" for index in range(width))


def _record_of(point: Any, attribute: str, default: Any) -> Any:
    """Return what an individual's evaluation, an entry or an evaluation says of itself."""
    fitness = getattr(point, "fitness", None)
    if fitness is not None:
        point = getattr(fitness, "evaluation", None)
    return getattr(point, attribute, default)


def label_of(objective: str, problem: Problem | None = None) -> str:
    """Return the label of an objective's axis.

    Args:
        objective: Its name.
        problem: Where the objective comes from. An output or a cost that has a ``score_name``
            gives it to the label (``"label: error rate"``). Without one the label says that the
            objective is minimised.
    """
    score = None
    if problem is not None:
        measured: dict[str, Any] = {**problem.outputs, **problem.costs}
        score = getattr(measured.get(objective), "score_name", None)
    if score is None:
        return f"{objective} (minimised)"
    return f"{objective}: {score}"
