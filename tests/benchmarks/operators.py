"""Costs and exactness of the operators, printed as Markdown tables.

usage: ``python tests/benchmarks/operators.py``

Milliseconds of an operator, a clone, a selection and a pickle for VALPs of 6, 20 and 60
sub-networks; the largest relative change of any output or loss by gentle operators; how often a
donation finds nothing.
"""

from __future__ import annotations

import copy
import pickle
import random
import statistics
import sys
import time
from dataclasses import replace
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1]))
import zoo

import deap_valp as valp
from deap_valp.diagnosis import Diagnosis, Slope

SIZES = (6, 20, 60)


def milliseconds(function, repeats=15):
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def row(*cells):
    print("| " + " | ".join(str(cell) for cell in cells) + " |")


def header(*cells):
    print()
    row(*cells)
    row(*("---" for _ in cells))


def diagnosed(individual):
    """With a diagnosis that makes many rules speak."""
    relevance = {
        (n, o): random.choice([1.0, 2.0])
        for n in individual.networks
        for o in individual.outputs_of(n)
    }
    slopes = {o: random.choice([Slope(-1e-3, 1e-6), Slope(1e-3, 1e-6)]) for o in individual.outputs}
    individual.fitness.values = valp.Evaluation(
        [1.0] * len(individual.outputs),
        objectives=individual.outputs,
        seed=individual.seed,
        weights=individual.weights,
        diagnosis=Diagnosis({"loss_slope": slopes, "module_intervention": relevance}),
    )
    return individual


def evaluated(individual, problem):
    """With the diagnosis that the default policy reads, after one batch."""
    individual.fitness.values = valp.evaluate(
        individual, problem, 1, 1, metrics=valp.GROWTH_METRICS
    )
    return individual


def selection_cost(individual, policy):
    return f"{milliseconds(lambda: valp.selMutation(individual, policy=policy)):.2f}"


def net_cost(op, options, member):
    """Of the operator alone, without the clone that it is applied to."""
    both = milliseconds(lambda: op.apply(copy.deepcopy(member), **options))
    return both - milliseconds(lambda: copy.deepcopy(member))


def costs(problem):
    members = [zoo.random_valp(problem, (size, size)) for size in SIZES]
    for member in members:
        member.genome = replace(member.genome, limits=valp.Limits(networks=100, width=512))
    header("milliseconds", *(f"{size} sub-networks" for size in SIZES))
    row("weights", *(f"{member.weight_count:,}" for member in members))
    for name, op in valp.operators().items():
        for version in op.versions if op.scope != "crossover" else ():
            options = {"gentle": version == "gentle"} if len(op.versions) == 2 else {}
            row(
                f"{name}, {version}",
                *(f"{net_cost(op, options, member):.2f}" for member in members),
            )
    others = [zoo.random_valp(problem, (size, size)) for size in SIZES]
    pairs = list(zip(members, others, strict=True))
    row(
        "donation, both ways",
        *(
            f"{milliseconds(lambda a=a, b=b: valp.cxExclusiveSubgraph(*copy.deepcopy((a, b)))):.2f}"
            for a, b in pairs
        ),
    )
    known = [diagnosed(copy.deepcopy(member)) for member in members]
    row("selMutation, guidelines", *(selection_cost(member, "guidelines") for member in known))
    measured = [evaluated(copy.deepcopy(member), problem) for member in members]
    row("selMutation, growth", *(selection_cost(member, "growth") for member in measured))
    row("clone", *(f"{milliseconds(lambda m=m: copy.deepcopy(m)):.2f}" for m in members))
    row("pickle", *(f"{milliseconds(lambda m=m: pickle.dumps(m)):.2f}" for m in members))
    row(
        "pickled structure, bytes",
        *(f"{len(pickle.dumps(m)) - 4 * m.weight_count:,}" for m in members),
    )


def exactness(seeds=40):
    problem = zoo.mixed_problem()
    changes = {}
    for seed in range(seeds):
        random.seed(seed)
        individual = zoo.random_valp(problem, (3, 8))
        before = {dtype: zoo.predictions(individual, problem, dtype) for dtype in zoo.DTYPES}
        for name, op in valp.operators().items():
            if "gentle" not in op.versions:
                continue
            for place in op.places(individual, True):
                child = copy.deepcopy(individual)
                op.apply(child, place, **({"gentle": True} if len(op.versions) == 2 else {}))
                for dtype in zoo.DTYPES:
                    change = zoo.largest_difference(
                        before[dtype], zoo.predictions(child, problem, dtype)
                    )
                    known, count = changes.get((name, dtype), (0.0, 0))
                    changes[name, dtype] = max(known, change), count + 1
    header("gentle operator", "applications", "largest change, float64", "largest change, float32")
    for name in dict.fromkeys(name for name, _ in changes):
        (double, count), (single, _) = changes[name, torch.float64], changes[name, torch.float32]
        row(name, count, f"{double:.1e}", f"{single:.1e}")


def donations(problem, pairs=200):
    header(
        "pairs of individuals",
        *(f"nothing for {name}" for name in problem.outputs),
        "nothing at all",
    )
    for label, bounds, steps in (
        ("random, 3 to 6 sub-networks", (3, 6), 0),
        ("random, 6 sub-networks", (6, 6), 0),
        ("one ancestor, 10 random moves each", (3, 6), 10),
        ("one ancestor, 40 random moves each", (3, 6), 40),
    ):
        nothing = dict.fromkeys((*problem.outputs, None), 0)
        for seed in range(pairs):
            random.seed(seed)
            host = zoo.random_valp(problem, bounds)
            donor = copy.deepcopy(host) if steps else zoo.random_valp(problem, bounds)
            for individual in (host, donor):
                for _ in range(steps):
                    valp.mutRandom(individual)
            for output in nothing:
                child = copy.deepcopy(host)
                valp.cxExclusiveSubgraph(child, donor, output, reciprocal=False)
                nothing[output] += child.seed == host.seed
        row(label, *(f"{count / pairs:.0%}" for count in nothing.values()))


def million():
    individual = zoo.build(zoo.plain_problem(), {"n0": zoo.generic(700, 700, 700)}, "x->n0 n0->y")
    print(
        f"\nA clone of {individual.weight_count:,} weights: "
        f"{milliseconds(lambda: copy.deepcopy(individual)):.3f} ms"
    )


if __name__ == "__main__":
    torch.set_num_threads(1)
    random.seed(1)
    digits = valp.problems.digits()
    costs(digits)
    exactness()
    donations(digits)
    million()
