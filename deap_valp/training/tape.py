"""The tape: a model and its losses as a list of stages, recorded once and computed in each step.

With small networks, autograd costs more time than the arithmetic. A step on a tape consists of the
arithmetic alone: the stages are run forward for the losses, and backward for the gradient.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor

from ..errors import StructureError
from ..genome import Connection, Convolution, Input, Latent, Layer, SubNetwork
from ..problem import Problem
from .flat import Flat, Slot
from .losses import Divergence, loss_weights
from .model import Model, reads_maps
from .stages import (
    Activate,
    Add,
    Apply,
    Begin,
    Convolve,
    Draw,
    Loss,
    Product,
    Signal,
    Stage,
    WeightedDivergence,
    WeightedLoss,
)


class Tape:
    """The computation of the losses and their gradient in a training step.

    Several sub-networks often read the same wide provider, such as an image. Their blocks for it
    are stored one below the other, so that one product serves all of them (``stacks``).

    Args:
        model: The decoded individual. Its parameters become views of ``flat``.
        problem: The problem, which has the losses.
        batch_size: Number of examples in every step.
        flat: The buffers of another tape of this model, to share them. By default the tape makes
            its own.
        pulls: The sums of losses to differentiate. Each is given by the factor of every output's
            loss. By default there is one, the plain sum.
        weighted: The outputs whose examples do not all weigh the same, so that ``forward`` gets
            their weights.

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
        weighted: Collection[str] = (),
    ) -> None:
        self.model, self.batch_size, self.weighted = model, batch_size, frozenset(weighted)
        self.weights = loss_weights(model, problem, weighted)
        pulls = [dict.fromkeys(model.outputs, 1.0)] if pulls is None else pulls
        self.pulled = [self.weights.pulled(pull) for pull in pulls]
        self.stacks = stacks(model)
        self.flat = Flat(model, self._layout()) if flat is None else flat
        self.matrix = self.flat.gradient.new_tensor(self.weights.rows)
        self.stages: list[Stage] = []
        self.activations: list[Activate] = []
        self.signals: dict[str, Signal] = {}
        self.entries: dict[str, Signal] = {}
        self.draws: dict[str, Draw] = {}
        self.losses: dict[str, Loss] = {}
        for name, component in model.components.items():
            if isinstance(component, Input):
                self.signals[name] = Signal(self._empty(component.width))
            elif isinstance(component, SubNetwork):
                entry = self._maps_entry(name) if reads_maps(component) else self._entry(name)
                self.signals[name] = component.compute(entry, OnTape(self, name))
            else:
                self._record_loss(name, problem)
            self._record_stack(name)
        self.divergences: list[tuple[str, WeightedDivergence]] = []
        self.parts = [self._part(part) for part in self.weights.parts]
        self._share_gradients()

    # ---- playing ---------------------------------------------------------------------------------

    def forward(
        self,
        features: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        noise: Mapping[int, Tensor],
        weights: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the loss of every output, shape (outputs,).

        Args:
            features: The features by input, each of shape (batch, width).
            targets: The targets by output, in training units.
            noise: The noise by latent id, each of shape (batch, at least dim).
            weights: The weights of the examples, shape (batch,), of each output in ``weighted``.
        """
        for name in self.model.inputs:
            self.signals[name].value = features[name].t()
        for name, loss in self.losses.items():
            loss.target = targets[name]
        if weights:
            self._set_weights(weights)
        for draw in self.draws.values():
            draw.noise = noise[draw.latent.id].t()[: draw.latent.dim]
        for stage in self.stages:
            stage.forward()
        return self.matrix @ torch.stack([part.loss for part in self.parts])

    def backward(self, index: int = 0) -> None:
        """Write to ``flat`` the gradient of the sum of losses that ``pulls[index]`` describes."""
        for part, weight in zip(self.parts, self.pulled[index], strict=True):
            part.weigh(weight)
        for stage in reversed(self.stages):
            stage.backward()

    def _set_weights(self, weights: Mapping[str, Tensor]) -> None:
        own = {name: weights[name].to(self.matrix) for name in self.weighted}
        for name, loss in self.losses.items():
            if isinstance(loss, WeightedLoss):
                loss.weights = own[name]
        for name, divergence in self.divergences:
            divergence.weights = own[name]

    # ---- recording -------------------------------------------------------------------------------

    def _empty(self, width: int) -> Tensor:
        return self.flat.gradient.new_empty(width, self.batch_size)

    def signal(self, width: int) -> Signal:
        """Return a new signal with memory for its value and its gradient."""
        # A result that no stage reads has the gradient zero.
        return Signal(self._empty(width), self._empty(width).zero_())

    def maps_signal(self, width: int) -> Signal:
        """Return a new signal of maps, whose examples are contiguous in memory."""
        value = self.flat.gradient.new_empty(self.batch_size, width)
        return Signal(value.t(), torch.zeros_like(value).t())

    def _layout(self) -> list[str]:
        """Return the order of the parameters in ``flat``: the parts of a stack are adjacent."""
        order: dict[str, None] = {}
        for provider, receivers in self.stacks.items():
            order |= dict.fromkeys(self.model.entry_bias[receiver] for receiver in receivers)
            order |= dict.fromkeys(Connection(provider, receiver) for receiver in receivers)
        return list(order | dict.fromkeys(self.model.tensors))

    def _record_stack(self, provider: str) -> None:
        """Record the one product of a provider that is the first to be read by its stack."""
        receivers = self.stacks.get(provider)
        if not receivers:
            return
        blocks = self.flat.slot(*(Connection(provider, receiver) for receiver in receivers))
        biases = self.flat.slot(*(self.model.entry_bias[receiver] for receiver in receivers))
        stack = self.signal(len(blocks.value))
        self.stages.append(Product(self.signals[provider], stack, blocks, biases))
        start = 0
        for receiver in receivers:
            stop = start + self.model.components[receiver].rows
            self.entries[receiver] = stack.units(start, stop)
            start = stop

    def _entry(self, name: str) -> Signal:
        """Record the products of the providers outside the stack, and return their sum."""
        for provider in self.model.providers[name]:
            if name not in self.stacks.get(provider, ()):
                block = self.flat.slot(Connection(provider, name))
                self.stages.append(Product(self.signals[provider], self.entries[name], block, None))
        return self.entries[name]

    def _maps_entry(self, name: str) -> Signal:
        """Record the convolutions with which a sub-network reads maps, and return their sum."""
        component = self.model.components[name]
        entry = self.maps_signal(component.entry_width)
        bias: Slot | None = self.flat.slot(self.model.entry_bias[name])
        for provider in self.model.providers[name]:
            by = component.convolution(self.model.components[provider])
            block = self.flat.slot(Connection(provider, name))
            self.stages.append(Convolve(self.signals[provider], entry, block, bias, by))
            bias = None
        return entry

    def _record_loss(self, name: str, problem: Problem) -> None:
        """Record the head of an output and its loss."""
        width = self.model.components[name].width
        memory = self._empty(width)
        if width >= self.batch_size:
            # A wide head has the memory layout of its target. A narrow one keeps the other layout,
            # because its product would take five times as long.
            memory = memory.view(-1, width).t()
        head = Signal(memory)
        bias = self.flat.slot(self.model.entry_bias[name])
        self._record_head(name, head, bias)
        kind = problem.outputs[name]
        if name in self.weighted:
            self.losses[name] = WeightedLoss(head, kind.weighted_loss_with_gradient)
        else:
            self.losses[name] = Loss(head, kind.loss_with_gradient)
        self.stages.append(self.losses[name])

    def _record_head(self, name: str, head: Signal, bias: Slot) -> None:
        """Record the sum of a bias and of what an output reads of its providers."""
        output, providers = self.model.components[name], self.model.providers[name]
        by = {read: output.convolution(self.model.components[read]) for read in providers}
        first: Slot | None = bias
        if any(by.values()):
            self.stages.append(Begin(head, bias))
            first = None
        for provider in providers:
            block, read = self.flat.slot(Connection(provider, name)), self.signals[provider]
            found = by[provider]
            if found is None:
                self.stages.append(Product(read, head, block, first))
            else:
                self.stages.append(Convolve(read, head, block, None, found))
            first = None

    def _part(self, part: str | Divergence) -> Loss | Draw | WeightedDivergence:
        """Return the object that has a part of the losses."""
        if isinstance(part, Divergence):
            divergence = WeightedDivergence()
            self.draws[part.decoder].weighted.append(divergence)
            self.divergences.append((part.output, divergence))
            return divergence
        return self.losses.get(part) or self.draws[part]

    def _share_gradients(self) -> None:
        """Let the first reader of a signal, on the way back, write its gradient, the others add.

        The gradients of an activation's result and of what it reads share one memory if nothing
        else reads that, since the first is not needed any more when the second is written.
        """
        readers = Counter(id(read) for stage in self.stages for read in stage.reads)
        for activate in self.activations:
            read = activate.read
            alone = readers[id(read)] == 1
            activate.into.gradient = read.gradient if alone else torch.zeros_like(read.value)
        written: set[int] = set()
        for stage in reversed(self.stages):
            for index, read in enumerate(stage.reads):
                stage.keeps[index] = int(id(read) in written)
                written.add(id(read))


def stacks(model: Model) -> dict[str, tuple[str, ...]]:
    """Return, by provider, the sub-networks whose widest provider it is.

    The sub-networks of one provider are its stack: one product computes what they all read of it.
    Those that read maps are in no stack.
    """
    found: dict[str, tuple[str, ...]] = {}
    for name in model.order:
        component = model.components[name]
        if isinstance(component, SubNetwork) and not reads_maps(component):
            providers = model.providers[name]
            widths = {provider: model.components[provider].width for provider in providers}
            widest = max(widths, key=widths.__getitem__)
            found[widest] = (*found.get(widest, ()), name)
    return found


class OnTape:
    """Records the computation of a sub-network on a tape; it has the methods of ``OnTensors``."""

    def __init__(self, tape: Tape, name: str) -> None:
        self.tape, self.name = tape, name

    def activate(self, pre: Signal, layer: Layer) -> Signal:
        """Apply the activation of a layer."""
        activate = Activate(pre, Signal(pre.value), layer)
        self.tape.activations.append(activate)
        self.tape.stages.append(activate)
        return activate.into

    def add(self, first: Signal, second: Signal) -> Signal:
        """Add two signals of the same width, each the result of a layer or of a latent."""
        into = self.tape.signal(len(first.value))
        self.tape.stages.append(Add(first, second, into))
        return into

    def apply(self, function: Callable[..., Tensor], *signals: Signal) -> Signal:
        """Apply a function of tensors of shape (batch, width), which autograd differentiates."""
        batch = self.tape.batch_size
        shown = function(*(torch.zeros_like(signal.value.t()) for signal in signals))
        if shown.dim() != 2 or len(shown) != batch:
            raise StructureError(
                f"apply needs a function that gives a tensor of shape ({batch}, width) for tensors "
                f"of that many rows, got shape {tuple(shown.shape)} in {self.name}"
            )
        into = self.tape.signal(shown.shape[1])
        self.tape.stages.append(Apply(signals, into, function))
        return into

    def dense(self, hidden: Signal, stage: int | str) -> Signal:
        """Apply the weight and bias of a stage of the sub-network."""
        weight = self.tape.flat.slot(f"{self.name}.{stage}.weight")
        bias = self.tape.flat.slot(f"{self.name}.{stage}.bias")
        into = self.tape.signal(len(weight.value))
        self.tape.stages.append(Product(hidden, into, weight, bias))
        return into

    def convolve(self, hidden: Signal, stage: int | str, by: Convolution) -> Signal:
        """Apply the kernels and the bias of a stage of the sub-network."""
        weight = self.tape.flat.slot(f"{self.name}.{stage}.weight")
        bias = self.tape.flat.slot(f"{self.name}.{stage}.bias")
        into = self.tape.maps_signal(by.result.columns)
        self.tape.stages.append(Convolve(hidden, into, weight, bias, by))
        return into

    def draw(self, heads: Signal, latent: Latent) -> Signal:
        """Draw the latent variable from its mean and log-variance, one above the other."""
        into = self.tape.signal(latent.dim)
        draw = Draw(heads, into, latent)
        self.tape.draws[self.name] = draw
        self.tape.stages.append(draw)
        return into
