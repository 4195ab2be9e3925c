"""Random VALPs, and the random parts that aggressive operators add.

References:
    Paper VI ("a number of components close to the minimum"); sizes after readings of the authors'
    code.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import networkx as nx
from torch import Generator, Tensor, zeros

from ..errors import StructureError
from .kinds import (
    DISCRETE,
    FEATURES,
    KINDS,
    SAMPLES,
    SOFTMAX,
    VALUES,
    Decoder,
    Discrete,
    Latent,
    Layer,
    SubNetwork,
)
from .ports import Input, Ports
from .valp import (
    VALP,
    Layout,
    Limits,
    Optimizer,
    build_graph,
    connection,
    type_valid,
)
from .weights import initial, new_generator

Individual = TypeVar("Individual", bound=VALP)

_OWN_PROVIDER = 0.9  # chance that an output gets a sub-network of its own: exclusive subgraphs are what can be donated
_READ_INPUT = (
    0.6  # chance that a sub-network that may read an input does, rather than another sub-network
)
_EXTRA_CONNECTION = 0.15  # chance per sub-network of one more connection


# ---- random parts --------------------------------------------------------------------------------


def random_network(kind: type[SubNetwork], layout: Layout) -> SubNetwork:
    """A sub-network of this kind with random layers within ``layout`` and a new id."""
    depth = random.randint(*layout.layers)
    layers = [
        Layer(random.randint(*layout.width), random.choice(layout.activations))
        for _ in range(depth)
    ]
    if kind is Discrete:
        layers[-1] = Layer(layers[-1].width, SOFTMAX)
    if kind is Decoder:
        latent = Latent(random.getrandbits(63), random.randint(*layout.latent))
        return Decoder(layers=tuple(layers), id=random.getrandbits(63), latent=latent)
    return kind(layers=tuple(layers), id=random.getrandbits(63))


def initial_tensors(component: SubNetwork, generator: Generator) -> dict[str, Tensor]:
    """Initial tensors of a sub-network, by their names in ``component.shapes``: zero biases, random weights."""
    tensors = {}
    for key, shape in component.shapes().items():
        if key.endswith("bias"):
            tensors[key] = zeros(shape)
        else:
            gain = component.layers[int(key.split(".")[0])].gain
            tensors[key] = initial(shape[0], shape[1], shape[1], gain, generator)
    return tensors


def initial_block(graph: nx.DiGraph, provider: str, receiver: str, generator: Generator) -> Tensor:
    """A random block for an existing connection; the providers of one receiver have equal parts in its variance.

    A distribution's squares sum to at most 1, whatever its width, so its columns count as one.
    """
    reads, read = graph.nodes[receiver]["component"], graph.nodes[provider]["component"]
    rows, gain = (
        (reads.rows, reads.entry_gain) if isinstance(reads, SubNetwork) else (reads.width, 1.0)
    )
    columns = 1 if read.gives == DISCRETE else read.width
    return initial(rows, read.width, columns * len(graph.pred[receiver]), gain, generator)


def connect_at_random(
    individual: VALP, edges: Iterable[tuple[str, str]], generator: Generator
) -> None:
    """Add connections with random blocks."""
    edges = list(edges)
    individual.graph.add_edges_from(edges)
    for provider, receiver in edges:
        individual.connect(
            provider, receiver, initial_block(individual.graph, provider, receiver, generator)
        )


# ---- random VALPs --------------------------------------------------------------------------------


def initVALP(
    icls: type[Individual],
    problem: Ports,
    networks: tuple[int, int] = (3, 6),
    layers: tuple[int, int] = (1, 4),
    width: tuple[int, int] = (8, 96),
    latent: tuple[int, int] = (4, 32),
    activations: tuple[str, ...] = Layout().activations,
    batch_size: int = 200,
    optimizer: str = "adam",
    learning_rate: float = 1e-3,
    limits: Limits | None = None,
) -> Individual:
    """A random valid VALP for ``problem``.

    Built from the outputs towards the inputs: each component in need of a provider reads an input,
    an existing sub-network or a new one, as the number still to come allows. An output mostly gets
    a sub-network of its own, so that exclusive subgraphs, which can be donated, are common.

    Args:
        icls: The individual's class, made by ``creator.create``.
        problem: What the inputs and outputs are.
        networks: Least and largest number of sub-networks; the number is drawn uniformly and met
            exactly.
        layers: Least and largest number of layers of a sub-network.
        width: Least and largest number of units of a layer.
        latent: Least and largest number of dimensions of a decoder's latent.
        activations: Hidden activations to draw from (names in ``networks.ACTIVATIONS``).
        batch_size: Examples of a training batch.
        optimizer: SGD algorithm of every output.
        learning_rate: Learning rate of every output.
        limits: How far operators may let it grow; ``Limits()`` by default.

    Raises:
        StructureError: A bound is not a range of positive numbers, passes a limit, or ``networks``
            starts below what the problem's outputs need; an activation is unknown.

    References:
        Paper VI-C, random_VALP.
    """
    limits = limits or Limits()
    layout = Layout(tuple(layers), tuple(width), tuple(latent), tuple(activations))  # type: ignore[arg-type]
    _check_bounds(problem, networks, layout, limits)
    graph = random_graph(problem, random.randint(*networks), layout)
    weights = initial_weights(graph)
    optimizers = {name: Optimizer(optimizer, learning_rate) for name in problem.outputs}
    return icls(graph, weights, optimizers, batch_size=batch_size, limits=limits, layout=layout)


def least_networks(problem: Ports) -> int:
    """The number of sub-networks of the smallest valid VALP.

    One sub-network can read every input and serve every output that takes values; samples need a
    decoder more.
    """
    takes = [output.port.takes for output in problem.outputs.values()]
    return 1 + any(VALUES not in taken and DISCRETE not in taken for taken in takes)


def _check_bounds(
    problem: Ports, networks: tuple[int, int], layout: Layout, limits: Limits
) -> None:
    for name, (low, high), top in (
        ("networks", networks, limits.networks),
        ("layers", layout.layers, limits.layers),
        ("width", layout.width, limits.width),
        ("latent", layout.latent, limits.latent),
    ):
        if not 1 <= low <= high <= top:
            raise StructureError(
                f"initVALP needs 1 <= low <= high <= {top} (the limit) for {name}, got {(low, high)}"
            )
    least = least_networks(problem)
    if networks[0] < least:
        raise StructureError(
            f"initVALP needs networks from {least} on for the outputs of {problem!r}, got {networks}"
        )
    unknown = sorted(set(layout.activations) - set(Layout().activations))
    if unknown or not layout.activations:
        raise StructureError(
            f"initVALP needs activations among {list(Layout().activations)}, got {unknown or '()'}"
        )


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
    graph.add_node(name, component=random_network(kind, layout))
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
    """New sub-networks with which a receiver would share no provider: a decoder wants an encoder of its own."""
    return 0 if FEATURES in takes else 2 if takes == {SAMPLES} else 1


def _still_needed(
    graph: nx.DiGraph, receiver: str, pending: list[str], kind: type[SubNetwork]
) -> int:
    """The sub-networks still needed once ``receiver`` has a new provider of this kind.

    One new decoder serves all that lack samples, and one new generic, which reads an input, all
    that lack values.
    """
    lacking = [
        name
        for name in pending
        if not _candidates(graph, name) and kind.gives not in _takes(graph, name)
    ]
    lacks_samples = any(_takes(graph, name) == {SAMPLES} for name in lacking)
    lacks_values = any(_takes(graph, name) != {SAMPLES} for name in lacking)
    givers = _givers_outside(graph, [receiver])
    if FEATURES not in kind.takes and not givers & kind.takes:
        lacks_samples, lacks_values = (
            lacks_samples or kind.takes == {SAMPLES},
            lacks_values or kind.takes != {SAMPLES},
        )
    if (
        lacks_samples
        and not (_givers_outside(graph, [receiver, *lacking]) | {kind.gives}) & Decoder.takes
    ):
        lacks_values = True  # the new decoder's own provider
    return int(lacks_samples) + int(lacks_values)


def _givers_outside(graph: nx.DiGraph, receivers: list[str]) -> set[str]:
    """What is given by components that all of the receivers could read without a cycle."""
    behind = set(receivers).union(*(nx.descendants(graph, name) for name in receivers))
    return {
        graph.nodes[name]["component"].gives
        for name in graph
        if name not in behind and graph.succ[name]
    }


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


def _insert_random(graph: nx.DiGraph, layout: Layout) -> None:
    """Put a sub-network on a random connection; the one from an input to its reader always has a place."""
    places = []
    for provider, receiver in graph.edges:
        gives, takes = (
            graph.nodes[provider]["component"].gives,
            graph.nodes[receiver]["component"].takes,
        )
        places += [
            (provider, receiver, kind)
            for kind in KINDS.values()
            if gives in kind.takes and kind.gives in takes
        ]
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


def initial_weights(graph: nx.DiGraph) -> Mapping[str, Tensor]:
    """Random weights for a whole graph, by their names in ``VALP.weights``."""
    generator = new_generator()
    weights = {
        connection(provider, receiver): initial_block(graph, provider, receiver, generator)
        for provider, receiver in graph.edges
    }
    for name, component in graph.nodes(data="component"):
        if isinstance(component, SubNetwork):
            tensors = initial_tensors(component, generator)
            weights.update((f"{name}.{key}", tensor) for key, tensor in tensors.items())
        elif not isinstance(component, Input):
            weights[f"{name}.bias"] = zeros(component.width)
    return weights
