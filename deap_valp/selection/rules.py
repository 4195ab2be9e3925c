"""The rules by rule set. Each is a function that proposes moves for a diagnosed individual.

References:
    Paper VII-B (guidelines), IV-E (principles). The rule set ``adaptive`` is not of the paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from ..arguments import got
from ..errors import RegistrationError
from ..genome import VALP, Connection, Place
from ..variation.crossover import NAME as DONATION
from ..variation.crossover import can_receive
from ..variation.operators import Move, operators
from .view import View

Rule = Callable[[View], Iterable[Move]]
RULES: dict[str, dict[str, Rule]] = {}
"""The rules by rule set and name."""


def rule(rule_set: str) -> Callable[[Rule], Rule]:
    """Add the decorated function to a rule set.

    The function takes a ``View`` and yields moves. Moves that are illegal for the individual are
    left out later, so a rule need not check them.

    Args:
        rule_set: The name of the rule set. It is made if it does not exist.

    Raises:
        RegistrationError: The name is not a string, or the rule set has another rule of this name.
    """
    if not isinstance(rule_set, str):
        raise RegistrationError(
            f"rule needs the name of a rule set, as in @rule('guidelines'), got {got(rule_set)}"
        )

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
    slope = view.diagnosis.slopes[output]
    return f"loss of {output} {view.state(output)} (slope {slope} per batch)"


def _relevance_reason(view: View, network: str, outputs: Sequence[str]) -> str:
    values = ", ".join(f"{view.relevance(network, output):.2f}" for output in outputs)
    limits = sorted({view.limit(output) for output in outputs})
    return f"(relevance {values} <= {', '.join(f'{limit:.2f}' for limit in limits)})"


@rule("guidelines")
def R1(view: View) -> Iterator[Move]:
    """Propose a gentle clone of a sub-network while the loss of one of its outputs is steep.

    References:
        Paper VII-B: "When a network involved in a loss function registers a steep descent, the
        gentle version of the network cloning mutation can be applied."
    """
    for network, output in view.pairs:
        if view.state(output) == "steep":
            yield Move("clone_network", "gentle", network, _slope_reason(view, output), "R1")


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
                yield Move("add_connection", "gentle", place, _slope_reason(view, output), "R2")


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
                    place, reason = Connection(network, receiver), _slope_reason(view, output)
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
            measured = _relevance_reason(view, network, irrelevant)
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
            measured = _relevance_reason(view, network, [output])
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
            reason = f"irrelevant for every output {_relevance_reason(view, network, outputs)}"
            yield Move("delete_network", "aggressive", network, reason, "R6")


# ---- the principles (paper IV-E) -----------------------------------------------------------------


@rule("principles")
def P1(view: View) -> Iterator[Move]:
    """Propose aggressive growth where a loss is stuck, gentle growth where it falls moderately.

    References:
        Paper IV-E 1: a converged output may be in a local optimum, which an aggressive operator
        can leave; an output that still improves is extended gently, or left alone while steep.
    """
    for network, output in view.pairs:
        state, reason = view.state(output), _slope_reason(view, output)
        if state == "steep":
            continue
        clone, insertion = "gentle", "gentle"
        if state == "stuck":
            clone, insertion = "aggressive", view.insertion
        yield Move("clone_network", clone, network, reason, "P1")
        for receiver in view.individual.receivers(network):
            if view.leads_to(receiver, output):
                place = Connection(network, receiver)
                yield Move("insert_network", insertion, place, reason, "P1")


@rule("principles")
def P2(view: View) -> Iterator[Move]:
    """Propose to delete or cut a sub-network that outputs do not need, and to clone one they do.

    References:
        Paper IV-E 2: a sub-network without which no output loses much is reduced; one that outputs
        need is kept or extended gently; an output that loses nothing is disconnected from it.
    """
    for network, outputs in view.reached.items():
        relevant = [output for output in outputs if view.relevant(network, output)]
        irrelevant = [output for output in outputs if output not in relevant]
        if not relevant:
            reason = f"irrelevant for every output {_relevance_reason(view, network, outputs)}"
            yield Move("delete_network", "aggressive", network, reason, "P2")
        for output in irrelevant:
            measured = _relevance_reason(view, network, [output])
            reason = f"{network} irrelevant for {output} {measured}"
            for place in view.cutting(network, output):
                yield Move("delete_connection", "aggressive", place, reason, "P2")
        if relevant and not any(view.state(output) == "steep" for output in relevant):
            reason = f"relevant for {', '.join(relevant)}"
            yield Move("clone_network", "gentle", network, reason, "P2")


@rule("principles")
def P3(view: View) -> Iterator[Move]:
    """Propose to delete a connection of an input that is irrelevant for all outputs behind it.

    References:
        Paper IV-E 3: where an input is not very relevant to an output, deleting a connection on
        the path between them is advisable.
    """
    deletable = set(operators()["delete_connection"].places(view.individual, False))
    relevance = view.measured("input_intervention")
    for name in view.individual.inputs:
        needless = {o for (i, o), r in relevance.items() if i == name and r <= view.limit(o)}
        for receiver in view.individual.receivers(name):
            place, reached = Connection(name, receiver), set(view.reached.get(receiver, ()))
            if place in deletable and reached and reached <= needless:
                values = ", ".join(f"{relevance[name, output]:.2f}" for output in sorted(reached))
                outputs = ", ".join(sorted(reached))
                reason = f"input {name} irrelevant for {outputs} (relevance {values})"
                yield Move("delete_connection", "aggressive", place, reason, "P3")


@rule("principles")
def P4(view: View) -> Iterator[Move]:
    """Propose to clone a sub-network that adds to what it reads, and to delete one that does not.

    References:
        Paper IV-E 4: a sub-network whose result tells more about an output than the results it
        reads is extended gently or left alone; one whose result tells no more is reduced.
    """
    by_network: dict[str, list[tuple[str, float]]] = {}
    for (network, output), found in view.measured("dependency").items():
        by_network.setdefault(network, []).append((output, found.gain))
    for network, gains in by_network.items():
        values = ", ".join(f"{output} {gain:+.2f}" for output, gain in gains)
        if all(gain <= 0 for _, gain in gains):
            reason = f"adds nothing to what it reads ({values})"
            yield Move("delete_network", "aggressive", network, reason, "P4")
        else:
            reason = f"adds to what it reads ({values})"
            yield Move("clone_network", "gentle", network, reason, "P4")


@rule("principles")
def P5(view: View) -> Iterator[Move]:
    """Propose a donation for the one output in which an individual ranks low among its peers.

    References:
        Paper IV-E 5: a model with all but one output in the higher part of their rankings can
        become the host of the exclusive subgraph of a model with a high rank in that output.
    """
    yield from donations(view, "P5")


def donations(view: View, name: str) -> Iterator[Move]:
    """Yield one donation if exactly one output is below the upper half of its ranking, else none.

    The individual receives the exclusive subgraph of that output: the sub-networks from which no
    other output can be reached. The donor is the best peer in that output that has an exclusive
    subgraph, is better than the individual, and fits.
    """
    low = [output for output in view.ranks if not view.upper_half(output)]
    if len(low) != 1:
        return
    (output,) = low
    own = objective(view.individual, output)
    better = [peer for peer in view.peers if objective(peer, output) < own]
    for donor in sorted(better, key=lambda peer: objective(peer, output)):
        if donor.exclusive(output) and can_receive(view.individual, donor, output):
            reason = f"rank {view.ranks[output]} for {output}, in the upper half for all others"
            yield Move(DONATION, "aggressive", output, reason, name, donor=donor)
            return


def objective(individual: VALP, output: str) -> float:
    """Return the objective of one output from the evaluation of an individual."""
    evaluation = individual.evaluation
    assert evaluation is not None
    return evaluation[evaluation.objectives.index(output)]


# ---- adaptive (not of the paper) -----------------------------------------------------------------


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
        relevance, falling = view.relevance(network, output), _slope_reason(view, output)
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
            reason = f"{network} relevant for {output}, {_slope_reason(view, output)}"
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
