"""A kind of sub-network with an operation that no kind of the package computes with."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch

import deap_valp as valp
from deap_valp.genome import KINDS, new_id


def gate(rows):
    """Half of the rows, multiplied by gates that the other half opens and closes."""
    open_, kept = rows.chunk(2, 1)
    return torch.sigmoid(open_) * kept


@dataclass(frozen=True)
class Gated(valp.SubNetwork):
    """A gated linear unit of Dauphin et al. (2017)."""

    units: int

    kind = "gated"
    takes = frozenset({"features", "values", "discrete", "samples"})
    gives = "values"

    @property
    def width(self):
        return self.units

    @property
    def rows(self):
        return 2 * self.units

    def shapes(self):
        return {"0.bias": (self.rows,)}

    def compute(self, pre, calculator):
        return calculator.apply(gate, pre)

    @classmethod
    def draw(cls, layout):
        return cls(new_id(), random.randint(*layout.width))


del KINDS["gated"]  # a test that wants it adds it
