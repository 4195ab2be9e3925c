"""The training loop, visible from top to bottom.

The host waits for the device at a look at the validation loss and never between two looks: batches
are slices of resident data, and losses stay where they are computed. A session without looks on
``device="meta"`` proves it, since anything else raises there.

References:
    Paper III (losses combined by addition), V-C (an SGD algorithm and rate for each output).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from .. import device as devices
from ..errors import EvaluationError
from ..genome import Optimizer
from ..genome.optimizers import BlockState, State
from ..problem import Problem
from .batches import batches_of
from .model import Model
from .parts import InParts
from .step import Steps, groups_of
from .tape import Tape
from .watch import Watch


@dataclass(frozen=True)
class Training:
    """How a session trains, beside its budget and the individual's own hyperparameters.

    The defaults keep small data from being learned by heart. ``PLAIN`` is the paper's training:
    every batch of the budget, the last weights, an optimizer that starts anew in each session.

    Attributes:
        keep: Whether the session leaves the weights with the lowest validation loss that it saw,
            those it began with included; otherwise its last weights. The loss is the mean over the
            outputs of the logarithm of each one's, so that none is traded for another's crumbs.
        average: What is looked at and kept is a running average of the weights, in which each step
            counts this much less than the next; 0 is for the weights themselves.
        look: Batches from one look at the validation loss to the next; None is for a third of an
            epoch, and at least 10.
        patience: Looks without a new lowest loss before the session ends; None is for never.
        carry: Whether the optimizers go on from where the session before stopped.
        warmup: Steps over which the learning rate of a tensor rises to its own where its optimizer
            starts anew.
        reshuffle: Whether the training examples are put into a new order in each epoch, where they
            are small enough for that; otherwise only the batches are.

    Raises:
        EvaluationError: ``average``, ``look``, ``patience`` or ``warmup`` is out of range.
    """

    keep: bool = True
    average: float = 0.98
    look: int | None = None
    patience: int | None = 40
    carry: bool = True
    warmup: int = 20
    reshuffle: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.average < 1:
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
        """Return the batches from one look to the next."""
        return self.look or max(10, size // batch_size // 3)


PLAIN = Training(keep=False, average=0.0, patience=None, carry=False, warmup=0, reshuffle=False)
"""The paper's training."""


class Session(NamedTuple):
    """What a training session gives beside the trained model.

    Attributes:
        history: The loss of every output at every step, before the step was taken, shape (batches,
            outputs), on the device. By default divided by the constant predictor's loss, so that 1
            is "knows nothing".
        state: What the optimizers remember at the weights that were kept, on the device: the next
            session's ``state``.
        kept: After how many batches the model had the weights that were kept.
        losses: Validation loss of every output with these weights, shape (outputs,); None where the
            session never looked.
    """

    history: Tensor
    state: dict[str, dict[str, BlockState]]
    kept: int
    losses: np.ndarray | None


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
) -> Session:
    """Train the model in place.

    Args:
        model: The decoded individual; its device is where everything happens.
        problem: Gives the data and the losses.
        batches: Number of steps; a session may end earlier (``Training.patience``).
        batch_size: Examples of a step; at most the whole training split.
        optimizers: SGD algorithm, learning rate and weight decay of every output.
        seed: Seeds the order of the examples and the latents' noise.
        micro_batches: Parts that each batch is computed in, for the sake of memory; the steps are
            the same up to rounding.
        training: What is kept and when it ends.
        state: What the session before left, for this one to go on from it. A tensor without state
            starts anew; the state of an algorithm that it is not trained with is dropped.
    """
    device = next(model.parameters()).device
    data = problem.split("train", device)
    batch_size = min(batch_size, data.size)
    generator = devices.generator(device, seed)
    groups = groups_of({name: optimizers[name] for name in model.outputs})
    pulls = [group.pulls for group in groups]
    tape: Tape | InParts
    if micro_batches == 1:
        tape = Tape(model, problem, batch_size, pulls=pulls)
    else:
        tape = InParts(model, problem, batch_size, micro_batches, pulls)
    decay = {name: optimizer.decay for name, optimizer in optimizers.items()}
    step = Steps(model, tape, groups, state or {}, decay, training.warmup)
    watch = None
    if training.keep:
        watch = Watch(model, problem, step, training.average, micro_batches)
    interval = training.interval(data.size, batch_size)
    history = torch.empty(batches, len(model.outputs), device=device)
    plan = batches_of(data, batch_size, seed, generator if training.reshuffle else None)
    done = 0
    while done < batches:
        features, targets = next(plan)
        history[done] = tape.forward(features, targets, model.draw_noise(batch_size, generator))
        step()
        done += 1
        if watch is None:
            continue
        watch.follow(done)
        if done % interval == 0 or done == batches:
            watch.look(done)
            if training.patience is not None and watch.looks_since_best >= training.patience:
                break
    if watch is None:
        return Session(history, step.state(), done, None)
    return Session(history[:done], watch.state(), watch.kept, watch.losses)
