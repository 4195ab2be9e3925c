"""Translates the stages of a tape into operations of the compiled player.

A stage of another type makes the whole tape ``Unknown``, and torch plays it. To add a stage, write
two functions, for the way forward and the way back, and their entry in ``STAGES``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from torch import Tensor

from ...genome import SOFTMAX
from ...genome.activations import ACTIVATIONS
from ...problem.losses import CrossEntropy, SquaredError
from ..stages import Activate, Add, Draw, Loss, Product, Signal, WeightedLoss
from ..tape import Tape
from . import codes
from .program import Address, Program, Source, Unknown, View

ACTIVATION_CODES = {
    "relu": codes.RELU,
    "elu": codes.ELU,
    "softplus": codes.SOFTPLUS,
    "softsign": codes.SOFTSIGN,
    "sigmoid": codes.SIGMOID,
    "tanh": codes.TANH,
    "identity": codes.IDENTITY,
}


class Translation:
    """A tape in a program: where its signals are, and what differs between the groups of outputs.

    Args:
        program: The program, to which operations are appended.
        tape: The tape.
        first: The first example of the tape in the batch.
        batch_size: The number of examples in the batch. With micro-batches the tape has fewer.
    """

    def __init__(self, program: Program, tape: Tape, first: int, batch_size: int) -> None:
        self.program, self.tape = program, tape
        self.first, self.batch_size, self.examples = first, batch_size, tape.batch_size
        self.values: dict[int, View] = {}
        self.gradients: dict[int, View] = {}
        self.factors: dict[int, float] = {}
        self.extra: dict[int, Tensor] = {}
        self.names = {id(loss): name for name, loss in tape.losses.items()}
        for name in tape.model.inputs:
            width = tape.model.components[name].width
            offset = 4 * first * width
            view = View(Source("features", name, offset), (width, self.examples), (1, width))
            self.values[id(tape.signals[name])] = view
        self.slots = program.new(len(tape.parts))
        self.ones = program.new(self.examples).fill_(1)
        self.pulls: dict[int, float] = {}
        unknown = [type(stage).__name__ for stage in tape.stages if type(stage) not in STAGES]
        if unknown:
            raise Unknown(f"the stage {unknown[0]}")
        for stage in tape.stages:
            prepare = STAGES[type(stage)].prepare
            if prepare is not None:
                prepare(self, stage)

    def forward(self) -> None:
        """Append the way forward, and add the losses of the outputs to the row of the history."""
        for stage in self.tape.stages:
            STAGES[type(stage)].forward(self, stage)
        matrix = self.tape.matrix
        self.program.emit(
            codes.LOSSES,
            self.slots.data_ptr(),
            matrix.data_ptr(),
            Source("history"),
            *matrix.shape,
            factors=[self.examples / self.batch_size],
        )

    def backward(self, index: int) -> None:
        """Append the way back, for the sum of losses that ``pulls[index]`` describes."""
        weights = zip(self.tape.parts, self.tape.pulled[index], strict=True)
        self.pulls = {id(part): weight for part, weight in weights}
        for stage in reversed(self.tape.stages):
            STAGES[type(stage)].backward(self, stage)

    def value(self, signal: Signal) -> View:
        """Return where the value of a signal is."""
        found = self.values.get(id(signal))
        return View.of(signal.value) if found is None else found

    def gradient(self, signal: Signal) -> View:
        """Return where the gradient of a signal is."""
        found = self.gradients.get(id(signal))
        if found is None:
            assert signal.gradient is not None
            found = View.of(signal.gradient)
        return found

    def place(self, part: object) -> int:
        """Return where a part of the losses is written."""
        index = [id(one) for one in self.tape.parts].index(id(part))
        return self.slots.data_ptr() + 4 * index

    def source(self, kind: str, name: str, width: int = 1, size: int = 4) -> Source:
        """Return the part for this tape of what a batch has, by the width of an example."""
        return Source(kind, name, size * self.first * width)

    def scratch(self, stage: object, *shape: int) -> Tensor:
        """Return memory that belongs to a stage."""
        if id(stage) not in self.extra:
            self.extra[id(stage)] = self.program.new(*shape)
        return self.extra[id(stage)]


def _flat(view: View) -> View:
    """Return a view that is one row of numbers after the other."""
    if not view.by_units and view.size > max(view.shape):
        raise Unknown(f"a signal of shape {view.shape} with strides {view.strides}")
    return view


# ---- products ------------------------------------------------------------------------------------


def _product(to: Translation, stage: Product) -> None:
    into, weight = to.value(stage.into), View.of(stage.weight.value)
    if stage.bias is not None:
        bias = stage.bias.value.data_ptr()
        to.program.emit(codes.SPREAD, bias, into.address, *into.shape, into.strides[0])
    to.program.multiply(into, weight, to.value(stage.read), keep=1.0)


def _product_back(to: Translation, stage: Product) -> None:
    factor, gradient = to.factors.get(id(stage.into), 1.0), to.gradient(stage.into)
    read, weight = to.value(stage.read), View.of(stage.weight.value)
    to.program.multiply(View.of(stage.weight.gradient), gradient, read.t(), factor)
    if stage.bias is not None:
        out = stage.bias.gradient.data_ptr()
        to.program.emit(
            codes.GATHER,
            gradient.address,
            out,
            *gradient.shape,
            gradient.strides[0],
            factors=[factor],
        )
    if stage.read.gradient is not None:
        into = to.gradient(stage.read)
        to.program.multiply(into, weight.t(), gradient, factor, stage.keeps[0])


# ---- sums and activations ------------------------------------------------------------------------


def _add(to: Translation, stage: Add) -> None:
    first, second = (_flat(to.value(read)) for read in stage.reads)
    to.program.emit(
        codes.ADD, first.address, second.address, _flat(to.value(stage.into)).address, first.size
    )


def _add_back(to: Translation, stage: Add) -> None:
    gradient = _flat(to.gradient(stage.into))
    for read, keep in zip(stage.reads, stage.keeps, strict=True):
        out = _flat(to.gradient(read)).address
        to.program.emit(codes.PASS, gradient.address, out, gradient.size, keep)


def _prepare_activate(to: Translation, stage: Activate) -> None:
    name = stage.layer.activation
    if name != SOFTMAX and ACTIVATIONS[name].operation not in ACTIVATION_CODES:
        raise Unknown(f"the activation {name}")
    # On torch's tape the result has new memory at every step, and its gradient may have that of
    # what is read. A compiled loop that writes where it reads computes one number at a time.
    width, examples = stage.read.value.shape
    value, gradient = to.scratch(stage, 2, width, examples)
    to.values[id(stage.into)] = View.of(value)
    to.gradients[id(stage.into)] = View.of(gradient)


def _activate(to: Translation, stage: Activate) -> None:
    read, into = _flat(to.value(stage.read)), _flat(to.value(stage.into))
    if stage.layer.activation == SOFTMAX:
        to.program.emit(codes.SOFTMAX, read.address, into.address, *read.shape)
        return
    code = ACTIVATION_CODES[ACTIVATIONS[stage.layer.activation].operation]
    to.program.emit(codes.ACTIVATE, code, read.address, into.address, read.size)


def _activate_back(to: Translation, stage: Activate) -> None:
    read, into = _flat(to.value(stage.read)), _flat(to.value(stage.into))
    gradient, out = _flat(to.gradient(stage.into)), _flat(to.gradient(stage.read))
    keep = stage.keeps[0]
    if stage.layer.activation == SOFTMAX:
        to.program.emit(
            codes.SOFTMAX_BACK, gradient.address, into.address, out.address, *read.shape, keep
        )
        return
    to.program.emit(
        codes.ACTIVATE_BACK,
        ACTIVATION_CODES[ACTIVATIONS[stage.layer.activation].operation],
        gradient.address,
        read.address,
        into.address,
        out.address,
        read.size,
        keep,
    )


# ---- latents -------------------------------------------------------------------------------------


class _Drawn(NamedTuple):
    """The memory of a latent."""

    heads: Address
    into: Address
    deviations: int
    each: int
    pulls: int
    noise: Source


def _drawn(to: Translation, stage: Draw) -> _Drawn:
    dim, examples = stage.latent.dim, to.examples
    memory = to.scratch(stage, dim + 2, examples)
    each = memory.data_ptr() + 4 * dim * examples
    noise = Source("noise", stage.latent.id, 4 * to.first)
    heads, into = _flat(to.value(stage.heads)).address, _flat(to.value(stage.into)).address
    return _Drawn(heads, into, memory.data_ptr(), each, each + 4 * examples, noise)


def _draw(to: Translation, stage: Draw) -> None:
    at, dim, examples = _drawn(to, stage), stage.latent.dim, to.examples
    to.program.emit(
        codes.DRAW,
        at.heads,
        at.into,
        at.deviations,
        at.noise,
        to.batch_size,
        at.each,
        dim,
        examples,
    )
    if any(part is stage for part in to.tape.parts):
        _mean(to, at.each, to.ones.data_ptr(), stage)
    for name, divergence in to.tape.divergences:
        if any(divergence is part for part in stage.weighted):
            _mean(to, at.each, to.source("weights", name), divergence)


def _mean(to: Translation, each: int, weights: Address, part: object) -> None:
    place, factor = to.place(part), 1 / to.examples
    to.program.emit(codes.DOT, each, weights, place, to.examples, factors=[factor])


def _draw_back(to: Translation, stage: Draw) -> None:
    at, dim, examples = _drawn(to, stage), stage.latent.dim, to.examples
    pull = to.pulls.get(id(stage), 0.0) / examples
    to.program.emit(codes.FILL, at.pulls, examples, factors=[pull])
    for name, divergence in to.tape.divergences:
        if any(divergence is part for part in stage.weighted):
            weights, factor = to.source("weights", name), to.pulls[id(divergence)] / examples
            to.program.emit(codes.ADD_SCALED, weights, at.pulls, examples, factors=[factor])
    to.program.emit(
        codes.DRAW_BACK,
        _flat(to.gradient(stage.into)).address,
        at.heads,
        at.deviations,
        at.noise,
        to.batch_size,
        at.pulls,
        _flat(to.gradient(stage.heads)).address,
        dim,
        examples,
        stage.keeps[0],
    )


# ---- losses --------------------------------------------------------------------------------------

LOSSES = {
    CrossEntropy.with_gradient: codes.ENTROPY,
    CrossEntropy.with_weighted_gradient: codes.ENTROPY,
    SquaredError.with_gradient: codes.SQUARED,
    SquaredError.with_weighted_gradient: codes.SQUARED,
}


def _code(stage: Loss) -> int:
    function = getattr(stage.measure, "__func__", None)
    code = LOSSES.get(function) if function is not None else None
    if code is None:
        raise Unknown(f"a loss of one's own ({stage.measure!r})")
    return code


def _prepare_loss(to: Translation, stage: Loss) -> None:
    key, head = id(stage.head), View.of(stage.head.value)
    to.values[key] = to.gradients[key] = head
    if _code(stage) == codes.ENTROPY:
        value, gradient = to.scratch(stage, 2, *head.shape)
        to.values[key], to.gradients[key] = View.of(value), View.of(gradient)


def _loss(to: Translation, stage: Loss) -> None:
    head, name = to.value(stage.head), to.names[id(stage)]
    weights: Address = 0
    if isinstance(stage, WeightedLoss):
        weights = to.source("weights", name)
    more: tuple[Address, ...]
    if _code(stage) == codes.ENTROPY:
        target, more = to.source("targets", name, size=8), (to.gradient(stage.head).address,)
    else:
        target, more = to.source("targets", name, head.shape[0]), head.strides
    place = to.place(stage)
    to.program.emit(_code(stage), head.address, target, weights, place, *head.shape, *more)


def _loss_back(to: Translation, stage: Loss) -> None:
    head = to.value(stage.head)
    factor = 1 / to.examples if _code(stage) == codes.ENTROPY else 2 / head.size
    to.factors[id(stage.head)] = factor * to.pulls[id(stage)]


class Translated(NamedTuple):
    """The translation of a type of stages.

    Attributes:
        forward: Appends the way forward.
        backward: Appends the way back.
        prepare: Says before where the stage writes, or that it is ``Unknown``.
    """

    forward: Callable[[Translation, Any], None]
    backward: Callable[[Translation, Any], None]
    prepare: Callable[[Translation, Any], None] | None = None


STAGES: dict[type, Translated] = {
    Product: Translated(_product, _product_back),
    Add: Translated(_add, _add_back),
    Activate: Translated(_activate, _activate_back, _prepare_activate),
    Draw: Translated(_draw, _draw_back),
    Loss: Translated(_loss, _loss_back, _prepare_loss),
    WeightedLoss: Translated(_loss, _loss_back, _prepare_loss),
}
