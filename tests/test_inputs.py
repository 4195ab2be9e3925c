"""The kinds of an input: what is declared, what is guessed, and what a model makes of it."""

from __future__ import annotations

import functools
import logging
import pickle
import random
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch
import zoo
from small_data import SIZE, frame, labels, pictures, slices, table

import deap_valp as valp
from deap_valp.problem.data.splits import SPLITS
from deap_valp.problem.inputs import kind_of


def rng(seed=0):
    return np.random.default_rng(seed)


def waves(size=SIZE, steps=20):
    """Series of four sensors of very different levels, and which of two courses each has."""
    rise = rng().integers(0, 2, size)
    course = np.where(rise, 1.0, -1.0)[:, None, None] * np.linspace(-1, 1, steps)[:, None]
    levels = np.array([500.0, 3.0, -40.0, 0.02])
    spreads = np.array([30.0, 0.5, 4.0, 0.003])
    noise = rng(1).normal(size=(size, steps, 4))
    return levels + spreads * (course + noise), rise


def colours(size=SIZE):
    return rng().integers(0, 256, (size, 6, 5, 3), dtype=np.uint8)


def holed(data, share=0.1):
    return np.where(rng(2).random(data.shape) < share, np.nan, data)


def problem_of(given, **options):
    return valp.Problem({"x": given}, {"y": valp.Classification(labels())}, **options)


def features_of(given, split="train", **options):
    return problem_of(given, splits=slices(), **options).split(split).inputs["x"]


DECLARED = {
    "table": lambda: valp.Table(table()),
    "table of bytes": lambda: valp.Table(rng().integers(0, 256, (SIZE, 4), dtype=np.uint8)),
    "frame": lambda: valp.Table(frame()),
    "frame with holes": lambda: valp.Table(frame().mask(rng(1).random((SIZE, 4)) < 0.1)),
    "column": lambda: valp.Table(table()[:, 0]),
    "tensor": lambda: valp.Table(torch.from_numpy(table())),
    "masked": lambda: valp.Table(np.ma.masked_less(table(), 1)),
    "plain table": lambda: valp.Table(table(), standardize=False),
    "series": lambda: valp.Series(waves()[0]),
    "series with holes": lambda: valp.Series(holed(waves()[0])),
    "one channel": lambda: valp.Series(waves()[0][:, :, 0]),
    "wide frame": lambda: valp.Series(pd.DataFrame(waves()[0][:, :, 0])),
    "plain series": lambda: valp.Series(waves()[0] / 100, standardize=False),
    "bytes": lambda: valp.Image(pictures()),
    "floats to 1": lambda: valp.Image(pictures(np.float32)),
    "floats to 255": lambda: valp.Image(pictures().astype(float)),
    "channels last": lambda: valp.Image(colours()),
    "channels first": lambda: valp.Image(colours().transpose(0, 3, 1, 2)),
    "own range": lambda: valp.Image(pictures().astype(float) * 16 - 7, range=(-7, 4073)),
}
each_declared = pytest.mark.parametrize("name", DECLARED)


# ---- what a kind does to values ------------------------------------------------------------------


def test_a_series_is_standardised_by_channel():
    x, _ = waves()
    features = features_of(valp.Series(x)).reshape(80, 20, 4).double()
    assert features.mean((0, 1)).abs().max() < 1e-5
    assert (features.std((0, 1), correction=0) - 1).abs().max() < 1e-5
    # The course within a channel stays: no step is brought to mean 0 by itself.
    expected = (x[:80] - x[:80].mean((0, 1))) / x[:80].std((0, 1))
    assert np.allclose(features, expected, atol=1e-4)


def test_holes_of_a_series_become_the_mean_of_their_channel_with_indicators():
    x = waves()[0]
    x[3, 5, 1] = x[90, 6, 2] = np.nan  # row 90 is of the validation split
    problem = problem_of(valp.Series(x), splits=slices(), standardize=False)
    assert problem.imputed["x"] == 2
    features = problem.split("train").inputs["x"]
    assert features.shape == (80, 81)  # the hole of the validation split has no indicator
    assert features[3, 5 * 4 + 1].item() == pytest.approx(np.nanmean(x[:80, :, 1]), rel=1e-6)
    assert features[:, 80].tolist() == [float(row == 3) for row in range(80)]
    held = problem.split("validation").inputs["x"]
    assert held[10, 6 * 4 + 2].item() == pytest.approx(np.nanmean(x[:80, :, 2]), rel=1e-6)
    standard = features_of(valp.Series(x))
    assert standard[3, 5 * 4 + 1].item() == pytest.approx(0, abs=1e-6)


def test_a_step_without_any_value_is_a_hole_like_others():
    x = waves()[0]
    x[:, -3:] = np.nan  # every series is shorter
    assert features_of(valp.Series(x)).isfinite().all()
    x[:, :, 1] = np.nan
    with pytest.raises(valp.ProblemError, match=r"each channel.*none in channel 1"):
        features_of(valp.Series(x))


@pytest.mark.parametrize("scale", [1, 255, 16, 1000], ids="to {}".format)
def test_images_of_every_range_become_the_same_features(scale):
    whole = rng().integers(0, 256, (SIZE, 8, 8)) / 255
    whole[0, 0, :2] = 0, 1
    expected = torch.from_numpy(whole[:80].reshape(80, 64)).float()
    found = features_of(valp.Image(whole * scale))
    assert torch.allclose(found, expected, atol=1e-6)
    assert torch.allclose(features_of(whole * scale), expected, atol=1e-6)  # guessed


@pytest.mark.parametrize("top, expected", [(255, 255), (100, 100), (1, 1)])
def test_bytes_are_scaled_by_what_they_go_up_to(top, expected):
    x = (rng().integers(0, 2, (SIZE, 8, 8)) * top).astype(np.uint8)
    assert features_of(valp.Image(x)).max() == pytest.approx(top / expected)


def test_a_range_of_ones_own_becomes_0_to_1():
    x = pictures().astype(np.int16) * 16
    features = features_of(valp.Image(x, range=(0, 4080)))
    assert torch.allclose(features, features_of(valp.Image(pictures())), atol=1e-6)


def test_channels_may_be_first_or_last():
    first = problem_of(valp.Image(colours().transpose(0, 3, 1, 2)))
    last = problem_of(valp.Image(colours()))
    assert first.inputs["x"].width == last.inputs["x"].width == 90
    assert "image of 3 x 6 x 5" in str(first) and "image of 6 x 5 x 3" in str(last)


def test_a_table_of_bytes_is_standardised():
    x = rng().integers(0, 256, (SIZE, 4), dtype=np.uint8)
    for given in (x, valp.Table(x)):
        torch.testing.assert_close(features_of(given), features_of(x.astype(np.float64)))


@pytest.mark.parametrize("kind", [valp.Table, valp.Series], ids=lambda kind: kind.kind)
def test_what_the_kind_says_of_standardising_goes_before_what_the_problem_says(kind):
    for wish in (True, False):
        port = problem_of(kind(table(), standardize=wish), standardize=not wish).inputs["x"]
        assert (port.shift == (0.0,)) == (not wish)


def test_an_image_is_scaled_whatever_is_standardised_and_standardised_if_named():
    whole = features_of(valp.Image(pictures()))
    assert torch.equal(features_of(valp.Image(pictures()), standardize=False), whole)
    named = features_of(valp.Image(pictures()), standardize={"x": True})
    assert named.mean(0).abs().max() < 1e-5


# ---- guesses -------------------------------------------------------------------------------------

GUESSES = {
    "table": (table(), valp.Table),
    "a column": (table()[:, 0], valp.Table),
    "bytes in a table": (rng().integers(0, 256, (SIZE, 9), dtype=np.uint8), valp.Table),
    "frame": (frame(), valp.Table),
    "around 500": (rng().normal(500, 50, (SIZE, 20, 4)), valp.Series),
    "around 0": (rng().normal(0, 1, (SIZE, 20, 4)), valp.Series),
    "long, on 0 to 1": (rng().random((SIZE, 50, 3)), valp.Series),
    "holes": (holed(rng().normal(500, 50, (SIZE, 20, 4))), valp.Series),
    "bytes": (pictures(), valp.Image),
    "floats to 255": (pictures().astype(float), valp.Image),
    "floats to 1": (pictures(np.float32), valp.Image),
    "tensor": (torch.rand(SIZE, 8, 8), valp.Image),
    "-1 to 1": (rng().uniform(-1, 1, (SIZE, 8, 8)), valp.Image),
    "RGB": (colours(), valp.Image),
    "RGB first": (colours().transpose(0, 3, 1, 2).astype(float), valp.Image),
    "volumes": (rng().random((SIZE, 4, 4, 4, 1)), valp.Image),
}


@pytest.mark.parametrize("name", GUESSES)
def test_a_guess_is_what_one_would_declare_and_is_printed(name):
    data, kind = GUESSES[name]
    assert type(kind_of("x", data)) is kind
    guessed, declared = problem_of(data), problem_of(kind(data))
    assert torch.equal(guessed.split("train").inputs["x"], declared.split("train").inputs["x"])
    line, said = (str(made).splitlines()[0] for made in (guessed, declared))
    assert line == f"{said} (guessed)"
    assert kind.kind in line


# ---- values far from what a kind expects ---------------------------------------------------------

ODD = {
    "series not standardised": (
        lambda: valp.Series(waves()[0], standardize=False),
        "'x' is a Series that is not standardised, and has values up to",
    ),
    "an outlier": (
        lambda: frame_with_outlier(),
        "'x' has values 1.. standard deviations from the mean in column 'b'",
    ),
    "range too small": (
        lambda: valp.Image(pictures(), range=(0, 1)),
        r"'x' is an Image of values from 0 to 1, and has values from 0 to 255: is range=",
    ),
    "far outside": (
        lambda: valp.Image(pictures().astype(float) * 16),
        "is an Image, which has values on 0 to 1 or on 0 to 255, and has values from 0 to 4080",
    ),
    "guessed": (lambda: rng().uniform(-3, 3, (SIZE, 8, 8)), "is taken for an Image"),
}


def frame_with_outlier():
    values = np.zeros((30000, 2))
    values[0] = 1, 1000
    values[:, 0] = np.arange(30000)
    values[1, 1] = 5
    return pd.DataFrame(values, columns=["a", "b"])


@pytest.mark.parametrize("name", ODD)
def test_values_far_from_what_a_kind_expects_are_logged(name, caplog):
    make, message = ODD[name]
    given = make()
    size = len(getattr(given, "values", given)) if name != "an outlier" else len(given)
    target = valp.Classification(labels(size))
    splits = {
        "train": slice(0, size - 20),
        "validation": slice(size - 20, size - 10),
        "test": slice(size - 10, size),
    }
    with caplog.at_level(logging.WARNING, "deap_valp"):
        valp.Problem({"x": given}, {"y": target}, splits=splits)
    (record,) = caplog.records
    assert re.search(message, record.getMessage()), record.getMessage()


@each_declared
def test_values_that_fit_are_not_logged(name, caplog):
    problem_of(DECLARED[name]())
    assert not caplog.records


# ---- everything that a problem can do ------------------------------------------------------------


@each_declared
@pytest.mark.parametrize("splits", ["slices", "fractions", "rows"])
def test_new_data_becomes_the_features_of_the_splits_bit_for_bit(name, splits):
    given = DECLARED[name]()
    rows = {
        "slices": slices(),
        "fractions": (0.6, 0.2, 0.2),
        "rows": {"train": range(80), "validation": range(80, 100), "test": range(100, 120)},
    }[splits]
    problem = problem_of(given, splits=rows)
    reader = problem.preparation.inputs["x"]
    whole = reader.features(given)
    for split in SPLITS:
        features = problem.split(split).inputs["x"]
        assert features.isfinite().all() and features.shape[1] == problem.inputs["x"].width
        if splits == "slices":
            assert torch.equal(features, whole[slices()[split]])
    prepared = problem.prepare({"x": given})["x"]
    # In float32, of columns whose deviation is not much smaller than their mean.
    torch.testing.assert_close(problem.inputs["x"].features(prepared), whole, atol=2e-4, rtol=1e-4)


@each_declared
def test_a_declared_kind_travels(name):
    given = DECLARED[name]()
    problem = problem_of(given)
    copy = pickle.loads(pickle.dumps(problem))
    assert len(pickle.dumps(problem)) < 2000
    reader = pickle.loads(pickle.dumps(problem.preparation)).inputs["x"]
    assert reader.kind.values is None
    assert torch.equal(reader.features(given), copy.preparation.inputs["x"].features(given))


def test_another_process_reads_data_in_the_same_way(tmp_path):
    problem = problem_of(valp.Series(holed(waves()[0])))
    (tmp_path / "problem.pickle").write_bytes(pickle.dumps(problem))
    new = holed(waves()[0])[:5]
    np.save(tmp_path / "new.npy", new)
    code = (
        "import pickle, numpy as np, pathlib, sys\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "problem = pickle.loads((folder / 'problem.pickle').read_bytes())\n"
        "found = problem.preparation.inputs['x'].features(np.load(folder / 'new.npy'))\n"
        "np.save(folder / 'found.npy', found.numpy())\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True, timeout=120)
    expected = problem.preparation.inputs["x"].features(new).numpy()
    assert np.array_equal(np.load(tmp_path / "found.npy"), expected)


@each_declared
def test_a_declared_kind_trains_and_is_generated(name):
    given = DECLARED[name]()
    outputs = {"y": valp.Classification(labels())}
    if name not in ("frame", "frame with holes", "series with holes"):  # those have no targets
        outputs |= {"z": valp.Generation()}
    problem = valp.Problem({"x": given}, outputs)
    individual = zoo.random_valp(problem)
    evaluation = valp.evaluate(individual, problem, batches=3, first_batches=3, device="cpu")
    assert evaluation.ok


@pytest.mark.parametrize("output", [valp.Regression, valp.Generation], ids=lambda kind: kind.kind)
@pytest.mark.parametrize("kind", [valp.Series(waves()[0]), valp.Image(colours(), range=(0, 510))])
def test_a_target_may_be_declared_too(output, kind):
    problem = valp.Problem({"x": kind}, {"y": output(kind)}, splits=slices())
    assert problem.split("train").targets["y"] is problem.split("train").inputs["x"]
    back = problem.outputs["y"].port.predict(problem.split("test").targets["y"])
    given = torch.from_numpy(np.asarray(kind.values[100:], dtype=np.float32)).flatten(1)
    torch.testing.assert_close(back, given, atol=1e-3, rtol=1e-4)
    assert problem.outputs["y"].shape == kind.values.shape[1:]


def test_a_generation_of_the_only_input_is_of_its_kind():
    problem = valp.Problem({"x": valp.Series(waves()[0])}, {"y": valp.Generation()})
    split = problem.split("train")
    assert split.targets["y"] is split.inputs["x"]


def test_an_estimator_takes_declared_kinds():
    x, rise = waves()
    estimator = valp.VALPEstimator(
        steps=1, batches=30, first_batches=200, random_state=0, device="cpu"
    )
    targets = {"rise": np.where(rise, "up", "down")}
    estimator.fit({"sensors": valp.Series(x)}, targets)
    assert estimator.score({"sensors": x}, targets) > 0.9
    assert set(estimator.predict({"sensors": valp.Series(x)})["rise"]) == {"up", "down"}
    alone = valp.VALPEstimator(steps=1, batches=2, first_batches=2, random_state=0, device="cpu")
    assert alone.fit(valp.Series(x), targets).predict(x)["rise"].shape == (SIZE,)


# ---- what it is worth ----------------------------------------------------------------------------


def error_after(inputs, target, batches=200):
    """The error of a small VALP, the mean over two individuals."""
    problem = valp.Problem(inputs, {"y": valp.Classification(target)})
    scores = []
    for seed in range(2):
        random.seed(seed)
        individual = zoo.random_valp(problem, networks=(1, 2))
        budget = {"batches": batches, "first_batches": batches, "device": "cpu"}
        individual.fitness.values = valp.evaluate(individual, problem, **budget)
        scores.append(valp.score(individual, problem, device="cpu")["y"])
    return float(np.mean(scores))


@functools.cache
def far_series():
    """Series around 500: their course decides, and small numbers hide in large ones."""
    rise = rng().integers(0, 2, 300)
    course = np.where(rise, 1.0, -1.0)[:, None, None] * np.linspace(-1, 1, 20)[:, None]
    return 500 + 5 * course + 10 * rng(1).normal(size=(300, 20, 4)), rise


@functools.cache
def digits():
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return bunch.images[:600] / 16, bunch.target[:600]


def test_a_bare_series_around_500_trains_as_a_declared_one():
    x, rise = far_series()
    bare, declared = error_after({"x": x}, rise), error_after({"x": valp.Series(x)}, rise)
    raw = error_after({"x": valp.Series(x, standardize=False)}, rise)
    print(f"{bare=} {raw=}")
    assert bare == declared < raw - 0.1


def test_images_on_0_to_255_train_as_those_on_0_to_1():
    images, target = digits()
    small = error_after({"x": images}, target)
    large = error_after({"x": np.round(images * 255)}, target)
    flat = np.round(images * 255).reshape(len(images), -1)
    raw = error_after({"x": valp.Table(flat, standardize=False)}, target)
    print(f"{large=} {small=} {raw=}")
    assert large == pytest.approx(small, abs=0.03) and large < raw - 0.05


# ---- wrong declarations --------------------------------------------------------------------------

WRONG = {
    "table of images": (lambda: valp.Table(pictures()), r"Table .*examples of shape \(3, 3\)"),
    "image of a table": (lambda: valp.Image(table()), r"Image .*examples of shape \(4,\): reshape"),
    "image of a frame": (lambda: valp.Image(frame()), "Image as an array, got a frame"),
    "series of categories": (lambda: valp.Series(frame()), "Series of numbers.*categories"),
    "series of volumes": (lambda: valp.Series(colours()), r"Series .*shape \(6, 5, 3\)"),
    "series of numbers": (lambda: valp.Series(table()[:, 0]), "Series of numbers"),
    "holes in an image": (lambda: valp.Image(holed(pictures(float))), "not in images, got nan"),
    "range of one": (lambda: valp.Image(pictures(), range=(255,)), r"range as two numbers"),
    "range the wrong way": (lambda: valp.Image(pictures(), range=(1, 0)), "smaller and a larger"),
    "standardize of text": (lambda: valp.Table(table(), standardize="yes"), "True, False or None"),
    "a kind of a kind": (lambda: valp.Table(valp.Table(table())), "got a Table"),
    "lengths": (lambda: valp.Table(table(4, 50)), "same number of examples, got x 50, y 120"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_declaration_is_named(name):
    make, message = WRONG[name]
    with pytest.raises(valp.ProblemError, match=message):
        problem_of(make())


def test_a_generation_of_the_only_input_has_its_declared_kind():
    images = np.random.default_rng(0).random((40, 12, 14)) * 3 + 5
    declared = valp.Image(images, range=(4, 9), convolutions=False)
    target = valp.Classification(np.arange(40) % 2)
    problem = valp.Problem({"x": declared}, {"y": target, "z": valp.Generation()})
    port, drawn = problem.inputs["x"], problem.outputs["z"].port
    assert (drawn.shift, drawn.shape) == (port.shift, ()) == ((4.0,), ())
    assert problem.split("train").targets["z"] is problem.split("train").inputs["x"]
