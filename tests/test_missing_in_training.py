"""Training and diagnosis where targets are missing: only what is there is trained and measured."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
import zoo
from absent import KINDS, MIXED, ROWS, SPLITS, chosen, holed, problem_of, with_holes

import deap_valp as valp
from deap_valp.diagnosis import Subject, measure
from deap_valp.training import Latents, sub_losses, train
from deap_valp.training.batches import batches_of
from deap_valp.training.watch import Watch


def test_no_step_waits_for_the_device():
    individual = zoo.member(MIXED[-1])
    for parts in (1, 2):
        model = valp.decode(individual, device="meta")
        history = train(model, holed(), 2, 31, individual.optimizers, 0, parts).history
        assert history.device.type == "meta"


def test_inputs_targets_and_weights_stay_together_in_a_new_order():
    data = holed().split("train")
    plan = batches_of(data, data.size, 0, torch.Generator().manual_seed(0))
    features, targets, weights = next(plan)
    assert not torch.equal(features["left"], data.inputs["left"])
    order = [data.inputs["left"].eq(row).all(1).nonzero().item() for row in features["left"]]
    for name in KINDS:
        assert torch.equal(targets[name], data.targets[name][order])
        assert torch.equal(weights[name], data.weights[name][order])


def test_the_looks_of_a_session_are_at_targets_that_are_there():
    individual = zoo.member(MIXED[-1])
    model = valp.decode(individual)
    data = holed().split("validation")

    class Still:
        weights = torch.zeros(1)
        snapshot = staticmethod(list)

    with torch.no_grad():
        watch = Watch(model, holed(), Still(), parts=3)
        watch.begin()
        seen = watch.losses
        for index, name in enumerate(model.outputs):
            rows = holed().outputs[name].present.places["validation"]
            inputs = {port: value[rows] for port, value in data.inputs.items()}
            targets = {port: value[rows] for port, value in data.targets.items()}
            latents = Latents("reconstruct")
            losses = sub_losses(model, holed())(model.run(inputs, latents), targets, latents)
            assert seen[index] == pytest.approx(losses[index].item(), rel=1e-5)


def test_a_sample_has_a_target_of_each_output_and_weights_of_mean_1():
    absent = {name: np.ones(ROWS, bool) for name in ("label", "value")}
    for rows in SPLITS.values():
        absent["label"][rows[-3:]] = absent["value"][rows[:1]] = False
    absent["label"][SPLITS["train"][:2]] = False
    targets = with_holes(absent)
    targets["value"][SPLITS["train"][1]] = 5.0
    sample = problem_of(targets).split("validation", limit=4)
    assert sample.size == 4 == len(sample.inputs["left"])
    for name in absent:
        assert float(sample.weights[name].sum()) == pytest.approx(4)
    assert problem_of().split("validation", limit=4).weights == {}


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_individual_is_evaluated_on_what_is_there(share):
    problem = problem_of(with_holes({name: chosen(9 + i, share) for i, name in enumerate(KINDS)}))
    random.seed(1)
    individual = zoo.random_valp(problem)
    evaluation = valp.evaluate(individual, problem, 20, 60, device="cpu", metrics=valp.ALL_METRICS)
    assert evaluation.status == "ok" and np.isfinite(evaluation).all()
    individual.fitness.values = evaluation
    size = len(problem.outputs["label"].targets["validation"])
    assert evaluation.resolution["label"] == pytest.approx(1 / size)
    assert "nan" not in repr(evaluation.diagnosis.measured)
    valp.mutGuided(individual, select=valp.selMutation)
    assert all(map(math.isfinite, valp.score(individual, problem, device="cpu").values()))


def test_metrics_are_those_of_the_examples_that_have_a_target():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 4))
    y = x[:, :1] * 2 + np.abs(x[:, 1:2])
    rows = {"train": range(400), "validation": range(400, 800), "test": range(800, 900)}
    absent = rng.random(900) < 0.4
    whole = {"x": x, "z": rng.normal(size=(900, 2))}
    problems = [
        valp.Problem(
            whole, {"y": valp.Regression(np.where(absent[:, None], math.nan, y))}, splits=rows
        ),
        valp.Problem(
            whole,
            {"y": valp.Regression(y)},
            splits={name: np.array(part)[~absent[part]] for name, part in rows.items()},
        ),
    ]
    random.seed(4)
    networks = {"n0": zoo.generic(5), "n1": zoo.generic(4), "n2": zoo.generic(3)}
    individual = zoo.build(problems[0], networks, "x->n0 z->n1 n0->n2 n1->n2 n2->y")
    found = []
    for problem in problems:
        subject = Subject(valp.decode(individual), in_units_of(problem, problems[0]), {}, 1)
        found.append(measure(subject, NAMES).measured)
    for name in NAMES:
        assert found[0][name].keys() == found[1][name].keys()
        for key, value in found[0][name].items():
            other = found[1][name][key]
            if name == "growth_potential":
                value, other = value.linear, other.linear
            if value is not None:
                assert value == pytest.approx(other, rel=1e-4, abs=1e-6), (name, key)


NAMES = ["module_intervention", "dependency", "mutual_information", "growth_potential"]


def in_units_of(problem, units):
    """Let a problem have the input units of another."""
    for split in SPLITS:
        data = problem.split(split)
        for port in data.inputs:
            mine, others = problem.inputs[port], units.inputs[port]
            raw = data.inputs[port].double() / torch.tensor(mine.scale) + torch.tensor(mine.shift)
            aligned = (raw - torch.tensor(others.shift)) * torch.tensor(others.scale)
            data.inputs[port] = aligned.float()
    return problem
