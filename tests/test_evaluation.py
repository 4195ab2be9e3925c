"""Evaluation: what is trained and inherited; fitness, decoding and scores."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.errors import EvaluationError, StructureError, ValpError
from deap_valp.genome.optimizers import OPTIMIZERS


def evaluated(individual, problem, **budget):
    individual.fitness.values = valp.evaluate(
        individual, problem, **{"batches": 20, "first_batches": 20, **budget}
    )
    return individual


@pytest.fixture
def both(zoo_name):
    return zoo.member(zoo_name), zoo.problem_of(zoo_name)


def test_an_evaluation_has_one_finite_number_for_each_objective(both):
    individual, problem = both
    evaluation = valp.evaluate(individual, problem, batches=5, first_batches=5)
    assert (
        len(evaluation) == len(problem.objectives) and evaluation.objectives == problem.objectives
    )
    assert all(np.isfinite(evaluation)) and evaluation.ok
    assert set(evaluation.history) == set(problem.outputs)
    assert all(
        losses.shape == (5,) and losses.dtype == np.float32
        for losses in evaluation.history.values()
    )
    assert set(evaluation.seconds) == {"train", "score", "diagnose"}


def test_evaluating_changes_nothing_of_the_individual(both):
    individual, problem = both
    before, values = (
        copy.deepcopy(individual),
        {k: v.clone() for k, v in individual.weights.items()},
    )
    valp.evaluate(individual, problem, batches=5, first_batches=5)
    assert individual == before and individual.seed == before.seed and not individual.trained
    assert all(torch.equal(individual.weights[key], value) for key, value in values.items())


def test_evaluation_is_a_pure_function(both):
    individual, problem = both
    torch.manual_seed(0)
    first = valp.evaluate(individual, problem, batches=8, first_batches=8)
    torch.manual_seed(1)
    torch.rand(3)
    second = valp.evaluate(
        pickle.loads(pickle.dumps(individual)), problem, batches=8, first_batches=8
    )
    assert tuple(first) == tuple(second)
    assert all(torch.equal(first.weights[key], second.weights[key]) for key in first.weights)
    assert all(np.array_equal(first.history[key], second.history[key]) for key in first.history)
    assert str(first.diagnosis) == str(second.diagnosis)


def test_global_random_states_are_left_alone(both):
    import random

    individual, problem = both
    states = (
        random.getstate(),
        torch.get_rng_state(),
        np.random.get_state()[1].tolist(),
        torch.get_num_threads(),
    )
    valp.evaluate(individual, problem, batches=2, first_batches=2)
    after = (
        random.getstate(),
        torch.get_rng_state(),
        np.random.get_state()[1].tolist(),
        torch.get_num_threads(),
    )
    assert states[0] == after[0] and torch.equal(states[1], after[1]) and states[2:] == after[2:]


def test_training_lowers_the_losses():
    problem = zoo.mixed_problem()
    individual = zoo.fan_out()
    with zoo.editing(individual) as draft:
        draft.optimizers = dict.fromkeys(individual.outputs, valp.Optimizer("adam", 1e-2))
    evaluation = valp.evaluate(individual, problem, first_batches=400)
    for output in ("label", "value"):
        losses = evaluation.history[output]
        assert losses[-20:].mean() < 0.5 * losses[:5].mean()


def test_the_first_session_is_longer_than_the_others():
    problem = zoo.plain_problem()
    individual = evaluated(zoo.smallest(), problem, batches=3, first_batches=7)
    assert len(individual.evaluation.history["y"]) == 7
    again = evaluated(individual, problem, batches=3, first_batches=7)
    assert len(again.evaluation.history["y"]) == 3 and again.evaluation.sessions == 2
    valp.mutCloneNetwork(individual)
    del individual.fitness.values
    child = evaluated(individual, problem, batches=3, first_batches=7)
    assert len(child.evaluation.history["y"]) == 3 and child.evaluation.sessions == 1


def test_a_gentle_child_goes_on_where_its_parent_ended(both):
    individual, problem = both
    evaluated(individual, problem, first_batches=60)
    last = {name: losses[-20:] for name, losses in individual.evaluation.history.items()}
    child = copy.deepcopy(individual)
    valp.mutCloneNetwork(child)
    first = valp.evaluate(child, problem, batches=1).history
    for name, losses in last.items():
        noise = 6 * losses.std() + 0.1 * losses.mean()
        assert abs(first[name][0] - losses.mean()) < noise, name


def test_a_deleted_fitness_keeps_the_evaluation(both):
    individual, problem = both
    evaluated(individual, problem)
    del individual.fitness.values
    assert not individual.fitness.valid and individual.evaluation is not None
    assert copy.deepcopy(individual).evaluation is individual.evaluation
    assert pickle.loads(pickle.dumps(individual)).evaluation.ok


def test_an_evaluation_belongs_to_the_individual_it_was_made_for(both):
    individual, problem = both
    evaluated(individual, problem)
    changed = copy.deepcopy(individual)
    valp.mutChangeBS(changed)
    assert changed.evaluation is None and individual.evaluation is not None
    assert all(torch.equal(changed.weights[k], v) for k, v in individual.evaluation.weights.items())


# ---- wrong calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize("budget", [{"batches": 0}, {"first_batches": -1}])
def test_a_budget_is_positive(budget):
    with pytest.raises(EvaluationError, match="batches as a whole number from 1 on"):
        valp.evaluate(zoo.smallest(), zoo.plain_problem(), **budget)


@pytest.mark.parametrize("metrics", [("loss_slop",), "module"])
def test_a_metric_that_is_not_there_is_the_caller_s_error(metrics):
    with pytest.raises(
        valp.RegistrationError,
        match=r"needs metrics among \['loss_slope', .*, got \['(loss_slop|module)'\]",
    ):
        valp.evaluate(zoo.smallest(), zoo.plain_problem(), 1, 1, metrics=metrics)


def test_the_problem_must_be_the_individual_s():
    with pytest.raises(StructureError, match="exactly the inputs"):
        valp.evaluate(zoo.smallest(), zoo.mixed_problem())
    with pytest.raises(StructureError, match="exactly the inputs"):
        valp.score(zoo.smallest(), zoo.mixed_problem())


# ---- per-output hyperparameters ------------------------------------------------------------------


def test_a_rate_of_zero_leaves_the_exclusive_subgraph_bit_equal():
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    with zoo.editing(individual) as draft:
        draft.optimizers["label"] = valp.Optimizer("adam", 0.0)
    after = valp.evaluate(individual, problem, first_batches=10).weights
    for key, before in individual.weights.items():
        exclusive = any(
            key.startswith(f"{name}.") or f"->{name}" in key
            for name in individual.exclusive("label")
        )
        if exclusive or key in ("n1->label", "label.bias"):
            assert torch.equal(after[key], before), key
    assert not torch.equal(after["n2->value"], individual.weights["n2->value"])
    assert not torch.equal(after["left->n0"], individual.weights["left->n0"])


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_algorithm_trains(name):
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    rate = OPTIMIZERS[name].usual_rate
    with zoo.editing(individual) as draft:
        draft.optimizers = dict.fromkeys(individual.outputs, valp.Optimizer(name, rate))
    joint = valp.evaluate(individual, problem, first_batches=150)
    assert joint.history["value"][-10:].mean() < joint.history["value"][:5].mean()
    with zoo.editing(individual) as draft:
        draft.optimizers["label"] = valp.Optimizer("adam", 2e-3)
    separate = valp.evaluate(individual, problem, first_batches=150)
    assert separate.history["value"][-10:].mean() < separate.history["value"][:5].mean()


# ---- decode and score ----------------------------------------------------------------------------


def test_decoded_models_predict_in_the_user_s_units(both):
    individual, problem = both
    model = valp.decode(individual)
    data = problem.split("test")
    inputs = {
        n: v / torch.tensor(problem.inputs[n].scale) + torch.tensor(problem.inputs[n].shift)
        for n, v in data.inputs.items()
    }
    for mode in ("reconstruct", "train", "generate"):
        predictions = model(inputs, mode=mode)
        assert set(predictions) == set(problem.outputs)
        assert all(
            predictions[name].shape == (data.size, problem.outputs[name].port.width)
            for name in predictions
        )
    for name, output in problem.outputs.items():
        if output.port.kind == "classification":
            assert torch.allclose(predictions[name].sum(1), torch.ones(data.size))


def test_generating_needs_no_inputs(both):
    individual, problem = both
    generated = valp.decode(individual).generate(7, torch.Generator().manual_seed(0))
    expected = {
        name: (7, out.port.width)
        for name, out in problem.outputs.items()
        if out.port.kind == "generation"
    }
    assert {name: tuple(value.shape) for name, value in generated.items()} == expected


def test_generated_is_what_the_mode_generate_gives(both):
    individual, problem = both
    model = valp.decode(individual, dtype=torch.float64)
    data = problem.split("test")
    inputs = {name: torch.zeros(data.size, port.width) for name, port in problem.inputs.items()}
    generated = model.generate(data.size, torch.Generator().manual_seed(0))
    noise = model.draw_noise(data.size, torch.Generator().manual_seed(0))
    passed = model(inputs, mode="generate", noise=noise)
    for name, value in generated.items():
        assert torch.allclose(passed[name], value, atol=1e-12)


def test_decoding_and_encoding_is_the_identity(both):
    individual, _ = both
    weights = valp.decode(individual).weights()
    assert weights.keys() == individual.weights.keys()
    assert all(torch.equal(weights[key], tensor) for key, tensor in individual.weights.items())


def test_a_decoded_model_shares_nothing(both):
    individual, _ = both
    values = {key: tensor.clone() for key, tensor in individual.weights.items()}
    with torch.no_grad():
        for parameter in valp.decode(individual).parameters():
            parameter.zero_()
    assert all(torch.equal(individual.weights[key], value) for key, value in values.items())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda model: model({"x": torch.zeros(2, 4)}, mode="dream"), "runs in the modes"),
        (lambda model: model({}), "needs the inputs"),
        (lambda model: model({"x": torch.zeros(2, 4), "z": torch.zeros(2)}), "needs the inputs"),
        (lambda model: model({"x": torch.zeros(2, 5)}), "needs input x with 4 features"),
    ],
)
def test_a_wrong_call_of_a_model_is_named(call, message):
    with pytest.raises(ValpError, match=message):
        call(valp.decode(zoo.smallest()))


def test_validation_scores_are_the_fitness(both):
    individual, problem = both
    evaluated(individual, problem)
    scores = valp.score(individual, problem, split="validation")
    assert [scores[name] for name in problem.outputs] == pytest.approx(
        list(individual.fitness.values)
    )
    assert set(valp.score(individual, problem)) == set(problem.outputs)


def test_costs_are_objectives():
    x = np.random.default_rng(1).normal(size=(160, 4))
    problem = valp.Problem({"x": x}, {"y": valp.Regression(x[:, :1])}, costs=("weight_count",))
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    evaluation = valp.evaluate(individual, problem, first_batches=2)
    assert problem.objectives == ("y", "weight_count") and evaluation[1] == individual.weight_count
