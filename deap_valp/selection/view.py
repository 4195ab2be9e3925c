"""A diagnosed individual as rules see it, and the thresholds by which they judge it.

References:
    Paper VII-A (metrics), VII-C (thresholds).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx

from ..arguments import need_type
from ..errors import EvaluationError
from ..genome import VALP, Connection, Place
from ..genome.diagnosis import Diagnosis, Slope
from ..genome.valp import need_valp
from ..variation.operators import operators

LOST = 0.2
"""The part of an output's performance that must be lost without a relevant component (VII-A)."""


@dataclass(frozen=True)
class Thresholds:
    """The numbers that say when a loss is stuck or steep, and a sub-network relevant (VII-C).

    A slope is the change of a loss per training step, at the end of the last session. Relevance is
    the factor by which an output gets worse without a sub-network: 1 is no change, 2 is half the
    performance.

    Attributes:
        stuck: A loss with a slope above this number is stuck.
        steep: A loss with a slope below this number is steep. Between the two it is moderate.
        relevance: A sub-network is relevant to an output if its relevance is above this number.
            None means that more than 20 % is lost without it: a relevance above 1.2 for an error,
            which is then 20 % larger, and above 1.25 for an accuracy, of which 0.8 is then left.
        irrelevant: A sub-network is clearly irrelevant to an output if its relevance is at most
            this number, and at most ``relevance``. Rule A4 asks for it; the paper has no such
            threshold.
        deviations: A loss is also stuck if its slope is not below 0 by this number of standard
            errors, since the paper's ``stuck`` is far smaller than the noise of a slope. 1.645 is
            the one-sided test at 95 %. None is the paper's plain rule.
    """

    stuck: float = -1e-10
    steep: float = -2e-5
    relevance: float | None = None
    irrelevant: float = 1.05
    deviations: float | None = 1.645

    def limit(self, accuracy: bool = False) -> float:
        """Return the relevance above which a component is relevant.

        Args:
            accuracy: Whether the relevance was measured by an accuracy (before divided by after)
                or by an error (after divided by before).
        """
        if self.relevance is not None:
            return self.relevance
        return 1 / (1 - LOST) if accuracy else 1 + LOST

    def state(self, slope: Slope) -> str:
        """Return whether a loss with this slope is ``stuck``, ``moderate`` or ``steep``."""
        noise = self.deviations is not None and slope.slope + self.deviations * slope.error >= 0
        if noise or slope.slope > self.stuck:
            return "stuck"
        return "steep" if slope.slope < self.steep else "moderate"


AllThresholds = Thresholds | Mapping[str, Thresholds]
"""The same thresholds for all outputs, or thresholds by output."""


class View:
    """A diagnosed individual as rules see it.

    Attributes:
        individual: The individual.
        diagnosis: The diagnosis of exactly this individual.
        population: The peers of the individual; empty if it has none.
        insertion: The version, ``gentle`` or ``aggressive``, of the moves that rules propose at a
            stuck loss or at a sub-network that only some outputs need.
    """

    def __init__(
        self,
        individual: VALP,
        diagnosis: Diagnosis,
        thresholds: AllThresholds,
        population: Sequence[VALP] = (),
        insertion: str = "aggressive",
    ) -> None:
        self.individual = individual
        self.diagnosis = diagnosis
        self._thresholds = thresholds
        self.population = population
        self.insertion = insertion
        self._places: dict[tuple[str, str], tuple[Place, ...]] = {}

    def thresholds(self, output: str) -> Thresholds:
        """Return the thresholds of one output."""
        if isinstance(self._thresholds, Thresholds):
            return self._thresholds
        return self._thresholds[output]

    @cached_property
    def reached(self) -> dict[str, tuple[str, ...]]:
        """The outputs that each sub-network contributes to."""
        above = self.individual.ancestors()
        outputs = sorted(self.individual.outputs)
        return {n: tuple(o for o in outputs if n in above[o]) for n in self.individual.networks}

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every sub-network with every output that it contributes to."""
        return (
            (network, output) for network, outputs in self.reached.items() for output in outputs
        )

    def measured(self, metric: str) -> Mapping[Any, Any]:
        """Return what a metric measured on the individual.

        Raises:
            EvaluationError: The evaluation did not measure this metric.
        """
        measured = self.diagnosis.measured
        if metric not in measured:
            raise EvaluationError(
                f"the policy needs the metric {metric}, and the evaluation measured "
                f"{list(measured)}: evaluate(..., metrics=[..., {metric!r}]), "
                "or metrics=ALL_METRICS"
            )
        return measured[metric]

    def state(self, output: str) -> str:
        """Return whether the loss of an output is ``stuck``, ``moderate`` or ``steep``."""
        return self.thresholds(output).state(self.measured("loss_slope")[output])

    def relevance(self, network: str, output: str) -> float:
        """Return the relevance of a sub-network for an output that it contributes to."""
        relevance: float = self.measured("module_intervention")[network, output]
        return relevance

    def limit(self, output: str) -> float:
        """Return the relevance above which a component is relevant to an output."""
        return self.thresholds(output).limit(self.individual.component(output).higher_is_better)

    def relevant(self, network: str, output: str) -> bool:
        """Return whether the output loses more without the sub-network than the threshold."""
        return self.relevance(network, output) > self.limit(output)

    def clearly_irrelevant(self, network: str, output: str) -> bool:
        """Return whether the output loses next to nothing without the sub-network."""
        most = min(self.thresholds(output).irrelevant, self.limit(output))
        return self.relevance(network, output) <= most

    def leads_to(self, receiver: str, output: str) -> bool:
        """Return whether the receiver is the output, or contributes to it."""
        return receiver == output or output in self.reached.get(receiver, ())

    @cached_property
    def _paths(self) -> dict[str, dict[str, int]]:
        """The number of paths by start and end."""
        graph, order = self.individual.graph, self.individual.order
        paths = {}
        for start in order:
            counts = dict.fromkeys(order, 0)
            counts[start] = 1
            for name in order:
                counts[name] += sum(counts[provider] for provider in graph.pred[name])
            paths[start] = counts
        return paths

    def places(self, operator: str, version: str) -> tuple[Place, ...]:
        """Return the legal places of an operator and version; none where it lacks the version."""
        key = operator, version
        if key not in self._places:
            op, found = operators()[operator], list[Place]()
            if version in op.versions:
                found = op.places(self.individual, version == "gentle")
            self._places[key] = tuple(found)
        return self._places[key]

    @cached_property
    def _deletable(self) -> list[Connection]:
        places = self.places("delete_connection", "aggressive")
        return [place for place in places if isinstance(place, Connection)]

    def cutting(self, network: str, output: str) -> list[Connection]:
        """Return the connection whose removal cuts a sub-network from one output and nothing else.

        Such a connection can be deleted from this VALP. Its removal cuts the sub-network from no
        other output, and cuts no sub-network that is relevant to the output. If there are several,
        the list holds the one nearest to the sub-network. If there is none, the list is empty.

        References:
            Paper VII-B, R5.
        """
        cuts = [place for place in self._deletable if self.cut_by(place, network) == [output]]
        harmless = [place for place in cuts if not self._cuts_relevant(place, output)]
        return sorted(harmless, key=lambda place: self._distance(network, place.provider))[:1]

    def cut_by(self, place: Connection, network: str) -> list[str]:
        """Return the outputs from which the removal of a connection cuts a sub-network.

        These are the outputs for which every path from the sub-network runs through the
        connection.
        """
        return [output for output in self.reached[network] if self._cut(place, network, output)]

    def _cut(self, place: Connection, network: str, output: str) -> bool:
        """Return whether all paths from the sub-network to the output run through a connection.

        The number of paths through it is the number of those before it times that of those after.
        """
        paths = self._paths
        through = paths[network][place.provider] * paths[place.receiver][output]
        return through == paths[network][output]

    def _cuts_relevant(self, place: Connection, output: str) -> bool:
        """Return whether the removal cuts a sub-network that is relevant to the output from it."""
        for network, outputs in self.reached.items():
            if output in outputs and self.relevant(network, output):
                if self._cut(place, network, output):
                    return True
        return False

    def _distance(self, network: str, provider: str) -> int:
        return self._lengths[network].get(provider, len(self._lengths))

    @cached_property
    def _lengths(self) -> dict[str, dict[str, int]]:
        """The number of connections on the shortest path, by start and end."""
        return dict(nx.all_pairs_shortest_path_length(self.individual.graph))

    # ---- among its peers (paper IV-B 5) ----------------------------------------------------------

    @cached_property
    def peers(self) -> list[VALP]:
        """The members of the population that the individual is compared with."""
        return evaluated_peers(self.individual, self.population)

    @cached_property
    def ranks(self) -> dict[str, int]:
        """The rank of the individual among its peers by output, 1 the best; empty without peers."""
        if not self.peers:
            return {}
        # One pass over the peers: every child of a large population asks for this.
        own = values_of(self.individual)
        better = dict.fromkeys(self.individual.outputs, 0)
        for peer in self.peers:
            theirs = values_of(peer)
            for output in better:
                better[output] += theirs[output] < own[output]
        return {output: 1 + count for output, count in better.items()}

    def upper_half(self, output: str) -> bool:
        """Return whether the individual is in the upper half of the ranking of an output."""
        return self.ranks[output] <= (len(self.peers) + 1) / 2


def evaluated_peers(individual: VALP, population: Sequence[VALP]) -> list[VALP]:
    """Return the members of the population that were evaluated successfully as they are now.

    The individual itself and its clones are left out.
    """
    return [
        peer
        for peer in population
        if peer.seed != individual.seed and (kept := peer.evaluation) is not None and kept.ok
    ]


def rank(population: Sequence[VALP]) -> list[dict[str, int]]:
    """Return the rank of each individual by output, 1 the best (the paper's relative performance).

    Individuals with equal values share the best rank among them, and the ranks after it stay
    empty: 1, 2, 2, 4.

    Raises:
        EvaluationError: An individual has no evaluation of its own.

    References:
        Paper IV-B 5.
    """
    wanted = "population as a sequence of individuals"
    need_type(population, Sequence, "rank", wanted, EvaluationError)
    for individual in population:
        need_valp(individual, "rank")
    values = [values_of(individual) for individual in population]
    outputs = population[0].outputs if population else ()
    in_order = {name: sorted(own[name] for own in values) for name in outputs}
    return [
        {name: 1 + bisect_left(in_order[name], own[name]) for name in outputs} for own in values
    ]


def values_of(individual: VALP) -> dict[str, float]:
    """Return the objectives of an individual by name, from its own evaluation."""
    evaluation = individual.evaluation
    if evaluation is None:
        raise EvaluationError(
            f"rank needs individuals with an evaluation of their own, got {individual!r}"
        )
    return evaluation.named
