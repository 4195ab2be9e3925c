"""The operator decorator, the registry that it fills, and ``Move``, one chosen application.

An operator is one decorated function that edits a draft, a changeable copy of a VALP, at a legal
place. The decorator does what all operators have in common: it draws a place, or refuses one that
is not legal; it gives the function a draft with the trained weights; and it gives the individual
the edited genome. If there is no legal place, or if the function raises, the individual stays as
it is.

References:
    Paper IV-C (the two attributes of an operator), V (scopes).
"""

from __future__ import annotations

import inspect
import random
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import wraps
from typing import Any, Protocol

from ..arguments import got as named
from ..errors import PlaceError, RegistrationError, StructureError
from ..genome import VALP, Decision, Draft, Place, check
from ..genome.valp import need_valp
from ..text import html_table

SCOPES = ("macro", "micro", "hyperparameter", "crossover")
EFFECTS = ("extender", "reducer", "neutral")
VERSIONS = ("gentle", "aggressive")

Places = Callable[[VALP, bool], Sequence[str]]
"""``places(individual, gentle)`` returns every legal place, each a ``Place`` or a plain string."""


class Apply(Protocol):
    """A registered operator. It changes individuals in place and returns them in a tuple."""

    __name__: str
    __qualname__: str

    def __call__(self, individual: VALP, /, *args: Any, **kwargs: Any) -> tuple[VALP, ...]: ...


@dataclass(frozen=True)
class Operator:
    """The declaration of an operator.

    Attributes:
        name: The name in the paper, such as ``add_connection``.
        apply: The function for a toolbox, such as ``mutAddConnection``.
        scope: ``macro`` (between sub-networks), ``micro`` (inside one), ``hyperparameter``, or
            ``crossover`` for a donation.
        effect: The effect on the number of components, connections, layers and units:
            ``extender``, ``reducer`` or ``neutral``.
        versions: The versions that the operator has. ``gentle`` leaves every output of the model
            exactly as it is; ``aggressive`` need not.
        place: The name of the second parameter, which says what the operator acts on, such as
            ``connection``.
        legal: The function that returns every legal place of an individual for a version.
        edit: The function that changes a draft at a place, in the given version.
        receive: The function of an operator that takes a donor. It applies a whole move, and
            ``edit`` is None.
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
        """The first line of the operator's docstring."""
        return (inspect.getdoc(self.apply) or "").partition("\n")[0]

    def places(self, individual: VALP, gentle: bool) -> list[Place]:
        """Return every legal place of an individual for a version."""
        return [Place.named(place) for place in self.legal(individual, gentle)]

    def change(self, individual: VALP, move: Move, place: Place) -> None:
        """Change an individual at a legal place, and record the move on it.

        If the edit raises, the individual stays as it is.

        Raises:
            StructureError: The edit breaks a rule of a VALP, or writes into a tensor of the
                individual.
        """
        assert self.edit is not None
        before = individual.inherited()
        counts = {key: tensor._version for key, tensor in before.weights.items()}
        draft = Draft(before, individual.means)
        self.edit(draft, place, move.version == "gentle")
        for key, tensor in before.weights.items():
            if tensor._version != counts[key]:
                raise StructureError(
                    f"{self.apply.__name__} needs to make new tensors, for the old ones belong to "
                    f"other individuals too, got a change in place of {key!r} at {place!r}"
                )
        genome = draft.genome()
        try:
            check(genome)
        except (StructureError, AttributeError) as error:  # what is no tensor has no dtype
            raise StructureError(
                f"{self.apply.__name__} needs to leave a valid VALP, got another at {place!r}: "
                f"{error}"
            ) from error
        individual.become(genome, Decision.about(individual, move))


class Operators(dict[str, Operator]):
    """The operators by their names in the paper; ``print`` shows them as a table in Markdown."""

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
    """Return all registered operators, or those of one scope, in the order of registration.

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

    The decorated function edits a ``Draft``: ``mutSomething(draft, place)``. If the operator has
    both versions, it takes ``gentle: bool`` as a third parameter. It is only called with a legal
    place, and may name the second parameter as it likes: callers pass a place under this name. The
    decorator returns the function for a toolbox, which takes an individual instead of the draft,
    changes it in place and returns it in a tuple.

    Args:
        scope: ``macro`` (between sub-networks), ``micro`` (inside one) or ``hyperparameter``.
        effect: ``extender``, ``reducer`` or ``neutral``.
        versions: ``gentle``, ``aggressive`` or both. The first is the default.
        places: ``places(individual, gentle)`` returns every legal place.

    Raises:
        RegistrationError: An argument is not one of these, the function has other parameters, or
            another function has the name.
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
    """Add an operator to the registry without any check."""
    _REGISTRY[op.name] = op


def version_name(gentle: bool) -> str:
    """Return the name of a version, ``gentle`` or ``aggressive``."""
    return VERSIONS[0] if gentle else VERSIONS[1]


def paper_name(function: str) -> str:
    """Return the paper's name of an operator: ``mutAddConnection`` -> ``add_connection``."""
    name = function.removeprefix("mut")
    return re.sub(r"(?<!^)(?=[A-Z][a-z])|(?<=[a-z])(?=[A-Z])", "_", name).lower()


def choose_place(op: Operator, individual: VALP, place: str | None, gentle: bool) -> Place | None:
    """Return the given place if it is legal. If none is given, return a random legal one or None.

    Raises:
        StructureError: The individual is not a VALP.
        PlaceError: The given place is not legal.
    """
    need_valp(individual, op.apply.__name__)
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
    """Return the signature of the function for a toolbox: an individual instead of the draft."""
    parameters = list(inspect.signature(function).parameters.values())
    parameters[0] = parameters[0].replace(name="individual", annotation="VALP")
    parameters[1] = parameters[1].replace(default=None, annotation="str | None")
    if len(versions) == 2:
        parameters[2] = parameters[2].replace(default=versions[0] == "gentle")
    return inspect.Signature(parameters, return_annotation="tuple[VALP]")


def _check_declaration(
    name: str, function: Callable[..., None], scope: str, effect: str, versions: tuple[str, ...]
) -> None:
    """Raise ``RegistrationError`` where an operator is declared wrongly or its name is taken."""
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
    """One application of an operator: which, in which version, at which place, and why.

    Attributes:
        operator: The operator's name in the paper, a key of ``operators()``.
        version: ``gentle`` or ``aggressive``.
        place: A legal place of the individual that the move was chosen for.
        reason: The reason for the choice, in words.
        rule: The name of the rule that proposed the move.
        donor: The individual that donates, if the move is a donation.
        gain: The predicted fall of the validation loss, normalised and summed over the outputs;
            None if there is no prediction.
        features: The numbers by which the policy ``learned`` predicted, so that it can learn from
            what comes of the move; empty in moves of other policies.
    """

    operator: str
    version: str
    place: str
    reason: str = ""
    rule: str = ""
    donor: VALP | None = field(default=None, compare=False, repr=False)
    gain: float | None = None
    features: Mapping[str, float] = field(default_factory=dict, compare=False, repr=False)

    @property
    def key(self) -> tuple[str, str, str]:
        """The operator, version and place. Two moves with the same key are the same proposal."""
        return self.operator, self.version, self.place

    def apply(self, individual: VALP) -> tuple[VALP]:
        """Change the individual in place, and record the move as its ``decision``.

        Raises:
            RegistrationError: The operator or the version is unknown.
            PlaceError: The place is not legal for this individual, or a donation has no donor.
        """
        op = _REGISTRY.get(self.operator)
        if op is None:
            raise RegistrationError(f"operators are {list(_REGISTRY)}, got {self.operator!r}")
        if self.version not in op.versions:
            raise RegistrationError(
                f"{op.name} has the versions {list(op.versions)}, got {self.version!r}"
            )
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

    def _repr_html_(self) -> str:
        parts = {
            "operator": self.operator,
            "version": self.version,
            "place": self.place,
            "rule": self.rule,
            "reason": self.reason,
            "promised fall of the loss": "" if self.gain is None else f"{self.gain:.3g}",
        }
        return html_table([["move", ""], *([name, text] for name, text in parts.items() if text)])


def moves(
    individual: VALP, which: str | Iterable[str] = "all"
) -> Iterator[tuple[Operator, bool, Sequence[Place]]]:
    """Yield every (operator, gentle) that has a legal place, with its legal places.

    Args:
        individual: The individual to find places on.
        which: The operators to try: a scope, ``"all"``, or names of operators.

    Raises:
        RegistrationError: There is no such scope or operator.
    """
    for op in _chosen(which):
        for version in op.versions:
            places = op.places(individual, version == "gentle")
            if places:
                yield op, version == "gentle", places


def _chosen(which: str | Iterable[str]) -> list[Operator]:
    if isinstance(which, str):
        return list(operators(None if which == "all" else which).values())
    if not isinstance(which, Iterable):
        raise RegistrationError(
            f"operators are chosen by a scope, 'all' or names, got {named(which)}"
        )
    names = list(which)
    unknown = [name for name in names if name not in _REGISTRY]
    if unknown:
        raise RegistrationError(f"operators are chosen among {list(_REGISTRY)}, got {unknown}")
    return [_REGISTRY[name] for name in names]
