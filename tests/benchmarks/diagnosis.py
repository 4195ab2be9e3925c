"""Costs of a diagnosis, as a Markdown table.

``python tests/benchmarks/diagnosis.py [digits|mnist|fashion_mnist|four_inputs]``

For VALPs of 6, 12 and 24 sub-networks: CPU milliseconds of each metric, and of scoring, each also
as a share of the training of 1,000 batches.
"""

from __future__ import annotations

import random
import statistics
import sys
import time

import numpy as np
from deap import creator

import deap_valp as valp
from deap_valp.evaluation.session import score_model

SIZES = (6, 12, 24)
BATCHES = 200
LACKING = ["growth_potential", "pair_potential", "connection_intervention"]


def four_inputs():
    """3,000 rows of four inputs, so that pairs of providers have something to look at."""
    rng = np.random.default_rng(0)
    x = {name: rng.normal(size=(3000, 5)) for name in "ABCD"}
    return valp.Problem(
        x,
        {
            "u": valp.Regression(np.sin(2 * x["A"][:, :1]) + x["A"][:, 1:2] * x["B"][:, :1]),
            "v": valp.Classification(x["B"][:, 1] + x["C"][:, 0] * x["C"][:, 1] > 0),
            "w": valp.Regression(np.tanh(3 * x["C"][:, 2:4])),
        },
    )


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


def training_time(problem, individual):
    """CPU milliseconds of 1,000 batches."""

    def train(batches):
        return milliseconds(lambda: valp.evaluate(individual, problem, batches, metrics=()), 3)

    many, one = train(BATCHES), train(1)
    return (many - one) * 1000 / (BATCHES - 1)


def works(problem):
    """What is timed, by name."""
    metrics = {name: [name] for name in valp.ALL_METRICS}
    metrics["default metrics"] = valp.DEFAULT_METRICS
    metrics["what is lacking or harms: " + ", ".join(LACKING)] = LACKING
    metrics["all metrics"] = valp.ALL_METRICS
    found = {
        name: lambda one, names=names: valp.diagnose(one, problem, names)
        for name, names in metrics.items()
    }
    found["scoring"] = lambda one: score_model(valp.decode(one), problem, "validation")
    return found


def row(*cells):
    print(f"| {' | '.join(cells)} |")


def main():
    name = sys.argv[1] if len(sys.argv) > 1 else "digits"
    problem = four_inputs() if name == "four_inputs" else valp.problems.by_name(name)
    creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    random.seed(1)
    individuals = [individual_of(problem, size) for size in SIZES]
    training = [training_time(problem, one) for one in individuals]
    row("", *(f"{size} sub-networks" for size in SIZES))
    row(*["---"] * (1 + len(SIZES)))
    row("training of 1,000 batches", *(f"{time_:.0f} ms" for time_ in training))
    for name, work in works(problem).items():
        times = [milliseconds(lambda one=one, work=work: work(one)) for one in individuals]
        pairs = zip(times, training, strict=True)
        row(name, *(f"{time_:.1f} ms ({time_ / whole:.1%})" for time_, whole in pairs))


if __name__ == "__main__":
    main()
