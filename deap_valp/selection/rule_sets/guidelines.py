"""The paper's guidelines, by which its main experiment chose operators (paper VII-B)."""

from __future__ import annotations

from collections.abc import Iterator

from ...genome import Connection
from ...variation.operators import Move, operators
from ..reasons import relevance_reason, slope_reason
from ..rules import rule
from ..view import View


@rule("guidelines")
def R1(view: View) -> Iterator[Move]:
    """Propose a gentle clone of a sub-network while the loss of one of its outputs is steep.

    References:
        Paper VII-B: "When a network involved in a loss function registers a steep descent, the
        gentle version of the network cloning mutation can be applied."
    """
    for network, output in view.pairs:
        if view.state(output) == "steep":
            yield Move("clone_network", "gentle", network, slope_reason(view, output), "R1")


@rule("guidelines")
def R2(view: View) -> Iterator[Move]:
    """Propose a gentle connection from or to a sub-network whose output falls moderately.

    References:
        Paper VII-B: "If a network is part of an output which is moderately descending, the add
        connection operator can be applied."
    """
    for place in operators()["add_connection"].places(view.individual, True):
        for output in view.individual.outputs:
            involved = any(output in view.reached.get(end, ()) for end in place.touched)
            leads = view.leads_to(place.component, output)
            if involved and leads and view.state(output) == "moderate":
                yield Move("add_connection", "gentle", place, slope_reason(view, output), "R2")


@rule("guidelines")
def R3(view: View) -> Iterator[Move]:
    """Propose an insertion behind a sub-network, towards an output whose loss is stuck.

    References:
        Paper VII-B: "When a network is part of an output in a local optimum, the divide
        connection can be applied."
    """
    for network, output in view.pairs:
        if view.state(output) == "stuck":
            for receiver in view.individual.receivers(network):
                if view.leads_to(receiver, output):
                    place, reason = Connection(network, receiver), slope_reason(view, output)
                    yield Move("insert_network", view.insertion, place, reason, "R3")


@rule("guidelines")
def R4(view: View) -> Iterator[Move]:
    """Propose a deletion, an insertion or a clone where only some outputs need a sub-network.

    References:
        Paper VII-B: "If a network is not relevant for some outputs it is connected to, but is for
        other ones, the delete connection, the divide connection, or the aggressive version of the
        clone network can be applied."
    """
    for network, outputs in view.reached.items():
        irrelevant = [output for output in outputs if not view.relevant(network, output)]
        if irrelevant and len(irrelevant) < len(outputs):
            measured = relevance_reason(view, network, irrelevant)
            reason = f"irrelevant for {', '.join(irrelevant)} {measured}, not for all"
            for output in irrelevant:
                for place in view.cutting(network, output):
                    yield Move("delete_connection", "aggressive", place, reason, "R4")
            for receiver in view.individual.receivers(network):
                place = Connection(network, receiver)
                yield Move("insert_network", view.insertion, place, reason, "R4")
            yield Move("clone_network", view.insertion, network, reason, "R4")


@rule("guidelines")
def R5(view: View) -> Iterator[Move]:
    """Propose to cut a sub-network from an output that it is irrelevant for.

    References:
        Paper VII-B: "When a network is not relevant for an output it is connected to, the delete
        connection operator can be applied."
    """
    for network, output in view.pairs:
        if not view.relevant(network, output):
            measured = relevance_reason(view, network, [output])
            reason = f"{network} irrelevant for {output} {measured}"
            for place in view.cutting(network, output):
                yield Move("delete_connection", "aggressive", place, reason, "R5")


@rule("guidelines")
def R6(view: View) -> Iterator[Move]:
    """Propose to delete a sub-network that is irrelevant for every output.

    References:
        Paper VII-B: "If a network is not relevant for any output, the network deletion operator
        can be applied."
    """
    for network, outputs in view.reached.items():
        if not any(view.relevant(network, output) for output in outputs):
            reason = f"irrelevant for every output {relevance_reason(view, network, outputs)}"
            yield Move("delete_network", "aggressive", network, reason, "R6")
