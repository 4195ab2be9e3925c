"""Searches and fitnesses: mistakes of the caller's are named before the first training."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import zoo
from deap import creator, tools
from quick_searches import (
    PROBLEM,
    SEARCHES,
    aging,
    climb,
    each_search,
    failing,
    guided,
    population,
    quick,
    steady,
    toolbox,
    trained_by,
)
from small_data import size_of

import deap_valp as valp
from deap_valp.genome.fitness import RESERVED
from deap_valp.search.failures import FIRST

NEEDED = {
    "hillClimbing": ("evaluate", "clone", "selMutation"),
    "eaGuided": ("evaluate", "clone", "map", "select", "selMutation", "mate"),
    "eaAging": ("evaluate", "clone", "map", "select", "selMutation"),
    "eaSteadyState": ("evaluate", "clone", "select", "selMutation", "mate"),
}


class Unfit(valp.VALP):
    """A VALP without a fitness."""


def one(cls):
    return valp.initVALP(cls, PROBLEM)


def weighted(*weights):
    """An individual whose fitness has these weights."""
    name = f"Weighted{len(weights)}{sum(weight > 0 for weight in weights)}"
    if not hasattr(creator, name):
        creator.create(f"{name}Fitness", valp.Fitness, weights=weights)
        creator.create(name, valp.VALP, fitness=getattr(creator, f"{name}Fitness"))
    return getattr(creator, name)(zoo.random_valp(PROBLEM).genome)


def starts_of(name, individual):
    return individual if name == "hillClimbing" else [individual] * 4


def named_problem(output="y", cost="size"):
    x = np.random.default_rng(1).normal(size=(60, 3))
    outputs = {output: valp.Regression(x[:, :1])}
    return valp.Problem({"x": x}, outputs, costs={cost: size_of})


def each(what, attempt, message):
    """The same mistake in every search."""
    return {
        f"{name}: {what}": (lambda name=name: attempt(name), message.replace("SEARCH", name))
        for name in SEARCHES
    }


BAD = {
    **{
        f"{name}: a toolbox without {alias}": (
            lambda name=name, alias=alias: SEARCHES[name](box=toolbox(without=[alias])),
            rf'{name} needs a toolbox with {alias}, .*toolbox.register\("{alias}", ',
        )
        for name, aliases in NEEDED.items()
        for alias in aliases
    },
    **each(
        "swapped arguments",
        lambda name: SEARCHES[name](toolbox(), starts_of(name, zoo.random_valp(PROBLEM))),
        "SEARCH needs toolbox as a deap.base.Toolbox, got",
    ),
    **each(
        "individuals that are lists",
        lambda name: SEARCHES[name](starts_of(name, [1, 2])),
        "SEARCH needs individuals that are VALPs, .*got list",
    ),
    **each(
        "individuals without a fitness",
        lambda name: SEARCHES[name](starts_of(name, one(Unfit))),
        "SEARCH needs individuals with a fitness, got Unfit without",
    ),
    **each(
        "weights of the wrong length",
        lambda name: SEARCHES[name](starts_of(name, weighted(-1.0, -1.0)), trained_by()),
        r"SEARCH needs a fitness with a weight for each of the 4 objectives .*got \(-1.0, -1.0\)",
    ),
    **each(
        "positive weights",
        lambda name: SEARCHES[name](starts_of(name, weighted(-1.0, 1.0, -1.0, -1.0)), trained_by()),
        "SEARCH needs negative weights, as all objectives of a problem are minimised",
    ),
    **each(
        "stats of a column",
        lambda name: SEARCHES[name](stats=tools.MultiStatistics(gen=tools.Statistics(len))),
        r"SEARCH needs stats without the names of its own columns .*got \['gen'\]",
    ),
    **each(
        "stats=True",
        lambda name: SEARCHES[name](stats=True),
        "SEARCH needs stats as tools.Statistics or None, got True",
    ),
    **each(
        "halloffame=[]",
        lambda name: SEARCHES[name](halloffame=[]),
        "SEARCH needs halloffame as a tools.HallOfFame or None, got list",
    ),
    **each(
        "archive=True",
        lambda name: SEARCHES[name](archive=True),
        "SEARCH needs archive as a list or None, got True",
    ),
    **each(
        "checkpoint=True",
        lambda name: SEARCHES[name](checkpoint=True),
        "SEARCH needs checkpoint as a Checkpoint or its path, got True",
    ),
    **{
        f"{name}: {size}={value}": (
            lambda name=name, size=size, value=value: SEARCHES[name](**{size: value}),
            f"{name} needs {size} as a whole number from {least} on, got {value!r}",
        )
        for name, size, value, least in (
            ("hillClimbing", "nsteps", 1e1, 0),
            ("hillClimbing", "nsteps", -1, 0),
            ("eaGuided", "ngen", 1e1, 0),
            ("eaGuided", "mu", 0, 1),
            ("eaGuided", "lambda_", "4", 1),
            ("eaAging", "ngen", "4", 0),
            ("eaAging", "lambda_", 0, 1),
            ("eaAging", "sample_size", 2.0, 1),
            ("eaSteadyState", "nevals", 1e1, 0),
            ("eaSteadyState", "workers", 0, 1),
        )
    },
    **{
        f"{name}: an empty population": (
            lambda name=name: SEARCHES[name]([]),
            f"{name} needs a population of at least [12], got 0 individuals",
        )
        for name in ("eaGuided", "eaAging", "eaSteadyState")
    },
    "eaGuided: one individual to mate": (
        lambda: guided(population(1)),
        "eaGuided needs a population of at least 2, got 1 individuals",
    ),
    "eaGuided: a tuple": (
        lambda: guided(tuple(population())),
        "eaGuided needs population as a list of individuals, got tuple",
    ),
    "eaGuided: cxpb='0.3'": (
        lambda: guided(cxpb="0.3"),
        "eaGuided needs cxpb and mutpb from 0 on and together at most 1, got '0.3' and 0.6",
    ),
    "eaGuided: cxpb=0.8": (lambda: guided(cxpb=0.8), "together at most 1, got 0.8 and 0.6"),
    "eaSteadyState: cxpb=2": (lambda: steady(cxpb=2), "from 0 on and together at most 1, got 2"),
    "hillClimbing: accept=True": (
        lambda: climb(accept=True),
        "hillClimbing needs accept as a function of two, got True",
    ),
    "Fitness: too few values": (
        lambda: setattr(weighted(-1.0, -1.0).fitness, "values", (0.5,)),
        r"has 2 weights, \(-1.0, -1.0\), but got 1 values",
    ),
    "Fitness: a number": (
        lambda: setattr(weighted(-1.0).fitness, "values", 0.5),
        r"needs values as a tuple of 1 numbers, got 0.5",
    ),
    "Fitness: a word": (
        lambda: setattr(weighted(-1.0).fitness, "values", ("low",)),
        "needs values that are numbers, got 'low'",
    ),
    **{
        f"Fitness: {value}": (
            lambda value=value: setattr(weighted(-1.0, -1.0).fitness, "values", (0.5, value)),
            f"needs finite values, as DEAP's selections .* got {value}: give deap_valp.PENALTY",
        )
        for value in (float("nan"), float("inf"), float("-inf"))
    },
    **{
        f"Problem: {role} named {name}": (
            lambda role=role, name=name: named_problem(**{role: name}),
            f"differ from what logbooks have columns for .*got '{name}': {name}_ will do",
        )
        for role in ("output", "cost")
        for name in RESERVED
    },
    **{
        f"Evaluation: an objective named {name}": (
            lambda name=name: valp.Evaluation([1.0], objectives=[name], seed=1, weights={}),
            f"needs names of objectives that no logbook uses .*got '{name}'",
        )
        for name in RESERVED
    },
}


@pytest.mark.parametrize("attempt, message", BAD.values(), ids=BAD.keys())
def test_a_wrong_argument_is_named_before_anything_is_trained(attempt, message):
    with pytest.raises(valp.ValpError, match=message):
        attempt()


# ---- runs that cannot succeed --------------------------------------------------------------------


def through_pool(search, box, **options):
    with ThreadPoolExecutor(2) as pool:
        box.register("map", pool.map)
        box.register("submit", pool.submit)
        return search(box=box, **options)


def here(search, box, **options):
    return search(box=box, **options)


@each_search
@pytest.mark.parametrize("where", [here, through_pool])
def test_a_run_whose_first_evaluations_fail_for_one_reason_stops_with_it(name, where):
    seen = []

    def evaluate(individual):
        seen.append(individual)
        return failing(individual, f"ValueError: no room in batch {len(seen)}")

    with pytest.raises(valp.EvaluationError, match=f"{name} stops, .*ValueError: no room in b"):
        where(SEARCHES[name], toolbox(evaluate))
    assert FIRST <= len(seen) <= FIRST + 3  # a generation is evaluated as a whole


@each_search
@pytest.mark.parametrize("lucky", [1, 3])
def test_one_other_result_and_failures_end_no_run(name, lucky):
    seen = []

    def evaluate(individual):
        seen.append(individual)
        return quick(individual) if len(seen) == lucky else failing(individual)

    SEARCHES[name](box=toolbox(evaluate))
    assert len(seen) > FIRST


def test_failures_for_different_reasons_end_no_run():
    reasons = iter(["the loss of label is nan at batch 3", "the loss of value is nan at batch 3"])
    climb(box=toolbox(lambda individual: failing(individual, next(reasons, "out of memory"))))


def test_an_evaluation_that_does_not_pickle_is_named_under_a_pool():
    from multiprocessing.reduction import ForkingPickler

    def pool_map(function, individuals):
        ForkingPickler.dumps(function)
        return map(function, individuals)

    for search in (guided, aging):
        box = toolbox(lambda individual: quick(individual))
        box.register("map", pool_map)
        with pytest.raises(valp.ValpError, match=r"needs toolbox.evaluate to pickle, .*lambda"):
            search(box=box)
