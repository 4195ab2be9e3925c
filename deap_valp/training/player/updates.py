"""The steps of the algorithms as operations of the compiled player, with what changes in time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from torch import Tensor

from ...genome.optimizers import DECAY, MEAN, SQUARE, Stretch, nesterov
from ..step import GroupStep, Steps
from . import codes
from .program import Program, Unknown, need_float32

Columns = tuple[np.ndarray, ...]
Coefficients = Callable[[np.ndarray, np.ndarray], Columns]
"""From the rates and the numbers of the steps of a session to what an update takes of each."""


def _adam(rates: np.ndarray, counts: np.ndarray) -> Columns:
    return rates / (1 - MEAN**counts), (1 - SQUARE**counts) ** -0.5, np.ones_like(rates)


def _adamw(rates: np.ndarray, counts: np.ndarray) -> Columns:
    step, root, _ = _adam(rates, counts)
    return step, root, 1 - rates * DECAY


def _nadam(rates: np.ndarray, counts: np.ndarray) -> Columns:
    now, ahead, product = np.array([nesterov(int(count)) for count in counts]).T
    own, coming = (1 - now) / (1 - product), ahead / (1 - product * ahead)
    return rates * own, rates * coming, 1 / (1 - SQUARE**counts)


def _plain(rates: np.ndarray, counts: np.ndarray) -> Columns:
    return (rates,)


ALGORITHMS: dict[str, tuple[int, Coefficients]] = {
    "adam": (codes.ADAM, _adam),
    "adamw": (codes.ADAM, _adamw),
    "nadam": (codes.NADAM, _nadam),
    "sgd": (codes.SGD, _plain),
    "rmsprop": (codes.RMSPROP, _plain),
    "adagrad": (codes.ADAGRAD, _plain),
}
"""The operation and the coefficients of an algorithm, by ``Algorithm.operation``."""


class Updates:
    """Appends the steps of a session to a program.

    Args:
        program: The program.
        steps: What takes the steps on the tape of torch; its buffers are used here too.
        batches: The number of steps of the session.

    Attributes:
        columns: What the operations take of each step, an array over the steps for each.
    """

    def __init__(self, program: Program, steps: Steps, batches: int) -> None:
        self.program, self.steps = program, steps
        self.numbers = np.arange(1, batches + 1, dtype=np.float64)
        self.columns: list[np.ndarray] = []

    def take_gradient(self, group: GroupStep) -> None:
        """Append what a group does with the gradient that was just computed."""
        gradient, flat = group.gradient, self.steps.flat.gradient
        if gradient is not flat:
            self.program.emit(codes.PASS, flat.data_ptr(), gradient.data_ptr(), flat.numel())
        if group.algorithm.clip is not None:
            factors = [group.algorithm.clip]
            self.program.emit(codes.CLIP, gradient.data_ptr(), gradient.numel(), factors=factors)

    def move(self) -> None:
        """Append what moves the weights: the weight decay, and the step of every group."""
        weights, shrink = self.steps.weights, self.steps.shrink
        if shrink is not None:
            self.program.kept.append(shrink)
            self.program.emit(
                codes.MULTIPLY, weights.data_ptr(), shrink.data_ptr(), weights.numel()
            )
        for group in self.steps.groups:
            if group.algorithm.operation not in ALGORITHMS:
                raise Unknown(f"the SGD algorithm {group.name}")
            for (rate, before), stretches in group.stretches.items():
                rates = self._rates(rate, before, group.warmup)
                for stretch in stretches:
                    self._update(group.algorithm.operation, stretch, rates)

    def follow(self, average: Tensor, shares: np.ndarray) -> None:
        """Append that an average of the weights follows them, by its share at each step."""
        need_float32(average)
        column = self._columns((shares,))
        addresses = self.steps.weights.data_ptr(), average.data_ptr()
        self.program.emit(codes.FOLLOW, *addresses, 0, 0, average.numel(), column)

    def table(self) -> np.ndarray:
        """Return the columns as a table with a row for each step."""
        # Each operation reads three columns, the last one too.
        padding = [np.zeros_like(self.numbers)] * 2
        return np.stack([*self.columns, *padding], axis=1)

    def _rates(self, rate: float, before: int, warmup: int) -> np.ndarray:
        """Return the rate of each step, which rises during the warm-up."""
        taken = before + self.numbers
        return np.where(taken >= warmup, rate, rate * taken / max(warmup, 1))

    def _update(self, operation: str, stretch: Stretch, rates: np.ndarray) -> None:
        code, coefficients = ALGORITHMS[operation]
        column = self._columns(coefficients(rates, stretch.steps + self.numbers))
        tensors = (stretch.value, stretch.gradient, *stretch.moments)
        for tensor in tensors:
            need_float32(tensor)
        value, gradient, *moments = (tensor.data_ptr() for tensor in tensors)
        first, second = (*moments, 0)[:2]
        count = stretch.value.numel()
        self.program.emit(code, value, gradient, first, second, count, column)

    def _columns(self, columns: Columns) -> int:
        """Add columns, and return the first of them."""
        first = len(self.columns)
        self.columns += columns
        return first
