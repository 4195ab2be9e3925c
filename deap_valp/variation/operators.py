"""The operator decorator, the registry that it fills, and ``Move``, one chosen application.

An operator is one decorated function that edits a draft of a VALP at a legal place. The decorator
does what all have in common: it draws a place, refuses an illegal one, hands the function a draft
that holds the trained weights, and lets the individual become the result. The individual stays
untouched where nothing can be done or something fails.

References:
    Paper IV-C (the two attributes of an operator), V (scopes).
"""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Protocol

from ..errors import PlaceError, RegistrationError
from ..genome import VALP, Decision, Draft, Place

SCOPES = ("macro", "micro", "hyperparameter", "crossover")
EFFECTS = ("extender", "reducer", "neutral")
VERSIONS = ("gentle", "aggressive")

Places = Callable[[VALP, bool], Sequence[str]]
"""``places(individual, gentle)`` gives every legal place; text is as good as a ``Place``."""


class Apply(Protocol):
    """A registered operator: changes the individual in place and returns it in a tuple."""

    __name__: str
    __qualname__: str

    def __call__(self, individual: VALP, *args: Any, **kwargs: Any) -> tuple[VALP]: ...


@dataclass(frozen=True)
class Operator:
    """What an operator declares.

    Attributes:
        name: Its name in the paper, as ``add_connection``.
        apply: The function a toolbox takes, as ``mutAddConnection``.
        scope: ``macro``, ``micro`` or ``hyperparameter``; ``crossover`` for a donation.
        effect: On the number of components: ``extender``, ``reducer`` or ``neutral``.
        versions: Those of ``gentle`` (the function of the model stays exactly) and ``aggressive``
            that it has.
        place: What it acts on, as ``connection``; the name of its second parameter.
        legal: The function that gives every legal place of an individual for a version.
        edit: Changes a draft at a place, in the version asked for.
        receive: Instead of ``edit``, for an operator that takes a donor: applies a whole move.
    """

    name: str
    apply: Apply
    scope: str
    effect: str
    versions: tuple[str, ...]
    place: str
    legal: Places
    edit: Callable[[Draft, Place, bool], None] | None = None
    receive: Callable[[VALP, Move], tuple[VALP]] | None = None

    @property
    def summary(self) -> str:
        """First line of its docstring."""
        return (inspect.getdoc(self.apply) or "").partition("\n")[0]

    def places(self, individual: VALP, gentle: bool) -> list[Place]:
        """Return every legal place of an individual for a version."""
        return [Place.named(place) for place in self.legal(individual, gentle)]

    def change(self, individual: VALP, move: Move, place: Place) -> None:
        """Change an individual at a legal place, and record the move.

        Where the edit raises, the individual stays as it is.
        """
        assert self.edit is not None
        draft = Draft(individual.inherited(), individual.means)
        self.edit(draft, place, move.version == "gentle")
        individual.become(draft.genome(), Decision.about(individual, move))


class Operators(dict[str, Operator]):
    """The operators by their names in the paper; prints as a table in Markdown."""

    def __str__(self) -> str:
        header = ("operator", "function", "scope", "effect", "versions", "place", "what it does")
        rows = [header, ("---",) * len(header)]
        for op in self.values():
            versions = ", ".join(op.versions)
            function = op.apply.__name__
            rows.append((op.name, function, op.scope, op.effect, versions, op.place, op.summary))
        return "\n".join("| " + " | ".join(row) + " |" for row in rows)


_REGISTRY = Operators()


def operators(scope: str | None = None) -> Operators:
    """Return the registered operators, all or those of one scope, in order of registration.

    ``print`` shows them as a table.

    Raises:
        RegistrationError: There is no such scope.
    """
    if scope is not None and scope not in SCOPES:
        raise RegistrationError(
            f"operators are chosen by a scope among {list(SCOPES)}, got {scope!r}"
        )
    chosen = [op for op in _REGISTRY.values() if scope in (None, op.scope)]
    return Operators((op.name, op) for op in chosen)


def operator(
    *, scope: str, effect: str, versions: tuple[str, ...], places: Places
) -> Callable[[Callable[..., None]], Apply]:
    """Register a mutation operator.

    The decorated function edits a ``Draft``: ``mutSomething(draft, place)``, and as a third
    parameter ``gentle: bool`` where it has both versions. It is only called with a legal place. The
    name it gives to the place is the keyword under which callers name one. What the decorator
    returns takes an individual in the place of the draft, and changes it in place.

    Args:
        scope: ``macro`` (between sub-networks), ``micro`` (inside one) or ``hyperparameter``.
        effect: ``extender``, ``reducer`` or ``neutral``.
        versions: Among ``gentle`` and ``aggressive``; the first is the default.
        places: ``places(individual, gentle)`` gives every legal place.

    Raises:
        RegistrationError: A declaration is not one of these, or the name is taken by another
            function.
    """

    def decorate(function: Callable[..., None]) -> Apply:
        name = paper_name(function.__name__)
        _check_declaration(name, function, scope, effect, versions)
        place = list(inspect.signature(function).parameters)[1]
        both = len(versions) == 2
        signature = _public_signature(function, place, versions)

        @wraps(function)
        def apply(individual: VALP, *args: Any, **kwargs: Any) -> tuple[VALP]:
            bound = signature.bind(individual, *args, **kwargs)
            bound.apply_defaults()
            gentle = versions == ("gentle",)
            if both:
                gentle = bool(bound.arguments["gentle"])
            op = _REGISTRY[name]
            chosen = choose_place(op, individual, bound.arguments[place], gentle)
            if chosen is not None:
                op.change(individual, Move(name, version_name(gentle), chosen), chosen)
            return (individual,)

        def edit(draft: Draft, chosen: Place, gentle: bool) -> None:
            function(draft, chosen, *([gentle] if both else []))

        apply.__signature__ = signature  # type: ignore[attr-defined]
        register(Operator(name, apply, scope, effect, tuple(versions), place, places, edit))
        return apply

    return decorate


def register(op: Operator) -> None:
    """Add an operator, as it is."""
    _REGISTRY[op.name] = op


def version_name(gentle: bool) -> str:
    """Return ``gentle`` or ``aggressive``."""
    return VERSIONS[0] if gentle else VERSIONS[1]


def paper_name(function: str) -> str:
    """Return the paper's name of a function: ``mutAddConnection`` -> ``add_connection``."""
    name = function.removeprefix("mut")
    return re.sub(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def choose_place(op: Operator, individual: VALP, place: str | None, gentle: bool) -> Place | None:
    """Return the named place if it is legal, a random one if none is named, None if there is none.

    Raises:
        PlaceError: The named place is not legal.
    """
    places = op.places(individual, gentle)
    if place is None:
        return random.choice(places) if places else None
    for legal in places:
        if legal == place:
            return legal
    raise PlaceError(
        f"{op.apply.__name__} ({version_name(gentle)}) needs a legal {op.place} of this VALP "
        f"({sorted(places)}), got {place!r}"
    )


def _public_signature(
    function: Callable[..., None], place: str, versions: tuple[str, ...]
) -> inspect.Signature:
    parameters = list(inspect.signature(function).parameters.values())
    parameters[0] = parameters[0].replace(name="individual", annotation="VALP")
    parameters[1] = parameters[1].replace(default=None, annotation="str | None")
    if len(versions) == 2:
        parameters[2] = parameters[2].replace(default=versions[0] == "gentle")
    return inspect.Signature(parameters, return_annotation="tuple[VALP]")


def _check_declaration(
    name: str, function: Callable[..., None], scope: str, effect: str, versions: tuple[str, ...]
) -> None:
    for what, got, legal in (
        ("a scope", (scope,), SCOPES),
        ("an effect", (effect,), EFFECTS),
        ("versions", versions, VERSIONS),
    ):
        if not got or not set(got) <= set(legal):
            raise RegistrationError(f"operator {name} needs {what} among {list(legal)}, got {got}")
    wanted, expected = "(draft, place)", 2
    if len(versions) == 2:
        wanted, expected = "(draft, place, gentle)", 3
    parameters = list(inspect.signature(function).parameters)
    if len(parameters) != expected or parameters[2:] not in ([], ["gentle"]):
        raise RegistrationError(
            f"operator {name} needs the parameters {wanted} for {versions}, got {parameters}"
        )
    known = _REGISTRY.get(name)
    ours = function.__module__, function.__qualname__
    if known is not None and (known.apply.__module__, known.apply.__qualname__) != ours:
        raise RegistrationError(
            f"operator {name} is registered already, by {known.apply.__module__}"
        )


@dataclass(frozen=True)
class Move:
    """One application of an operator: what, in which version, where, and why.

    Attributes:
        operator: Name in the paper, a key of ``operators()``.
        version: ``gentle`` or ``aggressive``.
        place: A legal place of the individual it was chosen for.
        reason: Why it was chosen, in words.
        rule: Name of the rule that proposed it.
        donor: For a donation, who gives.
        gain: The fall of the validation loss, normalised and summed over the outputs, that is
            predicted for it; None where nothing is predicted.
    """

    operator: str
    version: str
    place: str
    reason: str = ""
    rule: str = ""
    donor: VALP | None = field(default=None, compare=False, repr=False)
    gain: float | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two moves the same proposal, whatever proposed them."""
        return self.operator, self.version, self.place

    def apply(self, individual: VALP) -> tuple[VALP]:
        """Change the individual in place, and leave on it a ``Decision`` about this move.

        Raises:
            PlaceError: The place is not legal for this individual.
        """
        op = _REGISTRY[self.operator]
        if op.receive is not None:
            return op.receive(individual, self)
        place = choose_place(op, individual, self.place, self.version == "gentle")
        assert place is not None
        op.change(individual, self, place)
        return (individual,)

    def __str__(self) -> str:
        version = ""
        if len(_REGISTRY[self.operator].versions) == 2:
            version = f", {self.version}"
        text = f"{self.operator}({self.place}{version})"
        return f"{text}: {self.reason}" if self.reason else text


def moves(
    individual: VALP, which: str | Iterable[str] = "all"
) -> Iterator[tuple[Operator, bool, Sequence[Place]]]:
    """Yield every operator and version (as ``gentle``) that has a legal place, with the places.

    Args:
        individual: Where to look for places.
        which: A scope, ``"all"``, or names of operators.
    """
    for op in _chosen(which):
        for version in op.versions:
            places = op.places(individual, version == "gentle")
            if places:
                yield op, version == "gentle", places


def _chosen(which: str | Iterable[str]) -> list[Operator]:
    if isinstance(which, str):
        return list(operators(None if which == "all" else which).values())
    names = list(which)
    unknown = sorted(set(names) - set(_REGISTRY))
    if unknown:
        raise RegistrationError(f"operators are chosen among {list(_REGISTRY)}, got {unknown}")
    return [_REGISTRY[name] for name in names]
