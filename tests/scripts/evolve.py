"""A small evolution; writes a digest of its final population. usage: evolve.py MAP OUTPUT [fault]."""

import hashlib
import os
import pickle
import random
import signal
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from deap import algorithms, base, creator, tools

import deap_valp as valp

problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)


def evaluate(individual, fault, marker):
    """The real evaluation; with a fault, the first one away from the origin dies with its worker."""
    if fault and not is_origin():
        try:
            os.close(os.open(marker, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return valp.evaluate(individual, problem, batches=15, first_batches=30)


def is_origin():
    import scoop

    return bool(getattr(scoop, "IS_ORIGIN", True))


def digest(population):
    state = hashlib.sha256()
    for individual in population:
        evaluation = individual.evaluation
        state.update(repr((tuple(individual.fitness.values), str(individual), individual.seed)).encode())
        for name in sorted(evaluation.weights):
            state.update(evaluation.weights[name].numpy().tobytes())
        for name in sorted(evaluation.history):
            state.update(evaluation.history[name].tobytes())
    return state.hexdigest()


def evolve(mapping, fault="", marker=""):
    toolbox = base.Toolbox()
    toolbox.register("individual", valp.initVALP, creator.Individual, problem, networks=(3, 4), width=(8, 24))
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("evaluate", partial(evaluate, fault=fault, marker=marker))
    toolbox.register("mutate", valp.mutGuided)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("map", mapping)
    random.seed(1)
    return algorithms.eaMuPlusLambda(toolbox.population(4), toolbox, 4, 4, 0.3, 0.7, ngen=2, verbose=False)[0]


def main():
    name, output, *rest = sys.argv[1:]
    fault = rest[0] if rest else ""
    marker = f"{output}.marker"
    if name == "spawn":
        with get_context("spawn").Pool(2) as pool:
            population = evolve(pool.map)
    elif name == "futures":
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
            population = evolve(executor.map)
    else:
        population = evolve(map if name == "map" else valp.scoopMap, fault, marker)
    assert any(individual.trained for individual in population)
    pickle.dumps(population)
    Path(output).write_text(digest(population))


if __name__ == "__main__":
    main()
