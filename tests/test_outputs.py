"""Output kinds: ports, losses, scores and performances, and what every kind promises."""

from __future__ import annotations

import math
import pickle
import warnings
from dataclasses import asdict

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from small_data import (
    KINDS,
    OWN_LOSS,
    OWN_SCORE,
    SIZE,
    each_kind,
    first_two,
    heads,
    labels,
    perfect,
    problem_of,
    rng,
    table,
)

from deap_valp.errors import ProblemError
from deap_valp.problem import (
    OUTPUT_KINDS,
    Classification,
    Generation,
    Input,
    Output,
    Problem,
    Regression,
)
from deap_valp.problem.data.splits import SPLITS

# --- Ports


BUILT_IN = {
    name for name, kind in OUTPUT_KINDS.items() if kind.__module__.startswith("deap_valp.")
}  # other tests define kinds of their own


def test_every_kind_has_a_case_here():
    assert set(KINDS) == BUILT_IN


@each_kind
def test_ports_are_small_hashable_values(kind):
    problem = problem_of(kind)
    for port in (problem.inputs["x"], problem.outputs["y"].port):
        assert pickle.loads(pickle.dumps(port)) == port
        assert hash(pickle.loads(pickle.dumps(port))) == hash(port)
        assert type(port)(**asdict(port)) == port
        assert all(isinstance(number, float) for number in (*port.shift, *port.scale))


def test_what_each_kind_takes():
    taken = {kind: set(Output(kind, 1).takes) for kind in BUILT_IN}
    assert taken == {
        "classification": {"values", "discrete"},
        "regression": {"values"},
        "generation": {"samples"},
    }
    assert Input.gives == "features"


@each_kind
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_prediction_keeps_dtype_and_device(kind, dtype, device):
    port = problem_of(kind).outputs["y"].port
    predicted = port.predict(torch.zeros(5, port.width, dtype=dtype, device=device))
    assert (
        predicted.dtype is dtype
        and predicted.device.type == device
        and predicted.shape == (5, port.width)
    )


# --- Losses, scores, performances


@each_kind
def test_loss_of_the_constant_predictor_is_the_baseline(kind):
    output = problem_of(kind).outputs["y"]
    target = output.targets["train"]
    loss = output.loss(output.constant_head().expand(len(target), -1), target)
    assert loss.item() == pytest.approx(output.baseline, rel=1e-6)


@each_kind
def test_no_other_constant_does_better_than_the_baseline(kind):
    output = problem_of(kind).outputs["y"]
    target = output.targets["train"]
    for seed in range(5):
        other = output.constant_head() + 0.1 * torch.randn(
            output.port.width, generator=torch.manual_seed(seed)
        )
        assert output.loss(other.expand(len(target), -1), target).item() > output.baseline


def test_baselines_are_entropy_and_variance():
    assert problem_of("classification").outputs["y"].baseline == pytest.approx(
        math.log(3), rel=1e-2
    )
    for kind in ("regression", "generation"):
        assert problem_of(kind).outputs["y"].baseline == pytest.approx(1, rel=1e-5)  # standardised
    raw = problem_of("regression", standardize=False).outputs["y"]
    assert raw.baseline == pytest.approx(
        raw.targets["train"].var(0, correction=0).mean().item(), rel=1e-5
    )


@each_kind
def test_loss_falls_along_its_gradient(kind):
    problem = problem_of(kind)
    head, target = heads(problem)
    head.requires_grad_()
    loss = problem.outputs["y"].loss(head, target)
    loss.backward()
    assert loss.shape == () and problem.outputs["y"].loss(head - 0.1 * head.grad, target) < loss


@each_kind
def test_loss_runs_without_data_and_without_a_host(kind):
    problem = problem_of(kind)
    split = problem.split("train", device="meta", limit=7)
    head = torch.zeros(7, problem.outputs["y"].port.width, device="meta", requires_grad=True)
    problem.outputs["y"].loss(head, split.targets["y"]).backward()
    assert head.grad.shape == head.shape


TORCH_LOSSES = {
    "classification": torch.nn.functional.cross_entropy,
    "regression": torch.nn.functional.mse_loss,
    "generation": torch.nn.functional.mse_loss,
}


@each_kind
@pytest.mark.parametrize("turned", [False, True], ids=["rows in memory", "columns in memory"])
@pytest.mark.parametrize("width", [2, 30])
def test_loss_and_gradient_are_those_of_torch(kind, turned, width):
    generator = torch.Generator().manual_seed(0)
    head = torch.randn(20, width, generator=generator, dtype=torch.float64)
    target = torch.randn(20, width, generator=generator, dtype=torch.float64)
    if kind == "classification":
        target = target.argmax(1)
    if turned:
        head = head.t().contiguous().t()
    head.requires_grad_()
    wanted = TORCH_LOSSES[kind](head, target)
    (wanted_gradient,) = torch.autograd.grad(wanted, head)
    output = KINDS[kind]()
    loss = output.loss(head, target)
    (gradient,) = torch.autograd.grad(loss, head)
    quick = output.loss_with_gradient(head.detach(), target)  # last: it may overwrite the head
    for found in (loss, quick.loss):
        torch.testing.assert_close(found, wanted, atol=1e-12, rtol=1e-12)
    for found in (gradient, quick.gradient * quick.factor):
        torch.testing.assert_close(found, wanted_gradient, atol=1e-12, rtol=1e-12)


@each_kind
def test_the_kinds_own_loss_needs_no_autograd(kind):
    assert hasattr(KINDS[kind]().default_loss, "with_gradient")


@each_kind
@pytest.mark.parametrize("split", SPLITS)
def test_a_perfect_prediction_scores_zero(kind, split):
    problem = problem_of(kind)
    output = problem.outputs["y"]
    assert output.score(output.port.predict(perfect(problem, split)), split) == pytest.approx(
        0, abs=1e-10
    )


@each_kind
def test_a_random_prediction_scores_worse(kind):
    problem = problem_of(kind)
    output = problem.outputs["y"]
    assert output.score(output.port.predict(heads(problem, "test")[0]), "test") > 0.1


@each_kind
def test_performance_prefers_the_perfect_head(kind):
    problem = problem_of(kind)
    output = problem.outputs["y"]
    head, target = heads(problem, "validation")
    good, bad = (
        output.performance(perfect(problem, "validation"), target),
        output.performance(head, target),
    )
    assert good > bad if output.higher_is_better else good < bad
    assert good == (1 if output.higher_is_better else 0)


@each_kind
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_prediction_that_is_not_finite_scores_nan(kind, number):
    problem = problem_of(kind)
    prediction = problem.outputs["y"].port.predict(heads(problem, "test")[0])
    prediction[3, 0] = number
    assert math.isnan(problem.outputs["y"].score(prediction, "test"))


def test_regression_is_scored_in_the_users_units():
    target = np.stack([np.arange(SIZE) * 10.0, np.arange(SIZE) * 0.01], axis=1)
    problem = Problem({"x": table()}, {"y": Regression(target)})
    output = problem.outputs["y"]
    prediction = output.port.predict(output.targets["test"]) + 2
    assert output.score(prediction, "test") == pytest.approx(4, rel=1e-4)
    assert output.score(prediction[:5], "test") == pytest.approx(4, rel=1e-4)  # of the first rows


def test_classification_is_scored_by_its_error_rate():
    problem = problem_of("classification")
    prediction = perfect(problem, "test").softmax(1)
    prediction[:3] = prediction[:3].roll(1, dims=1)
    assert problem.outputs["y"].score(prediction, "test") == pytest.approx(3 / len(prediction))
    assert problem.outputs["y"].classes == (5, 6, 7)


@each_kind
def test_own_loss_and_score_replace_those_of_the_kind(kind):
    problem = problem_of(kind, loss=OWN_LOSS[kind], score=OWN_SCORE[kind], loss_weight=2)
    output = problem.outputs["y"]
    head, target = heads(problem)
    assert torch.equal(output.loss(head, target), OWN_LOSS[kind](head, target))
    constant = OWN_LOSS[kind](output.constant_head().expand(len(target), -1), target).item()
    assert output.baseline == pytest.approx(constant, rel=1e-6)
    assert problem.loss_scale["y"] == pytest.approx(2 / constant, rel=1e-6)
    users = target if target.ndim == 1 else output.port.predict(target)
    assert output.score(output.port.predict(head), "train") == OWN_SCORE[kind](
        output.port.predict(head), users
    )


@each_kind
def test_a_score_is_tried_on_the_validation_targets_in_the_users_units(kind):
    seen = []
    problem = problem_of(kind, score=lambda *pair: seen.append(pair) or math.nan)
    [(prediction, target)] = seen
    output = problem.outputs["y"]
    assert prediction.shape == (len(target), output.port.width)
    assert prediction.isfinite().all() and prediction.unique(dim=0).shape == prediction.shape
    targets = output.targets["validation"]
    assert torch.equal(target, targets if targets.ndim == 1 else output.port.predict(targets))


def test_scores_that_are_undefined_for_few_rows_or_warn_pass_the_trial():
    def area(prediction, target):
        warnings.warn("a score may warn", stacklevel=2)
        return 1 - roc_auc_score(target, prediction[:, 1])

    rare = np.arange(200) % 25 == 0  # one row of 25
    splits = {"train": range(100), "validation": range(101, 150), "test": range(150, 200)}
    problem = Problem(
        {"x": rng().normal(size=(200, 3))}, {"y": Classification(rare, score=area)}, splits=splits
    )
    assert problem.outputs["y"].score_name == "area"


@each_kind
def test_normalize_divides_by_the_baseline(kind):
    inputs, output = {"x": table()}, KINDS[kind](loss_weight=3)
    normalized, raw = (
        Problem(inputs, {"y": output}, normalize=normalize) for normalize in (True, False)
    )
    assert raw.loss_scale == {"y": 3.0}
    assert normalized.loss_scale["y"] == pytest.approx(3 / normalized.outputs["y"].baseline)


def test_generation_compares_features():
    unlike = torch.randn(SIZE, 4, generator=torch.Generator().manual_seed(0)) * 2 + 3
    for options in ({}, {"labels": labels()}, {"features": first_two}):
        problem = Problem({"x": table()}, {"y": Generation(**options)})
        output = problem.outputs["y"]
        real = torch.from_numpy(table()).float()
        assert 0 <= output.score(real, "train") < output.score(unlike + 3, "train")
        assert (output.reference is None) == ("labels" not in options)


def test_own_features_alone_are_compared():
    output = Problem({"x": table()}, {"y": Generation(features=first_two)}).outputs["y"]
    real = output.port.predict(output.targets["test"])
    real[:, 2:] = 77
    assert output.score(real, "test") == 0


def test_reference_classifier_is_measured_on_validation():
    position = np.repeat([[0.0, 0], [9, 0], [0, 9]], SIZE // 3, axis=0) + rng().normal(
        size=(SIZE, 2)
    )
    output = Problem(
        {"x": position}, {"y": Generation(labels=np.repeat(["a", "b", "c"], SIZE // 3))}
    ).outputs["y"]
    assert output.reference.accuracy > 0.9
    assert 2 < output.inception_score(torch.from_numpy(position)) <= 3
    assert output.inception_score(torch.from_numpy(position[:30])) == pytest.approx(1, abs=0.2)


def test_one_kind_in_two_problems_compares_with_the_data_of_each():
    kind, samples = Generation(), torch.zeros(9, 4) + torch.arange(9)[:, None]
    scored = [
        Problem({"x": x}, {"y": kind}).outputs["y"].score(samples, "test")
        for x in (table(), table() + 5)
    ]
    assert (
        scored[1]
        == Problem({"x": table() + 5}, {"y": Generation()}).outputs["y"].score(samples, "test")
        != scored[0]
    )


def test_inception_score_needs_labels():
    with pytest.raises(ProblemError, match="inception_score needs labels for output 'y'"):
        problem_of("generation").outputs["y"].inception_score(torch.zeros(3, 4))
