"""A kind of sub-network of your own: one class, and it is drawn, changed, trained and saved.

Here it is a residual one: every step adds to what it has, so a new step of zeros changes nothing.
"""

import random
from dataclasses import dataclass, replace

import torch
from deap import base, creator

import deap_valp as valp


@dataclass(frozen=True)
class Residual(valp.SubNetwork):
    """``h + tanh(W h + b)``, step after step, from ``h = tanh`` of what it reads."""

    units: int
    steps: int

    kind = "residual"
    takes = frozenset({"features", "values", "discrete", "samples"})  # from a provider
    gives = "values"  # to its receivers
    entry_bias = "reading.bias"
    width = property(lambda self: self.units)  # columns of what it gives
    rows = property(lambda self: self.units)  # of the blocks through which it reads

    def shapes(self):
        """Return the shapes of its tensors, under names of its own."""
        shapes = {"reading.bias": (self.units,)}
        for step in range(self.steps):
            shapes[f"step{step}.weight"] = self.units, self.units
            shapes[f"step{step}.bias"] = (self.units,)
        return shapes

    def compute(self, pre, calculator):
        """Say it once; decoded models and training both compute it."""
        layer = valp.Layer(self.units, "tanh")
        hidden = calculator.activate(pre, layer)
        for step in range(self.steps):
            change = calculator.activate(calculator.dense(hidden, f"step{step}"), layer)
            hidden = calculator.add(hidden, change)
        return hidden

    @classmethod
    def draw(cls, layout):
        """Return a random one for ``initVALP`` and aggressive insertions."""
        units, steps = random.randint(*layout.width), random.randint(*layout.layers)
        return cls(random.getrandbits(63), units, steps)

    def deep_places(self, limits, gentle):
        """Offer one place to ``add_layer``."""
        return ["end"] if self.steps < limits.layers else []

    def deepened(self, part, stage, layout, gentle):
        """Add a step: of zeros if gentle."""
        name = f"step{self.steps}"
        weight = torch.zeros(self.units, self.units) if gentle else torch.eye(self.units)
        new = {f"{name}.weight": weight, f"{name}.bias": torch.zeros(self.units)}
        component = replace(self, steps=self.steps + 1)
        return replace(part, component=component, tensors={**part.tensors, **new})


def main() -> None:
    problem = valp.problems.digits()
    creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    toolbox = base.Toolbox()
    toolbox.register("evaluate", valp.evaluate, problem=problem, batches=50, first_batches=100)
    toolbox.register("selMutation", valp.selMutation, policy=valp.AtRandom(operators="all"))

    random.seed(2)
    start = valp.initVALP(creator.Individual, problem, networks=(5, 6))
    print(start)
    best, logbook = valp.hillClimbing(start, toolbox, nsteps=6, progress=False)
    for record in logbook:
        print(record["gen"], record["move"], record["accepted"])
    print(best)
    valp.plots.plot_valp(best).savefig("own_network_valp.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
