"""Evaluations that fail: what a failure costs, and how the lack of memory is met."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.evaluation import session as evaluation
from deap_valp.training import train

# ---- failures ------------------------------------------------------------------------------------


def nan_loss(head, target):
    return (head - target).square().mean() * float("nan")


def raising_loss(head, target):
    if head.shape[0] == 50:
        raise ZeroDivisionError("my loss")
    return (head - target).square().mean()


def exploding_score(prediction, target):
    return 1e30


def infinite_score(prediction, target):
    return float("inf")


def problem_with(**options):
    x = np.random.default_rng(1).normal(size=(160, 4))
    return valp.Problem(
        {"x": x}, {"y": valp.Regression(x[:, :1] ** 2, **options)}, splits=(0.5, 0.25, 0.25)
    )


def test_a_loss_that_is_not_finite_costs_the_evaluation(caplog):
    individual = zoo.build(zoo.plain_problem(), {"n0": zoo.generic(4)}, "x->n0 n0->y")
    with zoo.editing(individual) as draft:
        draft.weights["n0->y"] = individual.weights["n0->y"] * float("nan")
    with caplog.at_level(logging.WARNING, logger="deap_valp"):
        evaluation = valp.evaluate(individual, zoo.plain_problem(), first_batches=3)
    assert tuple(evaluation) == (valp.PENALTY,)
    assert evaluation.status == "the loss of y is nan at batch 0" and evaluation.diagnosis is None
    assert "the loss of y is nan" in caplog.text
    assert all(
        torch.equal(evaluation.weights[k], v) for k, v in individual.weights.items() if k != "n0->y"
    )


@pytest.mark.parametrize(
    ("options", "status"),
    [
        ({"loss": raising_loss}, "ZeroDivisionError: my loss"),
        ({"score": exploding_score}, "objective y exploded to 1e\\+30"),
        ({"score": infinite_score}, "objective y is inf"),
    ],
)
def test_a_failure_of_the_user_s_functions_costs_the_evaluation(options, status, caplog):
    problem = problem_with(**options)
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    with zoo.editing(individual) as draft:
        draft.batch_size = 50
    with caplog.at_level(logging.WARNING, logger="deap_valp"):
        evaluation = valp.evaluate(individual, problem, first_batches=3)
    assert tuple(evaluation) == (valp.PENALTY,) and not evaluation.ok
    import re

    assert re.match(status, evaluation.status)
    assert "failed" in caplog.text


def test_an_exploding_model_costs_the_evaluation():
    problem = zoo.plain_problem()
    individual = zoo.build(problem, {"n0": zoo.generic(4, activation="identity")}, "x->n0 n0->y")
    with zoo.editing(individual) as draft:
        draft.optimizers["y"] = valp.Optimizer("sgd", 1e6)
    evaluation = valp.evaluate(individual, problem, first_batches=50, training=valp.PLAIN)
    assert not evaluation.ok and tuple(evaluation) == (valp.PENALTY,)


def test_after_a_failure_the_individual_starts_from_where_it_was():
    problem = zoo.plain_problem()
    individual = zoo.smallest()
    with zoo.editing(individual) as draft:
        draft.weights["y.bias"] = individual.weights["y.bias"] + float("inf")
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=3)
    assert not individual.evaluation.ok
    valp.mutCloneNetwork(individual)
    assert (
        not individual.trained
    )  # nothing of it was ever trained, so it gets the first session again


# ---- out of memory -------------------------------------------------------------------------------


def no_room_on_the_host():
    torch.empty(2**60, dtype=torch.uint8)


def no_room_on_the_device():
    raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")


def no_room_in_numpy():
    np.empty(2**60, np.uint8)


@pytest.fixture
def short_of_memory(monkeypatch):
    """Let the first attempts at training fail for lack of memory.

    Return the number of parts into which each attempt divided a batch.
    """

    def arrange(raises, attempts):
        seen = []

        def short(*arguments, **options):
            parts = arguments[-1]
            seen.append(parts)
            session = train(*arguments, **options)  # what it holds by then is to be given back
            held.append(weakref.ref(arguments[0]))
            if len(seen) <= attempts:
                raises()
            assert len(seen) != 2 or held[0]() is None, "the first attempt still holds its memory"
            return session

        held = []
        monkeypatch.setattr(evaluation, "train", short)
        return seen

    return arrange


@pytest.mark.parametrize("raises", [no_room_on_the_host, no_room_on_the_device, no_room_in_numpy])
def test_out_of_memory_it_trains_again_with_half_the_micro_batch(raises, short_of_memory, caplog):
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    expected = valp.evaluate(individual, problem, first_batches=10)
    parts = short_of_memory(raises, attempts=1)
    found = valp.evaluate(individual, problem, first_batches=10)
    assert parts == [1, 2] and found.ok and found.sessions == 1
    assert list(found) == pytest.approx(list(expected), rel=1e-3)
    for name, losses in expected.history.items():
        np.testing.assert_allclose(found.history[name], losses, rtol=1e-4, atol=1e-5)
    for key, tensor in expected.weights.items():
        torch.testing.assert_close(found.weights[key], tensor, atol=1e-4, rtol=1e-3)
    assert caplog.text.count("again with half the micro-batch") == 1


def test_out_of_memory_twice_it_costs_this_evaluation_and_no_more(short_of_memory, caplog):
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    parts = short_of_memory(no_room_on_the_host, attempts=2)
    evaluation = valp.evaluate(individual, problem, first_batches=3)
    assert parts == [1, 2] and tuple(evaluation) == (valp.PENALTY,) * len(problem.objectives)
    assert evaluation.status.startswith("out of memory, with half the micro-batch too: ")
    assert all(
        torch.equal(evaluation.weights[key], tensor) for key, tensor in individual.weights.items()
    )
    assert valp.evaluate(individual, problem, first_batches=3).ok


def test_no_other_exception_is_tried_again(short_of_memory):
    def raises():
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    parts = short_of_memory(raises, attempts=1)
    assert not valp.evaluate(zoo.fan_out(), zoo.mixed_problem(), first_batches=3).ok and parts == [
        1
    ]


SHORT = """
import logging, resource, sys
import numpy as np, zoo
import deap_valp as valp

logging.basicConfig()
x = np.random.default_rng(0).normal(size=(40_000, 4)).astype(np.float32)
ends = (0, 39_800, 39_900, 40_000)
names = ("train", "validation", "test")
splits = {name: slice(*part) for name, part in zip(names, zip(ends, ends[1:]))}
problem = valp.Problem({"x": x}, {"y": valp.Regression(x[:, :1])}, splits=splits)
networks = {"n0": zoo.generic(500, 500), "n1": zoo.generic(4)}
individual = zoo.build(problem, networks, "x->n0 n0->n1 n1->y")
valp.evaluate(individual, problem, first_batches=1, engine="torch")
with zoo.editing(individual) as draft:
    draft.batch_size = 32_000
taken = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (taken + int(sys.argv[1]) * 2**20,) * 2)
print(valp.evaluate(individual, problem, first_batches=2, engine="torch").status)
"""


@pytest.mark.slow
@pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="needs /proc/self/statm to see what is taken"
)
@pytest.mark.parametrize(
    ("megabytes", "status", "warned"),
    [
        (1000, "ok", False),
        (350, "ok", True),
        (80, "out of memory, with half the micro-batch too: ", True),
    ],
)
def test_memory_runs_out_for_real(megabytes, status, warned):
    """The signals of a whole batch take 400 MB; the compiled player holds some more."""
    command = [sys.executable, "-c", SHORT, str(megabytes)]
    path = os.pathsep.join([str(Path(__file__).parent), str(Path(valp.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": path}
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, timeout=200, env=environment
    )
    assert (
        done.stdout.startswith(status)
        and ("again with half the micro-batch" in done.stderr) == warned
    )
