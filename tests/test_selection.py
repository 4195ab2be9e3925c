"""Rules, thresholds, policies: a synthetic diagnosis for each rule gives exactly its proposals."""

from __future__ import annotations

import copy
import random
from collections import Counter

import pytest
import zoo

import deap_valp as valp
from deap_valp.diagnosis import Diagnosis, Slope
from deap_valp.errors import RegistrationError
from deap_valp.genome import Place
from deap_valp.selection import (
    CLASSES,
    RULES,
    View,
    proposal_class,
    propose,
    random_move,
)
from deap_valp.variation.operators import moves, version_name

STEEP, MODERATE, STUCK = Slope(-1e-3, 1e-6), Slope(-1e-5, 1e-6), Slope(1e-4, 1e-6)


def diagnosed(individual, slopes=MODERATE, relevance=None, default=2.0):
    """The individual with an evaluation that carries this diagnosis."""
    relevance = relevance or {}
    found = {
        (network, output): relevance.get((network, output), default)
        for network in individual.networks
        for output in individual.outputs_of(network)
    }
    by_output = slopes if isinstance(slopes, dict) else dict.fromkeys(individual.outputs, slopes)
    individual.fitness.values = valp.Evaluation(
        [1.0] * len(individual.outputs),
        objectives=individual.outputs,
        seed=individual.seed,
        weights=individual.weights,
        diagnosis=Diagnosis(
            {
                "loss_slope": by_output,
                "module_intervention": found,
                "input_intervention": {},
                "dependency": {},
            }
        ),
    )
    return individual


def proposals(individual, thresholds=valp.Thresholds(), rule_set="guidelines"):  # noqa: B008
    return propose(View(individual, individual.evaluation.diagnosis, thresholds), rule_set)


def keys(moves, rule=None):
    return {move.key for move in moves if rule in (None, move.rule)}


def slopes_of(individual, **named):
    return {output: named.get(output, MODERATE) for output in individual.outputs}


def two_outputs():
    """n0 feeds n1 (label) and n2 (value); every connection of n0 is a choice."""
    networks = {"n0": zoo.generic(4), "n1": zoo.generic(3), "n2": zoo.generic(3)}
    edges = (
        "left->n0 right->n0 left->n1 n0->n1 n0->n2 right->n2 n1->label n2->value n3->image "
        "n4->texture"
    )
    networks |= {"n3": zoo.decoder(2, 3), "n4": zoo.decoder(2, 3), "n5": zoo.generic(3)}
    return zoo.build(zoo.mixed_problem(), networks, f"{edges} left->n5 n5->n3 n5->n4")


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


# ---- thresholds ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("slope", "deviations", "state"),
    [
        (Slope(-3e-5, 1e-6), 1.645, "steep"),
        (Slope(-1e-5, 1e-6), 1.645, "moderate"),
        (Slope(-1e-5, 1e-5), 1.645, "stuck"),
        (Slope(-1e-5, 1e-5), None, "moderate"),
        (Slope(-3e-5, 1.0), None, "steep"),
        (Slope(-1e-11, 0.0), None, "stuck"),
        (Slope(1e-3, 1e-6), 1.645, "stuck"),
        (Slope(0.0, float("inf")), 1.645, "stuck"),
    ],
)
def test_states_of_a_slope(slope, deviations, state):
    assert valp.Thresholds(deviations=deviations).state(slope) == state


def test_relevant_means_above_the_threshold():
    individual = diagnosed(two_outputs(), default=1.2)
    assert any(move.rule == "R6" for move in proposals(individual))
    assert not any(
        move.rule == "R6" for move in proposals(individual, valp.Thresholds(relevance=1.19))
    )


def test_thresholds_can_differ_by_output():
    individual = diagnosed(two_outputs(), slopes=Slope(-1e-3, 1e-6))
    thresholds = dict.fromkeys(individual.outputs, valp.Thresholds(steep=-1.0)) | {
        "label": valp.Thresholds()
    }
    assert {place for *_, place in keys(proposals(individual, thresholds), "R1")} == {"n0", "n1"}


# ---- selMutation ---------------------------------------------------------------------------------


def test_reducers_come_first_then_aggressive_extenders_then_gentle_ones():
    individual = two_outputs()
    diagnosed(
        individual, slopes_of(individual, value=STUCK), {("n0", "value"): 1.0, ("n0", "label"): 1.0}
    )
    barred = set()
    seen = []
    while True:
        move = valp.selMutation(individual, policy="guidelines", barred=barred)
        if move.rule == "fallback":
            break
        seen.append(proposal_class(move))
        barred.add(move.key)
    assert seen == sorted(seen, key=CLASSES.index) and set(seen) == set(CLASSES) - {"donation"}


def test_choosing_changes_nothing(zoo_member):
    diagnosed(zoo_member)
    before, seed = copy.deepcopy(zoo_member), zoo_member.seed
    for policy in ("guidelines", "random", "gentle"):
        valp.selMutation(zoo_member, policy=policy)
    assert zoo_member == before and zoo_member.seed == seed


def test_without_a_diagnosis_of_this_structure_the_fallback_is_gentle(zoo_member):
    diagnosed(zoo_member, STUCK)
    valp.mutChangeBS(zoo_member)
    for _ in range(10):
        move = valp.selMutation(zoo_member)
        assert move.rule == "fallback" and move.version == "gentle"
        assert valp.operators()[move.operator].scope == "macro"


def test_the_fallback_comes_when_all_are_barred(zoo_member):
    diagnosed(zoo_member)
    barred = {
        move.key
        for rule_set in ("guidelines", "adaptive")
        for move in proposals(zoo_member, rule_set=rule_set)
    }
    for policy in ("guidelines", "adaptive"):
        move = valp.selMutation(zoo_member, policy=policy, barred=barred)
        assert move.rule == "fallback" and "no proposal left" in move.reason


def test_the_default_is_growth_and_has_the_metrics_that_it_needs():
    individual, problem = zoo.fan_in(), zoo.mixed_problem()
    individual.fitness.values = valp.evaluate(individual, problem, 3, 3)
    assert valp.selMutation(individual).rule in ("growth", "reduction", "fallback")
    assert set(valp.GROWTH_METRICS) < set(valp.DEFAULT_METRICS)


def test_random_is_uniform_over_versions_then_places():
    individual = zoo.fan_in()
    counts = Counter(
        (m.operator, m.version) for m in (random_move(individual) for _ in range(4000))
    )
    possible = {(op.name, version_name(gentle)) for op, gentle, _ in moves(individual, "macro")}
    assert set(counts) == possible and len(possible) >= 8
    assert max(counts.values()) < 1.3 * min(counts.values())


def test_policies_and_rule_sets_are_named():
    with pytest.raises(RegistrationError, match="a policy among"):
        valp.selMutation(zoo.smallest(), policy="clever")
    with pytest.raises(RegistrationError, match="rule sets are"):
        propose(View(zoo.smallest(), Diagnosis({}), valp.Thresholds()), "hunches")
    with pytest.raises(RegistrationError, match="chosen among"):
        valp.mutRandom(zoo.smallest(), operators=["sing"])
    with pytest.raises(RegistrationError, match="by a scope among"):
        valp.mutRandom(zoo.smallest(), operators="sing")


def test_mut_guided_applies_what_is_selected(zoo_member):
    move = random_move(zoo_member)
    (returned,) = valp.mutGuided(zoo_member, select=lambda individual: move)
    assert returned is zoo_member and zoo_member.move == move


def test_nothing_selected_leaves_the_individual(zoo_member):
    before, seed = copy.deepcopy(zoo_member), zoo_member.seed
    assert valp.mutGuided(zoo_member, select=lambda individual: None) == (zoo_member,)
    assert zoo_member == before and zoo_member.seed == seed


def test_selecting_in_a_large_valp_is_fast():
    random.seed(0)
    individual = diagnosed(zoo.random_valp(zoo.mixed_problem(), (60, 60)), STUCK, default=1.0)
    assert valp.selMutation(individual, policy="guidelines").rule in ("R5", "R6")
    diagnosed(individual)
    assert valp.selMutation(individual, policy="adaptive").rule in ("A1", "A3")


def test_a_rule_name_is_taken_once_by_module():
    def R1(view):
        return []

    R1.__module__ = "elsewhere"
    with pytest.raises(RegistrationError, match="is taken by"):
        valp.rule("guidelines")(R1)


# ---- the principles ------------------------------------------------------------------------------


def with_metrics(individual, **measured):
    """More metrics in the diagnosis that it has."""
    evaluation = individual.evaluation
    diagnosis = Diagnosis({**evaluation.diagnosis.measured, **measured})
    rest = {key: value for key, value in evaluation.__dict__.items() if key != "diagnosis"}
    individual.fitness.values = valp.Evaluation(evaluation, diagnosis=diagnosis, **rest)
    return individual


def principle(individual, rule, population=()):
    view = View(individual, individual.evaluation.diagnosis, valp.Thresholds(), population)
    return {move.key for move in propose(view, "principles") if move.rule == rule}


def test_p1_stuck_is_shaken_moderate_is_extended_steep_is_left_alone():
    individual = two_outputs()
    diagnosed(
        individual, slopes_of(individual, label=STEEP, value=STUCK, image=STEEP, texture=STEEP)
    )
    found = principle(individual, "P1")
    assert found == {
        *(("clone_network", "aggressive", n) for n in ("n0", "n2")),
        *(("insert_network", "aggressive", c) for c in ("n0->n2", "n2->value")),
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


def test_p4_dependency_that_grows_is_extended_and_otherwise_reduced():
    from deap_valp.diagnosis import Dependency

    individual = diagnosed(two_outputs(), STEEP)
    with_metrics(
        individual,
        dependency={("n0", "label"): Dependency(0.5, 0.1), ("n2", "value"): Dependency(0.1, 0.5)},
    )
    found = principle(individual, "P4")
    assert ("clone_network", "gentle", "n0") in found
    assert found <= {("clone_network", "gentle", "n0"), ("delete_network", "aggressive", "n2")}


def scored(individual, **values):
    """The individual with these objectives, 1 where none is named."""
    evaluation = individual.evaluation
    rest = dict(evaluation.__dict__)
    individual.fitness.values = valp.Evaluation(
        [values.get(o, 1.0) for o in evaluation.objectives], **rest
    )
    return individual


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
    zoo.assert_valid(child, zoo.mixed_problem())
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


# ---- parameters of the rule sets, and the other policies -----------------------------------------


def test_grace_keeps_reducers_from_the_young():
    individual = diagnosed(two_outputs(), default=1.0)
    assert any(move.operator == "delete_network" for move in proposals(individual))
    for grace, deletes in ((0, True), (1, False)):
        found = valp.ByRules(grace=grace).proposals(valp.Situation(individual))
        assert any(move.operator == "delete_network" for move in found) is deletes
    child = copy.deepcopy(individual)
    valp.mutCloneNetwork(child, "n0")
    newest = child.networks[-1]
    assert child.age("n0") == 1 and child.age(newest) == 0


def test_grace_holds_for_the_connections_of_the_young_too():
    individual = diagnosed(two_outputs(), default=1.0, relevance={("n0", "value"): 2.0})
    for grace, cuts in ((0, True), (1, False)):
        found = valp.ByRules(grace=grace).proposals(valp.Situation(individual))
        assert any(move.operator == "delete_connection" for move in found) is cuts


@pytest.mark.parametrize(
    ("policy", "metric"),
    [
        (policy, metric)
        for policy in ("guidelines", "adaptive", "principles")
        for metric in (
            *("loss_slope", "module_intervention"),
            *(("input_intervention", "dependency") if policy == "principles" else ()),
        )
    ],
)
def test_a_policy_says_which_metric_it_lacks(policy, metric):
    individual = diagnosed(two_outputs())
    measured = individual.evaluation.diagnosis.measured
    individual.evaluation.diagnosis = Diagnosis(
        {name: values for name, values in measured.items() if name != metric}
    )
    with pytest.raises(valp.EvaluationError, match=f"needs the metric {metric}"):
        valp.selMutation(individual, policy=policy)


def test_the_order_of_the_classes_and_the_version_are_parameters():
    individual = two_outputs()
    diagnosed(
        individual, slopes_of(individual, value=STUCK), {("n0", "value"): 1.0, ("n0", "label"): 1.0}
    )
    gentle_first = valp.ByRules(classes=tuple(reversed(CLASSES)))
    assert valp.selMutation(individual, policy=gentle_first).version == "gentle"
    softer = valp.ByRules(insertion="gentle").proposals(valp.Situation(individual))
    assert {move.version for move in softer if move.operator == "insert_network"} == {"gentle"}


GROWING = {"clone_network", "add_connection", "insert_network"}
LAYERS = {"add_layer", "extend_layer"}


def adaptive(individual, rule, population=()):
    view = View(individual, individual.evaluation.diagnosis, valp.Thresholds(), population)
    return {move.key for move in propose(view, "adaptive") if move.rule == rule}


def test_a1_where_the_loss_falls_the_relevant_grows_gently():
    individual = two_outputs()
    slopes = slopes_of(individual, value=STUCK, image=STUCK, texture=STUCK)
    diagnosed(individual, slopes, {("n0", "label"): 1.0})
    found = adaptive(individual, "A1")
    assert {operator for operator, _, _ in found} == GROWING and {
        version for _, version, _ in found
    } == {"gentle"}
    assert {place for operator, _, place in found if operator == "clone_network"} == {"n1"}
    assert {place for operator, _, place in found if operator == "insert_network"} == {"n1->label"}
    connections = {
        tuple(place.split("->")) for operator, _, place in found if operator == "add_connection"
    }
    assert all("n1" in pair and pair[1] in ("n0", "n1", "label") for pair in connections)


def test_a2_where_the_loss_is_stuck_gentle_insertions_follow_the_relevant():
    individual = two_outputs()
    diagnosed(individual, slopes_of(individual, label=STUCK), {("n1", "label"): 1.0})
    assert adaptive(individual, "A2") == {("insert_network", "gentle", "n0->n1")}


def test_a3_relevant_sub_networks_get_layers_and_width():
    individual = diagnosed(two_outputs(), default=1.0, relevance={("n0", "value"): 2.0})
    found = adaptive(individual, "A3")
    assert {operator for operator, _, _ in found} == LAYERS and {
        version for _, version, _ in found
    } == {"gentle"}
    assert {place.partition(".")[0] for _, _, place in found} == {"n0"}


def test_a4_the_clearly_irrelevant_is_deleted():
    individual = diagnosed(
        two_outputs(), relevance={("n0", "label"): 1.05, ("n0", "value"): 1.0, ("n1", "label"): 1.1}
    )
    assert adaptive(individual, "A4") == {("delete_network", "aggressive", "n0")}
    for thresholds in (
        valp.Thresholds(relevance=1.02),
        valp.Thresholds(irrelevant=1.04),
    ):  # 1.05 is past each
        assert not any(move.rule == "A4" for move in proposals(individual, thresholds, "adaptive"))


def test_a5_is_the_donation_of_the_principles():
    host, donor = (diagnosed(two_outputs(), STEEP) for _ in range(2))
    scored(host, label=0.1, value=9.0, image=0.1, texture=0.1)
    scored(donor, label=5.0, value=0.1, image=5.0, texture=5.0)
    assert adaptive(host, "A5", [host, donor]) == {
        ("exclusive_subgraph_crossover", "aggressive", "value")
    }


def test_adaptive_draws_an_output_then_an_operator():
    individual = diagnosed(two_outputs())
    above = individual.ancestors()
    found = [valp.selMutation(individual, policy="adaptive") for _ in range(2000)]
    assert {move.operator for move in found} == GROWING | LAYERS
    assert {move.version for move in found} == {"gentle"}
    at = Counter(Place.named(move.place).component for move in found)
    for output in (
        individual.outputs
    ):  # a quarter of the draws each, and those of the others that serve it too
        assert (
            sum(count for name, count in at.items() if name == output or name in above[output])
            > 400
        )


def test_adaptive_deletes_late_and_in_a_share_of_the_draws():
    individual = diagnosed(two_outputs(), relevance={("n0", "label"): 1.0, ("n0", "value"): 1.0})
    assert "A4" not in {valp.selMutation(individual, policy="adaptive").rule for _ in range(50)}
    with zoo.editing(individual) as draft:
        draft.ages = dict.fromkeys(individual.networks, 5)
    rules = Counter(valp.selMutation(individual, policy="adaptive").rule for _ in range(200))
    assert 60 < rules["A4"] < 140


def test_adaptive_takes_a_rule_set_whose_proposals_are_at_no_component():
    name = "sized, for a test"

    @valp.rule(name)
    def sized(view):
        yield valp.Move("change_bs", "gentle", "batch_size", "as a test wants it", "sized")

    try:
        assert (
            valp.selMutation(diagnosed(two_outputs()), policy=valp.Adaptive(name)).operator
            == "change_bs"
        )
    finally:
        del RULES[name]


def test_fixed_probabilities_are_kept():
    policy = valp.FixedProbabilities(
        {("clone_network", "gentle"): 3.0, ("insert_network", "aggressive"): 1.0}
    )
    counts = Counter(valp.selMutation(zoo.fan_in(), policy=policy).operator for _ in range(400))
    assert (
        set(counts) == {"clone_network", "insert_network"} and 240 < counts["clone_network"] < 360
    )
    with pytest.raises(RegistrationError, match="finite probabilities"):
        valp.FixedProbabilities({("clone_network", "rude"): 1.0})
    assert (
        valp.selMutation(
            zoo.smallest(), policy=valp.FixedProbabilities({("delete_network", "aggressive"): 1})
        )
        is None
    )


def test_a_bandit_prefers_what_paid():
    bandit = valp.Bandit(exploration=0.1)
    for _ in range(60):
        parent = scored(diagnosed(zoo.fan_out()))
        move = valp.selMutation(parent, policy=bandit)
        child = copy.deepcopy(parent)
        move.apply(child)
        pays = move.operator == "clone_network" and move.version == "gentle"
        diagnosed(child)
        scored(child, label=0.5, value=0.5, image=0.5) if pays else scored(
            child, label=2.0, value=2.0
        )
        bandit.feedback(child)
    best = max(bandit.counts, key=bandit.counts.get)
    assert best == ("clone_network", "gentle") and sum(bandit.counts.values()) == 60


def test_a_policy_can_be_any_callable():
    move = random_move(zoo.fan_in())
    assert valp.selMutation(zoo.fan_in(), policy=lambda situation: move) is move
    assert valp.selMutation(zoo.fan_in(), policy="retrain") is None


def test_a_decision_keeps_what_was_known():
    individual = scored(diagnosed(two_outputs(), STEEP), label=0.25)
    child = copy.deepcopy(individual)
    move = valp.selMutation(individual, policy="adaptive")
    move.apply(child)
    decision = child.decision
    assert decision.move == move and decision.parents == (individual.seed,)
    assert (
        decision.before == tuple(individual.fitness.values) and "loss_slope" in decision.diagnosis
    )
    valp.mutRandom(child)  # no evaluation in between: it is still made of the individual
    assert child.decision.parents == (individual.seed,) and child.decision.before == decision.before
    valp.mutChangeBS(child)
    assert child.decision.move.operator == "change_bs" and child.decision.move.rule == ""


# ---- thresholds from evaluations -----------------------------------------------------------------


def test_thresholds_are_estimated_from_evaluations():
    rng = random.Random(0)
    evaluations = []
    for index in range(30):
        individual = diagnosed(
            zoo.fan_out(),
            slopes={o: Slope(-(1 + index) * 1e-5, 1e-7) for o in zoo.fan_out().outputs},
            relevance={
                (f"n{k}", o): rng.gauss(1.0, 0.02) for k in (1, 2, 3) for o in zoo.fan_out().outputs
            },
            default=rng.uniform(2, 10),
        )
        evaluations.append(individual.evaluation)
    found = valp.calibrateThresholds(evaluations)
    assert set(found) == set(zoo.fan_out().outputs)
    for thresholds in (
        found["label"],
        found["value"],
    ):  # the others have no sub-network that they ignore
        assert 1.1 < thresholds.relevance < 2
        assert thresholds.steep < thresholds.stuck < 0
        assert thresholds.steep == pytest.approx(-2.1e-4, rel=0.1)
    for evaluation in evaluations:
        evaluation.diagnosis = Diagnosis({"loss_slope": evaluation.diagnosis.slopes})
    with pytest.raises(valp.EvaluationError, match=r"some without \['module_intervention'\]"):
        valp.calibrateThresholds(evaluations)
    with pytest.raises(valp.EvaluationError, match="at least 10 successful evaluations, got 3"):
        valp.calibrateThresholds(evaluations[:3])
