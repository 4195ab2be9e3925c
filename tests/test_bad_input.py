"""Every bad input gets an error that names it."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest
import torch
from small_data import (
    KINDS,
    SIZE,
    first_two,
    frame,
    labels,
    pictures,
    problem_of,
    size_of,
    slices,
    table,
    weighted_error,
)

from deap_valp.errors import ProblemError
from deap_valp.problem import (
    Classification,
    Generation,
    Problem,
    Regression,
)

# --- Bad input


def spoilt(data: np.ndarray, number: float, row: int = 70) -> np.ndarray:
    bad = data.astype(np.float64)
    bad[row:, ..., -1] = number
    return bad


def absent(rows: slice) -> np.ndarray:
    target = table()
    target[rows] = math.nan
    return target


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


def labels_alone(prediction, target):
    raise ValueError("a mix of classes and continuous targets")


def rows(**changed) -> dict:
    return {"train": range(80), "validation": range(80, 100), "test": range(100, 120)} | changed


BAD = {
    # numbers
    "NaN in images": (
        lambda: problem({"x": spoilt(pictures(float), math.nan)}),
        "port 'x' .*finite.*missing in tables, but not in images, got nan in row 70, column 2",
    ),
    "NaN in images of float32": (
        lambda: problem({"x": spoilt(pictures(float), math.nan).astype("f4")}),
        "got nan in row 70",
    ),
    "masked images": (
        lambda: problem({"x": np.ma.masked_equal(pictures(), 7)}),
        "missing in tables, but not in images",
    ),
    "infinity beside NaN": (
        lambda: problem({"x": spoilt(spoilt(table(), math.nan, 50), math.inf)}),
        "port 'x' .*got inf in row 70, column 3",
    ),
    "no value of a column": (
        lambda: problem({"x": spoilt(table(), math.nan, 0)}),
        "port 'x' .*at least one value of each column in the training split, .*column 3",
    ),
    "no category of a column": (
        lambda: problem({"x": frame().assign(colour=None)}),
        "port 'x' .*at least one value of each column .*column 'colour'",
    ),
    "infinity in a frame": (
        lambda: problem({"x": frame().assign(last=math.inf)}),
        "port 'x' .*got inf in row 0, column 'last'",
    ),
    "infinity": (
        lambda: problem({"x": spoilt(table(), -math.inf)}),
        "port 'x' .*got -inf in row 70",
    ),
    "too large": (
        lambda: problem({"x": spoilt(table(), 1e39)}),
        r"port 'x' .*fit float32, got 1e\+39 in row 70",
    ),
    "infinity far down": (
        lambda: problem(
            {"x": spoilt(table(2, 5000), math.inf, 4321)}, {"y": Classification(labels(5000))}
        ),
        "row 4321",
    ),
    "infinity in a target": (
        lambda: output(Regression(spoilt(table(), math.inf))),
        "port 'y' .*got inf in row 70",
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
        "got datetime64.* column 'day': make numbers of it, such as column.dt.month",
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
    **{
        f"no target in {split}": (
            lambda split=split: problem(
                outputs={"y": Regression(absent(slices()[split]))}, splits=slices()
            ),
            f"output 'y' needs a target .*each split, got none among the .* of split '{split}'",
        )
        for split in slices()
    },
    "no label": (
        lambda: output(Classification([None] * SIZE)),
        "output 'y' needs a target .*at least one example of each split",
    ),
    "no weight": (
        lambda: output(Classification(labels(), example_weights=np.zeros(SIZE))),
        "output 'y' needs a target of positive weight",
    ),
    "label of generation": (
        lambda: output(Generation(labels=with_label(None, 50))),
        "port 'y' .*label for every example, got None in row 50",
    ),
    # weights of examples and classes
    "lengths of weights": (
        lambda: output(Classification(labels(), example_weights=np.ones(50))),
        "same number of examples, got x 120, y 50, y 120",
    ),
    "negative weight": (
        lambda: output(Regression(table(), example_weights=[-1.0] * SIZE)),
        "output 'y' needs finite example_weights from 0 on, got -1.0 in row 0",
    ),
    "NaN weight": (
        lambda: output(Generation(example_weights=spoilt(np.ones((SIZE, 1)), math.nan)[:, 0])),
        "finite example_weights from 0 on, got nan in row 70",
    ),
    "weights that are words": (
        lambda: output(Regression(table(), example_weights=["much"] * SIZE)),
        "output 'y' needs example_weights as numbers",
    ),
    "columns of weights": (
        lambda: output(Regression(table(), example_weights=np.ones((SIZE, 2)))),
        r"one number of example_weights for each of 120 examples, got shape \(120, 2\)",
    ),
    "word for class weights": (
        lambda: Classification(labels(), class_weights="equal"),
        "class_weights as 'balanced' or a mapping of numbers by label, got 'equal'",
    ),
    "class weight": (
        lambda: Classification(labels(), class_weights={5: 0}),
        "class_weights that are positive and finite, got 0 for 5",
    ),
    "unknown class weight": (
        lambda: output(Classification(labels(), class_weights={9: 2.0})),
        r"output 'y' needs class_weights of its classes \[5, 6, 7\], got 9",
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
        r"differentiable scalar, got a tensor of shape \(84, 4\): take its mean",
    ),
    "loss that is a number": (
        lambda: output(Regression(table(), loss=lambda *_: 3.0)),
        "differentiable scalar, got 3.0",
    ),
    "loss without gradient": (
        lambda: output(Regression(table(), loss=lambda h, t: h.detach().mean())),
        "differentiable scalar",
    ),
    "score that raises": (
        lambda: output(Classification(labels(), score=labels_alone)),
        r"score .*, here probabilities and class indices of shapes \(18, 3\) and \(18,\); .*raised",
    ),
    "score that gives nothing": (
        lambda: output(Regression(table(), score=lambda *_: None)),
        "output 'y' needs a score that gives one number to minimise, got None",
    ),
    "score per example": (
        lambda: output(Regression(table(), score=torch.sub)),
        r"score that gives one number to minimise, got a tensor of shape \(18, 4\): take its mean",
    ),
    "score of another package that raises": (
        lambda: output(Regression(table(), score=lambda *_: {}["x"])),
        r"its score raised KeyError",
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
    "indexes that differ": (
        lambda: problem({"x": frame()}, {"y": Classification(pd.Series(labels())[::-1])}),
        r"need equal indexes, got 0 in 'x' and 119 in 'y' at row 0: align them",
    ),
    "width of an input": (
        lambda: problem().prepare({"x": table(3)}),
        r"port 'x' needs examples of shape \(4,\), got \(3,\)",
    ),
    "NaN in new images": (
        lambda: problem({"x": pictures(float)}).prepare({"x": spoilt(pictures(float), math.nan)}),
        "port 'x' .*not in images, got nan in row 70",
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
