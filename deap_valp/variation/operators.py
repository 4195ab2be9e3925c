"""The operator decorator, the registry it fills, and ``Move``, one chosen application of an operator.

An operator is one decorated function that edits a VALP at a legal place. The decorator does what
all have in
common: it draws a place, refuses an illegal one, takes over the trained weights, keeps the
individual untouched
where nothing can be done or something fails, and draws a new seed.

References:
    Paper IV-C (the two attributes of an operator), V (scopes).
"""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from typing import Any, Protocol

from ..errors import PlaceError, RegistrationError
from ..genome import VALP, copy_graph

SCOPES = ("macro", "micro", "hyperparameter", "crossover")
EFFECTS = ("extender", "reducer", "neutral")
VERSIONS = ("gentle", "aggressive")

Places = Callable[[VALP, bool], Sequence[str]]


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
        scope: ``macro``, ``micro`` or ``hyperparameter``.
        effect: On the number of components: ``extender``, ``reducer`` or ``neutral``.
        versions: Those of ``gentle`` (the function of the model stays exactly) and ``aggressive``
            it has.
        place: What it acts on, as ``connection``; the name of its second parameter.
        places: Gives every legal place of an individual for a version.
    """

    name: str
    apply: Apply
    scope: str
    effect: str
    versions: tuple[str, ...]
    place: str
    places: Places

    @property
    def summary(self) -> str:
        """First line of its docstring."""
        return (inspect.getdoc(self.apply) or "").partition("\n")[0]


class Operators(dict[str, Operator]):
    """The operators by their names in the paper; prints as a table in Markdown."""

    def __str__(self) -> str:
        header = ("operator", "function", "scope", "effect", "versions", "place", "what it does")
        rows = [
            (
                op.name,
                op.apply.__name__,
                op.scope,
                op.effect,
                ", ".join(op.versions),
                op.place,
                op.summary,
            )
            for op in self.values()
        ]
        return "\n".join(
            "| " + " | ".join(row) + " |" for row in (header, ("---",) * len(header), *rows)
        )


_REGISTRY = Operators()


def operators(scope: str | None = None) -> Operators:
    """The registered operators, all or those of one scope, in order of registration; ``print`` shows a table."""
    if scope is not None and scope not in SCOPES:
        raise RegistrationError(
            f"operators are chosen by a scope among {list(SCOPES)}, got {scope!r}"
        )
    return Operators((name, op) for name, op in _REGISTRY.items() if scope in (None, op.scope))


def operator(
    *, scope: str, effect: str, versions: tuple[str, ...], places: Places
) -> Callable[[Callable[..., None]], Apply]:
    """Register a mutation operator.

    The decorated function edits a VALP in place: ``mutSomething(individual, place)``, and as a
    third parameter
    ``gentle: bool`` where it has both versions. It is only called with a legal place. The name it
    gives to the
    place is the keyword under which callers name one.

    Args:
        scope: ``macro`` (between sub-networks), ``micro`` (inside one) or ``hyperparameter``.
        effect: ``extender``, ``reducer`` or ``neutral``.
        versions: Among ``gentle`` and ``aggressive``; the first is the default.
        places: ``places(individual, gentle)`` gives every legal place, as strings.

    Raises:
        RegistrationError: A declaration is not one of these, or the name is taken by another
            function.
    """

    def decorate(edit: Callable[..., None]) -> Apply:
        name = paper_name(edit.__name__)
        _check_declaration(name, edit, scope, effect, versions)
        place = list(inspect.signature(edit).parameters)[1]
        both = len(versions) == 2

        @wraps(edit)
        def apply(individual: VALP, *args: Any, **kwargs: Any) -> tuple[VALP]:
            bound = signature.bind(individual, *args, **kwargs)
            bound.apply_defaults()
            gentle = bool(bound.arguments["gentle"]) if both else versions == ("gentle",)
            chosen = choose_place(_REGISTRY[name], individual, bound.arguments[place], gentle)
            if chosen is not None:
                _edit(edit, individual, (chosen, gentle) if both else (chosen,))
                individual.move, individual.decision = (
                    Move(name, VERSIONS[0] if gentle else VERSIONS[1], chosen),
                    None,
                )
            return (individual,)

        signature = apply.__signature__ = _public_signature(edit, place, both, versions)  # type: ignore[attr-defined]
        _REGISTRY[name] = Operator(name, apply, scope, effect, tuple(versions), place, places)
        return apply

    return decorate


def register(op: Operator) -> None:
    """Add an operator that takes more than a place, as a donation takes a donor; it offers no places by itself."""
    _REGISTRY[op.name] = op


def paper_name(function: str) -> str:
    """``mutAddConnection`` -> ``add_connection``."""
    return re.sub(
        r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", function.removeprefix("mut")
    ).lower()


def choose_place(op: Operator, individual: VALP, place: str | None, gentle: bool) -> str | None:
    """The named place if it is legal, a random one if none is named, None if there is none.

    Raises:
        PlaceError: The named place is not legal.
    """
    places = op.places(individual, gentle)
    if place is None:
        return random.choice(places) if places else None
    if place not in places:
        version = VERSIONS[0] if gentle else VERSIONS[1]
        raise PlaceError(
            f"{op.apply.__name__} ({version}) needs a legal {op.place} of this VALP ({sorted(places)}), got {place!r}"
        )
    return place


def _edit(edit: Callable[..., None], individual: VALP, arguments: tuple[Any, ...]) -> None:
    """Run the edit on the trained weights; where it raises, the individual is as it was."""
    before = dict(individual.__dict__)
    individual.graph = copy_graph(individual.graph)
    individual.optimizers = dict(individual.optimizers)
    individual.weights, individual.ages = dict(individual.weights), dict(individual.ages)
    try:
        individual.inherit()
        edit(individual, *arguments)
    except BaseException:
        individual.__dict__.clear()
        individual.__dict__.update(before)
        raise
    individual.seed = random.getrandbits(63)


def _public_signature(
    edit: Callable[..., None], place: str, both: bool, versions: tuple[str, ...]
) -> inspect.Signature:
    parameters = list(inspect.signature(edit).parameters.values())
    parameters[1] = parameters[1].replace(default=None, annotation="str | None")
    if both:
        parameters[2] = parameters[2].replace(default=versions[0] == "gentle")
    return inspect.Signature(parameters, return_annotation="tuple[VALP]")


def _check_declaration(
    name: str, edit: Callable[..., None], scope: str, effect: str, versions: tuple[str, ...]
) -> None:
    for what, got, legal in (
        ("a scope", (scope,), SCOPES),
        ("an effect", (effect,), EFFECTS),
        ("versions", versions, VERSIONS),
    ):
        if not got or not set(got) <= set(legal):
            raise RegistrationError(f"operator {name} needs {what} among {list(legal)}, got {got}")
    expected = 3 if len(versions) == 2 else 2
    parameters = list(inspect.signature(edit).parameters)
    if len(parameters) != expected or (expected == 3 and parameters[2] != "gentle"):
        wanted = "(individual, place, gentle)" if expected == 3 else "(individual, place)"
        raise RegistrationError(
            f"operator {name} needs the parameters {wanted} for {versions}, got {parameters}"
        )
    known = _REGISTRY.get(name)
    if known is not None and (known.apply.__module__, known.apply.__qualname__) != (
        edit.__module__,
        edit.__qualname__,
    ):
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
    """

    operator: str
    version: str
    place: str
    reason: str = ""
    rule: str = ""
    donor: VALP | None = field(default=None, compare=False, repr=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes two moves the same proposal, whatever proposed them."""
        return self.operator, self.version, self.place

    def apply(self, individual: VALP) -> tuple[VALP]:
        """Change the individual in place, and leave on it a ``Decision``.

        Raises:
            PlaceError: The place is not legal for this individual.
        """
        op = _REGISTRY[self.operator]
        options: dict[str, Any] = (
            {"gentle": self.version == "gentle"} if len(op.versions) == 2 else {}
        )
        if self.donor is not None:
            options["donor"] = self.donor
        decision = Decision.about(individual, replace(self, donor=None))
        seed = individual.seed
        op.apply(individual, self.place, **options)
        if individual.seed != seed:
            individual.move, individual.decision = decision.move, decision
        return (individual,)

    def __str__(self) -> str:
        both = len(_REGISTRY[self.operator].versions) == 2
        version = f", {self.version}" if both else ""
        return f"{self.operator}({self.place}{version})" + (
            f": {self.reason}" if self.reason else ""
        )


@dataclass(frozen=True)
class Decision:
    """What was known when a move was applied; what came of it is in the objectives of the individual it made.

    Attributes:
        move: What was done, where and why.
        parent: Seed of the individual it was applied to.
        objectives: Names of the objectives; empty where the parent had no evaluation of its own.
        before: Their values in the parent.
        diagnosis: The parent's, as text; empty where it had none.
    """

    move: Move
    parent: int
    objectives: tuple[str, ...] = ()
    before: tuple[float, ...] = ()
    diagnosis: str = ""

    @classmethod
    def about(cls, individual: VALP, move: Move) -> Decision:
        """The record of a move that is about to be applied to an individual."""
        evaluation = individual.evaluation
        if evaluation is None:
            return cls(move, individual.seed)
        diagnosis = "" if evaluation.diagnosis is None else str(evaluation.diagnosis)
        return cls(move, individual.seed, evaluation.objectives, tuple(evaluation), diagnosis)


def moves(
    individual: VALP, which: str | Iterable[str] = "all"
) -> Iterator[tuple[Operator, bool, Sequence[str]]]:
    """Every operator and version (as ``gentle``) that has a legal place, with these places.

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
