"""Samples side by side: grey and RGB, alone and beside real images."""

from __future__ import annotations

import numpy as np
import plotting
import pytest
import torch
from matplotlib.colors import to_rgb
from plotting import evaluated

import deap_valp as valp
from deap_valp import plots
from deap_valp.errors import ValpError
from deap_valp.plots.samples import BETWEEN

closed_figures = plotting.closed_figures

GREY = np.ones((4, 4))
PANELS = {
    "samples": (lambda ax: plots.plot_samples(GREY, axes=ax), 1),
    "samples beside real ones": (lambda axes: plots.plot_samples(GREY, axes=axes, real=GREY), 2),
}


def test_samples_stand_in_rows():
    images = torch.arange(5.0)[:, None].expand(5, 4)
    grid = plots.samples_data(images)
    a, b, c, d, e, gap = 0, 1, 2, 3, 4, np.nan
    line = [gap] * 8
    rows = [[a, a, gap, b, b, gap, c, c], [d, d, gap, e, e, gap, gap, gap]]
    np.testing.assert_array_equal(grid, [rows[0], rows[0], line, rows[1], rows[1]])


def test_samples_keep_the_order_of_pixels():
    images = np.arange(12.0).reshape(2, 6)
    expected = [[0, 1, 2, np.nan, 6, 7, 8], [3, 4, 5, np.nan, 9, 10, 11]]
    np.testing.assert_array_equal(plots.samples_data(images, (2, 3)), expected)
    np.testing.assert_array_equal(plots.samples_data(images.reshape(2, 2, 3)), expected)


def test_channels_may_stand_first_or_last_or_in_a_row():
    images = np.arange(2 * 4 * 5 * 3.0).reshape(2, 4, 5, 3)
    expected = plots.samples_data(images)
    assert expected.shape == (4, 11, 3)
    np.testing.assert_array_equal(expected[:, 6:], images[1])
    assert np.isnan(expected[:, 5]).all()
    first = np.moveaxis(images, -1, 1)
    for same, shape in (
        (first, None),
        (images.reshape(2, -1), (4, 5, 3)),
        (first.reshape(2, -1), (3, 4, 5)),
        (torch.from_numpy(first), None),
    ):
        np.testing.assert_array_equal(plots.samples_data(same, shape), expected)
    grey = images[..., :1]
    np.testing.assert_array_equal(plots.samples_data(grey), plots.samples_data(images[..., 0]))


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (np.ones((3, 6)), None),
        (np.ones((3, 6)), (2, 2)),
        (np.ones((3, 6)), (6,)),
        (np.ones((0, 4)), None),
        (np.ones(4), None),
        (np.ones((3, 4, 5, 2)), None),
        (np.ones((3, 2, 2, 2, 2)), None),
    ],
)
def test_samples_that_make_no_images_are_refused(images, shape):
    with pytest.raises(ValpError, match="images"):
        plots.plot_samples(images, shape)


def test_generated_samples_are_drawn():
    samples = valp.decode(evaluated()).generate(7)["texture"]
    figure = plots.plot_samples(samples)
    assert figure.axes[0].images[0].get_array().shape == (8, 8, 3)
    figure.canvas.draw()


def test_real_images_stand_beside_on_one_scale():
    generated, real = (
        np.array([[[-1.0, 1.0], [3.0, 5.0]]]),
        np.array([[[0.0, 1.0], [2.0, 4.0]]] * 3),
    )
    figure = plots.plot_samples(generated, real=real)
    assert [ax.get_title() for ax in figure.axes] == ["generated", "real"]
    drawn, beside = (ax.images[0].get_array() for ax in figure.axes)
    np.testing.assert_allclose(drawn[..., 0], [[0, 0.25], [0.75, 1]])
    np.testing.assert_allclose(beside[..., 0], [[0, 0.25], [0.5, 1]])
    figure.canvas.draw()


def test_what_is_between_images_is_neither_black_nor_white():
    [ax] = plots.plot_samples(np.ones((2, 3, 3))).axes
    np.testing.assert_allclose(ax.images[0].get_array()[0, 3], to_rgb(BETWEEN))
