"""A whole evaluation on a pretended GPU: no mixing of devices, and no waiting in the training loop.

The results are those of the CPU up to the last bits, since the pretended GPU computes there. So a
wrong result is a fault of the code around the arithmetic, such as noise from another generator.
"""

from __future__ import annotations

import copy
import re

import numpy as np
import pytest
import torch
import zoo
from pretended import pretending

import deap_valp as valp
from deap_valp.training import Training, train
from deap_valp.training import loop as training_loop

GPU = "meta"
NUMBER = re.compile(r"-?[\d.]+(e-?\d+)?")
ONE_LOOK = Training(look=1000, patience=None)


def on(device, individual, problem, monkeypatch, **options):
    """Return the evaluation on a device, and the individual that has it."""
    individual = copy.deepcopy(individual)
    if device == "cpu":
        evaluation = valp.evaluate(individual, problem, 6, 6, device="cpu", **options)
    else:
        with pretending(monkeypatch, problem):
            evaluation = valp.evaluate(individual, problem, 6, 6, device=device, **options)
    assert evaluation.ok
    individual.fitness.values = evaluation
    return individual


def words(line):
    """What a line says beside numbers."""
    return [part for part in line.split() if not NUMBER.fullmatch(part)]


def numbers(line):
    """The numbers of a line."""
    return [float(part) for part in line.split() if NUMBER.fullmatch(part)]


def assert_same(there, here):
    """The two individuals have evaluations that differ by rounding alone."""
    assert there.genome.graph.edges == here.genome.graph.edges
    one, other = there.evaluation, here.evaluation
    close = {"rtol": 1e-5, "atol": 1e-6}
    torch.testing.assert_close(torch.tensor(tuple(one)), torch.tensor(tuple(other)), **close)
    for name in other.history:
        np.testing.assert_allclose(one.history[name], other.history[name], **close)
    for key, tensor in other.weights.items():
        torch.testing.assert_close(one.weights[key], tensor, **close)
    assert one.losses == pytest.approx(other.losses, rel=1e-5)
    # Its lines are in the order of the numbers, and some numbers are equal but for rounding.
    lines = (sorted(str(each.diagnosis).splitlines()) for each in (one, other))
    for found, expected in zip(*lines, strict=True):
        assert words(found) == words(expected)
        assert numbers(found) == pytest.approx(numbers(expected), rel=0.1, abs=1e-5)
    for key, by_algorithm in other.optimizer_state.items():
        for name, block in by_algorithm.items():
            found = one.optimizer_state[key][name]
            assert found.steps == block.steps
            torch.testing.assert_close(found.moments, block.moments, **close)


def test_an_evaluation_is_that_of_the_cpu(zoo_member, zoo_name, monkeypatch):
    """Training with looks, scoring and every metric; then a session that continues the state."""
    there, here = zoo_member, zoo_member
    # The mutual information jumps with the last bits, as it asks for nearest neighbours.
    metrics = [name for name in valp.ALL_METRICS if name != "mutual_information"]
    for training in (Training(look=2, carry=True), Training(look=3, carry=True)):
        options = {"metrics": metrics, "training": training}
        there = on(GPU, there, zoo.problem_of(zoo_name), monkeypatch, **options)
        here = on("cpu", here, zoo.problem_of(zoo_name), monkeypatch, **options)
        assert_same(there, here)


def test_what_comes_back_is_on_the_cpu(monkeypatch):
    carrying = Training(carry=True)
    individual = on(GPU, zoo.fan_out(), zoo.mixed_problem(), monkeypatch, training=carrying)
    evaluation = individual.evaluation
    moments = [
        moment
        for by_algorithm in evaluation.optimizer_state.values()
        for block in by_algorithm.values()
        for moment in block.moments
    ]
    assert moments
    assert all(type(one) is torch.Tensor for one in (*evaluation.weights.values(), *moments))


def test_scores_and_diagnosis_on_request_are_those_of_the_cpu(monkeypatch):
    problem = zoo.mixed_problem()
    individual = on("cpu", zoo.fan_out(), problem, monkeypatch)
    with pretending(monkeypatch, problem):
        scores = valp.score(individual, problem, device=GPU)
        diagnosis = valp.diagnose(individual, problem, device=GPU)
    assert scores == pytest.approx(valp.score(individual, problem, device="cpu"))
    assert str(diagnosis) == str(valp.diagnose(individual, problem, device="cpu"))


# ---- the training loop ---------------------------------------------------------------------------


def trained(monkeypatch, batches, training, optimizer="adam"):
    """Return what the pretended GPU saw of a session."""
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    with pretending(monkeypatch, problem) as seen:
        model = valp.decode(individual, device=GPU)
        problem.split("train", GPU), problem.split("validation", GPU, limit=2000)
        seen.waits.clear(), seen.uploads.clear()
        optimizers = {name: valp.Optimizer(optimizer, 1e-3) for name in model.outputs}
        train(model, problem, batches, 20, optimizers, seed=0, training=training)
    return seen


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop", "adagrad", "nadam"])
def test_batches_neither_wait_for_the_device_nor_send_it_anything(optimizer, monkeypatch):
    few, many = (trained(monkeypatch, count, ONE_LOOK, optimizer) for count in (3, 12))
    assert len(few.waits) == len(many.waits) == 2  # the look before the first batch, and the last
    assert few.uploads == many.uploads


def test_a_look_waits_once(monkeypatch):
    seen = trained(monkeypatch, 12, Training(look=3, patience=None))
    assert len(seen.waits) == 1 + 4


def test_a_loop_that_waited_would_be_seen(monkeypatch):
    class Waiting(training_loop.Tape):
        def forward(self, *arguments):
            losses = super().forward(*arguments)
            assert losses[0].item() >= 0
            return losses

    monkeypatch.setattr(training_loop, "Tape", Waiting)
    assert len(trained(monkeypatch, 12, ONE_LOOK).waits) == 2 + 12


# ---- faults --------------------------------------------------------------------------------------


def test_tensors_of_two_devices_in_one_operation_are_refused(monkeypatch):
    def with_a_constant_of_its_own(head, target):
        return ((head - target) * torch.ones(1, head.shape[1])).square().mean()

    x = torch.randn(60, 3).numpy()
    own = valp.Regression(x[:, :2], loss=with_a_constant_of_its_own)
    problem = valp.Problem({"x": x}, {"y": own})
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    with pretending(monkeypatch, problem):
        evaluation = valp.evaluate(individual, problem, 2, 2, device=GPU)
    assert not evaluation.ok and "needs tensors of one device" in evaluation.status


def test_out_of_memory_halves_the_batch_there_too(monkeypatch):
    """The whole second attempt runs there, and takes the steps that whole batches take here."""
    individual, attempts, forward = zoo.fan_out(), [], training_loop.Tape.forward
    here = on("cpu", individual, zoo.mixed_problem(), monkeypatch, engine="torch").evaluation

    def full(self, *arguments):
        attempts.append(1)
        if len(attempts) == 1:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory")
        return forward(self, *arguments)

    monkeypatch.setattr(training_loop.Tape, "forward", full)
    there = on(GPU, individual, zoo.mixed_problem(), monkeypatch).evaluation
    assert len(attempts) == 1 + 2 * 6  # six batches in halves
    for name, losses in here.history.items():
        np.testing.assert_allclose(there.history[name], losses, rtol=1e-5)
