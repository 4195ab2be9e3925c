"""Samples of a wanted class, and the temperature of the noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp


@pytest.fixture(scope="module")
def problem():
    """Two clouds of points far from each other, which a model is to tell apart and to draw."""
    rng = np.random.default_rng(0)
    side = np.arange(400) % 2
    points = rng.normal(size=(400, 3)) + 6 * side[:, None]
    label = valp.Classification(np.where(side, "far", "near"))
    return valp.Problem({"x": points}, {"label": label, "drawn": valp.Generation(points)})


@pytest.fixture(scope="module")
def model(problem):
    torch.manual_seed(0)
    networks = {"n0": zoo.generic(8), "n1": zoo.decoder(2, 8, activation="tanh")}
    edges = "x->n0 n0->label n0->n1 n1->drawn"
    individual = zoo.build(problem, networks, edges)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=600)
    return valp.decode(individual, problem)


@pytest.mark.parametrize(("label", "sign"), [("near", -1), ("far", 1)])
def test_the_samples_are_of_the_wanted_class(model, label, sign):
    samples = model.sample(20, wanted={"label": label})["drawn"]
    assert samples.shape == (20, 3)
    assert (sign * (samples.mean(1) - 3) > 0).mean() > 0.9


def test_a_seed_gives_the_same_samples_and_a_temperature_of_0_one_sample(model):
    first, again = (model.sample(4, 1, wanted={"label": "far"})["drawn"] for _ in range(2))
    assert np.array_equal(first, again)
    cold = model.sample(5, temperature=0.0)["drawn"]
    assert np.ptp(cold, 0).max() < 1e-5
    spread = [model.sample(200, temperature=t)["drawn"].std() for t in (0.3, 1.0)]
    assert spread[0] < spread[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"wanted": {"drawn": 1}}, r"wanted as a mapping of some classifications \(\['label'\]\)"),
        ({"wanted": {"label": 2}}, "a class of label from 0 to 1, got 2"),
        ({"wanted": {}}, "wanted as a mapping"),
        ({"temperature": -1.0}, "a temperature from 0 on"),
        ({"wanted": {"label": 0}, "tries": 0}, "tries"),
    ],
)
def test_what_cannot_be_wanted_is_named(model, arguments, message):
    with pytest.raises(valp.ValpError, match=message):
        model.generate(3, **arguments)


def test_an_unknown_label_is_named(model):
    with pytest.raises(valp.ValpError, match=r"a label of label among \['far', 'near'\]"):
        model.sample(3, wanted={"label": "boot"})


def test_a_model_that_does_not_draw_what_it_reads_cannot_tell_the_class():
    model = valp.decode(zoo.fan_out())
    with pytest.raises(valp.ValpError, match="draws what input left reads"):
        model.generate(3, wanted={"label": 0})
