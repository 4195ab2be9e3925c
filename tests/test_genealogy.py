"""Who was made of whom, from the archive of a search."""

from __future__ import annotations

import json
import math
import pickle
import random

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
import zoo
from deap import base, tools
from test_populations import PROBLEM, aging, guided, hill_climbing, quick, steady

import deap_valp as valp
from deap_valp import plots
from deap_valp.genome.fitness import PENALTY

SEARCHES = pytest.mark.parametrize("search", [hill_climbing, guided, aging, steady])


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


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
    by_seed = {entry.seed: entry for entry in archive}
    for seed, node in graph.nodes(data=True):
        assert node["values"] == dict(zip(PROBLEM.objectives, by_seed[seed].values, strict=True))
        assert list(graph.pred[seed]) == list(by_seed[seed].parents)
        assert (node["step"] == 0) == (not graph.pred[seed])
    for parent, child, edge in graph.edges(data=True):
        move, host = by_seed[child].move, by_seed[child].parents[0]
        assert (edge["operator"], edge["version"], edge["place"], edge["rule"]) == (
            *move.key,
            move.rule,
        )
        assert edge["role"] == ("host" if parent == host else "donor")
        assert edge["after"] == graph.nodes[child]["values"]
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


# ---- the picture ---------------------------------------------------------------------------------


def entry(seed, step, value, parents=(), accepted=True, operator="add_layer"):
    move = valp.Move(operator, "gentle", "n0")
    decision = valp.Decision(move, parents) if parents else None
    return valp.Entry(
        step,
        nx.DiGraph(),
        (value, 1.0),
        10,
        decision,
        accepted,
        seed,
        ("a", "b"),
        "ok" if value < PENALTY else "the loss is nan",
    )


FAMILY = [
    entry(1, 0, 0.9),
    entry(2, 0, 0.8),
    entry(3, 1, 0.5, (1,), operator="clone_network"),
    entry(4, 1, PENALTY, (2,), accepted=False),
    entry(5, 2, 0.2, (3, 2), operator="exclusive_subgraph_crossover"),
    entry(6, 3, 0.4, (5,), accepted=False),
]


def test_genealogy_data():
    data = plots.genealogy_data(FAMILY)
    assert data.objective == "a" and data.seeds == (1, 2, 3, 4, 5, 6)
    np.testing.assert_array_equal(data.values, [0.9, 0.8, 0.5, math.nan, 0.2, 0.4])
    assert data.operators[:3] == ("", "", "clone_network") and data.steps.tolist() == [
        0,
        0,
        1,
        1,
        2,
        3,
    ]
    assert data.accepted.tolist() == [True, True, True, False, True, False]
    assert data.ancestry.tolist() == [True, True, True, False, True, False]
    edges = {
        tuple(edge): bool(donated) for edge, donated in zip(data.edges, data.donations, strict=True)
    }
    assert edges == {(0, 2): False, (1, 3): False, (2, 4): False, (1, 4): True, (4, 5): False}
    assert plots.genealogy_data(valp.genealogy(FAMILY), "b").values.tolist() == [1.0] * 6


@pytest.mark.parametrize(("archive", "objective"), [([], None), (FAMILY, "c")])
def test_what_cannot_be_drawn_is_named(archive, objective):
    with pytest.raises(valp.ValpError, match=r"somebody in it|objectives \['a', 'b'\], got 'c'"):
        plots.genealogy_data(archive, objective)


def test_plot_genealogy_draws_every_individual():
    ax = plots.plot_genealogy(FAMILY)
    ax.figure.canvas.draw()
    drawn = {
        (float(x), float(y))
        for line in ax.lines
        for x, y in zip(*line.get_data(), strict=True)
        if y == y
    }
    assert drawn == {(0.0, 0.9), (0.0, 0.8), (1.0, 0.5), (2.0, 0.2), (3.0, 0.4)}
    legend = [text.get_text() for text in ax.get_legend().get_texts()]
    assert {
        "start",
        "clone_network",
        "way to the best",
        "donated to the best",
        "left out, failed: 1",
    } <= set(legend)
    assert len(legend) == len(set(legend))


@SEARCHES
def test_the_archive_of_every_search_can_be_drawn(search, toolbox):
    random.seed(2)
    ax = plots.plot_genealogy(archive_of(search, toolbox), objective="value")
    assert ax.get_ylabel() == "value (minimised)" and ax.lines
