"""selMutation: its order, its fallback, thresholds, and what policies are asked with."""

from __future__ import annotations

import copy
import random
from collections import Counter

import pytest
import zoo
from diagnosed import (
    STUCK,
    diagnosed,
    keys,
    proposals,
    slopes_of,
    two_outputs,
)

import deap_valp as valp
from deap_valp.diagnosis import Diagnosis, Slope
from deap_valp.errors import RegistrationError
from deap_valp.selection import (
    CLASSES,
    View,
    proposal_class,
    propose,
    random_move,
)
from deap_valp.variation.operators import moves, version_name

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
