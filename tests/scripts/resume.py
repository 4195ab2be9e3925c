"""A search with a checkpoint that may kill itself. usage: resume.py SEARCH FOLDER [evaluations before the kill]."""

import hashlib
import os
import random
import signal
import sys
from pathlib import Path

from deap import base, creator, tools

import deap_valp as valp

problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
left = int(sys.argv[3]) if len(sys.argv) > 3 else None
calls = Path(sys.argv[2]) / "calls"


def evaluate(individual):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left = None if left is None else left - 1
    with calls.open("a") as log:
        log.write(f"{individual.seed}\n")
    return valp.evaluate(individual, problem, batches=4, first_batches=6)


def main():
    search, folder = sys.argv[1], Path(sys.argv[2])
    toolbox = base.Toolbox()
    toolbox.register("individual", valp.initVALP, creator.Individual, problem, networks=(3, 4), width=(8, 16))
    toolbox.register("evaluate", evaluate)
    toolbox.register("selMutation", valp.selMutation)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("map", map)
    random.seed(3)
    population, front, archive = tools.initRepeat(list, toolbox.individual, 4), tools.ParetoFront(), []
    options = {"halloffame": front, "archive": archive, "checkpoint": valp.Checkpoint(folder / "checkpoint")}
    if search == "hillClimbing":
        best, logbook = valp.hillClimbing(population[0], toolbox, 8, progress=False, **options)
        population = [best]
    elif search == "eaGuided":
        population, logbook = valp.eaGuided(population, toolbox, 4, 4, 0.3, 0.6, 3, verbose=False, **options)
    elif search == "eaAging":
        population, logbook = valp.eaAging(population, toolbox, 8, verbose=False, **options)
    else:
        population, logbook = valp.eaSteadyState(population, toolbox, 8, verbose=False, **options)
    state = hashlib.sha256()
    for individual in [*population, *front]:
        state.update(repr((tuple(individual.fitness.values), str(individual), individual.seed)).encode())
        for name, tensor in sorted(individual.evaluation.weights.items()):
            state.update(name.encode() + tensor.numpy().tobytes())
    state.update(repr([sorted(record.items()) for record in logbook]).encode())
    state.update(repr([(entry.seed, entry.values, entry.accepted) for entry in archive]).encode())
    (folder / "digest").write_text(state.hexdigest())


if __name__ == "__main__":
    main()
