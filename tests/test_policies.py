"""Policies: their parameters, what they draw, and what they learn."""

from __future__ import annotations

import copy
import random
from collections import Counter

import pytest
import zoo
from diagnosed import (
    STEEP,
    STUCK,
    diagnosed,
    proposals,
    scored,
    slopes_of,
    two_outputs,
)
from validity import assert_valid

import deap_valp as valp
from deap_valp.diagnosis import Diagnosis
from deap_valp.errors import RegistrationError
from deap_valp.genome import Place
from deap_valp.selection import (
    CLASSES,
    POLICIES,
    RULES,
    View,
    propose,
    random_move,
)

# ---- the contract of every policy ----------------------------------------------------------------


def measured(name, metrics=valp.ALL_METRICS):
    """A zoo member that was evaluated with every metric that a policy may need."""
    individual, problem = zoo.member(name), zoo.problem_of(name)
    individual.fitness.values = valp.evaluate(individual, problem, 5, 10, metrics=metrics)
    return individual, problem


@pytest.mark.parametrize("policy", [*POLICIES, *RULES])
@pytest.mark.parametrize("member", ["fan_in", "shared_latent"])
def test_every_policy_chooses_a_legal_move_by_random_alone(policy, member):
    individual, problem = measured(member)
    chosen = []
    for _ in range(2):
        random.seed(5)
        chosen.append([valp.selMutation(individual, policy=policy) for _ in range(4)])
    assert [move and move.key for move in chosen[0]] == [move and move.key for move in chosen[1]]
    for move in filter(None, chosen[0]):
        child = copy.deepcopy(individual)
        move.apply(child)
        assert_valid(child, problem)
        assert move.reason and move.rule


@pytest.mark.parametrize("policy", [*POLICIES, *RULES])
def test_every_policy_has_an_answer_without_an_evaluation(policy):
    individual = zoo.fan_in()
    move = valp.selMutation(individual, policy=policy)
    if move is not None:
        move.apply(individual)


@pytest.mark.parametrize("policy", [*POLICIES, *RULES])
def test_every_policy_chooses_among_peers(policy):
    individual, problem = measured("fan_in")
    peers = [measured("fan_in")[0] for _ in range(2)]
    move = valp.selMutation(individual, [individual, *peers], policy=policy)
    if move is not None:
        move.apply(individual)
        assert_valid(individual, problem)


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


def view_of(individual):
    return View(individual, individual.evaluation.diagnosis, valp.Thresholds())


@pytest.fixture
def ruled():
    """Return a function that proposes by a rule set of one rule, which yields what is given."""
    name = "of a test"

    def proposals(*yielded):
        @valp.rule(name)
        def mine(view):
            yield from yielded

        individual = diagnosed(two_outputs())
        return propose(view_of(individual), name)

    yield proposals
    del RULES[name]


@pytest.mark.parametrize(
    "yielded, message",
    [
        (("clone_network", "gentle", "n0"), r"rule 'mine' needs to yield Moves.*got \('clone_"),
        ("clone_network", "got 'clone_network'"),
        (valp.Move("clone", "gentle", "n0"), r"rule 'mine' needs an operator among .*got 'clone'"),
    ],
)
def test_a_rule_that_yields_no_move_is_named(yielded, message, ruled):
    with pytest.raises(RegistrationError, match=message):
        ruled(yielded)


def test_an_illegal_place_is_logged_once_for_each_rule(ruled, caplog):
    wrong = [valp.Move("clone_network", "gentle", place) for place in ("n77", "n78")]
    right = valp.Move("clone_network", "gentle", "n0")
    assert ruled(*wrong, right) == [right]
    [record] = caplog.records
    assert (
        "rule 'mine' proposed clone_network (gentle) at 'n77', which is none of" in record.message
    )
    assert "(n0" in record.message


def test_the_shipped_rules_say_nothing_of_illegal_places(caplog):
    individual = diagnosed(two_outputs())
    for name in ("guidelines", "principles", "adaptive", "donation"):
        if name in RULES:
            propose(view_of(individual), name)
    assert not caplog.records


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
