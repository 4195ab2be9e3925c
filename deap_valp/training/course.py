"""What the steps of a session are taken with, and the object that takes them by torch."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..problem import Problem, Split
from .batches import batches_of
from .model import Model
from .parts import InParts
from .step import Steps
from .tape import Tape
from .watch import Watch


class Course(NamedTuple):
    """What the steps of a session are taken with.

    Attributes:
        model: The model in training.
        tape: The computation of the losses and gradients of a batch.
        step: The object that moves the weights.
        watch: The object whose average follows the weights, if there is one.
        data: The training examples.
        batches: The largest number of steps.
        seed: The seed of the order of the batches.
        generator: The generator of the order of the examples and of the noise.
        reshuffle: Whether the examples get a new order in each epoch.
        problem: The problem, which may change the examples of each batch.
    """

    model: Model
    tape: Tape | InParts
    step: Steps
    watch: Watch | None
    data: Split
    batches: int
    seed: int
    generator: torch.Generator | None
    reshuffle: bool
    problem: Problem

    @property
    def shuffler(self) -> torch.Generator | None:
        """The generator that draws a new order of the examples, if there is one."""
        return self.generator if self.reshuffle else None


class Taker(Protocol):
    """The object that takes the steps of a session: ``TorchSteps`` or ``CompiledSteps``.

    Attributes:
        engine: Its name, as for ``evaluate``.
    """

    engine: str

    def __call__(self, history: Tensor, done: int) -> None: ...


class TorchSteps:
    """Takes the steps of a session by torch, one after the other."""

    engine = "torch"

    def __init__(self, course: Course) -> None:
        self._course = course
        size = course.tape.batch_size
        self._batches = batches_of(course.data, size, course.seed, course.shuffler)

    def __call__(self, history: Tensor, done: int) -> None:
        """Take as many steps as the history has rows, and write the losses of each into its row.

        Args:
            history: Shape (steps, outputs).
            done: The number of steps taken before.
        """
        model, tape, step, watch = self._course[:4]
        problem = self._course.problem
        for index in range(len(history)):
            features, targets, weights = next(self._batches)
            noise = model.draw_noise(tape.batch_size, self._course.generator)
            if problem.augmentations:
                drawing = self._course.generator
                features, targets = problem.augmented(features, targets, drawing)
            history[index] = tape.forward(features, targets, noise, weights)
            step()
            if watch is not None:
                watch.follow(done + index + 1)
