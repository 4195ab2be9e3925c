"""Macro operators, which change sub-networks and the connections between them (paper V-B)."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from typing import Any

import torch

from ..genome import (
    KINDS,
    MAPS,
    SAMPLES,
    VALP,
    Connection,
    Draft,
    Join,
    Place,
    Route,
    Structure,
    SubNetwork,
    independent_pairs,
    kinds_between,
    mean_effect,
    type_valid,
    types_fit,
)
from ..genome.weights import new_generator, split
from .carriers import can_carry, divided
from .operators import operator

Kind = type[SubNetwork]


def _room_for_network(individual: VALP) -> bool:
    return len(individual.networks) < individual.limits.networks


# ---- connections ---------------------------------------------------------------------------------


class _Paths:
    """The paths of an individual, to tell what a new one would bring.

    Attributes:
        components: The description of each component.
        above: The components from which each component can be reached.
        brought: The sub-networks with a latent on a path that ends with each provider.
    """

    def __init__(self, individual: VALP) -> None:
        self.components = dict(individual.graph.nodes(data="component"))
        self.above = individual.ancestors()
        networks, outputs = individual.networks, individual.outputs
        self.receivers, self.providers = (*networks, *outputs), (*individual.inputs, *networks)
        drawing = {name for name in networks if individual.component(name).drawn}
        self.brought = {name: (self.above[name] | {name}) & drawing for name in self.providers}
        self.generating = [name for name in outputs if SAMPLES in individual.component(name).takes]

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Yield the pairs of components, linked or not, between which a path closes no cycle."""
        for receiver, provider in product(self.receivers, self.providers):
            if provider != receiver and receiver not in self.above[provider]:
                yield provider, receiver

    def bring_latent(self, provider: str, receiver: str) -> bool:
        """Return whether a path would let a latent reach a generation output for the first time.

        The KL divergence of the latent would then be added to the loss of that output.
        """
        brought = self.brought[provider]
        if not brought:
            return False
        for output in self.generating:
            served = output == receiver or receiver in self.above[output]
            if served and not brought <= self.above[output]:
                return True
        return False


def absent_connections(individual: VALP, gentle: bool) -> list[Connection]:
    """Return the connections that can be added. Gentle ones leave every loss as it is."""
    paths, places = _Paths(individual), []
    linked = set(individual.graph.edges)
    for provider, receiver in paths.pairs():
        if (provider, receiver) in linked:
            continue
        if not types_fit(paths.components[provider], paths.components[receiver]):
            continue
        if not gentle or not paths.bring_latent(provider, receiver):
            places.append(Connection(provider, receiver))
    return places


@operator(
    scope="macro",
    effect="extender",
    versions=("gentle", "aggressive"),
    places=absent_connections,
)
def mutAddConnection(draft: Draft, connection: Connection, gentle: bool) -> None:
    """Link two components that are not linked, where types allow it and no cycle arises.

    Gentle: the new weights are zero. They can be trained, because their gradient is not zero. A
    place is not offered if it would bring a latent to a generation output that did not read it:
    the output would stay the same, but the KL divergence of the latent would be added to its loss.

    Aggressive: the new weights are random.

    References:
        Paper V-B, add_connection.
    """
    provider, receiver = connection.provider, connection.receiver
    if gentle:
        draft.connect_zero(provider, receiver)
    else:
        draft.connect_at_random([(provider, receiver)], new_generator())


def _spare_connections(individual: VALP, gentle: bool) -> list[Connection]:
    graph = individual.graph
    return [
        Connection(provider, receiver)
        for provider, receiver in graph.edges
        if len(graph.succ[provider]) > 1 and len(graph.pred[receiver]) > 1
    ]


@operator(scope="macro", effect="reducer", versions=("aggressive",), places=_spare_connections)
def mutDeleteConnection(draft: Draft, connection: Connection) -> None:
    """Remove a connection whose provider and receiver both have another one.

    So no component is left without a provider or without a consumer.

    If the diagnosis measured ``connection_intervention``, it knows the mean result of the provider.
    The product of the block with this mean is then added to the receiver's bias. So the loss
    changes as that metric predicted.

    References:
        Paper V-B, delete_connection.
    """
    provider, receiver = connection.provider, connection.receiver
    _fold_mean(draft, provider, receiver)
    draft.disconnect(provider, receiver)


def _fold_mean(draft: Draft, provider: str, receiver: str) -> None:
    """Add to the receiver's bias what a connection adds on average, if that is known."""
    if provider not in draft.means:
        return
    key = draft.entry_bias(receiver)
    bias = draft.weights[key]
    mean, block = torch.from_numpy(draft.means[provider]), draft.block(provider, receiver)
    added = mean_effect(draft.component(provider), draft.component(receiver), block, mean)
    draft.weights[key] = bias + added
    draft.follow(draft.weights[key], bias)


def _dispensable_inputs(individual: VALP, gentle: bool) -> list[Place]:
    read = [name for name in individual.inputs if individual.graph.succ[name]]
    return [Place(name) for name in read if _dispensable(individual, name)]


def _dispensable(individual: VALP, name: str) -> bool:
    """Return whether no output depends on an input alone, and no latent is drawn from it alone."""
    for other in individual.fed_by(name)[1:]:
        if other in individual.outputs or individual.component(other).drawn:
            return False
    return True


@operator(scope="macro", effect="reducer", versions=("aggressive",), places=_dispensable_inputs)
def mutDeleteInput(draft: Draft, name: Place) -> None:
    """Remove all connections of an input, which then feeds nothing.

    Sub-networks that depend on this input alone are removed too. An input is not offered if an
    output depends on it alone.

    If the diagnosis measured ``connection_intervention``, the mean results of components are known.
    What the removed connections added on average is then added to the biases of the receivers that
    stay, so the loss changes as the metric ``input_removal`` predicted.
    """
    fed = draft.fed_by(name)
    for provider in fed:
        for receiver in draft.receivers(provider):
            if receiver not in fed:
                _fold_mean(draft, provider, receiver)
    for receiver in draft.receivers(name):
        draft.disconnect(name, receiver)
    for network in fed[1:]:
        draft.remove_network(network)


# ---- insertion -----------------------------------------------------------------------------------


def _divisible_connections(individual: VALP, gentle: bool) -> list[Connection]:
    if not _room_for_network(individual):
        return []
    graph, places = individual.graph, []
    for provider, receiver in graph.edges:
        place = Connection(provider, receiver)
        if gentle:
            fits = can_carry(individual, place)
        else:
            fits = bool(kinds_between(graph, provider, receiver))
        if fits:
            places.append(place)
    return places


@operator(
    scope="macro",
    effect="extender",
    versions=("gentle", "aggressive"),
    places=_divisible_connections,
)
def mutInsertNetwork(draft: Draft, connection: Connection, gentle: bool) -> None:
    """Put a new sub-network on a connection (the paper's "divide connection").

    Gentle: the new sub-network is one relu layer. It computes ``relu([A; -A] x)``, the positive
    and the negative part of ``A x``, and is read through ``[B, -B]``, where ``B A`` is the old
    block. If ``x`` is never negative, ``A`` and ``B`` alone will do. ``A`` or ``B`` is the old
    block and the other one the identity, whichever needs fewer units. A connection for which both
    ways exceed the limit of width is not offered.

    Aggressive: the new sub-network is random, of any kind that types allow.

    References:
        Paper V-B, insert_network; Fig. 3.
    """
    provider, receiver = connection.provider, connection.receiver
    if gentle:
        component, entering, leaving = divided(draft, connection)
        tensors = {name: torch.zeros(shape) for name, shape in component.shapes().items()}
        name = draft.add_network(component, tensors)
        draft.connect(provider, name, entering)
        draft.connect(name, receiver, leaving)
        draft.disconnect(provider, receiver)
        return
    kind = random.choice(kinds_between(draft.graph, provider, receiver))
    component, generator = kind.draw(draft.layout), new_generator()
    component = component.settled([draft.component(provider)], [draft.component(receiver)])
    name = draft.add_network(component, component.initial(generator))
    draft.disconnect(provider, receiver)
    draft.connect_at_random([(provider, name), (name, receiver)], generator)


# ---- more paths ----------------------------------------------------------------------------------

UNITS = 64
"""The number of relu units of a sub-network on a new path, unless the limit of width is lower."""


def _bridges(providers: Iterable[Any], receiver: Any) -> list[Kind]:
    """Return the kinds with a ``carrier`` that can stand between providers and a receiver.

    Where all providers give maps, a kind that reads maps comes first.
    """
    read = list(providers)
    kinds = [kind for kind in KINDS.values() if kind.carries and kind.given & receiver.takes]
    fitting = [kind for kind in kinds if all(kind.takes & one.given for one in read)]
    return sorted(fitting, key=lambda kind: MAPS not in kind.takes)


def _free_pairs(paths: _Paths) -> list[tuple[str, str]]:
    """Return the pairs of components that a new path may join without a cycle or a new latent."""
    return [pair for pair in paths.pairs() if not paths.bring_latent(*pair)]


def _parallel_places(individual: VALP, gentle: bool) -> list[Connection]:
    if not _room_for_network(individual):
        return []
    paths, places = _Paths(individual), []
    for provider, receiver in _free_pairs(paths):
        if _bridges([paths.components[provider]], paths.components[receiver]):
            places.append(Connection(provider, receiver))
    return places


@operator(scope="macro", effect="extender", versions=("gentle",), places=_parallel_places)
def mutParallelNetwork(draft: Draft, connection: Connection) -> None:
    """Add a path between two components through a new sub-network; they may be linked already.

    Gentle: the new sub-network is a random layer of relu units, and the receiver reads it through
    weights of zero. These can be trained, because their gradient is not zero. A place is not
    offered if the path would bring a latent to a generation output that did not read it.
    """
    _add_path(draft, [connection.provider], connection.receiver)


def _join_places(individual: VALP, gentle: bool) -> list[Join]:
    if not _room_for_network(individual):
        return []
    paths = _Paths(individual)
    receivers: dict[str, list[str]] = {}
    for provider, receiver in _free_pairs(paths):
        receivers.setdefault(provider, []).append(receiver)
    places = []
    for one, other in independent_pairs(individual.graph):
        theirs = set(receivers.get(other, ()))
        both = [paths.components[one], paths.components[other]]
        for receiver in receivers.get(one, ()):
            if receiver in theirs and _bridges(both, paths.components[receiver]):
                places.append(Join(one, other, receiver))
    return places


@operator(scope="macro", effect="extender", versions=("gentle",), places=_join_places)
def mutJoinNetworks(draft: Draft, join: Join) -> None:
    """Add a sub-network that reads two providers, each of which depends on an input of its own.

    It can learn what only the two together tell, such as a product of their columns. Gentle: the
    new sub-network and its weights are as in ``mutParallelNetwork``. A problem with one input has
    no place.
    """
    _add_path(draft, [join.one, join.other], join.receiver)


def _add_path(draft: Draft, providers: Sequence[str], receiver: str) -> None:
    """Add a sub-network that reads the providers and is read by the receiver through zeros."""
    generator = new_generator()
    units = min(UNITS, draft.limits.width)
    read = [draft.component(provider) for provider in providers]
    component = _bridges(read, draft.component(receiver))[0].carrier(units).settled(read)
    name = draft.add_network(component, component.initial(generator))
    draft.connect_at_random([(provider, name) for provider in providers], generator)
    draft.connect_zero(name, receiver)


# ---- removal -------------------------------------------------------------------------------------


def _bypasses(structure: Structure, network: str) -> list[tuple[str, str]]:
    """Return the pairs of a provider and a consumer of a sub-network that can be linked."""
    pairs = []
    for provider in structure.providers(network):
        for receiver in structure.receivers(network):
            if type_valid(structure.graph, provider, receiver):
                pairs.append((provider, receiver))
    return pairs


def _bypassable_networks(individual: VALP, gentle: bool) -> list[Place]:
    return [Place(name) for name in individual.networks if _leaves_all_connected(individual, name)]


def _leaves_all_connected(individual: VALP, network: str) -> bool:
    """Return whether a bypass leaves all providers with a consumer and all consumers a provider."""
    graph, pairs = individual.graph, _bypasses(individual, network)
    read = {provider for provider, _ in pairs}
    served = {receiver for _, receiver in pairs}
    for provider in graph.pred[network]:
        if provider not in read and len(graph.succ[provider]) == 1:
            return False
    for receiver in graph.succ[network]:
        if receiver not in served and len(graph.pred[receiver]) == 1:
            return False
    return True


@operator(scope="macro", effect="reducer", versions=("aggressive",), places=_bypassable_networks)
def mutDeleteNetwork(draft: Draft, network: Place) -> None:
    """Remove a sub-network and link its providers with its consumers (the paper's "bypass").

    Every pair that types allow is linked. A pair that is already linked keeps its weights; a new
    connection has random ones. A sub-network is not offered if a provider would be left without a
    consumer, or a consumer without a provider. An example is the only sub-network between an input
    and an output.

    References:
        Paper V-B, delete_network.
    """
    pairs = [pair for pair in _bypasses(draft, network) if not draft.graph.has_edge(*pair)]
    draft.remove_network(network)
    draft.connect_at_random(pairs, new_generator())


# ---- clones --------------------------------------------------------------------------------------


def _clonable_networks(individual: VALP, gentle: bool) -> list[Place]:
    if not _room_for_network(individual):
        return []
    return [Place(name) for name in individual.networks]


@operator(
    scope="macro",
    effect="extender",
    versions=("gentle", "aggressive"),
    places=_clonable_networks,
)
def mutCloneNetwork(draft: Draft, network: Place, gentle: bool) -> None:
    """Duplicate a sub-network with all its connections.

    Gentle: each weight through which a receiver read the original is split at random between the
    two copies. So no output changes, and the two copies learn different things, because their
    gradients differ. The clone of a decoder shares the latent of the original: both draw the same
    noise, and share its KL divergence.

    Aggressive: all weights of the clone are new and random.

    References:
        Paper V-B, clone_network; Net2Net (Chen et al. 2016) for the split.
    """
    generator = new_generator()
    providers, receivers = draft.providers(network), draft.receivers(network)
    if not gentle:
        component = draft.component(network).renewed()
        clone = draft.add_network(component, component.initial(generator))
        edges = [(provider, clone) for provider in providers]
        edges += [(clone, receiver) for receiver in receivers]
        draft.connect_at_random(edges, generator)
        return
    original, twin = draft.component(network).twins()
    draft.set_component(network, original)
    clone = draft.add_network(twin, draft.tensors_of(network))
    for provider in providers:
        draft.connect(provider, clone, draft.block(provider, network))
    for receiver in receivers:
        block = draft.block(network, receiver)
        kept, given = split(block, generator)
        draft.follow(kept, block)
        draft.follow(given, block)
        draft.connect(network, receiver, kept)
        draft.connect(clone, receiver, given)


def _forks(individual: VALP, gentle: bool) -> list[Route]:
    if not _room_for_network(individual):
        return []
    graph, places = individual.graph, []
    for network in individual.networks:
        # A copy that draws the latent of its original would change the KL divergence of both.
        if len(graph.succ[network]) < 2 or individual.component(network).drawn:
            continue
        if len(graph.pred[network]) > 1:
            ends = product(individual.providers(network), individual.receivers(network))
            places += [Route(provider, network, receiver) for provider, receiver in ends]
    return places


@operator(scope="macro", effect="extender", versions=("aggressive",), places=_forks)
def mutForkNetwork(draft: Draft, route: Route) -> None:
    """Give a receiver of a sub-network a copy of its own that lacks one of the providers.

    This ends a conflict in which a provider harms one output, while another output needs it. The
    copy has the weights of the original, and its bias gets what the provider added on average, as
    in ``mutDeleteConnection``. The other receivers keep the original. A sub-network that draws a
    latent is not offered.
    """
    _, twin = draft.component(route.network).twins()
    copy = draft.add_network(twin, draft.tensors_of(route.network))
    for provider in draft.providers(route.network):
        draft.connect(provider, copy, draft.block(provider, route.network))
    _fold_mean(draft, route.provider, copy)
    draft.disconnect(route.provider, copy)
    draft.connect(copy, route.receiver, draft.block(route.network, route.receiver))
    draft.disconnect(route.network, route.receiver)
