"""The Pareto plot: what is dominated, where a search began, and that a point can be followed."""

from __future__ import annotations

import math
from itertools import combinations
from types import SimpleNamespace

import networkx as nx
import numpy as np
import plotting
import pytest
import zoo
from plotting import FAILED, OUTPUTS, assert_inside, individuals, legend_of

import deap_valp as valp
from deap_valp import plots
from deap_valp.errors import ValpError
from deap_valp.plots import pareto

closed_figures = plotting.closed_figures

ROWS = [
    (1, 4, 2, 1),
    (2, 3, 2, 1),
    (2, 4, 2, 1),
    (4, 1, 9, 1),
    (5, 5, 1, 1),
    (5, 5, 5, 1),
    (4, 1, 9, 1),
]
FRONT = [True, True, False, True, True, False, True]

PANELS = {
    "pareto": (lambda axes: plots.plot_pareto(np.array(ROWS)[:, :3], axes=axes), 3),
    "pareto in pairs": (lambda axes: plots.plot_pareto(ROWS, axes=axes, parallel=False), 6),
    "pareto in parallel": (lambda ax: plots.plot_pareto(ROWS, axes=ax), 1),
}


def entries(rows):
    return [valp.Entry(step, nx.DiGraph(), row, 10, None, False) for step, row in enumerate(rows)]


def evaluations(rows):
    return [individual.evaluation for individual in individuals(rows)]


@pytest.mark.parametrize("form", [list, np.array, entries, individuals, evaluations])
def test_pareto_data_marks_what_nothing_dominates(form):
    data = plots.pareto_data(form(ROWS))
    assert data.front[""].tolist() == FRONT
    np.testing.assert_array_equal(data.values[""], ROWS)
    assert data.left_out == {"": 0}


def test_objectives_are_named_by_evaluation_or_entry_if_not_by_the_caller():
    assert plots.pareto_data(individuals(ROWS)).objectives == ("o0", "o1", "o2", "o3")
    assert plots.pareto_data(ROWS).objectives == (
        "objective0",
        "objective1",
        "objective2",
        "objective3",
    )
    assert plots.pareto_data(individuals(ROWS), OUTPUTS).objectives == OUTPUTS
    records = [SimpleNamespace(values=row, objectives=OUTPUTS) for row in ROWS]
    assert plots.pareto_data(records).objectives == OUTPUTS


def test_the_front_is_that_of_all_methods_together():
    data = plots.pareto_data({"good": [(1, 1), (3, 0)], "bad": [(2, 2), (0, 5)]})
    assert data.front["good"].tolist() == [True, True]
    assert data.front["bad"].tolist() == [False, True]


def test_failed_and_unevaluated_individuals_are_left_out_and_counted():
    rows = [ROWS[0], FAILED, ROWS[5], (math.nan, 1, 1, 1)]
    unevaluated = zoo.fan_out()
    data = plots.pareto_data([*entries(rows), unevaluated])
    assert data.left_out == {"": 3}
    assert data.front[""].tolist() == [True, False]
    assert "not evaluated: 3" in legend_of(plots.plot_pareto([*entries(rows), unevaluated]))[-1]


def test_an_evaluation_that_says_it_failed_is_left_out_whatever_its_values():
    failed, fine = (zoo.fan_out() for _ in range(2))
    failed.fitness.values = plotting.evaluation_of(failed, ROWS[0], status="the loss is nan")
    fine.fitness.values = plotting.evaluation_of(fine, ROWS[1])
    for form in ([failed, fine], [failed.evaluation, fine.evaluation]):
        data = plots.pareto_data(form)
        assert data.left_out == {"": 1} and data.values[""].tolist() == [list(ROWS[1])]


@pytest.mark.parametrize("points", [[], [FAILED], {}, {"a": [], "b": [FAILED]}], ids=str)
def test_pareto_of_nothing_is_empty(points):
    assert not any(len(values) for values in plots.pareto_data(points).values.values())
    plots.plot_pareto(points).canvas.draw()


@pytest.mark.parametrize("width", [2, 3, 4])
def test_every_pair_of_objectives_has_a_panel(width):
    rows = [row[:width] for row in ROWS]
    methods = {"guided": rows, "random": rows}
    figure = plots.plot_pareto(methods, OUTPUTS[:width], parallel=False)
    labels = [(ax.get_xlabel().split()[0], ax.get_ylabel().split()[0]) for ax in figure.axes]
    assert labels == list(combinations(OUTPUTS[:width], 2))
    assert legend_of(figure)[-1] == "random, Pareto front"
    assert_inside(figure)


@pytest.mark.parametrize(
    ("width", "parallel"), [(2, None), (3, None), (4, None), (8, None), (2, True), (5, False)]
)
def test_any_number_of_objectives_can_be_drawn(width, parallel):
    rows = np.random.default_rng(0).lognormal(size=(30, width))
    figure = plots.plot_pareto(rows, start=rows[:2] * 3, parallel=parallel)
    in_one = width > 3 if parallel is None else parallel
    assert len(figure.axes) == (1 if in_one else width * (width - 1) // 2)
    assert_inside(figure)


def test_the_start_is_step_0_of_an_archive_or_what_the_caller_names():
    data = plots.pareto_data(entries(ROWS))
    assert data.start[""].tolist() == [True] + [False] * 6
    data = plots.pareto_data(individuals(ROWS[1:]), start=individuals(ROWS[:1]))
    assert not data.start[""].any()
    assert data.start["start"].tolist() == [True] and data.front["start"].tolist() == [True]
    assert not plots.pareto_data(ROWS).start[""].any()


def test_the_shaded_area_is_what_the_start_had_not_reached():
    figure = plots.plot_pareto([(1, 4), (4, 1)], start=[(2, 5), (5, 2), (6, 6)])
    [ax] = figure.axes
    right, top = ax.get_xlim()[1], ax.get_ylim()[1]
    [patch] = ax.patches
    after = [(1, top), (1, 4), (4, 4), (4, 1), (right, 1)]
    before = [(right, 2), (5, 2), (5, 5), (2, 5), (2, top)]
    np.testing.assert_allclose(patch.get_xy()[:-1], [*after, *before])
    assert legend_of(figure) == ["Pareto front", "start", "added by the search"]
    assert not plots.plot_pareto([(1, 4), (4, 1)]).axes[0].patches


def test_a_point_of_the_front_has_the_same_number_in_every_panel():
    rows = [(3, 1, 2), (1, 3, 3), (2, 2, 1), (1, 3, 3), (4, 4, 4)]
    data = plots.pareto_data({"one": rows[:2], "other": rows[2:]})
    assert data.numbers["one"].tolist() == [3, 1] and data.numbers["other"].tolist() == [2, 1, 0]
    for ax, pair in zip(plots.plot_pareto(rows).axes, combinations(range(3), 2), strict=True):
        shown = {text.get_text(): text.xy for text in ax.texts}
        numbered = {"1": rows[1], "2": rows[2], "3": rows[0]}
        for name, row in numbered.items():
            assert tuple(shown.pop(name)) == tuple(row[index] for index in pair)
        assert not shown


def test_parallel_coordinates_span_what_the_front_and_the_starts_have():
    rows = np.array([(1, 4, 10, 0.0), (3, 2, 10, 0.5), (9, 9, 90, 9.0)])
    [ax] = plots.plot_pareto(rows, OUTPUTS).axes
    heights = {line.get_label(): [] for line in ax.lines}
    for line in ax.lines:
        heights[line.get_label()].append(line.get_ydata().tolist())
    assert heights["Pareto front"] == [[0, 1, 0.5, 0], [1, 0, 0.5, 1]]
    assert heights["dominated"][0][0] == 4
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list(OUTPUTS)
    shown = {(text.xy, text.get_text()) for text in ax.texts}
    assert {((0, 0), "1"), ((0, 1), "3"), ((3, 0), "0"), ((3, 1), "0.5")} <= shown


def test_wide_objectives_are_logarithmic_and_may_hold_a_zero():
    rows = [(0.0, 1.0), (0.001, 0.9), (1.0, 0.8)]
    [ax] = plots.plot_pareto(rows).axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("symlog", "linear")
    [ax] = plots.plot_pareto(rows[1:]).axes
    assert ax.get_xscale() == "log"
    plots.plot_pareto(rows, parallel=True).canvas.draw()


def test_a_dominated_point_is_as_low_nowhere():
    rows = np.array([(1, 2), (1, 2), (1, 3), (0, 5)])
    assert pareto.nondominated(rows).tolist() == [True, True, False, True]


def test_pareto_names_must_fit_the_points():
    with pytest.raises(ValpError, match=r"\[4\] objectives"):
        plots.pareto_data(ROWS, ["label", "value"])
    with pytest.raises(ValpError, match="two objectives"):
        plots.plot_pareto([(1,), (2,)])
