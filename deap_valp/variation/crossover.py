"""The donation crossover: an individual receives a part of another, with its trained weights.

The part that is donated is the exclusive subgraph of an output: the sub-networks that contribute
to this output and to no other.

References:
    Paper IV-D, V-D.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import copy
from dataclasses import replace
from typing import NamedTuple

import networkx as nx

from ..errors import PlaceError, StructureError
from ..genome import (
    VALP,
    Connection,
    Decision,
    Draft,
    Genome,
    Output,
    Place,
    SubNetwork,
    new_id,
    types_fit,
)
from ..genome.valp import need_valp
from ..genome.weights import new_generator
from .operators import Move, Operator, register

NAME = "exclusive_subgraph_crossover"


def cxExclusiveSubgraph(
    host: VALP, donor: VALP, output: str | None = None, reciprocal: bool = True
) -> tuple[VALP, VALP]:
    """Replace the exclusive subgraph of an output in the host by the donor's, with its weights.

    The exclusive subgraph of an output holds the sub-networks that contribute to this output and
    to no other. Both individuals are changed in place, and each receives from the other as it was
    before. With ``reciprocal=False``, only the host changes. The host's predictions for all other
    outputs stay exactly the same, and so do its learning rates and algorithms.

    An individual stays as it is if the donor's exclusive subgraph is empty, if a donated
    sub-network finds nothing to read, if an input would lose its last consumer, or if there would
    be more sub-networks than the limit.

    A donated sub-network may have read a component outside the donation. In the host it reads the
    homologous component instead: the input of the same name, or the sub-network with the same
    creation id. If there is none, it reads the nearest component that gives the same type; and if
    there is none either, the nearest that gives a type it takes. Components from which the output
    can be reached count as nearer than all others. These new connections have random weights.

    Args:
        host: The individual that receives.
        donor: The individual that donates. It also receives if ``reciprocal``.
        output: The output whose exclusive subgraph is donated. By default each individual receives
            for the output in which its objective is the largest multiple of the other's, among
            those that can be donated. If one of the two was changed since its evaluation, the
            output is random.
        reciprocal: Whether the donor receives as well.

    Returns:
        The host and the donor, in this order, since DEAP's ``varOr`` keeps only the first.

    Raises:
        PlaceError: The individuals have no such output.
        StructureError: The individuals have different inputs or outputs.

    References:
        Paper IV-D, V-D (exclusive subgraph crossover).
    """
    need_valp(host, "cxExclusiveSubgraph", "host")
    need_valp(donor, "cxExclusiveSubgraph", "donor")
    _check_pair(host, donor, output)
    host_before, donor_before = copy(host), copy(donor)  # shallow, since a genome never changes
    _receive(host, donor_before, output)
    if reciprocal:
        _receive(donor, host_before, output)
    return host, donor


def _check_pair(host: VALP, donor: VALP, output: str | None) -> None:
    """Raise an error where the output does not exist or the individuals are of two problems."""
    if output is not None and output not in host.outputs:
        raise PlaceError(
            f"cxExclusiveSubgraph needs an output of the individuals ({list(host.outputs)}), "
            f"got {output!r}"
        )
    ours, theirs = _ports(host), _ports(donor)
    if ours != theirs:
        raise StructureError(
            "cxExclusiveSubgraph needs two VALPs of one problem, got the ports "
            f"{list(ours)} and {list(theirs)}"
        )


def _ports(individual: VALP) -> dict[str, object]:
    return {name: individual.component(name) for name in (*individual.inputs, *individual.outputs)}


def _receive(host: VALP, donor: VALP, output: str | None, move: Move | None = None) -> None:
    """Let the host receive for the output; by default for the first of ``_by_promise`` that fits.

    The move is recorded as the host's decision.
    """
    for candidate in [output] if output is not None else _by_promise(host, donor):
        genome = with_donation(host, donor, candidate)
        if genome is not None:
            made_by = move or Move(NAME, "aggressive", Place(candidate))
            host.become(genome, Decision.about(host, replace(made_by, donor=None), donor))
            return


def _by_promise(host: VALP, donor: VALP) -> list[str]:
    """Return the outputs, the one with the largest ratio of host's to donor's objective first.

    The order is random if one of the two has no evaluation of its own.
    """
    ours, theirs = host.evaluation, donor.evaluation
    outputs = random.sample(host.outputs, len(host.outputs))
    if ours is None or theirs is None:
        return outputs
    mine, its = ours.named, theirs.named
    if not mine.keys() & its.keys() >= set(outputs):  # values of one's own, under other names
        return outputs
    return sorted(outputs, key=lambda name: mine[name] / max(its[name], 1e-12), reverse=True)


def can_receive(host: VALP, donor: VALP, output: str) -> bool:
    """Return whether a donation for this output would change the host."""
    return with_donation(host, donor, output) is not None


def with_donation(host: VALP, donor: VALP, output: str) -> Genome | None:
    """Return the genome of the host after it received for an output, or None if it cannot."""
    donated = sorted(donor.exclusive(output), key=donor.order.index)
    if not donated:
        return None
    child = Draft(host.inherited())
    child.adopt(donor.inherited())
    for network in child.exclusive(output):
        child.remove_network(network)
    for provider in child.providers(output):
        child.disconnect(provider, output)
    if len(child.networks) + len(donated) > child.limits.networks:
        return None
    sources = _sources(host, child, donor, output, donated)
    if sources is None:
        return None
    _attach(child, donor, output, donated, sources)
    if any(host.graph.succ[name] and not child.graph.succ[name] for name in host.inputs):
        return None
    child.trained = child.trained or donor.trained
    return child.genome()


# ---- what the donation reads ---------------------------------------------------------------------


class _Source(NamedTuple):
    """The component that a part of the donation reads in the host.

    Attributes:
        name: The name of the component.
        homologous: Whether it is homologous to the component that the part read in the donor.
    """

    name: str
    homologous: bool


def _outside(donor: VALP, donated: list[str], output: str) -> Iterator[tuple[str, str]]:
    """Yield the connections, as (provider, receiver), from outside the donation into it."""
    for receiver in (*donated, output):
        for provider in donor.providers(receiver):
            if provider not in donated:
                yield provider, receiver


def _sources(
    host: VALP, child: Draft, donor: VALP, output: str, donated: list[str]
) -> dict[str, _Source] | None:
    """Return, for each provider outside the donation, the component that is read instead.

    The result is None if there is no such component for one of them.
    """
    by_id = {child.component(name).id: name for name in child.networks}
    ports = set(child.outputs)
    nearest = [name for name in _nearest(host.graph, output) if name in child.graph]
    nearest = [name for name in nearest if name not in ports]
    sources: dict[str, _Source] = {}
    for provider, receiver in _outside(donor, donated, output):
        homologous = provider
        if provider not in donor.inputs:
            homologous = by_id.get(donor.component(provider).id, "")
        if homologous:
            sources[provider] = _Source(homologous, True)
            continue
        reads = donor.component(receiver)
        fitting = _fitting(child, nearest, donor.component(provider).given, reads)
        if not fitting:
            fitting = [name for name in nearest if types_fit(child.component(name), reads)]
        if receiver == output:  # an output must not read an input
            fitting = [name for name in fitting if name not in child.inputs]
        if not fitting:
            return None
        sources[provider] = _Source(fitting[0], False)
    return sources


def _fitting(
    child: Draft, names: list[str], given: frozenset[str], reads: SubNetwork | Output
) -> list[str]:
    """Return the components that give the same types, and that a component may read."""
    components = {name: child.component(name) for name in names}
    return [n for n, one in components.items() if one.given == given and types_fit(one, reads)]


def _nearest(graph: nx.DiGraph, output: str) -> list[str]:
    """Return all components, those nearest to an output first.

    Components from which the output cannot be reached come last.
    """
    upstream = nx.single_source_shortest_path_length(graph.reverse(copy=False), output)
    return sorted(graph, key=lambda name: (upstream.get(name, len(graph)), len(name), name))


# ---- building the child --------------------------------------------------------------------------


def _attach(
    child: Draft, donor: VALP, output: str, donated: list[str], sources: dict[str, _Source]
) -> None:
    """Add the donated sub-networks to the child, with their connections and weights."""
    names = _add_networks(child, donor, donated) | {output: output}
    handed_on = donor.inherited()
    child.weights[child.entry_bias(output)] = handed_on.weights[donor.entry_bias(output)]
    at_random = []
    for receiver in (*donated, output):
        for provider in donor.providers(receiver):
            block = handed_on.block(provider, receiver)
            source = sources.get(provider)
            if provider in names:
                source = _Source(names[provider], True)
            assert source is not None
            shape = child.block_shape(source.name, names[receiver])
            if source.homologous and shape == block.shape:
                child.connect(source.name, names[receiver], block)
            elif not child.graph.has_edge(source.name, names[receiver]):
                at_random.append((source.name, names[receiver]))
                child.graph.add_edge(source.name, names[receiver])
    missing = [edge for edge in at_random if Connection(*edge) not in child.weights]
    child.connect_at_random(missing, new_generator())


def _add_networks(child: Draft, donor: VALP, donated: list[str]) -> dict[str, str]:
    """Add the donated sub-networks without connections, and return the new name of each."""
    handed_on = donor.inherited()
    taken = {child.component(name).id for name in child.networks}
    names = {}
    for network in donated:
        component = donor.component(network)
        if component.id in taken:
            # The child keeps a homologous one. Two components of a VALP have different ids.
            component = replace(component, id=new_id())
        names[network] = child.add_network(component, handed_on.tensors_of(network))
        child.ages[names[network]] = handed_on.ages[network]
    return names


# ---- as an operator that a selection can choose --------------------------------------------------


def _receive_by(individual: VALP, move: Move) -> tuple[VALP]:
    """Apply a move that is a donation."""
    donor = move.donor
    if donor is None:
        raise PlaceError(f"{NAME} needs a Move with a donor, got {move}")
    _check_pair(individual, donor, move.place)
    _receive(individual, copy(donor), move.place, move)
    return (individual,)


register(
    Operator(
        name=NAME,
        apply=cxExclusiveSubgraph,
        scope="crossover",
        effect="neutral",
        versions=("aggressive",),
        place="output",
        legal=lambda individual, gentle: [],  # without a donor, it has no legal place
        receive=_receive_by,
    )
)
