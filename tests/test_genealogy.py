"""Who was made of whom, from the archive of a search."""

from __future__ import annotations

import json
import pickle

import networkx as nx
import pytest
import zoo
from deap import base, tools
from test_populations import PROBLEM, aging, guided, hill_climbing, quick, steady

import deap_valp as valp

SEARCHES = pytest.mark.parametrize("search", [hill_climbing, guided, aging, steady])


@pytest.fixture
def toolbox():
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, PROBLEM)
    toolbox.register("evaluate", quick)
    toolbox.register("selMutation", valp.selMutation, policy="random")
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    return toolbox


def archive_of(search, toolbox):
    archive = []
    search(tools.initRepeat(list, toolbox.individual, 6), toolbox, archive=archive)
    return archive


@SEARCHES
def test_nodes_are_the_individuals_and_edges_what_made_them(search, toolbox):
    archive = archive_of(search, toolbox)
    graph = valp.genealogy(archive)
    assert set(graph) == {entry.seed for entry in archive} and nx.is_directed_acyclic_graph(graph)
    last = {entry.seed: entry for entry in archive}
    by_seed = {entry.seed: entry for entry in reversed(archive)}  # the first: it may be trained on
    for seed, node in graph.nodes(data=True):
        assert node["values"] == dict(zip(PROBLEM.objectives, last[seed].values, strict=True))
        assert list(graph.pred[seed]) == list(by_seed[seed].parents)
        assert (node["step"] == 0) == (not graph.pred[seed])
    for parent, child, edge in graph.edges(data=True):
        move, host = by_seed[child].move, by_seed[child].parents[0]
        assert (edge["operator"], edge["version"], edge["place"], edge["rule"]) == (
            *move.key,
            move.rule,
        )
        assert edge["role"] == ("host" if parent == host else "donor")
        assert edge["after"] == by_seed[child].named
        assert edge["before"] in [entry.named for entry in archive if entry.seed == host]


@SEARCHES
def test_json_brings_it_back(search, toolbox):
    graph = valp.genealogy(archive_of(search, toolbox))
    text = json.dumps(nx.node_link_data(graph, edges="edges"))
    again = nx.node_link_graph(json.loads(text), edges="edges")
    assert dict(again.nodes(data=True)) == dict(graph.nodes(data=True))
    assert list(again.edges(data=True)) == list(graph.edges(data=True))


def test_structures_are_in_it(toolbox):
    archive = archive_of(guided, toolbox)
    graph = valp.genealogy(archive)
    for entry in archive:
        structure = graph.nodes[entry.seed]["structure"]
        assert set(structure["components"]) == set(entry.graph)
        assert {tuple(edge) for edge in structure["connections"]} == set(entry.graph.edges)


def test_training_on_without_a_change_is_no_new_individual(toolbox):
    toolbox.register("selMutation", valp.selMutation, policy="retrain")
    archive = []
    valp.hillClimbing(toolbox.individual(), toolbox, 5, archive=archive, progress=False)
    graph = valp.genealogy(archive)
    [node] = dict(graph.nodes).values()
    assert node["evaluations"] == 6 and node["step"] == 0 and not graph.edges
    assert node["values"] == archive[-1].named and all(entry.decision is None for entry in archive)


def test_a_parent_that_nobody_recorded_is_a_bare_node(toolbox):
    archive = [entry for entry in archive_of(aging, toolbox) if entry.step > 0]
    graph = valp.genealogy(archive)
    bare = [seed for seed, node in graph.nodes(data=True) if not node]
    assert bare and not set(bare) & {entry.seed for entry in archive}


def test_islands_may_share_an_archive(toolbox):
    archive, islands = [], [tools.initRepeat(list, toolbox.individual, 4) for _ in range(2)]
    for _ in range(2):
        for island in islands:
            valp.eaGuided(island, toolbox, 4, 4, 0.0, 1.0, 2, archive=archive, verbose=False)
        tools.migRing(islands, 1, tools.selBest)
    assert len({entry.seed for entry in archive}) == len(archive) == 2 * (4 + 2 * 2 * 4)


def test_an_archive_is_small(toolbox):
    toolbox.register("evaluate", valp.evaluate, problem=PROBLEM, batches=2, first_batches=2)
    archive = archive_of(guided, toolbox)
    assert len(pickle.dumps(archive)) / len(archive) < 4000
    assert all(not hasattr(value, "numel") for entry in archive for value in vars(entry).values())
