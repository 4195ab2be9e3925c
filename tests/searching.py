"""Short searches of every kind, whose outcome is a digest: for tests of checkpoints."""

from __future__ import annotations

import zoo
from deap import base, tools
from digests import digest, random_state
from test_populations import PROBLEM, quick

import deap_valp as valp

SEARCHES = ["hillClimbing", "eaGuided", "eaAging", "eaSteadyState"]


def toolbox_of_searches():
    """What the searches of this module need, with evaluations that cost nothing."""
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, PROBLEM)
    toolbox.register("evaluate", quick)
    toolbox.register("selMutation", valp.selMutation, policy="random")
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    return toolbox


def search(name, toolbox, path=None, size=1, every=1, **options):
    """Run a search whose length grows with ``size``; what it leaves, as a digest."""
    left = {
        "halloffame": tools.ParetoFront(),
        "archive": [],
        "stats": valp.statistics(PROBLEM),
        **options,
    }
    checkpoint = None if path is None else valp.Checkpoint(path, every)
    population = tools.initRepeat(list, toolbox.individual, 4)
    options = left | {"checkpoint": checkpoint, "progress": False, "verbose": False}
    if name == "hillClimbing":
        found = valp.hillClimbing(population[0], toolbox, 5 * size, **options)
    elif name == "eaGuided":
        found = valp.eaGuided(population, toolbox, 4, 4, 0.3, 0.6, 2 * size, **options)
    elif name == "eaAging":
        found = valp.eaAging(population, toolbox, 5 * size, **options)
    else:
        found = valp.eaSteadyState(population, toolbox, 7 * size, workers=2, **options)
    return digest(list(found), left["halloffame"], left["archive"], random_state())
