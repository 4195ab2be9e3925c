"""Training images that are moved and mirrored at random."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.genome import Maps
from deap_valp.problem.data.augmentation import Augmentation
from deap_valp.training import train


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def spots(size=64, planes=False):
    """Images of 12 x 14 pixels and 2 colours, each of a single pixel of each colour."""
    maps = Maps(12, 14, 2, planes)
    rows = torch.zeros(size, 2, 12, 14)
    rows[:, 0, 5, 4], rows[:, 1, 5, 4] = 1.0, 2.0
    return maps, rows.flatten(1) if planes else rows.permute(0, 2, 3, 1).flatten(1)


@pytest.mark.parametrize("planes", [False, True])
def test_a_shift_moves_all_colours_of_an_image_alike_by_every_number_up_to_it(planes):
    maps, rows = spots(400, planes)
    moved = maps.images(Augmentation(maps, 2, False)(rows, generator()))
    assert torch.equal(moved[:, 1], 2 * moved[:, 0])
    _, y, x = moved[:, 0].nonzero().T
    assert {(int(a) - 5, int(b) - 4) for a, b in zip(y, x, strict=True)} == {
        (a, b) for a in range(-2, 3) for b in range(-2, 3)
    }


def test_a_flip_mirrors_half_of_the_images():
    maps, rows = spots(400)
    x = maps.images(Augmentation(maps, 0, True)(rows, generator()))[:, 0].nonzero()[:, 2]
    assert set(x.tolist()) == {4, 9} and 150 < (x == 4).sum() < 250


def test_what_moves_in_at_the_border_is_0():
    maps, rows = spots()
    ones = torch.ones_like(rows)
    moved = maps.images(Augmentation(maps, 3, False)(ones, generator()))
    assert set(moved.unique().tolist()) == {0.0, 1.0} and moved[:, :, 3:-3, 3:-3].all()


def problem(**change):
    rng = np.random.default_rng(0)
    images = rng.random((120, 12, 13)).astype(np.float32)
    return valp.Problem(
        {"x": valp.Image(images, **change)},
        {"y": valp.Classification(np.arange(120) % 2), "z": valp.Generation()},
    )


def test_a_target_that_is_the_input_moves_with_it_and_no_other_does():
    moved, split = problem(shift=2, flip=True), problem(shift=2).split("train")
    features, targets = moved.augmented(split.inputs, split.targets, generator())
    assert torch.equal(features["x"], targets["z"])
    assert not torch.equal(features["x"], split.inputs["x"])
    assert torch.equal(targets["y"], split.targets["y"])


def trained(**change):
    data = problem(**change)
    networks = {"n0": zoo.generic(4), "n1": zoo.decoder(2, 4)}
    individual = zoo.build(data, networks, "x->n0 n0->y n0->n1 n1->z")
    model = valp.decode(individual)
    train(model, data, 5, 20, individual.optimizers, seed=3)
    return torch.cat([tensor.flatten() for tensor in model.weights().values()])


def test_training_is_seeded_and_changes_by_it():
    assert torch.equal(trained(shift=1, flip=True), trained(shift=1, flip=True))
    assert torch.equal(trained(), trained(shift=0))
    assert not torch.equal(trained(), trained(shift=1))


def test_validation_and_test_examples_stay_as_they_are():
    for split in ("train", "validation", "test"):
        one, other = (problem(**change).split(split).inputs["x"] for change in ({}, {"shift": 3}))
        assert torch.equal(one, other)


@pytest.mark.parametrize("change", [{"shift": 1}, {"flip": True}])
def test_nothing_is_read_from_the_device(change):
    data, size = problem(**change), 10
    rows = {"x": torch.empty(size, 156, device="meta")}
    features, _ = data.augmented(rows, {"z": rows["x"]}, None)
    assert features["x"].device.type == "meta" and features["x"].shape == (size, 156)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"shift": -1}, "a number of pixels"), ({"flip": 2}, "flip as True or False")],
)
def test_a_wrong_change_is_named(change, message):
    with pytest.raises(valp.ProblemError, match=message):
        problem(**change)


def test_what_is_no_image_is_not_moved():
    volumes = np.random.default_rng(0).random((30, 5, 5, 5, 2))
    with pytest.raises(valp.ProblemError, match=r"port 'x' needs images of \(height, width\)"):
        valp.Problem(
            {"x": valp.Image(volumes, shift=1)}, {"y": valp.Classification(np.arange(30) % 2)}
        )
