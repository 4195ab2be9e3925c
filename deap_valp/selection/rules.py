"""The registry of rules. Each rule is a function that proposes moves for a diagnosed individual.

The shipped rule sets are in the folder ``rule_sets``, a file for each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from ..arguments import got
from ..errors import RegistrationError
from ..variation.operators import Move
from .view import View

Rule = Callable[[View], Iterable[Move]]
RULES: dict[str, dict[str, Rule]] = {}
"""The rules by rule set and name."""


def rule(rule_set: str) -> Callable[[Rule], Rule]:
    """Add the decorated function to a rule set.

    The name of the set is a policy: ``selMutation(policy="my rules")``. The function takes a
    ``View`` and yields moves, each a ``Move`` with its reason. Moves that are illegal for the
    individual are left out later, so a rule need not check them. The log names the first of each
    rule, as it may be a slip.

    A view has the ``individual``, its ``diagnosis`` and its ``population``. ``pairs`` are all
    (sub-network, output) between which there is a path, ``state(output)`` is ``stuck``,
    ``moderate`` or ``steep``, ``relevance(network, output)`` is a number and ``relevant(...)``
    whether it is above the threshold, ``measured(metric)`` is what a metric found, and
    ``places(operator, version)`` are the legal places.

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
