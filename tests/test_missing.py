"""Missing values, and weights of examples and classes: what is absent never matters."""

from __future__ import annotations

import copy
import math

import numpy as np
import pandas as pd
import pytest
import torch
import zoo
from absent import ABSENT, KINDS, MIXED, ROWS, SPLITS, arrays, holed, problem_of, with_holes

import deap_valp as valp
from deap_valp.problem.data.missing import is_missing
from deap_valp.problem.data.storage import read_store
from deap_valp.training import train


def trained(problem, name=MIXED[-1], steps=25, **options):
    individual = zoo.member(name)
    model = valp.decode(individual, device=zoo.DEVICE)
    session = train(
        model, problem, steps, 30, individual.optimizers, 3, training=valp.Training(), **options
    )
    return session.history, session.losses, model.weights()


def assert_equal_runs(one, other):
    assert torch.equal(one[0], other[0]) and np.array_equal(one[1], other[1])
    assert all(torch.equal(tensor, other[2][key]) for key, tensor in one[2].items())


def test_equal_weights_of_all_examples_and_classes_change_no_bit():
    options = {name: {"example_weights": np.full(ROWS, 0.7)} for name in KINDS}
    options["label"]["class_weights"] = {0: 2.0, 1: 2.0, 2: 2}
    weighing, plain = problem_of(options=options), problem_of()
    assert weighing.loss_scale == plain.loss_scale and not weighing.split("train").weights
    assert_equal_runs(trained(weighing), trained(plain))


def test_doubled_weights_change_no_bit():
    weights = np.random.default_rng(5).integers(0, 4, ROWS).astype(float)
    once, twice = (
        problem_of(options={name: {"example_weights": factor * weights} for name in KINDS})
        for factor in (1, 2)
    )
    assert once.loss_scale == twice.loss_scale and len(once.split("train").weights) == 4
    assert_equal_runs(trained(once), trained(twice))


@pytest.mark.parametrize("filler", [math.nan, 1e30, -7.0])
def test_what_stands_where_a_target_is_missing_never_matters(filler):
    weights = {name: {"example_weights": (~rows).astype(int)} for name, rows in ABSENT.items()}
    absent = {name: rows for name, rows in ABSENT.items() if name != "label"}
    targets = with_holes(absent, filler)
    label = targets["label"].astype(object)
    label[ABSENT["label"]] = None if filler < 0 else filler
    problem = problem_of({**targets, "label": label}, weights)
    assert problem.loss_scale == holed().loss_scale
    assert_equal_runs(trained(problem), trained(holed()))


@pytest.mark.parametrize("split", SPLITS)
def test_an_output_is_that_of_a_problem_without_the_examples_that_lack_it(split):
    for name, absent in ABSENT.items():
        splits = {part: rows[~absent[rows]] for part, rows in SPLITS.items()}
        alone, output = problem_of(splits=splits).outputs[name], holed().outputs[name]
        assert output.port.shift == pytest.approx(alone.port.shift, abs=1e-9)
        assert output.port.scale == pytest.approx(alone.port.scale, rel=1e-9)
        assert output.port.width == alone.port.width and output.classes == alone.classes
        assert output.baseline == pytest.approx(alone.baseline, rel=1e-5)
        target, expected = (each.targets[split].sort(0).values for each in (output, alone))
        torch.testing.assert_close(target, expected)
        places = output.present.places[split]
        assert torch.equal(holed().split(split).targets[name][places], output.targets[split])


def test_scores_are_of_examples_with_a_target_and_know_no_weights():
    absent = ABSENT["label"]
    options = {"label": {"class_weights": "balanced", "example_weights": np.arange(ROWS) + 1}}
    problem = problem_of(with_holes(ABSENT), options)
    prediction = torch.rand(len(SPLITS["test"]), 3, generator=torch.Generator().manual_seed(0))
    kept = ~absent[SPLITS["test"]]
    label = arrays()[1]["label"][SPLITS["test"]][kept]
    wrong = (prediction.argmax(1).numpy()[kept] != label).mean()
    assert problem.outputs["label"].score(prediction, "test") == pytest.approx(wrong)
    prediction[~kept] = math.nan
    assert problem.outputs["label"].score(prediction, "test") == pytest.approx(wrong)
    value = torch.from_numpy(arrays()[1]["value"][SPLITS["test"]]).float() + 2
    assert problem.outputs["value"].score(value, "test") == pytest.approx(4, rel=1e-5)


def test_balanced_classes_weigh_the_same_and_ignorance_is_uniform():
    label = np.array(["often"] * 90 + ["rare"] * 10)[np.random.default_rng(0).permutation(100)]
    x, splits = np.arange(100.0), {"train": range(80), "validation": range(80, 90)}
    splits["test"] = range(90, 100)
    rows = label[:80] == "rare"

    def output_of(**options):
        output = valp.Classification(label, **options)
        return valp.Problem({"x": x}, {"y": output}, splits=splits).outputs["y"]

    balanced = output_of(class_weights="balanced")
    weights, rare = balanced.weights["train"], balanced.targets["train"] == 1
    assert float(weights[rare].sum()) == pytest.approx(float(weights[~rare].sum()))
    assert float(weights.mean()) == pytest.approx(1)
    assert balanced.baseline == pytest.approx(math.log(2), rel=1e-5)
    ratio = (~rows).sum() / rows.sum()
    named = output_of(class_weights={"rare": ratio})
    torch.testing.assert_close(named.weights["train"], weights)
    examples = output_of(example_weights=np.where(label == "rare", ratio, 1.0))
    torch.testing.assert_close(examples.weights["train"], weights)
    counted = output_of(example_weights=np.arange(100), class_weights="balanced")
    weights, rare = counted.weights["train"], counted.targets["train"] == 1
    assert float(weights[rare].sum()) == pytest.approx(float(weights[~rare].sum()))


@pytest.mark.parametrize(
    "label",
    [
        np.array([1, None] * 60, object),
        np.array([1.0, math.nan] * 60),
        pd.Series([1, pd.NA] * 60, dtype="Int64"),
        pd.Series(pd.Categorical(["a", None] * 60)),
        np.ma.masked_equal([1, 9] * 60, 9),
        torch.tensor([1.0, math.nan] * 60),
        ["a", None] * 60,
        ["a", math.nan] * 60,
    ],
    ids=["object", "float", "Int64", "category", "masked", "tensor", "list", "strings"],
)
def test_every_form_of_a_missing_label_is_one(label):
    assert is_missing(label).tolist() == [False, True] * 60
    # The first label of each form is the one class; a second one comes in by hand.
    second = "b" if isinstance(label[0], str) else 2
    label = label.clone() if isinstance(label, torch.Tensor) else copy.copy(label)
    if isinstance(label, pd.Series) and hasattr(label, "cat"):
        label = label.cat.add_categories([second])
    for row in range(0, 120, 4):
        label[row] = second
    problem = valp.Problem({"x": np.arange(120.0)}, {"y": valp.Classification(label)})
    kind = problem.outputs["y"]
    assert len(kind.classes) == 2 and sum(map(len, kind.targets.values())) == 60


def test_numbers_with_none_are_numbers():
    target = [0.5, None, 2, 3.5] * 30
    problem = valp.Problem({"x": np.arange(120.0)}, {"y": valp.Regression(target)})
    assert sum(map(len, problem.outputs["y"].targets.values())) == 90
    assert "targets for" in str(problem)


def test_a_problem_with_holes_and_weights_is_stored_whole():
    options = {"label": {"class_weights": "balanced"}}
    problem = problem_of(with_holes(ABSENT), options)
    copy = valp.Problem.__new__(valp.Problem)
    vars(copy).update(read_store(problem._write(), "here"))
    assert str(copy) == str(problem) and copy.loss_scale == problem.loss_scale
    for name in SPLITS:
        one, other = problem.split(name), copy.split(name)
        assert one.weights.keys() == other.weights.keys() == KINDS.keys()
        for part in ("inputs", "targets", "weights"):
            for key, tensor in getattr(one, part).items():
                assert torch.equal(tensor, getattr(other, part)[key])
    assert copy.outputs["label"].score(torch.eye(3), "test") >= 0


def test_a_problem_without_holes_or_weights_knows_of_none():
    for problem in (zoo.mixed_problem(), zoo.plain_problem()):
        assert not any(problem.split(name).weights for name in SPLITS)
        assert not any(problem.imputed.values())
        assert "missing" not in str(problem) and "targets for" not in str(problem)
