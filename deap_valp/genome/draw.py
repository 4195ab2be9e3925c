"""Random graphs of VALPs, and their initial weights.

References:
    Paper VI ("a number of components close to the minimum"). The default sizes follow the authors'
    code.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from functools import cache
from itertools import combinations
from typing import Any

import networkx as nx
from torch import Generator, Tensor, zeros

from ..errors import StructureError
from .genome import initial_block
from .kinds import KINDS, Layout, SubNetwork
from .places import Connection
from .ports import FEATURES, MAPS, Input, Ports
from .structure import build_graph, type_valid
from .weights import new_generator

_OWN_PROVIDER = 0.9
"""The probability that a component gets a new provider rather than an existing one.

It is high, so that exclusive subgraphs are common, which can be donated.
"""

_READ_INPUT = 0.6
"""The probability that a component that may read an input does so."""

_EXTRA_CONNECTION = 0.15
"""The probability, for each sub-network, that one more connection is drawn."""


def least_networks(problem: Ports) -> int:
    """Return the number of sub-networks of the smallest valid VALP.

    One sub-network can read every input, and every output that takes its type of result can read
    it. Outputs that take samples need a decoder too.

    Raises:
        StructureError: No kind of sub-network gives what some output takes.
    """
    demands = frozenset(output.port.takes for output in problem.outputs.values())
    least = _fewest(demands, _sources(problem.inputs.values()), tuple(KINDS.values()))
    if least > len(KINDS):
        takes = {name: sorted(output.port.takes) for name, output in problem.outputs.items()}
        raise StructureError(
            f"initVALP needs kinds of sub-network ({list(KINDS)}) that give what the outputs take, "
            f"got outputs that take {takes}"
        )
    return least


def _sources(components: Iterable[Any]) -> frozenset[str]:
    """Return the types that a new sub-network can always read: those that inputs give."""
    given = [component.given for component in components if isinstance(component, Input)]
    return frozenset({FEATURES}).union(*given)


def _sources_of(graph: nx.DiGraph) -> frozenset[str]:
    return _sources(component for _, component in graph.nodes(data="component"))


def _drawable(sources: frozenset[str]) -> list[type[SubNetwork]]:
    """Return the kinds to draw from: those that read maps only where an input gives some."""
    return [kind for kind in KINDS.values() if kind.takes != {MAPS} or MAPS in sources]


@cache
def _fewest(
    demands: frozenset[frozenset[str]], given: frozenset[str], kinds: tuple[type[SubNetwork], ...]
) -> int:
    """Return the least number of new sub-networks that give each receiver a type it takes.

    One sub-network of a kind is enough for all receivers that take its type.

    Args:
        demands: The types that each receiver without a provider takes.
        given: The types that existing components give to the new sub-networks, those of the inputs
            included.
        kinds: The kinds to choose among.

    Returns:
        The number. It is larger than the number of kinds if no choice is enough.
    """
    for count in range(len(kinds) + 1):
        for chosen in combinations(kinds, count):
            gives = frozenset().union(*(kind.given for kind in chosen))
            if all(demand & gives for demand in demands) and _supplied(chosen, given):
                return count
    return len(kinds) + 1


def _supplied(chosen: tuple[type[SubNetwork], ...], given: frozenset[str]) -> bool:
    """Return whether each kind can read a given type, or another one of the kinds."""
    available, waiting = given, list(chosen)
    while waiting:
        ready = [kind for kind in waiting if kind.takes & available]
        if not ready:
            return False
        available = available.union(*(kind.given for kind in ready))
        waiting = [kind for kind in waiting if kind not in ready]
    return True


def random_graph(problem: Ports, count: int, layout: Layout) -> nx.DiGraph:
    """Return a random valid graph of exactly ``count`` sub-networks."""
    graph = _grow(problem, count, layout)
    while graph is None or not _use_every_input(graph, problem):
        # In about 1 of 10,000 graphs, a late choice takes the only provider that an earlier
        # sub-network could read. With maps, an input may find no reader.
        graph = _grow(problem, count, layout)
    while _count(graph) < count:
        _insert_random(graph, layout)
    _connect_at_random(graph)
    _settle(graph)
    return graph


def _settle(graph: nx.DiGraph) -> None:
    """Let every sub-network take the form that fits what it reads."""
    for name in nx.topological_sort(graph):
        component = graph.nodes[name]["component"]
        if isinstance(component, SubNetwork):
            read = [graph.nodes[provider]["component"] for provider in graph.pred[name]]
            served = [graph.nodes[receiver]["component"] for receiver in graph.succ[name]]
            graph.nodes[name]["component"] = component.settled(read, served)


def _grow(problem: Ports, count: int, layout: Layout) -> nx.DiGraph | None:
    """Return a graph in which every component has a provider, or None if ``count`` is too small."""
    outputs = {name: output.port for name, output in problem.outputs.items()}
    components: dict[str, Any] = {**problem.inputs, **outputs}
    graph = build_graph(components, [])
    pending = random.sample(list(problem.outputs), len(problem.outputs))
    while pending:
        # Outputs come before sub-networks, so that as many as possible get one of their own.
        receiver = pending.pop(0)
        provider = _choose_provider(graph, receiver, pending, count, layout)
        if provider is None:
            return None
        if provider not in problem.inputs and not graph.pred[provider] and provider not in pending:
            pending.append(provider)
        graph.add_edge(provider, receiver)
    return graph


def _count(graph: nx.DiGraph) -> int:
    return sum(isinstance(component, SubNetwork) for _, component in graph.nodes(data="component"))


def _add_random(graph: nx.DiGraph, kind: type[SubNetwork], layout: Layout) -> str:
    name = f"n{_count(graph)}"
    graph.add_node(name, component=kind.draw(layout))
    return name


def _candidates(graph: nx.DiGraph, receiver: str) -> list[str]:
    """Return the inputs and sub-networks that the receiver could read without closing a cycle."""
    behind = nx.descendants(graph, receiver) | {receiver}
    return [name for name in graph if name not in behind and type_valid(graph, name, receiver)]


def _choose_provider(
    graph: nx.DiGraph, receiver: str, pending: list[str], count: int, layout: Layout
) -> str | None:
    """Return an input, an existing sub-network or a new one for the receiver to read.

    A new one is only added if the components in ``pending`` can still be completed with ``count``
    sub-networks in all. The result is None if there is no possible provider.
    """
    takes = graph.nodes[receiver]["component"].takes
    candidates = _candidates(graph, receiver)
    inputs = [name for name in candidates if isinstance(graph.nodes[name]["component"], Input)]
    existing = [name for name in candidates if name not in inputs]
    left, sources = count - _count(graph) - 1, _sources_of(graph)
    reads = graph.nodes[receiver]["component"]
    giving = [kind for kind in _drawable(sources) if kind.given & takes and kind.suits(reads)]
    wanted = sum(_wanted(_takes(graph, name), sources) for name in pending)
    generous = [kind for kind in giving if wanted + _wanted(kind.takes, sources) <= left]
    affordable = generous or [
        kind for kind in giving if _still_needed(graph, receiver, pending, kind) <= left
    ]
    if inputs and (not affordable or random.random() < _READ_INPUT):
        return random.choice(inputs)
    if affordable and (not existing or random.random() < _OWN_PROVIDER):
        return _add_random(graph, random.choice(affordable), layout)
    return random.choice(existing) if existing else None


def _wanted(takes: frozenset[str], sources: frozenset[str]) -> int:
    """Return the number of new sub-networks that a receiver needs to share no provider.

    It is 0 for a receiver that may read an input, and 2 for one that takes samples alone: a
    decoder and its encoder.
    """
    if takes & sources:
        return 0
    return _fewest(frozenset({takes}), sources, tuple(KINDS.values()))


def _still_needed(
    graph: nx.DiGraph, receiver: str, pending: list[str], kind: type[SubNetwork]
) -> int:
    """Return the number of sub-networks still needed after the receiver gets one of a kind."""
    lacking = [
        name
        for name in pending
        if not _candidates(graph, name) and not kind.given & _takes(graph, name)
    ]
    demands, sources = {_takes(graph, name) for name in lacking}, _sources_of(graph)
    if not kind.takes & sources and not _givers_outside(graph, [receiver]) & kind.takes:
        demands.add(kind.takes)
    given = _givers_outside(graph, [receiver, *lacking]) | kind.given | sources
    return _fewest(frozenset(demands), frozenset(given), tuple(KINDS.values()))


def _givers_outside(graph: nx.DiGraph, receivers: list[str]) -> set[str]:
    """Return the types that components give which all receivers could read without a cycle."""
    behind = set(receivers).union(*(nx.descendants(graph, name) for name in receivers))
    outside = [name for name in graph if name not in behind and graph.succ[name]]
    return set[str]().union(*(graph.nodes[name]["component"].given for name in outside))


def _takes(graph: nx.DiGraph, name: str) -> frozenset[str]:
    return graph.nodes[name]["component"].takes


def _use_every_input(graph: nx.DiGraph, problem: Ports) -> bool:
    """Let a sub-network read each input that nothing reads; return whether one can."""
    for name in problem.inputs:
        if not graph.succ[name]:
            readers = [other for other in graph if type_valid(graph, name, other)]
            if not readers:
                return False
            graph.add_edge(name, random.choice(readers))
    return True


def kinds_between(graph: nx.DiGraph, provider: str, receiver: str) -> list[type[SubNetwork]]:
    """Return the kinds that can be put on a connection.

    They take the type that the provider gives, and give a type that the receiver takes.
    """
    given = graph.nodes[provider]["component"].given
    reads = graph.nodes[receiver]["component"]
    kinds = [kind for kind in KINDS.values() if given & kind.takes and kind.given & reads.takes]
    return [kind for kind in kinds if kind.suits(reads)]


def _insert_random(graph: nx.DiGraph, layout: Layout) -> None:
    """Put a random sub-network on a random connection.

    There is always a place, because some kind fits between an input and its reader.
    """
    places: list[tuple[str, str, type[SubNetwork]]] = []
    for provider, receiver in graph.edges:
        kinds = kinds_between(graph, provider, receiver)
        places += [(provider, receiver, kind) for kind in kinds]
    provider, receiver, kind = random.choice(places)
    name = _add_random(graph, kind, layout)
    graph.remove_edge(provider, receiver)
    graph.add_edges_from([(provider, name), (name, receiver)])


def _connect_at_random(graph: nx.DiGraph) -> None:
    for _ in range(_count(graph)):
        if random.random() < _EXTRA_CONNECTION:
            receiver = random.choice([name for name in graph if graph.pred[name]])
            free = [
                name for name in _candidates(graph, receiver) if not graph.has_edge(name, receiver)
            ]
            if free:
                graph.add_edge(random.choice(free), receiver)


def initial_weights(graph: nx.DiGraph) -> dict[str, Tensor]:
    """Return random weights for a whole graph, by their names in ``VALP.weights``."""
    generator = new_generator()
    weights: dict[str, Tensor] = {}
    for provider, receiver in graph.edges:
        block = initial_block(graph, provider, receiver, generator)
        weights[Connection(provider, receiver)] = block
    for name, component in graph.nodes(data="component"):
        for key, tensor in initial_tensors(component, generator).items():
            weights[f"{name}.{key}"] = tensor
    return weights


def initial_tensors(component: Any, generator: Generator) -> dict[str, Tensor]:
    """Return the initial tensors of a component, without blocks. Those of an output are zero."""
    if isinstance(component, SubNetwork):
        return component.initial(generator)
    return {key: zeros(shape) for key, shape in component.shapes().items()}
