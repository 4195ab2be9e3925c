"""Patches of an image: which pixels they are, what hiding them costs, how that is drawn."""

from __future__ import annotations

import functools
import random

import numpy as np
import plotting
import pytest
import torch
import zoo
from photos import SIDE, drawing, patches, photo_problem

import deap_valp as valp
from deap_valp import plots

closed_figures = plotting.closed_figures

PATCH = 4
WHERE = slice(4, 8), slice(8, 12)  # the patch in the second row, third column


@functools.cache
def planted():
    """Images of noise of which a single patch says the label, and a VALP that learned it."""
    random.seed(1)
    rng = np.random.default_rng(0)
    images, label = rng.random((600, SIDE, SIDE)), np.arange(600) % 2
    images[:, WHERE[0], WHERE[1]] += label[:, None, None]
    outputs = {"label": valp.Classification(label), "noise": valp.Regression(rng.random(600))}
    problem = valp.Problem({"image": valp.Image(images / 2)}, outputs)
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=80)
    return individual, problem


@functools.cache
def drawn():
    individual = drawing()
    individual.fitness.values = valp.evaluate(individual, photo_problem(), first_batches=3)
    return individual


@functools.cache
def evaluated_images():
    individual = zoo.images()
    individual.fitness.values = valp.evaluate(individual, zoo.image_problem(), first_batches=3)
    return individual


PANELS = {"patches": (lambda axes: plots.plot_patches(*planted(), axes=axes), 2)}


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("patch", [1, 4, 5, 12, 100])
def test_every_column_is_in_one_patch(planes, patch):
    problem = photo_problem(planes)
    groups = valp.image_patches(problem, "patch", patch)
    columns = [column for group in groups.values() for column in group]
    assert sorted(columns) == list(range(problem.inputs["patch"].width))
    assert len(groups) == (-(-SIDE // patch)) ** 2


@pytest.mark.parametrize("planes", [False, True])
def test_a_patch_is_a_square_of_pixels_with_all_their_colours(planes):
    problem = photo_problem(planes)
    groups = valp.image_patches(problem, "patch", PATCH)
    flat = torch.zeros(1, problem.inputs["patch"].width)
    flat[:, groups["4,8"]] = 1.0
    expected = torch.zeros(1, 3, SIDE, SIDE)
    expected[:, :, WHERE[0], WHERE[1]] = 1.0
    assert torch.equal(problem.inputs["patch"].maps.images(flat), expected)


def test_the_patch_that_says_the_label_matters_to_it_and_to_nothing_else():
    found = valp.patch_intervention(*planted(), patch=PATCH)
    changes = found.changes["label"]
    assert changes.shape == (3, 3) and changes.argmax() == 5
    assert changes[1, 2] > 0.2 > 10 * np.abs(np.delete(changes.ravel(), 5)).max()
    assert np.abs(found.changes["noise"]).max() < 0.2


def test_hiding_the_whole_image_is_the_intervention_on_its_only_connection():
    problem, networks = photo_problem(), {"n0": zoo.generic(6), "n1": zoo.decoder(2, 4)}
    edges = "patch->n0 n0->photo n0->height n0->n1 n1->sample"
    individual = zoo.build(problem, networks, edges)
    individual.fitness.values = valp.evaluate(
        individual, problem, first_batches=3, metrics=["connection_intervention"]
    )
    found = valp.patch_intervention(individual, problem, patch=SIDE)
    expected = individual.evaluation.diagnosis.change_without
    for output, changes in found.changes.items():
        assert changes.shape == (1, 1)
        assert changes[0, 0] == pytest.approx(expected["patch->n0", output], rel=1e-3, abs=1e-5)


def test_the_individual_stays_as_it_is_and_the_mean_image_is_in_the_user_s_units():
    individual, problem = drawn(), photo_problem()
    before = valp.decode(individual, problem).predict({"patch": patches()[0][:5]})
    found = valp.patch_intervention(individual, problem, patch=5)
    assert {output: each.shape for output, each in found.changes.items()} == dict.fromkeys(
        problem.outputs, (3, 3)
    )
    after = valp.decode(individual, problem).predict({"patch": patches()[0][:5]})
    assert all((before[name] == after[name]).all() for name in before)
    held = problem.split("validation").inputs["patch"].view(-1, SIDE, SIDE, 3) * 255
    np.testing.assert_allclose(found.mean, held.mean(0), rtol=1e-4)


def test_only_outputs_that_the_image_reaches_are_measured():
    problem = valp.Problem(
        {"seen": patches()[0], "other": patches()[0][::-1]},
        {"photo": valp.Classification(patches()[1]), "height": valp.Regression(patches()[2])},
    )
    networks = {"n0": zoo.convolutional((6, 6), (2, 3, 1, "relu")), "n1": zoo.generic(3)}
    individual = zoo.build(problem, networks, "seen->n0 n0->photo other->n1 n1->height")
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=3)
    for name, output in (("seen", "photo"), ("other", "height")):
        found = valp.patch_intervention(individual, problem, input=name, patch=6)
        assert list(found.changes) == list(found.losses) == [output]


def test_an_image_need_not_be_square():
    found = valp.patch_intervention(evaluated_images(), zoo.image_problem(), 6, "left")
    assert found.changes["label"].shape == (2, 3)  # 12 x 13 pixels


def test_patches_are_groups_of_features_for_a_diagnosis():
    individual, problem = planted()
    groups = valp.image_patches(problem, "image", PATCH)
    diagnosis = valp.diagnose(
        individual, problem, ["input_intervention"], features={"image": groups}
    )
    relevance = {group: diagnosis.input_relevance[f"image[{group}]", "label"] for group in groups}
    assert max(relevance, key=relevance.__getitem__) == "4,8"


def test_the_heat_lies_where_it_was_measured():
    figure = plots.plot_patches(*planted(), patch=PATCH)
    image, heat = figure.axes[0].images
    assert image.get_array().shape == heat.get_array().shape == (SIDE, SIDE)
    found = plots.patches_data(*planted(), patch=PATCH).changes["label"]
    np.testing.assert_allclose(heat.get_array()[WHERE], found[1, 2], rtol=1e-5)
    assert heat.get_alpha()[WHERE].min() > 0.75 and heat.get_alpha()[0, 0] < 0.1
    assert figure.axes[0].get_title() == "label"
    assert f"red: rises by up to {found[1, 2]:.3g}" in figure.axes[0].get_xlabel()
    figure.canvas.draw()


def test_what_hardly_changes_the_loss_is_hardly_coloured():
    figure = plots.plot_patches(*planted(), patch=PATCH)
    found = plots.patches_data(*planted(), patch=PATCH)
    share = np.abs(found.changes["noise"]).max() / found.losses["noise"]
    assert figure.axes[1].images[1].get_alpha().max() == pytest.approx(0.8 * share / 0.05)


def test_patches_at_the_edge_are_drawn_smaller():
    figure = plots.plot_patches(drawn(), photo_problem(), patch=5)
    assert figure.axes[0].images[1].get_array().shape == (SIDE, SIDE)
    assert len(figure.axes) == len(photo_problem().outputs)
    figure.canvas.draw()


TABLE = zoo.plain_problem()


@pytest.mark.parametrize(
    ("attempt", "error", "message"),
    [
        (lambda: valp.image_patches(TABLE, "x"), valp.ProblemError, "an input that is an image"),
        (lambda: valp.image_patches(photo_problem(), "x"), valp.ProblemError, r"\(\['patch'\]\)"),
        (lambda: valp.image_patches(photo_problem(), "patch", 0), valp.ProblemError, "from 1 on"),
        (lambda: valp.image_patches({}, "patch"), valp.ProblemError, "problem as a Problem"),
        (
            lambda: valp.patch_intervention(evaluated_images(), zoo.image_problem()),
            valp.ProblemError,
            r"input as the name of an image among \['left', 'right'\], got None",
        ),
        (
            lambda: valp.patch_intervention(drawing(), photo_problem()),
            valp.EvaluationError,
            "patch_intervention needs an individual with a successful evaluation",
        ),
        (
            lambda: valp.patch_intervention(drawn(), zoo.image_problem()),
            valp.StructureError,
            "problem",
        ),
    ],
)
def test_what_has_no_patches_is_named(attempt, error, message):
    with pytest.raises(error, match=message):
        attempt()
