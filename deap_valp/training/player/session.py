"""The compiled player of a session: it takes the steps that a tape and ``Steps`` describe."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..batches import Epoch, epochs_of
from ..course import Course
from ..model import Model
from ..parts import InParts
from ..tape import Tape
from . import kernel
from .blas import here, one_thread
from .looks import CompiledLosses
from .program import Program, Unknown, need_readable
from .translate import Translation
from .updates import Updates

BLOCK = 64
"""The largest number of steps in one call of the interpreter."""

HELD = 2**22
"""The largest number of numbers that a block draws or copies, unless a step needs more."""


class CompiledSteps:
    """Takes the steps of a session by the interpreter, a block of them in one call.

    The weights, the moments of the algorithms and the average of a ``Watch`` stay where they are
    for the tape of torch, so that everything else in a session is the same with both.

    Args:
        course: What the steps are taken with.

    Raises:
        Unknown: The session has a part that the player has no operation for.
    """

    engine = "compiled"

    def __init__(self, course: Course) -> None:
        self._course = course  # the operations have addresses of its memory
        model, tape, steps, watch, data = course[:5]
        need_readable(data)
        if course.problem.augmentations:
            raise Unknown("images that are moved or mirrored in training")
        self._size = tape.batch_size
        self._program = Program(here())
        updates = Updates(self._program, steps, course.batches)
        self._translate(tape, updates)
        updates.move()
        if watch is not None:
            updates.follow(watch.running, 1 - watch.stays(updates.numbers))
            if isinstance(tape, Tape):
                # With micro-batches, memory is short, and torch looks at a part after the other.
                watch.look_by(CompiledLosses(model, watch.problem, watch.data, tape.flat))
        self._ops, self._factors, self._patches = self._program.arrays()
        self._coefficients = updates.table()
        self._scratch = self._program.new(3 * self._size)
        self._block = _block(course)
        self._noise = torch.empty(self._block, sum(model.latents.values()), self._size)
        self._latents = _starts(model)
        self._epochs = epochs_of(data, self._size, course.seed, course.shuffler)
        self._epoch: Epoch | None = None
        self._left = np.empty(0, dtype=np.int64)

    def _translate(self, tape: Tape | InParts, updates: Updates) -> None:
        """Append the losses of a batch and the gradient of each group."""
        plays = tape.plays if isinstance(tape, InParts) else [(tape, slice(0, self._size))]
        parts = [Translation(self._program, play, rows.start, self._size) for play, rows in plays]
        if isinstance(tape, Tape):
            parts[0].forward()
            for index, group in enumerate(self._course.step.groups):
                parts[0].backward(index)
                updates.take_gradient(group)
            return
        for total in tape.totals:
            self._program.zero(total)
        for part in parts:
            part.forward()
            for index, total in enumerate(tape.totals):
                part.backward(index)
                self._program.add(tape.flat.gradient, total, part.examples / self._size)
        for group, total in zip(self._course.step.groups, tape.totals, strict=True):
            self._program.zero(tape.flat.gradient)
            self._program.add(total, tape.flat.gradient, 1.0)
            updates.take_gradient(group)

    def __call__(self, history: Tensor, done: int) -> None:
        """Take as many steps as the history has rows, and write the losses of each into its row.

        Args:
            history: Shape (steps, outputs).
            done: The number of steps taken before.
        """
        history.zero_()
        with one_thread():
            for start in range(0, len(history), self._block):
                self._play(history[start : start + self._block], done + start)

    def _play(self, history: Tensor, done: int) -> None:
        count = len(history)
        addresses = np.zeros((count, len(self._program.sources)), dtype=np.int64)
        held = self._lay_out(addresses)
        column = self._program.sources["history", ""]
        addresses[:, column] = _lines(history, count)
        kernel.play(
            self._ops,
            self._factors,
            self._patches,
            addresses,
            self._coefficients[done : done + count],
            self._scratch.data_ptr(),
        )
        del held
        for group in self._course.step.groups:
            group.taken += count

    def _lay_out(self, addresses: np.ndarray) -> list[Epoch]:
        """Write where the examples and the noise of each step are; return what has to stay alive.

        The generator is asked in the order in which the tape of torch asks it.
        """
        held, filled = [], 0
        while filled < len(addresses):
            if self._epoch is None or not len(self._left):
                self._epoch = next(self._epochs)
                self._left = np.array(self._epoch.starts, dtype=np.int64)
            held.append(self._epoch)
            rows = addresses[filled : filled + len(self._left)]
            starts, self._left = self._left[: len(rows)], self._left[len(rows) :]
            self._lay_out_examples(self._epoch, starts, rows)
            self._draw_noise(filled, filled + len(rows))
            filled += len(rows)
        for latent, start in self._latents.items():
            column = self._program.sources.get(("noise", latent))
            if column is not None:
                lines = _lines(self._noise, len(addresses))
                addresses[:, column] = lines + 4 * start * self._size
        return held

    def _lay_out_examples(self, epoch: Epoch, starts: np.ndarray, rows: np.ndarray) -> None:
        for (kind, name), column in self._program.sources.items():
            if kind in ("features", "targets", "weights"):
                tensor: Tensor = getattr(epoch, kind)[name]
                example = tensor.stride(0) * tensor.element_size()
                rows[:, column] = tensor.data_ptr() + example * starts

    def _draw_noise(self, first: int, last: int) -> None:
        if self._noise.numel():
            for index in range(first, last):
                self._noise[index].normal_(generator=self._course.generator)


def _block(course: Course) -> int:
    """Return the number of steps in a block, whose noise and examples are in memory together."""
    data, size = course.data, course.tape.batch_size
    noise = max(1, sum(course.model.latents.values()) * size)
    copies = BLOCK
    if course.reshuffle:
        kinds = (data.inputs, data.targets, data.weights)
        epoch = sum(tensor.numel() for kind in kinds for tensor in kind.values())
        copies = data.size // size * max(1, HELD // epoch)
    return max(1, min(BLOCK, HELD // noise, copies))


def _starts(model: Model) -> dict[int, int]:
    """Return the first row of each latent in the noise of a step."""
    starts, start = {}, 0
    for latent, dim in model.latents.items():
        starts[latent] = start
        start += dim
    return starts


def _lines(tensor: Tensor, count: int) -> np.ndarray:
    """Return the addresses of the first lines of a tensor."""
    return tensor.data_ptr() + 4 * tensor.stride(0) * np.arange(count, dtype=np.int64)
