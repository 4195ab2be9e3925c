"""The paper's main experiment for one start, on Fashion-MNIST (paper VI-C).

From one random VALP, hill climbing takes 60 steps. Run it twice with the same seed, with
``--policy guidelines`` (guided by the paper's rules) and with ``--policy random``, and compare. The
script prints what was decided and whether it paid, how long it took, and saves plots.

usage: python hill_climbing_fashion_mnist.py [--steps 60] [--policy guidelines] [--seed 1]
"""

import argparse
import os
import random
import time
from pathlib import Path

import matplotlib
import torch
from deap import base, creator, tools

import deap_valp as valp

matplotlib.use("Agg")
SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=2 if SMALL else 60)
parser.add_argument("--batches", type=int, default=20 if SMALL else 1000)
parser.add_argument("--first-batches", type=int, default=40 if SMALL else 5000)
parser.add_argument("--policy", default="guidelines", help="guidelines, random, gentle, ...")
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--folder", type=Path, default=Path("fashion_mnist_plots"))
arguments = parser.parse_args()

problem = valp.problems.fashion_mnist()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)

toolbox = base.Toolbox()
toolbox.register(
    "individual", valp.initVALP, creator.Individual, problem, networks=(3, 6), start="random"
)
toolbox.register(
    "evaluate",
    valp.evaluate,
    problem=problem,
    batches=arguments.batches,
    first_batches=arguments.first_batches,
    training=valp.PLAIN,  # the paper's, as the random start and the acceptance by majority
)
toolbox.register("selMutation", valp.selMutation, policy=arguments.policy)


def main() -> None:
    random.seed(arguments.seed)
    began, front, archive = time.time(), tools.ParetoFront(), []
    best, logbook = valp.hillClimbing(
        toolbox.individual(),
        toolbox,
        nsteps=arguments.steps,
        accept=valp.majority,
        halloffame=front,
        archive=archive,
    )
    print(valp.decisions(archive), "\nDid it pay?", valp.payoff(archive), "", sep="\n")
    print(best, best.evaluation.diagnosis, sep="\n")
    print("validation:", dict(zip(problem.objectives, best.fitness.values)))
    print("test:", valp.score(best, problem, split="test"))
    print(f"{time.time() - began:.0f} s")

    arguments.folder.mkdir(exist_ok=True)
    samples = valp.decode(best).generate(100, torch.Generator().manual_seed(0))["sample"]
    real = problem.split("validation").targets["sample"]
    for name, figure in {
        "samples": valp.plots.plot_samples(samples, real=real),
        "valp": valp.plots.plot_valp(best),
        "search": valp.plots.plot_search(logbook, problem=problem),
        "pareto": valp.plots.plot_pareto(archive, problem=problem),
        "decisions": valp.plots.plot_decisions(archive, problem=problem),
        "genealogy": valp.plots.plot_genealogy(archive, problem=problem),
    }.items():
        figure.savefig(arguments.folder / f"{name}.png", dpi=120, bbox_inches="tight")
    print(f"Plots saved in {arguments.folder.resolve()}")


if __name__ == "__main__":
    main()
