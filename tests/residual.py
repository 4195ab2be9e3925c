"""A kind of sub-network that the package does not know, with fields and tensors of its own."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

import torch

import deap_valp as valp
from deap_valp.genome import KINDS, new_id


@dataclass(frozen=True)
class Residual(valp.SubNetwork):
    """Steps ``h + tanh(W h + b)``, whose width is the same throughout."""

    units: int
    steps: int
    note: str = "steep"

    kind = "residual"
    takes = frozenset({"features", "values", "discrete", "samples"})
    gives = "values"
    entry_bias = "reading.bias"

    @property
    def width(self):
        return self.units

    @property
    def rows(self):
        return self.units

    def shapes(self):
        shapes = {"reading.bias": (self.units,)}
        for step in range(self.steps):
            shapes[f"step{step}.weight"] = self.units, self.units
            shapes[f"step{step}.bias"] = (self.units,)
        return shapes

    def compute(self, pre, calculator):
        layer = valp.Layer(self.units, "tanh")
        hidden = calculator.activate(pre, layer)
        for step in range(self.steps):
            change = calculator.activate(calculator.dense(hidden, f"step{step}"), layer)
            hidden = calculator.add(hidden, change)
        return hidden

    @classmethod
    def draw(cls, layout):
        return cls(new_id(), random.randint(*layout.width), random.randint(*layout.layers))

    def deep_places(self, limits, gentle):
        return ["end"] if self.steps < limits.layers else []

    def deepened(self, part, stage, layout, gentle):
        """A step of zeros changes nothing: gentle."""
        deeper = replace(self, steps=self.steps + 1)
        scale = 0.0 if gentle else 0.3
        weight = scale * torch.randn(self.units, self.units)
        name = f"step{self.steps}"
        new = {f"{name}.weight": weight, f"{name}.bias": torch.zeros(self.units)}
        return replace(part, component=deeper, tensors={**part.tensors, **new})

    def spare_places(self):
        return ["end"] if self.steps > 1 else []

    def shortened(self, part, stage):
        shorter = replace(self, steps=self.steps - 1)
        tensors = {name: part.tensors[name] for name in shorter.shapes()}
        return replace(part, component=shorter, tensors=tensors)

    def wide_places(self, limits):
        return ["units"] if self.units < limits.width else []

    def widened(self, part, stage, limits, gentle):
        """New units that nothing reads yet."""
        wider = replace(self, units=self.units + 1)
        tensors = {}
        for name, shape in wider.shapes().items():
            old = part.tensors[name]
            new = torch.zeros(shape)
            new[tuple(slice(size) for size in old.shape)] = old
            if len(shape) == 2:
                new[-1, :-1] = 0.1
            tensors[name] = new
        entering = {
            provider: torch.cat([block, torch.full((1, block.shape[1]), 0.1)])
            for provider, block in part.entering.items()
        }
        leaving = {
            receiver: torch.cat([block, torch.full((len(block), 1), 0.0 if gentle else 0.1)], 1)
            for receiver, block in part.leaving.items()
        }
        return valp.Part(wider, tensors, entering, leaving)


del KINDS["residual"]  # a test that wants it adds it
