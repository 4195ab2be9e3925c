"""A search by DEAP's own algorithm under a map; prints what it found, as JSON.

The arguments: ``serial``, ``scoop``, ``pool``, ``executor``, ``dask`` or ``ray``; how many
processes are to take part; a folder for notes; and ``deadly`` where one process other than the
first is to be killed in its first evaluation.
"""

import hashlib
import json
import multiprocessing
import os
import random
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from deap import algorithms, base, creator, tools
from noting import ORIGIN, evaluate

import deap_valp as valp
from deap_valp.training import sub_losses
from deap_valp.training.batches import batches_of
from deap_valp.training.model import Latents

KIND, PROCESSES, NOTES = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
DEADLY = "deadly" in sys.argv[4:]

problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)


toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, problem, networks=(3, 6))
toolbox.register("population", tools.initRepeat, list, toolbox.individual)
toolbox.register(
    "evaluate", evaluate, problem=problem, notes=NOTES, processes=PROCESSES, deadly=DEADLY
)
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
    elif kind == "dask":
        from distributed import Client

        with Client(n_workers=PROCESSES, threads_per_worker=1, dashboard_address=None) as client:
            yield partial(dask_map, client)
    elif kind == "ray":
        import ray
        from ray.util.multiprocessing import Pool

        ray.init(num_cpus=PROCESSES, include_dashboard=False)
        with Pool(PROCESSES) as pool:
            yield pool.map
    else:
        with ProcessPoolExecutor(PROCESSES, mp_context=spawn) as executor:
            yield executor.map


def dask_map(client, function, items):
    """Through Dask, which draws from ``random`` when it gathers."""
    state = random.getstate()
    try:
        return client.gather(client.map(function, items, pure=False))
    finally:
        random.setstate(state)


def digest(population):
    """Of structures, weights, losses and fitness, to the last bit."""
    found = hashlib.sha256()
    for individual in population:
        graph = individual.graph
        found.update(
            repr(sorted((name, str(graph.nodes[name]["component"])) for name in graph)).encode()
        )
        found.update(repr(sorted(graph.edges)).encode())
        found.update(repr(individual.fitness.values).encode())
        weights = {name: tensor.numpy() for name, tensor in individual.evaluation.weights.items()}
        for store in (weights, individual.evaluation.history):
            for name in sorted(store):
                found.update(name.encode() + store[name].tobytes())
    return found.hexdigest()


def inherited(parents):
    """First losses of gentle children: theirs, and those of parents and of a fresh start."""
    children = [toolbox.clone(parent) for parent in parents]
    for child in children:
        valp.selMutation(child, policy="gentle").apply(child)
        del child.fitness.values
    for child, evaluation in zip(children, toolbox.map(toolbox.evaluate, children), strict=True):
        child.fitness.values = evaluation
    return [
        [float(child.evaluation.history[name][0]), first_loss(parent, child)[name], fresh[name]]
        for parent, child in zip(parents, children, strict=True)
        for fresh in [first_loss(toolbox.individual(), child)]
        for name in ("label", "histogram")  # whatever noise reaches them changes them little
    ]


def first_loss(individual, child):
    """What an individual, as trained as it is, loses on the first batch of the child, by output."""
    data = problem.split("train")
    size = min(child.batch_size, data.size)
    seed = hash((child.seed, 0)) % 2**63
    generator = torch.Generator().manual_seed(seed)
    features, targets, _ = next(batches_of(data, size, seed, generator))
    model = valp.decode(individual)
    latents = Latents("train", model.draw_noise(size, generator))
    values = sub_losses(model, problem)(model.run(features, latents), targets, latents)
    return dict(zip(model.outputs, values.tolist(), strict=True))


def main():
    (NOTES / ORIGIN).write_text(str(os.getpid()))
    with map_of(KIND) as map_:
        toolbox.register("map", map_)
        random.seed(3)  # now, since Ray draws from ``random`` when it starts
        population, logbook = algorithms.eaMuPlusLambda(
            toolbox.population(4),
            toolbox,
            mu=4,
            lambda_=4,
            cxpb=0.3,
            mutpb=0.7,
            ngen=2,
            verbose=False,
        )
        first_losses = inherited(population[:2])
    evaluations = sum(logbook.select("nevals")) + 2
    print(
        json.dumps(
            {"digest": digest(population), "first_losses": first_losses, "evaluations": evaluations}
        )
    )


if __name__ == "__main__":
    main()
