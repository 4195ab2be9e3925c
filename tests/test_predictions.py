"""Predictions of a decoded VALP: from the user's own data, in the user's own terms."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.problem import Meaning
from deap_valp.training import labels_of

SIZE = 120


def rng(seed=0):
    return np.random.default_rng(seed)


def frame(size=SIZE):
    """A table of all sorts of columns, with holes."""
    table = pd.DataFrame(
        {
            "length": rng().normal(50, 3, size),
            "time": 1.6e9 + rng(1).normal(size=size),
            "colour": np.array(["red", "blue", "green"], dtype=object)[np.arange(size) % 3],
            "flag": rng(2).random(size) > 0.5,
            "count": rng(3).integers(0, 9, size).astype(float),
        }
    )
    table.loc[::7, "colour"] = None
    table.loc[::5, "length"] = np.nan
    return table


def scans(size=SIZE):
    return rng(4).integers(0, 256, (size, 4, 5), dtype=np.uint8)


def readings(size=SIZE):
    return rng(5).normal(500, 20, (size, 6, 2))


SPLITS = {"train": slice(0, 80), "validation": slice(80, 100), "test": slice(100, SIZE)}


def kinds_problem():
    """An input of every kind, an output of every kind, and labels that are no strings."""
    marks = np.empty(SIZE, dtype=object)
    marks[:] = [("a", 1), "b", 3] * (SIZE // 3)
    return valp.Problem(
        inputs={
            "table": valp.Table(frame()),
            "scan": valp.Image(scans()),
            "readings": valp.Series(readings()),
        },
        outputs={
            "species": valp.Classification(np.array(["cat", "dog"])[np.arange(SIZE) % 2]),
            "mark": valp.Classification(marks),
            "price": valp.Regression(rng(6).normal(1e4, 1e3, SIZE)),
            "place": valp.Regression(rng(7).normal(size=(SIZE, 2))),
            "picture": valp.Generation(valp.Image(scans())),
        },
        splits=SPLITS,
    )


PROBLEM = kinds_problem()
DATA = {"table": frame(), "scan": scans(), "readings": readings()}


def some(rows=slice(100, 110), **changed):
    """A few rows of every input."""
    found = {"table": frame().iloc[rows], "scan": scans()[rows], "readings": readings()[rows]}
    return found | changed


def individual():
    networks = {
        "n0": zoo.generic(6, 5),
        "n1": zoo.discrete(3),
        "n2": zoo.decoder(2, 4),
        "n3": zoo.generic(4),
    }
    edges = (
        "table->n0 scan->n0 readings->n0 n0->n1 n1->species n0->n3 n3->mark n3->price n3->place "
        "n0->n2 n2->picture"
    )
    return zoo.build(PROBLEM, networks, edges)


@pytest.fixture(scope="module")
def model():
    return valp.decode(individual(), PROBLEM)


def assert_same(one, other):
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])


# ---- what is predicted ---------------------------------------------------------------------------


def test_predictions_are_labels_and_numbers_in_the_shape_of_the_targets(model):
    found = model.predict(some())
    assert list(found) == ["species", "mark", "price", "place", "picture"]
    assert set(found["species"].tolist()) <= {"cat", "dog"}
    assert set(found["mark"].tolist()) <= {("a", 1), "b", 3}
    shapes = {name: values.shape for name, values in found.items()}
    assert shapes == {
        "species": (10,),
        "mark": (10,),
        "price": (10,),
        "place": (10, 2),
        "picture": (10, 4, 5),
    }
    assert 1e3 < abs(found["price"]).mean() < 1e5  # in the user's units


def test_probabilities_are_in_the_order_of_the_classes(model):
    found, labels = model.predict_proba(some()), model.predict(some())
    assert model.classes == {"species": ("cat", "dog"), "mark": PROBLEM.outputs["mark"].classes}
    assert list(found) == ["species", "mark"]
    for name, values in found.items():
        assert values.shape == (10, len(model.classes[name]))
        assert np.allclose(values.sum(1), 1, atol=1e-6)
        likeliest = [model.classes[name][place] for place in values.argmax(1)]
        assert labels[name].tolist() == likeliest


def test_an_output_without_probabilities_is_named_with_those_that_have_some(model):
    found = model.predict_proba(some())
    with pytest.raises(
        valp.OutputError, match=r"here \['species', 'mark'\], got 'price'"
    ) as caught:
        found["price"]
    assert isinstance(caught.value, KeyError) and str(caught.value).startswith("predict_proba")
    assert "price" not in found and found.get("price") is None
    assert pickle.loads(pickle.dumps(found)).keys() == found.keys()


def test_predictions_are_those_that_are_scored(model):
    """Of rows of the splits: the features, the accuracy and the squared error are the problem's."""
    for split, rows in SPLITS.items():
        data = some(rows)
        for name, features in model.read(data).items():
            assert torch.equal(features, PROBLEM.split(split).inputs[name])
        scores, found = valp.score(individual(), PROBLEM, split, device="cpu"), model.predict(data)
        wrong = np.mean(found["species"] != np.array(["cat", "dog"])[np.arange(SIZE) % 2][rows])
        assert scores["species"] == pytest.approx(wrong)
        missed = found["price"] - rng(6).normal(1e4, 1e3, SIZE)[rows]
        assert scores["price"] == pytest.approx(np.mean(missed**2), rel=1e-3)


def test_every_zoo_member_predicts_what_it_computes(zoo_member, problem):
    data = new_data(problem)
    model = valp.decode(zoo_member, problem, dtype=torch.float64)
    tensors = {name: torch.from_numpy(values) for name, values in data.items()}
    with torch.no_grad():
        expected = model(tensors)
    found = model.predict(data)
    for name, kind in problem.outputs.items():
        if kind.classes:
            likeliest = expected[name].argmax(1)
            assert found[name].tolist() == [kind.classes[place] for place in likeliest]
        else:
            wanted = expected[name].numpy().reshape(found[name].shape)
            np.testing.assert_allclose(found[name], wanted, rtol=1e-4, atol=1e-4)


def new_data(problem):
    return {name: rng(8).normal(size=(30, port.width)) for name, port in problem.inputs.items()}


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_batches_change_nothing(size):
    model = valp.decode(individual(), PROBLEM, dtype=torch.float64)
    whole, found = model.predict(DATA), model.predict(DATA, batch_size=size)
    for name, values in whole.items():
        if values.dtype.kind == "f":
            np.testing.assert_allclose(found[name], values, rtol=1e-12)
        else:
            np.testing.assert_array_equal(found[name], values)


def test_no_gradients_and_no_changes(model):
    before = {name: tensor.clone() for name, tensor in model.tensors.items()}
    model.predict(some())
    assert all(tensor.grad is None for tensor in model.parameters())
    assert all(torch.equal(model.tensors[name], tensor) for name, tensor in before.items())


@pytest.mark.parametrize(
    "meaning, numbers, result",
    [
        (Meaning("generation", (4, 5)), (20,), (4, 5)),
        (Meaning("regression"), (1,), ()),
        (Meaning("quantiles", (2,)), (6,), (6,)),
        (Meaning("classification", classes=("only",)), (1,), (1,)),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_a_result_has_the_shape_of_the_target_where_the_numbers_fill_it(meaning, numbers, result):
    assert meaning.shape_for(numbers) == result


def test_samples_are_new_examples_in_the_shape_of_the_target(model):
    found = model.sample(7, seed=3)
    assert list(found) == ["picture"] and found["picture"].shape == (7, 4, 5)
    assert_same(found, model.sample(7, seed=3))
    assert not np.array_equal(found["picture"], model.sample(7, seed=4)["picture"])


def test_labels_stay_what_they_are():
    chances = np.eye(3)
    for classes in (("b", "a", "c"), (3, 1, 2), (1, "1", None), ((1, 2), (3, 4), "x"), (1, 1.5, 2)):
        found = labels_of(classes, chances).tolist()
        assert found == list(classes) and list(map(type, found)) == list(map(type, classes))


# ---- from the very columns -----------------------------------------------------------------------


def test_columns_are_found_by_name(model):
    mixed = frame().iloc[100:110][["flag", "count", "colour", "time", "length"]]
    assert_same(model.predict(some(table=mixed)), model.predict(some()))


def test_missing_values_are_imputed_as_in_training(model):
    table = frame().iloc[100:110].assign(length=np.nan, count=np.nan)
    mean = frame()["count"].iloc[:80].mean()
    given = model.read(some(table=table))["table"]
    filled = model.read(some(table=table.assign(count=mean)))["table"]
    assert torch.allclose(given, filled, atol=1e-6)
    place = 0  # that of "length"
    assert given[:, place].abs().max() < 1e-5  # the mean of training, in training units


def test_an_unseen_category_is_none_of_the_known(model):
    table = frame().iloc[100:110].assign(colour="violet")
    given = PROBLEM.prepare(some(table=table))["table"]
    assert given[:, 2:5].abs().sum() == 0 and given[:, 6:].shape[1] == 3
    assert len(model.predict(some(table=table))["species"]) == 10


def test_numbers_far_from_0_keep_their_digits():
    """Seconds since 1970 differ by less than float32 can tell."""
    features = valp.decode(individual(), PROBLEM).read(DATA)["table"][:, 1]
    assert features.unique().numel() == SIZE


BAD = {
    "a column is missing": (
        lambda: some(table=frame()[:10].drop(columns=["time", "flag"])),
        r"port 'table' needs the columns \['time', 'flag'\], got a frame of",
    ),
    "a column too many": (
        lambda: some(table=frame()[:10].assign(price=1.0)),
        r"port 'table' needs no columns but .*got \['price'\] as well: leave them out",
    ),
    "no frame": (
        lambda: some(table=np.zeros((10, 5))),
        r"port 'table' needs a frame with the columns \['length', .*got ndarray",
    ),
    "text for numbers": (
        lambda: some(table=frame()[:10].assign(length="long")),
        "port 'table' needs numbers in column 'length'",
    ),
    "an input is missing": (
        lambda: {"table": frame()},
        r"predict needs a mapping with the inputs \['table', 'scan', 'readings'\], got \['table'\]",
    ),
    "an input too many": (lambda: DATA | {"more": scans()}, r"predict needs .*'more'\]"),
    "no mapping": (lambda: scans(), "predict needs a mapping .*got ndarray"),
    "another shape": (
        lambda: DATA | {"scan": scans()[:, :3]},
        r"port 'scan' needs examples of shape \(4, 5\), got \(3, 5\)",
    ),
    "other numbers of examples": (
        lambda: DATA | {"scan": scans()[:7]},
        "all ports need the same number of examples, got table 120, scan 7",
    ),
    "holes in an image": (
        lambda: DATA | {"scan": np.where(scans() > 250, np.nan, scans())},
        "missing in tables, but not in images",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_data_is_named(model, name):
    make, message = BAD[name]
    with pytest.raises(valp.ProblemError, match=message):
        model.predict(make())


def test_values_of_another_range_are_logged(model, caplog):
    model.predict(DATA | {"scan": scans() * 300.0})
    (record,) = caplog.records
    assert (
        "'scan' is an Image of values from 0 to 255, and has values from 0" in record.getMessage()
    )


@pytest.mark.parametrize("size", [0, 2.5, "all"])
def test_a_wrong_batch_size_is_refused(model, size):
    with pytest.raises(valp.ValpError, match="batch_size as a whole number"):
        model.predict(some(), batch_size=size)


# ---- where it lives ------------------------------------------------------------------------------


def test_without_its_problem_a_model_says_what_is_missing():
    model = valp.decode(individual())
    for use in (
        lambda: model.predict(some()),
        lambda: model.predict_proba(some()),
        lambda: model.classes,
        lambda: model.sample(3),
    ):
        with pytest.raises(valp.ValpError, match=r"decode\(individual, problem\)"):
            use()
    assert set(model(PROBLEM.prepare(some()))) == set(PROBLEM.outputs)


def test_samples_need_a_generation_output():
    problem = zoo.plain_problem()
    single = valp.initVALP(zoo.individual_class(problem.weights), problem)
    with pytest.raises(valp.ValpError, match=r"sample needs a Generation output, .*\['y'\]"):
        valp.decode(single, problem).sample(3)


def test_a_model_that_is_called_with_a_frame_names_predict():
    problem = valp.Problem({"x": frame()}, {"y": valp.Regression(rng().normal(size=SIZE))})
    model = valp.decode(valp.initVALP(zoo.individual_class((-1.0,)), problem), problem)
    with pytest.raises(valp.ValpError, match=r"as an array .* got DataFrame .*: predict takes"):
        model({"x": frame()})


def test_another_problem_is_refused():
    with pytest.raises(valp.StructureError):
        valp.decode(individual(), zoo.plain_problem())
    with pytest.raises(valp.ValpError, match="problem as a Problem"):
        valp.decode(individual(), torch.float64)


def test_a_model_copies_and_pickles_with_all_it_needs_and_without_the_data(model):
    data = pickle.dumps(model)
    assert b"_open_store" not in data and len(data) < 60_000
    for other in (pickle.loads(data), copy.deepcopy(model)):
        assert_same(other.predict(some()), model.predict(some()))


def test_a_loaded_individual_predicts_in_another_process(model, tmp_path):
    valp.save(individual(), tmp_path / "best.valp")
    (tmp_path / "problem.pickle").write_bytes(pickle.dumps(PROBLEM))
    (tmp_path / "data.pickle").write_bytes(pickle.dumps(some()))
    code = (
        "import pickle, pathlib, sys\n"
        "import deap_valp as valp\n"
        "from deap import creator\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "problem, data = (pickle.loads((folder / name).read_bytes())\n"
        "                 for name in ('problem.pickle', 'data.pickle'))\n"
        "creator.create('Fit', valp.Fitness, weights=problem.weights)\n"
        "creator.create('Individual', valp.VALP, fitness=creator.Fit)\n"
        "best = valp.load(folder / 'best.valp', creator.Individual)\n"
        "found = valp.decode(best, problem).predict(data)\n"
        "(folder / 'found.pickle').write_bytes(pickle.dumps(found))\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=120)
    found = pickle.loads((tmp_path / "found.pickle").read_bytes())
    assert_same(found, model.predict(some()))


def test_printing_shows_the_structure_and_what_ports_mean(model):
    text = repr(model)
    assert (
        text.splitlines()[0] == f"Predictor of {individual().weight_count} weights, float32 on cpu"
    )
    for line in (
        "  table: input 9; a table of 5 columns (4 numbers; categories: colour (3)), standardised",
        "  scan: input 20; an image of 4 x 5, values from 0 to 255",
        "  readings: input 12; a series of 6 steps of 2 channels, standardised",
        "  species: classification 2 <- n1; one of 'cat', 'dog'",
        "  n0: generic 6 tanh-5 tanh <- scan, table, readings",
    ):
        assert line in text.splitlines(), text
    assert "one of" not in repr(valp.decode(individual()))
