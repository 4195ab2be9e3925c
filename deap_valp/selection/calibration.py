"""Thresholds from the evaluations of random VALPs, as the paper estimated its own.

References:
    Paper VII-C.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..diagnosis import DEFAULT_METRICS
from ..errors import EvaluationError
from ..genome import Evaluation
from .view import Thresholds

_FEWEST = 10


def calibrateThresholds(evaluations: Iterable[Evaluation]) -> dict[str, Thresholds]:
    """Estimate the thresholds of every output from evaluations of random VALPs of the problem at hand.

    A third of the slopes seen are steep and a third stuck. Relevance is split where the two groups
    that the paper speaks of, sub-networks that an output ignores and those it needs, lie furthest
    apart: at the largest between-group variance of the logarithms (Otsu).

    Args:
        evaluations: At least ten that succeeded; others are left out.

    Returns:
        Thresholds by output, for ``ByRules(thresholds=...)``.

    Raises:
        EvaluationError: There are fewer than ten, or they did not measure slopes and relevance.

    References:
        Paper VII-C: "estimated from the initial experimentation".
    """
    diagnoses = [e.diagnosis for e in evaluations if e.ok and e.diagnosis is not None]
    if len(diagnoses) < _FEWEST:
        raise EvaluationError(
            f"calibrateThresholds needs at least {_FEWEST} successful evaluations, got {len(diagnoses)}"
        )
    lacking = [
        name
        for name in DEFAULT_METRICS
        if any(name not in diagnosis.measured for diagnosis in diagnoses)
    ]
    if lacking:
        raise EvaluationError(
            f"calibrateThresholds needs evaluations that measured {list(DEFAULT_METRICS)}, got some without {lacking}"
        )
    thresholds = {}
    for output in diagnoses[0].slopes:
        slopes = [diagnosis.slopes[output].slope for diagnosis in diagnoses]
        relevance = [
            r for diagnosis in diagnoses for (_, o), r in diagnosis.relevance.items() if o == output
        ]
        steep, stuck = np.quantile(slopes, [1 / 3, 2 / 3])
        thresholds[output] = Thresholds(
            stuck=min(float(stuck), 0.0),
            steep=min(float(steep), 0.0),
            relevance=_split(np.asarray(relevance)),
        )
    return thresholds


def _split(relevance: np.ndarray) -> float:
    """The middle between the groups of the split with the largest between-group variance; at least 1."""
    logs = np.sort(np.log(np.maximum(relevance, 1e-3)))
    sizes = np.arange(1, len(logs))
    below, total = np.cumsum(logs)[:-1], logs.sum()
    between = (
        sizes * (len(logs) - sizes) * (below / sizes - (total - below) / (len(logs) - sizes)) ** 2
    )
    cut = int(np.argmax(between))
    return max(float(np.exp((logs[cut] + logs[cut + 1]) / 2)), 1.0)
