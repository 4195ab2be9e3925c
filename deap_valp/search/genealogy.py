"""What a search evaluated, and who was made of whom: structures and numbers, no weights."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import networkx as nx

from ..genome import VALP, copy_graph
from ..variation.operators import Decision, Move


@dataclass(frozen=True)
class Entry:
    """A structure that a search evaluated, without its weights.

    Attributes:
        step: When; 0 is the start.
        graph: Components and connections.
        values: Its objectives.
        weight_count: Number of its weights.
        decision: The move that made it, and what was known then; None for the start, and where
            nothing was changed.
        accepted: Whether it became the incumbent, or came into the population.
        seed: That of the individual: it names it.
        parents: Seeds of those it was made of, the host first; empty for the start.
        objectives: Names of the values; empty where the fitness keeps no evaluation.
    """

    step: int
    graph: nx.DiGraph
    values: tuple[float, ...]
    weight_count: int
    decision: Decision | None
    accepted: bool
    seed: int = 0
    parents: tuple[int, ...] = ()
    objectives: tuple[str, ...] = ()

    @classmethod
    def about(cls, individual: Any, step: int, accepted: bool) -> Entry:
        """The entry of an evaluated individual."""
        return cls(
            step,
            copy_graph(individual.graph),
            tuple(individual.fitness.values),
            individual.weight_count,
            individual.decision,
            accepted,
            individual.seed,
            getattr(individual, "parents", ()),
            () if individual.evaluation is None else individual.evaluation.objectives,
        )

    @property
    def move(self) -> Move | None:
        """The move that made it."""
        return None if self.decision is None else self.decision.move

    @property
    def named(self) -> dict[str, float]:
        """The values by name; numbered where there are no names."""
        return _named(
            self.objectives or tuple(f"objective{index}" for index in range(len(self.values))),
            self.values,
        )


def record_parents(child: VALP, *parents: VALP) -> None:
    """Note on a child whom it was made of, the host first; where it is still the host, that nothing was done."""
    if child.seed == parents[0].seed:
        child.decision = None
    else:
        child.parents = tuple(parent.seed for parent in parents)  # type: ignore[attr-defined]


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
        "before": _named(decision.objectives, decision.before),
        "after": entry.named,
    }


def _named(names: tuple[str, ...], values: tuple[float, ...]) -> dict[str, float]:
    return dict(zip(names, values, strict=True))


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
