"""What is odd about a user's data is logged in words, and rare labels are in training."""

from __future__ import annotations

import logging
import re

import numpy as np
import pandas as pd
import pytest
import torch

import deap_valp as valp
from deap_valp.errors import ProblemError
from deap_valp.problem.data.splits import SPLITS, split_rows

SIZE = 120


def rng(seed=0):
    return np.random.default_rng(seed)


def cars(**changed):
    numbers = rng().normal(100, 9, (SIZE, 2))
    frame = pd.DataFrame(numbers, columns=["power", "weight"])
    frame["region"] = np.array(["north", "south", "west"])[np.arange(SIZE) % 3]
    return frame.assign(**changed)


def target():
    return rng(1).normal(size=SIZE)


def problem_of(data, output=None, **options):
    output = valp.Regression(target()) if output is None else output
    return valp.Problem({"car": data}, {"y": output}, **options)


def texts(numbers, mark=None, comma="."):
    words = [f"{number:.2f}".replace(".", comma) for number in numbers]
    if mark is not None:
        words[5] = mark
    return words


def logged(caplog, work):
    with caplog.at_level(logging.WARNING, "deap_valp"):
        work()
    return [record.getMessage() for record in caplog.records]


# ---- columns -------------------------------------------------------------------------------------

POWER = cars()["power"]
ODD = {
    "a mark for what is missing": (
        {"power": texts(POWER, "?")},
        "'car' takes column 'power' for text, though 99 % of its values are numbers, all but '\\?'",
    ),
    "decimal commas": (
        {"power": texts(POWER, comma=",")},
        "column 'power' for text, though 100 % of its values are numbers: .*read_csv",
    ),
    "numbers as objects": (
        {"power": pd.Series([1, "?", *range(SIZE - 2)], dtype=object)},
        "column 'power' for text",
    ),
    "names of rows": (
        {"name": [f"car {row}" for row in range(SIZE)]},
        "'car' has 84 categories in 84 training rows of column 'name': .*leave it out",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_columns_that_are_no_categories_are_logged(name, caplog):
    changed, message = ODD[name]
    (found,) = logged(caplog, lambda: problem_of(cars(**changed), splits=(0.7, 0.15, 0.15)))
    assert re.search(message, found), found


FINE = {
    "categories": {},
    "numbers declared to be categories": {
        "power": pd.Series(texts(np.arange(SIZE) % 5)).astype("category")
    },
    "holes": {"region": cars()["region"].where(np.arange(SIZE) % 4 > 0)},
    "booleans as objects": {"flag": (target() > 0).astype(object)},
}


@pytest.mark.parametrize("name", FINE)
def test_columns_of_categories_are_not_logged(name, caplog):
    assert not logged(caplog, lambda: problem_of(cars(**FINE[name])))


def test_printing_says_which_columns_are_categories():
    text = str(problem_of(cars(flag="a")))
    assert "a table of 4 columns (2 numbers; categories: region (3), flag (1))" in text


# ---- new data ------------------------------------------------------------------------------------


def test_a_category_that_training_never_had_is_logged_with_its_share(caplog):
    prepared = problem_of(cars()).preparation.inputs["car"]
    new = cars()[:10]
    assert not logged(caplog, lambda: prepared.features(new.assign(region=None)))
    (found,) = logged(caplog, lambda: prepared.features(new.replace("north", "North")))
    assert found == (
        "'car' has values in column 'region' that training never had, in 40 % of the rows: "
        "'North' is none of 'north', 'south', 'west'"
    )
    caplog.clear()
    (found,) = logged(caplog, lambda: prepared.features(new.assign(region=7)))
    assert "in 100 % of the rows: 7 is none of" in found


@pytest.mark.parametrize("bound", [255, 16, 1.0])
def test_images_that_were_scaled_before_are_logged(bound, caplog):
    pictures = rng().random((SIZE, 8, 8)) * bound
    prepared = problem_of(valp.Image(pictures)).preparation.inputs["car"]
    assert not logged(caplog, lambda: prepared.features(pictures / 4))
    assert not logged(caplog, lambda: prepared.features(np.zeros((3, 8, 8))))
    (found,) = logged(caplog, lambda: prepared.features(pictures / 16))
    assert "only: were they scaled already?" in found


def test_a_few_dark_images_are_no_doubt_and_a_single_one_that_was_divided_by_255_is(caplog):
    pictures = rng().integers(0, 256, (SIZE, 8, 8)).astype(float)
    prepared = problem_of(valp.Image(pictures)).preparation.inputs["car"]
    assert not logged(caplog, lambda: prepared.features(pictures[:5] / 12))
    (found,) = logged(caplog, lambda: prepared.features(pictures[:1] / 255))
    assert "only: were they scaled already?" in found


# ---- the target among the inputs -----------------------------------------------------------------

LEAKS = {
    "numbers in a frame": lambda: (cars(price=target()), valp.Regression(target())),
    "with holes": lambda: (
        cars(price=target()),
        valp.Regression(np.where(np.arange(SIZE) % 7, target(), np.nan)),
    ),
    "numbers in an array": lambda: (
        np.stack([POWER, target()], 1),
        valp.Regression(torch.from_numpy(target())),
    ),
    "labels": lambda: (cars(), valp.Classification(cars()["region"])),
    "one of several": lambda: (cars(), valp.Regression(cars()[["power"]])),
    "the only column": lambda: (target(), valp.Regression(target())),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_target_among_the_columns_of_a_table_is_logged(name, caplog):
    data, output = LEAKS[name]()
    (found,) = logged(caplog, lambda: problem_of(data, output))
    assert found.startswith("'car' has the target of 'y' as its column ")


def test_reconstructions_are_no_leaks(caplog):
    numbers = rng().normal(size=(SIZE, 3))
    for output in (valp.Regression(numbers), valp.Generation(numbers), valp.Generation()):
        assert not logged(caplog, lambda output=output: problem_of(numbers, output))


# ---- rare labels ---------------------------------------------------------------------------------


def rare(rows=(3,), label="rare"):
    found = np.where(np.arange(SIZE) % 2, "even", "odd").astype(object)
    found[list(rows)] = label
    return found


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("as_given", [list, np.array, pd.Series])
def test_fractions_give_training_an_example_of_each_label(as_given, seed):
    labels = rare()
    labels[7] = None
    outputs = {"y": valp.Classification(as_given(labels)), "z": valp.Classification(rare((90, 91)))}
    problem = valp.Problem({"x": rng().normal(size=(SIZE, 2))}, outputs, seed=seed)
    assert problem.outputs["y"].classes == ("even", "odd", "rare")
    for output in problem.outputs.values():
        assert len(output.targets["train"].unique()) == 3
    assert [problem.split(name).size for name in SPLITS] == [84, 18, 18]


@pytest.mark.parametrize("seed", range(8))
def test_splits_that_had_all_labels_stay_as_they_were(seed):
    numbers = rng().normal(size=(SIZE, 2))
    problem = problem_of(numbers, valp.Classification(rare((), "")), seed=seed, standardize=False)
    rows = split_rows((0.7, 0.15, 0.15), SIZE, seed)
    for name in SPLITS:
        expected = torch.from_numpy(numbers[rows[name]]).float()
        assert torch.equal(problem.split(name).inputs["car"], expected)


def test_no_row_is_lost_or_taken_twice():
    rows = np.arange(SIZE, dtype=float)[:, None]
    problem = problem_of(rows, valp.Classification(rare((3, 4))), seed=1, standardize=False)
    found = torch.cat([problem.split(name).inputs["car"].flatten() for name in SPLITS])
    assert sorted(found.tolist()) == list(range(SIZE))


def test_rows_of_ones_own_with_a_rare_label_get_a_way_out():
    splits = {"train": range(80), "validation": range(80, 100), "test": range(100, SIZE)}
    with pytest.raises(ProblemError, match=r"got 'rare': splits as fractions .* leave out"):
        problem_of(cars(), valp.Classification(rare((110,))), splits=splits)
    with pytest.raises(ProblemError, match="many numbers, so Regression"):
        problem_of(cars(), valp.Classification(target()), splits=splits)
