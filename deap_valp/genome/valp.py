"""The VALP, a DEAP individual that holds a genome.

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
from .display import painted
from .fitness import Evaluation
from .genome import Genome, Optimizer, summary
from .kinds import Layout, Limits
from .rules import check
from .structure import Structure


class VALP(Structure):
    """A heterogeneous multi-network model as a DEAP individual (paper III).

    It has the attributes and methods of a ``Structure`` (components, connections, tensors). The
    genome itself never changes. To change an individual, apply an operator, or edit a ``Draft`` of
    ``individual.inherited()`` and let the individual ``become`` the result.

    Args:
        genome: The graph, weights and hyperparameters. The individual and its clones share it.
        seed: The seed of the individual. By default it is drawn from ``random``.

    Raises:
        StructureError: ``genome`` is not a genome, or it breaks a rule of a valid VALP.

    Attributes:
        genome: The graph, weights and hyperparameters since the last change.
        seed: A number that identifies the individual, and seeds its evaluation. Every change draws
            a new one.
        decision: The record of the last change. None for an individual that was drawn or loaded.
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
        """The tensors since the last change. Training does not change them (``inherited``)."""
        return self.genome.weights

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizer of each output."""
        return self.genome.optimizers

    @property
    def batch_size(self) -> int:
        """The number of examples in a training batch."""
        return self.genome.batch_size

    @property
    def limits(self) -> Limits:
        """The sizes up to which operators may let the VALP grow."""
        return self.genome.limits

    @property
    def layout(self) -> Layout:
        """The ranges from which operators draw new sub-networks."""
        return self.genome.layout

    def _named(self, role: type) -> tuple[str, ...]:
        return self.genome._named(role)

    # ---- evaluation and inheritance --------------------------------------------------------------

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation of exactly this genome. None if there is none since the last change."""
        evaluation: Evaluation | None = getattr(getattr(self, "fitness", None), "evaluation", None)
        if evaluation is not None and evaluation.seed != self.seed:
            return None
        return evaluation

    @property
    def failed(self) -> bool:
        """Whether the evaluation of this genome failed."""
        return self.evaluation is not None and not self.evaluation.ok

    def inherited(self) -> Genome:
        """Return the genome with the weights and the optimizer state after the last training.

        Operators start from this genome.
        """
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
        """Whether any of the weights of ``inherited`` come from training."""
        return self.genome.trained or (self.evaluation is not None and self.evaluation.ok)

    @property
    def trained_weights(self) -> Mapping[str, Tensor]:
        """The weights after the last training, or ``weights`` if there was none."""
        if self.evaluation is None:
            return self.genome.weights
        return self.evaluation.weights

    def age(self, network: str) -> int:
        """Return the number of training sessions that a sub-network has been through."""
        sessions = 0 if self.evaluation is None else self.evaluation.sessions
        return self.genome.ages[network] + sessions

    @property
    def means(self) -> Mapping[str, Any]:
        """The mean result of each component, where a diagnosis of this genome measured it."""
        evaluation = self.evaluation
        if evaluation is None or evaluation.diagnosis is None:
            return {}
        return evaluation.diagnosis.means

    # ---- change ----------------------------------------------------------------------------------

    def become(self, genome: Genome, decision: Decision | None = None) -> None:
        """Replace the genome and draw a new seed. Nothing else changes an individual.

        Args:
            genome: The new genome. It must be valid; this is not checked.
            decision: The record of the change.
        """
        self.genome, self.decision = genome, decision
        self.seed = random.getrandbits(63)

    @property
    def move(self) -> Any:
        """The last ``Move`` that was applied to the individual, or None."""
        return None if self.decision is None else self.decision.move

    # ---- Python and DEAP -------------------------------------------------------------------------

    def __eq__(self, other: object) -> bool:
        """Return whether structure, hyperparameters and weights are the same.

        The classes may differ, because DEAP makes a class anew when it unpickles an individual.
        """
        if not isinstance(other, VALP):
            return NotImplemented
        return self.genome == other.genome

    __hash__ = None  # type: ignore[assignment]  # it can change, like DEAP's own individuals

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {summary(self)}>"

    def _repr_svg_(self) -> str | None:
        """Return the picture that a notebook shows: that of ``plots.valp_svg``."""
        return painted(self)
