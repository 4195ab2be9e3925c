"""The rules, one function each with its sentence of the paper, by rule set.

References:
    Paper VII-B (guidelines), IV-E (principles).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ..errors import RegistrationError
from ..genome import VALP, Connection, Place
from ..variation.crossover import NAME as DONATION
from ..variation.crossover import can_receive
from ..variation.operators import Move, operators
from .view import View, evaluated_peers

Rule = Callable[[View], Iterable[Move]]
RULES: dict[str, dict[str, Rule]] = {}


def rule(rule_set: str) -> Callable[[Rule], Rule]:
    """Add a rule to a rule set: ``function(view)`` gives moves; illegal ones among them are left out.

    Raises:
        RegistrationError: The rule set has another rule of this name.
    """

    def register(function: Rule) -> Rule:
        known = RULES.setdefault(rule_set, {}).setdefault(function.__name__, function)
        if known.__module__ != function.__module__:
            raise RegistrationError(
                f"rule {function.__name__} of {rule_set} is taken by {known.__module__}"
            )
        RULES[rule_set][function.__name__] = function
        return function

    return register


# ---- the guidelines (paper VII-B) ----------------------------------------------------------------


def _slope_reason(view: View, output: str) -> str:
    return (
        f"loss of {output} {view.state(output)} (slope {view.diagnosis.slopes[output]} per batch)"
    )


def _relevance_reason(view: View, network: str, outputs: Sequence[str]) -> str:
    values = ", ".join(f"{view.relevance(network, output):.2f}" for output in outputs)
    limits = sorted({view.limit(output) for output in outputs})
    return f"(relevance {values} <= {', '.join(f'{limit:.2f}' for limit in limits)})"


@rule("guidelines")
def R1(view: View) -> Iterator[Move]:
    """When a network involved in a loss function registers a steep descent, the gentle clone can be applied."""
    for network, output in view.pairs:
        if view.state(output) == "steep":
            yield Move("clone_network", "gentle", network, _slope_reason(view, output), "R1")


@rule("guidelines")
def R2(view: View) -> Iterator[Move]:
    """If a network is part of an output which is moderately descending, add connection can be applied."""
    for place in operators()["add_connection"].places(view.individual, True):
        for output in view.individual.outputs:
            involved = any(output in view.reached.get(end, ()) for end in place.touched)
            leads = view.leads_to(place.component, output)
            if involved and leads and view.state(output) == "moderate":
                yield Move("add_connection", "gentle", place, _slope_reason(view, output), "R2")


@rule("guidelines")
def R3(view: View) -> Iterator[Move]:
    """When a network is part of an output in a local optimum, the divide connection can be applied."""
    for network, output in view.pairs:
        if view.state(output) == "stuck":
            for receiver in view.individual.receivers(network):
                if view.leads_to(receiver, output):
                    place = Connection(network, receiver)
                    yield Move(
                        "insert_network", view.insertion, place, _slope_reason(view, output), "R3"
                    )


@rule("guidelines")
def R4(view: View) -> Iterator[Move]:
    """Not relevant for some outputs, but for other ones: delete or divide connection, or the aggressive clone."""
    for network, outputs in view.reached.items():
        irrelevant = [output for output in outputs if not view.relevant(network, output)]
        if irrelevant and len(irrelevant) < len(outputs):
            reason = f"irrelevant for {', '.join(irrelevant)} {_relevance_reason(view, network, irrelevant)}, not for all"
            for output in irrelevant:
                for place in view.cutting(network, output):
                    yield Move("delete_connection", "aggressive", place, reason, "R4")
            for receiver in view.individual.receivers(network):
                yield Move(
                    "insert_network", view.insertion, Connection(network, receiver), reason, "R4"
                )
            yield Move("clone_network", view.insertion, network, reason, "R4")


@rule("guidelines")
def R5(view: View) -> Iterator[Move]:
    """When a network is not relevant for an output it is connected to, delete connection can be applied."""
    for network, output in view.pairs:
        if not view.relevant(network, output):
            reason = (
                f"{network} irrelevant for {output} {_relevance_reason(view, network, [output])}"
            )
            for place in view.cutting(network, output):
                yield Move("delete_connection", "aggressive", place, reason, "R5")


@rule("guidelines")
def R6(view: View) -> Iterator[Move]:
    """If a network is not relevant for any output, the network deletion operator can be applied."""
    for network, outputs in view.reached.items():
        if not any(view.relevant(network, output) for output in outputs):
            reason = f"irrelevant for every output {_relevance_reason(view, network, outputs)}"
            yield Move("delete_network", "aggressive", network, reason, "R6")


# ---- the principles (paper IV-E) -----------------------------------------------------------------


@rule("principles")
def P1(view: View) -> Iterator[Move]:
    """Converged: an aggressive operator could take the model away from that local optimum; improving: extend gently."""
    for network, output in view.pairs:
        state, reason = view.state(output), _slope_reason(view, output)
        if state != "steep":
            yield Move(
                "clone_network",
                "aggressive" if state == "stuck" else "gentle",
                network,
                reason,
                "P1",
            )
            for receiver in view.individual.receivers(network):
                if view.leads_to(receiver, output):
                    version = view.insertion if state == "stuck" else "gentle"
                    yield Move(
                        "insert_network", version, Connection(network, receiver), reason, "P1"
                    )


@rule("principles")
def P2(view: View) -> Iterator[Move]:
    """Loss not great for any output: reduce; significant: keep or extend gently; an output unaffected: disconnect."""
    for network, outputs in view.reached.items():
        relevant = [output for output in outputs if view.relevant(network, output)]
        irrelevant = [output for output in outputs if output not in relevant]
        if not relevant:
            reason = f"irrelevant for every output {_relevance_reason(view, network, outputs)}"
            yield Move("delete_network", "aggressive", network, reason, "P2")
        for output in irrelevant:
            reason = (
                f"{network} irrelevant for {output} {_relevance_reason(view, network, [output])}"
            )
            for place in view.cutting(network, output):
                yield Move("delete_connection", "aggressive", place, reason, "P2")
        if relevant and not any(view.state(output) == "steep" for output in relevant):
            reason = f"relevant for {', '.join(relevant)}"
            yield Move("clone_network", "gentle", network, reason, "P2")


@rule("principles")
def P3(view: View) -> Iterator[Move]:
    """An input not very relevant to the output: deleting a connection on the path between them is advisable."""
    deletable = set(operators()["delete_connection"].places(view.individual, False))
    relevance = view.measured("input_intervention")
    for name in view.individual.inputs:
        needless = {o for (i, o), r in relevance.items() if i == name and r <= view.limit(o)}
        for receiver in view.individual.receivers(name):
            place, reached = Connection(name, receiver), set(view.reached.get(receiver, ()))
            if place in deletable and reached and reached <= needless:
                values = ", ".join(f"{relevance[name, output]:.2f}" for output in sorted(reached))
                reason = (
                    f"input {name} irrelevant for {', '.join(sorted(reached))} (relevance {values})"
                )
                yield Move("delete_connection", "aggressive", place, reason, "P3")


@rule("principles")
def P4(view: View) -> Iterator[Move]:
    """A larger dependency than its predecessor's: extend gently or leave; not improved: a reducer can be applied."""
    by_network: dict[str, list[tuple[str, float]]] = {}
    for (network, output), found in view.measured("dependency").items():
        by_network.setdefault(network, []).append((output, found.gain))
    for network, gains in by_network.items():
        values = ", ".join(f"{output} {gain:+.2f}" for output, gain in gains)
        if all(gain <= 0 for _, gain in gains):
            reason = f"adds nothing to what it reads ({values})"
            yield Move("delete_network", "aggressive", network, reason, "P4")
        else:
            yield Move(
                "clone_network", "gentle", network, f"adds to what it reads ({values})", "P4"
            )


@rule("principles")
def P5(view: View) -> Iterator[Move]:
    """All but one output in the higher part of their rankings: host a top model's exclusive subgraph of that one."""
    yield from donations(view, "P5")


def donations(view: View, name: str) -> Iterator[Move]:
    """The move that brings the one output below the upper half the exclusive subgraph of the best peer that has one."""
    low = [output for output in view.ranks if not view.upper_half(output)]
    if len(low) != 1:
        return
    (output,) = low
    donors = sorted(
        (
            peer
            for peer in evaluated_peers(view.individual, view.population)
            if peer.exclusive(output)
        ),
        key=lambda peer: objective(peer, output),
    )
    for donor in donors:
        better = objective(donor, output) < objective(view.individual, output)
        if better and can_receive(view.individual, donor, output):
            reason = f"rank {view.ranks[output]} for {output}, in the upper half for all others"
            yield Move(DONATION, "aggressive", output, reason, name, donor=donor)
            return


def objective(individual: VALP, output: str) -> float:
    """Value of an output in the individual's own evaluation."""
    evaluation = individual.evaluation
    assert evaluation is not None
    return evaluation[evaluation.objectives.index(output)]


# ---- adaptive (not of the paper) -----------------------------------------------------------------


@rule("adaptive")
def A1(view: View) -> Iterator[Move]:
    """Loss still falls: gentle clones, connections and insertions at sub-networks that are relevant to the output."""
    touching: dict[str, list[Place]] = {}
    for place in operators()["add_connection"].places(view.individual, True):
        for end in place.touched:
            touching.setdefault(end, []).append(place)
    for network, output in view.pairs:
        if view.state(output) == "stuck" or not view.relevant(network, output):
            continue
        reason = f"{network} relevant for {output} ({view.relevance(network, output):.2f}), {_slope_reason(view, output)}"
        yield Move("clone_network", "gentle", network, reason, "A1")
        for receiver in view.individual.receivers(network):
            if view.leads_to(receiver, output):
                yield Move("insert_network", "gentle", Connection(network, receiver), reason, "A1")
        for connection in touching.get(network, ()):
            if view.leads_to(connection.component, output):
                yield Move("add_connection", "gentle", connection, reason, "A1")


@rule("adaptive")
def A2(view: View) -> Iterator[Move]:
    """Loss does not fall: gentle insertions on the way from relevant sub-networks to the output."""
    for network, output in view.pairs:
        if view.state(output) == "stuck" and view.relevant(network, output):
            reason = f"{network} relevant for {output}, {_slope_reason(view, output)}"
            for receiver in view.individual.receivers(network):
                if view.leads_to(receiver, output):
                    yield Move(
                        "insert_network", "gentle", Connection(network, receiver), reason, "A2"
                    )


@rule("adaptive")
def A3(view: View) -> Iterator[Move]:
    """Relevant, whatever the loss does: one more layer, or a wider one, gently."""
    for name in ("add_layer", "extend_layer"):
        for place in operators()[name].places(view.individual, True):
            network = place.component
            relevant = [o for o in view.reached.get(network, ()) if view.relevant(network, o)]
            if relevant:
                yield Move(
                    name, "gentle", place, f"{network} relevant for {', '.join(relevant)}", "A3"
                )


@rule("adaptive")
def A4(view: View) -> Iterator[Move]:
    """Clearly irrelevant for every output, and old enough to have shown it: delete."""
    for network, outputs in view.reached.items():
        if all(view.clearly_irrelevant(network, output) for output in outputs):
            values = ", ".join(f"{view.relevance(network, output):.2f}" for output in outputs)
            reason = f"clearly irrelevant for every output (relevance {values})"
            yield Move("delete_network", "aggressive", network, reason, "A4")


@rule("adaptive")
def A5(view: View) -> Iterator[Move]:
    """In a population: all but one output in the upper half of their rankings: receive a top model's subgraph."""
    yield from donations(view, "A5")
