"""The record of a search: what it evaluated, and which individual was made of which.

The record holds structures and numbers, but no weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import networkx as nx
import numpy as np

from ..arguments import need_many, need_type
from ..genome import Decision
from ..genome.fitness import OK
from ..variation.operators import Move

POINTS = 50
"""The number of means that an entry keeps of the training losses of an output."""


@dataclass(frozen=True)
class Entry:
    """One evaluation in a search: the structure without its weights, its origin and its objectives.

    Decisions, payoff, genealogy and plots are all computed from entries.

    Attributes:
        step: The step of the search; 0 is the start.
        graph: The components and connections of the individual.
        values: The objectives of the individual.
        weight_count: The number of its weights.
        decision: The move that made the individual, its parents, and their objectives at that
            time. None at the start, and where nothing was changed since the previous evaluation.
        accepted: Whether the individual became the incumbent or entered the population.
        seed: The seed of the individual, which identifies it.
        objectives: The names of the values; empty where the fitness keeps no evaluation.
        status: ``"ok"``, or the reason why the evaluation failed.
        loss: The sum of the validation losses; None where they are not known.
        seconds: The wall time of the evaluation: training, scoring and diagnosis.
        batches: The number of training batches of the session.
        history: The training losses of each output, as at most ``POINTS`` means over equal parts of
            the session.
        diagnosis: The diagnosis of the individual as text; empty where it had none.
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
    loss: float | None = None
    seconds: float = 0.0
    batches: int = 0
    history: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    diagnosis: str = ""

    @classmethod
    def about(cls, individual: Any, step: int, accepted: bool, changed: bool = True) -> Entry:
        """Return the entry of an evaluated individual.

        Args:
            individual: An individual with a valid fitness.
            step: The step in which it was evaluated.
            accepted: Whether it became the incumbent or entered the population.
            changed: Whether it was changed since its previous evaluation.
        """
        entry = cls(
            step=step,
            graph=individual.graph,
            values=tuple(individual.fitness.values),
            weight_count=individual.weight_count,
            decision=individual.decision if changed else None,
            accepted=accepted,
            seed=individual.seed,
        )
        evaluation = individual.evaluation
        if evaluation is None:
            return entry
        return replace(
            entry,
            objectives=evaluation.objectives,
            status=evaluation.status,
            loss=evaluation.loss,
            seconds=sum(evaluation.seconds.values()),
            batches=max(map(len, evaluation.history.values()), default=0),
            history={name: _thinned(losses) for name, losses in evaluation.history.items()},
            diagnosis="" if evaluation.diagnosis is None else str(evaluation.diagnosis),
        )

    @property
    def ok(self) -> bool:
        """Whether the evaluation succeeded."""
        return self.status == OK

    @property
    def move(self) -> Move | None:
        """The move that made the individual, if one did."""
        return None if self.decision is None else self.decision.move

    @property
    def parents(self) -> tuple[int, ...]:
        """The seeds of the individuals that this one was made of, the host first."""
        return () if self.decision is None else self.decision.parents

    @property
    def named(self) -> dict[str, float]:
        """The values by name; the names are ``objective0``, ... where none are known."""
        numbered = tuple(f"objective{index}" for index in range(len(self.values)))
        return dict(zip(self.objectives or numbered, self.values, strict=True))

    @property
    def before(self) -> dict[str, float]:
        """The objectives of the host by name; empty where they are not known."""
        if self.decision is None:
            return {}
        return dict(zip(self.decision.objectives, self.decision.before, strict=True))


def entries_of(archive: Any, who: str) -> list[Entry]:
    """Return the entries of an archive. Raise ``ValpError`` where it holds something else."""
    wanted = "the entries of an archive that a search filled (archive=[])"
    entries = need_many(archive, who, wanted)
    for entry in entries:
        need_type(entry, Entry, who, wanted)
    return entries


def _thinned(losses: np.ndarray) -> tuple[float, ...]:
    """Return means over equal parts of a session, with four digits."""
    parts = np.array_split(losses, min(POINTS, len(losses)))
    return tuple(float(f"{part.mean():.4g}") for part in parts)


def genealogy(archive: Iterable[Entry]) -> nx.DiGraph:
    """Return the graph of parents and children of a search, from its ``archive``.

    A node is the seed of an individual. Its attributes are ``step``, ``values`` (by name, from the
    last evaluation), ``evaluations`` (their number; an individual that is evaluated again without
    a change is trained further), ``weight_count``, ``accepted`` and ``structure``. A parent that
    is not in the archive is a node without attributes.

    An edge leads from a parent to its child. Its attributes are ``role`` (``host`` or ``donor``),
    ``operator``, ``version``, ``place``, ``rule``, ``reason``, and the values ``before`` (of the
    host) and ``after``.

    All attributes are of plain types, so ``json.dumps(networkx.node_link_data(graph,
    edges="edges"))`` writes the graph and ``networkx.node_link_graph(json.loads(text),
    edges="edges")`` reads it. Reading runs no code of the file.
    """
    graph = nx.DiGraph()
    for entry in entries_of(archive, "genealogy"):
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
    """Return the attributes of the edges that lead to an entry."""
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
    """Return components and connections as dictionaries and lists, as JSON would give them back."""
    components = {
        name: {"kind": getattr(component, "kind", "input"), **asdict(component)}
        for name, component in graph.nodes(data="component")
    }
    text = json.dumps({"components": components, "connections": list(graph.edges)})
    plain: dict[str, Any] = json.loads(text)
    return plain
