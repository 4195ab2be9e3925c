"""The tests that decide whether a candidate becomes the incumbent of a hill climbing.

References:
    Paper Fig. 4 for ``majority``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..arguments import is_number
from ..errors import EvaluationError, ValpError
from ..genome import VALP
from ..genome.fitness import log_change, log_ratio
from ..genome.valp import need_valp


def majority(candidate: VALP, incumbent: VALP) -> bool:
    """Return whether the candidate is strictly lower in more than half of the outputs.

    This is the paper's acceptance (Fig. 4): of three outputs, at least two must be lower. A failed
    candidate is never accepted. The costs of the problem have no vote.

    With two outputs, both must be lower. That is rare where an objective can only take few values,
    such as an error rate on few examples.

    Raises:
        EvaluationError: One of the two was not evaluated.
    """
    _need_evaluated("majority", candidate, incumbent)
    outputs = len(candidate.outputs)
    ours = candidate.fitness.values[:outputs]  # type: ignore[attr-defined]
    theirs = incumbent.fitness.values[:outputs]  # type: ignore[attr-defined]
    lower = sum(a < b for a, b in zip(ours, theirs, strict=True))
    return not candidate.failed and lower >= outputs // 2 + 1


@dataclass(frozen=True)
class Graded:
    """Accept a candidate that is better over all outputs together and much worse in none.

    The change of an output is the logarithm of the candidate's objective divided by the
    incumbent's, so 10 % less error counts the same for every output. An error rate can only take
    as many values as there are examples, plus one. The change of such an objective is the mean of
    two logarithms: that of the error rate and that of the validation loss, which also sees changes
    that are too small for the error rate. A cost of the problem counts as a small part of an
    output.

    A failed candidate is never accepted. Any candidate that did not fail replaces a failed
    incumbent.

    Attributes:
        margin: The mean change over the outputs must be below minus this number. Smaller changes
            are noise.
        worst: No output may grow by more than this part (0.1 is 10 %), so none is given up for
            another.
        costs: The weight of a cost, where an output has weight 1. With 0, costs do not count.

    Raises:
        ValpError: A number is negative.
    """

    margin: float = 0.005
    worst: float = 0.1
    costs: float = 0.1

    def __post_init__(self) -> None:
        for name in ("margin", "worst", "costs"):
            value = getattr(self, name)
            if not is_number(value) or not value >= 0:
                raise ValpError(f"Graded needs {name} from 0 on, got {value!r}")

    def __call__(self, candidate: Any, incumbent: Any) -> bool:
        """Return whether the candidate becomes the incumbent.

        Raises:
            EvaluationError: One of the two was not evaluated.
        """
        _need_evaluated("Graded", candidate, incumbent)
        if candidate.failed or incumbent.failed:
            return not candidate.failed
        outputs = len(candidate.outputs)
        changes = self.changes(candidate, incumbent)
        if max(changes[:outputs]) > math.log1p(self.worst):
            return False
        total = sum(changes[:outputs]) + self.costs * sum(changes[outputs:])
        return total / outputs < -self.margin

    def changes(self, candidate: Any, incumbent: Any) -> list[float]:
        """Return the change of every objective: a number below 0 where the candidate is better."""
        pairs = zip(candidate.fitness.values, incumbent.fitness.values, strict=True)
        ours, theirs = candidate.evaluation, incumbent.evaluation
        if ours is None or theirs is None:
            return [log_ratio(after, before) for after, before in pairs]
        return [
            log_change(name, after, before, ours, theirs.losses)
            for name, (after, before) in zip(ours.objectives, pairs, strict=True)
        ]


graded = Graded()
"""The default acceptance of ``hillClimbing``: ``Graded`` with its default numbers."""


def _need_evaluated(who: str, *individuals: Any) -> None:
    """Raise unless all individuals have a valid fitness of the same number of objectives."""
    counts = []
    for individual in individuals:
        need_valp(individual, who)
        fitness = getattr(individual, "fitness", None)
        counts.append(0 if fitness is None else len(fitness.values))
    if 0 in counts or len(set(counts)) > 1:
        found = " and ".join(map(str, counts))
        raise EvaluationError(
            f"{who} needs two evaluated individuals, got fitnesses of {found} values"
        )
