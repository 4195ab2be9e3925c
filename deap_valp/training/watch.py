"""The looks at the validation loss during a session, which keep the best weights."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from ..genome.optimizers import BlockState
from ..problem import Problem
from .losses import sub_losses
from .model import Latents, Model
from .step import Steps

EXAMPLES = 2000
"""The largest number of validation examples in a look, so that it costs a few steps at most."""


class Watch:
    """Keeps the weights and the optimizer state with the lowest validation loss of a session.

    It looks at a running average of the weights, and keeps this average. ``begin`` is the first
    look, at the weights that the session starts with.

    Args:
        model: The model in training. Its parameters are views of the buffer of ``step``.
        problem: The problem, which has the validation examples and the losses.
        step: The object that takes the steps.
        average: The share of the running average that stays at each step; the rest are the new
            weights. In the first steps the share is smaller.
        parts: Number of parts in which the examples are computed, to save memory.

    Attributes:
        problem: As above.
        data: The validation examples that it looks at.
        running: The running average, which ``follow`` moves.
        kept: Number of steps before the kept weights; 0 means the weights at the start.
        losses: Validation loss of every output with the kept weights and with latents at their
            mean, shape (outputs,).
        looks_since_best: Number of looks since the kept weights were found.
    """

    def __init__(
        self, model: Model, problem: Problem, step: Steps, average: float = 0.0, parts: int = 1
    ) -> None:
        self._model, self._step, self._parts = model, step, parts
        self._average, self.problem = average, problem
        self.running = step.weights.clone()
        device = next(model.parameters()).device
        self.data = problem.split("validation", device, limit=EXAMPLES)
        self._sub_losses = sub_losses(model, problem, self.data.weights)
        self.kept, self.looks_since_best = 0, 0
        self._measure: Callable[[], np.ndarray] = self._measured

    def look_by(self, measure: Callable[[], np.ndarray]) -> None:
        """Take the validation loss of every output from a function.

        It is called when the model has the weights that are looked at.
        """
        self._measure = measure

    def begin(self) -> None:
        """Keep the weights as they are, until a look finds better ones."""
        self._remembered = self._step.snapshot()
        self.losses = self._measure()
        self._lowest = _criterion(self.losses)

    def follow(self, steps: int) -> None:
        """Move the running average towards the weights, of which so many steps are taken."""
        self.running.lerp_(self._step.weights, 1 - float(self.stays(steps)))

    def stays(self, steps: int | np.ndarray) -> np.ndarray:
        """Return the share of the average that stays at a step, by the number of the step."""
        return np.minimum(self._average, steps / (steps + 9))

    def look(self, steps: int) -> None:
        """Keep the average if its loss is the lowest so far; the device is waited for once."""
        trained = self._step.weights.clone()
        self._step.weights.copy_(self.running)
        self._compare(steps)
        self._step.weights.copy_(trained)

    def _compare(self, steps: int) -> None:
        """Keep the weights that the model has now if their loss is the lowest so far."""
        losses = self._measure()
        criterion = _criterion(losses)
        self.looks_since_best += 1
        if criterion < self._lowest:
            self._lowest, self.losses, self.kept = criterion, losses, steps
            self._remembered, self.looks_since_best = self._step.snapshot(), 0

    def state(self) -> dict[str, dict[str, BlockState]]:
        """Give the model the kept weights, and return the optimizer state that belongs to them."""
        self._step.restore(self._remembered)
        return self._step.state()

    def _measured(self) -> np.ndarray:
        """Return the validation loss of every output with the weights of the model."""
        size = -(-self.data.size // self._parts)
        total = torch.zeros(len(self._model.outputs))
        for start in range(0, self.data.size, size):
            part = slice(start, start + size)
            features = {name: rows[part] for name, rows in self.data.inputs.items()}
            targets = {name: rows[part] for name, rows in self.data.targets.items()}
            weights = {name: rows[part] for name, rows in self.data.weights.items()}
            latents = Latents("reconstruct")
            results = self._model.run(features, latents)
            count = len(next(iter(features.values())))
            losses = self._sub_losses(results, targets, latents, weights)
            total = total.to(losses) + losses * count
        mean: np.ndarray = (total / self.data.size).cpu().numpy()
        return mean


def _criterion(losses: np.ndarray) -> float:
    """Return the mean logarithm of the losses; infinity where one is not finite."""
    if not np.isfinite(losses).all():
        return np.inf
    return float(np.log(np.maximum(losses, 1e-9)).mean())
