"""The step of a training session, which turns gradients into new weights, and its state.

References:
    Paper V-C, change_lr and change_sgd.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

import torch
from torch import Tensor

from ..genome import Optimizer
from ..genome.optimizers import OPTIMIZERS, Algorithm, BlockState, State, Stretch
from .flat import Flat
from .model import Model
from .parts import InParts
from .tape import Tape


@dataclass(frozen=True)
class Group:
    """The outputs that are trained with the same algorithm. One step serves all of them.

    Attributes:
        name: The name of the algorithm.
        rates: The learning rate by output; none of them is 0.
    """

    name: str
    rates: Mapping[str, float]

    @property
    def algorithm(self) -> Algorithm:
        """The algorithm of this name."""
        return OPTIMIZERS[self.name]

    @property
    def rate(self) -> float:
        """The largest of the rates."""
        return max(self.rates.values())

    @property
    def pulls(self) -> dict[str, float]:
        """The factor of each output's loss: its rate divided by the largest rate."""
        return {output: rate / self.rate for output, rate in self.rates.items()}


def groups_of(optimizers: Mapping[str, Optimizer]) -> list[Group]:
    """Return the groups of outputs with the same algorithm.

    An output whose rate is 0 is in no group: its loss trains no weight.
    """
    learning = {
        output: optimizer for output, optimizer in optimizers.items() if optimizer.learning_rate > 0
    }
    names = dict.fromkeys(optimizer.name for optimizer in learning.values())
    return [
        Group(name, {o: s.learning_rate for o, s in learning.items() if s.name == name})
        for name in names
    ]


class Plan(NamedTuple):
    """The way in which a group moves a tensor.

    Attributes:
        rate: The learning rate of the group for this tensor.
        scale: The largest pull of the outputs that the tensor can reach. The gradient of the
            tensor is larger or smaller by this factor than with the outputs' plain losses.
        steps: The number of steps that the algorithm took on the tensor in earlier sessions.
    """

    rate: float
    scale: float
    steps: int


class Steps:
    """Takes the steps of a session.

    Every output has an algorithm and a learning rate of its own, but outputs share weights. The
    outputs with the same algorithm form a group. A group takes one step along the sum of their
    gradients, each times the rate of its output. With an algorithm like Adam, the size of a step
    does not depend on the size of the gradient. There a weight moves at the largest rate of the
    outputs that it can reach. If all rates are equal, this is the step of one optimizer, and a
    small change of one rate changes training only slightly. If the rate of an output is 0, the
    weights that reach only this output do not move, and all others move as if the output had no
    loss.

    A weight that several groups move gets the mean of their steps, weighted by the number of their
    outputs that it can reach.

    Args:
        model: The model to train.
        tape: What computes the gradient of each group, in the order of the groups.
        groups: The groups of outputs, from ``groups_of``.
        state: The optimizer state of earlier sessions. A state of another algorithm is dropped.
        decay: The weight decay by output. At each step a weight shrinks by rate times decay, in
            the mean over the outputs that it can reach. Biases do not shrink.
        warmup: Number of steps over which the rate of a tensor rises to its full value, counted
            from the first step of its optimizer.
    """

    def __init__(
        self,
        model: Model,
        tape: Tape | InParts,
        groups: Sequence[Group],
        state: State,
        decay: Mapping[str, float],
        warmup: int,
    ) -> None:
        self._tape, self.flat = tape, tape.flat
        self._reached = _outputs_by_key(model)
        self._rates = {output: rate for group in groups for output, rate in group.rates.items()}
        self.shrink = self._shrinking(decay)
        several = len(groups) > 1
        self.groups = [
            GroupStep(self.flat, group, self._plans(group, state), state, warmup, several)
            for group in groups
        ]

    def _learning(self, key: str) -> list[str]:
        return [output for output in self._reached[key] if output in self._rates]

    def _plans(self, group: Group, state: State) -> dict[str, Plan]:
        """Return the plan for each tensor that the outputs of a group depend on."""
        plans = {}
        for key in self.flat.order:
            own = [group.rates[output] for output in self._reached[key] if output in group.rates]
            if own:
                share = len(own) / len(self._learning(key))
                rate = max(own) if group.algorithm.scale_free else group.rate
                known = state.get(key, {}).get(group.name)
                plans[key] = Plan(rate * share, max(own) / group.rate, known.steps if known else 0)
        return plans

    def _shrinking(self, decay: Mapping[str, float]) -> Tensor | None:
        """Return the factor of each weight at a step, or None if no weight shrinks."""
        if not any(decay.get(output, 0.0) for output in self._rates):
            return None
        factor = torch.ones_like(self.flat.gradient)
        for key in self.flat.order:
            outputs = self._learning(key)
            if outputs and not key.endswith("bias"):
                lost = sum(
                    self._rates[output] * decay.get(output, 0.0) for output in outputs
                ) / len(outputs)
                self.flat.view(key, factor).fill_(1 - lost)
        return factor

    def __call__(self) -> None:
        """Compute the gradients of the last batch, and move the weights."""
        for index, group in enumerate(self.groups):
            self._tape.backward(index)
            group.take_gradient()
        if self.shrink is not None:
            self.flat.parameter.data.mul_(self.shrink)
        for group in self.groups:
            group.step()

    @property
    def weights(self) -> Tensor:
        """The weights that the steps move, all in one row."""
        return self.flat.parameter.data

    def state(self) -> dict[str, dict[str, BlockState]]:
        """Return a copy of the optimizer state, by tensor and algorithm, on the device."""
        state: dict[str, dict[str, BlockState]] = {}
        for group in self.groups:
            for key, block in group.remembered():
                state.setdefault(key, {})[group.name] = block
        return state

    def snapshot(self) -> list[Tensor | int]:
        """Return copies of the weights and of the state of each group."""
        copies: list[Tensor | int] = [self.flat.parameter.data.clone()]
        for group in self.groups:
            copies += group.snapshot()
        return copies

    def restore(self, copies: list[Tensor | int]) -> None:
        """Set the weights and the state of each group to those of a snapshot."""
        rest = list(copies)
        weights = rest.pop(0)
        assert isinstance(weights, Tensor)
        self.flat.parameter.data.copy_(weights)
        for group in self.groups:
            group.restore(rest)


class GroupStep:
    """The step of one group.

    Attributes:
        gradient: The gradient that the next step takes.
        moments: The moments of the algorithm.
        warmup: As for ``Steps``.
        taken: The number of steps taken.
        stretches: The parts of the buffers that are moved alike, by their rate and their steps of
            the warm-up before this session.
    """

    def __init__(
        self,
        flat: Flat,
        group: Group,
        plans: Mapping[str, Plan],
        state: State,
        warmup: int,
        copies: bool,
    ) -> None:
        self.name, self.algorithm = group.name, group.algorithm
        self._flat, self._plans = flat, plans
        # With several groups, the gradient of the next one is written to the same memory.
        self.gradient = torch.empty_like(flat.gradient) if copies else flat.gradient
        self.moments = [torch.zeros_like(flat.gradient) for _ in self.algorithm.powers]
        for key, plan in plans.items():
            known = state.get(key, {}).get(group.name)
            if known is not None:
                for buffer, moment, power in zip(
                    self.moments, known.moments, self.algorithm.powers, strict=True
                ):
                    flat.view(key, buffer).copy_(moment).mul_(plan.scale**power)
        self.warmup, self.taken = warmup, 0
        self.stretches = self._stretches()
        self._steps = [
            (self.algorithm.make(stretches), *pace) for pace, stretches in self.stretches.items()
        ]

    def _stretches(self) -> dict[tuple[float, int], list[Stretch]]:
        """Return the parts of the buffers that are moved alike, by rate and steps of the warm-up.

        Adjacent tensors that are moved alike are joined, because each part costs kernels.
        """
        found: dict[tuple[float, int], list[Stretch]] = {}

        def alike(key: str) -> object:
            plan = self._plans.get(key)
            return plan and (
                plan.rate,
                plan.steps if self.algorithm.counts else min(plan.steps, self.warmup),
            )

        for _, run in groupby(self._flat.order, alike):
            keys = list(run)
            plan = self._plans.get(keys[0])
            if plan is not None:
                buffers = (self._flat.parameter.data, self.gradient, *self.moments)
                value, gradient, *moments = (self._flat.stretch(keys, buffer) for buffer in buffers)
                pace = plan.rate, min(plan.steps, self.warmup)
                found.setdefault(pace, []).append(Stretch(value, gradient, moments, plan.steps))
        return found

    def take_gradient(self) -> None:
        """Keep the gradient that was just computed, clipped if the algorithm asks for it."""
        if self.gradient is not self._flat.gradient:
            self.gradient.copy_(self._flat.gradient)
        if self.algorithm.clip is not None:
            self.gradient.mul_((self.algorithm.clip / (self.gradient.norm() + 1e-12)).clamp(max=1))

    def step(self) -> None:
        """Move the weights."""
        self.taken += 1
        for step, rate, before in self._steps:
            warm = before + self.taken >= self.warmup
            step(rate if warm else rate * (before + self.taken) / self.warmup)

    def snapshot(self) -> list[Tensor | int]:
        """Return the number of steps taken, and copies of the moments."""
        return [self.taken, *(moment.clone() for moment in self.moments)]

    def restore(self, copies: list[Tensor | int]) -> None:
        """Remove the group's snapshot from the front of a list, and go back to it.

        After this, only ``remembered`` may be called.
        """
        self.taken = int(copies.pop(0))
        for moment in self.moments:
            copy = copies.pop(0)
            assert isinstance(copy, Tensor)
            moment.copy_(copy)

    def remembered(self) -> list[tuple[str, BlockState]]:
        """Return the state of each tensor: the steps taken on it, and its moments."""
        blocks = []
        for key, plan in self._plans.items():
            moments = zip(self.moments, self.algorithm.powers, strict=True)
            kept = tuple(
                self._flat.view(key, m).contiguous().clone().mul_(plan.scale**-p)
                for m, p in moments
            )
            blocks.append((key, BlockState(plan.steps + self.taken, kept)))
        return blocks


def _outputs_by_key(model: Model) -> dict[str, list[str]]:
    """Return the outputs that each tensor can reach, by the name of the tensor."""
    reached: dict[str, list[str]] = {key: [] for key in model.tensors}
    for output in model.outputs:
        for name in model.subgraph(output):
            for key in model.tensors_of(name):
                reached[key].append(output)
    return reached
