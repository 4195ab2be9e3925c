"""The kinds of sub-network. A kind is one class: it owns how it computes and every surgery on it.

A sub-network is described by a frozen, hashable value. Its tensors live with the individual, under
the names that ``shapes`` gives. To add a kind, subclass ``SubNetwork`` (or ``Dense``, for a stack
of fully connected layers) in any module and give it a ``kind``; it registers itself in ``KINDS``,
and from then on it is drawn, changed, trained, diagnosed, saved and plotted like the others.

References:
    Paper III; the type table of the model.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, TypeVar

import torch
from torch import Generator, Tensor

from .activations import ACTIVATIONS, SOFTMAX, Layer
from .ports import DISCRETE, FEATURES, SAMPLES, VALUES
from .weights import initial, more_columns, more_rows, new_generator, read_pair, relu_pair

if TYPE_CHECKING:
    from typing_extensions import Self

KINDS: dict[str, type[SubNetwork]] = {}
"""The kinds by name, in the order in which they were defined."""


@dataclass(frozen=True)
class Limits:
    """How far operators may let a VALP grow; where a limit would be passed there is no legal place.

    The defaults leave room for the 60 steps of the paper's search and for the relu pair of the
    gentle operators, which doubles a width.

    Attributes:
        networks: Sub-networks of a VALP.
        layers: Layers of a sub-network.
        width: Units of a layer.
        latent: Dimensions of a decoder's latent.
        batch_size: Smallest and largest number of examples of a batch.
        learning_rate: Smallest and largest learning rate.
        decay: Smallest and largest weight decay.
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
    """How a sub-network is drawn at random; all bounds are inclusive.

    Attributes:
        layers: Layers of a sub-network.
        width: Units of a layer.
        latent: Dimensions of a decoder's latent.
        activations: Names of the hidden activations to draw from.
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
    """A latent variable. Sub-networks that share its ``id`` draw the same noise."""

    id: int
    dim: int


def new_id() -> int:
    """Return a random number that names a new sub-network or latent."""
    return random.getrandbits(63)


Value = TypeVar("Value")


class Calculator(Protocol[Value]):
    """What a sub-network computes with: on tensors (decoded models) or on a tape (training)."""

    def activate(self, pre: Value, layer: Layer) -> Value:
        """Apply the activation of a layer."""

    def dense(self, hidden: Value, stage: int | str) -> Value:
        """Apply the tensors ``"stage.weight"`` and ``"stage.bias"`` of the sub-network."""

    def add(self, first: Value, second: Value) -> Value:
        """Add two signals of one width."""

    def draw(self, heads: Value, latent: Latent) -> Value:
        """Draw the latent, width ``dim``, from its two heads, width ``2 * dim``."""


# ---- what every kind has -------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """A sub-network with all the tensors that touch it, cut out for surgery. A value.

    Attributes:
        component: The sub-network.
        tensors: Its own tensors, by their names in ``component.shapes``.
        entering: By provider, the block through which it is read, shape (rows, width of provider).
        leaving: By receiver, the block through which the receiver reads the sub-network, shape
            (rows of receiver, width). A block may be None after surgery: it is drawn anew.
    """

    component: Any
    tensors: Mapping[str, Tensor]
    entering: Mapping[str, Tensor | None]
    leaving: Mapping[str, Tensor | None]


@dataclass(frozen=True)
class SubNetwork:
    """An inner vertex of a VALP.

    A kind must define ``kind``, ``takes``, ``gives``, ``width``, ``rows``, ``shapes``, ``compute``
    and ``draw``. Everything else has a default that is right for a kind without places of its own.

    ``id`` is drawn when the component is created. It says which components of different individuals
    are homologous; copies that ``clone_network`` makes get their own.
    """

    id: int

    kind: ClassVar[str]
    takes: ClassVar[frozenset[str]]
    gives: ClassVar[str]
    entry_bias: ClassVar[str] = "0.bias"
    """Name of the bias, among ``shapes``, that is added to what the sub-network reads."""
    carries: ClassVar[bool] = False
    """Whether the kind has a ``carrier``, which gentle insertion puts on a connection."""

    def __init_subclass__(cls) -> None:
        if "kind" in vars(cls):
            KINDS[cls.kind] = cls

    # -- being

    @property
    def width(self) -> int:
        """Columns of what the sub-network gives."""
        raise NotImplementedError

    @property
    def rows(self) -> int:
        """Rows of every block through which the sub-network reads a provider."""
        raise NotImplementedError

    @property
    def entry_gain(self) -> float:
        """Gain of the initialiser of the blocks."""
        return 1.0

    @property
    def nonnegative(self) -> bool:
        """Whether what the sub-network gives is known to be at least 0."""
        return False

    @property
    def drawn(self) -> tuple[Latent, float] | None:
        """The latent variable that it draws, with its share in the latent's divergence; or None."""
        return None

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of its tensors by name, the blocks of its providers apart."""
        raise NotImplementedError

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Compute the result from the sum of the blocks' products and the entry's bias.

        Args:
            pre: Width ``rows``.
            calculator: Does the arithmetic.
        """
        raise NotImplementedError

    def widths(self) -> tuple[int, ...]:
        """Return the widths of its layers from first to last, for pictures."""
        return (self.width,)

    def __str__(self) -> str:
        return f"{self.kind} {'-'.join(str(width) for width in self.widths())}"

    def fault(self) -> str:
        """Return what is wrong with the value itself, as a rule and what it got; empty if sound."""
        return ""

    # -- becoming

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return a random sub-network of this kind with a new id."""
        raise NotImplementedError

    def initial(self, generator: Generator) -> dict[str, Tensor]:
        """Return initial tensors by name: zero biases, and random weights of each row's fan-in."""
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
        """Return a sub-network that gives ``relu`` of what its blocks add up to.

        Its own tensors are zero. Only called where the kind ``carries``.
        """
        raise NotImplementedError

    # -- surgery: each method maps a part, or the component, to another one

    def twins(self) -> tuple[Self, Self]:
        """Return this component and its gentle clone, as they are side by side."""
        return self, replace(self, id=new_id())

    def renewed(self) -> Self:
        """Return a component like this one that shares nothing with it (an aggressive clone)."""
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
        """Return the part with a layer more, at a stage of ``deep_places``."""
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
    """The first layer that has a weight of its own."""

    @property
    def width(self) -> int:
        """Units of the last layer."""
        return self.layers[-1].width

    @property
    def rows(self) -> int:
        """Units of the layer that reads the providers."""
        return self.layers[0].width

    @property
    def entry_gain(self) -> float:
        """Gain of the layer that reads the providers."""
        return self.layers[0].gain

    @property
    def nonnegative(self) -> bool:
        """Whether the last layer gives numbers from 0 on only."""
        return self.layers[-1].nonnegative

    def widths(self) -> tuple[int, ...]:
        """Return the widths of its layers from first to last."""
        return tuple(layer.width for layer in self.layers)

    def width_before(self, index: int) -> int:
        """Columns of the weight of a layer: the width of what it reads inside the sub-network."""
        return self.layers[index - 1].width

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes: the entry's bias, then weight and bias of each further layer."""
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
        """Return whether a layer is missing or has an activation that is not hidden's."""
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

        Gentle: a new unit copies a random one, and what reads the two shares its weights out
        between them. Aggressive: new units are random.
        """
        index, width = int(stage), self.units(stage)
        wider = _Wider(width, limits.width, gentle)
        part = self._with_rows(part, index, wider.rows)
        part = self._with_columns(part, index, wider.columns)
        layers = list(self.layers)
        layers[index] = replace(layers[index], width=width + wider.added)
        return replace(part, component=replace(self, layers=tuple(layers)))

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers after which one can be added; gentle needs width for the carrier."""
        if len(self.layers) >= limits.layers:
            return []
        return [
            stage
            for stage in self._stages()
            if not gentle or self.units(stage) * self._signs(stage) <= limits.width
        ]

    def _signs(self, stage: str) -> int:
        """Units of a relu layer for each unit that it passes on: one for each sign there can be."""
        return 1 if self.layers[int(stage)].nonnegative else 2

    def deepened(self, part: Part, stage: str, layout: Layout, gentle: bool) -> Part:
        """Add a layer after a stage.

        Gentle: a relu layer that passes on what it reads, with both signs where there are both.
        Aggressive: a random layer of the same width, so that no other weight has to change.
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
            part = self._with_columns(part, index - 1, read_pair)
        tensors = _renumbered(part.tensors, index, 1)
        tensors |= {f"{index}.weight": weight, f"{index}.bias": torch.zeros(new.width)}
        layers = (*self.layers[:index], new, *self.layers[index:])
        return replace(part, component=replace(self, layers=layers), tensors=tensors)

    def spare_places(self) -> list[str]:
        """Return the layers of a stack of several."""
        return self._stages() if len(self.layers) > 1 else []

    def shortened(self, part: Part, stage: str) -> Part:
        """Remove a layer; the other layers stay the same.

        What read the layer reads what is before it instead: through the weights that it has where
        the widths agree, through random ones otherwise.
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
        """Remove the layer that reads the providers: the next one reads them instead."""
        tensors = dict(part.tensors)
        del tensors["0.bias"], tensors["1.weight"]
        tensors = _renumbered(tensors, 1, -1)
        entering = part.entering
        if shorter.rows != self.rows:
            entering = dict.fromkeys(part.entering)
        return replace(part, component=shorter, tensors=tensors, entering=entering)

    def _index(self, stage: str) -> int:
        return int(stage)

    def _with_rows(self, part: Part, index: int, change: Any) -> Part:
        """Change every tensor whose rows are the units of a layer, biases too."""
        tensors = dict(part.tensors)
        if index >= self.first:
            for name in (f"{index}.weight", f"{index}.bias"):
                tensors[name] = change(tensors[name])
            return replace(part, tensors=tensors)
        tensors[self.entry_bias] = change(tensors[self.entry_bias])
        return replace(part, tensors=tensors, entering=_changed(part.entering, change))

    def _with_columns(self, part: Part, index: int, change: Any) -> Part:
        """Change every tensor whose columns are the units of a layer."""
        if index == len(self.layers) - 1:
            return replace(part, leaving=_changed(part.leaving, change))
        name = f"{index + 1}.weight"
        return replace(part, tensors={**part.tensors, name: change(part.tensors[name])})


class _Wider:
    """New units of one layer: how many there are, and which units they copy where gentle."""

    def __init__(self, width: int, limit: int, gentle: bool) -> None:
        self.added = random.randint(1, min(max(1, width // 2), limit - width))
        self.gentle, self.generator = gentle, new_generator()
        self.copied = torch.randperm(width, generator=self.generator)[: self.added]

    def rows(self, tensor: Tensor) -> Tensor:
        """Return a weight or bias with rows for the new units."""
        return more_rows(tensor, self.copied, self.gentle, self.generator)

    def columns(self, tensor: Tensor) -> Tensor:
        """Return a weight with columns through which the new units are read."""
        return more_columns(tensor, self.copied, self.gentle, self.generator)


def _changed(blocks: Mapping[str, Tensor | None], change: Any) -> dict[str, Tensor | None]:
    return {name: change(block) for name, block in blocks.items()}


def _renumbered(tensors: Mapping[str, Tensor], first: int, by: int) -> dict[str, Tensor]:
    """Return the tensors with the numbers of all layers from ``first`` on moved."""
    moved = {}
    for name, tensor in tensors.items():
        stage, _, part = name.partition(".")
        if stage.isdecimal() and int(stage) >= first:
            name = f"{int(stage) + by}.{part}"
        moved[name] = tensor
    return moved


@dataclass(frozen=True)
class Generic(Dense):
    """Takes anything, gives values."""

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
    """Takes anything, gives a discrete distribution: its last layer is a softmax.

    The softmax keeps its units, since one more class changes all the others, and stays the last.
    """

    kind = "discrete"
    takes = frozenset({FEATURES, VALUES, DISCRETE, SAMPLES})
    gives = DISCRETE

    def hidden_layers(self) -> tuple[Layer, ...]:
        """Return the layers before the softmax."""
        return self.layers[:-1]

    def fault(self) -> str:
        """Return whether the last layer is no softmax, or another layer is wrong."""
        if not self.layers or self.layers[-1].activation != SOFTMAX:
            return f"needs {SOFTMAX} as its last activation, got {self}"
        return super().fault()

    @classmethod
    def draw(cls, layout: Layout) -> Self:
        """Return random layers, the last of which is a softmax."""
        layers = layout.draw_layers()
        return cls(id=new_id(), layers=(*layers[:-1], Layer(layers[-1].width, SOFTMAX)))

    def deep_places(self, limits: Limits, gentle: bool) -> list[str]:
        """Return the layers before the softmax; a sole softmax offers the place before it."""
        if len(self.layers) > 1:
            return super().deep_places(limits, gentle)
        fits = not gentle or 2 * self.width <= limits.width
        return ["0"] if fits and limits.layers > 1 else []

    def deepened(self, part: Part, stage: str, layout: Layout, gentle: bool) -> Part:
        """Add a layer after a stage; a layer before a sole softmax reads the providers instead."""
        if len(self.layers) > 1:
            return super().deepened(part, stage, layout, gentle)
        softmax = self.layers[0]
        if gentle:
            new = Layer(2 * softmax.width, "relu")
            part = self._with_rows(part, 0, relu_pair)
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
    """The decoder of a variational autoencoder.

    Two linear heads read the providers and give mean and log-variance of a latent; the layers read
    what is drawn. Decoders of one latent have one KL divergence, the mean of theirs weighted by
    ``share``. A gentle clone halves the share of its original between the two, which keeps the mean
    also where they differ from a third.
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
        """The latent, and the decoder's share in its divergence."""
        return self.latent, self.share

    @property
    def rows(self) -> int:
        """Rows of every block: those of the mean, then those of the log-variance."""
        return 2 * self.latent.dim

    @property
    def entry_gain(self) -> float:
        """The heads are linear."""
        return 1.0

    def width_before(self, index: int) -> int:
        """Columns of the weight of a layer; the first layer reads the latent."""
        return super().width_before(index) if index else self.latent.dim

    def compute(self, pre: Value, calculator: Calculator[Value]) -> Value:
        """Draw the latent from its two heads, then apply the layers."""
        return self._pass_layers(calculator.draw(pre, self.latent), calculator)

    def fault(self) -> str:
        """Return whether the share is not positive, or a layer is wrong."""
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
        """Return two decoders of the same latent, each with half the share in its divergence."""
        original = replace(self, share=self.share / 2)
        return original, replace(original, id=new_id())

    def renewed(self) -> Self:
        """Return a decoder with a latent of its own."""
        return replace(self, id=new_id(), latent=replace(self.latent, id=new_id()))

    def units(self, stage: str) -> int:
        """Return the units of a layer, or the dimensions of the latent."""
        return self.latent.dim if stage == LATENT else super().units(stage)

    def wide_places(self, limits: Limits) -> list[str]:
        """Return the layers below the limit, and the latent where it is below its own."""
        latent = [LATENT] if self.latent.dim < limits.latent else []
        return latent + super().wide_places(limits)

    def widened(self, part: Part, stage: str, limits: Limits, gentle: bool) -> Part:
        """Add units to a layer, or dimensions to the latent.

        Gentle: a new dimension has heads of zero, so its divergence is 0, and is read through 0.
        """
        if stage != LATENT:
            return super().widened(part, stage, limits, gentle)
        wider = _Wider(self.latent.dim, limits.latent, gentle)

        def rows(tensor: Tensor) -> Tensor:  # of the mean's head, then of the log-variance's
            parts: list[Tensor] = []
            for half in tensor.chunk(2):
                new = wider.rows(half)[len(half) :]
                parts += [half, torch.zeros_like(new) if gentle else new]
            return torch.cat(parts)

        def columns(tensor: Tensor) -> Tensor:
            if not gentle:
                return wider.columns(tensor)
            return torch.cat([tensor, tensor.new_zeros(len(tensor), wider.added)], 1)

        part = self._with_columns(self._with_rows(part, -1, rows), -1, columns)
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
    """Takes samples, gives samples."""

    kind = "refiner"
    takes = frozenset({SAMPLES})
    gives = SAMPLES
    carries = True

    @classmethod
    def carrier(cls, units: int) -> Self:
        """Return one relu layer."""
        return cls(id=new_id(), layers=(Layer(units, "relu"),))


LATENT = "latent"
"""The stage of a decoder that comes before its layers."""
