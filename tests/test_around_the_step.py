"""Scoring and diagnosis compute nothing twice, and give what the plain computation gives."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.diagnosis import Subject, measure
from deap_valp.diagnosis.probe import _OF_INPUTS, Reading
from deap_valp.evaluation.scoring import score_model
from deap_valp.training import Latents, Model


def decoded(individual):
    return Model(individual, torch.float32, torch.device("cpu"))


def plain_scores(model, problem, split):
    """The scores by the whole model on the whole split at once."""
    data = problem.split(split)
    generated = model.generate(min(data.size, 5000), torch.Generator().manual_seed(0))
    results = model.run(data.inputs, Latents("reconstruct"))
    scores = {}
    for name, output in problem.outputs.items():
        prediction = generated.get(name)
        if prediction is None:
            prediction = model.components[name].predict(results[name])
        scores[name] = output.score(prediction, split)
    return scores


@torch.no_grad()
def test_scores_are_those_of_the_whole_model(zoo_member, problem):
    model = decoded(zoo_member)
    assert score_model(model, problem, "validation") == plain_scores(model, problem, "validation")


def test_what_serves_samples_alone_is_not_run_on_the_examples(monkeypatch):
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    ran = []
    run = Model.run

    def noting(self, known, latents, order=None):
        if latents.mode == "reconstruct":
            ran.extend(self.order if order is None else order)
        return run(self, known, latents, order)

    monkeypatch.setattr(Model, "run", noting)
    score_model(decoded(individual), problem, "validation")
    samples = {name for name in individual.outputs if individual.component(name).draws_samples}
    needed = set().union(*(individual.subgraph(o) for o in set(individual.outputs) - samples))
    assert samples and set(ran) == needed | (set(individual.outputs) - samples)


def test_an_input_is_read_once_for_all_individuals_of_a_problem(monkeypatch):
    problem, made = zoo.mixed_problem(), []
    _OF_INPUTS.pop(problem, None)
    reading = Reading._made.__func__

    def noting(cls, fitted, held):
        made.append(fitted.shape[1])
        return reading(cls, fitted, held)

    monkeypatch.setattr(Reading, "_made", classmethod(noting))
    for seed in range(3):
        random.seed(seed)
        subject = Subject(decoded(zoo.random_valp(problem)), problem, {}, seed)
        found = {name: Reading.of(subject, name) for name in problem.inputs}
    assert sorted(made) == sorted(port.width for port in problem.inputs.values())
    for name, one in found.items():
        data = [subject.examples(split).inputs[name] for split in ("train", "validation")]
        other = reading(Reading, *data)
        for field in vars(one):
            assert torch.equal(getattr(one, field), getattr(other, field))


@torch.no_grad()
def test_a_change_that_some_outputs_do_not_see_is_judged_as_if_all_were_computed(
    zoo_member, problem
):
    model = decoded(zoo_member)
    subject = Subject(model, problem, {}, 1)
    for name in model.order:
        order = model.behind(name)
        whole = model.run(subject.intact, Latents("reconstruct"), order)
        latents = Latents("reconstruct")
        model.run(subject.data.inputs, latents)
        expected = subject._sub_losses(whole, subject.data.targets, latents, subject.data.weights)
        assert torch.equal(subject.losses(model, order), expected)


def test_a_diagnosis_runs_the_model_once_on_each_split(zoo_member, problem, monkeypatch):
    metrics = ("module_intervention", "growth_potential", "connection_intervention")
    model, run, whole = decoded(zoo_member), Model.run, []

    def noting(self, known, latents, order=None):
        if order is None:
            whole.append(len(next(iter(known.values()))))
        return run(self, known, latents, order)

    monkeypatch.setattr(Model, "run", noting)
    subject = Subject(model, problem, {}, 1)
    measure(subject, metrics)
    assert whole == [subject.data.size, subject.examples("train").size]


@torch.no_grad()
def test_that_run_gives_what_the_plain_model_gives(zoo_member, problem):
    model = decoded(zoo_member)
    subject = Subject(model, problem, {}, 1)
    plain = model.run(subject.data.inputs, Latents("reconstruct"))
    assert subject.intact.keys() == plain.keys()
    for name, result in plain.items():
        assert not subject.intact[name].requires_grad
        torch.testing.assert_close(subject.intact[name], result)


@torch.no_grad()
def test_gradients_are_those_of_the_weights_at_the_first_look(zoo_member, problem):
    """A metric may write to the weights and restore them, as the interventions do."""
    model = decoded(zoo_member)
    early, late = (Subject(model, problem, {}, 1) for _ in range(2))
    wanted = early.gradients["validation"][1]
    assert late.intact
    kept = {key: tensor.clone() for key, tensor in model.tensors.items()}
    for tensor in model.tensors.values():
        tensor.normal_()
    for key, tensor in model.tensors.items():
        tensor.copy_(kept[key])
    found = late.gradients["validation"][1]
    assert all(torch.equal(found[place], wanted[place]) for place in wanted)


# ---- finite predictions, plain units -------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("place", [(0, 0), (5, 1), (39, 2)])
def test_one_number_that_is_not_finite_makes_the_score_nan(bad, place):
    problem = zoo.mixed_problem()
    prediction = torch.randn(40, 3).softmax(1)
    assert math.isfinite(problem.outputs["label"].score(prediction, "validation"))
    prediction[place] = bad
    assert math.isnan(problem.outputs["label"].score(prediction, "validation"))


def overwriting(prediction, target):
    error = float((prediction - target).abs().mean())
    prediction.zero_()
    target.zero_()
    return error


@pytest.mark.parametrize("standardize", [True, False])
def test_a_score_that_writes_to_its_arguments_harms_no_data(standardize):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 3))
    target = valp.Regression(x[:, :2] * 5, score=overwriting, standardize=standardize)
    problem = valp.Problem({"x": x}, {"y": target})
    assert problem.outputs["y"].port.plain != standardize
    before = problem.split("validation").targets["y"].clone()
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    first, second = (valp.evaluate(individual, problem, 3, 3) for _ in range(2))
    assert first == second and torch.equal(problem.split("validation").targets["y"], before)


def test_a_score_that_writes_to_class_indices_harms_no_data():
    def overwritten(prediction, target):
        target.zero_()
        return 0.5

    labels = np.arange(60) % 3
    target = valp.Classification(labels, score=overwritten)
    problem = valp.Problem({"x": np.random.default_rng(0).normal(size=(60, 3))}, {"y": target})
    assert problem.split("validation").targets["y"].any()


def test_samples_in_the_users_units_are_not_converted():
    problem = valp.problems.digits()
    output, rows = problem.outputs["sample"], torch.rand(5, 64)
    assert output.port.plain and output._in_training_units(rows).data_ptr() == rows.data_ptr()
    assert output.port.predict(rows) is rows
