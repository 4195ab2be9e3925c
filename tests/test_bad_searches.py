"""Searches and fitnesses: mistakes of the caller's are named before the first training."""

from __future__ import annotations

import logging
import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import zoo
from deap import base, creator, tools
from plotting import closed_figures

import deap_valp as valp
from deap_valp import plots
from deap_valp.genome import fitness as fitnesses
from deap_valp.genome import valp as genomes
from deap_valp.genome.fitness import RESERVED
from deap_valp.search.failures import FIRST

__all__ = ["closed_figures"]

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
NEEDED = {
    "hillClimbing": ("evaluate", "clone", "selMutation"),
    "eaGuided": ("evaluate", "clone", "map", "select", "selMutation", "mate"),
    "eaAging": ("evaluate", "clone", "map", "select", "selMutation"),
    "eaSteadyState": ("evaluate", "clone", "select", "selMutation", "mate"),
}
each_search = pytest.mark.parametrize("name", SEARCHES)


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


def trained_by(problem=PROBLEM):
    box = toolbox()
    box.register("evaluate", valp.evaluate, problem=problem, batches=2, first_batches=2)
    return box


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


# ---- names of objectives -------------------------------------------------------------------------


def size_of(individual):
    return float(len(individual))


def named_problem(output="y", cost="size"):
    x = np.random.default_rng(1).normal(size=(60, 3))
    outputs = {output: valp.Regression(x[:, :1])}
    return valp.Problem({"x": x}, outputs, costs={cost: size_of})


NAMES = """
    step seed graph values decision accepted_ objectives status loss weight_count place reason
    version operator gain before after parents population candidates evaluated columns search
    archive stats min avg max std applied failed objective0 start no
"""


def problem_of_names(role):
    """A problem with an objective of each name."""
    x = np.random.default_rng(1).normal(size=(60, 3))
    names = NAMES.split()
    if role == "cost":
        return valp.Problem(
            {"x": x}, {"y": valp.Regression(x)}, costs=dict.fromkeys(names, size_of)
        )
    return valp.Problem({"x": x}, {name: valp.Regression(x[:, :1]) for name in names})


@each_search
@pytest.mark.parametrize("role", ["output", "cost"])
def test_a_name_that_is_allowed_hides_nothing_and_is_drawn(name, role):
    problem = problem_of_names(role)
    archive, box = [], toolbox(partial(quick, problem=problem))
    start = population(4, problem)
    start = start[0] if name == "hillClimbing" else start
    _, logbook = SEARCHES[name](start, box, stats=valp.statistics(problem), archive=archive)
    assert {tuple(entry.named) for entry in archive} == {problem.objectives}
    if name == "hillClimbing":
        for record, entry in zip(logbook, archive, strict=True):
            assert {objective: record[objective] for objective in problem.objectives} == entry.named
            assert record["accepted"] == entry.accepted
    for objective in problem.objectives:
        assert np.isfinite(logbook.chapters[objective].select("min")).all()
    assert len(plots.plot_search(logbook, ["values", "step"], problem=problem).axes) == 2
    assert plots.plot_pareto(archive, problem=problem).axes
    assert all(objective in str(valp.payoff(archive)) for objective in problem.objectives)


@each_search
def test_every_column_that_a_search_writes_is_reserved(name):
    _, logbook = SEARCHES[name](box=toolbox(quick), stats=valp.statistics(PROBLEM))
    written = {key for record in logbook for key in record} | set(logbook.chapters)
    assert written - set(PROBLEM.objectives) <= set(RESERVED)


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


# ---- weights that get lost -----------------------------------------------------------------------


@pytest.fixture
def said(caplog):
    """What is said once in a process is said again in this test."""
    caplog.set_level(logging.WARNING, logger="deap_valp")
    fitnesses._say_bare_tuple.cache_clear()
    genomes._say_plain_fitness.cache_clear()
    genomes._say_weights.cache_clear()
    genomes._say_untrained.cache_clear()
    genomes._say_lost_weights.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records]


def trained(individual=None):
    individual = individual or zoo.random_valp(PROBLEM)
    return individual, valp.evaluate(individual, PROBLEM, batches=2, first_batches=2)


def test_a_bare_tuple_is_said_once(said, tmp_path):
    individual, evaluation = trained()
    for _ in range(2):
        individual.fitness.values = tuple(evaluation)
    [text] = said()
    assert "with_values" in text and "lost" in text
    valp.score(individual, PROBLEM)
    valp.decode(individual)
    valp.save(individual, tmp_path / "lost.valp")
    assert [line.split(":")[0] for line in said()[1:]] == ["score", "decode", "save"]
    assert all("not the weights that they were measured with" in line for line in said()[1:])


def test_an_untrained_valp_is_said_by_score_decode_and_save(said, tmp_path):
    for individual in (zoo.random_valp(PROBLEM), zoo.random_valp(PROBLEM)):  # each is said once
        valp.score(individual, PROBLEM)
        valp.decode(individual)
        valp.save(individual, tmp_path / "fresh.valp")
    assert len(said()) == 3 and all("was never trained" in line for line in said())


def test_what_was_trained_says_nothing(said, tmp_path):
    individual, evaluation = trained()
    individual.fitness.values = evaluation
    assert individual.trained
    valp.score(individual, PROBLEM)
    valp.save(individual, tmp_path / "best.valp")
    valp.decode(valp.load(tmp_path / "best.valp", type(individual)))
    valp.mutAddLayer(individual)
    valp.decode(individual)
    valp.diagnose(trained_individual(), PROBLEM)
    climb(box=trained_by(), nsteps=1)
    assert said() == []


def trained_individual():
    individual, evaluation = trained()
    individual.fitness.values = evaluation
    return individual


def test_a_plain_fitness_and_other_weights_are_said_once(said):
    creator.create("BadPlain", base.Fitness, weights=PROBLEM.weights)
    creator.create("BadPlainValp", valp.VALP, fitness=creator.BadPlain)
    for _ in range(2):
        one(creator.BadPlainValp)
        one(zoo.individual_class((-1.0,)))
    plain, weights = said()
    assert "deap.base.Fitness" in plain and "(-1.0,)" in weights and "'label'" in weights


def test_values_of_ones_own_keep_the_weights():
    individual = zoo.individual_class((-1.0,) * 5)(zoo.random_valp(PROBLEM).genome)
    _, evaluation = trained(individual)
    named = {**evaluation.named, "size": float(len(individual))}
    individual.fitness.values = evaluation.with_values(named)
    kept = individual.evaluation
    assert kept.named == named and individual.fitness.values == tuple(named.values())
    assert individual.trained and individual.weights is kept.weights
    assert all(kept.weights[key] is evaluation.weights[key] for key in evaluation.weights)
    for field in ("history", "diagnosis", "losses", "seed", "sessions", "status", "resolution"):
        assert getattr(kept, field) == getattr(evaluation, field)
    doubled = evaluation.with_values([2 * value for value in evaluation])
    assert doubled.objectives == evaluation.objectives and doubled.resolution == {}


def test_the_length_of_an_individual_is_the_number_of_its_sub_networks():
    individual = zoo.fan_out()
    assert len(individual) == len(individual.networks) > 0
    assert tools.Statistics(len).compile([individual]) == {}


@each_search
def test_verbose_prints_lines_that_fit_with_the_objectives_first(name, capsys):
    SEARCHES[name](box=toolbox(quick), stats=valp.statistics(PROBLEM), verbose=True)
    header, *lines = capsys.readouterr().out.splitlines()
    _, logbook = SEARCHES[name](box=toolbox(quick), stats=valp.statistics(PROBLEM))
    assert len(lines) == len(logbook) and max(map(len, [header, *lines])) <= 100
    first = "label" if name == "hillClimbing" else "label min"
    assert header.startswith(f"gen  nevals  {first}") and "texture" in header
