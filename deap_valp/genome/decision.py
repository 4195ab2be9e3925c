"""The record that every change leaves on an individual: which move was applied, and to whom.

References:
    Paper VII-D and Fig. 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any


@dataclass(frozen=True)
class Decision:
    """One mutation or donation: the move, the parents, and what was known of the first parent.

    An individual may be changed again before it is evaluated. The record of the later change then
    keeps the parents of the earlier one, and what was known of them.

    Attributes:
        move: The ``Move``, which says what was done, where and why.
        parents: The seeds of the individuals that this one was made of: first the one that was
            changed, then a donor.
        objectives: The names of the objectives; empty where the first parent had no evaluation of
            its own, or a failed one.
        before: The values of these objectives in the first parent.
        diagnosis: The diagnosis of the first parent as text; empty where it had none.
        losses: The first parent's validation loss of every output; empty where not known.
    """

    move: Any
    parents: tuple[int, ...]
    objectives: tuple[str, ...] = ()
    before: tuple[float, ...] = ()
    diagnosis: str = ""
    losses: Mapping[str, float] = field(default_factory=dict, hash=False)

    @property
    def loss(self) -> float | None:
        """The sum of the losses, None where they are not known.

        The fall of this sum that was predicted is ``move.gain``.
        """
        return sum(self.losses.values()) if self.losses else None

    @classmethod
    def about(cls, individual: Any, move: Any, *donors: Any) -> Decision:
        """Return the record of a move that is about to be applied to an individual."""
        parents = lineage(individual)
        for donor in donors:
            parents += lineage(donor)[:1]
        evaluation, earlier = individual.evaluation, individual.decision
        if not is_settled(individual) and earlier is not None:
            return replace(earlier, move=move, parents=parents)
        if evaluation is None or not evaluation.ok:
            return cls(move, parents)
        diagnosis = ""
        if evaluation.diagnosis is not None:
            diagnosis = str(evaluation.diagnosis)
        before = tuple(evaluation)
        return cls(move, parents, evaluation.objectives, before, diagnosis, evaluation.losses)


def lineage(individual: Any) -> tuple[int, ...]:
    """Return the seeds that are recorded as parents of what is made of an individual.

    This is its own seed, if it was evaluated since its last change. Otherwise these are the seeds
    of the evaluated individuals that it was made of.
    """
    if is_settled(individual) or individual.decision is None:
        return (individual.seed,)
    parents: tuple[int, ...] = individual.decision.parents
    return parents


def is_settled(individual: Any) -> bool:
    """Return whether an individual was evaluated since its last change, as far as is known."""
    fitness = getattr(individual, "fitness", None)
    evaluation = getattr(fitness, "evaluation", None)
    if evaluation is not None:
        settled: bool = evaluation.seed == individual.seed
        return settled
    # A fitness without an evaluation is valid until the search deletes its values.
    return fitness is None or bool(fitness.valid)
