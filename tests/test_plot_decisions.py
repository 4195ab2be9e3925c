"""The picture of what decisions improved."""

from __future__ import annotations

import numpy as np
import plotting
import pytest
from plotting import assert_inside
from test_decisions import MADE, SEARCHES, START, archive_of
from test_populations import PROBLEM

import deap_valp as valp
from deap_valp import plots

closed_figures = plotting.closed_figures

PANELS = {"decisions": (lambda axes: plots.plot_decisions(MADE, axes), 2)}


@pytest.mark.parametrize("function", [plots.decisions_data, plots.plot_decisions])
def test_an_empty_archive_is_refused(function):
    with pytest.raises(valp.ValpError, match="decisions needs the archive of a search"):
        function([])


def test_a_picture_needs_a_decision():
    with pytest.raises(valp.ValpError, match="with a decision in it"):
        plots.plot_decisions([START])


def test_the_picture_shows_what_the_table_says():
    data = plots.decisions_data(MADE, by=("rule", "operator"))
    assert data.groups == ("R1 clone_network  1/2", "R3 insert_network  0/2", "no change  0/1")
    assert data.group.tolist() == [0, 0, 1, 1, 2] and data.accepted.tolist() == [True, *[False] * 4]
    np.testing.assert_allclose(data.improvement["label"], [0.5, -0.5, np.nan, np.nan, 0.5])
    np.testing.assert_allclose(data.means["sample"], [0.0, np.nan, 0.0])
    figure = plots.plot_decisions(MADE, by=("rule", "operator"))
    axes = figure.axes
    assert [ax.get_xlabel() for ax in axes] == ["label\n% better", "sample\n% better"]
    points = [line.get_xdata() for line in axes[0].lines if line.get_marker() not in ("|", "None")]
    shown = np.concatenate([np.array(line, dtype=float) for line in points])
    assert sorted(shown[np.isfinite(shown)]) == pytest.approx([-50, 50, 50])
    assert [tick.get_text() for tick in axes[0].get_yticklabels()] == list(data.groups)
    assert_inside(figure)


@SEARCHES
def test_the_decisions_of_every_search_can_be_drawn(search):
    figure = plots.plot_decisions(archive_of(search))
    assert len(figure.axes) == len(PROBLEM.objectives)
    assert_inside(figure)
