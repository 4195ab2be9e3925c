"""Problems over the user's arrays: what every kind of port and output promises, and every bad input's error."""

from __future__ import annotations

import copy
import gc
import math
import os
import pickle
import subprocess
import sys
import weakref
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

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

SIZE = 120


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEAP_VALP_CACHE", str(tmp_path / "cache"))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(width: int = 4, size: int = SIZE) -> np.ndarray:
    return rng().normal(3, 2, (size, width))


def pictures(dtype: type = np.uint8, size: int = SIZE) -> np.ndarray:
    bytes_ = rng().integers(0, 256, (size, 3, 3), dtype=np.uint8)
    return bytes_ if dtype is np.uint8 else (bytes_ / 255).astype(dtype)


def labels(size: int = SIZE) -> np.ndarray:
    return np.arange(size) % 3 + 5


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "length": rng().normal(size=SIZE),
            "flag": rng().random(SIZE) > 0.5,
            "colour": np.array(["red", "blue", "green"])[np.arange(SIZE) % 3],
            "grade": pd.Categorical(
                np.array(["b", "a"])[np.arange(SIZE) % 2], categories=["b", "a", "never"]
            ),
        }
    )


def weighted_error(head: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (head - target).abs().mean() * 3


def misses(head: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return 1 - head.softmax(1).gather(1, target[:, None]).mean()


def largest_error(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return (prediction.double() - target).abs().max().item()


def share_wrong(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return 10 + (prediction.argmax(1) != target).double().mean().item()


def first_two(rows: torch.Tensor) -> torch.Tensor:
    return rows[:, :2]


def width_of(port: Output) -> float:
    return port.width


def size_of(individual) -> float:
    return individual.weight_count


KINDS = {
    "classification": partial(Classification, labels()),
    "regression": partial(Regression, table(2)),
    "generation": partial(Generation, table(4)),
}
OWN_LOSS = {"classification": misses, "regression": weighted_error, "generation": weighted_error}
OWN_SCORE = {
    "classification": share_wrong,
    "regression": largest_error,
    "generation": largest_error,
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def problem_of(kind: str, **options) -> Problem:
    return Problem({"x": table()}, {"y": KINDS[kind](**options)})


def heads(problem: Problem, split: str = "train") -> tuple[torch.Tensor, torch.Tensor]:
    """Random heads and the targets of a split."""
    port, target = problem.outputs["y"].port, problem.split(split).targets["y"]
    return torch.randn(len(target), port.width, generator=torch.Generator().manual_seed(0)), target


def perfect(problem: Problem, split: str) -> torch.Tensor:
    """The head that makes no error."""
    target = problem.split(split).targets["y"]
    return 100 * torch.eye(problem.outputs["y"].port.width)[target] if target.ndim == 1 else target


# --- Ports


def test_every_kind_has_a_case_here():
    assert set(KINDS) == set(OUTPUT_KINDS)


@each_kind
def test_ports_are_small_hashable_values(kind):
    problem = problem_of(kind)
    for port in (problem.inputs["x"], problem.outputs["y"].port):
        assert pickle.loads(pickle.dumps(port)) == port
        assert hash(pickle.loads(pickle.dumps(port))) == hash(port)
        assert type(port)(**asdict(port)) == port
        assert all(isinstance(number, float) for number in (*port.shift, *port.scale))


def test_what_each_kind_takes():
    taken = {kind: set(Output(kind, 1).takes) for kind in OUTPUT_KINDS}
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


def test_squared_error_is_that_of_torch():
    problem = problem_of("regression")
    head, target = heads(problem)
    assert torch.allclose(
        problem.outputs["y"].loss(head, target), torch.nn.functional.mse_loss(head, target)
    )


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


def test_a_subclass_with_a_kind_is_an_output_kind(monkeypatch):
    monkeypatch.setattr("deap_valp.problem.outputs.OUTPUT_KINDS", dict(OUTPUT_KINDS))

    class Count(Regression):
        kind = "count"
        takes = frozenset({"values", "discrete"})

    port = Problem({"x": table()}, {"y": Count(np.arange(SIZE))}).outputs["y"].port
    assert port.kind == "count" and port.takes == {"values", "discrete"}


# --- Inputs


@pytest.mark.parametrize(
    "convert", [np.asarray, torch.from_numpy, pd.DataFrame, np.ndarray.tolist], ids=str
)
def test_arrays_of_every_make_give_the_same_problem(convert):
    expected, made = (
        Problem({"x": x}, {"y": Classification(labels())}) for x in (table(), convert(table()))
    )
    assert made.inputs == expected.inputs
    assert torch.equal(made.split("train").inputs["x"], expected.split("train").inputs["x"])


@pytest.mark.parametrize("dtype", ["f2", "f4", ">f4", "f8", "i1", "i8", "u2", "?"])
def test_numbers_of_every_dtype_are_standardised_from_the_training_split(dtype):
    x = (table() * 3).astype(dtype) if dtype != "?" else table() > 3
    problem = Problem({"x": x}, {"y": Classification(labels())})
    features = problem.split("train").inputs["x"]
    assert features.dtype is torch.float32 and features.shape == (84, 4)
    assert features.mean(0).abs().max() < 1e-5
    assert (features.std(0, correction=0) - 1).abs().max() < 1e-5
    prepared = problem.prepare({"x": x})["x"]
    assert torch.equal(prepared, torch.from_numpy(x.astype(np.float32)))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.float64])
def test_images_are_flattened_and_not_standardised(dtype):
    problem = Problem({"x": pictures(dtype)}, {"y": Generation()}, splits=slices())
    port, features = problem.inputs["x"], problem.split("train").inputs["x"]
    assert port.width == 9 and port.shift == (0.0,)
    assert port.scale == pytest.approx((1 / 255 if dtype is np.uint8 else 1.0,))
    expected = torch.from_numpy(pictures(np.float64)[:80].reshape(80, 9)).float()
    assert torch.allclose(features, expected, atol=1e-6)
    assert problem.outputs["y"].port.scale == (255.0 if dtype is np.uint8 else 1.0,)


def slices() -> dict[str, slice]:
    return {"train": slice(0, 80), "validation": slice(80, 100), "test": slice(100, None)}


@pytest.mark.parametrize(
    "data", [table(), table().astype(np.float32), pictures(), frame()], ids=lambda x: str(x.shape)
)
@pytest.mark.parametrize("standardize", [True, False])
def test_prepared_data_becomes_the_features_of_the_split(data, standardize):
    problem = Problem(
        {"x": data}, {"y": Classification(labels())}, splits=slices(), standardize=standardize
    )
    prepared = problem.prepare({"x": data[100:]})["x"]
    assert prepared.dtype is torch.float32
    assert torch.allclose(
        problem.inputs["x"].features(prepared), problem.split("test").inputs["x"], atol=1e-5
    )


def test_prediction_of_a_target_is_the_target_in_the_users_units():
    for target in (table(2), pictures()):
        for kind in (Regression, Generation):
            problem = Problem({"x": table()}, {"y": kind(target)}, splits=slices())
            back = problem.outputs["y"].port.predict(problem.split("test").targets["y"])
            assert torch.allclose(
                back, torch.from_numpy(target[100:].reshape(20, -1)).float(), atol=1e-4
            )


def test_constant_columns_are_left_alone():
    x = table()
    x[:, 1] = 0.1
    x[:, 2] = 7
    port = Problem({"x": x}, {"y": Classification(labels())}).inputs["x"]
    assert port.scale[1] == port.scale[2] == 1.0
    assert port.shift[1] == pytest.approx(0.1)


def test_columns_of_categories_become_one_hot():
    problem = Problem({"x": frame()}, {"y": Classification(labels())}, standardize=False)
    assert (
        problem.inputs["x"].width == 1 + 1 + 3 + 2
    )  # "never" is a category that training never saw
    new = frame().iloc[:2].assign(colour=["blue", "violet"], grade=pd.Categorical(["b", "other"]))
    prepared = problem.prepare({"x": new[["grade", "colour", "flag", "length"]]})[
        "x"
    ]  # columns are found by name
    assert prepared[:, 2:].tolist() == [[1, 0, 0, 1, 0], [0, 0, 0, 0, 0]]


def test_standardize_by_port():
    inputs = {"x": table(), "image": pictures(np.float32), "raw": table(2)}
    problem = Problem(
        inputs, {"y": Regression(table(2))}, standardize={"raw": False, "image": True, "y": False}
    )
    assert problem.inputs["raw"] == Input(2)
    assert len(problem.inputs["image"].shift) == 9
    assert len(problem.inputs["x"].shift) == 4
    assert problem.outputs["y"].port == Output("regression", 2)


def test_what_the_kind_says_of_standardising_goes_before_what_the_problem_says():
    for wish in (True, False):
        port = Problem(
            {"x": table()}, {"y": Regression(table(2), standardize=wish)}, standardize=not wish
        ).outputs["y"]
        assert (port.port == Output("regression", 2)) == (not wish)


@pytest.mark.parametrize(
    "given, classes",
    [
        (labels(), (5, 6, 7)),
        (torch.from_numpy(labels()), (5, 6, 7)),
        (pd.Series(np.array(["b", "a"])[np.arange(SIZE) % 2]), ("a", "b")),
        (pd.Series(pd.Categorical(np.array(["b", "a"])[np.arange(SIZE) % 2])), ("a", "b")),
        (np.arange(SIZE) % 2 == 0, (False, True)),
        ([("tuple", 1), "text"] * 60, {("tuple", 1), "text"}),
        (labels()[:, None], (5, 6, 7)),
    ],
    ids=["ints", "torch", "strings", "categories", "booleans", "anything", "one column"],
)
def test_labels_of_every_make(given, classes):
    if isinstance(classes, set):
        listed, given = given, np.empty(SIZE, dtype=object)
        given[:] = listed
    problem = Problem({"x": table()}, {"y": Classification(given)}, splits=slices())
    output = problem.outputs["y"]
    assert set(output.classes) == classes if isinstance(classes, set) else output.classes == classes
    target = problem.split("test").targets["y"]
    assert target.dtype is torch.int64 and target.shape == (20,)
    assert [output.classes[index] for index in target] == pd.Series(np.squeeze(given)).tolist()[
        100:
    ]


# --- Splits


def row_numbers(**options) -> dict[str, list[int]]:
    problem = Problem(
        {"x": np.arange(SIZE)}, {"y": Classification(labels())}, standardize=False, **options
    )
    return {name: problem.split(name).inputs["x"].flatten().long().tolist() for name in SPLITS}


def test_fractions_cut_a_seeded_random_order():
    rows = row_numbers(splits=(0.5, 0.3, 0.2))
    assert [len(rows[name]) for name in SPLITS] == [60, 36, 24]
    assert sorted(row for part in rows.values() for row in part) == list(range(SIZE))
    assert (
        rows == row_numbers(splits=(0.5, 0.3, 0.2)) != row_numbers(splits=(0.5, 0.3, 0.2), seed=1)
    )


def test_given_rows_are_shuffled_for_training_only():
    given = {
        "train": np.arange(80),
        "validation": list(range(119, 99, -1)),
        "test": torch.arange(80, 100),
    }
    rows = row_numbers(splits=given)
    assert rows["train"] != list(range(80)) and sorted(rows["train"]) == list(range(80))
    assert rows["validation"] == given["validation"] and rows["test"] == list(range(80, 100))


def test_slices_stay_in_order_and_are_views():
    assert row_numbers(splits=slices())["train"] == list(range(80))
    data = table().astype(np.float32)
    problem = Problem({"x": data}, {"y": Generation()}, splits=slices(), standardize=False)
    assert np.shares_memory(problem.split("validation").inputs["x"].numpy(), data)
    assert (
        problem.split("train", limit=5).inputs["x"].data_ptr()
        == problem.split("train").inputs["x"].data_ptr()
    )


def test_read_only_files_can_be_mapped(tmp_path):
    np.save(tmp_path / "x.npy", table().astype(np.float32))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    problem = Problem({"x": mapped}, {"y": Generation()}, splits=slices(), standardize=False)
    assert np.shares_memory(problem.split("train").inputs["x"].numpy(), mapped)


def test_inputs_and_targets_stay_together():
    problem = Problem(
        {"x": np.arange(SIZE)}, {"y": Regression(np.arange(SIZE) * 2.0)}, standardize=False
    )
    for name in SPLITS:
        split = problem.split(name)
        assert torch.equal(split.inputs["x"] * 2, split.targets["y"])
        assert split.size == len(split.inputs["x"])


@pytest.mark.parametrize(
    "data", [pictures(), table(), pictures(np.float32).copy()], ids=["bytes", "table", "images"]
)
def test_a_target_that_is_the_input_is_stored_once(data):
    for target in (None, data, data.copy()):
        split = Problem(
            {"x": data}, {"y": Generation(target), "z": Classification(labels())}
        ).split("train")
        assert split.targets["y"] is split.inputs["x"]
        moved = Problem({"x": data}, {"y": Generation(target)}).split("train", device="meta")
        assert moved.targets["y"] is moved.inputs["x"]


def test_a_split_is_moved_to_a_device_once():
    problem = problem_of("regression")
    assert problem.split("train", "meta") is problem.split("train", torch.device("meta"))
    assert problem.split("train").inputs["x"] is problem.split("train", "cpu").inputs["x"]


def test_limit_gives_the_first_examples():
    problem = problem_of("classification")
    limited, whole = problem.split("validation", limit=7), problem.split("validation")
    assert limited.size == 7 and torch.equal(limited.targets["y"], whole.targets["y"][:7])
    assert problem.split("validation", limit=10_000).size == whole.size


def test_random_state_is_left_alone():
    np.random.seed(0), torch.manual_seed(0)
    before = np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    problem_of("generation").outputs["y"].score(torch.zeros(5, 4), "test")
    assert (np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()) == before


@each_kind
def test_the_users_arrays_are_not_kept(kind):
    x, target = table(), labels() if kind == "classification" else table(2)
    known = weakref.ref(x), weakref.ref(target)
    problem = Problem({"x": x}, {"y": type(KINDS[kind]())(target)})
    del x, target
    gc.collect()
    assert problem.inputs and [array() for array in known] == [None, None]


def test_binding_leaves_the_users_objects_alone():
    kind, inputs = Classification(labels()), {"x": table()}
    first, second = Problem(inputs, {"y": kind}), Problem({"x": table(), "z": table()}, {"y": kind})
    assert not hasattr(kind, "port") and first.outputs["y"] is not second.outputs["y"]


# --- Objectives and texts


def test_objectives_are_outputs_then_costs():
    outputs = {"a": Classification(labels()), "b": Regression(table(1))}
    for costs in (("weight_count", size_of), {"weight_count": size_of, "size_of": size_of}):
        problem = Problem({"x": table()}, outputs, costs=costs)
        assert problem.objectives == ("a", "b", "weight_count", "size_of")
        assert problem.weights == (-1.0,) * 4
        assert [cost(type("VALP", (), {"weight_count": 7})) for cost in problem.costs.values()] == [
            7,
            7,
        ]


def test_texts_say_what_there_is():
    problem = Problem({"x": pictures()}, {"y": Classification(labels())}, costs=["weight_count"])
    assert repr(problem) == "<Problem x 9 -> y classification 3; 84/18/18 examples>"
    for line in (
        "input x: 9 features",
        "output y: classification, width 3",
        "cost weight_count",
        "test: 18 examples",
    ):
        assert line in str(problem)


# --- Travelling


def in_another_process(code: str, *arguments: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


def described(problem: Problem) -> str:
    """What must be the same wherever the problem is opened."""
    split = problem.split("train")
    sums = [
        tensor.double().sum().item() for tensor in (*split.inputs.values(), *split.targets.values())
    ]
    shared = split.targets["y"] is split.inputs["x"] is problem.outputs["y"].targets["train"]
    scored = (
        problem.outputs["y"].score(split.inputs["x"] + 1, "test"),
        problem.outputs["z"].score(torch.eye(3), "test"),
    )
    costs = [cost(problem.outputs["y"].port) for cost in problem.costs.values()]
    return f"{problem} {problem.loss_scale} {problem.prepare({'x': [[1.0, 2, 3, 4]]})} {sums} {shared} {scored} {costs}"


OPEN = """
import pathlib, pickle, sys, test_problem
text = pathlib.Path(sys.argv[1]).read_bytes()
problem = pickle.loads(text)
assert pickle.loads(text) is problem, "opened twice"
assert len(pickle.dumps(problem)) < 2000
print(test_problem.described(problem))
"""


def travelling() -> Problem:
    outputs = {
        "y": Generation(features=first_two),
        "z": Classification(labels(), loss=misses, score=share_wrong),
    }
    return Problem({"x": table()}, outputs, costs=[width_of])


def test_another_process_opens_the_same_problem(tmp_path):
    from test_problem import (
        described,
        travelling,
    )  # by the name that the other process knows them by

    problem, file = travelling(), tmp_path / "problem.pickle"
    problem.split("train", device="meta")  # what is on a device stays there
    file.write_bytes(pickle.dumps(problem))
    there = in_another_process(OPEN, str(file))
    assert there.returncode == 0, there.stderr
    assert there.stdout == described(problem) + "\n"


def test_here_the_reference_is_the_problem_itself():
    problem = travelling()
    assert pickle.loads(pickle.dumps(problem)) is problem
    assert copy.deepcopy(problem) is problem
    assert copy.deepcopy(partial(print, problem=problem)).keywords["problem"] is problem


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_is_small(kind):
    problem = problem_of(kind)
    assert len(pickle.dumps(problem)) < 2000
    assert len(pickle.dumps([problem] * 50)) < 2000


LEAVE = """
import os, pathlib, pickle, sys, test_problem
text = pickle.dumps(test_problem.travelling())
pathlib.Path(sys.argv[1]).write_bytes(text)
child = os.fork()
if not child:
    sys.exit()  # runs the handlers at exit, and must leave the folder to its parent
os.waitpid(child, 0)
path = pickle.loads(text).__reduce__()[1][0]
print(path, os.path.isdir(path))
"""


def test_files_end_with_the_process_that_wrote_them_and_nobody_else(tmp_path):
    file = tmp_path / "problem.pickle"
    done = in_another_process(LEAVE, str(file))
    assert done.returncode == 0, done.stderr
    path, existed = done.stdout.split()
    assert existed == "True" and not Path(path).exists()
    with pytest.raises(
        ProblemError, match=r"written to .* by process \d+ on .* hosts need an importable loader"
    ):
        pickle.loads(file.read_bytes())


def test_nothing_is_left_of_files_that_could_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(np, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        pickle.dumps(problem_of("regression"))
    assert not list(tmp_path.glob("deap_valp*"))


def loaded(width: int = 2, cost=size_of) -> Problem:
    own = Classification(
        labels(), loss=lambda head, target: head.square().mean()
    )  # travels, as nobody pickles it
    return Problem({"x": table(width)}, {"y": own}, normalize=False, costs={"cost": cost})


LOADER = f"{__name__}:loaded"


def test_a_loader_is_called_once_per_arguments():
    problem = Problem.load(LOADER, width=3)
    assert Problem.load(LOADER, width=3) is problem is pickle.loads(pickle.dumps(problem))
    assert Problem.load(LOADER, width=2) is not problem
    assert Problem.load(LOADER, cost=partial(size_of)) is Problem.load(
        LOADER, cost=partial(size_of)
    )
    assert len(pickle.dumps(problem)) < 200


def test_a_loader_travels_by_name(tmp_path):
    file = tmp_path / "problem.pickle"
    file.write_bytes(pickle.dumps(Problem.load("test_problem:loaded", width=3)))
    code = "import pathlib, pickle, sys\nprint(repr(pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())))"
    there = in_another_process(code, str(file))
    assert there.stdout.strip() == "<Problem x 3 -> y classification 3; 84/18/18 examples>", (
        there.stderr
    )


def not_a_problem() -> int:
    return 3


@pytest.mark.parametrize(
    "loader, message",
    [
        ("no.such.module:f", "importable 'package.module:function', got 'no.such.module:f'"),
        (f"{__name__}:missing", "importable 'package.module:function'"),
        ("just_a_name", "importable 'package.module:function'"),
        (":f", "importable 'package.module:function'"),
        (f"{__name__}:not_a_problem", "needs a function that gives a Problem, got 3"),
    ],
)
def test_a_loader_that_does_not_load_is_named(loader, message):
    with pytest.raises(ProblemError, match=message):
        Problem.load(loader)


@pytest.mark.parametrize(
    "options, named",
    [
        (
            {
                "outputs": {
                    "y": Classification(labels(), loss=lambda head, target: misses(head, target))
                }
            },
            "loss of output 'y'",
        ),
        ({"outputs": {"y": Classification(labels(), score=lambda *_: 0)}}, "score of output 'y'"),
        ({"outputs": {"y": Generation(features=lambda rows: rows)}}, "features of output 'y'"),
        (
            {"outputs": {"y": Generation()}, "costs": {"depth": lambda individual: 1}},
            "cost 'depth'",
        ),
    ],
    ids=["loss", "score", "features", "cost"],
)
def test_a_function_that_cannot_travel_is_named_when_the_problem_does(options, named):
    problem = Problem({"x": table()}, **options)
    with pytest.raises(
        ProblemError, match=f"{named} needs to pickle, got .*lambda.* define it at module level"
    ):
        pickle.dumps(problem)


def test_an_argument_that_cannot_travel_is_named_when_the_problem_does():
    problem = Problem.load(LOADER, cost=lambda individual: 1)
    with pytest.raises(
        ProblemError,
        match=r"the reference of <Problem x 2 .* needs to pickle, got .*'cost': .*lambda",
    ):
        pickle.dumps(problem)


# --- Bad input


def spoilt(data: np.ndarray, number: float, row: int = 70) -> np.ndarray:
    bad = data.astype(np.float64)
    bad[row:, ..., -1] = number
    return bad


def with_label(label: object, row: int) -> np.ndarray:
    changed = labels().astype(object)
    changed[row] = label
    return changed


def problem(inputs=None, outputs=None, **options) -> Problem:
    if inputs is None:
        inputs = {"x": table()}
    return Problem(
        inputs, {"y": Classification(labels())} if outputs is None else outputs, **options
    )


def output(kind) -> Problem:
    return problem(outputs={"y": kind})


def rows(**changed) -> dict:
    return {"train": range(80), "validation": range(80, 100), "test": range(100, 120)} | changed


BAD = {
    # numbers
    "NaN": (
        lambda: problem({"x": spoilt(table(), math.nan)}),
        "port 'x' .*finite.* got nan in row 70, column 3",
    ),
    "infinity": (
        lambda: problem({"x": spoilt(table(), -math.inf)}),
        "port 'x' .*got -inf in row 70",
    ),
    "too large": (
        lambda: problem({"x": spoilt(table(), 1e39)}),
        r"port 'x' .*fit float32, got 1e\+39 in row 70",
    ),
    "NaN in float32": (
        lambda: problem({"x": spoilt(table(), math.nan).astype("f4")}),
        "got nan in row 70",
    ),
    "NaN far down": (
        lambda: problem(
            {"x": spoilt(table(2, 5000), math.nan, 4321)}, {"y": Classification(labels(5000))}
        ),
        "row 4321",
    ),
    "NaN in a target": (
        lambda: output(Regression(spoilt(table(), math.nan))),
        "port 'y' .*got nan in row 70",
    ),
    "NaN in a frame": (
        lambda: problem({"x": frame().replace({"colour": {"red": None}})}),
        "port 'x' .*row 0, column 'colour'",
    ),
    "complex": (lambda: problem({"x": table() + 1j}), "port 'x' needs numbers, .*got complex128"),
    "complex in a frame": (
        lambda: problem({"x": pd.DataFrame(table() + 1j)}),
        "port 'x' needs real numbers",
    ),
    "objects": (
        lambda: problem({"x": table().astype(object)}),
        "port 'x' needs numbers, or a frame .*got object",
    ),
    "strings": (lambda: problem({"x": labels().astype(str)}), "port 'x' needs numbers, or a frame"),
    "ragged": (
        lambda: problem({"x": [[1, 2], [3]]}),
        "port 'x' needs an array, got something ragged",
    ),
    "a number": (lambda: problem({"x": 3}), r"port 'x' needs an array of examples, got int \(\)"),
    "no columns": (
        lambda: problem({"x": np.zeros((SIZE, 0))}),
        r"port 'x' needs an array of examples",
    ),
    "dates in a frame": (
        lambda: problem({"x": pd.DataFrame({"day": pd.to_datetime(["2020-01-01"] * SIZE)})}),
        "got datetime64.* column 'day'",
    ),
    "lists in a frame": (
        lambda: problem({"x": pd.DataFrame({"list": [[1]] * SIZE})}),
        "hashable categories in column 'list'",
    ),
    "equal column names": (
        lambda: problem({"x": pd.DataFrame(table(2), columns=["a", "a"])}),
        "column names that differ",
    ),
    "empty frame": (
        lambda: problem({"x": pd.DataFrame(index=range(SIZE))}),
        "frame with rows and columns",
    ),
    "lengths": (
        lambda: problem({"x": table(), "z": table(2, 50)}),
        "same number of examples, got x 120, z 50, y 120",
    ),
    "lengths of labels": (lambda: output(Generation(labels=labels(50))), "same number of examples"),
    # targets
    "constant regression": (
        lambda: output(Regression(np.full(SIZE, 0.1))),
        "port 'y' needs a target that varies",
    ),
    "constant generation": (
        lambda: output(Generation(np.zeros((SIZE, 2, 2)))),
        "port 'y' needs a target that varies",
    ),
    "categories to regress": (
        lambda: output(Regression(frame()["colour"])),
        "port 'y' .*Classification",
    ),
    "which input": (
        lambda: problem({"x": table(), "z": table()}, {"y": Generation()}),
        r"needs a target .*\['x', 'z'\]",
    ),
    # labels
    "NaN label": (
        lambda: output(Classification(with_label(math.nan, 50))),
        "port 'y' .*label.*, got nan in row 50",
    ),
    "no label": (
        lambda: output(Classification(pd.Series(with_label(None, 50)))),
        "port 'y' .*got None in row 50",
    ),
    "missing label": (
        lambda: output(Classification(pd.Series(with_label(pd.NA, 50)))),
        "port 'y' .*row 50",
    ),
    "complex label": (lambda: output(Classification(labels() + 1j)), "port 'y' needs labels"),
    "unhashable label": (
        lambda: output(Classification(pd.Series([[1]] * SIZE))),
        "port 'y' needs hashable labels",
    ),
    "one-hot": (
        lambda: output(Classification(np.eye(3)[labels() - 5])),
        r"one label per example, got shape \(120, 3\)",
    ),
    "one class": (
        lambda: output(Classification(np.zeros(SIZE, int))),
        "port 'y' .*two classes.* got only 0",
    ),
    "unseen class": (
        lambda: problem(outputs={"y": Classification(with_label(9, 100))}, splits=slices()),
        r"port 'y' .*'test' among the classes of the training split \(5, 6, 7\), got 9",
    ),
    "unseen label of generation": (
        lambda: problem(outputs={"y": Generation(labels=with_label(9, 90))}, splits=slices()),
        "port 'y' .*'validation'.*got 9",
    ),
    # splits
    "fractions": (
        lambda: problem(splits=(0.7, 0.2, 0.2)),
        r"fractions that sum to 1, got \(0.7, 0.2, 0.2\)",
    ),
    "two fractions": (lambda: problem(splits=(0.5, 0.5)), "three positive fractions"),
    "negative fraction": (lambda: problem(splits=(1.2, -0.1, -0.1)), "three positive fractions"),
    "words": (lambda: problem(splits="half"), "three fractions or a mapping .*got 'half'"),
    "fraction of nothing": (
        lambda: problem(splits=(0.998, 0.001, 0.001)),
        "split 'validation' needs at least one example",
    ),
    "empty split": (
        lambda: problem(splits=rows(test=[])),
        "split 'test' needs at least one example",
    ),
    "empty slice": (
        lambda: problem(splits=rows(test=slice(120, 120))),
        "split 'test' needs a slice of at least one",
    ),
    "slice beyond": (lambda: problem(splits=rows(test=slice(100, 130))), "split 'test' .*120 rows"),
    "slice with steps": (
        lambda: problem(splits=rows(test=slice(100, 120, 2))),
        "split 'test' .*step 1",
    ),
    "overlap": (
        lambda: problem(splits=rows(test=range(95, 120))),
        "got row 95 in 'validation' and 'test'",
    ),
    "row beyond": (
        lambda: problem(splits=rows(test=[100, 120])),
        "split 'test' needs row indices from 0 to 119, got 120",
    ),
    "negative row": (lambda: problem(splits=rows(test=[-1])), "split 'test' .*got -1"),
    "rows that are no integers": (
        lambda: problem(splits=rows(test=[100.0])),
        "split 'test' .*got float64",
    ),
    "names of splits": (
        lambda: problem(splits={"train": [1], "valid": [2]}),
        r"keys \['train', 'validation', 'test'\]",
    ),
    "unknown split": (lambda: problem().split("valid"), "name among .*, got 'valid'"),
    "unknown split to score": (
        lambda: problem().outputs["y"].score(torch.eye(3), "valid"),
        "got 'valid'",
    ),
    "limit": (lambda: problem().split("train", limit=0), "limit of at least one example, got 0"),
    # names and kinds
    "no inputs": (lambda: problem({}), "needs inputs as a mapping .*empty"),
    "no outputs": (lambda: problem(outputs={}), "needs outputs as a mapping .*empty"),
    "inputs without names": (lambda: problem(table()), "needs inputs as a mapping .*got ndarray"),
    "no identifier": (lambda: problem({"a b": table()}), "identifiers.* got 'a b'"),
    "no string": (lambda: problem({1: table()}), "identifiers.* got 1"),
    "name of a sub-network": (lambda: problem({"n12": table()}), "sub-network.* got 'n12'"),
    "shared name": (lambda: problem({"y": table()}), "got 'y' twice"),
    "name of a cost": (lambda: problem(costs={"x": size_of}), "got 'x' twice"),
    "array for a kind": (
        lambda: problem(outputs={"y": labels()}),
        "output 'y' needs one of .*'Classification'.*got ndarray",
    ),
    "bound kind": (
        lambda: output(problem_of("generation").outputs["y"]),
        "output 'y' needs a kind of its own",
    ),
    "unknown cost": (lambda: problem(costs=["depth"]), r"\['weight_count'\], got 'depth'"),
    "cost that is no function": (
        lambda: problem(costs={"depth": 3}),
        "functions of an individual .*got 3",
    ),
    "port to standardise": (
        lambda: problem(standardize={"z": True}),
        r"names of ports \(\['x', 'y'\]\), got \['z'\]",
    ),
    "wish to standardise": (lambda: problem(standardize="yes"), "True, False or a mapping"),
    "wish of a kind": (
        lambda: Regression(table(), standardize="yes"),
        "standardize to be True, False or None",
    ),
    # functions and weights
    **{
        f"{name} of {kind}": (
            lambda kind=kind, name=name: KINDS[kind](**{name: 3}),
            f"{kind.title()} needs a callable {name}, got 3",
        )
        for kind in KINDS
        for name in ("loss", "score")
    },
    "features": (lambda: Generation(features=3), "Generation needs a callable features"),
    "features and labels": (lambda: Generation(features=first_two, labels=labels()), "got both"),
    **{
        f"loss weight {weight}": (
            lambda weight=weight: Classification(labels(), loss_weight=weight),
            "positive finite loss_weight",
        )
        for weight in (0, -1, math.nan, math.inf, "1")
    },
    "loss that raises": (
        lambda: output(Regression(table(), loss=lambda head: head.mean())),
        "output 'y' needs a loss of .*raised TypeError",
    ),
    "loss per example": (
        lambda: output(Regression(table(), loss=torch.sub)),
        "differentiable scalar",
    ),
    "loss that is a number": (
        lambda: output(Regression(table(), loss=lambda *_: 3.0)),
        "differentiable scalar, got 3.0",
    ),
    "loss without gradient": (
        lambda: output(Regression(table(), loss=lambda h, t: h.detach().mean())),
        "differentiable scalar",
    ),
    "loss below zero": (
        lambda: output(Regression(table(), loss=lambda h, t: -weighted_error(h, t))),
        "normalize needs a positive",
    ),
    # predictions and new data
    "width of a prediction": (
        lambda: problem().outputs["y"].score(torch.eye(4), "test"),
        r"\(examples, 3\), got \(4, 4\)",
    ),
    "too many predictions": (
        lambda: problem().outputs["y"].score(torch.ones(90, 3), "test"),
        "18 predictions .*got 90",
    ),
    "missing input": (lambda: problem().prepare({}), r"with the inputs \['x'\], got \[\]"),
    "input without a name": (lambda: problem().prepare(table()), "got ndarray"),
    "width of an input": (
        lambda: problem().prepare({"x": table(3)}),
        r"port 'x' needs examples of shape \(4,\), got \(3,\)",
    ),
    "NaN in new data": (
        lambda: problem().prepare({"x": spoilt(table(), math.nan)}),
        "port 'x' .*got nan in row 70",
    ),
    "array for a frame": (
        lambda: problem({"x": frame()}).prepare({"x": table()}),
        "needs a frame with the columns",
    ),
    "missing column": (
        lambda: problem({"x": frame()}).prepare({"x": frame()[["flag"]]}),
        r"needs the columns \['length', ",
    ),
}


@pytest.mark.parametrize("attempt, message", BAD.values(), ids=BAD.keys())
def test_bad_input_is_named(attempt, message):
    with pytest.raises(ProblemError, match=message):
        attempt()
