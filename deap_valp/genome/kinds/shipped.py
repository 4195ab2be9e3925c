"""The kinds that the package ships: generic, discrete, decoder and refiner.

References:
    Paper III; the type table of the model.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..activations import SOFTMAX, Layer
from ..ports import DISCRETE, FEATURES, SAMPLES, VALUES
from ..weights import Selection, added, initial, new_generator, paired, read_pair, relu_pair
from .base import Calculator, Latent, Made, Part, Value, new_id
from .dense import Dense, Wider
from .settings import Layout, Limits

if TYPE_CHECKING:
    from typing_extensions import Self

LATENT = "latent"
"""The name of a decoder's stage before its layers."""


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


def _relu_pair(tensor: Tensor) -> Made:
    return Made(relu_pair(tensor), tensor, paired(0, len(tensor)))


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

    def units_of(self, stage: str) -> int:
        """Return the units of a layer, or the dimensions of the latent."""
        return self.latent.dim if stage == LATENT else super().units_of(stage)

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


class _WiderLatent(Wider):
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
