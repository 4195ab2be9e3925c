"""The policy ``growth``: what it proposes, why, how much it promises, and when it stops growing."""

from __future__ import annotations

import copy
import math
import random

import numpy as np
import pytest
import torch
import zoo
from deap import base, tools
from validity import assert_valid

import deap_valp as valp
from deap_valp.errors import EvaluationError, RegistrationError
from deap_valp.genome import Diagnosis, Gain, Growth
from deap_valp.selection.growth import losses_of
from deap_valp.selection.select import named_policy

EXAMPLES = 1000
NOTHING = Growth(Gain(0.0, 0.0), Gain(0.0, 0.0))


def diagnosed(individual, *, linear=(), nonlinear=(), pairs=(), without=(), inputs=(), **given):
    """An individual with an evaluation that says what a test wants it to say.

    Shares stand by (place, output), changes of the loss without a connection by (place, output),
    without an input by (input, output).
    """
    found = {}
    for key in {*dict(linear), *dict(nonlinear)}:
        gains = [dict(shares).get(key, 0.0) for shares in (linear, nonlinear)]
        found[key] = Growth(*(Gain(share, share) for share in gains))
    relevant = {
        (network, output): given.get("relevance", 2.0)
        for network in individual.networks
        for output in individual.outputs_of(network)
    }
    measured = {
        "loss_slope": {},
        "module_intervention": relevant,
        "growth_potential": found,
        "pair_potential": {key: Gain(share, share) for key, share in dict(pairs).items()},
        "connection_intervention": dict(without),
        "input_removal": dict(inputs),
    }
    individual.fitness.values = valp.Evaluation(
        [1.0] * len(individual.outputs),
        objectives=individual.outputs,
        seed=individual.seed,
        weights=individual.weights,
        losses=given.get("losses", dict.fromkeys(individual.outputs, 0.5)),
        diagnosis=Diagnosis(measured, EXAMPLES),
        sessions=given.get("sessions", 1),
    )
    return individual


def chosen(individual, policy=None, draws=40, barred=()):
    policy = policy or valp.ByGain()
    return [valp.selMutation(individual, policy=policy, barred=barred) for _ in range(draws)]


def absent(individual):
    """A connection that could be added, and an output behind it."""
    place = valp.operators()["add_connection"].places(individual, True)[0]
    return place, output_behind(individual, place.receiver)


def output_behind(individual, receiver):
    if receiver in individual.outputs:
        return receiver
    return min(individual.outputs_of(receiver))


# ---- growing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "operator"),
    [("linear", "add_connection"), ("nonlinear", "parallel_network"), ("pairs", "join_networks")],
)
def test_each_gain_has_its_operator_and_says_so_in_numbers(given, operator):
    individual = zoo.fan_in()
    place = valp.operators()[operator].places(individual, True)[0]
    output = output_behind(individual, place.component)
    diagnosed(individual, **{given: {(place, output): 0.31}}, losses=losses(individual, 0.4))
    (move,) = set(chosen(individual, valp.ByGain(deletions=0)))
    assert move.key == (operator, "gentle", place)
    assert f"explains 31% of what {output} gets wrong" in str(move)
    assert move.gain == pytest.approx((0.31 - 8 / EXAMPLES) * 0.4)
    (changed,) = move.apply(copy.deepcopy(individual))
    assert_valid(changed, zoo.mixed_problem())
    assert changed.decision.move.gain == move.gain


def losses(individual, value):
    return dict.fromkeys(individual.outputs, value)


def test_shares_count_by_the_loss_of_their_output():
    individual = zoo.fan_in()
    place, output = absent(individual)
    policy = valp.ByGain(deletions=0)
    gains = []
    for loss in (0.1, 0.8):
        unequal = losses(individual, 0.3) | {output: loss}
        diagnosed(individual, linear={(place, output): 0.5}, losses=unequal)
        gains.append(policy(valp.Situation(individual)).gain)
    assert gains[1] == pytest.approx(8 * gains[0])


def test_greedy_takes_the_largest_and_proportional_draws_both():
    individual = zoo.fan_in()
    places = valp.operators()["add_connection"].places(individual, True)[:2]
    shares = {
        (p, output_behind(individual, p.receiver)): s
        for p, s in zip(places, (0.1, 0.3), strict=True)
    }
    diagnosed(individual, linear=shares)
    assert {m.place for m in chosen(individual, valp.ByGain(0, math.inf))} == {places[1]}
    random.seed(1)
    drawn = [m.place for m in chosen(individual, valp.ByGain(0), draws=400)]
    expected = (0.1 - 0.008) / (0.4 - 0.016)
    assert drawn.count(places[0]) / len(drawn) == pytest.approx(expected, abs=0.07)


def test_what_noise_explains_is_no_gain():
    individual = zoo.fan_in()
    place, output = absent(individual)
    diagnosed(individual, linear={(place, output): 7.9 / EXAMPLES})
    assert {move.rule for move in chosen(individual)} == {"fallback"}
    assert chosen(individual, valp.ByGain(explore=False)) == [None] * 40


def test_a_barred_move_is_not_proposed_again():
    individual = zoo.fan_in()
    place, output = absent(individual)
    diagnosed(individual, linear={(place, output): 0.5}, nonlinear={(place, output): 0.4})
    barred = {("add_connection", "gentle", place)}
    assert {move.operator for move in chosen(individual, barred=barred)} == {"parallel_network"}


# ---- reducing ------------------------------------------------------------------------------------


def deletable(individual):
    place = valp.operators()["delete_connection"].places(individual, False)[0]
    return place, output_behind(individual, place.receiver)


def test_it_deletes_the_most_harmful_in_a_third_of_the_draws():
    individual = zoo.fan_in()
    place, output = absent(individual)
    spare = valp.operators()["delete_connection"].places(individual, False)[:3]
    falls = {}
    for index, each in enumerate(spare):
        falls[each, output_behind(individual, each.receiver)] = -0.02 * (index + 1)
    diagnosed(individual, linear={(place, output): 0.5}, without=falls)
    random.seed(2)
    moves = chosen(individual, draws=300)
    deleting = [move for move in moves if move.operator == "delete_connection"]
    assert len(deleting) / len(moves) == pytest.approx(1 / 3, abs=0.09)
    assert {move.place for move in deleting} == {spare[2]}
    assert deleting[0].gain == pytest.approx(0.06) and "-12.0%" in deleting[0].reason


# ---- inputs --------------------------------------------------------------------------------------


def without_input(individual, name, change):
    return {(name, output): change for output in individual.outputs_of(name)}


def test_an_input_that_nobody_needs_goes_first():
    individual = zoo.fan_in()
    place, output = absent_of(individual, "left")
    changes = without_input(individual, "right", -0.001) | without_input(individual, "left", 0.2)
    diagnosed(individual, linear={(place, output): 0.5}, inputs=changes)
    (move,) = set(chosen(individual))
    assert move.key == ("delete_input", "aggressive", "right")
    assert move.reason.startswith("no output needs right")
    assert move.gain == pytest.approx(0.001 * len(individual.outputs_of("right")))
    assert "delete_input" not in {move.operator for move in chosen(individual, barred=[move.key])}
    never = chosen(individual, valp.ByGain(deletions=0))
    assert "delete_input" not in {move.operator for move in never}


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_an_input_that_promises_something_stays(kind):
    individual = zoo.fan_in()
    place, output = absent_of(individual, "right")
    changes = without_input(individual, "right", -0.001)
    diagnosed(individual, **{kind: {(place, output): 0.5}}, inputs=changes)
    assert "delete_input" not in {move.operator for move in chosen(individual)}


def test_an_input_that_promises_something_together_with_another_stays():
    individual = zoo.fan_in()
    pair = f"left*right->{individual.outputs[0]}"
    changes = without_input(individual, "right", -0.001)
    diagnosed(individual, pairs={(pair, individual.outputs[0]): 0.5}, inputs=changes)
    assert "delete_input" not in {move.operator for move in chosen(individual)}


def test_an_input_that_one_output_needs_stays():
    individual = zoo.fan_in()
    changes = without_input(individual, "right", -0.1)
    changes["right", min(individual.outputs_of("right"))] = 0.1
    diagnosed(individual, inputs=changes)
    assert "delete_input" not in {move.operator for move in chosen(individual)}


def absent_of(individual, provider):
    """A connection of a provider that could be added, and an output behind it."""
    places = valp.operators()["add_connection"].places(individual, True)
    place = next(place for place in places if place.provider == provider)
    return place, output_behind(individual, place.receiver)


def test_a_connection_that_another_output_needs_is_not_harmful():
    individual = zoo.fan_in()
    spare = valp.operators()["delete_connection"].places(individual, False)
    place = next(p for p in spare if len(individual.outputs_of(p.receiver)) > 1)
    one, other = sorted(individual.outputs_of(place.receiver))[:2]
    diagnosed(individual, without={(place, one): -0.2, (place, other): 0.1})
    assert "delete_connection" not in {move.operator for move in chosen(individual)}


def test_what_harms_one_output_and_is_needed_by_another_is_forked():
    individual = two_outputs()
    diagnosed(individual, without={("b->n0", "one"): -0.2, ("b->n0", "other"): 0.1})
    (move,) = set(chosen(individual))
    assert move.key == ("fork_network", "aggressive", "b->n0->one")
    assert move.gain == pytest.approx(0.2) and "the loss of one -40.0%" in move.reason
    (forked,) = move.apply(copy.deepcopy(individual))
    assert forked.providers("n0") == ("a", "b") and forked.receivers("n0") == ("other",)
    assert forked.providers("n1") == ("a",) and forked.receivers("n1") == ("one",)


def two_outputs():
    rng = np.random.default_rng(0)
    inputs = {name: rng.normal(size=(200, 3)) for name in "ab"}
    outputs = {name: valp.Regression(rng.normal(size=(200, 1))) for name in ("one", "other")}
    problem = valp.Problem(inputs, outputs, seed=0)
    return zoo.build(problem, {"n0": zoo.generic(6)}, "a->n0 b->n0 n0->one n0->other")


def test_where_nothing_is_left_to_gain_idle_connections_go():
    individual = zoo.fan_in()
    spare, output = deletable(individual)
    diagnosed(individual, without={(spare, output): 1e-5})
    (move,) = set(chosen(individual))
    assert move.key == ("delete_connection", "aggressive", spare) and "does nothing" in move.reason
    place, behind = absent(individual)
    diagnosed(individual, without={(spare, output): 1e-5}, linear={(place, behind): 0.3})
    assert {move.operator for move in chosen(individual)} == {"add_connection"}


def test_an_irrelevant_sub_network_goes_once_it_is_old():
    individual = zoo.fan_in()
    places = valp.operators()["delete_network"].places(individual, False)
    diagnosed(individual, relevance=1.0, sessions=2)
    assert {move.rule for move in chosen(individual)} == {"fallback"}
    diagnosed(individual, relevance=1.0, sessions=4)
    (move,) = {move.key for move in chosen(individual)}
    assert move[0] == "delete_network" and move[2] in places


# ---- what it needs -------------------------------------------------------------------------------


def test_it_says_which_metrics_it_lacks(problem):
    individual = zoo.member("smallest")
    problem = zoo.problem_of("smallest")
    two = ("loss_slope", "module_intervention")
    individual.fitness.values = valp.evaluate(individual, problem, 3, 3, metrics=two)
    with pytest.raises(EvaluationError, match=r"growth needs the metrics .*GROWTH_METRICS"):
        valp.selMutation(individual, policy="growth")


def test_without_an_evaluation_it_explores():
    moves = chosen(zoo.fan_in())
    assert {move.rule for move in moves} == {"fallback"} and "no diagnosis" in moves[0].reason
    assert all(move.version == "gentle" for move in moves)


@pytest.mark.parametrize("wrong", [{"deletions": 1.5}, {"sharpness": -1.0}, {"noise": math.nan}])
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(RegistrationError, match="ByGain needs"):
        valp.ByGain(**wrong)


@pytest.mark.parametrize("training", [valp.Training(), valp.PLAIN], ids=["kept", "plain"])
def test_every_zoo_member_gets_a_legal_move(zoo_name, training):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    individual.fitness.values = valp.evaluate(
        individual, problem, 5, 10, metrics=valp.GROWTH_METRICS, training=training
    )
    assert set(losses_of(individual.evaluation)) == set(problem.outputs)
    for _ in range(5):
        clone = copy.deepcopy(individual)
        move = named_policy("growth")(valp.Situation(clone))
        move.apply(clone)
        assert_valid(clone, problem)


# ---- in the searches -----------------------------------------------------------------------------


def toolbox_of(problem, policy="growth"):
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, problem)
    toolbox.register(
        "evaluate",
        valp.evaluate,
        problem=problem,
        batches=5,
        first_batches=20,
        metrics=valp.GROWTH_METRICS,
    )
    toolbox.register("selMutation", valp.selMutation, policy=policy)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    return toolbox


SEARCHES = {
    "hillClimbing": lambda p, t, a: valp.hillClimbing(p[0], t, 4, archive=a, progress=False),
    "eaGuided": lambda p, t, a: valp.eaGuided(p, t, 3, 3, 0.2, 0.8, 2, archive=a, verbose=False),
    "eaAging": lambda p, t, a: valp.eaAging(p, t, 4, archive=a, verbose=False),
    "eaSteadyState": lambda p, t, a: valp.eaSteadyState(p, t, 4, archive=a, verbose=False),
}


@pytest.mark.parametrize("search", SEARCHES)
def test_it_works_in_every_search_and_payoff_compares_what_came_of_it(search):
    random.seed(4)
    problem = zoo.mixed_problem()
    toolbox, archive = toolbox_of(problem), []
    SEARCHES[search]([toolbox.individual() for _ in range(3)], toolbox, archive)
    moves = [entry.move for entry in archive if entry.move is not None]
    assert {move.rule for move in moves} & {"growth", "reduction"}
    promised = [m for m in moves if m.gain is not None]
    assert valp.payoff(archive).promise().moves == len(promised)


def entry(step, predicted, before, after):
    move = valp.Move(
        "clone_network", "gentle", "n0", "as a test wants it", "growth", gain=predicted
    )
    decision = valp.Decision(
        move, (0,), ("y",), (1.0,), losses={} if before is None else {"y": before}
    )
    return valp.Entry(step, None, (0.5,), 1, decision, False, step, ("y",), loss=after)


def test_payoff_ranks_predicted_against_achieved_gains():
    archive = [entry(1, 0.1, 1.0, 0.9), entry(2, 0.3, 1.0, 0.4), entry(3, 0.2, 1.0, 0.8)]
    promise = valp.payoff(archive).promise()
    assert (promise.predicted, promise.achieved) == pytest.approx((0.2, 0.3))
    assert promise.correlation == pytest.approx(1.0) and promise.moves == 3
    assert "rank correlation of predicted and achieved gain: 1.00 (3 moves)" in str(
        valp.payoff(archive)
    )
    unknown = [*archive, entry(4, None, 1.0, 0.2), entry(5, 0.4, None, 0.2)]
    assert valp.payoff(unknown).promise() == promise


# ---- it finds what is missing --------------------------------------------------------------------


def test_a_planted_input_is_found():
    rng = np.random.default_rng(0)
    a, b, c = rng.normal(size=(3, 600, 3))
    target = (b[:, :1] > 0) + 0.1 * a[:, :1]
    problem = valp.Problem({"a": a, "b": b, "c": c}, {"y": valp.Regression(target)}, seed=0)
    individual = zoo.build(
        problem,
        {"n0": zoo.generic(8), "n1": zoo.generic(1)},
        "a->n0 c->n0 b->n1 n1->n0 n0->y",
    )
    with zoo.editing(individual) as draft:
        draft.weights["n1->n0"] = torch.zeros_like(draft.weights["n1->n0"])
        draft.weights["b->n1"] = torch.zeros_like(draft.weights["b->n1"])
    individual.fitness.values = valp.evaluate(
        individual, problem, 200, 200, metrics=valp.GROWTH_METRICS
    )
    move = valp.ByGain(deletions=0, sharpness=math.inf)(valp.Situation(individual))
    assert move.place.startswith("b->"), str(move)
