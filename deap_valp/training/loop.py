"""The training loop of a session.

The host waits for the device when it looks at the validation loss, and at no other time: batches
are slices of data on the device, and the losses stay there. A test shows it by a session without
looks on ``device="meta"``, where reading a number from the device raises an exception.

References:
    Paper III (losses combined by addition), V-C (an SGD algorithm and rate for each output).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import device as devices
from ..arguments import is_number
from ..errors import EvaluationError
from ..genome import Optimizer
from ..genome.optimizers import BlockState, State
from ..problem import Problem
from .course import Course
from .engine import AUTO, taker
from .model import Model
from .parts import InParts
from .step import Group, Steps, groups_of
from .tape import Tape
from .watch import Watch


@dataclass(frozen=True)
class Training:
    """The settings of a training session, beside its budget and the individual's hyperparameters.

    A session is one call of ``evaluate``: it trains an individual for a number of batches. At
    regular intervals it looks at the validation loss. The defaults prevent overfitting on small
    data. ``PLAIN`` is the paper's training: it uses the whole budget, keeps the last weights, and
    has no warm-up.

    Attributes:
        keep: Whether the session ends with the weights that had the lowest validation loss, those
            it began with included. Otherwise it ends with its last weights. To compare two looks,
            the mean of the logarithms of the outputs' losses is used, so that every output counts
            the same.
        average: The session looks at, and keeps, a running average of the weights, in which each
            step counts this factor less than the next. 0 means the weights themselves.
        look: Number of batches from one look at the validation loss to the next. None means a
            third of an epoch, but at least 10.
        patience: Number of looks without a new lowest loss after which the session ends. None
            means that it never ends early.
        carry: Whether the optimizers continue from their state at the end of the previous session.
            An individual then holds this state beside its weights: with Adam, two more numbers for
            each weight. It pays only where sessions are as short as 50 batches.
        warmup: Number of steps over which the learning rate of a tensor rises to its full value,
            where the optimizer of the tensor starts anew. Without it, the first steps of a session
            would undo part of the one before.
        reshuffle: Whether the training examples get a new order in each epoch, if there are few
            enough. Otherwise only the batches do.

    Raises:
        EvaluationError: ``average``, ``look``, ``patience`` or ``warmup`` is out of range.
    """

    keep: bool = True
    average: float = 0.98
    look: int | None = None
    patience: int | None = 40
    carry: bool = False
    warmup: int = 10
    reshuffle: bool = True

    def __post_init__(self) -> None:
        if not is_number(self.average) or not 0 <= self.average < 1:
            raise EvaluationError(
                f"Training needs average from 0 on and below 1, got {self.average!r}"
            )
        for name, least in (("look", 1), ("patience", 1), ("warmup", 0)):
            value = getattr(self, name)
            if value is None and name != "warmup":
                continue
            if type(value) is not int or value < least:
                raise EvaluationError(f"Training needs {name} from {least} on, got {value!r}")

    def interval(self, size: int, batch_size: int) -> int:
        """Return the number of batches from one look to the next."""
        return self.look or max(10, size // batch_size // 3)


PLAIN = Training(keep=False, average=0.0, patience=None, warmup=0, reshuffle=False)
"""The paper's training: the whole budget, the last weights, the full rate from the first step."""


class Session(NamedTuple):
    """The result of a training session, beside the trained model.

    Attributes:
        history: The loss of every output at every step, before the step was taken; shape (batches,
            outputs), on the device. By default a loss is divided by that of the best constant
            prediction, so 1 means that the model knows nothing. Where examples have weights, the
            mean over many batches is the loss, and a batch without a target has loss 0.
        state: The state of the optimizers at the kept weights, on the device. The next session
            takes it as ``state``.
        kept: The number of batches after which the model had the kept weights.
        losses: The validation loss of every output with the kept weights, shape (outputs,). None
            if the session never looked.
        engine: What took the steps, ``"torch"`` or ``"compiled"``.
    """

    history: Tensor
    state: dict[str, dict[str, BlockState]]
    kept: int
    losses: np.ndarray | None
    engine: str


@torch.no_grad()
def train(
    model: Model,
    problem: Problem,
    batches: int,
    batch_size: int,
    optimizers: Mapping[str, Optimizer],
    seed: int,
    micro_batches: int = 1,
    *,
    training: Training = PLAIN,
    state: State | None = None,
    engine: str = AUTO,
) -> Session:
    """Train the model in place.

    Args:
        model: The decoded individual. Everything is computed on its device.
        problem: The problem, which has the data and the losses.
        batches: Number of steps. The session may end earlier (``Training.patience``).
        batch_size: Number of examples in a step, at most those of the training split.
        optimizers: The SGD algorithm, learning rate and weight decay of every output.
        seed: The seed of the order of the examples and of the noise of the latents.
        micro_batches: Number of parts in which each batch is computed, to save memory. The steps
            are the same up to rounding.
        training: The settings of the session.
        state: The optimizer state that the previous session left, to continue from. A tensor
            without a state starts anew. A state of an algorithm that no longer trains the tensor
            is dropped.
        engine: What takes the steps: ``"torch"``, ``"compiled"`` or ``"auto"``.

    Raises:
        EngineError: ``engine`` is ``"compiled"``, and the compiled player cannot take these steps.
        MissingExtraError: It is, and numba is not installed.
    """
    device = next(model.parameters()).device
    data = problem.split("train", device)
    batch_size = min(batch_size, data.size)
    generator = devices.generator(device, seed)
    groups = groups_of({name: optimizers[name] for name in model.outputs})
    tape = _tape(model, problem, batch_size, micro_batches, groups)
    decay = {name: optimizer.decay for name, optimizer in optimizers.items()}
    step = Steps(model, tape, groups, state or {}, decay, training.warmup)
    watch = None
    if training.keep:
        watch = Watch(model, problem, step, training.average, micro_batches)
    take = taker(
        engine,
        Course(
            model, tape, step, watch, data, batches, seed, generator, training.reshuffle, problem
        ),
    )
    if watch is not None:
        watch.begin()
    interval = training.interval(data.size, batch_size)
    history = torch.empty(batches, len(model.outputs), device=device)
    done = 0
    while done < batches:
        stop = batches
        if watch is not None:
            stop = min(batches, done + interval)
        take(history[done:stop], done)
        done = stop
        if watch is None:
            continue
        watch.look(done)
        if training.patience is not None and watch.looks_since_best >= training.patience:
            break
    if watch is None:
        return Session(history, step.state(), done, None, take.engine)
    return Session(history[:done], watch.state(), watch.kept, watch.losses, take.engine)


def _tape(
    model: Model, problem: Problem, batch_size: int, micro_batches: int, groups: Sequence[Group]
) -> Tape | InParts:
    """Return the tape of a batch, whole or in parts."""
    pulls = [group.pulls for group in groups]
    weighted = tuple(problem.split("train").weights)
    if micro_batches == 1:
        return Tape(model, problem, batch_size, pulls=pulls, weighted=weighted)
    return InParts(model, problem, batch_size, micro_batches, pulls, weighted)
