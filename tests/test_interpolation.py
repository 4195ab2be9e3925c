"""The way between two examples: where it begins and ends, what it passes, what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from photos import drawing, in_order, patches, photo_problem

import deap_valp as valp
from deap_valp.training.walk import between

SHARES = torch.linspace(0, 1, 9, dtype=torch.float64)[:, None]


def latent(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


# ---- the way of a latent -------------------------------------------------------------------------


def test_direction_and_length_change_evenly():
    way = between(latent(2.0, 0.0), latent(0.0, 4.0), SHARES)
    angles = torch.atan2(way[:, 1], way[:, 0])
    torch.testing.assert_close(angles, SHARES[:, 0] * math.pi / 2)
    torch.testing.assert_close(way.norm(dim=1), 2 + 2 * SHARES[:, 0])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (latent(1.0, 2.0), latent(2.0, 4.0)),
        (latent(1.0, 2.0), latent(-1.0, -2.0)),
        (latent(0.0, 0.0), latent(1.0, 1.0)),
        (latent(0.0, 0.0), latent(0.0, 0.0)),
        (latent(3.0), latent(-1.0)),
    ],
    ids=["parallel", "opposite", "from zero", "both zero", "one dimension"],
)
def test_where_there_is_no_direction_to_turn_in_the_way_is_straight(first, second):
    expected = first + SHARES * (second - first)
    torch.testing.assert_close(between(first, second, SHARES), expected)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("dim", [1, 2, 16])
def test_the_way_begins_at_the_one_latent_and_ends_at_the_other(dim, seed):
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, dim, generator=generator)
    way = between(first, second, SHARES)
    assert way.dtype == torch.float32 and way.shape == (9, dim)
    torch.testing.assert_close(way[[0, -1]], torch.stack([first, second]))
    torch.testing.assert_close(between(second, first, SHARES).flip(0), way)


# ---- of a model ----------------------------------------------------------------------------------


def examples_of(problem):
    """Two examples of the zoo's problems, in the form that these were made from."""
    rows = problem.split("test").inputs
    found = []
    for index in (0, 1):
        example = {}
        for name, port in problem.inputs.items():
            values = rows[name][index : index + 1].double()
            values = values / torch.tensor(port.scale) + torch.tensor(port.shift)
            example[name] = values.reshape(1, *problem.preparation.inputs[name].encoding.shape)
        found.append({name: values.numpy() for name, values in example.items()})
    return found


def test_the_ends_are_the_reconstructions_of_both_examples(zoo_member, problem):
    model, (first, second) = valp.decode(zoo_member, problem), examples_of(problem)
    names = [name for name, kind in problem.outputs.items() if kind.draws_samples]
    if not names:
        with pytest.raises(valp.ValpError, match="interpolate needs a Generation output"):
            model.interpolate(first, second)
        return
    way = model.interpolate(first, second, steps=5)
    assert set(way) == set(names)
    ends = [model.predict(example) for example in (first, second)]
    for name, values in way.items():
        assert values.shape == (5, *ends[0][name].shape[1:])
        for index, end in ((0, ends[0]), (-1, ends[1])):
            np.testing.assert_allclose(values[index], end[name][0], rtol=1e-4, atol=1e-4)


def test_the_way_between_two_images_in_colours_has_their_shape_and_passes_something_else():
    images = in_order(patches()[0], planes=True)
    model = valp.decode(drawing(planes=True), photo_problem(planes=True))
    way = model.interpolate({"patch": images[:1]}, {"patch": images[-1:]}, steps=4)["sample"]
    assert way.shape == (4, *images.shape[1:])
    assert (np.abs(np.diff(way, axis=0)).max((1, 2, 3)) > 1e-3).all()
    there = model.interpolate({"patch": images[-1:]}, {"patch": images[:1]}, steps=4)["sample"]
    np.testing.assert_allclose(there[::-1], way, rtol=1e-4, atol=1e-3)
    valp.plots.plot_samples(way)


@pytest.mark.parametrize(
    ("first", "options", "error", "message"),
    [
        (slice(0, 2), {}, valp.ValpError, "one example as first, got 2"),
        (slice(0, 0), {}, valp.ProblemError, "an array of examples"),
        (slice(0, 1), {"steps": 1}, valp.ValpError, "interpolate needs steps"),
        (slice(0, 1), {"steps": 2.5}, valp.ValpError, "interpolate needs steps"),
        (None, {}, valp.ProblemError, "interpolate needs"),
    ],
)
def test_what_is_no_pair_of_examples_is_named(first, options, error, message):
    images = patches()[0]
    model = valp.decode(drawing(), photo_problem())
    given = {} if first is None else {"patch": images[first]}
    with pytest.raises(error, match=message):
        model.interpolate(given, {"patch": images[:1]}, **options)


def test_without_the_problem_there_is_nothing_to_read_examples_by():
    with pytest.raises(valp.ValpError, match="interpolate needs the columns"):
        valp.decode(drawing()).interpolate({}, {})
