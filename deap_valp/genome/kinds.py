"""The kinds of sub-network. A kind is a class that says how a sub-network computes and changes.

An instance describes one sub-network and never changes. The tensors of the sub-network belong to
the individual, under the names that ``shapes`` returns. To add a kind, subclass ``SubNetwork`` (or
``Dense``, for a stack of fully connected layers) in any module and give the class a ``kind``. It
registers itself in ``KINDS``, and is then drawn, changed, trained, diagnosed, saved and plotted
like the others.

References:
    Paper III; the type table of the model.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol, TypeVar

import torch
from torch import Generator, Tensor

from .activations import ACTIVATIONS, SOFTMAX, Layer
from .ports import DISCRETE, FEATURES, SAMPLES, VALUES
from .weights import (
    Selection,
    added,
    initial,
    more_columns,
    more_rows,
    new_generator,
    paired,
    read_pair,
    relu_pair,
)

if TYPE_CHECKING:
    from typing_extensions import Self

KINDS: dict[str, type[SubNetwork]] = {}
"""The kinds by name, in the order in which they were defined."""


@dataclass(frozen=True)
class Limits:
    """The sizes up to which operators may let a VALP grow.

    An operator has no legal place where it would exceed a limit. The defaults leave room for the
    60 steps of the paper's search, and for gentle operators that double the width of a layer.

    Attributes:
        networks: The largest number of sub-networks of a VALP.
        layers: The largest number of layers of a sub-network.
        width: The largest number of units of a layer.
        latent: The largest number of dimensions of a decoder's latent.
        batch_size: The smallest and the largest number of examples in a batch.
        learning_rate: The smallest and the largest learning rate.
        decay: The smallest and the largest weight decay.
    """

    networks: int = 64
    layers: int = 8
    width: int = 256
    latent: int = 64
    batch_size: tuple[int, int] = (25, 1600)
    learning_rate: tuple[float, float] = (1e-5, 1e-1)
    decay: tuple[float, float] = (1e-3, 10.0)


@dataclass(frozen=True)
class Layout:
    """The ranges from which a random sub-network is drawn, both ends included.

    Attributes:
        layers: The number of layers of a sub-network.
        width: The number of units of a layer.
        latent: The number of dimensions of a decoder's latent.
        activations: The names of the hidden activations to draw from.
    """

    layers: tuple[int, int] = (1, 4)
    width: tuple[int, int] = (8, 96)
    latent: tuple[int, int] = (4, 32)
    activations: tuple[str, ...] = (
        "relu",
        "elu",
        "softplus",
        "softsign",
        "sigmoid",
        "tanh",
        "identity",
    )

    def draw_layer(self) -> Layer:
        """Return a random layer."""
        return Layer(random.randint(*self.width), random.choice(self.activations))

    def draw_layers(self) -> tuple[Layer, ...]:
        """Return a random number of random layers."""
        return tuple(self.draw_layer() for _ in range(random.randint(*self.layers)))


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

    def add(self, first: Value, second: Value) -> Value:
        """Add two signals of the same width."""

    def draw(self, heads: Value, latent: Latent) -> Value:
        """Draw the latent, width ``dim``, from its mean and log-variance, width ``2 * dim``."""


# ---- what every kind has -------------------------------------------------------------------------


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
    """

    id: int

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    gives: ClassVar[str]
    entry_bias: ClassVar[str] = "0.bias"
    """The name, in ``shapes``, of the bias that is added to what the sub-network reads."""
    carries: ClassVar[bool] = False
    """Whether the kind has a ``carrier``, which gentle insertion puts on a connection."""

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
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
            pre: The sum of the products with all blocks and of the bias, width ``rows``.
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
                tensors[name] = initial(shape[0], shape[1], shape[1], self.gain_of(name), generator)
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

    # -- changes: each method returns another part or component, and says where that is possible

    def twins(self) -> tuple[Self, Self]:
        """Return the original and the copy after a gentle clone."""
        return self, replace(self, id=new_id())

    def renewed(self) -> Self:
        """Return a component like this one that shares no id with it (an aggressive clone)."""
        return replace(self, id=new_id())

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


# ---- stacks of fully connected layers ------------------------------------------------------------


@dataclass(frozen=True)
class Dense(SubNetwork):
    """A stack of fully connected layers. The first layer reads the providers through the blocks."""

    layers: tuple[Layer, ...]

    first: ClassVar[int] = 1
    """The index of the first layer that has a weight of its own, and does not read the blocks."""

    @property
    def width(self) -> int:
        """The number of units of the last layer."""
        return self.layers[-1].width

    @property
    def rows(self) -> int:
        """The number of units of the layer that reads the providers."""
        return self.layers[0].width

    @property
    def entry_gain(self) -> float:
        """The gain of the layer that reads the providers."""
        return self.layers[0].gain

    @property
    def nonnegative(self) -> bool:
        """Whether the result of the last layer is never negative."""
        return self.layers[-1].nonnegative

    def widths(self) -> tuple[int, ...]:
        """Return the widths of its layers from first to last."""
        return tuple(layer.width for layer in self.layers)

    def width_before(self, index: int) -> int:
        """Return the number of columns of the weight of a layer: the width of what it reads."""
        return self.layers[index - 1].width

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes: that of the first bias, then weight and bias of each further layer."""
        shapes: dict[str, tuple[int, ...]] = {self.entry_bias: (self.rows,)}
        for index in range(self.first, len(self.layers)):
            width = self.layers[index].width
            shapes[f"{index}.weight"] = width, self.width_before(index)
            shapes[f"{index}.bias"] = (width,)
        return shapes

    def gain_of(self, tensor: str) -> float:
        """Return the gain of the layer that the weight belongs to."""
        return self.layers[int(tensor.partition(".")[0])].gain

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Apply the first layer's activation, then the other layers."""
        return self._pass_layers(calculator.activate(pre, self.layers[0]), calculator)

    def _pass_layers(self, hidden: Value, calculator: Calculator[Value]) -> Value:
        for index in range(self.first, len(self.layers)):
            hidden = calculator.activate(calculator.dense(hidden, index), self.layers[index])
        return hidden

    def fault(self) -> str:
        """Return a message if there is no layer or an activation is not one of ``ACTIVATIONS``."""
        names = [layer.activation for layer in self.hidden_layers()]
        if not self.layers or not set(names) <= set(ACTIVATIONS):
            return f"needs layers with activations among {list(ACTIVATIONS)}, got {self}"
        return ""

    def hidden_layers(self) -> tuple[Layer, ...]:
        """Return the layers that operators may change."""
        return self.layers

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return a sub-network of random layers."""
        return cls(id=new_id(), layers=layout.draw_layers())

    def __str__(self) -> str:
        layers = "-".join(f"{layer.width} {layer.activation}" for layer in self.layers)
        return f"{self.kind} {layers}"

    # -- surgery

    def _stages(self) -> list[str]:
        return [str(index) for index in range(len(self.hidden_layers()))]

    def units(self, stage: str) -> int:
        """Return the units of a stage."""
        return self.layers[int(stage)].width

    def wide_places(self, limits: Limits) -> list[str]:
        """Return the layers below the limit of width."""
        return [stage for stage in self._stages() if self.units(stage) < limits.width]

    def widened(self, part: Part, stage: str, limits: Limits, gentle: bool) -> Part:
        """Add units to a layer, up to half its width.

        Gentle: a new unit copies a random one, and every weight that reads the unit is split
        between the two. Aggressive: new units are random.
        """
        index, width = int(stage), self.units(stage)
        wider = _Wider(width, limits.width, gentle)
        part = self._with_rows(part, index, wider.rows)
        part = self._with_columns(part, index, wider.columns)
        layers = list(self.layers)
        layers[index] = replace(layers[index], width=width + wider.added)
        return replace(part, component=replace(self, layers=tuple(layers)))

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers after which one can be added.

        The gentle layer may be twice as wide as the one before it, and must keep the limit.
        """
        if len(self.layers) >= limits.layers:
            return []
        return [
            stage
            for stage in self._stages()
            if not gentle or self.units(stage) * self._signs(stage) <= limits.width
        ]

    def _signs(self, stage: str) -> int:
        """Return the relu units that pass on one unit: 2 if it may be negative, otherwise 1."""
        return 1 if self.layers[int(stage)].nonnegative else 2

    def deepened(self, part: Part, stage: str, layout: Layout, gentle: bool) -> Part:
        """Add a layer after a stage.

        Gentle: a relu layer that passes on what it reads, the positive and, if there is one, the
        negative part. Aggressive: a random layer of the same width, so that no other weight has to
        change.
        """
        width, signs = self.units(stage), self._signs(stage)
        index = self._index(stage) + 1
        if gentle:
            new = Layer(width * signs, "relu")
            weight = torch.eye(width) if signs == 1 else relu_pair(torch.eye(width))
        else:
            new = Layer(width, random.choice(layout.activations))
            weight = initial(width, width, width, new.gain, new_generator())
        if gentle and signs == 2:
            part = self._with_columns(part, index - 1, _read_pair)
        tensors = _renumbered(part.tensors, index, 1)
        tensors |= {f"{index}.weight": weight, f"{index}.bias": torch.zeros(new.width)}
        layers = (*self.layers[:index], new, *self.layers[index:])
        return replace(part, component=replace(self, layers=layers), tensors=tensors)

    def spare_places(self) -> list[str]:
        """Return all layers, or none if there is only one."""
        return self._stages() if len(self.layers) > 1 else []

    def shortened(self, part: Part, stage: str) -> Part:
        """Remove a layer; the other layers stay the same.

        The next layer, or every receiver, then reads what is before the removed layer. It keeps
        its weights if the two widths are equal; otherwise they are random.
        """
        index = int(stage)
        layers = (*self.layers[:index], *self.layers[index + 1 :])
        shorter = replace(self, layers=layers)
        if index < self.first:
            return self._without_entry(part, shorter)
        tensors = dict(part.tensors)
        del tensors[f"{index}.weight"], tensors[f"{index}.bias"]
        tensors = _renumbered(tensors, index + 1, -1)
        before, gone = self.width_before(index), self.layers[index].width
        leaving = part.leaving
        if before != gone and index == len(layers):
            leaving = dict.fromkeys(part.leaving)
        elif before != gone:
            rows, gain = layers[index].width, layers[index].gain
            tensors[f"{index}.weight"] = initial(rows, before, before, gain, new_generator())
        return replace(part, component=shorter, tensors=tensors, leaving=leaving)

    def _without_entry(self, part: Part, shorter: Self) -> Part:
        """Remove the layer that reads the providers, so that the next one reads them."""
        tensors = dict(part.tensors)
        del tensors["0.bias"], tensors["1.weight"]
        tensors = _renumbered(tensors, 1, -1)
        entering = part.entering
        if shorter.rows != self.rows:
            entering = dict.fromkeys(part.entering)
        return replace(part, component=shorter, tensors=tensors, entering=entering)

    def _index(self, stage: str) -> int:
        return int(stage)

    def _with_rows(self, part: Part, index: int, change: Change) -> Part:
        """Change every tensor whose rows are the units of a layer, with the bias."""
        if index >= self.first:
            part = part.with_tensor(f"{index}.weight", change)
            return part.with_tensor(f"{index}.bias", change)
        return part.with_tensor(self.entry_bias, change).with_entering(change)

    def _with_columns(self, part: Part, index: int, change: Change) -> Part:
        """Change every tensor whose columns are the units of a layer."""
        if index == len(self.layers) - 1:
            return part.with_leaving(change)
        return part.with_tensor(f"{index + 1}.weight", change)


class _Wider:
    """The new units of one layer: their number, and the units that they copy if gentle."""

    def __init__(self, width: int, limit: int, gentle: bool) -> None:
        self.added = random.randint(1, min(max(1, width // 2), limit - width))
        self.gentle, self.generator = gentle, new_generator()
        self.copied = torch.randperm(width, generator=self.generator)[: self.added]

    def rows(self, tensor: Tensor) -> Made:
        """Make a weight or bias with rows for the new units."""
        new = more_rows(tensor, self.copied, self.gentle, self.generator)
        return Made(new, tensor, added(0, len(tensor), self.copied, float(self.gentle)))

    def columns(self, tensor: Tensor) -> Made:
        """Make a weight with columns through which the new units are read."""
        new = more_columns(tensor, self.copied, self.gentle, self.generator)
        return Made(new, tensor, added(1, tensor.shape[1], self.copied, float(self.gentle)))


class _WiderLatent(_Wider):
    """The new dimensions of a decoder's latent, which have weights of zero if gentle."""

    def rows(self, tensor: Tensor) -> Made:
        """Make a weight or bias of the two heads, with a row in each for a new dimension."""
        # The first half of the rows is the head of the mean, the second of the log-variance.
        dim = len(tensor) // 2
        head = added(0, dim, self.copied, 0.0)
        source = torch.cat([head.source, head.source + dim])
        both = Selection(0, source, head.factor.repeat(2))
        if self.gentle:
            return Made(both(tensor), tensor, both)
        mean, log_variance = tensor.chunk(2)
        new = torch.cat([super().rows(mean).new, super().rows(log_variance).new])
        return Made(new, tensor, both)

    def columns(self, tensor: Tensor) -> Made:
        """Make a weight with columns through which the new dimensions are read."""
        if not self.gentle:
            return super().columns(tensor)
        selection = added(1, tensor.shape[1], self.copied, 0.0)
        return Made(selection(tensor), tensor, selection)


def _relu_pair(tensor: Tensor) -> Made:
    return Made(relu_pair(tensor), tensor, paired(0, len(tensor)))


def _read_pair(tensor: Tensor) -> Made:
    return Made(read_pair(tensor), tensor, paired(1, tensor.shape[1]))


def _renumbered(tensors: Mapping[str, Tensor], first: int, by: int) -> dict[str, Tensor]:
    """Return the tensors with ``by`` added to the number of each layer from ``first`` on."""
    moved = {}
    for name, tensor in tensors.items():
        stage, _, part = name.partition(".")
        if stage.isdecimal() and int(stage) >= first:
            name = f"{int(stage) + by}.{part}"
        moved[name] = tensor
    return moved


@dataclass(frozen=True)
class Generic(Dense):
    """The kind that takes every type and gives values."""

    kind = "generic"
    takes = frozenset({FEATURES, VALUES, DISCRETE, SAMPLES})
    gives = VALUES
    carries = True

    @classmethod
    def carrier(cls, units: int) -> Self:
        """Return one relu layer."""
        return cls(id=new_id(), layers=(Layer(units, "relu"),))


@dataclass(frozen=True)
class Discrete(Dense):
    """The kind that takes every type and gives a discrete distribution; it ends with a softmax.

    The softmax stays the last layer and keeps its number of units, since one more class changes
    the probabilities of all others.
    """

    kind = "discrete"
    takes = frozenset({FEATURES, VALUES, DISCRETE, SAMPLES})
    gives = DISCRETE

    def hidden_layers(self) -> tuple[Layer, ...]:
        """Return the layers before the softmax."""
        return self.layers[:-1]

    def fault(self) -> str:
        """Return a message if the last layer is not a softmax, or another layer is wrong."""
        if not self.layers or self.layers[-1].activation != SOFTMAX:
            return f"needs {SOFTMAX} as its last activation, got {self}"
        return super().fault()

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return random layers, the last of which is a softmax."""
        layers = layout.draw_layers()
        return cls(id=new_id(), layers=(*layers[:-1], Layer(layers[-1].width, SOFTMAX)))

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers before the softmax, or a softmax that is the only layer."""
        if len(self.layers) > 1:
            return super().deep_places(limits, gentle)
        fits = not gentle or 2 * self.width <= limits.width
        return ["0"] if fits and limits.layers > 1 else []

    def deepened(self, part: Part, stage: str, layout: Layout, gentle: bool) -> Part:
        """Add a layer after a stage, or before a softmax that is the only layer."""
        if len(self.layers) > 1:
            return super().deepened(part, stage, layout, gentle)
        softmax = self.layers[0]
        if gentle:
            new = Layer(2 * softmax.width, "relu")
            part = self._with_rows(part, 0, _relu_pair)
            weight = read_pair(torch.eye(softmax.width))
        else:
            new = Layer(softmax.width, random.choice(layout.activations))
            columns = new.width
            weight = initial(softmax.width, columns, columns, softmax.gain, new_generator())
        further = {"1.weight": weight, "1.bias": torch.zeros(softmax.width)}
        component = replace(self, layers=(new, softmax))
        return replace(part, component=component, tensors={**part.tensors, **further})


@dataclass(frozen=True)
class Decoder(Dense):
    """The decoder of a variational autoencoder, which takes values and gives samples.

    Two linear heads read the providers, and give the mean and the log-variance of a latent
    variable. The latent is drawn, and the layers read it.

    Several decoders can share one latent. Its KL divergence is then the mean over these decoders,
    weighted by ``share``. After a gentle clone, the original and the copy each have half the share
    of the original, so that the mean stays the same, also if there are further decoders.

    Attributes:
        latent: The latent variable.
        share: The weight of this decoder in the KL divergence of the latent.
    """

    latent: Latent
    share: float = 1.0

    kind = "decoder"
    takes = frozenset({VALUES, DISCRETE})
    gives = SAMPLES
    first = 0
    entry_bias = "latent.bias"

    @property
    def drawn(self) -> tuple[Latent, float]:
        """The latent, and the decoder's share in its KL divergence."""
        return self.latent, self.share

    @property
    def rows(self) -> int:
        """The number of rows of every block: those of the mean, then those of the log-variance."""
        return 2 * self.latent.dim

    @property
    def entry_gain(self) -> float:
        """The gain of the heads, which are linear."""
        return 1.0

    def width_before(self, index: int) -> int:
        """Return the number of columns of the weight of a layer; the first reads the latent."""
        return super().width_before(index) if index else self.latent.dim

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Draw the latent from its two heads, then apply the layers."""
        return self._pass_layers(calculator.draw(pre, self.latent), calculator)

    def fault(self) -> str:
        """Return a message if the share is not positive, or a layer is wrong."""
        if not self.share > 0:
            return f"needs a positive share in its latent's divergence, got {self.share}"
        return super().fault()

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return random layers that read a random latent."""
        layers = layout.draw_layers()
        latent = Latent(new_id(), random.randint(*layout.latent))
        return cls(id=new_id(), layers=layers, latent=latent)

    def __str__(self) -> str:
        return f"{super().__str__()} (latent {self.latent.dim})"

    # -- surgery

    def twins(self) -> tuple[Self, Self]:
        """Return two decoders of the same latent, each with half the share."""
        original = replace(self, share=self.share / 2)
        return original, replace(original, id=new_id())

    def renewed(self) -> Self:
        """Return a decoder with a latent of its own."""
        return replace(self, id=new_id(), latent=replace(self.latent, id=new_id()))

    def units(self, stage: str) -> int:
        """Return the units of a layer, or the dimensions of the latent."""
        return self.latent.dim if stage == LATENT else super().units(stage)

    def wide_places(self, limits: Limits) -> list[str]:
        """Return the layers below the limit of width, and the latent if it is below its own."""
        latent = [LATENT] if self.latent.dim < limits.latent else []
        return latent + super().wide_places(limits)

    def widened(self, part: Part, stage: str, limits: Limits, gentle: bool) -> Part:
        """Add units to a layer, or dimensions to the latent.

        Gentle: the weights of both heads of a new dimension are zero, so its KL divergence is 0;
        and it is read through weights of zero.
        """
        if stage != LATENT:
            return super().widened(part, stage, limits, gentle)
        wider = _WiderLatent(self.latent.dim, limits.latent, gentle)
        part = self._with_columns(self._with_rows(part, -1, wider.rows), -1, wider.columns)
        latent = replace(self.latent, dim=self.latent.dim + wider.added)
        return replace(part, component=replace(self, latent=latent))

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers after which one can be added, and the latent."""
        latent_fits = len(self.layers) < limits.layers
        if gentle and 2 * self.latent.dim > limits.width:
            latent_fits = False
        latent = [LATENT] if latent_fits else []
        return latent + super().deep_places(limits, gentle)

    def _index(self, stage: str) -> int:
        return -1 if stage == LATENT else int(stage)

    def _signs(self, stage: str) -> int:
        return 2 if stage == LATENT else super()._signs(stage)


@dataclass(frozen=True)
class Refiner(Dense):
    """The kind that takes samples and gives samples."""

    kind = "refiner"
    takes = frozenset({SAMPLES})
    gives = SAMPLES
    carries = True

    @classmethod
    def carrier(cls, units: int) -> Self:
        """Return one relu layer."""
        return cls(id=new_id(), layers=(Layer(units, "relu"),))


LATENT = "latent"
"""The name of a decoder's stage before its layers."""
