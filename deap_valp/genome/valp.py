"""The VALP: a genome as a DEAP individual.

References:
    Paper III.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import networkx as nx
from torch import Tensor

from ..errors import StructureError
from .decision import Decision
from .fitness import Evaluation
from .genome import Genome, Optimizer, summary
from .kinds import Layout, Limits
from .rules import check
from .structure import Structure


class VALP(Structure):
    """A heterogeneous multi-network model as a DEAP individual (paper III).

    It reads like a ``Structure`` (components, connections, tensors). To change it, apply an
    operator, or make a ``Draft`` of its genome and let it ``become`` the result.

    Args:
        genome: What it is; the individual and its copies share it.
        seed: Drawn from ``random`` by default.

    Raises:
        StructureError: ``genome`` is not a genome, or it breaks a rule of a valid VALP.

    Attributes:
        genome: Structure, weights and hyperparameters, as an operator last left them.
        seed: Drawn anew by every change. It seeds the evaluation, and names the individual.
        decision: How it came to be (a ``Decision``); None for one that was drawn or loaded.
    """

    def __init__(self, genome: Genome, seed: int | None = None) -> None:
        if not isinstance(genome, Genome):
            raise StructureError(
                f"{type(self).__name__} needs a Genome, as initVALP and load make it, "
                f"got {type(genome).__name__}"
            )
        check(genome)
        self.genome = genome
        self.seed = random.getrandbits(63) if seed is None else seed
        self.decision: Decision | None = None

    # ---- the genome's ----------------------------------------------------------------------------

    @property
    def graph(self) -> nx.DiGraph:
        """The components and their connections, frozen."""
        return self.genome.graph

    @property
    def weights(self) -> Mapping[str, Tensor]:  # type: ignore[override]
        """The tensors as an operator last left them; training does not change them."""
        return self.genome.weights

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizer of each output."""
        return self.genome.optimizers

    @property
    def batch_size(self) -> int:
        """Examples of a training batch."""
        return self.genome.batch_size

    @property
    def limits(self) -> Limits:
        """How far operators may let it grow."""
        return self.genome.limits

    @property
    def layout(self) -> Layout:
        """How operators draw what is new at random."""
        return self.genome.layout

    # ---- evaluation and inheritance --------------------------------------------------------------

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation of exactly this genome; None where it has none or was changed since."""
        evaluation: Evaluation | None = getattr(getattr(self, "fitness", None), "evaluation", None)
        if evaluation is not None and evaluation.seed != self.seed:
            return None
        return evaluation

    @property
    def failed(self) -> bool:
        """Whether its evaluation failed."""
        return self.evaluation is not None and not self.evaluation.ok

    def inherited(self) -> Genome:
        """Return the genome with the weights that the evaluation left: what is handed on."""
        evaluation = self.evaluation
        if evaluation is None:
            return self.genome
        return replace(
            self.genome,
            weights=evaluation.weights,
            trained=self.genome.trained or evaluation.ok,
            ages={name: age + evaluation.sessions for name, age in self.genome.ages.items()},
            optimizer_state=evaluation.optimizer_state,
        )

    @property
    def trained(self) -> bool:
        """Whether any of the weights that it hands on come from training."""
        return self.genome.trained or (self.evaluation is not None and self.evaluation.ok)

    @property
    def trained_weights(self) -> Mapping[str, Tensor]:
        """The weights after the last training, or those it holds where there was none."""
        return self.genome.weights if self.evaluation is None else self.evaluation.weights

    def age(self, network: str) -> int:
        """Return the training sessions that a sub-network has been through."""
        sessions = 0 if self.evaluation is None else self.evaluation.sessions
        return self.genome.ages[network] + sessions

    @property
    def means(self) -> Mapping[str, Any]:
        """By component the mean of its result, where a diagnosis of its weights knows it."""
        evaluation = self.evaluation
        if evaluation is None or evaluation.diagnosis is None:
            return {}
        return evaluation.diagnosis.means

    # ---- change ----------------------------------------------------------------------------------

    def become(self, genome: Genome, decision: Decision | None = None) -> None:
        """Take on another genome, with a new seed: the one place where an individual changes.

        Args:
            genome: Valid, as an operator made it.
            decision: How it came to be.
        """
        self.genome, self.decision = genome, decision
        self.seed = random.getrandbits(63)

    @property
    def move(self) -> Any:
        """The last ``Move`` that was applied to it, or None."""
        return None if self.decision is None else self.decision.move

    # ---- Python and DEAP -------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        """Return whether structure, hyperparameters and weights are the same.

        Types do not count, for DEAP rebuilds classes.
        """
        if not isinstance(other, VALP):
            return NotImplemented
        return self.genome == other.genome

    __hash__ = None  # type: ignore[assignment]  # mutable, as DEAP's own individuals

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {summary(self)}>"
