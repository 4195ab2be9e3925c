"""The donation crossover: exclusive subgraphs move between individuals with their trained weights.

References:
    Paper IV-D, V-D.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from typing import Any

import networkx as nx
from torch import Tensor

from ..errors import PlaceError, StructureError
from ..genome import VALP
from ..genome.draw import initial_block
from ..genome.kinds import SubNetwork
from ..genome.weights import new_generator
from .operators import Move, Operator, register

NAME = "exclusive_subgraph_crossover"


def cxExclusiveSubgraph(
    host: VALP, donor: VALP, output: str | None = None, reciprocal: bool = True
) -> tuple[VALP, VALP]:
    """Replace the exclusive subgraph of an output in the host by the donor's, with its trained weights.

    In place. The host's predictions for every other output stay bit-equal. Both receive, each from
    the other as it was before; with ``reciprocal=False`` the donor stays as it is. Where nothing
    can be donated nothing changes: the donor's exclusive subgraph is empty, a part of it finds
    nothing to read, an input of the host would lose its last
    consumer, or the host would pass its limit of sub-networks.

    What a donated sub-network read from outside the donation it reads in the host from the
    homologous component (the input of that name, or the sub-network created as the same one), else
    from the nearest component that gives the same type, else from the nearest that gives a type it
    takes, those upstream of the output before the others; then through a new random block. Learning
    rates and algorithms stay the host's.

    Args:
        host: Receives.
        donor: Donates, and receives too if ``reciprocal``.
        output: Whose exclusive subgraph; by default each receives for the output in which its
            objective is the largest multiple of the other's (for a random one where one of them was
            changed since its evaluation).
        reciprocal: Whether the donor receives as well.

    Returns:
        Host and donor, in this order, since ``varOr`` keeps the first only.

    Raises:
        PlaceError: The individuals have no such output.
        StructureError: The individuals have different inputs or outputs.

    References:
        Paper IV-D, V-D (exclusive subgraph crossover).
    """
    _check_pair(host, donor, output)
    host_before, donor_before = deepcopy(host), deepcopy(donor)
    _receive(host, donor_before, output)
    if reciprocal:
        _receive(donor, host_before, output)
    return host, donor


def _check_pair(host: VALP, donor: VALP, output: str | None) -> None:
    if output is not None and output not in host.outputs:
        raise PlaceError(
            f"cxExclusiveSubgraph needs an output of the individuals ({list(host.outputs)}), got {output!r}"
        )
    ports = [
        {name: one.component(name) for name in (*one.inputs, *one.outputs)} for one in (host, donor)
    ]
    if ports[0] != ports[1]:
        raise StructureError(
            f"cxExclusiveSubgraph needs two VALPs of one problem, got the ports {list(ports[0])} and {list(ports[1])}"
        )


def _receive(host: VALP, donor: VALP, output: str | None) -> None:
    for candidate in [output] if output is not None else _by_promise(host, donor):
        received = _with_donation(host, donor, candidate)
        if received is not None:
            host.__dict__.update(received)
            host.seed = random.getrandbits(63)
            host.move, host.decision = Move(NAME, "aggressive", candidate), None
            return


def _by_promise(host: VALP, donor: VALP) -> list[str]:
    """The outputs, the most promising first: by ratio of the host's objective to the donor's, else at random."""
    ours, theirs = host.evaluation, donor.evaluation
    outputs = random.sample(host.outputs, len(host.outputs))
    if ours is None or theirs is None:
        return outputs
    mine, its = (
        dict(zip(ours.objectives, ours, strict=True)),
        dict(zip(theirs.objectives, theirs, strict=True)),
    )
    return sorted(outputs, key=lambda name: mine[name] / max(its[name], 1e-12), reverse=True)


def _with_donation(host: VALP, donor: VALP, output: str) -> dict[str, Any] | None:
    """What changes of the host when it receives; None where it cannot."""
    donated = sorted(donor.exclusive(output), key=donor.order.index)
    if not donated:
        return None
    child = deepcopy(host)
    child.inherit()
    for network in child.exclusive(output):
        child.remove_network(network)
    for provider in child.providers(output):
        child.disconnect(provider, output)
    if len(child.networks) + len(donated) > child.limits.networks:
        return None
    sources = _sources(host, child, donor, output, donated)
    if None in sources.values():
        return None
    _attach(
        child,
        donor,
        output,
        donated,
        {name: source for name, source in sources.items() if source is not None},
    )
    if not all(child.graph.succ[name] for name in child.inputs):
        return None
    kept = ("graph", "weights", "ages", "trained", "_next_name")
    return {key: child.__dict__[key] for key in kept} | {
        "trained": child.trained or _was_trained(donor)
    }


def can_receive(host: VALP, donor: VALP, output: str) -> bool:
    """Whether a donation for this output would change the host."""
    return _with_donation(host, donor, output) is not None


def _was_trained(individual: VALP) -> bool:
    return individual.trained or (individual.evaluation is not None and individual.evaluation.ok)


def _outside(donor: VALP, donated: list[str], output: str) -> Iterator[tuple[str, str]]:
    """The connections through which the donation reads what is not part of it, as (provider, receiver)."""
    for receiver in (*donated, output):
        yield from (
            (provider, receiver)
            for provider in donor.providers(receiver)
            if provider not in donated
        )


def _sources(
    host: VALP, child: VALP, donor: VALP, output: str, donated: list[str]
) -> dict[str, tuple[str, bool] | None]:
    """For each outside provider what the child reads instead, and whether it is homologous; None where nothing is."""
    by_id = {child.component(name).id: name for name in child.networks}
    nearest = [
        name
        for name in _nearest(host.graph, output)
        if name in child.graph and name not in child.outputs
    ]
    sources: dict[str, tuple[str, bool] | None] = {}
    for provider, receiver in _outside(donor, donated, output):
        homologous = (
            provider if provider in donor.inputs else by_id.get(donor.component(provider).id)
        )
        if homologous is not None:
            sources[provider] = homologous, True
            continue
        gives, takes = donor.component(provider).gives, donor.component(receiver).takes
        alike = [name for name in nearest if child.component(name).gives == gives]
        fitting = alike or [name for name in nearest if child.component(name).gives in takes]
        fitting = [name for name in fitting if receiver != output or name not in child.inputs]
        sources[provider] = (fitting[0], False) if fitting else None
    return sources


def _nearest(graph: nx.DiGraph, output: str) -> list[str]:
    """All components by distance from an output, the nearest first; those that are not upstream of it come last."""
    upstream = nx.single_source_shortest_path_length(graph.reverse(copy=False), output)
    return sorted(graph, key=lambda name: (upstream.get(name, len(graph)), len(name), name))


def _attach(
    child: VALP, donor: VALP, output: str, donated: list[str], sources: dict[str, tuple[str, bool]]
) -> None:
    weights, taken = donor.trained_weights, {child.component(name).id for name in child.networks}
    names = {output: output}
    for network in donated:
        component: SubNetwork = donor.component(network)
        if (
            component.id in taken
        ):  # homologous to one that stays, but a component of its own from here on
            component = replace(component, id=random.getrandbits(63))
        tensors = {key: weights[f"{network}.{key}"] for key in component.shapes()}
        names[network] = child.add_network(component, tensors)
        child.ages[names[network]] = donor.age(network)
    child.weights[child.entry_bias(output)] = weights[donor.entry_bias(output)]
    at_random = []
    for receiver in (*donated, output):
        for provider in donor.providers(receiver):
            block: Tensor = weights[f"{provider}->{receiver}"]
            source, homologous = (names[provider], True) if provider in names else sources[provider]
            fits = homologous and child.component(source).width == block.shape[1]
            if fits:
                child.connect(source, names[receiver], block)
            elif not child.graph.has_edge(source, names[receiver]):
                at_random.append((source, names[receiver]))
                child.graph.add_edge(source, names[receiver])
    generator = new_generator()
    for source, receiver in at_random:
        if f"{source}->{receiver}" not in child.weights:
            child.connect(source, receiver, initial_block(child.graph, source, receiver, generator))


def receive(individual: VALP, output: str, donor: VALP) -> tuple[VALP]:
    """Replace the exclusive subgraph of an output by a donor's, with its trained weights; the donor stays as it is."""
    return (cxExclusiveSubgraph(individual, donor, output, reciprocal=False)[0],)


register(
    Operator(
        name=NAME,
        apply=receive,
        scope="crossover",
        effect="neutral",
        versions=("aggressive",),
        place="output",
        places=lambda individual, gentle: [],  # only a selection that knows a donor can choose it
    )
)
