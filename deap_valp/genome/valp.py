"""The VALP, a DEAP individual that holds a genome.

References:
    Paper III.
"""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Mapping
from copy import copy, deepcopy
from dataclasses import replace
from typing import Any

import networkx as nx
from deap import base
from torch import Tensor

from ..arguments import got, need_type
from ..errors import StructureError
from .decision import Decision
from .display import painted
from .fitness import Evaluation, Fitness
from .genome import Genome, Optimizer, summary
from .kinds import Layout, Limits
from .rules import check
from .structure import Structure

logger = logging.getLogger("deap_valp")


class VALP(Structure):
    """A heterogeneous multi-network model as a DEAP individual (paper III).

    ``initVALP`` and ``load`` make one. ``inputs``, ``networks``, ``outputs`` and ``connections``
    name its parts, ``component(name)`` describes one, ``weights`` are its tensors by name, and
    ``print`` shows all of it. ``evaluation`` is what ``evaluate`` found, ``move`` the last change.

    The genome itself never changes. To change an individual, apply an operator, or edit a
    ``Draft`` of ``individual.inherited()`` and let the individual ``become`` the result.

    Args:
        genome: The graph, weights and hyperparameters. The individual and its clones share it.
        seed: The seed of the individual. By default it is drawn from ``random``.

    Raises:
        StructureError: ``genome`` is not a genome, or it breaks a rule of a valid VALP.

    Attributes:
        genome: The graph and hyperparameters since the last change, with the weights and the
            optimizer state after the last training.
        seed: A number that identifies the individual, and seeds its evaluation. Every change draws
            a new one.
        decision: The record of the last change. None for an individual that was drawn or loaded.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        made = vars(cls).get("fitness")
        if isinstance(made, type):
            cls.fitness = _FitnessOf(made)  # type: ignore[attr-defined]

    def __init__(self, genome: Genome, seed: int | None = None) -> None:
        if not isinstance(genome, Genome):
            raise StructureError(
                f"{type(self).__name__} needs a Genome, as initVALP and load make it, "
                f"got {type(genome).__name__}"
            )
        check(genome)
        fitness = self._fitness
        if isinstance(fitness, base.Fitness) and not isinstance(fitness, Fitness):
            _say_plain_fitness(type(self).__name__)
        self._genome = genome
        self._taken: Evaluation | None = None
        self.seed = random.getrandbits(63) if seed is None else seed
        self.decision: Decision | None = None

    # ---- the genome's ----------------------------------------------------------------------------

    @property
    def genome(self) -> Genome:
        """The graph, weights and hyperparameters."""
        self._take_over()
        return self._genome

    @genome.setter
    def genome(self, genome: Genome) -> None:
        self._genome, self._taken = genome, None

    @property
    def graph(self) -> nx.DiGraph:
        """The components and their connections, frozen."""
        return self._genome.graph

    @property
    def weights(self) -> Mapping[str, Tensor]:  # type: ignore[override]
        """The tensors after the last training. They are values: nothing writes to them."""
        return self.genome.weights

    @property
    def optimizers(self) -> Mapping[str, Optimizer]:
        """The optimizer of each output."""
        return self._genome.optimizers

    @property
    def batch_size(self) -> int:
        """The number of examples in a training batch."""
        return self._genome.batch_size

    @property
    def limits(self) -> Limits:
        """The sizes up to which operators may let the VALP grow."""
        return self._genome.limits

    @property
    def layout(self) -> Layout:
        """The ranges from which operators draw new sub-networks."""
        return self._genome.layout

    @property
    def order(self) -> tuple[str, ...]:
        """The names of all components, providers before receivers; the same for equal graphs."""
        return self._genome.order

    def exclusive(self, output: str) -> frozenset[str]:
        """Return the sub-networks from which ``output`` can be reached, and no other output."""
        return self._genome.exclusive(output)

    def _named(self, role: type) -> tuple[str, ...]:
        return self._genome._named(role)

    # ---- evaluation and inheritance --------------------------------------------------------------

    @property
    def _fitness(self) -> Any:
        return vars(self).get("fitness")

    def _take_over(self) -> None:
        """Hold the tensors of the evaluation in the genome, in place of those before it."""
        evaluation = self.evaluation
        if evaluation is None or evaluation is self._taken:
            return
        self._genome = self._genome.after_training(
            evaluation.weights, evaluation.optimizer_state, evaluation.ok
        )
        self._taken = evaluation

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation of exactly this genome. None if there is none since the last change."""
        # Looked up without a property, since selections ask every member of a population.
        evaluation: Evaluation | None = getattr(self.__dict__.get("fitness"), "evaluation", None)
        if evaluation is not None and evaluation.seed != self.seed:
            return None
        return evaluation

    @property
    def failed(self) -> bool:
        """Whether the evaluation of this genome failed."""
        return self.evaluation is not None and not self.evaluation.ok

    def inherited(self) -> Genome:
        """Return the genome from which operators start: that after the last training.

        Its sub-networks are older than those of ``genome`` by the sessions since the last change.
        """
        evaluation = self.evaluation
        return self.genome if evaluation is None else self.genome.older(evaluation.sessions)

    @property
    def trained(self) -> bool:
        """Whether any of the weights of ``inherited`` come from training."""
        return self.genome.trained

    def age(self, network: str) -> int:
        """Return the number of training sessions that a sub-network has been through."""
        sessions = 0 if self.evaluation is None else self.evaluation.sessions
        return self._genome.ages[network] + sessions

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
        before = self.seed
        while self.seed == before:  # as where a caller seeds random anew: it would be evaluated
            self.seed = random.getrandbits(63)

    def without_state(self) -> VALP:
        """Return a clone without the state of the optimizers, to be kept and not trained further.

        With Adam, the state is two thirds of what an evaluated individual holds. If the clone or a
        child of it is trained all the same, the optimizers start anew.
        """
        clone = deepcopy(self)
        evaluation = clone.evaluation
        if evaluation is None:
            clone.genome = replace(clone.genome, optimizer_state={})
        else:
            state = {**vars(evaluation), "optimizer_state": {}}
            clone._fitness.evaluation = type(evaluation)(evaluation, **state)
            clone._take_over()  # the genome held the state, too
        return clone

    @property
    def move(self) -> Any:
        """The last ``Move`` that was applied to the individual, or None."""
        return None if self.decision is None else self.decision.move

    # ---- Python and DEAP -------------------------------------------------------------------------

    def __len__(self) -> int:
        """Return the number of sub-networks, as DEAP's tools for bloat count the size."""
        return len(self.networks)

    def __eq__(self, other: object) -> bool:
        """Return whether structure, hyperparameters and weights are the same.

        The classes may differ, because DEAP makes a class anew when it unpickles an individual.
        """
        if not isinstance(other, VALP):
            return NotImplemented
        return self.genome == other.genome

    def __getstate__(self) -> dict[str, Any]:
        """Return what a clone or a pickle holds: not an evaluation from before the last change."""
        self._take_over()
        state = dict(self.__dict__)
        kept = getattr(self._fitness, "evaluation", None)
        if kept is not None and self.evaluation is None and not self._fitness.valid:
            state["fitness"] = copy(self._fitness)
            state["fitness"].evaluation = None
        return state

    __hash__ = None  # type: ignore[assignment]  # it can change, like DEAP's own individuals

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {summary(self)}>"

    def _repr_svg_(self) -> str | None:
        """Return the picture that a notebook shows: that of ``plots.valp_svg``."""
        return painted(self)


class _FitnessOf:
    """The attribute ``fitness`` of a class that ``creator.create`` made.

    At a look at the fitness of an individual, the individual takes over the tensors of the
    evaluation that the fitness was given. DEAP looks whenever it compares or selects. The tensors
    from before that training, which nothing can need any more, are then free.

    Args:
        made: The class of the fitness, which is still what the class of the individual has.
    """

    def __init__(self, made: type) -> None:
        self._made = made

    def __get__(self, individual: VALP | None, cls: type[VALP]) -> Any:
        if individual is None:
            return self._made
        individual._take_over()
        return vars(individual).get("fitness", self._made)

    def __set__(self, individual: VALP, fitness: Any) -> None:
        vars(individual)["fitness"] = fitness


@functools.cache
def _say_plain_fitness(name: str) -> None:
    """Warn once in a process that the individuals of a class cannot keep trained weights."""
    logger.warning(
        "%s has a fitness of deap.base.Fitness, which keeps numbers alone: trained weights, "
        "diagnosis and history of an evaluation are lost, and every session starts from fresh "
        "weights. Create the fitness from deap_valp.Fitness.",
        name,
    )


def need_valp(individual: Any, who: str, name: str = "individual") -> None:
    """Raise ``StructureError`` unless an argument is a VALP."""
    wanted = f"{name} as a VALP, as initVALP and load make it"
    need_type(individual, VALP, who, wanted, StructureError)


def need_class(icls: Any, who: str) -> None:
    """Raise ``StructureError`` unless an argument is a class of VALPs."""
    if not isinstance(icls, type) or not issubclass(icls, VALP):
        raise StructureError(
            f"{who} needs icls as a class made of VALP, as creator.create('Individual', "
            f"deap_valp.VALP, fitness=...) makes it, got {got(icls)}"
        )


def warn_untrained(individual: VALP, who: str) -> None:
    """Warn in the log of ``deap_valp`` if the weights of an individual are not what they seem.

    Either it was never trained, or its fitness has values without the evaluation that they came
    from, so that the weights they were measured with are lost. A process has one warning of each
    for each function, since a comparison may score thousands of individuals.

    Args:
        individual: The individual whose weights are used.
        who: The function that uses them.
    """
    fitness = getattr(individual, "fitness", None)
    kept = getattr(fitness, "evaluation", None)
    if kept is None and fitness is not None and fitness.valid:
        _say_lost_weights(who)
    elif not individual.trained:
        _say_untrained(who)


@functools.cache
def _say_lost_weights(who: str) -> None:
    logger.warning(
        "%s: the fitness of a VALP has values but not the weights that they were measured with, "
        "so the weights from before that training are used. Let toolbox.evaluate return the "
        "Evaluation (or evaluation.with_values(...)), and use deap_valp.Fitness. Said once.",
        who,
    )


@functools.cache
def _say_untrained(who: str) -> None:
    logger.warning(
        "%s: a VALP was never trained, so its weights are random. Evaluate it first: "
        "individual.fitness.values = evaluate(individual, problem). Said once.",
        who,
    )


def say_weights(individual: Any, problem: Any) -> None:
    """Warn once for each class if its fitness does not minimise the objectives of a problem.

    It is no error here, as an ``evaluate`` of one's own may have other values.
    """
    weights = getattr(getattr(individual, "fitness", None), "weights", None)
    objectives = getattr(problem, "objectives", None)
    if weights is None or objectives is None:
        return
    if len(weights) != len(objectives) or not all(weight < 0 for weight in weights):
        _say_weights(type(individual).__name__, tuple(weights), tuple(objectives))


@functools.cache
def _say_weights(name: str, weights: tuple[float, ...], objectives: tuple[str, ...]) -> None:
    logger.warning(
        "the fitness of %s has the weights %s, while the problem has the objectives %s, all "
        "minimised: problem.weights fits them. Other weights are only right with an evaluate of "
        "your own.",
        name,
        weights,
        list(objectives),
    )
