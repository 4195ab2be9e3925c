"""``eaSteadyState`` over SCOOP, two evaluations at a time; notes in a folder who began which."""

import os
import random
import sys
import time
from pathlib import Path

from deap import base, creator, tools

import deap_valp as valp

problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)


def evaluate(individual):
    with Path(sys.argv[1], "began").open("a") as notes:
        notes.write(f"{os.getpid()} {individual.seed}\n")
    time.sleep(2.5)
    return valp.evaluate(individual, problem, batches=4, first_batches=4)


def main():
    toolbox = base.Toolbox()
    toolbox.register(
        "individual", valp.initVALP, creator.Individual, problem, networks=(3, 4), width=(8, 16)
    )
    toolbox.register("evaluate", evaluate)
    toolbox.register("selMutation", valp.selMutation)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("submit", valp.scoopSubmit)
    random.seed(3)
    population = tools.initRepeat(list, toolbox.individual, 3)
    _, logbook = valp.eaSteadyState(population, toolbox, 4, workers=2, verbose=False)
    print("evaluated", sum(logbook.select("nevals")))


if __name__ == "__main__":
    main()
