"""A run that cannot succeed ends with its reason, instead of going on with penalties."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from ..errors import EvaluationError
from ..genome import Evaluation

FIRST = 5
"""The number of evaluations that all fail for one reason, from the first one on, to end a run."""


@dataclass
class Failures:
    """Whether all evaluations of a run failed for the same reason, from the first one on.

    Two reasons are the same if they differ in numbers alone, such as the batch where a loss became
    infinite. One other result, and no failure ends the run any more.

    Attributes:
        seen: The number of evaluations that failed so.
        reason: The reason of the first; None before the first evaluation.
        hopeful: Whether one evaluation succeeded, or failed for another reason.
    """

    seen: int = 0
    reason: str | None = None
    hopeful: bool = False

    def see(self, evaluation: Any) -> None:
        """Take note of the result of an evaluation. A plain tuple counts as a success."""
        if not isinstance(evaluation, Evaluation) or evaluation.ok:
            self.hopeful = True
            return
        if self.reason is None:
            self.reason = evaluation.status
        self.hopeful |= _without_numbers(self.reason) != _without_numbers(evaluation.status)
        self.seen += 1

    def stop(self, search: str) -> None:
        """Raise if nothing else happened than ``FIRST`` or more failures for one reason.

        Raises:
            EvaluationError: The message has the reason.
        """
        if not self.hopeful and self.seen >= FIRST:
            raise EvaluationError(
                f"{search} stops, since its first {self.seen} evaluations all failed for one "
                f"reason: {self.reason}"
            )


def _without_numbers(reason: str) -> str:
    return re.sub(r"[-+]?\d[\d.e+-]*", "0", reason)
