"""Growth potential: what each output still gets wrong, and which component knows it.

References:
    GradMax (Evci et al. 2022), Growing Tiny Networks (Verbockhaven et al. 2024) and Firefly (Wu et
    al. 2020) grow along functional gradients; gradient boosting (Friedman 2001) fits them.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import chain

import networkx as nx

from ..genome import (
    Connection,
    Gain,
    Growth,
    Join,
    build_graph,
    independent_pairs,
    type_valid,
)
from ..genome.kinds import KINDS
from ..training.model import Model
from .probe import Gradients, Reading, Units, gains, products
from .registry import metric
from .subject import Subject

PAIRS = 16
"""Pairs of providers that are looked at."""


@metric
def growth_potential(subject: Subject) -> dict[tuple[str, str], Growth]:
    """What a connection, or a sub-network on it, could add to each output, present or absent.

    The linear probe reads the provider's result: it says what a new connection could add. The gain
    of a connection that is there and trained is about 0. The nonlinear probe reads random relu
    units of that result: it says what a new sub-network between the two, or a wider one, could add.

    Returns:
        By (connection, output that its receiver reaches), the gains of both probes, for every
        provider and receiver that may be joined, directly or through one new sub-network.
    """
    wiring, gradients = Wiring(subject.model), Gradients.of(subject)
    found: dict[tuple[str, str], Growth] = {}
    for provider in wiring.providers:
        free = wiring.free(provider)
        direct = {name for name in free if wiring.joins(provider, name)}
        through = {name for name in free if wiring.joins_through([provider], name)}
        wanted = gradients.at(direct | through)
        if not wanted.places:
            continue
        reading = Reading.of(subject, provider)
        units = Units.drawn(reading, subject.seed)
        linear = gains(reading.fitted, reading.held, wanted)
        nonlinear = gains(units(reading.fitted), units(reading.held), wanted)
        for receiver, output in wanted.places:
            place = receiver, output
            found[Connection(provider, receiver), output] = Growth(
                linear[place] if receiver in direct else None,
                nonlinear[place] if receiver in through else None,
            )
    return found


@metric
def pair_potential(subject: Subject) -> dict[tuple[str, str], Gain]:
    """What a new sub-network that reads two providers could add to an output beyond either alone.

    The probe reads products of directions of the one provider and of the other, those that go along
    most with what the outputs get wrong. So it sees a product of columns of two inputs, which no
    probe of a single provider sees. A pair is looked at where each provider depends on an input
    that the other does not depend on; of any other pair, one provider upstream may hold all that
    both hold. At most 16 pairs are looked at, those nearest to the inputs first.

    Returns:
        By (``"u*w->v"``, output that v reaches), the gain; empty for a problem with one input.
    """
    wiring = Wiring(subject.model)
    pairs = independent_pairs(wiring.graph)[:PAIRS]
    if not pairs:
        return {}
    gradients = Gradients.of(subject)
    readings = {name: Reading.of(subject, name) for name in set(chain(*pairs))}
    outputs = gradients.at(subject.model.outputs)
    lacking = outputs.lacking(subject.examples("train").size)
    found: dict[tuple[str, str], Gain] = {}
    for one, other in pairs:
        free = set(wiring.free(one)) & set(wiring.free(other))
        wanted = gradients.at({name for name in free if wiring.joins_through((one, other), name)})
        if wanted.places:
            features = products(readings[one], readings[other], lacking)
            for (receiver, output), gain in gains(*features, wanted).items():
                found[Join(one, other, receiver), output] = gain
    return found


# ---- what may be joined --------------------------------------------------------------------------


class Wiring:
    """Which components of a model may be joined without a cycle, and how."""

    def __init__(self, model: Model) -> None:
        edges = [(one, name) for name in model.order for one in model.providers[name]]
        self.graph = build_graph(model.components, edges)
        self.model = model
        self.providers = [*model.inputs, *(n for n in model.order if n not in model.outputs)]

    def free(self, provider: str) -> list[str]:
        """Return the receivers that the provider does not depend on."""
        above = nx.ancestors(self.graph, provider) | {provider}
        return [name for name in self.model.order if name not in above]

    def joins(self, provider: str, receiver: str) -> bool:
        """Return whether a connection may join the two; there may be one already."""
        return type_valid(self.graph, provider, receiver)

    def joins_through(self, providers: Collection[str], receiver: str) -> bool:
        """Return whether one new sub-network, of any kind, may read all providers and be read."""
        given = [self.model.components[provider].given for provider in providers]
        taken = self.model.components[receiver].takes
        kinds = [kind for kind in KINDS.values() if kind.given & taken]
        return any(all(kind.takes & one for one in given) for kind in kinds)
