"""The validation losses that a ``Watch`` looks at, by the compiled player."""

from __future__ import annotations

import numpy as np
import torch

from ...problem import Problem, Split
from ..flat import Flat
from ..model import Model
from ..tape import Tape
from . import kernel
from .blas import here, one_thread
from .program import Program, need_readable
from .translate import Translation


class CompiledLosses:
    """Computes the validation loss of every output with the weights that are in a buffer.

    It plays a tape forward on all examples, with latents at their mean: without noise.

    Args:
        model: The model.
        problem: The problem, which has the losses.
        data: The validation examples.
        flat: The buffer of the weights.

    Raises:
        Unknown: The tape has a part that the player has no operation for.
    """

    def __init__(self, model: Model, problem: Problem, data: Split, flat: Flat) -> None:
        need_readable(data)
        program = Program(here())
        tape = Tape(model, problem, data.size, flat, weighted=tuple(data.weights))
        Translation(program, tape, 0, data.size).forward()
        self._in_use = program, tape, data  # the operations have addresses of their memory
        self._losses = torch.zeros(1, len(model.outputs))
        self._scratch = program.new(3 * data.size)
        still = program.new(max([0, *model.latents.values()]) * data.size)
        self._arrays = program.arrays()
        self._addresses = np.empty((1, len(program.sources)), dtype=np.int64)
        kinds = {"features": data.inputs, "targets": data.targets, "weights": data.weights}
        for (kind, name), column in program.sources.items():
            tensor = {"noise": still, "history": self._losses}.get(kind)
            if tensor is None:
                tensor = kinds[kind][str(name)]
            self._addresses[0, column] = tensor.data_ptr()
        self._coefficients = np.zeros((1, 1))

    def __call__(self) -> np.ndarray:
        """Return the losses, shape (outputs,)."""
        self._losses.zero_()
        with one_thread():
            kernel.play(
                *self._arrays, self._addresses, self._coefficients, self._scratch.data_ptr()
            )
        losses: np.ndarray = self._losses[0].numpy().copy()
        return losses
