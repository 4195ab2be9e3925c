"""The estimation of thresholds from evaluations of random VALPs, as in the paper.

References:
    Paper VII-C.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from ..arguments import need_many, need_type
from ..errors import EvaluationError
from ..genome import Evaluation
from .view import Thresholds

_FEWEST = 10

NEEDED = ("loss_slope", "module_intervention")
"""The metrics that have thresholds."""


def calibrateThresholds(evaluations: Iterable[Evaluation]) -> dict[str, Thresholds]:
    """Estimate the thresholds of every output from evaluations of random VALPs of one problem.

    The thresholds of the slope are chosen so that a third of the given slopes is steep and a third
    is stuck. The threshold of relevance divides the sub-networks that an output ignores from those
    that it needs: it is where the logarithms of relevance have the largest variance between the
    two groups (Otsu's method).

    Args:
        evaluations: The evaluations. At least ten must have succeeded; failed ones are left out.

    Returns:
        Thresholds by output, for ``ByRules(thresholds=...)``.

    Raises:
        EvaluationError: Fewer than ten succeeded, or one did not measure slopes and relevance.

    References:
        Paper VII-C: "estimated from the initial experimentation".
    """
    evaluations = need_many(evaluations, "calibrateThresholds", "evaluations", EvaluationError)
    for evaluation in evaluations:
        need_type(evaluation, Evaluation, "calibrateThresholds", "evaluations", EvaluationError)
    diagnoses = [e.diagnosis for e in evaluations if e.ok and e.diagnosis is not None]
    if len(diagnoses) < _FEWEST:
        raise EvaluationError(
            f"calibrateThresholds needs at least {_FEWEST} successful evaluations, "
            f"got {len(diagnoses)}"
        )
    lacking = [
        name for name in NEEDED if any(name not in diagnosis.measured for diagnosis in diagnoses)
    ]
    if lacking:
        raise EvaluationError(
            f"calibrateThresholds needs evaluations that measured {list(NEEDED)}, "
            f"got some without {lacking}"
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
    """Return the relevance that divides low from high ones best, and at least 1.

    The best division has the largest variance between its two groups. The number returned is in
    the middle between them, on the logarithmic scale.
    """
    logs = np.sort(np.log(np.maximum(relevance, 1e-3)))
    sizes = np.arange(1, len(logs))
    others = len(logs) - sizes
    below, total = np.cumsum(logs)[:-1], logs.sum()
    between = sizes * others * (below / sizes - (total - below) / others) ** 2
    cut = int(np.argmax(between))
    return max(float(np.exp((logs[cut] + logs[cut + 1]) / 2)), 1.0)
