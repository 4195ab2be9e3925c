"""A search by DEAP's own algorithm under the map named on the command line; prints what it found, as JSON.

The arguments: ``serial``, ``scoop``, ``pool`` or ``executor``; how many processes are to take part; a folder for notes;
and ``deadly`` where one process other than the first is to be killed in the middle of its first evaluation.
"""

import hashlib
import json
import multiprocessing
import os
import random
import signal
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from deap import algorithms, base, creator, tools

import deap_valp as valp
from deap_valp.model import Latents
from deap_valp.training import batch_starts, sub_losses

KIND, PROCESSES, NOTES = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
DEADLY = "deadly" in sys.argv[4:]
ORIGIN = "origin"  # a file in NOTES: the process that searches

problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)


def evaluate(individual):
    """Note who evaluates what, wait until all processes take part, and evaluate."""
    (NOTES / f"process-{os.getpid()}").touch()
    with (NOTES / "evaluations").open("a") as notes:
        notes.write(f"{os.getpid()} {individual.seed}\n")
    wait_for(lambda: len(list(NOTES.glob("process-*"))) >= PROCESSES)
    if DEADLY:
        die_once()
    return valp.evaluate(individual, problem, batches=20, first_batches=40)


def die_once():
    """Be killed, unless this is the origin or another process was."""
    if (NOTES / ORIGIN).read_text() == str(os.getpid()):
        wait_for((NOTES / "killed").exists)
        return
    try:
        (NOTES / "killed").touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{condition} did not come true in {seconds} s"
        time.sleep(0.01)


toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, problem, networks=(3, 6))
toolbox.register("population", tools.initRepeat, list, toolbox.individual)
toolbox.register("evaluate", evaluate)
toolbox.register("selMutation", valp.selMutation)
toolbox.register("mutate", valp.mutGuided, select=toolbox.selMutation)
toolbox.register("mate", valp.cxExclusiveSubgraph)
toolbox.register("select", tools.selNSGA2)


@contextmanager
def map_of(kind):
    spawn = multiprocessing.get_context("spawn")
    if kind == "serial":
        yield map
    elif kind == "scoop":
        yield valp.scoopMap
    elif kind == "pool":
        with spawn.Pool(PROCESSES) as pool:
            yield pool.map
    else:
        with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as executor:
            yield executor.map


def digest(population):
    """Of structures, weights, losses and fitness, to the last bit."""
    found = hashlib.sha256()
    for individual in population:
        graph = individual.graph
        found.update(repr(sorted((name, str(graph.nodes[name]["component"])) for name in graph)).encode())
        found.update(repr(sorted(graph.edges)).encode())
        found.update(repr(individual.fitness.values).encode())
        for store in (individual.evaluation.weights, individual.evaluation.history):
            for name in sorted(store):
                found.update(name.encode())
                found.update(store[name].tobytes() if hasattr(store[name], "tobytes") else store[name].numpy().tobytes())
    return found.hexdigest()


def inherited(parents):
    """First losses of gentle children: what they were, what the parents give on the same batch, a fresh start's."""
    children = [toolbox.clone(parent) for parent in parents]
    for child in children:
        valp.selMutation(child, policy="gentle").apply(child)
        del child.fitness.values
    for child, evaluation in zip(children, toolbox.map(toolbox.evaluate, children), strict=True):
        child.fitness.values = evaluation
    return [
        [float(child.evaluation.history[name][0]), first_loss(parent, child)[name], fresh[name]]
        for parent, child in zip(parents, children, strict=True)
        for fresh in [fresh_losses(parent)]
        for name in ("label", "histogram")  # their losses have no noise
    ]


def first_loss(parent, child):
    """What the trained parent loses on the first batch of the child."""
    data = problem.split("train")
    size = min(child.batch_size, data.size)
    start = batch_starts(data.size, size, 1, hash((child.seed, 0)) % 2**63)[0]
    return losses(valp.decode(parent), data, slice(start, start + size))


def fresh_losses(parent):
    """What a VALP of the parent's structure loses before any training."""
    fresh = toolbox.individual()
    return losses(valp.decode(fresh), problem.split("train"), slice(0, parent.batch_size))


def losses(model, data, batch):
    features = {name: data.inputs[name][batch] for name in model.inputs}
    targets = {name: data.targets[name][batch] for name in model.outputs}
    latents = Latents("train", model.draw_noise(len(next(iter(features.values()))), None) if model.latents else None)
    values = sub_losses(model, problem)(model.run(features, latents), targets, latents)
    return dict(zip(model.outputs, values.tolist(), strict=True))


def main():
    (NOTES / ORIGIN).write_text(str(os.getpid()))
    random.seed(3)
    with map_of(KIND) as map_:
        toolbox.register("map", map_)
        population, logbook = algorithms.eaMuPlusLambda(
            toolbox.population(4), toolbox, mu=4, lambda_=4, cxpb=0.3, mutpb=0.7, ngen=2, verbose=False
        )
        first_losses = inherited(population[:2])
    evaluations = sum(logbook.select("nevals")) + 2
    print(json.dumps({"digest": digest(population), "first_losses": first_losses, "evaluations": evaluations}))


if __name__ == "__main__":
    main()
