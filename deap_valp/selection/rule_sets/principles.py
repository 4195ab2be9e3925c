"""The paper's principles, over all of its metrics (paper IV-E)."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ...genome import Connection
from ...variation.operators import Move
from ..donation import donations
from ..reasons import relevance_reason, slope_reason
from ..rules import rule
from ..view import View


@rule("principles")
def P1(view: View) -> Iterator[Move]:
    """Propose aggressive growth or another rate where a loss is stuck, gentle where it falls.

    References:
        Paper IV-E 1: a converged output may be in a local optimum, which an aggressive operator
        can leave; an output that still improves is extended gently, or left alone while steep.
        V-C: the learning rate of a converged output is changed.
    """
    for network, output in view.pairs:
        state, reason = view.state(output), slope_reason(view, output)
        if state == "stuck":
            yield from _extensions(view, network, [output], view.insertion, reason, "P1")
            yield Move("change_lr", "gentle", output, reason, "P1")
        elif state == "moderate":
            yield from _extensions(view, network, [output], "gentle", reason, "P1")


@rule("principles")
def P2(view: View) -> Iterator[Move]:
    """Propose to reduce or cut a sub-network that outputs do not need, and to extend one they do.

    References:
        Paper IV-E 2: a sub-network without which no output loses much is reduced; one that outputs
        need is kept or extended gently; an output that loses nothing is disconnected from it.
    """
    for network, outputs in view.reached.items():
        relevant = [output for output in outputs if view.relevant(network, output)]
        irrelevant = [output for output in outputs if output not in relevant]
        if not relevant:
            reason = f"irrelevant for every output {relevance_reason(view, network, outputs)}"
            yield from _reductions(view, network, reason, "P2")
        for output in irrelevant:
            measured = relevance_reason(view, network, [output])
            reason = f"{network} irrelevant for {output} {measured}"
            for place in view.cutting(network, output):
                yield Move("delete_connection", "aggressive", place, reason, "P2")
        if relevant and not any(view.state(output) == "steep" for output in relevant):
            reason = f"relevant for {', '.join(relevant)}"
            yield from _extensions(view, network, relevant, "gentle", reason, "P2")


@rule("principles")
def P3(view: View) -> Iterator[Move]:
    """Propose to delete an input that no output needs, or a connection that serves only such.

    References:
        Paper IV-E 3: where an input is not very relevant to an output, deleting a connection on
        the path between them is advisable.
    """
    relevance = view.measured("input_intervention")
    deletable = set(view.places("delete_connection", "aggressive"))
    for name in view.individual.inputs:
        measured = {output: r for (source, output), r in relevance.items() if source == name}
        needless = {output for output, r in measured.items() if r <= view.limit(output)}
        if measured and needless == set(measured):
            reason = _input_reason(name, measured, needless)
            yield Move("delete_input", "aggressive", name, reason, "P3")
        for receiver in view.individual.receivers(name):
            place, reached = Connection(name, receiver), set(view.reached.get(receiver, ()))
            if place in deletable and reached and reached <= needless:
                reason = _input_reason(name, measured, reached)
                yield Move("delete_connection", "aggressive", place, reason, "P3")


@rule("principles")
def P4(view: View) -> Iterator[Move]:
    """Propose to extend a sub-network that adds to what it reads, and to reduce one that does not.

    A sub-network adds to what it reads if the metric ``dependency``, or ``mutual_information``
    where it was measured, is larger for its result than for the results it reads.

    References:
        Paper IV-E 4: a sub-network whose result tells more about an output than the results it
        reads is extended gently or left alone; one whose result tells no more is reduced.
    """
    for network, gains in _dependency_gains(view).items():
        values = ", ".join(f"{output} {gain:+.2f}" for output, gain in gains)
        helped = [output for output, gain in gains if gain > 0]
        if helped:
            reason = f"adds to what it reads ({values})"
            yield from _extensions(view, network, helped, "gentle", reason, "P4")
        else:
            reason = f"adds nothing to what it reads ({values})"
            yield from _reductions(view, network, reason, "P4")


@rule("principles")
def P5(view: View) -> Iterator[Move]:
    """Propose a donation for the one output in which an individual ranks low among its peers.

    References:
        Paper IV-E 5: a model with all but one output in the higher part of their rankings can
        become the host of the exclusive subgraph of a model with a high rank in that output.
    """
    yield from donations(view, "P5")


# ---- what several principles propose -------------------------------------------------------------


def _extensions(
    view: View, network: str, outputs: Sequence[str], version: str, reason: str, name: str
) -> Iterator[Move]:
    """Yield the extenders at a sub-network that change something on the way to some outputs."""
    yield Move("clone_network", version, network, reason, name)
    for receiver in view.individual.receivers(network):
        if any(view.leads_to(receiver, output) for output in outputs):
            yield Move("insert_network", version, Connection(network, receiver), reason, name)
    for place in view.places("add_connection", version):
        leads = any(view.leads_to(place.component, output) for output in outputs)
        if leads and network in place.touched:
            yield Move("add_connection", version, place, reason, name)
    for operator in ("add_layer", "extend_layer"):
        for place in view.places(operator, version):
            if place.component == network:
                yield Move(operator, version, place, reason, name)


def _reductions(view: View, network: str, reason: str, name: str) -> Iterator[Move]:
    """Yield the deletion of a sub-network and of each of its layers."""
    yield Move("delete_network", "aggressive", network, reason, name)
    for place in view.places("remove_layer", "aggressive"):
        if place.component == network:
            yield Move("remove_layer", "aggressive", place, reason, name)


def _input_reason(name: str, measured: Mapping[str, float], outputs: Collection[str]) -> str:
    named = sorted(outputs)
    values = ", ".join(f"{measured[output]:.2f}" for output in named)
    return f"input {name} irrelevant for {', '.join(named)} (relevance {values})"


def _dependency_gains(view: View) -> dict[str, list[tuple[str, float]]]:
    """Return what each sub-network adds for each output, by the metric that says the most."""
    information = view.diagnosis.measured.get("mutual_information", {})
    gains: dict[str, list[tuple[str, float]]] = {}
    for key, found in view.measured("dependency").items():
        network, output = key
        gain = found.gain
        if key in information:
            gain = max(gain, information[key].gain)
        gains.setdefault(network, []).append((output, gain))
    return gains
