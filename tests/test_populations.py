"""The population searches, and the genealogy of what they evaluate."""

from __future__ import annotations

import json
import random
from concurrent.futures import ThreadPoolExecutor

import networkx as nx
import numpy as np
import pytest
import zoo
from deap import base, tools

import deap_valp as valp

PROBLEM = zoo.mixed_problem()


@pytest.fixture
def toolbox():
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, PROBLEM)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("evaluate", valp.evaluate, problem=PROBLEM, batches=3, first_batches=5, metrics=valp.ALL_METRICS)
    toolbox.register("selMutation", valp.selMutation, policy="principles")
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("map", map)
    return toolbox


def guided(population, toolbox, **options):
    return valp.eaGuided(population, toolbox, 6, 6, 0.3, 0.6, 3, verbose=False, **options)


def aging(population, toolbox, **options):
    return valp.eaAging(population, toolbox, 8, verbose=False, **options)


def steady(population, toolbox, **options):
    return valp.eaSteadyState(population, toolbox, 10, verbose=False, **options)


SEARCHES = pytest.mark.parametrize("search", [guided, aging, steady])


@SEARCHES
def test_they_return_a_population_and_a_logbook(search, toolbox):
    front, best, archive = tools.ParetoFront(), tools.HallOfFame(2), []
    stats = valp.statistics(PROBLEM)
    start = toolbox.population(6)
    population, logbook = search(start, toolbox, stats=stats, halloffame=front, archive=archive)
    assert population is start and len(population) == 6
    best.update(population)
    for individual in population:
        zoo.assert_valid(individual, PROBLEM)
        assert individual.fitness.valid and all(np.isfinite(individual.fitness.values))
    assert sum(logbook.select("nevals")) == len(archive) >= 6
    assert logbook.select("gen") == list(range(len(logbook)))
    assert set(logbook.chapters) == {*PROBLEM.objectives, "operators"}
    assert len(front) >= 1 and any(individual.trained for individual in population)


@SEARCHES
def test_the_same_seed_gives_the_same_search(search, toolbox):
    results = []
    for _ in range(2):
        random.seed(4)
        population, logbook = search(toolbox.population(6), toolbox)
        results.append((population, [dict(record) for record in logbook]))
    assert results[0] == results[1]


@SEARCHES
def test_feedback_hears_of_every_candidate(search, toolbox):
    bandit = valp.Bandit()
    toolbox.register("selMutation", valp.selMutation, policy=bandit)
    toolbox.register("feedback", bandit.feedback)
    search(toolbox.population(6), toolbox)
    assert sum(bandit.counts.values()) > 0


def test_the_oldest_dies(toolbox):
    population = toolbox.population(4)
    first = list(population)
    valp.eaAging(population, toolbox, 2, verbose=False)
    assert population[:2] == first[2:] and len(population) == 4


def test_steady_state_takes_whoever_finishes_first(toolbox):
    with ThreadPoolExecutor(2) as executor:
        toolbox.register("submit", executor.submit)
        population, logbook = valp.eaSteadyState(toolbox.population(4), toolbox, 6, verbose=False, workers=2)
    assert len(population) == 4 and len(logbook) == 7


def test_only_individuals_without_a_fitness_are_mapped(toolbox):
    seen = []
    toolbox.register("map", lambda f, individuals: [seen.append(i.fitness.valid) or f(i) for i in individuals])
    guided(toolbox.population(6), toolbox)
    assert seen and not any(seen)


def test_islands_can_exchange_individuals(toolbox):
    islands = [toolbox.population(4) for _ in range(2)]
    for _ in range(2):
        for island in islands:
            valp.eaGuided(island, toolbox, 4, 4, 0.3, 0.6, 1, verbose=False)
        tools.migRing(islands, 1, tools.selBest)
    assert all(len(island) == 4 and all(i.fitness.valid for i in island) for island in islands)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, t: valp.eaGuided(p, t, 4, 4, 0.7, 0.6, 1), "together at most 1"),
        (lambda p, t: valp.eaAging(p, t, 1, sample_size=0), "sample_size to be 1 or more"),
        (lambda p, t: valp.eaSteadyState(p, t, 1, workers=0), "workers to be 1 or more"),
        (lambda p, t: valp.eaSteadyState(p, t, 1, cxpb=1.5), "together at most 1"),
    ],
)
def test_arguments_that_make_no_sense_are_named(call, message, toolbox):
    with pytest.raises(valp.ValpError, match=message):
        call(toolbox.population(2), toolbox)


def test_a_genealogy_knows_who_was_made_of_whom(toolbox):
    archive = []
    guided(toolbox.population(6), toolbox, archive=archive)
    graph = valp.genealogy(archive)
    assert {entry.seed for entry in archive} <= set(graph)
    assert nx.is_directed_acyclic_graph(graph) and graph.number_of_edges() > 0
    for parent, child, edge in graph.edges(data=True):
        assert edge["role"] in ("host", "donor") and set(edge["after"]) == set(PROBLEM.objectives)
        assert graph.nodes[child]["values"].keys() == edge["after"].keys() and parent != child
    text = json.dumps(nx.node_link_data(graph, edges="edges"))
    again = nx.node_link_graph(json.loads(text), edges="edges")
    assert set(again.edges) == set(graph.edges)


def test_an_archive_holds_no_weights(toolbox):
    import pickle

    archive = []
    guided(toolbox.population(6), toolbox, archive=archive)
    weights = sum(4 * entry.weight_count for entry in archive)
    assert len(pickle.dumps(archive)) < weights / 5
