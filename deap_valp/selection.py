"""Which operator goes where: rules over a diagnosis, policies, and ``selMutation``.

References:
    Paper VII-B (the guidelines), VII-C (thresholds), VII-D (hierarchy); IV-E.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from .diagnosis import Diagnosis, Slope
from .errors import RegistrationError
from .genome import VALP, connection, ends
from .operators import VERSIONS, Move, moves, operators

MACRO = "macro"


@dataclass(frozen=True)
class Thresholds:
    """When a loss counts as stuck or steep, and a sub-network as relevant (paper VII-C).

    Attributes:
        stuck: A slope above it is stuck.
        steep: A slope below it is steep; between the two it is moderate.
        relevance: A sub-network is relevant to an output above it: more than 20 % lost.
        deviations: A slope not below 0 by so many standard errors is stuck too (1.645: one-sided, 95 %), since
            the paper's ``stuck`` is far below the noise of a slope; None is the paper's plain rule.
    """

    stuck: float = -1e-10
    steep: float = -2e-5
    relevance: float = 1.2
    deviations: float | None = 1.645

    def state(self, slope: Slope) -> str:
        """``stuck``, ``moderate`` or ``steep``."""
        noise = self.deviations is not None and slope.slope + self.deviations * slope.error >= 0
        if noise or slope.slope > self.stuck:
            return "stuck"
        return "steep" if slope.slope < self.steep else "moderate"


class View:
    """A diagnosed individual, as rules see it."""

    def __init__(
        self, individual: VALP, diagnosis: Diagnosis, thresholds: Thresholds | Mapping[str, Thresholds]
    ) -> None:
        self.individual = individual
        self.diagnosis = diagnosis
        self._thresholds = thresholds

    def thresholds(self, output: str) -> Thresholds:
        """Those of an output."""
        return self._thresholds if isinstance(self._thresholds, Thresholds) else self._thresholds[output]

    @cached_property
    def reached(self) -> dict[str, tuple[str, ...]]:
        """By sub-network, the outputs that it contributes to."""
        return {name: tuple(sorted(self.individual.outputs_of(name))) for name in self.individual.networks}

    @property
    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every sub-network with every output that it contributes to."""
        return ((network, output) for network, outputs in self.reached.items() for output in outputs)

    def state(self, output: str) -> str:
        """Whether the loss of an output is ``stuck``, ``moderate`` or ``steep``."""
        return self.thresholds(output).state(self.diagnosis.slopes[output])

    def relevance(self, network: str, output: str) -> float:
        """Relevance of a sub-network for an output that it reaches."""
        return self.diagnosis.relevance[network, output]

    def relevant(self, network: str, output: str) -> bool:
        """Whether more is lost without the sub-network than the threshold says."""
        return self.relevance(network, output) > self.thresholds(output).relevance

    def leads_to(self, receiver: str, output: str) -> bool:
        """Whether what the receiver reads can reach the output."""
        return receiver == output or output in self.reached.get(receiver, ())

    @cached_property
    def _paths(self) -> dict[str, dict[str, int]]:
        """Number of paths by start and end."""
        graph, order = self.individual.graph, self.individual.order
        paths = {}
        for start in order:
            counts = dict.fromkeys(order, 0)
            counts[start] = 1
            for name in order:
                counts[name] += sum(counts[provider] for provider in graph.pred[name])
            paths[start] = counts
        return paths

    @cached_property
    def _deletable(self) -> list[tuple[str, str]]:
        return [ends(place) for place in operators()["delete_connection"].places(self.individual, False)]

    def cutting(self, network: str, output: str) -> list[str]:
        """Deletable connections that each, alone, cut a sub-network from one output and from no other.

        A connection cuts where every path runs through it: where the paths before it times the paths behind it are
        all the paths there are.
        """
        paths = self._paths
        return [
            connection(provider, receiver)
            for provider, receiver in self._deletable
            if [other for other in self.reached[network] if self._cut(paths, network, provider, receiver, other)]
            == [output]
        ]

    @staticmethod
    def _cut(paths: dict[str, dict[str, int]], network: str, provider: str, receiver: str, output: str) -> bool:
        return paths[network][provider] * paths[receiver][output] == paths[network][output]


Rule = Callable[[View], Iterable[Move]]
_RULES: dict[str, dict[str, Rule]] = {}


def rule(rule_set: str) -> Callable[[Rule], Rule]:
    """Add a rule to a rule set: ``function(view)`` gives moves; illegal ones among them are left out.

    Raises:
        RegistrationError: The rule set has another rule of this name.
    """

    def register(function: Rule) -> Rule:
        known = _RULES.setdefault(rule_set, {}).setdefault(function.__name__, function)
        if known.__module__ != function.__module__:
            raise RegistrationError(f"rule {function.__name__} of {rule_set} is taken by {known.__module__}")
        _RULES[rule_set][function.__name__] = function
        return function

    return register


# ---- the guidelines (paper VII-B) ----------------------------------------------------------------------------


def _slope_reason(view: View, output: str) -> str:
    return f"loss of {output} {view.state(output)} (slope {view.diagnosis.slopes[output]} per batch)"


def _relevance_reason(view: View, network: str, outputs: Sequence[str]) -> str:
    values = ", ".join(f"{view.relevance(network, output):.2f}" for output in outputs)
    limits = sorted({view.thresholds(output).relevance for output in outputs})
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
        provider, receiver = ends(place)
        for output in view.individual.outputs:
            involved = any(output in view.reached.get(end, ()) for end in (provider, receiver))
            if involved and view.state(output) == "moderate" and view.leads_to(receiver, output):
                yield Move("add_connection", "gentle", place, _slope_reason(view, output), "R2")


@rule("guidelines")
def R3(view: View) -> Iterator[Move]:
    """When a network is part of an output in a local optimum, the divide connection can be applied."""
    for network, output in view.pairs:
        if view.state(output) == "stuck":
            for receiver in view.individual.receivers(network):
                if view.leads_to(receiver, output):
                    place = connection(network, receiver)
                    yield Move("insert_network", "aggressive", place, _slope_reason(view, output), "R3")


@rule("guidelines")
def R4(view: View) -> Iterator[Move]:
    """Not relevant for some outputs, but for other ones: delete or divide connection, or the aggressive clone."""
    for network, outputs in view.reached.items():
        irrelevant = [output for output in outputs if not view.relevant(network, output)]
        if irrelevant and len(irrelevant) < len(outputs):
            reason = (
                f"irrelevant for {', '.join(irrelevant)} {_relevance_reason(view, network, irrelevant)}, not for all"
            )
            for output in irrelevant:
                for place in view.cutting(network, output):
                    yield Move("delete_connection", "aggressive", place, reason, "R4")
            for receiver in view.individual.receivers(network):
                yield Move("insert_network", "aggressive", connection(network, receiver), reason, "R4")
            yield Move("clone_network", "aggressive", network, reason, "R4")


@rule("guidelines")
def R5(view: View) -> Iterator[Move]:
    """When a network is not relevant for an output it is connected to, delete connection can be applied."""
    for network, output in view.pairs:
        if not view.relevant(network, output):
            reason = f"{network} irrelevant for {output} {_relevance_reason(view, network, [output])}"
            for place in view.cutting(network, output):
                yield Move("delete_connection", "aggressive", place, reason, "R5")


@rule("guidelines")
def R6(view: View) -> Iterator[Move]:
    """If a network is not relevant for any output, the network deletion operator can be applied."""
    for network, outputs in view.reached.items():
        if not any(view.relevant(network, output) for output in outputs):
            reason = f"irrelevant for every output {_relevance_reason(view, network, outputs)}"
            yield Move("delete_network", "aggressive", network, reason, "R6")


# ---- from proposals to a move (paper VII-D) ------------------------------------------------------------------

CLASSES = ("reducer", "aggressive extender", "gentle extender")
"""In order of priority."""


def proposal_class(move: Move) -> str:
    """``reducer``, ``aggressive extender`` or ``gentle extender``."""
    effect = operators()[move.operator].effect
    return effect if effect == "reducer" else f"{move.version} {effect}"


def propose(view: View, rule_set: str = "guidelines") -> list[Move]:
    """What the rules of a set propose for a diagnosed individual: legal moves, the same one once, in order of rules."""
    if rule_set not in _RULES:
        raise RegistrationError(f"rule sets are {list(_RULES)}, got {rule_set!r}")
    legal = {
        (op.name, VERSIONS[0] if gentle else VERSIONS[1]): frozenset(places)
        for op, gentle, places in moves(view.individual)
    }
    proposals: dict[tuple[str, str, str], Move] = {}
    for function in _RULES[rule_set].values():
        for move in function(view):
            if move.place in legal.get((move.operator, move.version), ()):
                proposals.setdefault(move.key, move)
    return list(proposals.values())


def random_move(individual: VALP, which: str | Iterable[str] = MACRO, gentle_only: bool = False) -> Move | None:
    """Uniform over the (operator, version) that have a place, then over its places; None where nothing has one."""
    candidates = [(op, gentle, places) for op, gentle, places in moves(individual, which) if gentle or not gentle_only]
    if not candidates:
        return None
    op, gentle, places = random.choice(candidates)
    return Move(op.name, VERSIONS[0] if gentle else VERSIONS[1], random.choice(places), "drawn at random", "random")


def _by_rules(
    rule_set: str,
    individual: VALP,
    barred: Collection[tuple[str, str, str]],
    thresholds: Thresholds | Mapping[str, Thresholds],
) -> Move | None:
    evaluation = individual.evaluation
    if evaluation is not None and evaluation.diagnosis is not None:
        proposals = propose(View(individual, evaluation.diagnosis, thresholds), rule_set)
        for wanted in CLASSES:
            open_ = [move for move in proposals if proposal_class(move) == wanted and move.key not in barred]
            if open_:
                return random.choice(open_)
        why = "no proposal left"
    else:
        why = "no diagnosis of this structure"
    fallback = random_move(individual, gentle_only=True) or random_move(individual)
    return fallback and Move(*fallback.key, f"{why}: gentle and random", "fallback")


POLICIES: dict[str, Callable[..., Move | None]] = {
    "random": lambda individual, barred, thresholds: random_move(individual),
    "gentle": lambda individual, barred, thresholds: random_move(individual, gentle_only=True),
}


def selMutation(
    individual: VALP,
    population: Sequence[VALP] | None = None,
    *,
    policy: str = "guidelines",
    barred: Collection[tuple[str, str, str]] = (),
    thresholds: Thresholds | Mapping[str, Thresholds] = Thresholds(),
) -> Move | None:
    """Select an operator, its version and its place: not individuals, as other ``sel*`` do.

    Changes nothing. With a rule set as policy: among the legal proposals that are not barred, one of the first
    non-empty class is drawn: reducers, aggressive extenders, gentle extenders. Without any, or without a diagnosis
    of exactly this individual (never evaluated, failed, changed since), a random gentle macro operator at a random
    place.

    Args:
        individual: Whose change is to be chosen.
        population: Its peers, for policies that compare.
        policy: A rule set (``guidelines``: the paper's, VII-B), ``random``: uniform over every (operator, version) of
            the macro operators, then over its places; ``gentle``: the same among gentle ones.
        barred: ``Move.key`` of moves that are not to be proposed, since they did not improve this individual.
        thresholds: When a loss is stuck or steep and a sub-network relevant; one for all outputs, or by output.

    Returns:
        The move, with the reason and the rule; None where no macro operator has a legal place.

    Raises:
        RegistrationError: The policy is unknown.

    References:
        Paper IV-E, VII-B to VII-D; select_operator of Fig. 4.
    """
    if policy in _RULES:
        return _by_rules(policy, individual, barred, thresholds)
    if policy not in POLICIES:
        raise RegistrationError(f"selMutation needs a policy among {[*_RULES, *POLICIES]}, got {policy!r}")
    return POLICIES[policy](individual, barred, thresholds)


def mutGuided(individual: VALP, select: Callable[[VALP], Move | None] = selMutation) -> tuple[VALP]:
    """Change the individual in place by the move that ``select`` chooses for it; untouched where it chooses none."""
    move = select(individual)
    return (individual,) if move is None else move.apply(individual)


def mutRandom(individual: VALP, operators: str | Iterable[str] = MACRO) -> tuple[VALP]:
    """Change the individual in place by a random operator: the paper's random choice.

    Uniform over every valid (operator, version), then over its places.

    Args:
        individual: Changed in place; untouched where nothing has a legal place.
        operators: A scope (``macro``, ``micro``, ``hyperparameter``), ``"all"``, or names of operators.

    References:
        Paper VI-C, the common approach of the hill climbing.
    """
    move = random_move(individual, operators)
    return (individual,) if move is None else move.apply(individual)
