"""The SGD algorithms with which an output can be trained, and their state.

To add one, add an entry to ``OPTIMIZERS``. An algorithm takes a step on parts of one flat buffer.
All that it remembers from step to step is in a ``BlockState``, so that training can continue from
there. From a new state, each algorithm takes the same steps as its namesake in ``torch.optim``.

References:
    Paper V-C, change_sgd.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .weights import Selection, pack, unpack


class BlockState(NamedTuple):
    """The state of an algorithm for one tensor of a VALP. Nothing writes to it.

    Attributes:
        steps: The number of steps taken so far.
        moments: The tensors that the algorithm remembers, such as the running means of the
            gradient and of its square; each has the shape of the tensor.
    """

    steps: int
    moments: tuple[Tensor, ...]

    def map(self, change: Callable[[Tensor], Tensor]) -> BlockState:
        """Return a state with every moment changed in the same way, such as moved to a device."""
        return BlockState(self.steps, tuple(change(moment) for moment in self.moments))

    def selected(self, selection: Selection, algorithm: Algorithm) -> BlockState:
        """Return the state of this algorithm for a tensor that the selection made of the tensor."""
        powers = zip(self.moments, algorithm.powers, strict=True)
        return BlockState(self.steps, tuple(selection.moment(m, power) for m, power in powers))


State = Mapping[str, Mapping[str, BlockState]]
"""The states by the key of a tensor in ``VALP.weights`` and the name of an algorithm.

A tensor without a state starts anew.
"""


class States(Mapping[str, Mapping[str, BlockState]]):
    """A ``State`` that never changes, and is pickled once for all who share it (``Tensors``)."""

    __slots__ = ("_states",)

    def __init__(self, states: State) -> None:
        self._states = dict(states)

    @classmethod
    def of(cls, states: State) -> States:
        """Return the states as they are if they cannot change, and otherwise a copy."""
        return states if isinstance(states, States) else cls(states)

    def __getitem__(self, key: str) -> Mapping[str, BlockState]:
        return self._states[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def __deepcopy__(self, memo: dict[int, Any]) -> States:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return unpack_state, (pack_state(self._states),)

    def __repr__(self) -> str:
        return f"States({self._states})"


def on_cpu(state: State) -> dict[str, dict[str, BlockState]]:
    """Return the state on the CPU, as float32."""
    moved: dict[str, dict[str, BlockState]] = {}
    for key, by_algorithm in state.items():
        moved[key] = {}
        for name, block in by_algorithm.items():
            moved[key][name] = block.map(lambda moment: moment.to("cpu", torch.float32))
    return moved


def pack_state(state: State) -> Any:
    """Return the state in a form for pickling: plain values, and one array of all moments."""
    index: list[tuple[str, str, int, int]] = []
    moments: dict[str, Tensor] = {}
    for key, by_algorithm in state.items():
        for name, block in by_algorithm.items():
            index.append((str(key), name, block.steps, len(block.moments)))
            for moment in block.moments:
                moments[str(len(moments))] = moment
    return index, pack(moments)


def unpack_state(packed: Any) -> States:
    """Return the state that ``pack_state`` was given."""
    index, packed_moments = packed
    moments = iter(unpack(packed_moments).values())
    state: dict[str, dict[str, BlockState]] = {}
    for key, name, steps, count in index:
        block = BlockState(steps, tuple(next(moments) for _ in range(count)))
        state.setdefault(key, {})[name] = block
    return States(state)


class Stretch:
    """A part of the flat buffers that is updated as one: one rate and one number of steps.

    Attributes:
        value: The weights, which a step changes in place.
        gradient: The gradient of the weights.
        moments: The moments of the weights, which a step changes in place.
        steps: The number of steps taken before this session, which a step adds to.
    """

    def __init__(
        self, value: Tensor, gradient: Tensor, moments: Sequence[Tensor], steps: int
    ) -> None:
        self.value, self.gradient, self.moments, self.steps = value, gradient, tuple(moments), steps


MEAN, SQUARE = 0.9, 0.99
"""The parts of Adam's running means of the gradient and of its square that a step keeps.

The usual number for the square is 0.999. With it, an optimizer that continues from session to
session remembers the large gradients of the first descent for a thousand steps, and trains slowly.
"""

DECAY = 1e-2
"""The weight decay of AdamW, at each step times the learning rate."""

Step = Callable[[float], None]
"""Take one step with this learning rate."""


class Algorithm(NamedTuple):
    """An SGD algorithm.

    Attributes:
        make: The function that takes stretches, and returns a function that takes a step on them.
        usual_rate: The usual learning rate.
        powers: The power of the gradient that each moment is a mean of.
        scale_free: Whether the size of a step is independent of the size of the gradient.
        counts: Whether a step depends on the number of steps before it.
        clip: The largest norm of a gradient. A longer gradient is shortened to it.
        operation: The name by which the compiled player knows the algorithm. Without it, what is
            trained with the algorithm is trained by torch.
    """

    make: Callable[[Sequence[Stretch]], Step]
    usual_rate: float
    powers: tuple[int, ...]
    scale_free: bool = True
    counts: bool = False
    clip: float | None = None
    operation: str = ""


# ---- algorithms ----------------------------------------------------------------------------------


def _adam(stretches: Sequence[Stretch]) -> Step:
    return _fused(torch._fused_adam_, stretches, 0.0)


def _adamw(stretches: Sequence[Stretch]) -> Step:
    return _fused(torch._fused_adamw_, stretches, DECAY)


def _fused(kernel: Callable[..., None], stretches: Sequence[Stretch], decay: float) -> Step:
    """Return a step that updates all stretches by one kernel, with a count of steps for each."""
    values, gradients = [s.value for s in stretches], [s.gradient for s in stretches]
    means, squares = [s.moments[0] for s in stretches], [s.moments[1] for s in stretches]
    count = values[0].new_tensor([s.steps for s in stretches], dtype=torch.float32)
    steps = list(count.unbind())

    def step(rate: float) -> None:
        count.add_(1)
        kernel(
            values,
            gradients,
            means,
            squares,
            [],
            steps,
            lr=rate,
            beta1=MEAN,
            beta2=SQUARE,
            weight_decay=decay,
            eps=1e-8,
            amsgrad=False,
            maximize=False,
        )

    return step


def _each(update: Callable[[Stretch, float], None]) -> Callable[[Sequence[Stretch]], Step]:
    """Return the ``make`` of an algorithm that updates one stretch after the other."""

    def make(stretches: Sequence[Stretch]) -> Step:
        def step(rate: float) -> None:
            for stretch in stretches:
                stretch.steps += 1
                update(stretch, rate)

        return step

    return make


@_each
def _sgd(stretch: Stretch, rate: float) -> None:
    (momentum,) = stretch.moments
    momentum.mul_(0.9).add_(stretch.gradient)
    stretch.value.add_(momentum, alpha=-rate)


@_each
def _rmsprop(stretch: Stretch, rate: float) -> None:
    (square,) = stretch.moments
    square.mul_(0.99).addcmul_(stretch.gradient, stretch.gradient, value=0.01)
    stretch.value.addcdiv_(stretch.gradient, square.sqrt().add_(1e-8), value=-rate)


@_each
def _adagrad(stretch: Stretch, rate: float) -> None:
    (total,) = stretch.moments
    total.addcmul_(stretch.gradient, stretch.gradient)
    stretch.value.addcdiv_(stretch.gradient, total.sqrt().add_(1e-10), value=-rate)


@_each
def _nadam(stretch: Stretch, rate: float) -> None:
    mean, square = stretch.moments
    mean.lerp_(stretch.gradient, 1 - MEAN)
    square.mul_(SQUARE).addcmul_(stretch.gradient, stretch.gradient, value=1 - SQUARE)
    now, ahead, product = nesterov(stretch.steps)
    root = square.div(1 - SQUARE**stretch.steps).sqrt_().add_(1e-8)
    stretch.value.addcdiv_(stretch.gradient, root, value=-rate * (1 - now) / (1 - product))
    stretch.value.addcdiv_(mean, root, value=-rate * ahead / (1 - product * ahead))


_products: list[float] = [1.0]


def nesterov(step: int) -> tuple[float, float, float]:
    """Return the momentum of a step and of the next, and the product of all up to this step."""
    while len(_products) <= step:
        _products.append(_products[-1] * _momentum(len(_products)))
    return _momentum(step), _momentum(step + 1), _products[step]


def _momentum(step: int) -> float:
    return MEAN * (1 - 0.5 * 0.96 ** (step * 0.004))


OPTIMIZERS: dict[str, Algorithm] = {
    "adam": Algorithm(_adam, 1e-3, (1, 2), counts=True, operation="adam"),
    "adamw": Algorithm(_adamw, 1e-3, (1, 2), counts=True, operation="adamw"),
    "sgd": Algorithm(_sgd, 3e-3, (1,), scale_free=False, clip=1.0, operation="sgd"),
    "rmsprop": Algorithm(_rmsprop, 1e-3, (2,), operation="rmsprop"),
    "adagrad": Algorithm(_adagrad, 1e-2, (2,), operation="adagrad"),
    "nadam": Algorithm(_nadam, 1e-3, (1, 2), counts=True, operation="nadam"),
}
