"""Rules of our own: grow gently where it matters, delete late."""

from __future__ import annotations

from collections.abc import Iterator

from ...genome import Connection, Place
from ...variation.operators import Move, operators
from ..donation import donations
from ..reasons import slope_reason
from ..rules import rule
from ..view import View


@rule("adaptive")
def A1(view: View) -> Iterator[Move]:
    """Propose gentle growth at sub-networks that are relevant to an output whose loss falls."""
    touching: dict[str, list[Place]] = {}
    for place in operators()["add_connection"].places(view.individual, True):
        for end in place.touched:
            touching.setdefault(end, []).append(place)
    for network, output in view.pairs:
        if view.state(output) == "stuck" or not view.relevant(network, output):
            continue
        relevance, falling = view.relevance(network, output), slope_reason(view, output)
        reason = f"{network} relevant for {output} ({relevance:.2f}), {falling}"
        yield Move("clone_network", "gentle", network, reason, "A1")
        for receiver in view.individual.receivers(network):
            if view.leads_to(receiver, output):
                yield Move("insert_network", "gentle", Connection(network, receiver), reason, "A1")
        for connection in touching.get(network, ()):
            if view.leads_to(connection.component, output):
                yield Move("add_connection", "gentle", connection, reason, "A1")


@rule("adaptive")
def A2(view: View) -> Iterator[Move]:
    """Propose gentle insertions between relevant sub-networks and an output whose loss is stuck."""
    for network, output in view.pairs:
        if view.state(output) == "stuck" and view.relevant(network, output):
            reason = f"{network} relevant for {output}, {slope_reason(view, output)}"
            for receiver in view.individual.receivers(network):
                if view.leads_to(receiver, output):
                    place = Connection(network, receiver)
                    yield Move("insert_network", "gentle", place, reason, "A2")


@rule("adaptive")
def A3(view: View) -> Iterator[Move]:
    """Propose one more layer, or a wider one, in a sub-network that is relevant to some output."""
    for name in ("add_layer", "extend_layer"):
        for place in operators()[name].places(view.individual, True):
            network = place.component
            relevant = [o for o in view.reached.get(network, ()) if view.relevant(network, o)]
            if relevant:
                reason = f"{network} relevant for {', '.join(relevant)}"
                yield Move(name, "gentle", place, reason, "A3")


@rule("adaptive")
def A4(view: View) -> Iterator[Move]:
    """Propose to delete a sub-network that is clearly irrelevant for every output.

    The policy ``Adaptive`` follows it only for sub-networks that have been trained for some
    sessions (``grace``).
    """
    for network, outputs in view.reached.items():
        if all(view.clearly_irrelevant(network, output) for output in outputs):
            values = ", ".join(f"{view.relevance(network, output):.2f}" for output in outputs)
            reason = f"clearly irrelevant for every output (relevance {values})"
            yield Move("delete_network", "aggressive", network, reason, "A4")


@rule("adaptive")
def A5(view: View) -> Iterator[Move]:
    """Propose a donation for the one output in which an individual ranks low among its peers."""
    yield from donations(view, "A5")
