"""Macro operators: between sub-networks (paper V-B)."""

from __future__ import annotations

import random
from dataclasses import replace

import torch
from torch import Tensor

from ..genome import VALP, connection, ends, type_valid
from ..genome.draw import connect_at_random, initial_tensors, random_network
from ..genome.kinds import (
    KINDS,
    SAMPLES,
    Decoder,
    Generic,
    Latent,
    Layer,
    Refiner,
    SubNetwork,
)
from ..genome.weights import new_generator, read_pair, relu_pair, split
from .operators import operator


def _room_for_network(individual: VALP) -> bool:
    return len(individual.networks) < individual.limits.networks


def _absent_connections(individual: VALP, gentle: bool) -> list[str]:
    graph, above = individual.graph, individual.ancestors()
    decoders = {
        name for name in individual.networks if isinstance(individual.component(name), Decoder)
    }
    generating = [
        name for name in individual.outputs if individual.component(name).takes == {SAMPLES}
    ]
    places = []
    for receiver in (*individual.networks, *individual.outputs):
        served = [
            output for output in generating if output == receiver or receiver in above[output]
        ]
        for provider in (*individual.inputs, *individual.networks):
            linked = (
                provider == receiver
                or receiver in above[provider]
                or graph.has_edge(provider, receiver)
            )
            if linked or not type_valid(graph, provider, receiver):
                continue
            brings = decoders & (above[provider] | {provider}) if gentle else set()
            if all(
                brings <= above[output] for output in served
            ):  # no decoder, hence no KL part, that was not there
                places.append(connection(provider, receiver))
    return places


@operator(
    scope="macro", effect="extender", versions=("gentle", "aggressive"), places=_absent_connections
)
def mutAddConnection(individual: VALP, connection: str, gentle: bool) -> None:
    """Link two components that are not linked, where types allow it and no cycle arises.

    Gentle: the new block is zero; it receives gradient, since what it reads is not zero. Not
    offered where it would
    bring a decoder to a generation output that had not read it: the output would stay, but its loss
    would gain a KL part.

    References:
        Paper V-B, add_connection.
    """
    provider, receiver = ends(connection)
    if gentle:
        zero = torch.zeros(individual.rows(receiver), individual.component(provider).width)
        individual.connect(provider, receiver, zero)
    else:
        connect_at_random(individual, [(provider, receiver)], new_generator())


def _spare_connections(individual: VALP, gentle: bool) -> list[str]:
    graph = individual.graph
    return [
        connection(u, v)
        for u, v in graph.edges
        if len(graph.succ[u]) > 1 and len(graph.pred[v]) > 1
    ]


@operator(scope="macro", effect="reducer", versions=("aggressive",), places=_spare_connections)
def mutDeleteConnection(individual: VALP, connection: str) -> None:
    """Remove a connection that is neither its receiver's only provider nor its provider's only consumer.

    References:
        Paper V-B, delete_connection.
    """
    individual.disconnect(*ends(connection))


def _divided(individual: VALP, provider: str, receiver: str) -> tuple[Tensor, Tensor]:
    """Weights into and out of a relu layer that together carry the block; the narrower of the exact ways."""
    block = individual.block(provider, receiver)
    rows, width = block.shape
    if getattr(individual.component(provider), "nonnegative", False) and width <= 2 * rows:
        return torch.eye(width), block
    if rows <= width:
        return relu_pair(block), read_pair(torch.eye(rows))
    return relu_pair(torch.eye(width)), read_pair(block)


def _kinds_between(individual: VALP, provider: str, receiver: str) -> list[type[SubNetwork]]:
    gives, takes = individual.component(provider).gives, individual.component(receiver).takes
    return [kind for kind in KINDS.values() if gives in kind.takes and kind.gives in takes]


def _divisible_connections(individual: VALP, gentle: bool) -> list[str]:
    if not _room_for_network(individual):
        return []
    places = []
    for provider, receiver in individual.graph.edges:
        if not gentle:
            fits = bool(_kinds_between(individual, provider, receiver))
        else:
            width, rows = individual.component(provider).width, individual.rows(receiver)
            known = getattr(individual.component(provider), "nonnegative", False)
            fits = min(width if known else 2 * width, 2 * rows) <= individual.limits.width
        if fits:
            places.append(connection(provider, receiver))
    return places


@operator(
    scope="macro",
    effect="extender",
    versions=("gentle", "aggressive"),
    places=_divisible_connections,
)
def mutInsertNetwork(individual: VALP, connection: str, gentle: bool) -> None:
    """Put a new sub-network on a connection ("divide connection").

    Gentle: one relu layer carries both signs, ``relu([A; -A] x)`` read by ``[B, -B]`` with ``B A``
    the old block;
    one sign where what it reads is never negative. Of ``A = block`` and ``B = block`` the narrower
    is taken, and where neither keeps the limit of width the connection is not offered. Aggressive:
    a random sub-network of any kind that types allow.

    References:
        Paper V-B, insert_network; Fig. 3.
    """
    provider, receiver = ends(connection)
    if gentle:
        entering, leaving = _divided(individual, provider, receiver)
        kind = Refiner if individual.component(receiver).takes == {SAMPLES} else Generic
        units = entering.shape[0]
        component: SubNetwork = kind(layers=(Layer(units, "relu"),), id=random.getrandbits(63))
        name = individual.add_network(component, {"0.bias": torch.zeros(units)})
        individual.connect(provider, name, entering)
        individual.connect(name, receiver, leaving)
    else:
        component = random_network(
            random.choice(_kinds_between(individual, provider, receiver)), individual.layout
        )
        generator = new_generator()
        name = individual.add_network(component, initial_tensors(component, generator))
        connect_at_random(individual, [(provider, name), (name, receiver)], generator)
    individual.disconnect(provider, receiver)


def _bypassable_networks(individual: VALP, gentle: bool) -> list[str]:
    graph = individual.graph
    return [
        name
        for name in individual.networks
        if all(
            type_valid(graph, provider, receiver)
            for provider in graph.pred[name]
            for receiver in graph.succ[name]
        )
    ]


@operator(scope="macro", effect="reducer", versions=("aggressive",), places=_bypassable_networks)
def mutDeleteNetwork(individual: VALP, network: str) -> None:
    """Remove a sub-network and link every provider of it with every consumer ("bypass").

    A pair that is linked already keeps its block, a new connection starts at random. Not offered
    where a consumer does not take what a provider gives, as for the only sub-network between an
    input and an output.

    References:
        Paper V-B, delete_network.
    """
    graph = individual.graph
    pairs = [(u, v) for u in individual.providers(network) for v in individual.receivers(network)]
    new = [pair for pair in pairs if not graph.has_edge(*pair)]
    individual.remove_network(network)
    connect_at_random(individual, new, new_generator())


def _clonable_networks(individual: VALP, gentle: bool) -> list[str]:
    return list(individual.networks) if _room_for_network(individual) else []


@operator(
    scope="macro", effect="extender", versions=("gentle", "aggressive"), places=_clonable_networks
)
def mutCloneNetwork(individual: VALP, network: str, gentle: bool) -> None:
    """Duplicate a sub-network with all its connections.

    Gentle: every receiver splits the block through which it read the original between the two
    copies, element by
    element at random, so every output is unchanged and the copies learn different things. The clone
    of a decoder shares its latent, and so draws the same noise, and its part in the KL divergence.
    Aggressive: the clone's weights are all new.

    References:
        Paper V-B, clone_network; Net2Net (Chen et al. 2016) for the split.
    """
    component = replace(individual.component(network), id=random.getrandbits(63))
    generator = new_generator()
    providers, receivers = individual.providers(network), individual.receivers(network)
    if not gentle:
        if isinstance(component, Decoder):
            component = replace(
                component, latent=Latent(random.getrandbits(63), component.latent.dim)
            )
        clone = individual.add_network(component, initial_tensors(component, generator))
        edges = [(provider, clone) for provider in providers] + [
            (clone, receiver) for receiver in receivers
        ]
        connect_at_random(individual, edges, generator)
        return
    if isinstance(component, Decoder):
        component = replace(component, share=component.share / 2)
        individual.graph.nodes[network]["component"] = replace(
            individual.component(network), share=component.share
        )
    clone = individual.add_network(component, individual.network_tensors(network))
    for provider in providers:
        individual.connect(provider, clone, individual.block(provider, network))
    for receiver in receivers:
        kept, given = split(individual.block(network, receiver), generator)
        individual.connect(network, receiver, kept)
        individual.connect(clone, receiver, given)
