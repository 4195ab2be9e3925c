"""Images in colours through the whole chain: drawn, searched, saved, sampled, drawn as pictures."""

from __future__ import annotations

import base64
import functools
import io
import random
import re

import numpy as np
import pytest
import torch
import zoo
from deap import base, tools
from matplotlib.image import imread
from photos import NAMES, SIDE, drawing, in_order, patches, photo_problem
from plotting import closed_figures as closed_figures

import deap_valp as valp
from deap_valp.genome import Maps, check

each_order = pytest.mark.parametrize("planes", [False, True], ids=["last", "first"])


def shape_of(planes):
    return (3, SIDE, SIDE) if planes else (SIDE, SIDE, 3)


@functools.cache
def searched(planes):
    """A few steps of a search from a VALP that has both kinds of images; what it leaves."""
    random.seed(5)
    problem, archive, front = photo_problem(planes), [], tools.ParetoFront()
    toolbox = base.Toolbox()
    toolbox.register("evaluate", valp.evaluate, problem=problem, batches=5, first_batches=10)
    toolbox.register("selMutation", valp.selMutation)
    options = {"archive": archive, "halloffame": front, "verbose": False, "progress": False}
    best, _ = valp.hillClimbing(drawing(planes), toolbox, nsteps=3, **options)
    return best, archive, front


@each_order
def test_a_search_on_colours_leaves_valid_diagnosed_individuals(planes):
    best, archive, front = searched(planes)
    problem = photo_problem(planes)
    assert problem.inputs["patch"].maps == Maps(SIDE, SIDE, 3, planes)
    assert len(archive) == 4
    for individual in (best, *front):
        check(individual, problem)
        assert individual.evaluation.ok
    measured = valp.diagnose(best, problem).measured
    assert ("patch", "sample") in measured["input_intervention"]
    assert {"n0", "n2"} <= {name for name, _ in measured["module_intervention"]}


def test_the_order_of_colours_changes_no_prediction_and_no_loss():
    last, first = (drawing(planes) for planes in (False, True))
    assert {key: tensor.shape for key, tensor in last.weights.items()} == {
        key: tensor.shape for key, tensor in first.weights.items()
    }
    bias = last.weights["sample.bias"].view(shape_of(False)).permute(2, 0, 1).flatten()
    with zoo.editing(first) as draft:
        draft.weights.update({**last.weights, "sample.bias": bias})
    images = patches()[0][::40]
    found = {}
    for planes, individual in ((False, last), (True, first)):
        model = valp.decode(individual, photo_problem(planes))
        found[planes] = model.predict({"patch": in_order(images, planes)})
    turned = found[True]["sample"].transpose(0, 2, 3, 1)
    np.testing.assert_allclose(turned, found[False]["sample"], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found[True]["height"], found[False]["height"], rtol=1e-4)
    assert (found[True]["photo"] == found[False]["photo"]).all()


@pytest.mark.parametrize("start", ["shared", "random"])
@each_order
def test_what_initvalp_draws_is_trained_on_colours(start, planes):
    problem = photo_problem(planes)
    cls = zoo.individual_class(problem.weights)
    individual = valp.initVALP(cls, problem, networks=(4, 5), start=start, batch_size=40)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=3)
    assert individual.evaluation.ok


def test_colours_tell_the_photos_apart():
    problem = photo_problem()
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=100, metrics=())
    assert valp.score(individual, problem)["photo"] < 0.15


@each_order
def test_a_file_keeps_the_order_of_colours(planes, tmp_path):
    best, *_ = searched(planes)
    valp.save(best, tmp_path / "best.valp")
    again = valp.load(tmp_path / "best.valp", type(best))
    port = again.component("patch")
    assert port.maps == Maps(SIDE, SIDE, 3, planes)
    images = {"patch": in_order(patches()[0][:9], planes)}
    before, after = (valp.decode(one, photo_problem(planes)) for one in (best, again))
    for name, values in before.predict(images).items():
        np.testing.assert_array_equal(after.predict(images)[name], values)


@each_order
def test_samples_have_the_shape_of_the_images_and_are_drawn_in_their_colours(planes):
    best, *_ = searched(planes)
    model = valp.decode(best, photo_problem(planes))
    real = in_order(patches()[0], planes)
    for options in ({}, {"wanted": {"photo": NAMES[1]}, "temperature": 0.5}):
        samples = model.sample(4, **options)["sample"]
        assert samples.shape == (4, *shape_of(planes))
        figure = valp.plots.plot_samples(samples, real=real)
        shown, beside = (ax.images[0].get_array() for ax in figure.axes)
        low, high = real[:4].min(), real[:4].max()
        first = np.moveaxis(samples[0], 0, -1) if planes else samples[0]
        shares = np.clip((first - low) / (high - low), 0, 1)
        np.testing.assert_allclose(shown[:SIDE, :SIDE], shares, atol=1e-6)
        np.testing.assert_allclose(
            beside[:SIDE, :SIDE], (patches()[0][0] - low) / (high - low), atol=1e-6
        )


@each_order
def test_the_page_of_results_shows_samples_in_colours(planes, tmp_path):
    pytest.importorskip("bokeh", reason="the extra `report` is not installed")
    best, archive, _ = searched(planes)
    path = tmp_path / "run.html"
    valp.report(archive, path, problem=photo_problem(planes), individuals=[best])
    page = path.read_text()
    image, *_ = re.findall(r"data:image/png;base64,[\w+/=]+", page)
    assert colours_in(image) > 20


def colours_in(address):
    """The number of pixels of a PNG, in an address, that are not grey."""
    pixels = imread(io.BytesIO(base64.b64decode(address.partition(",")[2])))[..., :3]
    return int((np.ptp(pixels, axis=-1) > 0.02).sum())


def test_a_shift_and_a_mirror_keep_the_colours_of_a_pixel_together():
    problem = photo_problem(True)
    split = problem.split("train")
    moved, targets = problem.augmented(
        split.inputs, split.targets, torch.Generator().manual_seed(0)
    )
    assert torch.equal(moved["patch"], targets["sample"])
    maps = problem.inputs["patch"].maps
    before = maps.images(split.inputs["patch"])[0].flatten(1).T.tolist()
    after = maps.images(moved["patch"])[0].flatten(1).T.tolist()
    assert all(pixel in before for pixel in after if any(pixel))
