"""A search with a checkpoint: resume.py SEARCH FOLDER [MAP [evaluations before it kills itself]].

MAP is ``serial``, ``processes`` or ``scoop``. It leaves in the folder a digest of what it found,
and a line in ``calls`` for each evaluation that was finished.
"""

import hashlib
import multiprocessing
import os
import random
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from deap import base, creator, tools

import deap_valp as valp

problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
kind = sys.argv[3] if len(sys.argv) > 3 else "serial"
left = int(sys.argv[4]) if len(sys.argv) > 4 else None
calls = Path(sys.argv[2]) / "calls"


def evaluate(individual):
    global left
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    left = None if left is None else left - 1
    evaluation = valp.evaluate(individual, problem, batches=4, first_batches=6)
    if kind != "serial":
        time.sleep(0.3)  # so that a kill falls into the middle of some
    with calls.open("a") as log:
        log.write(f"{individual.seed}-{evaluation.sessions}\n")
    return evaluation


def main():
    search, folder = sys.argv[1], Path(sys.argv[2])
    toolbox = base.Toolbox()
    toolbox.register(
        "individual", valp.initVALP, creator.Individual, problem, networks=(3, 4), width=(8, 16)
    )
    toolbox.register("evaluate", evaluate)
    toolbox.register("selMutation", valp.selMutation)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    workers = 1 if kind == "serial" else 2
    if kind == "processes":
        executor = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
        toolbox.register("map", executor.map)
        toolbox.register("submit", executor.submit)
    elif kind == "scoop":
        toolbox.register("map", valp.scoopMap, progress=False)
        toolbox.register("submit", valp.scoopSubmit)
    random.seed(3)
    population, front, archive = (
        tools.initRepeat(list, toolbox.individual, 4),
        tools.ParetoFront(),
        [],
    )
    options = {
        "halloffame": front,
        "archive": archive,
        "checkpoint": valp.Checkpoint(folder / "checkpoint"),
    }
    if search == "hillClimbing":
        best, logbook = valp.hillClimbing(population[0], toolbox, 8, progress=False, **options)
        population = [best]
    elif search == "eaGuided":
        population, logbook = valp.eaGuided(
            population, toolbox, 4, 4, 0.3, 0.6, 3, verbose=False, **options
        )
    elif search == "eaAging":
        population, logbook = valp.eaAging(
            population, toolbox, 4, lambda_=2, verbose=False, **options
        )
    else:
        population, logbook = valp.eaSteadyState(
            population, toolbox, 8, workers=workers, verbose=False, **options
        )
    state = hashlib.sha256()
    for individual in [*population, *front]:
        state.update(
            repr((tuple(individual.fitness.values), str(individual), individual.seed)).encode()
        )
        for name, tensor in sorted(individual.evaluation.weights.items()):
            state.update(name.encode() + tensor.numpy().tobytes())
    state.update(repr([sorted(record.items()) for record in logbook]).encode())
    state.update(repr([(entry.seed, entry.values, entry.accepted) for entry in archive]).encode())
    (folder / "digest").write_text(state.hexdigest())
    if kind == "processes":
        executor.shutdown()


if __name__ == "__main__":
    main()
