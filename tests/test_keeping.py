"""What a session keeps and when it ends: the best validation weights, and not a batch too many."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.evaluation.session import usual_budgets
from deap_valp.training import PLAIN, Latents, Training, sub_losses, train
from deap_valp.training.batches import RESHUFFLED, batches_of
from deap_valp.training.watch import EXAMPLES


def noisy_problem(rows=80, seed=0):
    """A target that nothing tells: whatever is learned beyond the mean is learned by heart."""
    rng = np.random.default_rng(seed)
    outputs = {"y": valp.Regression(rng.normal(size=(rows, 1)))}
    return valp.Problem({"x": rng.normal(size=(rows, 6))}, outputs, splits=(0.5, 0.3, 0.2))


def start(problem):
    random.seed(1)
    return valp.initVALP(zoo.individual_class(problem.weights), problem, decay=0.0)


def criterion(model, problem):
    """The mean logarithm of the validation losses, computed a second time."""
    data, latents = problem.split("validation", limit=EXAMPLES), Latents("reconstruct")
    results = model.run(data.inputs, latents)
    losses = sub_losses(model, problem)(results, data.targets, latents).detach()
    return losses.numpy(), float(losses.log().mean())


def session(individual, problem, batches, training, seed=0, engine="auto"):
    model, optimizers = valp.decode(individual), individual.optimizers
    found = train(
        model, problem, batches, 20, optimizers, seed=seed, training=training, engine=engine
    )
    return model, found


@pytest.mark.parametrize("average", [0.0, 0.98])
def test_a_session_never_leaves_weights_with_a_higher_validation_loss(average, zoo_member, problem):
    before = criterion(valp.decode(zoo_member), problem)[1]
    training = Training(average=average, look=7)
    model, found = session(zoo_member, problem, 60, training)
    losses, after = criterion(model, problem)
    assert after <= before + 1e-6
    np.testing.assert_allclose(found.losses, losses, rtol=1e-4, atol=1e-6)
    assert 0 <= found.kept <= len(found.history) <= 60


def test_where_nothing_helps_it_leaves_what_it_began_with_and_ends_early():
    problem = noisy_problem()
    individual = start(problem)
    model, found = session(individual, problem, 2000, Training(patience=5, look=10))
    assert len(found.history) < 1000 and found.kept <= len(found.history) - 5 * 10
    plain, _ = session(individual, problem, 2000, PLAIN)
    assert criterion(model, problem)[1] < criterion(plain, problem)[1] - 0.3


def test_plain_training_takes_every_batch_and_leaves_the_last_weights(zoo_member, problem):
    _, found = session(zoo_member, problem, 12, PLAIN)
    assert len(found.history) == found.kept == 12 and found.losses is None


def test_an_evaluation_says_what_was_kept():
    problem = noisy_problem()
    individual = start(problem)
    evaluation = valp.evaluate(individual, problem, first_batches=400)
    assert evaluation.kept < len(evaluation.history["y"]) <= 400
    before, _ = criterion(valp.decode(start(problem)), problem)
    assert evaluation.losses.keys() == {"y"} and evaluation.losses["y"] <= before[0] + 1e-6
    individual.fitness.values = evaluation
    again = valp.evaluate(individual, problem, batches=50)
    assert again.losses["y"] <= evaluation.losses["y"] * (1 + 1e-5)
    plain = valp.evaluate(individual, problem, batches=5, training=valp.PLAIN)
    assert plain.kept == 5 and plain.losses == {}


def test_one_look_is_one_synchronisation(monkeypatch):
    problem, looks = zoo.plain_problem(), []
    from deap_valp.training import watch

    measured = watch.Watch._measured
    monkeypatch.setattr(watch.Watch, "_measured", lambda self: looks.append(1) or measured(self))
    session(zoo.smallest(), problem, 100, Training(look=30, patience=None), engine="torch")
    assert len(looks) == 1 + 4  # before the first batch, after 30, 60, 90 and 100


def test_state_and_kept_weights_belong_together():
    """Two sessions from one state differ by what was kept, and training goes on from there."""
    problem, individual = zoo.plain_problem(), zoo.smallest()
    _, found = session(individual, problem, 40, Training(look=10))
    steps = {block.steps for state in found.state.values() for block in state.values()}
    assert steps == {found.kept}


@pytest.mark.parametrize(
    ("rows", "batch_size", "first", "later"),
    [(30, 64, 1500, 300), (3000, 64, 4600, 920), (50_000, 200, 6000, 1200)],
)
def test_budgets_fit_the_data(rows, batch_size, first, later):
    class Sized:
        training_size = rows

    assert usual_budgets(Sized(), batch_size) == (first, later)


def test_small_data_is_put_into_a_new_order_in_each_epoch():
    data = zoo.plain_problem().split("train")
    generator = torch.Generator().manual_seed(0)
    plan = batches_of(data, data.size, 0, generator)
    first, second = next(plan), next(plan)
    assert not torch.equal(first[0]["x"], second[0]["x"])
    order = first[1]["y"][:, 0].argsort()
    assert torch.equal(first[1]["y"][order, 0], data.targets["y"][:, 0].sort().values)
    assert data.inputs["x"].numel() <= RESHUFFLED
    still = batches_of(data, data.size, 0, None)
    assert next(still)[0]["x"].data_ptr() == data.inputs["x"].data_ptr()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"look": 0}, "needs look from 1 on, got 0"),
        ({"patience": 1.5}, "needs patience from 1 on, got 1.5"),
        ({"warmup": None}, "needs warmup from 0 on, got None"),
        ({"average": 1.0}, "average from 0 on and below 1"),
    ],
)
def test_settings_out_of_range_are_named(arguments, message):
    with pytest.raises(valp.EvaluationError, match=message):
        Training(**arguments)


@pytest.mark.parametrize("batches", [1e1, "10", True, 0])
def test_a_budget_is_a_whole_number(batches):
    with pytest.raises(valp.EvaluationError, match="batches as a whole number from 1 on"):
        valp.evaluate(zoo.smallest(), zoo.plain_problem(), batches=batches)
