"""The training loop, visible from top to bottom.

The host never waits for the device inside the loop: batches are slices of resident data, losses stay where they are
computed. A step on ``device="meta"`` proves it, since anything else raises there.

References:
    Paper III (losses combined by addition), V-C (an SGD algorithm and learning rate for each output).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from .. import device as devices
from ..genome import Optimizer
from ..model import Model
from ..optimizers import BlockState, State
from ..problem import Problem
from .losses import sub_losses
from .parts import InParts
from .step import Steps, groups_of
from .tape import Tape

__all__ = ["Session", "batch_starts", "sub_losses", "train"]


class Session(NamedTuple):
    """What a training session gives beside the trained model.

    Attributes:
        history: The loss of every output at every step, before the step was taken, shape (batches, outputs), on the
            device. Divided by the constant predictor's loss unless the problem says otherwise, so that 1 is "knows
            nothing".
        state: What the optimizers remember, on the device: the next session's ``state``.
    """

    history: Tensor
    state: dict[str, dict[str, BlockState]]


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
    state: State | None = None,
    decay: Mapping[str, float] | None = None,
) -> Session:
    """Train the model in place.

    Args:
        model: The decoded individual; its device is where everything happens.
        problem: Gives the data and the losses.
        batches: Number of steps.
        batch_size: Examples of a step; at most the whole training split.
        optimizers: SGD algorithm and learning rate of every output.
        seed: Of the order of the batches and of the latents' noise.
        micro_batches: Parts that each batch is computed in, for the sake of memory; the steps are the same up to
            rounding.
        state: What the session before left, for this one to go on from it. A tensor without state starts fresh; the
            state of an algorithm that it is not trained with is dropped.
        decay: Weight decay by output, 0 by default: weights, not biases, shrink by rate times decay at each step.
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
    step = Steps(model, tape, groups, state or {}, decay or {})
    history = torch.empty(batches, len(model.outputs), device=device)
    for index, start in enumerate(batch_starts(data.size, batch_size, batches, seed)):
        batch = slice(start, start + batch_size)
        features = {name: rows[batch] for name, rows in data.inputs.items()}
        targets = {name: rows[batch] for name, rows in data.targets.items()}
        history[index] = tape.forward(features, targets, model.draw_noise(batch_size, generator))
        step()
    return Session(history, step.state(batches))


def batch_starts(size: int, batch_size: int, batches: int, seed: int) -> list[int]:
    """Where each batch starts in the training split, which is stored shuffled.

    Batches are slices, for a gather of random rows would cost more than the step it feeds. Each epoch shifts them by
    a random offset and takes them in a random order.
    """
    rng = random.Random(seed)
    starts: list[int] = []
    while len(starts) < batches:
        offset = rng.randint(0, size % batch_size if size < 2 * batch_size else batch_size - 1)
        epoch = list(range(offset, size - batch_size + 1, batch_size))
        rng.shuffle(epoch)
        starts += epoch
    return starts[:batches]
