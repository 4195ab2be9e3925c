"""Sessions that go on where the one before stopped, with and without the optimizers' state."""

from __future__ import annotations

import copy
import pickle
import random

import numpy as np
import pytest
import torch
import zoo
from deap import algorithms, base, tools
from digests import digest

import deap_valp as valp
from deap_valp.genome import Draft
from deap_valp.training import Training

GOING_ON = Training(keep=False, patience=None, carry=True)
ANEW = Training(keep=False, patience=None)
AT_FULL_RATE = Training(keep=False, patience=None, warmup=0)


def numbers_problem():
    """Numbers that take a while to learn."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 5))
    target = np.stack([np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2], np.tanh(3 * x[:, 3])], 1)
    return valp.Problem({"x": x}, {"y": valp.Regression(target)})


def started(problem, seed=0):
    random.seed(seed)
    return valp.initVALP(zoo.individual_class(problem.weights), problem, decay=0.0)


def sessions(individual, problem, batches, training):
    """Losses of successive sessions, shape (outputs, all batches)."""
    individual, losses = copy.deepcopy(individual), []
    for count in batches:
        individual.fitness.values = valp.evaluate(
            individual, problem, count, count, training=training, metrics=()
        )
        losses.append(np.stack(list(individual.evaluation.history.values())))
    return np.concatenate(losses, 1), individual


def jumps(losses, every=100):
    """The losses at the start of each session but the first, as multiples of those before it."""
    starts = range(every, losses.shape[1], every)
    found = [losses[:, k : k + 20].mean(1) / losses[:, k - 40 : k].mean(1) for k in starts]
    return np.stack(found)


@pytest.mark.parametrize(("training", "later"), [(GOING_ON, 0.1), (ANEW, 0.2)])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("problem", [numbers_problem, valp.problems.digits])
def test_ten_sessions_of_100_end_where_one_of_1000_does(problem, seed, training, later):
    """Each warm-up costs some five batches, and the numbers still learn fast."""
    problem = problem()
    individual = started(problem, seed)
    parts, _ = sessions(individual, problem, [100] * 10, training)
    whole, _ = sessions(individual, problem, [1000], training)
    ends = parts[:, -100:].mean(1) / whole[:, -100:].mean(1)
    np.testing.assert_allclose(ends, 1, atol=later)
    # The largest of ten jumps is 1.0 to 1.14, and 1.3 to 1.4 at the full rate from the first step.
    assert jumps(parts).max() < 1.15


def test_with_optimizers_that_start_anew_at_the_full_rate_the_loss_jumps():
    problem = numbers_problem()
    parts, _ = sessions(started(problem), problem, [100] * 10, AT_FULL_RATE)
    assert jumps(parts).max() > 1.2


@pytest.mark.parametrize("training", [GOING_ON, ANEW])
def test_a_session_without_change_begins_at_the_loss_of_the_one_before(training):
    problem = numbers_problem()
    found = []
    for seed in range(4):
        first, individual = sessions(started(problem, seed), problem, [400], training)
        later, _ = sessions(individual, problem, [40], training)
        found.append(later[:, :20].mean() / first[:, -40:].mean())
    assert np.mean(found) < 1.05


@pytest.fixture
def trained():
    problem = zoo.mixed_problem()
    individual = zoo.fan_out()
    individual.fitness.values = valp.evaluate(individual, problem, 10, 10, training=GOING_ON)
    return individual


def assert_same_state(one, other):
    assert one.keys() == other.keys()
    for name, block in one.items():
        assert block.steps == other[name].steps
        for moment, wanted in zip(block.moments, other[name].moments, strict=True):
            assert torch.equal(moment, wanted)


def test_every_tensor_has_a_state_of_its_shape(trained):
    state = trained.inherited().optimizer_state
    assert state.keys() == trained.weights.keys()
    for key, by_algorithm in state.items():
        for block in by_algorithm.values():
            assert block.steps == 10
            assert all(moment.shape == trained.weights[key].shape for moment in block.moments)


def test_a_tensor_that_an_operator_leaves_alone_keeps_its_state(trained):
    before = trained.inherited()
    for op in valp.operators().values():
        for version in op.versions:
            for place in op.places(trained, version == "gentle")[:2]:
                changed = copy.deepcopy(trained)
                valp.Move(op.name, version, place).apply(changed)
                after = changed.genome
                for key, tensor in after.weights.items():
                    if before.weights.get(key) is tensor:
                        assert_same_state(after.optimizer_state[key], before.optimizer_state[key])
                assert set(after.optimizer_state) <= set(after.weights)
                for key, by_algorithm in after.optimizer_state.items():
                    for block in by_algorithm.values():
                        for moment in block.moments:
                            assert moment.shape == after.weights[key].shape, (op.name, key)


def test_a_gentle_clone_and_its_split_blocks_take_the_state_along(trained):
    before = trained.inherited()
    valp.mutCloneNetwork(trained, "n0")
    (clone,) = set(trained.networks) - {name for name in before.networks}
    state = trained.genome.optimizer_state
    assert_same_state(state[f"{clone}.0.bias"], before.optimizer_state["n0.0.bias"])
    assert_same_state(state[f"left->{clone}"], before.optimizer_state["left->n0"])
    for name in ("n0", clone):
        assert_same_state(state[f"{name}->n2"], before.optimizer_state["n0->n2"])


def test_a_donation_brings_its_state_and_new_blocks_have_none(trained):
    host = zoo.fan_out()
    valp.cxExclusiveSubgraph(host, trained, "value", reciprocal=False)
    state, donated = host.genome.optimizer_state, trained.inherited().optimizer_state
    (name,) = host.exclusive("value")
    assert_same_state(state[f"{name}.0.bias"], donated["n2.0.bias"])
    assert_same_state(state["value.bias"], donated["value.bias"])
    draft = Draft(trained.inherited())
    draft.connect("n0", "n2", torch.zeros(5, 6))
    assert "n0->n2" not in draft.genome().optimizer_state


def test_it_survives_pickling_and_deap_s_loops(trained):
    again = pickle.loads(pickle.dumps(trained))
    for key, state in trained.inherited().optimizer_state.items():
        assert_same_state(again.inherited().optimizer_state[key], state)
    problem, toolbox = zoo.mixed_problem(), base.Toolbox()
    random.seed(3)
    budget = {"batches": 5, "first_batches": 5, "training": GOING_ON}
    toolbox.register("evaluate", valp.evaluate, problem=problem, **budget)
    toolbox.register("mutate", valp.mutRandom, operators=("clone_network", "add_connection"))
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    population = [zoo.fan_out() for _ in range(4)]
    population, _ = algorithms.eaMuPlusLambda(
        population, toolbox, 4, 4, 0.3, 0.7, ngen=3, verbose=False
    )
    oldest = max(
        block.steps
        for individual in population
        for state in individual.inherited().optimizer_state.values()
        for block in state.values()
    )
    assert oldest > 5


class Interrupted(BaseException):
    pass


def test_a_search_that_is_resumed_gives_the_same_state_bit_for_bit(tmp_path):
    problem, calls = zoo.mixed_problem(), []

    def climbed(stop, checkpoint):
        """The best of a climb that is interrupted at so many evaluations, unless there are less."""

        def evaluate(individual):
            if len(calls) == stop:
                raise Interrupted
            calls.append(individual.seed)
            return valp.evaluate(individual, problem, 5, 5, training=GOING_ON)

        toolbox = base.Toolbox()
        toolbox.register("evaluate", evaluate)
        toolbox.register("selMutation", valp.selMutation, policy="gentle")
        random.seed(3)
        best, _ = valp.hillClimbing(
            zoo.fan_out(), toolbox, 6, checkpoint=checkpoint, progress=False
        )
        return best

    whole = climbed(None, None)
    oldest = max(
        block.steps
        for state in whole.inherited().optimizer_state.values()
        for block in state.values()
    )
    assert oldest > 5  # a step was accepted, so the state is of several sessions
    calls.clear()
    for stop in (2, 5):
        with pytest.raises(Interrupted):
            climbed(stop, valp.Checkpoint(tmp_path / "c"))
    assert digest(climbed(None, valp.Checkpoint(tmp_path / "c"))) == digest(whole)


def test_a_failed_evaluation_hands_on_what_it_was_given(trained):
    state = trained.inherited().optimizer_state
    trained.become(trained.inherited())
    with zoo.editing(trained) as draft:
        draft.optimizers = dict.fromkeys(draft.outputs, valp.Optimizer("adagrad", 1e30))
    trained.fitness.values = valp.evaluate(trained, zoo.mixed_problem(), 20, 20)
    assert not trained.evaluation.ok
    for key, by_algorithm in trained.inherited().optimizer_state.items():
        assert_same_state(by_algorithm, state[key])
