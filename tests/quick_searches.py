"""Every search by its name, called with as little as it takes, and evaluations without training."""

from __future__ import annotations

import random
from functools import partial

import pytest
import zoo
from deap import base, tools

import deap_valp as valp

PROBLEM = zoo.mixed_problem()


def never(individual):
    raise AssertionError("this was trained, although an argument is wrong")


def quick(individual, problem=PROBLEM):
    """An evaluation without training: the values follow from the individual alone."""
    dice = random.Random(individual.seed)
    return valp.Evaluation(
        [dice.random() for _ in problem.objectives],
        objectives=problem.objectives,
        seed=individual.seed,
        weights=individual.weights,
    )


def failing(individual, reason="ValueError: no room"):
    return valp.Evaluation(
        [valp.PENALTY] * len(PROBLEM.objectives),
        objectives=PROBLEM.objectives,
        seed=individual.seed,
        weights=individual.weights,
        status=reason,
    )


def toolbox(evaluate=never, without=(), problem=PROBLEM):
    made = base.Toolbox()
    functions = {
        "evaluate": evaluate,
        "selMutation": partial(valp.selMutation, policy="gentle"),
        "mate": valp.cxExclusiveSubgraph,
        "select": tools.selNSGA2,
        "map": map,
    }
    for alias, function in functions.items():
        if alias not in without:
            made.register(alias, function)
    for alias in {"map", "clone"} & set(without):
        made.unregister(alias)
    return made


def trained_by(problem=PROBLEM):
    box = toolbox()
    box.register("evaluate", valp.evaluate, problem=problem, batches=2, first_batches=2)
    return box


def population(count=4, problem=PROBLEM):
    return [zoo.random_valp(problem) for _ in range(count)]


def climb(start=None, box=None, nsteps=8, **options):
    start = zoo.random_valp(PROBLEM) if start is None else start
    options = {"progress": False, **options}
    return valp.hillClimbing(start, toolbox() if box is None else box, nsteps, **options)


def guided(start=None, box=None, **options):
    sizes = {"mu": 4, "lambda_": 4, "cxpb": 0.3, "mutpb": 0.6, "ngen": 3, "verbose": False}
    start = population() if start is None else start
    return valp.eaGuided(start, toolbox() if box is None else box, **{**sizes, **options})


def aging(start=None, box=None, **options):
    options = {"ngen": 4, "verbose": False, **options}
    start = population() if start is None else start
    return valp.eaAging(start, toolbox() if box is None else box, **options)


def steady(start=None, box=None, **options):
    options = {"nevals": 8, "verbose": False, **options}
    start = population() if start is None else start
    return valp.eaSteadyState(start, toolbox() if box is None else box, **options)


SEARCHES = {
    "hillClimbing": climb,
    "eaGuided": guided,
    "eaAging": aging,
    "eaSteadyState": steady,
}
each_search = pytest.mark.parametrize("name", SEARCHES)
