"""``selMutation``, and the mutations that apply what a policy chooses.

References:
    Paper IV-E, VII-B to VII-D; ``select_operator`` of Fig. 4.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from ..arguments import got
from ..errors import RegistrationError
from ..genome import VALP
from ..genome.valp import need_valp
from ..variation.operators import Move
from .policies import POLICIES, ByRules, Policy, Situation, random_move
from .rules import RULES


def selMutation(
    individual: VALP,
    population: Sequence[VALP] | None = None,
    *,
    policy: str | Policy = "growth",
    barred: Collection[tuple[str, str, str]] = (),
) -> Move | None:
    """Select an operator, its version and its place; other ``sel*`` of DEAP select individuals.

    Nothing is changed: the result is a ``Move``, and ``move.apply(individual)`` carries it out.

    The default policy is ``growth``: it adds what the diagnosis says that an output lacks, and
    takes away what harms an output (``ByGain``). It measured best (docs/selection.md). It needs the
    metrics that ``evaluate`` measures by default.

    The paper's policy is ``guidelines``. Its rules propose moves; those that are illegal or barred
    are left out. The rest is divided into reducers, aggressive extenders and gentle extenders, and
    one move of the first class that is not empty is drawn at random.

    Both policies draw a random gentle macro operator at a random place if there is no proposal, or
    no diagnosis of exactly this individual: it was never evaluated, its evaluation failed, or it
    was changed since.

    Args:
        individual: The individual to choose a change for.
        population: The peers of the individual, for policies that compare them. The individual
            itself may be among them.
        policy: The name of a policy: ``growth``, ``adaptive`` (rules for gentle growth at what is
            relevant), ``guidelines`` (paper VII-B), ``principles`` (paper IV-E, with all five
            metrics), ``random`` (uniform over every (operator, version) of the macro operators,
            then over its places), ``gentle`` (the same among gentle versions), ``fixed`` (the same
            with given probabilities), ``learned`` (predicts by what came of moves on other
            problems), ``retrain`` (no change), or a rule set added with ``rule``. Or a policy with
            parameters: ``ByGain``, ``ByRules``, ``Adaptive``, ``AtRandom``,
            ``FixedProbabilities``, ``Bandit``, ``Learned``, or any callable from a ``Situation`` to
            a ``Move``.
        barred: The ``Move.key`` of each move that is not to be proposed, since it did not improve
            this individual. ``growth``, ``learned`` and policies that follow rules heed it; those
            that draw at random do not.

    Returns:
        The move, with its reason and its rule. None if no operator has a legal place, or if the
        policy wants no change.

    Raises:
        StructureError: The individual is not a VALP.
        RegistrationError: The policy is unknown, or the population is not a sequence.
        EvaluationError: The evaluation did not measure what the policy needs.

    References:
        Paper IV-E, VII-B to VII-D; select_operator of Fig. 4.
    """
    need_valp(individual, "selMutation")
    if population is not None and not isinstance(population, Sequence):
        raise RegistrationError(
            "selMutation needs population as a sequence of individuals or None, "
            f"got {got(population)}"
        )
    chosen = _policy_of(policy)
    return chosen(Situation(individual, population or (), barred))


def _policy_of(policy: object) -> Policy:
    """Return a policy that was given by name or as a callable."""
    if isinstance(policy, str):
        return named_policy(policy)
    if isinstance(policy, type):
        name = policy.__name__
        raise RegistrationError(
            f"selMutation needs a policy among {_policies()} or a callable, got the class {name}: "
            f"{name}() makes one"
        )
    if not callable(policy):
        raise RegistrationError(
            f"selMutation needs a policy among {_policies()} or a callable, got {got(policy)}"
        )
    return policy


def _policies() -> list[str]:
    return list(dict.fromkeys([*POLICIES, *RULES]))


def named_policy(name: str) -> Policy:
    """Return the policy of this name, with its default parameters.

    Raises:
        RegistrationError: There is no policy of this name.
    """
    if name in POLICIES:
        return POLICIES[name]()
    if name in RULES:
        return ByRules(name)
    raise RegistrationError(f"selMutation needs a policy among {_policies()}, got {name!r}")


def mutGuided(individual: VALP, select: Callable[[VALP], Move | None] = selMutation) -> tuple[VALP]:
    """Change the individual in place by the move that ``select`` chooses for it.

    If ``select`` chooses none, the individual stays as it is.

    Args:
        individual: The individual to change.
        select: The choice, called with the individual alone. In a toolbox, register it with its
            policy first: ``select=toolbox.selMutation``.

    Raises:
        RegistrationError: ``select`` cannot be called, or does not return a move or None.
    """
    if not callable(select):
        raise RegistrationError(
            "mutGuided needs select as a function from an individual to a Move or None, "
            f"got {got(select)}"
        )
    move = select(individual)
    if move is None:
        return (individual,)
    if not isinstance(move, Move):
        raise RegistrationError(f"mutGuided needs select to return a Move or None, got {got(move)}")
    return move.apply(individual)


def mutRandom(individual: VALP, operators: str | Iterable[str] = "macro") -> tuple[VALP]:
    """Change the individual in place by a random operator, as in the paper's random search.

    The draw is uniform over every (operator, version) that has a legal place, then over its
    places.

    Args:
        individual: The individual to change. It stays as it is where nothing has a legal place.
        operators: The operators to draw from: a scope (``macro``, ``micro``, ``hyperparameter``),
            ``"all"``, or names of operators.

    References:
        Paper VI-C, the common approach of the hill climbing.
    """
    need_valp(individual, "mutRandom")
    move = random_move(individual, operators)
    return (individual,) if move is None else move.apply(individual)
