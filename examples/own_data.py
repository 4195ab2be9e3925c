"""A problem on your own tables.

Two tables go in, one of which is pure noise. A class and two numbers are to come out, and the model
is to be small: its number of weights is a third objective. The diagnosis shows in the end which
sub-networks matter; those that read only noise do not.
"""

import os
import random

import numpy as np
from deap import base, creator

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
STEPS, FIRST_BATCHES, BATCHES = (3, 100, 50) if SMALL else (12, 1500, 300)

rng = np.random.default_rng(0)
spread, center = [1, 10, 100, 1, 1, 1], [0, 40, 170, 0, 0, 0]  # columns of different units
people = rng.normal(size=(3000, 6)) * spread + center
noise = rng.normal(size=(3000, 8))
score = people[:, 0] + 0.1 * (people[:, 1] - 40) + 0.3 * rng.normal(size=3000)
group = np.where(score > 0.7, "high", np.where(score < -0.7, "low", "middle"))
numbers = np.stack([50 + 20 * np.tanh(score), people[:, 2] / 100 * people[:, 3]], 1)

problem = valp.Problem(
    inputs={"people": people, "noise": noise},
    outputs={"group": valp.Classification(group), "numbers": valp.Regression(numbers)},
    costs=("weight_count",),  # a third objective: small models
    seed=0,
)
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)

toolbox = base.Toolbox()
toolbox.register(
    "individual", valp.initVALP, creator.Individual, problem, networks=(3, 5), width=(8, 32)
)
toolbox.register(
    "evaluate", valp.evaluate, problem=problem, batches=BATCHES, first_batches=FIRST_BATCHES
)
toolbox.register("selMutation", valp.selMutation)


def main() -> None:
    random.seed(3)
    print(problem)
    best, logbook = valp.hillClimbing(toolbox.individual(), toolbox, nsteps=STEPS)
    for record in logbook:
        scores = "  ".join(f"{name} {record[name]:.4g}" for name in problem.objectives)
        verdict = "accepted" if record["accepted"] else "rejected"
        print(f"{record['gen']:3d} {verdict}  {scores}  {record['move']}")
    print(best, best.evaluation.diagnosis, sep="\n")
    valp.plots.plot_valp(best).savefig("own_data_valp.png", bbox_inches="tight")
    print("Test scores (error rate, squared error in your units):", valp.score(best, problem))

    model = valp.decode(best, problem)
    answer = model.predict({"people": people[:3], "noise": noise[:3]})
    for row in range(3):
        print(answer["group"][row], answer["numbers"][row], "truly", group[row], numbers[row])


if __name__ == "__main__":
    main()
