"""Policies: each chooses one of the possible moves.

A policy is called with a ``Situation`` and returns a ``Move``, or None if nothing has a legal
place. The policies here are objects with parameters. A user's own can be any callable.

References:
    Paper VII-D (hierarchy), VI-C (the random choice), IV-E.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from ..arguments import need_type
from ..errors import RegistrationError
from ..genome import VALP, Place
from ..text import shortened
from ..variation.crossover import NAME as DONATION
from ..variation.operators import Move, moves, operators, version_name
from .rules import RULES, Rule
from .view import AllThresholds, Thresholds, View

CLASSES = ("donation", "reducer", "aggressive extender", "gentle extender")
"""The classes of proposals in order of priority.

The order among mutations is the paper's (VII-D). A donation, which only a population can propose,
comes first.
"""


@dataclass(frozen=True)
class Situation:
    """The individual that a policy chooses a move for, and what is known around it.

    Attributes:
        individual: The individual to be changed.
        population: The peers of the individual; empty if it has none.
        barred: The ``Move.key`` of each move that policies by rules must not propose.
    """

    individual: VALP
    population: Sequence[VALP] = ()
    barred: Collection[tuple[str, str, str]] = ()


logger = logging.getLogger("deap_valp")

SHIPPED = f"{__package__}.rule_sets."
"""Where the rules of this package are. They leave it to ``propose`` to drop what is illegal."""

_COMPLAINED: set[Rule] = set()

Policy = Callable[[Situation], Move | None]


# ---- by rules ------------------------------------------------------------------------------------


def proposal_class(move: Move) -> str:
    """Return the class of a move, one of ``CLASSES``.

    A change of a hyperparameter is drawn among the aggressive extenders: rules propose either where
    a loss is stuck.
    """
    if move.operator == DONATION:
        return "donation"
    operator = operators()[move.operator]
    if operator.effect == "reducer":
        return "reducer"
    if operator.scope == "hyperparameter":
        return "aggressive extender"
    return f"{move.version} {operator.effect}"


def propose(view: View, rule_set: str = "guidelines") -> list[Move]:
    """Return the legal moves that the rules of a set propose for a diagnosed individual.

    The moves are in the order of the rules. A move that several rules propose is in the list once,
    with the reason of the first.

    Raises:
        RegistrationError: The rule set is unknown, or a rule yields something that is no move of a
            registered operator.
    """
    if rule_set not in RULES:
        raise RegistrationError(f"rule sets are {list(RULES)}, got {rule_set!r}")
    legal: dict[tuple[str, str], frozenset[str]] = {}
    proposals: dict[tuple[str, str, str], Move] = {}
    for function in RULES[rule_set].values():
        for move in function(view):
            _need_move(move, function)
            kind = move.operator, move.version
            if kind not in legal:
                legal[kind] = frozenset(view.places(*kind))
            if move.donor is not None or move.place in legal[kind]:
                proposals.setdefault(move.key, move)
            else:
                _say_illegal(function, move, legal[kind])
    return list(proposals.values())


def _need_move(move: object, function: Rule) -> None:
    """Raise unless a rule has yielded a move of a registered operator."""
    who = f"rule {function.__name__!r}"
    need_type(
        move, Move, who, "to yield Moves, as Move(operator, version, place)", RegistrationError
    )
    assert isinstance(move, Move)
    if move.operator not in operators():
        raise RegistrationError(
            f"{who} needs an operator among {list(operators())}, got {move.operator!r}"
        )


def _say_illegal(function: Rule, move: Move, legal: frozenset[str]) -> None:
    """Log a proposal that is left out, once for each rule in a process."""
    if function in _COMPLAINED or function.__module__.startswith(SHIPPED):
        return
    _COMPLAINED.add(function)
    logger.warning(
        "rule %r proposed %s (%s) at %r, which is none of its legal places (%s), so the proposal "
        "is left out; the next ones of this rule are left out without a word",
        function.__name__,
        move.operator,
        move.version,
        move.place,
        shortened(", ".join(sorted(legal)) or "there is none"),
    )


@dataclass(frozen=True)
class ByRules:
    """Draw one of the proposals of a rule set, from the first class that has any.

    If there is no proposal, or no diagnosis of exactly this individual, a random gentle macro
    operator is drawn.

    Attributes:
        rule_set: ``guidelines``, ``principles``, or a rule set that was added with ``rule``.
        thresholds: The numbers that say when a loss is stuck or steep and a component relevant;
            the same for all outputs, or by output.
        grace: Number of training sessions for which reducers leave a new sub-network, its layers
            and its connections alone, because a new random one is irrelevant until it is trained.
            The paper's is 0.
        classes: The classes of proposals in order of priority.
        insertion: The version in which R3, R4 and P1 insert a sub-network, and in which R4 clones.
    """

    rule_set: str = "guidelines"
    thresholds: AllThresholds = Thresholds()
    grace: int = 0
    classes: tuple[str, ...] = CLASSES
    insertion: str = "aggressive"

    def __call__(self, situation: Situation) -> Move | None:
        """Return the chosen move."""
        proposals = self.proposals(situation)
        for wanted in self.classes:
            open_ = [move for move in proposals if proposal_class(move) == wanted]
            if open_:
                return random.choice(open_)
        return self.fallback(situation)

    def proposals(self, situation: Situation) -> list[Move]:
        """Return the proposals that are not barred; none if the individual has no diagnosis."""
        evaluation = situation.individual.evaluation
        if evaluation is None or evaluation.diagnosis is None:
            return []
        view = View(
            situation.individual,
            evaluation.diagnosis,
            self.thresholds,
            situation.population,
            self.insertion,
        )
        return [
            move
            for move in propose(view, self.rule_set)
            if move.key not in situation.barred and not self._too_young(situation.individual, move)
        ]

    def _too_young(self, individual: VALP, move: Move) -> bool:
        """Return whether the move reduces a sub-network that is still in its ``grace``."""
        if proposal_class(move) != "reducer":
            return False
        networks = [name for name in Place.named(move.place).touched if name in individual.networks]
        return any(individual.age(name) <= self.grace for name in networks)

    def fallback(self, situation: Situation) -> Move | None:
        """Return a random gentle operator at a random place (paper VII-D)."""
        evaluation = situation.individual.evaluation
        diagnosed = evaluation is not None and evaluation.diagnosis is not None
        why = "no proposal left" if diagnosed else UNDIAGNOSED
        return explored(situation.individual, why)


@dataclass(frozen=True)
class Adaptive(ByRules):
    """Grow gently where it matters, for each output in turn, and delete late.

    The proposals are those of the rule set ``adaptive``. In a share of the draws, a deletion is
    chosen. Otherwise three things are drawn one after the other: an output, so that an output with
    many sub-networks does not get every change; an operator among the proposals on the way to that
    output; and one of the proposals of that operator. A donation, which only a population can
    propose, counts as an operator. ``classes`` and ``insertion`` have no effect.

    Attributes:
        deletions: The share of the draws that choose a deletion, if one is proposed.
    """

    rule_set: str = "adaptive"
    grace: int = 3
    deletions: float = 0.5

    def __call__(self, situation: Situation) -> Move | None:
        """Return the chosen move."""
        proposals = self.proposals(situation)
        reducers = [move for move in proposals if proposal_class(move) == "reducer"]
        others = [move for move in proposals if proposal_class(move) != "reducer"]
        if reducers and (not others or random.random() < self.deletions):
            return random.choice(reducers)
        if not others:
            return self.fallback(situation)
        served = _by_output(situation.individual, others) or {"": others}
        moves_ = served[random.choice(sorted(served))]
        name = random.choice(sorted({move.operator for move in moves_}))
        return random.choice([move for move in moves_ if move.operator == name])


def _by_output(individual: VALP, proposals: Iterable[Move]) -> dict[str, list[Move]]:
    """Return, by output, the moves that change something on the way to it."""
    above = individual.ancestors()
    served: dict[str, list[Move]] = {}
    for move in proposals:
        changed = Place.named(move.place).component
        for output in individual.outputs:
            if changed == output or changed in above[output]:
                served.setdefault(output, []).append(move)
    return served


# ---- without a diagnosis -------------------------------------------------------------------------


def random_move(
    individual: VALP, which: str | Iterable[str] = "macro", gentle_only: bool = False
) -> Move | None:
    """Return a move drawn uniformly over the (operator, version) with a legal place.

    Its place is drawn uniformly after that. The result is None if nothing has a legal place.

    Args:
        individual: The individual to draw a move for.
        which: The operators to draw from: a scope, ``"all"``, or names of operators.
        gentle_only: Whether only gentle versions are drawn.
    """
    candidates = [
        (op, gentle, places)
        for op, gentle, places in moves(individual, which)
        if gentle or not gentle_only
    ]
    if not candidates:
        return None
    op, gentle, places = random.choice(candidates)
    return Move(op.name, version_name(gentle), random.choice(places), "drawn at random", "random")


UNDIAGNOSED = "no diagnosis of this structure"
"""The reason of a random move where there is no diagnosis of exactly this individual."""


def explored(individual: VALP, why: str) -> Move | None:
    """Return a random macro move: a gentle one, or an aggressive one where none is gentle.

    Args:
        individual: The individual to draw a move for.
        why: The reason why nothing better is known.
    """
    move, how = random_move(individual, gentle_only=True), "gentle and random"
    if move is None:
        move, how = random_move(individual), "random"
    return move and Move(*move.key, f"{why}: {how}", "fallback")


@dataclass(frozen=True)
class AtRandom:
    """Draw uniformly over every (operator, version) with a legal place, then over its places.

    Barred moves can be drawn again.

    Attributes:
        operators: The operators to draw from: a scope, ``"all"``, or names of operators.
        gentle_only: Whether only gentle versions are drawn. They are network morphisms, which NASH
            searches by (Elsken et al. 2017).
    """

    operators: str | tuple[str, ...] = "macro"
    gentle_only: bool = False

    def __call__(self, situation: Situation) -> Move | None:
        """Return the drawn move."""
        return random_move(situation.individual, self.operators, self.gentle_only)


@dataclass(frozen=True)
class FixedProbabilities:
    """Draw an (operator, version) with fixed probabilities, then one of its places uniformly.

    Only those with a legal place take part.

    Attributes:
        probabilities: The probability of each (operator, version), relative to the others. One
            that is not named is never drawn.

    Raises:
        RegistrationError: An (operator, version) does not exist, or a probability is negative or
            not finite.
    """

    probabilities: Mapping[tuple[str, str], float] = field(
        default_factory=lambda: {
            (op.name, version): 1.0 for op in operators("macro").values() for version in op.versions
        }
    )

    def __post_init__(self) -> None:
        known = {(op.name, version) for op in operators().values() for version in op.versions}
        for arm, probability in self.probabilities.items():
            if arm not in known or not 0 <= probability < math.inf:
                raise RegistrationError(
                    "FixedProbabilities needs finite probabilities from 0 on, by (operator, "
                    f"version) among {sorted(known)}, got {arm}: {probability}"
                )

    def __call__(self, situation: Situation) -> Move | None:
        """Return the drawn move."""
        return _weighted(
            situation.individual, self.probabilities, "drawn with a fixed probability", "fixed"
        )


def _weighted(
    individual: VALP, weights: Mapping[tuple[str, str], float], reason: str, rule: str
) -> Move | None:
    available = _places_by_arm(individual)
    arms = [arm for arm in weights if arm in available and weights[arm] > 0]
    if not arms:
        return None
    arm = random.choices(arms, [weights[arm] for arm in arms])[0]
    return Move(*arm, random.choice(available[arm]), reason, rule)


def _places_by_arm(
    individual: VALP, which: str | Iterable[str] = "all"
) -> dict[tuple[str, str], Sequence[Place]]:
    """Return the legal places of every (operator, version) that has one."""
    return {
        (op.name, version_name(gentle)): places for op, gentle, places in moves(individual, which)
    }


class Bandit:
    """Choose the (operator, version) with the highest upper confidence bound on its mean reward.

    The reward of a move is the share of the outputs that it improved. The bandit learns from every
    candidate that is given to ``feedback``. The searches of this package do that if the toolbox
    has it: ``toolbox.register("feedback", bandit.feedback)``.

    Args:
        scope: The operators to choose among: a scope, ``"all"``, or names of operators.
        exploration: The factor of the width of the confidence bound.

    References:
        Auer et al. 2002, UCB1.
    """

    def __init__(self, scope: str | tuple[str, ...] = "macro", exploration: float = 0.5) -> None:
        self.scope = scope
        self.exploration = exploration
        self.counts: dict[tuple[str, str], int] = {}
        self.rewards: dict[tuple[str, str], float] = {}

    def __call__(self, situation: Situation) -> Move | None:
        """Return the chosen move."""
        available = _places_by_arm(situation.individual, self.scope)
        if not available:
            return None
        bounds = {arm: self._bound(arm) for arm in available}
        best = max(bounds.values())
        arm = random.choice([arm for arm, bound in bounds.items() if bound == best])
        tried = self.counts.get(arm, 0)
        mean = (
            f"mean reward {self.rewards[arm] / tried:.2f} of {tried}" if tried else "not tried yet"
        )
        return Move(*arm, random.choice(available[arm]), mean, "bandit")

    def _bound(self, arm: tuple[str, str]) -> float:
        count = self.counts.get(arm, 0)
        if not count:
            return math.inf
        return self.rewards[arm] / count + self.exploration * math.sqrt(
            math.log(sum(self.counts.values())) / count
        )

    def feedback(self, candidate: VALP) -> None:
        """Learn from an evaluated individual that ``Move.apply`` made."""
        decision, evaluation = candidate.decision, candidate.evaluation
        if decision is None or evaluation is None or not decision.before:
            return
        outputs = len(candidate.outputs)
        pairs = zip(evaluation[:outputs], decision.before[:outputs], strict=True)
        reward = 0.0
        if evaluation.ok:
            reward = sum(after < before for after, before in pairs) / outputs
        arm = (decision.move.operator, decision.move.version)
        self.counts[arm] = self.counts.get(arm, 0) + 1
        self.rewards[arm] = self.rewards.get(arm, 0.0) + reward


def nothing(situation: Situation) -> None:
    """Return None, so that nothing is changed and the search only goes on training.

    This is the control for comparisons of policies: a candidate has always been trained for longer
    than its incumbent, and so is better without any change.
    """


POLICIES: dict[str, Callable[[], Policy]] = {
    "guidelines": ByRules,
    "principles": partial(ByRules, "principles"),
    "adaptive": Adaptive,
    "random": AtRandom,
    "gentle": partial(AtRandom, gentle_only=True),
    "fixed": FixedProbabilities,
    "retrain": lambda: nothing,
}
"""The policies by name: each entry makes the policy with its default parameters."""
