"""``selMutation``, and the mutations that use it.

References:
    Paper IV-E, VII-B to VII-D; ``select_operator`` of Fig. 4.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from ..errors import RegistrationError
from ..genome import VALP
from ..variation.operators import Move
from .policies import POLICIES, ByRules, Policy, Situation, random_move
from .rules import RULES


def selMutation(
    individual: VALP,
    population: Sequence[VALP] | None = None,
    *,
    policy: str | Policy = "adaptive",
    barred: Collection[tuple[str, str, str]] = (),
) -> Move | None:
    """Select an operator, its version and its place: not individuals, as other ``sel*`` do.

    Changes nothing. The default is ``adaptive``: gentle growth at what is relevant, for each output
    in turn, and late deletion. It had the highest median of those measured, though not above
    ``gentle`` with certainty (docs/selection.md). The paper's is ``guidelines``: among the legal
    proposals of its rules that are not barred, one of the first non-empty class is drawn: reducers,
    aggressive extenders, gentle extenders. Without any proposal, or without a diagnosis of exactly
    this individual (never evaluated, failed, changed since), both take a random gentle macro
    operator at a random place.

    Args:
        individual: Whose change is to be chosen.
        population: Its peers, for policies that compare; the individual itself may be among them.
        policy: A name: ``adaptive``, ``guidelines`` (paper VII-B), ``principles`` (paper IV-E, on
            all five metrics), ``random`` (uniform over every (operator, version) of the macro
            operators, then over its places), ``gentle`` (the same among gentle ones), ``fixed``,
            ``retrain`` (no change), or any rule set added with
            ``rule``. Or a policy with parameters: ``ByRules``, ``Adaptive``, ``AtRandom``,
            ``FixedProbabilities``,
            ``Bandit``, or a callable from ``Situation`` to ``Move``.
        barred: ``Move.key`` of moves that are not to be proposed, since they did not improve this
            individual; heeded by policies that follow rules, not by those that draw.

    Returns:
        The move, with the reason and the rule; None where nothing has a legal place, or the policy
        wants no change.

    Raises:
        RegistrationError: The policy is unknown.
        EvaluationError: The evaluation did not measure what a rule of the policy needs.

    References:
        Paper IV-E, VII-B to VII-D; select_operator of Fig. 4.
    """
    chosen = named_policy(policy) if isinstance(policy, str) else policy
    return chosen(Situation(individual, population or (), barred))


def named_policy(name: str) -> Policy:
    """The policy of this name with its defaults.

    Raises:
        RegistrationError: There is none.
    """
    if name in POLICIES:
        return POLICIES[name]()
    if name in RULES:
        return ByRules(name)
    raise RegistrationError(
        f"selMutation needs a policy among {list(dict.fromkeys([*POLICIES, *RULES]))}, got {name!r}"
    )


def mutGuided(individual: VALP, select: Callable[[VALP], Move | None] = selMutation) -> tuple[VALP]:
    """Change the individual in place by the move that ``select`` chooses for it; untouched where it chooses none."""
    move = select(individual)
    return (individual,) if move is None else move.apply(individual)


def mutRandom(individual: VALP, operators: str | Iterable[str] = "macro") -> tuple[VALP]:
    """Change the individual in place by a random operator: the paper's random choice.

    Uniform over every valid (operator, version), then over its places.

    Args:
        individual: Changed in place; untouched where nothing has a legal place.
        operators: A scope (``macro``, ``micro``, ``hyperparameter``), ``"all"``, or names of
            operators.

    References:
        Paper VI-C, the common approach of the hill climbing.
    """
    move = random_move(individual, operators)
    return (individual,) if move is None else move.apply(individual)
