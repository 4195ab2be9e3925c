"""A model and its losses, recorded once as a tape of stages, then played forward and backward by hand.

To small networks autograd costs more than their arithmetic. On a tape a step is nothing but
kernels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from ..genome import Connection, Input, Latent, Layer, SubNetwork
from ..problem import Problem
from .flat import Flat
from .losses import loss_weights
from .model import Model
from .stages import (
    Activate,
    Add,
    Draw,
    Loss,
    Product,
    Signal,
    Stage,
)


class Tape:
    """What a training step computes before the update.

    Receivers that read the same provider first are computed as one: their blocks lie one below the
    other, so that the product with an image, say, is one for all of them.

    Args:
        model: Its parameters become views of ``flat``.
        problem: Gives the losses.
        batch_size: Examples of every step.
        flat: Of another tape of this model, to share; its own by default.
        pulls: Sums of losses to differentiate, each by output the factor of its loss; by default
            the plain sum.

    Attributes:
        flat: The parameters, and the gradients that ``backward`` writes.
    """

    def __init__(
        self,
        model: Model,
        problem: Problem,
        batch_size: int,
        flat: Flat | None = None,
        pulls: Sequence[Mapping[str, float]] | None = None,
    ) -> None:
        self.model, self.batch_size = model, batch_size
        self.weights = loss_weights(model, problem)
        pulls = [dict.fromkeys(model.outputs, 1.0)] if pulls is None else pulls
        self.pulled = [self.weights.pulled(pull) for pull in pulls]
        self.stacks = stacks(model)
        self.flat = Flat(model, self._layout()) if flat is None else flat
        self.matrix = self.flat.gradient.new_tensor(self.weights.rows)
        self.stages: list[Stage] = []
        self.signals: dict[str, Signal] = {}
        self.entries: dict[str, Signal] = {}
        self.draws: dict[str, Draw] = {}
        self.losses: dict[str, Loss] = {}
        for name, component in model.components.items():
            if isinstance(component, Input):
                self.signals[name] = Signal(self._empty(component.width))
            elif isinstance(component, SubNetwork):
                self.signals[name] = component.compute(self._entry(name), OnTape(self, name))
            else:
                self._record_loss(name, problem)
            self._record_stack(name)
        self.parts: list[Loss | Draw] = [
            self.losses.get(part) or self.draws[part] for part in self.weights.parts
        ]
        self._share_gradients()

    # ---- playing ---------------------------------------------------------------------------------

    def forward(
        self,
        features: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        noise: Mapping[int, Tensor],
    ) -> Tensor:
        """The loss of every output, shape (outputs,).

        Args:
            features: By input, shape (batch, width).
            targets: By output, in training units.
            noise: By latent id, shape (batch, at least dim).
        """
        for name in self.model.inputs:
            self.signals[name].value = features[name].t()
        for name, loss in self.losses.items():
            loss.target = targets[name]
        for draw in self.draws.values():
            draw.noise = noise[draw.latent.id].t()[: draw.latent.dim]
        for stage in self.stages:
            stage.forward()
        return self.matrix @ torch.stack([part.loss for part in self.parts])

    def backward(self, index: int = 0) -> None:
        """Write the gradient of a sum of the losses, that of ``pulls[index]``, to ``flat``."""
        for part, weight in zip(self.parts, self.pulled[index], strict=True):
            part.weigh(weight)
        for stage in reversed(self.stages):
            stage.backward()

    # ---- recording -------------------------------------------------------------------------------

    def _empty(self, width: int) -> Tensor:
        return self.flat.gradient.new_empty(width, self.batch_size)

    def signal(self, width: int) -> Signal:
        """A new one with memory for its value and gradient."""
        return Signal(self._empty(width), self._empty(width))

    def _layout(self) -> list[str]:
        order: dict[str, None] = {}
        for provider, receivers in self.stacks.items():
            order |= dict.fromkeys(self.model.entry_bias[receiver] for receiver in receivers)
            order |= dict.fromkeys(Connection(provider, receiver) for receiver in receivers)
        return list(order | dict.fromkeys(self.model.tensors))

    def _record_stack(self, provider: str) -> None:
        receivers = self.stacks.get(provider)
        if not receivers:
            return
        blocks = self.flat.slot(*(Connection(provider, receiver) for receiver in receivers))
        biases = self.flat.slot(*(self.model.entry_bias[receiver] for receiver in receivers))
        stack = self.signal(len(blocks.value))
        self.stages.append(Product(self.signals[provider], stack, blocks, biases))
        start = 0
        for receiver in receivers:
            self.entries[receiver] = stack.units(
                start, start := start + self.model.components[receiver].rows
            )

    def _entry(self, name: str) -> Signal:
        for provider in self.model.providers[name]:
            if name not in self.stacks.get(provider, ()):
                block = self.flat.slot(Connection(provider, name))
                self.stages.append(Product(self.signals[provider], self.entries[name], block, None))
        return self.entries[name]

    def _record_loss(self, name: str, problem: Problem) -> None:
        width = self.model.components[name].width
        # a wide head has the layout of its target; a narrow one does not, for its product would
        # take five times as long
        head = Signal(
            self._empty(width)
            if width < self.batch_size
            else self._empty(width).view(-1, width).t()
        )
        bias = self.flat.slot(self.model.entry_bias[name])
        for index, provider in enumerate(self.model.providers[name]):
            block = self.flat.slot(Connection(provider, name))
            self.stages.append(
                Product(self.signals[provider], head, block, None if index else bias)
            )
        loss_of = problem.outputs[name].loss_with_gradient
        self.losses[name] = Loss(head, loss_of)
        self.stages.append(self.losses[name])

    def _share_gradients(self) -> None:
        """On the way back, let the first reader of a signal write its gradient, and the others add to it."""
        written: set[int] = set()
        for stage in reversed(self.stages):
            if isinstance(stage, Product):
                stage.keeps = int(id(stage.read) in written)
                written.add(id(stage.read))
            elif isinstance(stage, Add):
                for index, read in enumerate(stage.reads):
                    stage.keeps[index] = int(id(read) in written)
                    written.add(id(read))


def stacks(model: Model) -> dict[str, tuple[str, ...]]:
    """Each sub-network under its widest provider: those of one provider are computed in one product."""
    found: dict[str, tuple[str, ...]] = {}
    for name in model.order:
        if isinstance(model.components[name], SubNetwork):
            widest = max(
                model.providers[name], key=lambda provider: model.components[provider].width
            )
            found[widest] = (*found.get(widest, ()), name)
    return found


class OnTape:
    """Records what a sub-network computes."""

    def __init__(self, tape: Tape, name: str) -> None:
        self.tape, self.name = tape, name

    def activate(self, pre: Signal, layer: Layer) -> Signal:
        """Apply the activation of a layer."""
        into = Signal(
            pre.value, pre.gradient
        )  # one memory for both gradients: the first is not needed any more
        self.tape.stages.append(Activate(pre, into, layer))
        return into

    def add(self, first: Signal, second: Signal) -> Signal:
        """Add two signals of one width, each the result of a layer or of a latent."""
        into = self.tape.signal(len(first.value))
        self.tape.stages.append(Add(first, second, into))
        return into

    def dense(self, hidden: Signal, stage: int | str) -> Signal:
        """Apply the weight and bias of a stage of the sub-network."""
        weight, bias = (
            self.tape.flat.slot(f"{self.name}.{stage}.{part}") for part in ("weight", "bias")
        )
        into = self.tape.signal(len(weight.value))
        self.tape.stages.append(Product(hidden, into, weight, bias))
        return into

    def draw(self, heads: Signal, latent: Latent) -> Signal:
        """Draw the latent from its two heads."""
        into = self.tape.signal(latent.dim)
        draw = Draw(heads, into, latent)
        self.tape.draws[self.name] = draw
        self.tape.stages.append(draw)
        return into
