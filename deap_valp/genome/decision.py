"""How an individual came to be: the record that every change leaves on it.

References:
    Paper VII-D and Fig. 4.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Decision:
    """One change, mutation or donation: what was done, to whom, and what was known then.

    Where an individual is changed again before it was evaluated, the record of the later change
    keeps the parents and what was known of them from the earlier one.

    Attributes:
        move: The ``Move``: what was done, where and why.
        parents: Seeds of the individuals it was made of: first the one that was changed, then a
            donor.
        objectives: Names of the objectives; empty where the first parent had no evaluation of its
            own, or a failed one.
        before: Their values in the first parent.
        diagnosis: The first parent's, as text; empty where it had none.
        loss: The first parent's validation losses, added up; None where they are not known. What
            was predicted of them is ``move.gain``.
    """

    move: Any
    parents: tuple[int, ...]
    objectives: tuple[str, ...] = ()
    before: tuple[float, ...] = ()
    diagnosis: str = ""
    loss: float | None = None

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
        return cls(move, parents, evaluation.objectives, before, diagnosis, evaluation.loss)


def lineage(individual: Any) -> tuple[int, ...]:
    """Return the seeds that stand for an individual among the parents of what is made of it.

    Its own, if it was evaluated as it stands; else those of the evaluated ones it was made of.
    """
    if is_settled(individual) or individual.decision is None:
        return (individual.seed,)
    parents: tuple[int, ...] = individual.decision.parents
    return parents


def is_settled(individual: Any) -> bool:
    """Return whether an individual was evaluated since its last change, as far as can be told."""
    fitness = getattr(individual, "fitness", None)
    evaluation = getattr(fitness, "evaluation", None)
    if evaluation is not None:
        settled: bool = evaluation.seed == individual.seed
        return settled
    # a plain fitness, or bare numbers: valid until the loop deletes them
    return fitness is None or bool(fitness.valid)
