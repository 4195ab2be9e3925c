"""The policy ``learned``: its features, its beliefs and their file, what it draws and learns."""

from __future__ import annotations

import copy
import json
import math
import pickle
import random
from pathlib import Path

import numpy as np
import pytest
import zoo
from deap import base, tools
from diagnosed import diagnosed

import deap_valp as valp
from deap_valp.errors import EvaluationError, FileFormatError, RegistrationError
from deap_valp.genome import Decision, Place
from deap_valp.selection import Beliefs, Noted, gain_of
from deap_valp.selection.learned import SHIPPED, features_of, proposals
from deap_valp.variation.operators import moves, version_name

NAMES = ("", "a", "b")


def beliefs(mean=(0.1, 0.2, 0.3), deviation=1.0, noise=0.5, names=NAMES):
    return Beliefs(names, np.array(mean), deviation * np.eye(len(names)), noise)


def one_sure_of(name):
    """A learner that is sure that only one feature counts."""
    return valp.Learned(Beliefs((name,), np.array([1.0]), np.zeros((1, 1)), 1.0))


def records(count=40):
    """Of two features that count and one that does not."""
    rows = np.random.default_rng(0).normal(size=(count, 3))
    return [(dict(zip("abc", row, strict=True)), 2 * row[0] - row[1] + 1) for row in rows]


def evaluated(name="fan_in"):
    individual, problem = zoo.member(name), zoo.problem_of(name)
    individual.fitness.values = valp.evaluate(individual, problem, 5, 10)
    return individual


def legal_keys(individual):
    return {
        (op.name, version_name(gentle), place)
        for op, gentle, places in moves(individual, "macro")
        for place in places
    }


# ---- beliefs -------------------------------------------------------------------------------------


def test_a_fit_finds_the_weights_that_made_the_gains():
    found = Beliefs.fitted(records())
    assert dict(zip(found.names, found.mean, strict=True)) == pytest.approx(
        {"": 1.0, "a": 2.0, "b": -1.0, "c": 0.0}, abs=1e-3
    )
    assert found.noise < 1e-5
    with pytest.raises(RegistrationError, match="at least 10 records"):
        Beliefs.fitted(records(9))


def test_a_fit_is_surer_of_what_it_saw_more_of():
    some = [({"a": float(n % 2), "b": float(n == 3)}, random.gauss(0, 1)) for n in range(60)]
    found = Beliefs.fitted(some)
    (_, often), (_, once) = found.predicted({"a": 1.0}), found.predicted({"b": 1.0})
    assert once > often


def test_updates_are_bayes_rule_in_any_order():
    seen = [({"a": 1.0}, 0.5), ({"a": -1.0, "b": 2.0}, 1.0), ({"b": 1.0, "z": 9.0}, -0.3)]
    prior = beliefs()
    rows, gains = np.array([prior.row(f) for f, _ in seen]), np.array([g for _, g in seen])
    precision = np.eye(3) + rows.T @ rows / prior.noise
    mean = np.linalg.solve(precision, prior.mean + rows.T @ gains / prior.noise)
    for order in (seen, seen[::-1]):
        found = prior
        for features, gain in order:
            found = found.updated(features, gain)
        assert found.mean == pytest.approx(mean)
        assert found.factor @ found.factor.T == pytest.approx(np.linalg.inv(precision))
    assert prior.mean == pytest.approx((0.1, 0.2, 0.3))  # a value


def test_draws_come_from_random_and_have_the_believed_spread():
    found = Beliefs(NAMES, np.zeros(3), np.tril([[1, 0, 0], [2, 1, 0], [0, 1, 3]]), 1.0)
    random.seed(3)
    first = found.drawn()
    random.seed(3)
    assert found.drawn() == pytest.approx(first)
    draws = np.array([found.drawn(2.0) for _ in range(4000)])
    assert np.cov(draws.T) == pytest.approx(4 * found.factor @ found.factor.T, abs=3)
    assert found.drawn(0.0) == pytest.approx(found.mean)


def test_a_file_keeps_what_is_believed(tmp_path):
    found = Beliefs.fitted(records())
    found.save(tmp_path / "one.json")
    again = Beliefs.load(tmp_path / "one.json")
    assert again.names == found.names and again.noise == pytest.approx(found.noise, rel=1e-4)
    for features, _ in records(5):
        assert again.predicted(features) == pytest.approx(found.predicted(features), rel=1e-3)
    again.save(tmp_path / "two.json")
    assert (tmp_path / "two.json").read_bytes() == (tmp_path / "one.json").read_bytes()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"format": "another"}, "needs the format"),
        ({"names": ["a", "a", "b"]}, "different texts"),
        ({"names": [1, 2, 3]}, "different texts"),
        ({"names": []}, "different texts"),
        ({"mean": [1.0]}, "3 numbers"),
        ({"mean": [1.0, "x", 2.0]}, "finite numbers"),
        ({"mean": [1.0, math.inf, 2.0]}, "finite numbers"),
        ({"mean": [1.0, 10**400, 2.0]}, "finite numbers"),
        ({"factor": [[1.0], [1.0]]}, "row of the factor"),
        ({"factor": [[1.0], [1.0], [1.0, 2.0]]}, "numbers in a list"),
        ({"noise": 0}, "above 0"),
        ({"noise": None}, "finite numbers"),
    ],
)
def test_a_file_whose_numbers_do_not_fit_is_refused(change, words, tmp_path):
    path = tmp_path / "beliefs.json"
    beliefs().save(path)
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(FileFormatError, match=words):
        Beliefs.load(path)


@pytest.mark.parametrize("data", [b"", b"[1]", b"\xff\xfe", pickle.dumps(1), b"[" * 100_000])
def test_another_file_is_refused(data, tmp_path):
    (tmp_path / "other.json").write_bytes(data)
    with pytest.raises(FileFormatError):
        Beliefs.load(tmp_path / "other.json")


# ---- what ships ----------------------------------------------------------------------------------


def test_what_ships_is_small_and_is_in_the_package():
    assert SHIPPED.stat().st_size < 50_000
    declared = (Path(__file__).parents[1] / "pyproject.toml").read_text()
    assert str(SHIPPED.relative_to(Path(valp.__file__).parent)) in declared


def test_what_ships_knows_every_macro_operator():
    names = set(Beliefs.load(SHIPPED).names)
    for op in valp.operators("macro").values():
        assert {f"{op.name} {version}" for version in op.versions} <= names


def test_what_ships_expects_more_where_more_is_promised():
    shipped = Beliefs.load(SHIPPED)
    for group, name in (
        ("gentle extender", "promise"),
        ("aggressive extender", "relief"),
        ("reducer", "relief"),
    ):
        little, much = ({group: 1.0, f"{group}: {name}": number} for number in (0.0, 0.2))
        assert shipped.predicted(much)[0] > shipped.predicted(little)[0]


# ---- features ------------------------------------------------------------------------------------


def test_every_legal_move_has_finite_features_without_names(zoo_name):
    individual = evaluated(zoo_name)
    situation = valp.Situation(individual)
    features = features_of(situation)
    found = list(proposals(situation))
    assert {move.key for move in found} == legal_keys(individual)
    for move in found:
        numbers = features.of(move)
        assert all(math.isfinite(number) and abs(number) < 20 for number in numbers.values())
        words = {word for name in numbers for word in name.replace(":", "").split()}
        assert not words & {*individual.networks, *individual.inputs}


def test_features_do_not_depend_on_the_names_of_outputs():
    def summed(names):
        """The features of the first clone, where one output of two is worse."""
        data = {name: np.arange(40.0).reshape(20, 2) for name in ("x", "z")}
        targets = {name: valp.Regression(np.arange(20.0)[:, None]) for name in names}
        problem = valp.Problem(data, targets, seed=0)
        edges = f"x->n0 z->n0 n0->{names[0]} n0->{names[1]}"
        individual = diagnosed(zoo.build(problem, {"n0": zoo.generic(4)}, edges))
        _complete(individual, {names[0]: 0.3, names[1]: 0.9})
        return features_of(valp.Situation(individual)).of(
            valp.Move("clone_network", "gentle", "n0")
        )

    assert summed(("a", "b")) == pytest.approx(summed(("b", "a")))


def _complete(individual, losses):
    """Give a diagnosed individual losses, a history, and all metrics that are needed."""
    evaluation = individual.evaluation
    measured = {**{name: {} for name in valp.GROWTH_METRICS}, **evaluation.diagnosis.measured}
    state = {
        **evaluation.__dict__,
        "losses": losses,
        "diagnosis": valp.Diagnosis(measured, 100),
        "history": {name: np.full(10, loss, "float32") for name, loss in losses.items()},
    }
    individual.fitness.values = valp.Evaluation(losses.values(), **state)


def test_it_says_which_metrics_it_lacks():
    individual, problem = zoo.member("smallest"), zoo.problem_of("smallest")
    two = ("loss_slope", "module_intervention")
    individual.fitness.values = valp.evaluate(individual, problem, 3, 3, metrics=two)
    with pytest.raises(EvaluationError, match=r"learned needs the metrics .*GROWTH_METRICS"):
        valp.selMutation(individual, policy=valp.Learned(beliefs()))


# ---- choosing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wanted", [("clone_network", "gentle"), ("add_connection", "aggressive")], ids="-".join
)
def test_it_takes_what_is_predicted_to_gain_most(wanted):
    policy = one_sure_of(" ".join(wanted))
    for _ in range(5):
        move = valp.selMutation(evaluated(), policy=policy)
        assert (move.operator, move.version, move.rule) == (*wanted, "learned")
        assert "predicted to lower" in move.reason and move.gain > 0


def test_what_is_barred_is_not_taken():
    individual, barred = evaluated(), set()
    for _ in range(4):
        move = valp.selMutation(individual, policy=valp.Learned(beliefs()), barred=barred)
        assert move.key not in barred
        barred.add(move.key)
    assert valp.selMutation(individual, policy=valp.Learned(beliefs()), barred=_All()) is None


class _All(set):
    def __contains__(self, key):
        return True


def test_where_nothing_is_known_it_tries_many_things():
    unsure = Beliefs(("clone_network gentle", "add_connection gentle"), np.zeros(2), np.eye(2), 1.0)
    found = [valp.selMutation(evaluated(), policy=valp.Learned(unsure)) for _ in range(30)]
    assert {"clone_network", "add_connection"} <= {move.operator for move in found}
    same = [valp.selMutation(evaluated(), policy=valp.Learned(beliefs(), 0.0)) for _ in range(3)]
    assert len({move.key for move in same}) == 1


def test_without_an_evaluation_it_explores():
    move = valp.selMutation(zoo.fan_in(), policy=valp.Learned(beliefs()))
    assert move.rule == "fallback" and move.version == "gentle" and not move.features


@pytest.mark.parametrize("wrong", [{"exploration": -1}, {"openness": math.nan}, {"beliefs": 3}])
def test_wrong_arguments_are_refused(wrong):
    with pytest.raises(RegistrationError, match="Learned needs"):
        valp.Learned(**{"beliefs": beliefs(), **wrong})


# ---- learning ------------------------------------------------------------------------------------


def outcome(after, before=(1.0, 1.0), losses=(0.5, 0.5), status="ok", **given):
    """What came of a move: the objectives of two outputs before and after."""
    names = ("a", "b")
    move = valp.Move("clone_network", "gentle", Place("n0"), features={"a": 1.0})
    decision = Decision(move, (1,), names[: len(before)], before, losses={"a": 0.5, "b": 0.5})
    evaluation = valp.Evaluation(
        after,
        objectives=names,
        seed=1,
        weights={},
        history=dict.fromkeys(names, np.ones(3)),
        losses=dict(zip(names, losses, strict=True)),
        status=status,
        **given,
    )
    return decision, evaluation


@pytest.mark.parametrize(
    ("after", "given", "gain"),
    [
        ((0.5, 1.0), {}, math.log(2) / 2),
        ((0.5, 0.5), {}, math.log(2)),
        ((1.2, 0.5), {}, 0.0),  # one output is given up
        ((1.05, 1.05), {}, 0.0),
        ((1e-9, 1e-9), {}, 1.0),
        ((0.5, 0.5), {"status": "failed"}, 0.0),
        ((0.5, 0.5), {"before": ()}, None),
        # an error rate: half the change is that of its loss
        ((1.0, 1.0), {"losses": (0.25, 9.0), "resolution": {"a": 0.01}}, math.log(2) / 4),
        ((1.0, 0.5), {"losses": (9.0, 0.5), "resolution": {"a": 0.01}}, 0.0),
    ],
)
def test_a_gain_is_the_mean_fall_of_the_logarithms(after, given, gain):
    found = gain_of(*outcome(after, **given))
    assert found is None if gain is None else found == pytest.approx(gain, abs=1e-6)


def test_a_gain_is_above_0_exactly_where_the_search_accepts():
    """``Graded`` asks for the same changes, beyond a margin."""
    random.seed(2)
    accept, parent = valp.Graded(margin=0.0), evaluated("fan_out")
    for _ in range(40):
        child = copy.deepcopy(parent)
        Noted(valp.AtRandom())(valp.Situation(child)).apply(child)
        before = parent.evaluation
        state = {**before.__dict__, "seed": child.seed, "resolution": {"label": 0.01}}
        state["losses"] = {name: loss * _factor() for name, loss in before.losses.items()}
        child.fitness.values = valp.Evaluation((value * _factor() for value in before), **state)
        assert (gain_of(child.decision, child.evaluation) > 0) == accept(child, parent)


def _factor():
    return math.exp(random.gauss(-0.05, 0.1))


def test_feedback_moves_the_prediction_towards_what_came():
    learner = valp.Learned(beliefs())
    individual = zoo.fan_in()
    for after in ((0.5, 0.5), (2.0, 2.0)):
        decision, evaluation = outcome(after)
        before = learner.beliefs.predicted(decision.move.features)
        individual.decision, individual.seed = decision, evaluation.seed
        individual.fitness.evaluation = evaluation
        learner.feedback(individual)
        predicted, gain = (
            learner.beliefs.predicted(decision.move.features),
            gain_of(*outcome(after)),
        )
        assert abs(predicted[0] - gain) < abs(before[0] - gain) and predicted[1] < before[1]


def test_openness_makes_a_run_count_for_more():
    near = []
    for openness in (1.0, 3.0):
        found = valp.Learned(beliefs(), openness=openness).beliefs
        near.append(found.updated({"a": 1.0}, 1.0).predicted({"a": 1.0})[0])
    assert beliefs().predicted({"a": 1.0})[0] < near[0] < near[1] < 1.0


def test_moves_of_other_policies_teach_nothing_unless_noted():
    individual = evaluated()
    plain = valp.selMutation(individual, policy="gentle")
    noted = valp.selMutation(individual, policy=Noted(valp.AtRandom(gentle_only=True)))
    assert not plain.features and noted.features and noted.rule == "random"
    learner, child = valp.Learned(beliefs()), copy.deepcopy(individual)
    before = learner.beliefs
    plain.apply(child)
    child.fitness.values = valp.evaluate(child, zoo.problem_of("fan_in"), 5, 10)
    learner.feedback(child)
    assert learner.beliefs is before


def test_a_learner_finds_out_what_pays():
    """In a world where only gentle clones gain, it ends with choosing them."""
    random.seed(1)
    names = tuple(f"{op.name} {v}" for op in valp.operators("macro").values() for v in op.versions)
    learner = valp.Learned(Beliefs(names, np.zeros(len(names)), np.eye(len(names)), 0.01))
    individual = evaluated()
    for _ in range(100):
        move = valp.selMutation(individual, policy=learner)
        gain = 0.3 * (move.operator == "clone_network" and move.version == "gentle")
        learner.beliefs = learner.beliefs.updated(move.features, gain)
    last = [valp.selMutation(individual, policy=learner) for _ in range(10)]
    assert sum(move.operator == "clone_network" and move.version == "gentle" for move in last) >= 8


# ---- in the searches -----------------------------------------------------------------------------

SEARCHES = {
    "hillClimbing": lambda p, t, **o: valp.hillClimbing(p[0], t, 4, progress=False, **o),
    "eaGuided": lambda p, t, **o: valp.eaGuided(p, t, 3, 3, 0.2, 0.8, 2, verbose=False, **o),
    "eaAging": lambda p, t, **o: valp.eaAging(p, t, 4, verbose=False, **o),
    "eaSteadyState": lambda p, t, **o: valp.eaSteadyState(p, t, 4, verbose=False, **o),
}


def searched(search, **more):
    """The moves of a search, and what its learner believes at the end."""
    random.seed(4)
    problem, learner, archive = zoo.mixed_problem(), valp.Learned(), []
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, problem)
    toolbox.register("evaluate", valp.evaluate, problem=problem, batches=5, first_batches=20)
    toolbox.register("selMutation", valp.selMutation, policy=learner)
    toolbox.register("feedback", learner.feedback)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    start = [toolbox.individual() for _ in range(3)]
    SEARCHES[search](start, toolbox, archive=archive, **more)
    return [entry.move for entry in archive if entry.move is not None], learner.beliefs


def same(one, other):
    return np.array_equal(one.mean, other.mean) and np.array_equal(one.factor, other.factor)


@pytest.mark.parametrize("search", SEARCHES)
def test_it_learns_in_every_search_and_a_seed_gives_the_same_again(search):
    (found, left), (again, same_left) = searched(search), searched(search)
    assert [move.key for move in found] == [move.key for move in again]
    assert same(left, same_left)
    assert "learned" in {move.rule for move in found}
    assert not same(left, valp.Learned().beliefs)


def test_a_checkpoint_keeps_what_was_learned(tmp_path):
    checkpoint = valp.Checkpoint(tmp_path / "c")
    _, left = searched("hillClimbing", checkpoint=checkpoint)
    _, restored = searched("hillClimbing", checkpoint=checkpoint)  # there is nothing left to do
    assert same(left, restored) and not same(left, valp.Learned().beliefs)
