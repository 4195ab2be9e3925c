"""What the tests of watched searches share: a clock that evaluations move, and searches to end."""

from __future__ import annotations

import random

import pytest
from deap import tools
from digests import digest, random_state
from searching import SEARCHES, toolbox_of_searches
from test_populations import quick

import deap_valp as valp
from deap_valp.search import watch as watch_module

each_search = pytest.mark.parametrize("name", SEARCHES)


class Clock:
    """A clock that the evaluations move, in seconds."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watch_module, "clock", clock)
    monkeypatch.setattr(watch_module, "_last_interrupt", float("-inf"))
    return clock


@pytest.fixture
def toolbox():
    return toolbox_of_searches()


def search(name, toolbox, steps, **options):
    """Run a search of so many steps; None for no end."""
    random.seed(3)
    population = tools.initRepeat(list, toolbox.individual, 4)
    options = {"progress": False, "verbose": False, **options}
    if name == "hillClimbing":
        return valp.hillClimbing(population[0], toolbox, steps, **options)
    if name == "eaGuided":
        return valp.eaGuided(population, toolbox, 4, 4, 0.3, 0.6, steps, **options)
    if name == "eaAging":
        return valp.eaAging(population, toolbox, steps, **options)
    return valp.eaSteadyState(population, toolbox, steps, **options)


def left(name, toolbox, path, until, **options):
    """Return a digest of what a search leaves, its number of records, and what stopped it."""
    front, archive = tools.ParetoFront(), []
    checkpoint = None if path is None else valp.Checkpoint(path, **options)
    found, logbook = search(
        name,
        toolbox,
        None,
        until=until,
        checkpoint=checkpoint,
        halloffame=front,
        archive=archive,
    )
    return digest([found, logbook, front, archive, random_state()]), len(logbook), logbook.stopped


class Killed(BaseException):
    pass


def killed_after(evaluations):
    calls = []

    def evaluate(individual):
        if len(calls) == evaluations:
            raise Killed
        calls.append(individual)
        return quick(individual)

    return evaluate


def counts(logbook):
    return logbook.select("nevals")
