"""A diagnosed individual as rules see it, and the thresholds they judge it by.

References:
    Paper VII-A (metrics), VII-C (thresholds).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import networkx as nx

from ..errors import EvaluationError
from ..genome import VALP, Connection
from ..genome.diagnosis import Diagnosis, Slope
from ..variation.operators import operators


LOST = 0.2
"""Part of an output's performance that a relevant component is worth (paper VII-A)."""


@dataclass(frozen=True)
class Thresholds:
    """When a loss counts as stuck or steep, and a sub-network as relevant (paper VII-C).

    Attributes:
        stuck: A slope above it is stuck.
        steep: A slope below it is steep; between the two it is moderate.
        relevance: A sub-network is relevant to an output above it. None is for more than 20 % lost:
            1.2 for an error, which is 20 % more, and 1.25 for an accuracy, of which 0.8 is left.
        irrelevant: Up to it a sub-network is clearly irrelevant (rule A4; not the paper's); never
            above ``relevance``.
        deviations: A slope not below 0 by so many standard errors is stuck too (1.645: one-sided,
            95 %), since the paper's ``stuck`` is far below the noise of a slope; None is the
            paper's plain rule.
    """

    stuck: float = -1e-10
    steep: float = -2e-5
    relevance: float | None = None
    irrelevant: float = 1.05
    deviations: float | None = 1.645

    def limit(self, accuracy: bool = False) -> float:
        """Return the relevance above which a component counts as relevant.

        Args:
            accuracy: Whether the relevance is of an accuracy, before divided by after; otherwise it
                is of an error, after divided by before.
        """
        if self.relevance is not None:
            return self.relevance
        return 1 / (1 - LOST) if accuracy else 1 + LOST

    def state(self, slope: Slope) -> str:
        """``stuck``, ``moderate`` or ``steep``."""
        noise = self.deviations is not None and slope.slope + self.deviations * slope.error >= 0
        if noise or slope.slope > self.stuck:
            return "stuck"
        return "steep" if slope.slope < self.steep else "moderate"


AllThresholds = Thresholds | Mapping[str, Thresholds]
"""For all outputs, or by output."""


class View:
    """A diagnosed individual, as rules see it.

    Attributes:
        individual: The individual.
        diagnosis: Of exactly this individual.
        population: Its peers; empty where it stands alone.
        insertion: The version in which rules about a local optimum or a partly relevant sub-network
            change it.
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

    def thresholds(self, output: str) -> Thresholds:
        """Those of an output."""
        return (
            self._thresholds
            if isinstance(self._thresholds, Thresholds)
            else self._thresholds[output]
        )

    @cached_property
    def reached(self) -> dict[str, tuple[str, ...]]:
        """By sub-network, the outputs that it contributes to."""
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
        """What a metric found.

        Raises:
            EvaluationError: It was not measured.
        """
        if metric not in self.diagnosis.measured:
            raise EvaluationError(
                f"the policy needs the metric {metric}, and the evaluation measured {list(self.diagnosis.measured)}: "
                f"evaluate(..., metrics=[..., {metric!r}]), or metrics=ALL_METRICS"
            )
        return self.diagnosis.measured[metric]

    def state(self, output: str) -> str:
        """Whether the loss of an output is ``stuck``, ``moderate`` or ``steep``."""
        return self.thresholds(output).state(self.measured("loss_slope")[output])

    def relevance(self, network: str, output: str) -> float:
        """Relevance of a sub-network for an output that it reaches."""
        relevance: float = self.measured("module_intervention")[network, output]
        return relevance

    def limit(self, output: str) -> float:
        """Relevance above which a component counts as relevant to an output."""
        return self.thresholds(output).limit(self.individual.component(output).higher_is_better)

    def relevant(self, network: str, output: str) -> bool:
        """Whether more is lost without the sub-network than the threshold says."""
        return self.relevance(network, output) > self.limit(output)

    def clearly_irrelevant(self, network: str, output: str) -> bool:
        """Whether next to nothing is lost without the sub-network."""
        return self.relevance(network, output) <= min(
            self.thresholds(output).irrelevant, self.limit(output)
        )

    def leads_to(self, receiver: str, output: str) -> bool:
        """Whether what the receiver reads can reach the output."""
        return receiver == output or output in self.reached.get(receiver, ())

    @cached_property
    def _paths(self) -> dict[str, dict[str, int]]:
        """Number of paths by start and end."""
        graph, order = self.individual.graph, self.individual.order
        paths = {}
        for start in order:
            counts = dict.fromkeys(order, 0)
            counts[start] = 1
            for name in order:
                counts[name] += sum(counts[provider] for provider in graph.pred[name])
            paths[start] = counts
        return paths

    @cached_property
    def _deletable(self) -> list[Connection]:
        places = operators()["delete_connection"].places(self.individual, False)
        return [place for place in places if isinstance(place, Connection)]

    def cutting(self, network: str, output: str) -> list[Connection]:
        """Return the connection whose removal cuts a sub-network from one output and nothing else.

        It is deletable; it cuts the sub-network from no other output; and it cuts nothing that is
        relevant to the output. Of several it is the one nearest to the sub-network. The list is
        empty where there is none.

        References:
            Paper VII-B, R5.
        """
        cuts = [place for place in self._deletable if self.cut_by(place, network) == [output]]
        harmless = [place for place in cuts if not self._cuts_relevant(place, output)]
        return sorted(harmless, key=lambda place: self._distance(network, place.provider))[:1]

    def cut_by(self, place: Connection, network: str) -> list[str]:
        """Return the outputs that a connection, removed, cuts a sub-network from.

        A connection cuts where every path runs through it: where the paths before it times the
        paths behind it are all the paths there are.
        """
        return [output for output in self.reached[network] if self._cut(place, network, output)]

    def _cut(self, place: Connection, network: str, output: str) -> bool:
        paths = self._paths
        through = paths[network][place.provider] * paths[place.receiver][output]
        return through == paths[network][output]

    def _cuts_relevant(self, place: Connection, output: str) -> bool:
        for network, outputs in self.reached.items():
            if output in outputs and self.relevant(network, output):
                if self._cut(place, network, output):
                    return True
        return False

    def _distance(self, network: str, provider: str) -> int:
        return self._lengths[network].get(provider, len(self._lengths))

    @cached_property
    def _lengths(self) -> dict[str, dict[str, int]]:
        """Connections on the shortest path, by start and end."""
        return dict(nx.all_pairs_shortest_path_length(self.individual.graph))

    # ---- among its peers (paper IV-B 5) ----------------------------------------------------------

    @cached_property
    def ranks(self) -> dict[str, int]:
        """By output the individual's rank among its peers, 1 the best; empty without peers."""
        peers = evaluated_peers(self.individual, self.population)
        return rank([self.individual, *peers])[0] if peers else {}

    def upper_half(self, output: str) -> bool:
        """Whether the individual stands in the upper half of the ranking of an output."""
        return (
            self.ranks[output] <= (len(evaluated_peers(self.individual, self.population)) + 1) / 2
        )


def evaluated_peers(individual: VALP, population: Sequence[VALP]) -> list[VALP]:
    """Members of the population with a successful evaluation of their own, without the individual and its clones."""
    return [
        peer
        for peer in population
        if peer.seed != individual.seed and peer.evaluation is not None and peer.evaluation.ok
    ]


def rank(population: Sequence[VALP]) -> list[dict[str, int]]:
    """Relative performance: for each individual its rank by output, 1 the best.

    Competition ranks: equals share the best of their places, and the places after it stay empty.

    Raises:
        EvaluationError: An individual has no evaluation of its own.

    References:
        Paper IV-B 5.
    """
    values: list[dict[str, float]] = []
    for individual in population:
        evaluation = individual.evaluation
        if evaluation is None:
            raise EvaluationError(
                f"rank needs individuals with an evaluation of their own, got {individual!r}"
            )
        values.append(dict(zip(evaluation.objectives, evaluation, strict=True)))
    outputs = population[0].outputs if population else ()
    return [
        {name: 1 + sum(other[name] < own[name] for other in values) for name in outputs}
        for own in values
    ]
