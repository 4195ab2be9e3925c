"""What a search evaluated, and who was made of whom: structures and numbers, no weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import networkx as nx

from ..genome import Decision
from ..genome.fitness import OK
from ..variation.operators import Move


@dataclass(frozen=True)
class Entry:
    """One evaluation of a search: a structure without its weights, how it came to be, its worth.

    Decisions, payoff, genealogy and plots are all read from entries.

    Attributes:
        step: When; 0 is the start.
        graph: Components and connections.
        values: Its objectives.
        weight_count: Number of its weights.
        decision: The move that made it, whom it was made of, and what was known then. None for the
            start, and where nothing was changed since the evaluation before.
        accepted: Whether it became the incumbent, or came into the population.
        seed: The seed of the individual, which names it.
        objectives: Names of the values; empty where the fitness keeps no evaluation.
        status: ``"ok"``, or why its evaluation failed.
    """

    step: int
    graph: nx.DiGraph
    values: tuple[float, ...]
    weight_count: int
    decision: Decision | None
    accepted: bool
    seed: int = 0
    objectives: tuple[str, ...] = ()
    status: str = OK

    @classmethod
    def about(cls, individual: Any, step: int, accepted: bool, changed: bool = True) -> Entry:
        """Return the entry of an evaluated individual.

        Args:
            individual: With a fitness.
            step: When it was evaluated.
            accepted: Whether it is a member now.
            changed: Whether it was changed since its evaluation before.
        """
        evaluation = individual.evaluation
        return cls(
            step=step,
            graph=individual.graph,
            values=tuple(individual.fitness.values),
            weight_count=individual.weight_count,
            decision=individual.decision if changed else None,
            accepted=accepted,
            seed=individual.seed,
            objectives=() if evaluation is None else evaluation.objectives,
            status=OK if evaluation is None else evaluation.status,
        )

    @property
    def ok(self) -> bool:
        """Whether its evaluation succeeded."""
        return self.status == OK

    @property
    def move(self) -> Move | None:
        """The move that made it."""
        return None if self.decision is None else self.decision.move

    @property
    def parents(self) -> tuple[int, ...]:
        """Seeds of those it was made of, the host first."""
        return () if self.decision is None else self.decision.parents

    @property
    def named(self) -> dict[str, float]:
        """The values by name; numbered where there are no names."""
        numbered = tuple(f"objective{index}" for index in range(len(self.values)))
        return dict(zip(self.objectives or numbered, self.values, strict=True))

    @property
    def before(self) -> dict[str, float]:
        """The host's objectives by name; empty where they are not known."""
        if self.decision is None:
            return {}
        return dict(zip(self.decision.objectives, self.decision.before, strict=True))


def genealogy(archive: Iterable[Entry]) -> nx.DiGraph:
    """Who was made of whom, from the ``archive`` of a search.

    A node is an individual by its seed, with ``step``, ``values`` by name (of its last evaluation),
    ``evaluations`` (how many: without a change, training goes on), ``weight_count``, ``accepted``
    and ``structure``. An edge leads from a parent to its child, with ``role`` (``host`` or
    ``donor``), ``operator``, ``version``, ``place``, ``rule``, ``reason``, and the values
    ``before`` (of the host) and ``after``. A parent that is not in the archive is a node without
    attributes.

    All attributes are plain, so ``json.dumps(networkx.node_link_data(graph, edges="edges"))``
    writes it and ``networkx.node_link_graph(json.loads(text), edges="edges")`` reads it, from
    strangers too.
    """
    graph = nx.DiGraph()
    for entry in archive:
        seen = graph.nodes.get(entry.seed, {})
        if "step" in seen:
            seen["values"] = entry.named
            seen["evaluations"] += 1
            seen["accepted"] |= entry.accepted
            continue
        graph.add_node(
            entry.seed,
            step=entry.step,
            values=entry.named,
            evaluations=1,
            weight_count=entry.weight_count,
            accepted=entry.accepted,
            structure=_plain(entry.graph),
        )
        for parent in entry.parents:
            role = "host" if parent == entry.parents[0] else "donor"
            graph.add_edge(parent, entry.seed, role=role, **_made_by(entry))
    return graph


def _made_by(entry: Entry) -> dict[str, Any]:
    decision = entry.decision
    if decision is None:
        return {"after": entry.named}
    move = decision.move
    return {
        "operator": move.operator,
        "version": move.version,
        "place": move.place,
        "rule": move.rule,
        "reason": move.reason,
        "before": entry.before,
        "after": entry.named,
    }


def _plain(graph: nx.DiGraph) -> dict[str, Any]:
    """Components and connections as JSON gives them back."""
    components = {
        name: {"kind": getattr(component, "kind", "input"), **asdict(component)}
        for name, component in graph.nodes(data="component")
    }
    plain: dict[str, Any] = json.loads(
        json.dumps({"components": components, "connections": list(graph.edges)})
    )
    return plain
