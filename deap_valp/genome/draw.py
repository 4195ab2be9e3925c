"""Random graphs of VALPs, and their initial weights.

References:
    Paper VI ("a number of components close to the minimum"); sizes after readings of the authors'
    code.
"""

from __future__ import annotations

import random
from functools import cache
from itertools import combinations
from typing import Any

import networkx as nx
from torch import Generator, Tensor, zeros

from ..errors import StructureError
from .genome import initial_block
from .kinds import KINDS, Layout, SubNetwork
from .places import Connection
from .ports import FEATURES, Input, Ports
from .structure import build_graph, type_valid
from .weights import new_generator

_OWN_PROVIDER = 0.9
"""Chance that an output gets a sub-network of its own: exclusive subgraphs can be donated."""

_READ_INPUT = 0.6
"""Chance that a sub-network that may read an input does, rather than another sub-network."""

_EXTRA_CONNECTION = 0.15
"""Chance, for each sub-network, of one more connection."""


def least_networks(problem: Ports) -> int:
    """Return the number of sub-networks of the smallest valid VALP.

    One sub-network can read every input and serve every output that takes what it gives; samples
    need a decoder more.
    """
    demands = frozenset(output.port.takes for output in problem.outputs.values())
    least = _fewest(demands, frozenset(), tuple(KINDS.values()))
    if least > len(KINDS):
        takes = {name: sorted(output.port.takes) for name, output in problem.outputs.items()}
        raise StructureError(
            f"initVALP needs kinds of sub-network ({list(KINDS)}) that give what the outputs take, "
            f"got outputs that take {takes}"
        )
    return least


@cache
def _fewest(
    demands: frozenset[frozenset[str]], given: frozenset[str], kinds: tuple[type[SubNetwork], ...]
) -> int:
    """Return how many new sub-networks are needed before each demand finds what it takes.

    Args:
        demands: What each receiver takes, of which it has nothing yet.
        given: What existing components give to the new sub-networks; inputs are always there.
        kinds: To choose among; one sub-network of a kind serves all that take what it gives.

    Returns:
        The number, which is larger than that of the kinds where no choice suffices.
    """
    for count in range(len(kinds) + 1):
        for chosen in combinations(kinds, count):
            gives = {kind.gives for kind in chosen}
            if all(demand & gives for demand in demands) and _supplied(chosen, given):
                return count
    return len(kinds) + 1  # never


def _supplied(chosen: tuple[type[SubNetwork], ...], given: frozenset[str]) -> bool:
    """Return whether each kind finds what it takes among inputs, what is given, and the others."""
    available, waiting = given | {FEATURES}, list(chosen)
    while waiting:
        ready = [kind for kind in waiting if kind.takes & available]
        if not ready:
            return False
        available = available.union(kind.gives for kind in ready)
        waiting = [kind for kind in waiting if kind not in ready]
    return True


def random_graph(problem: Ports, count: int, layout: Layout) -> nx.DiGraph:
    """A random valid graph of exactly ``count`` sub-networks."""
    graph = _grow(problem, count, layout)
    while (
        graph is None
    ):  # about 1 in 10,000: a late choice took the only provider of an earlier sub-network
        graph = _grow(problem, count, layout)
    _use_every_input(graph, problem)
    while _count(graph) < count:
        _insert_random(graph, layout)
    _connect_at_random(graph)
    return graph


def _grow(problem: Ports, count: int, layout: Layout) -> nx.DiGraph | None:
    """Give every component a provider, outputs first; None where ``count`` sub-networks do not suffice."""
    components: dict[str, Any] = {
        **problem.inputs,
        **{name: out.port for name, out in problem.outputs.items()},
    }
    graph = build_graph(components, [])
    pending = random.sample(list(problem.outputs), len(problem.outputs))
    while pending:
        receiver = pending.pop(
            0
        )  # outputs before sub-networks, so that as many as can get one of their own
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
    """Inputs and sub-networks that the receiver could read without closing a cycle."""
    behind = nx.descendants(graph, receiver) | {receiver}
    return [name for name in graph if name not in behind and type_valid(graph, name, receiver)]


def _choose_provider(
    graph: nx.DiGraph, receiver: str, pending: list[str], count: int, layout: Layout
) -> str | None:
    """An input, an existing sub-network or a new one; new ones only while all can still be completed in ``count``."""
    takes = graph.nodes[receiver]["component"].takes
    candidates = _candidates(graph, receiver)
    inputs = [name for name in candidates if isinstance(graph.nodes[name]["component"], Input)]
    existing = [name for name in candidates if name not in inputs]
    left = count - _count(graph) - 1
    giving = [kind for kind in KINDS.values() if kind.gives in takes]
    wanted = sum(_wanted(_takes(graph, name)) for name in pending)
    generous = [kind for kind in giving if wanted + _wanted(kind.takes) <= left]
    affordable = generous or [
        kind for kind in giving if _still_needed(graph, receiver, pending, kind) <= left
    ]
    if inputs and (not affordable or random.random() < _READ_INPUT):
        return random.choice(inputs)
    if affordable and (not existing or random.random() < _OWN_PROVIDER):
        return _add_random(graph, random.choice(affordable), layout)
    return random.choice(existing) if existing else None


def _wanted(takes: frozenset[str]) -> int:
    """Return with how many new sub-networks a receiver would share no provider.

    None for one that may read an input; two for one that takes samples alone: a decoder and its
    encoder.
    """
    if FEATURES in takes:
        return 0
    return _fewest(frozenset({takes}), frozenset(), tuple(KINDS.values()))


def _still_needed(
    graph: nx.DiGraph, receiver: str, pending: list[str], kind: type[SubNetwork]
) -> int:
    """Return how many sub-networks are needed once ``receiver`` has a new provider of a kind."""
    lacking = [
        name
        for name in pending
        if not _candidates(graph, name) and kind.gives not in _takes(graph, name)
    ]
    demands = {_takes(graph, name) for name in lacking}
    if FEATURES not in kind.takes and not _givers_outside(graph, [receiver]) & kind.takes:
        demands.add(kind.takes)
    given = _givers_outside(graph, [receiver, *lacking]) | {kind.gives}
    return _fewest(frozenset(demands), frozenset(given), tuple(KINDS.values()))


def _givers_outside(graph: nx.DiGraph, receivers: list[str]) -> set[str]:
    """Return what is given by components that all of the receivers could read without a cycle."""
    behind = set(receivers).union(*(nx.descendants(graph, name) for name in receivers))
    outside = [name for name in graph if name not in behind and graph.succ[name]]
    return {graph.nodes[name]["component"].gives for name in outside}


def _takes(graph: nx.DiGraph, name: str) -> frozenset[str]:
    return graph.nodes[name]["component"].takes


def _use_every_input(graph: nx.DiGraph, problem: Ports) -> None:
    readers = [
        name
        for name, component in graph.nodes(data="component")
        if FEATURES in getattr(component, "takes", ())
    ]
    for name in problem.inputs:
        if not graph.succ[name]:
            graph.add_edge(name, random.choice(readers))


def kinds_between(graph: nx.DiGraph, provider: str, receiver: str) -> list[type[SubNetwork]]:
    """Return the kinds that can stand on a connection: they take its give and give its take."""
    gives = graph.nodes[provider]["component"].gives
    takes = graph.nodes[receiver]["component"].takes
    return [kind for kind in KINDS.values() if gives in kind.takes and kind.gives in takes]


def _insert_random(graph: nx.DiGraph, layout: Layout) -> None:
    """Put a sub-network on a random connection; one from an input to its reader always fits."""
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
    """Return the initial tensors of a component without blocks; those of an output are zero."""
    if isinstance(component, SubNetwork):
        return component.initial(generator)
    return {key: zeros(shape) for key, shape in component.shapes().items()}
