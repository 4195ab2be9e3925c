"""What every kind of sub-network has: its description, its arithmetic, its surgery."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch
from torch import Generator, Tensor

from ...errors import RegistrationError
from ...text import place_of
from ..activations import Layer
from ..maps import Convolution, Maps
from ..ports import DISCRETE, FEATURES, MAPS, SAMPLES, VALUES
from ..weights import Selection, initial
from .settings import Layout, Limits

if TYPE_CHECKING:
    from typing_extensions import Self

KINDS: dict[str, type[SubNetwork]] = {}
"""The kinds by name, in the order in which they were defined."""


@dataclass(frozen=True)
class Latent:
    """A latent variable of ``dim`` dimensions. Sub-networks with one ``id`` draw the same noise."""

    id: int
    dim: int


def new_id() -> int:
    """Return a random number that identifies a new sub-network or latent."""
    return random.getrandbits(63)


Value = TypeVar("Value")


class Calculator(Protocol[Value]):
    """The operations that a sub-network computes with.

    There are two implementations: one computes on tensors (a decoded model), the other records a
    tape (training).
    """

    def activate(self, pre: Value, layer: Layer) -> Value:
        """Apply the activation of a layer."""

    def dense(self, hidden: Value, stage: int | str) -> Value:
        """Apply the tensors ``"stage.weight"`` and ``"stage.bias"`` of the sub-network."""

    def convolve(self, hidden: Value, stage: int | str, by: Convolution) -> Value:
        """Apply the kernels ``"stage.weight"`` and the bias ``"stage.bias"`` of the sub-network."""

    def add(self, first: Value, second: Value) -> Value:
        """Add two signals of the same width."""

    def apply(self, function: Callable[..., Tensor], *signals: Value) -> Value:
        """Apply any function of tensors of shape (batch, width) that autograd can differentiate.

        The function treats each example by itself and has no weights. The operations above are
        faster, because their derivatives are written by hand.
        """

    def draw(self, heads: Value, latent: Latent) -> Value:
        """Draw the latent, width ``dim``, from its mean and log-variance, width ``2 * dim``."""


class Made(NamedTuple):
    """A new tensor, the one it was made of, and how its rows or columns come from that one's."""

    new: Tensor
    old: Tensor
    selection: Selection


Change = Callable[[Tensor], Made]
"""Make a new tensor of an old one."""


@dataclass(frozen=True)
class Part:
    """A sub-network with its tensors and the blocks of its connections, to be changed together.

    A part itself never changes; a method returns another one. A block that is None in the result
    is drawn at random.

    A tensor that stays in the part keeps the state of the optimizer, under another name too. A
    tensor that ``with_tensor``, ``with_entering`` or ``with_leaving`` makes of another one takes
    that one's state over, row by row or column by column. Any other tensor starts without a state.

    Attributes:
        component: The description of the sub-network.
        tensors: Its own tensors, by their names in ``component.shapes``.
        entering: The block through which the sub-network reads each provider, shape (rows, width
            of the provider).
        leaving: The block through which each receiver reads the sub-network, shape (rows of the
            receiver, width).
        made: The tensors that were made of others, in the order in which they were made.
    """

    component: Any
    tensors: Mapping[str, Tensor]
    entering: Mapping[str, Tensor | None]
    leaving: Mapping[str, Tensor | None]
    made: tuple[Made, ...] = ()

    def with_tensor(self, name: str, change: Change) -> Part:
        """Return the part with one of its own tensors changed."""
        made = change(self.tensors[name])
        tensors = {**self.tensors, name: made.new}
        return replace(self, tensors=tensors, made=(*self.made, made))

    def with_entering(self, change: Change) -> Part:
        """Return the part with every block changed through which it reads a provider."""
        entering, made = _changed(self.entering, change)
        return replace(self, entering=entering, made=self.made + made)

    def with_leaving(self, change: Change) -> Part:
        """Return the part with every block changed through which a receiver reads it."""
        leaving, made = _changed(self.leaving, change)
        return replace(self, leaving=leaving, made=self.made + made)


def _changed(
    blocks: Mapping[str, Tensor | None], change: Change
) -> tuple[dict[str, Tensor | None], tuple[Made, ...]]:
    made = {name: change(block) for name, block in blocks.items() if block is not None}
    new = {name: each.new for name, each in made.items()}
    return {**blocks, **new}, tuple(made.values())


@dataclass(frozen=True)
class SubNetwork:
    """The description of a sub-network, and the base class of all kinds.

    A kind must define ``kind``, ``takes``, ``gives``, ``width``, ``rows``, ``shapes``, ``compute``
    and ``draw``. The rest has a default, which is right for a kind whose layers no operator can
    change.

    Attributes:
        id: A random number, drawn when the sub-network is created. Sub-networks of different
            individuals with the same id are homologous. A copy by ``clone_network`` gets an id of
            its own.
        kind: The name of the kind.
        takes: The types of result that a provider of the sub-network may give.
        gives: The type of its own result.
        given: All types of its own result: ``gives``, and perhaps ``maps``.

    Raises:
        RegistrationError: A class with a ``kind`` takes the name of another, lacks a definition, or
            takes or gives a type that does not exist.
    """

    id: int

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    gives: ClassVar[str]
    given: ClassVar[frozenset[str]]
    entry_bias: ClassVar[str] = "0.bias"
    """The name, in ``shapes``, of the bias that is added to what the sub-network reads."""
    carries: ClassVar[bool] = False
    """Whether the kind has a ``carrier``, which gentle insertion puts on a connection."""

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            _check_declaration(cls)
            if "given" not in vars(cls):
                cls.given = frozenset({cls.gives})
            KINDS[cls.kind] = cls

    # -- being

    @property
    def width(self) -> int:
        """The number of columns of the result."""
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """The number of rows of every block through which the sub-network reads a provider."""
        raise NotImplementedError

    @property
    def maps(self) -> Maps | None:
        """The maps that the result is, or None if it is none."""
        return None

    @property
    def entry_width(self) -> int:
        """The number of columns of the sum that ``compute`` gets: ``rows`` at each position."""
        return self.rows

    def convolution(self, provider: Any) -> Convolution | None:
        """Return the convolution through which it reads a provider; None for a product."""
        return None

    @classmethod
    def suits(cls, receiver: Any) -> bool:
        """Return whether a sub-network of this kind may be drawn for a receiver of its type."""
        return True

    def settled(self, providers: Iterable[Any], receivers: Iterable[Any] = ()) -> Self:
        """Return the sub-network as it is where it first reads and is read by these components."""
        return self

    @property
    def entry_gain(self) -> float:
        """The gain of the initialiser of the blocks."""
        return 1.0

    @property
    def nonnegative(self) -> bool:
        """Whether the result is never negative."""
        return False

    @property
    def drawn(self) -> tuple[Latent, float] | None:
        """The latent variable that it draws, with its share in the KL divergence; or None."""
        return None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of its own tensors by name, without the blocks of its providers."""
        raise NotImplementedError

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Compute the result.

        Args:
            pre: The sum of the products with all blocks and of the bias, width ``entry_width``.
            calculator: The operations to compute with.
        """
        raise NotImplementedError

    def widths(self) -> tuple[int, ...]:
        """Return the widths of its layers from first to last, for pictures."""
        return (self.width,)

    def __str__(self) -> str:
        return f"{self.kind} {'-'.join(str(width) for width in self.widths())}"

    def fault(self) -> str:
        """Return the rule that the description breaks, and what it has; an empty text if none."""
        return ""

    # -- becoming

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return a random sub-network of this kind with a new id."""
        raise NotImplementedError

    def initial(self, generator: Generator) -> dict[str, Tensor]:
        """Return initial tensors by name: biases of zero, and random weights."""
        tensors = {}
        for name, shape in self.shapes().items():
            if len(shape) == 1:
                tensors[name] = torch.zeros(shape)
            else:
                columns = prod(shape[1:])
                drawn = initial(shape[0], columns, columns, self.gain_of(name), generator)
                tensors[name] = drawn.view(shape)
        return tensors

    def gain_of(self, tensor: str) -> float:
        """Return the gain of the initialiser of one of its weights."""
        return 1.0

    @classmethod
    def carrier(cls, units: int) -> Self:
        """Return a sub-network whose result is ``relu`` of the sum of its blocks' products.

        This holds if its own tensors are zero. The method is only called if the kind ``carries``.
        """
        raise NotImplementedError

    @classmethod
    def passing(cls, provider: Any) -> tuple[Self, Tensor]:
        """Return a sub-network that passes on maps unchanged, and the block through which it reads.

        Its result is ``relu`` of the maps and, where they may be negative, of their negatives. The
        method is only called if the kind ``carries`` and takes maps alone.
        """
        raise NotImplementedError

    # -- changes: each method returns another part or component, and says where that is possible

    def twins(self) -> tuple[Self, Self]:
        """Return the original and the copy after a gentle clone."""
        return self, replace(self, id=new_id())

    def renewed(self) -> Self:
        """Return a component like this one that shares no id with it (an aggressive clone)."""
        return replace(self, id=new_id())

    def unit_places(self) -> list[str]:
        """Return the stages whose units can be exchanged for others, more or fewer."""
        return []

    def units_of(self, stage: str) -> int:
        """Return the number of units of a stage."""
        raise NotImplementedError

    def resized(self, part: Part, stage: str, units: int, rows: Change, columns: Change) -> Part:
        """Return the part with other units at a stage of ``unit_places``.

        Args:
            part: The sub-network with its tensors and blocks.
            stage: The stage.
            units: The new number of units, at least 1.
            rows: Changes a weight or bias that has a row for each unit.
            columns: Changes a weight that has a column for each unit.
        """
        raise NotImplementedError

    def wide_places(self, limits: Limits) -> list[str]:
        """Return the stages that can get more units within the limits."""
        return []

    def widened(self, part: Part, stage: str, limits: Limits, gentle: bool) -> Part:
        """Return the part with more units at a stage of ``wide_places``."""
        raise NotImplementedError

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the stages after which a layer can be added within the limits."""
        return []

    def deepened(self, part: Part, stage: str, layout: Layout, gentle: bool) -> Part:
        """Return the part with a new layer after a stage of ``deep_places``."""
        raise NotImplementedError

    def spare_places(self) -> list[str]:
        """Return the stages that can be removed."""
        return []

    def shortened(self, part: Part, stage: str) -> Part:
        """Return the part without a stage of ``spare_places``."""
        raise NotImplementedError


def _check_declaration(cls: type[SubNetwork]) -> None:
    """Raise where a class with a ``kind`` cannot be a kind of sub-network."""
    who = f"kind of sub-network {cls.__name__}"
    known = KINDS.get(cls.kind)
    if known is not None and place_of(known) != place_of(cls):
        raise RegistrationError(
            f"{who} needs a kind of its own, got {cls.kind!r}, which is {place_of(known)}'s"
        )
    missing = [
        name
        for name in ("width", "rows", "shapes", "compute", "draw")
        if inspect.getattr_static(cls, name) is vars(SubNetwork)[name]
    ]
    if missing:
        raise RegistrationError(f"{who} needs definitions of {missing}, got none")
    takes, readable = getattr(cls, "takes", None), {FEATURES, VALUES, DISCRETE, SAMPLES, MAPS}
    if not isinstance(takes, frozenset) or not takes or not takes <= readable:
        raise RegistrationError(
            f"{who} needs takes as a frozenset of some of {sorted(readable)}, got {takes!r}"
        )
    gives, given = getattr(cls, "gives", None), [VALUES, DISCRETE, SAMPLES]
    if gives not in given:
        raise RegistrationError(f"{who} needs gives as one of {given}, got {gives!r}")
