"""What metrics look at: a trained model, and what it computes on the validation examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from .. import device as devices
from ..problem import Problem, Split
from ..training.losses import sub_losses
from ..training.model import Latents, Model
from .gradients import Pass, Place, functional_gradients

EXAMPLES = 1000
"""Examples of a split that metrics look at."""

CAP = 100.0
"""Largest relevance. A larger value carries no information: the output is ruined either way."""


@dataclass(frozen=True)
class Subject:
    """A trained model on validation examples; metrics share what is computed once.

    Attributes:
        model: Decoded after training.
        problem: What the model was trained for.
        history: Losses of the last training session, by output.
        seed: Seeds the draws of the metrics.
        features: By input, named groups of its columns to intervene on beside the whole input.
    """

    model: Model
    problem: Problem
    history: Mapping[str, np.ndarray]
    seed: int
    features: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        return next(self.model.parameters()).device

    @property
    def networks(self) -> list[str]:
        """Names of the sub-networks, providers before receivers."""
        return [name for name in self.model.order if name not in self.model.outputs]

    def examples(self, split: str) -> Split:
        """Return about 1,000 examples of a split, as numbers of the model's precision."""
        data = self.problem.split(split, self.device, limit=EXAMPLES)
        dtype = next(self.model.parameters()).dtype
        inputs = {name: _as(value, dtype) for name, value in data.inputs.items()}
        targets = {name: _as(value, dtype) for name, value in data.targets.items()}
        weights = {name: _as(value, dtype) for name, value in data.weights.items()}
        return Split(inputs, targets, data.size, weights)

    @cached_property
    def data(self) -> Split:
        """The validation examples that metrics share."""
        return self.examples("validation")

    def rows(self, split: str, output: str) -> Tensor | None:
        """Return which examples of a split have a target of an output; None where all have one."""
        return self._rows[split][output]

    @cached_property
    def _rows(self) -> dict[str, dict[str, Tensor | None]]:
        splits = {"train": self.examples("train"), "validation": self.data}
        return {name: _rows_with_targets(data, self.model.outputs) for name, data in splits.items()}

    @cached_property
    def _intact(self) -> Pass:
        # With what a backward pass needs, since most metrics that are asked for want both.
        return Pass.of(self.model, self.data)

    @property
    def intact(self) -> dict[str, Tensor]:
        """Features and results of every component, shape (examples, width), latents at their mean.

        A generation output is looked at through its reconstruction. Under generation a latent is
        drawn from noise, and nothing upstream of it could matter to an output.
        """
        return self._intact.results

    @property
    def means(self) -> dict[str, Tensor]:
        """The mean result of every provider over the validation examples, float32 on the CPU."""
        outputs = self.model.outputs
        return {
            name: result.mean(0).to("cpu", torch.float32)
            for name, result in self.intact.items()
            if name not in outputs
        }

    @cached_property
    def gradients(self) -> dict[str, tuple[dict[str, Tensor], dict[Place, Tensor]]]:
        """By split ("train", "validation"), results and functional gradients.

        The gradients of an output are those of the examples that have a target of it.
        """
        training = self.examples("train")
        passes = {
            "train": (training, Pass.of(self.model, training)),
            "validation": (self.data, self._intact),
        }
        found = {}
        for name, (data, made) in passes.items():
            gradients = functional_gradients(self.model, self.problem, data, self._rows[name], made)
            found[name] = made.results, gradients
        return found

    @cached_property
    def _sub_losses(self) -> Callable[..., Tensor]:
        return sub_losses(self.model, self.problem, self.data.weights)

    @cached_property
    def intact_losses(self) -> Tensor:
        """Validation loss of every output of the unchanged model, shape (outputs,)."""
        return self._sub_losses(
            self.intact, self.data.targets, self._intact.latents, self.data.weights
        )

    def losses(
        self,
        changed: Model,
        order: Sequence[str],
        known: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return the validation loss of every output of a changed model, shape (outputs,).

        Args:
            changed: Differs from the model only in what ``order`` names.
            order: What is to be computed again; everything else gives what it gave.
            known: The results that everything else gives, if not what it gave.
        """
        latents = Latents("reconstruct")
        latents.moments.update(self._intact.latents.moments)
        results = changed.run(known or self.intact, latents, order)
        unchanged = {out: loss for out, loss in self._intact_parts.items() if out not in order}
        return self._sub_losses(results, self.data.targets, latents, self.data.weights, unchanged)

    @cached_property
    def _intact_parts(self) -> dict[str, Tensor]:
        """The loss of each output of the unchanged model, without its KL part.

        Outputs whose examples have weights are left out, as few problems have any.
        """
        outputs = [name for name in self.model.outputs if name not in self.data.weights]
        return {
            name: self.problem.outputs[name].loss(self.intact[name], self.data.targets[name])
            for name in outputs
        }

    @cached_property
    def intact_performance(self) -> dict[str, float]:
        """Performance of every output of the unchanged model."""
        return {output: self.performance(output, self.intact) for output in self.model.outputs}

    def performance(self, output: str, results: Mapping[str, Tensor]) -> float:
        """Return the accuracy of a classification, otherwise the mean squared error.

        It is that of the examples that have a target, each counting the same.
        """
        head, target = results[output], self.data.targets[output]
        rows = self.rows("validation", output)
        if rows is not None:
            head, target = head[rows], target[rows]
        return self.problem.outputs[output].performance(head, target)

    def outputs_behind(self, name: str) -> list[str]:
        """Return the outputs that can be reached from a component."""
        return [other for other in self.model.behind(name) if other in self.model.outputs]

    def generator(self) -> torch.Generator | None:
        """Return a seeded generator for the draws of one metric, on the model's device."""
        return devices.generator(self.device, self.seed)

    def relevance(
        self, name: str, known: Mapping[str, Tensor], order: Sequence[str]
    ) -> dict[tuple[str, str], float]:
        """Return the relevance of a component for the outputs in ``order``.

        Args:
            name: Names the component in the result.
            known: Results that hold under the intervention.
            order: What is to be computed again from them.
        """
        results = self.model.run(known, Latents("reconstruct"), order)
        relevance = {}
        for output in order:
            if output in self.model.outputs:
                before = self.intact_performance[output]
                after = self.performance(output, results)
                rows = self.rows("validation", output)
                examples = self.data.size if rows is None else len(rows)
                relevance[name, output] = loss_ratio(self.problem, output, before, after, examples)
        return relevance


def loss_ratio(problem: Problem, output: str, before: float, after: float, examples: int) -> float:
    """Return the relevance that a change of performance means: 1 for none, 2 for halved.

    The ratio is guarded against a division by 0, and at most ``CAP``.
    """
    if problem.outputs[output].higher_is_better:
        least = 1 / examples
        ratio = max(before, least) / max(after, least)
    else:
        least = 1e-12
        ratio = max(after, least) / max(before, least)
    return min(ratio, CAP) if np.isfinite(ratio) else CAP


def _rows_with_targets(data: Split, outputs: Sequence[str]) -> dict[str, Tensor | None]:
    """Return by output which examples have a target; None where all have one."""
    found: dict[str, Tensor | None] = dict.fromkeys(outputs)
    for output, weights in data.weights.items():
        if not weights.all():
            found[output] = weights.nonzero()[:, 0]
    return found


def _as(value: Tensor, dtype: torch.dtype) -> Tensor:
    """Return numbers in this precision, class indices as they are."""
    return value.to(dtype) if value.is_floating_point() else value
