"""The picture of who was made of whom."""

from __future__ import annotations

import math
import random

import numpy as np
import plotting
import pytest
import test_genealogy
from plotting import assert_inside, entry, legend_of
from test_genealogy import SEARCHES, archive_of

import deap_valp as valp
from deap_valp import plots

closed_figures, toolbox = plotting.closed_figures, test_genealogy.toolbox

PANELS = {"genealogy": (lambda ax: plots.plot_genealogy(FAMILY, ax), 1)}

FAMILY = [
    entry(1, 0, 0.9),
    entry(2, 0, 0.8),
    entry(3, 1, 0.5, (1,), operator="clone_network"),
    entry(4, 1, valp.PENALTY, (2,), accepted=False),
    entry(5, 2, 0.2, (3, 2), operator="exclusive_subgraph_crossover"),
    entry(6, 3, 0.4, (5,), accepted=False),
]


def test_genealogy_data():
    data = plots.genealogy_data(FAMILY)
    assert data.objective == "a" and data.seeds == (1, 2, 3, 4, 5, 6)
    np.testing.assert_array_equal(data.values, [0.9, 0.8, 0.5, math.nan, 0.2, 0.4])
    assert data.operators[:3] == ("", "", "clone_network") and data.steps.tolist() == [
        0,
        0,
        1,
        1,
        2,
        3,
    ]
    assert data.accepted.tolist() == [True, True, True, False, True, False]
    assert data.ancestry.tolist() == [True, True, True, False, True, False]
    edges = {
        tuple(edge): bool(donated) for edge, donated in zip(data.edges, data.donations, strict=True)
    }
    assert edges == {(0, 2): False, (1, 3): False, (2, 4): False, (1, 4): True, (4, 5): False}
    assert plots.genealogy_data(valp.genealogy(FAMILY), "b").values.tolist() == [1.0] * 6


@pytest.mark.parametrize(("archive", "objective"), [([], None), (FAMILY, "c")])
def test_what_cannot_be_drawn_is_named(archive, objective):
    with pytest.raises(valp.ValpError, match=r"somebody in it|objectives \['a', 'b'\], got 'c'"):
        plots.genealogy_data(archive, objective)


def test_plot_genealogy_draws_every_individual():
    figure = plots.plot_genealogy(FAMILY)
    assert_inside(figure)
    shown = sorted(plotting.lines_of(figure.axes[0]))
    assert shown == [(0.0, 0.8), (0.375, 0.9), (1.0, 0.5), (2.0, 0.2), (3.0, 0.4)]
    legend = legend_of(figure)
    assert {
        "start",
        "clone_network",
        "way to the best",
        "donated to the best",
        "left out, failed: 1",
    } <= set(legend)
    assert len(legend) == len(set(legend))


def test_those_of_one_step_stand_beside_each_other_by_their_values():
    values = [0.5, 0.2, valp.PENALTY, 0.9, 0.3]
    data = plots.genealogy_data([entry(seed, 2, value) for seed, value in enumerate(values)])
    at = data.places[:, 0]
    assert at[1] == 2 and at[1] < at[4] < at[0] < at[3] < 3


def test_later_steps_keep_their_share_of_the_height():
    family = [entry(1, 0, 900.0)]
    family += [entry(seed, seed, 4.0 / seed, (seed - 1,)) for seed in range(2, 12)]
    [ax] = plots.plot_genealogy(family).axes
    ax.figure.canvas.draw()
    low, high = (ax.transData.transform((0, value))[1] for value in (4 / 11, 2))
    assert high - low > 0.15 * ax.bbox.height


def test_who_was_not_accepted_has_no_line():
    [ax] = plots.plot_genealogy(FAMILY).axes
    drawn = [line for lines in ax.collections for line in lines.get_segments()]
    assert len(drawn) == 3


@SEARCHES
def test_the_archive_of_every_search_can_be_drawn(search, toolbox):
    random.seed(2)
    [ax] = plots.plot_genealogy(archive_of(search, toolbox), objective="value").axes
    assert ax.get_ylabel() == "value (minimised)" and ax.lines
