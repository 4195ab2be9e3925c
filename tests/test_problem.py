"""Problems over the user's arrays: inputs, splits, objectives and texts."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pandas as pd
import pytest
import torch
from small_data import (
    KINDS,
    SIZE,
    each_kind,
    frame,
    labels,
    pictures,
    problem_of,
    size_of,
    slices,
    table,
)

from deap_valp.problem import (
    Classification,
    Generation,
    Input,
    Output,
    Problem,
    Regression,
)
from deap_valp.problem.data.splits import SPLITS

# --- Inputs


@pytest.mark.parametrize(
    "convert",
    [np.asarray, torch.from_numpy, pd.DataFrame, np.ndarray.tolist],
    ids=lambda convert: convert.__name__,  # not an address, which differs between processes
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


def test_limit_gives_the_same_random_examples():
    problem = problem_of("classification")
    limited, whole = problem.split("validation", limit=7), problem.split("validation")
    assert limited.size == 7 and problem.split("validation", limit=7) is limited
    rows = [row for row in range(whole.size) if _is_among(whole.inputs["x"][row], limited)]
    assert len(rows) == 7 and rows != list(range(7))
    assert torch.equal(limited.targets["y"], whole.targets["y"][rows])
    assert problem.split("validation", limit=10_000) is whole


def _is_among(row, split):
    return bool((split.inputs["x"] == row).all(1).any())


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
