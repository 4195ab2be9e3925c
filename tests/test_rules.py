"""Rule sets: a synthetic diagnosis for each rule gives exactly its proposals."""

from __future__ import annotations

import copy
import random

import pytest
import zoo
from diagnosed import (
    MODERATE,
    STEEP,
    STUCK,
    diagnosed,
    keys,
    proposals,
    scored,
    slopes_of,
    two_outputs,
    with_metrics,
)
from validity import assert_valid

import deap_valp as valp
from deap_valp.diagnosis import Diagnosis
from deap_valp.selection import (
    CLASSES,
    View,
    proposal_class,
    propose,
)

# ---- the guidelines ------------------------------------------------------------------------------


def test_r1_steep_gives_gentle_clones_of_what_contributes():
    individual = diagnosed(two_outputs(), slopes_of(two_outputs(), label=STEEP))
    assert keys(proposals(individual), "R1") == {
        ("clone_network", "gentle", n) for n in ("n0", "n1")
    }


def test_r2_moderate_gives_gentle_connections_that_reach_the_output():
    individual = two_outputs()
    diagnosed(
        individual, slopes_of(individual, label=MODERATE, value=STEEP, image=STEEP, texture=STEEP)
    )
    found = keys(proposals(individual), "R2")
    assert found and all(
        operator == "add_connection" and version == "gentle" for operator, version, _ in found
    )
    reached = {place: {"n0", "n1", "label"} for _, _, place in found}
    assert all(place.split("->")[1] in receivers for place, receivers in reached.items())
    assert ("add_connection", "gentle", "right->n1") in found
    legal = set(valp.operators()["add_connection"].places(individual, True))
    involved = {"n0", "n1"}
    wanted = {
        p
        for p in legal
        if p.split("->")[1] in ("n0", "n1", "label") and involved & set(p.split("->"))
    }
    assert {place for *_, place in found} == wanted


def test_r3_stuck_gives_aggressive_insertions_on_the_way():
    individual = two_outputs()
    diagnosed(individual, slopes_of(individual, value=STUCK))
    assert keys(proposals(individual), "R3") == {
        ("insert_network", "aggressive", place) for place in ("n0->n2", "n2->value")
    }


def test_r4_irrelevant_for_some_gives_reducers_insertions_and_a_clone():
    individual = diagnosed(two_outputs(), relevance={("n0", "value"): 1.0})
    assert keys(proposals(individual), "R4") == {
        ("delete_connection", "aggressive", "n0->n2"),
        ("insert_network", "aggressive", "n0->n1"),
        ("insert_network", "aggressive", "n0->n2"),
        ("clone_network", "aggressive", "n0"),
    }


def test_r5_irrelevant_gives_the_connection_that_cuts():
    individual = diagnosed(two_outputs(), relevance={("n0", "value"): 1.0, ("n0", "label"): 1.0})
    assert {("delete_connection", "aggressive", place) for place in ("n0->n1", "n0->n2")} == keys(
        proposals(individual), "R5"
    )


def test_r5_gives_none_where_no_single_connection_cuts():
    individual = two_outputs()
    diagnosed(
        individual, relevance={("n2", "value"): 1.0}
    )  # n2->value is the only provider of value
    assert not keys(proposals(individual), "R5")


def test_r6_irrelevant_for_all_gives_deletion():
    individual = diagnosed(two_outputs(), relevance={("n0", "value"): 1.05, ("n0", "label"): 0.99})
    (move,) = [move for move in proposals(individual) if move.rule == "R6"]
    assert move.key == ("delete_network", "aggressive", "n0")
    assert (
        str(move)
        == "delete_network(n0): irrelevant for every output (relevance 0.99, 1.05 <= 1.20, 1.25)"
    )


def test_all_relevant_and_moderate_gives_connections_alone(zoo_member):
    assert {move.operator for move in proposals(diagnosed(zoo_member))} <= {"add_connection"}


def test_every_proposal_is_legal_and_comes_once(zoo_member):
    for seed in range(5):
        rng = random.Random(seed)
        relevance = {
            (n, o): rng.choice([1.0, 2.0]) for n in zoo_member.networks for o in zoo_member.outputs
        }
        slopes = {output: rng.choice([STEEP, MODERATE, STUCK]) for output in zoo_member.outputs}
        found = proposals(diagnosed(zoo_member, slopes, relevance))
        assert len(keys(found)) == len(found)
        for move in found:
            move.apply(copy.deepcopy(zoo_member))
            assert move.reason and move.rule and proposal_class(move) in CLASSES


def test_cutting_connections_cut_one_output_and_no_other(zoo_member):
    import networkx as nx

    irrelevant = {(n, o): 1.0 for n in zoo_member.networks for o in zoo_member.outputs}
    view = View(zoo_member, Diagnosis({"module_intervention": irrelevant}), valp.Thresholds())
    deletable = valp.operators()["delete_connection"].places(zoo_member, False)
    for network, output in view.pairs:
        expected = []
        for place in deletable:
            graph = zoo_member.graph.copy()
            graph.remove_edge(*place.split("->"))
            before = zoo_member.outputs_of(network)
            if set(nx.descendants(graph, network)) & before == before - {output}:
                expected.append(place)
        found = view.cutting(network, output)
        assert len(found) == bool(expected) and set(found) <= set(expected)


# ---- the principles ------------------------------------------------------------------------------


def principle(individual, rule, population=()):
    view = View(individual, individual.evaluation.diagnosis, valp.Thresholds(), population)
    return {move.key for move in propose(view, "principles") if move.rule == rule}


def by_effect(keys):
    """The moves that extend, and those that reduce."""
    cut = {key for key in keys if valp.operators()[key[0]].effect == "reducer"}
    return keys - cut, cut


def test_p1_stuck_is_shaken_moderate_is_extended_steep_is_left_alone():
    individual = two_outputs()
    diagnosed(
        individual, slopes_of(individual, label=STEEP, value=STUCK, image=STEEP, texture=STEEP)
    )
    found = principle(individual, "P1")
    assert ("change_lr", "gentle", "value") in found  # V-C, and no other output's
    assert {version for name, version, _ in found if name != "change_lr"} == {"aggressive"}
    assert {place for name, _, place in found if name == "clone_network"} == {"n0", "n2"}
    assert {p for name, _, p in found if name == "insert_network"} == {"n0->n2", "n2->value"}
    assert {p for name, _, p in found if name == "extend_layer"} == {"n0.0", "n2.0"}
    joined = {p for name, _, p in found if name == "add_connection"}
    assert joined and all(p.split("->")[1] in ("n0", "n2", "value") for p in joined)
    assert {move.operator for move in proposals(individual, rule_set="principles")} >= {
        *("change_lr", "clone_network", "insert_network"),
        *("add_connection", "add_layer", "extend_layer"),
    }
    diagnosed(
        individual, slopes_of(individual, label=STEEP, value=MODERATE, image=STEEP, texture=STEEP)
    )
    assert {version for _, version, _ in principle(individual, "P1")} == {"gentle"}


def test_p2_irrelevant_is_reduced_and_disconnected_and_relevant_extended():
    individual = two_outputs()
    relevance = {("n1", "label"): 1.0, ("n0", "label"): 1.0}
    diagnosed(individual, slopes_of(individual), relevance)
    found = {(*move.key, move.rule) for move in proposals(individual, rule_set="principles")}
    assert (
        "delete_connection",
        "aggressive",
        "n0->n1",
        "P2",
    ) in found  # n1 itself cannot go: left->label is illegal
    assert {rule for *_, place, rule in found if place == "n0"} == {
        "P1"
    }  # already proposed where P2 would extend it
    diagnosed(individual, slopes_of(individual), {("n0", "label"): 1.0, ("n0", "value"): 1.0})
    found = {(*move.key, move.rule) for move in proposals(individual, rule_set="principles")}
    assert ("delete_network", "aggressive", "n0", "P2") in found


def test_p3_an_irrelevant_input_loses_connections_that_only_serve_where_it_is_irrelevant():
    individual = diagnosed(two_outputs(), STEEP)
    inputs = {(i, o): 2.0 for i in individual.inputs for o in individual.outputs_of(i)}
    inputs["left", "label"] = 1.0
    with_metrics(individual, input_intervention=inputs)
    assert principle(individual, "P3") == {("delete_connection", "aggressive", "left->n1")}
    inputs |= {("right", output): 1.0 for output in individual.outputs_of("right")}
    with_metrics(individual, input_intervention=inputs)
    assert ("delete_input", "aggressive", "right") in principle(individual, "P3")


def test_p4_dependency_that_grows_is_extended_and_otherwise_reduced():
    from deap_valp.diagnosis import Dependency

    individual = diagnosed(two_outputs(), STEEP)
    with_metrics(
        individual,
        dependency={("n0", "label"): Dependency(0.5, 0.1), ("n2", "value"): Dependency(0.1, 0.5)},
    )
    grown, cut = by_effect(principle(individual, "P4"))
    assert ("clone_network", "gentle", "n0") in grown
    assert all("n0" in place for *_, place in grown)
    assert cut == {("delete_network", "aggressive", "n2")}
    told = {("n0", "label"): Dependency(0.5, 0.6), ("n2", "value"): Dependency(0.2, 0.1)}
    with_metrics(individual, mutual_information=told)  # what either metric says is enough
    grown, cut = by_effect(principle(individual, "P4"))
    assert {place for name, _, place in grown if name == "clone_network"} == {"n0", "n2"}
    assert not cut


def test_p5_all_but_one_output_in_the_upper_half_receives_a_top_model_s_subgraph():
    host, donor, third = (diagnosed(two_outputs(), STEEP) for _ in range(3))
    scored(host, label=0.1, value=9.0, image=0.1, texture=0.1)
    scored(donor, label=5.0, value=0.1, image=5.0, texture=5.0)
    scored(third, label=6.0, value=2.0, image=6.0, texture=6.0)
    population = [host, third, donor]
    assert principle(host, "P5", population) == {
        ("exclusive_subgraph_crossover", "aggressive", "value")
    }
    move = valp.selMutation(host, population, policy="principles")
    assert move.donor is donor and "rank 3 for value" in move.reason
    child = copy.deepcopy(host)
    move.apply(child)
    assert_valid(child, zoo.mixed_problem())
    assert (
        child.decision.move.rule == "P5"
        and child.decision.move.donor is None
        and child.seed != host.seed
    )
    assert not principle(donor, "P5", population)  # three outputs in its lower half
    assert not principle(host, "P5")  # alone


def test_rank_is_by_competition_with_ties():
    population = [scored(diagnosed(zoo.smallest()), y=value) for value in (0.3, 0.1, 0.3, 0.5)]
    assert [ranks["y"] for ranks in valp.rank(population)] == [2, 1, 2, 4]
    with pytest.raises(valp.EvaluationError, match="an evaluation of their own"):
        valp.rank([*population, zoo.smallest()])
