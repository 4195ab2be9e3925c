"""Costs of a diagnosis: ``python tests/benchmarks/diagnosis.py [digits|mnist|fashion_mnist]`` prints a Markdown table.

For VALPs of 6, 12 and 24 sub-networks: CPU milliseconds of each metric, and of scoring, each also
as a share of the training of 1,000 batches.
"""

from __future__ import annotations

import random
import statistics
import sys
import time

from deap import creator

import deap_valp as valp
from deap_valp.evaluation.session import score_model

SIZES = (6, 12, 24)
BATCHES = 200


def milliseconds(function, repeats=5):
    times = []
    for _ in range(repeats):
        began = time.process_time()
        function()
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times)


def individual_of(problem, size):
    individual = valp.initVALP(creator.Individual, problem, networks=(min(size, 6), min(size, 6)))
    while len(individual.networks) < size:
        valp.mutRandom(individual, ["clone_network", "insert_network"])
    individual.fitness.values = valp.evaluate(individual, problem, BATCHES, BATCHES)
    return individual


def main():
    problem = valp.problems.by_name(sys.argv[1] if len(sys.argv) > 1 else "digits")
    creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    random.seed(1)
    individuals = [individual_of(problem, size) for size in SIZES]
    training = [
        milliseconds(lambda one=one: valp.evaluate(one, problem, BATCHES, metrics=()), 3)
        - milliseconds(lambda one=one: valp.evaluate(one, problem, 1, metrics=()), 3)
        for one in individuals
    ]
    thousand = [1000 / (BATCHES - 1) * time_ for time_ in training]
    print(
        "| |"
        + "|".join(f" {size} sub-networks " for size in SIZES)
        + "|\n|---|"
        + "---|" * len(SIZES)
    )
    print(
        "| training of 1,000 batches | "
        + " | ".join(f"{time_:.0f} ms" for time_ in thousand)
        + " |"
    )
    works = {
        name: lambda one, name=name: valp.diagnose(one, problem, [name])
        for name in valp.ALL_METRICS
    }
    works["default metrics"] = lambda one: valp.diagnose(one, problem, valp.DEFAULT_METRICS)
    works["all metrics"] = lambda one: valp.diagnose(one, problem)
    works["scoring"] = lambda one: score_model(valp.decode(one), problem, "validation")
    for name, work in works.items():
        times = [milliseconds(lambda one=one, work=work: work(one)) for one in individuals]
        cells = [
            f"{time_:.1f} ms ({time_ / whole:.1%})"
            for time_, whole in zip(times, thousand, strict=True)
        ]
        print(f"| {name} | " + " | ".join(cells) + " |")


if __name__ == "__main__":
    main()
