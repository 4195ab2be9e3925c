"""How an individual came to be: the record that every change leaves on it.

References:
    Paper VII-D and Fig. 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Decision:
    """One change, mutation or donation: what was done, to whom, and what was known then.

    Attributes:
        move: The ``Move``: what was done, where and why.
        parents: Seeds of the individuals it was made of: first the one that was changed, then a
            donor. An individual that was changed several times without an evaluation in between
            names those of its first change.
        objectives: Names of the objectives; empty where the first parent had no evaluation of its
            own, or a failed one.
        before: Their values in the first parent.
        diagnosis: The first parent's, as text; empty where it had none.
    """

    move: Any
    parents: tuple[int, ...]
    objectives: tuple[str, ...] = ()
    before: tuple[float, ...] = ()
    diagnosis: str = ""

    @classmethod
    def about(cls, individual: Any, move: Any, *donors: Any) -> Decision:
        """Return the record of a move that is about to be applied to an individual."""
        donor_seeds: tuple[int, ...] = ()
        for donor in donors:
            donor_seeds += lineage(donor)[:1]
        parents = (*lineage(individual), *donor_seeds)
        evaluation = individual.evaluation
        if evaluation is None or not evaluation.ok:
            return cls(move, parents)
        diagnosis = ""
        if evaluation.diagnosis is not None:
            diagnosis = str(evaluation.diagnosis)
        return cls(move, parents, evaluation.objectives, tuple(evaluation), diagnosis)


def lineage(individual: Any) -> tuple[int, ...]:
    """Return the seeds that stand for an individual among the parents of what is made of it.

    Its own, if it was evaluated as it stands; else those of the evaluated ones it was made of.
    """
    decision, fitness = individual.decision, getattr(individual, "fitness", None)
    if decision is None or fitness is None:
        return (individual.seed,)
    kept = getattr(fitness, "evaluation", None)
    if kept is None:
        settled = fitness.valid  # a plain fitness, or bare numbers: valid until the loop deletes it
    else:
        settled = kept.seed == individual.seed
    return (individual.seed,) if settled else decision.parents
