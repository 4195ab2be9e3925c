"""When a candidate becomes the incumbent of a hill climbing.

References:
    Paper Fig. 4 for ``majority``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ..errors import ValpError
from ..genome import VALP

_LEAST = 1e-9  # below it objectives and losses count as equal: no logarithm of 0


def majority(candidate: VALP, incumbent: VALP) -> bool:
    """Return whether the candidate is strictly lower in more than half of the outputs.

    The paper's acceptance: with three outputs, in at least two (Fig. 4, ``<``). A failed candidate
    is never accepted. Costs of the problem do not vote. With two outputs it asks for both, and an
    objective that comes in steps, as an error rate on few examples, is seldom strictly lower.
    """
    outputs = len(candidate.outputs)
    ours, theirs = candidate.fitness.values[:outputs], incumbent.fitness.values[:outputs]  # type: ignore[attr-defined]
    lower = sum(a < b for a, b in zip(ours, theirs, strict=True))
    return not candidate.failed and lower >= outputs // 2 + 1


@dataclass(frozen=True)
class Graded:
    """Accept what is better by the sum over the outputs, and bad for none of them.

    An output's change is the logarithm of the ratio of the candidate's objective to the
    incumbent's, so 10 % less of an error counts the same for every output. Of an objective that is
    a prediction's error and comes in steps, as an error rate on few examples, the change is the
    mean of that and the same for the validation loss, which tells apart what the error rate does
    not. A cost of the problem counts as a small part of an output.

    A failed candidate is never accepted, and everything is better than a failed incumbent.

    Attributes:
        margin: The mean change over the outputs must be below minus this: less is noise.
        worst: No output may grow by more than this part (0.05: 5 %), so none is traded away.
        costs: What a cost counts beside an output; 0 leaves costs out.

    Raises:
        ValpError: A number is negative.
    """

    margin: float = 0.005
    worst: float = 0.05
    costs: float = 0.1

    def __post_init__(self) -> None:
        for name in ("margin", "worst", "costs"):
            if not getattr(self, name) >= 0:
                raise ValpError(f"Graded needs {name} from 0 on, got {getattr(self, name)!r}")

    def __call__(self, candidate: Any, incumbent: Any) -> bool:
        """Return whether the candidate becomes the incumbent."""
        if candidate.failed or incumbent.failed:
            return not candidate.failed
        outputs = len(candidate.outputs)
        changes = self.changes(candidate, incumbent)
        if max(changes[:outputs]) > math.log1p(self.worst):
            return False
        total = sum(changes[:outputs]) + self.costs * sum(changes[outputs:])
        return total / outputs < -self.margin

    def changes(self, candidate: Any, incumbent: Any) -> list[float]:
        """Return the change of every objective, below 0 where the candidate is better."""
        pairs = zip(candidate.fitness.values, incumbent.fitness.values, strict=True)
        ours, theirs = candidate.evaluation, incumbent.evaluation
        if ours is None or theirs is None:
            return [_log_ratio(after, before) for after, before in pairs]
        changes = []
        for name, (after, before) in zip(ours.objectives, pairs, strict=True):
            step = ours.resolution.get(name, 0.0)
            change = _log_ratio(after + step / 2, before + step / 2)
            if step and name in ours.losses and name in theirs.losses:
                change = (change + _log_ratio(ours.losses[name], theirs.losses[name])) / 2
            changes.append(change)
        return changes


graded = Graded()
"""The default acceptance of ``hillClimbing``."""


def _log_ratio(after: float, before: float) -> float:
    return math.log(max(after, _LEAST)) - math.log(max(before, _LEAST))
