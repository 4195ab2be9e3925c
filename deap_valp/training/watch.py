"""Looking at the validation loss during a session, and keeping the best weights."""

from __future__ import annotations

import numpy as np
import torch

from ..genome.optimizers import BlockState
from ..problem import Problem
from .losses import sub_losses
from .model import Latents, Model
from .step import Steps

EXAMPLES = 2000
"""Validation examples that a look computes, so that it costs a few steps at most."""


class Watch:
    """Remembers the weights of a model, and the optimizers' state, at the lowest validation loss.

    Args:
        model: In training; its parameters are views of the steps' buffer.
        problem: Gives the validation examples and the losses.
        step: Takes the steps, and knows what to remember.
        average: Share of the running average of the weights that stays at a step; it is this
            average that is looked at and remembered. It is smaller in the first steps.
        parts: Number of parts that the examples are computed in, for the sake of memory.

    Attributes:
        kept: Steps before the weights that are remembered; 0 is for those it began with.
        losses: Validation loss of every output with them, latents at their mean, shape (outputs,).
        looks_since_best: Looks since then.
    """

    def __init__(
        self, model: Model, problem: Problem, step: Steps, average: float = 0.0, parts: int = 1
    ) -> None:
        self._model, self._step, self._parts = model, step, parts
        self._average = average
        self._running = step.weights.clone()
        self._sub_losses = sub_losses(model, problem)
        device = next(model.parameters()).device
        self._data = problem.split("validation", device, limit=EXAMPLES)
        self.losses = self._measured()
        self.kept, self.looks_since_best = 0, 0
        self._lowest = _criterion(self.losses)
        self._remembered = step.snapshot()

    def follow(self, steps: int) -> None:
        """Let the running average follow the weights after so many steps."""
        stays = min(self._average, steps / (steps + 9))
        self._running.lerp_(self._step.weights, 1 - stays)

    def look(self, steps: int) -> None:
        """Compare the average after so many steps with what is remembered; one device sync."""
        trained = self._step.weights.clone()
        self._step.weights.copy_(self._running)
        self._compare(steps)
        self._step.weights.copy_(trained)

    def _compare(self, steps: int) -> None:
        losses = self._measured()
        criterion = _criterion(losses)
        self.looks_since_best += 1
        if criterion < self._lowest:
            self._lowest, self.losses, self.kept = criterion, losses, steps
            self._remembered, self.looks_since_best = self._step.snapshot(), 0

    def state(self) -> dict[str, dict[str, BlockState]]:
        """Give the model the best weights, and return the optimizers' state that goes with them."""
        self._step.restore(self._remembered)
        return self._step.state()

    def _measured(self) -> np.ndarray:
        size = -(-self._data.size // self._parts)
        total = torch.zeros(len(self._model.outputs))
        for start in range(0, self._data.size, size):
            part = slice(start, start + size)
            features = {name: rows[part] for name, rows in self._data.inputs.items()}
            targets = {name: rows[part] for name, rows in self._data.targets.items()}
            latents = Latents("reconstruct")
            results = self._model.run(features, latents)
            count = len(next(iter(features.values())))
            losses = self._sub_losses(results, targets, latents)
            total = total.to(losses) + losses * count
        mean: np.ndarray = (total / self._data.size).cpu().numpy()
        return mean


def _criterion(losses: np.ndarray) -> float:
    """Return the mean logarithm of the losses; infinity where one is not finite."""
    if not np.isfinite(losses).all():
        return np.inf
    return float(np.log(np.maximum(losses, 1e-9)).mean())
