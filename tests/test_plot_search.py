"""The plot of a search: every candidate's fate, and operators that can be told apart."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import plotting
import pytest
import zoo
from deap import base, tools
from plotting import FAILED, assert_inside, evaluation_of, individuals, legend_of

import deap_valp as valp
from deap_valp import plots
from deap_valp.errors import ValpError
from deap_valp.plots.applied import looks_of

closed_figures = plotting.closed_figures

SCRIPT = [(4, 4, 4, 4), (3, 3, 3, 5), (9, 9, 1, 9), FAILED, (2, 2, 2, 2), (5, 900, 5, 5)]


PANELS = {
    "search": (lambda axes: plots.plot_search(climbed(), axes=axes), 4),
    "generations": (lambda axes: plots.plot_search(evolved(), axes=axes), 4),
}


def climbed(**options):
    """The logbook of a hill climbing whose evaluations are written down above."""
    values = iter(SCRIPT)
    toolbox = base.Toolbox()
    toolbox.register("evaluate", lambda individual: evaluation_of(individual, next(values)))
    toolbox.register("selMutation", valp.selMutation, policy="random")
    return valp.hillClimbing(
        zoo.fan_out(),
        toolbox,
        nsteps=len(SCRIPT) - 1,
        accept=valp.majority,
        progress=False,
        **options,
    )[1]


def test_search_data_follows_the_incumbent():
    data = plots.search_data(climbed())
    assert data.steps.tolist() == [0, 1, 2, 3, 4, 5]
    assert data.accepted.tolist() == [True, True, False, False, True, False]
    assert data.operators[0] == "start"
    assert set(data.operators[1:]) <= valp.operators("macro").keys()
    np.testing.assert_array_equal(data.candidates["o1"], [4, 3, 9, np.nan, 2, 900])
    np.testing.assert_array_equal(data.incumbent["o1"], [4, 3, 3, 3, 2, 2])


def test_objectives_of_a_search_can_be_chosen():
    logbook = climbed(stats=tools.Statistics(len_of_connections))
    assert list(plots.search_data(logbook, ["o2", "o0"]).candidates) == ["o2", "o0"]
    with pytest.raises(ValpError, match="o9"):
        plots.search_data(logbook, ["o9"])


def len_of_connections(individual) -> int:
    return len(individual.connections)


def test_search_shows_each_fate_of_a_candidate():
    figure = plots.plot_search(climbed())
    axes = figure.axes
    assert len(axes) == 4
    shown = legend_of(figure)
    assert {"incumbent", "start", "not accepted", "not accepted, far above", "failed"} <= set(shown)
    assert axes[1].get_ylim()[1] < 900
    assert_inside(figure)


def test_the_line_of_the_incumbent_changes_at_the_step_that_changed_it():
    lines = plots.plot_search(climbed(), ["o1"]).axes[0].lines
    incumbent = next(line for line in lines if line.get_label() == "incumbent")
    assert incumbent.get_drawstyle() == "steps-post"
    np.testing.assert_array_equal(incumbent.get_ydata(), [4, 3, 3, 3, 2, 2])


def evolved():
    """The logbook of a search by generations: one individual that succeeded, one that failed."""
    logbook = tools.Logbook()
    statistics = valp.statistics(zoo.mixed_problem())
    for generation in range(3):
        population = individuals([(4 - generation, 2, 3, 4), (6, 2, 3, 4), FAILED])
        logbook.record(gen=generation, nevals=3, **statistics.compile(population))
    logbook.record(gen=3, nevals=1, **statistics.compile(individuals([FAILED])))
    return logbook


def test_generations_data_gives_minimum_and_average_of_what_succeeded():
    data = plots.generations_data(evolved())
    assert set(data.minimum) == set(zoo.mixed_problem().objectives)
    np.testing.assert_array_equal(data.generations, [0, 1, 2, 3])
    np.testing.assert_array_equal(data.minimum["label"], [4, 3, 2, np.nan])
    np.testing.assert_array_equal(data.average["label"], [5, 4.5, 4, np.nan])


def test_search_by_generations_has_a_panel_for_each_objective():
    figure = plots.plot_search(evolved())
    shown = [ax.get_ylabel().split()[0] for ax in figure.axes]
    assert shown == list(plots.generations_data(evolved()).minimum)
    assert legend_of(figure) == ["minimum", "average"]
    assert_inside(figure)
    assert len(plots.plot_search(evolved(), ["image"]).axes) == 1


def test_a_problem_names_the_objectives_of_a_search():
    figure = plots.plot_search(evolved(), problem=zoo.mixed_problem())
    shown = [ax.get_ylabel().split()[0].strip(":") for ax in figure.axes]
    assert shown == list(zoo.mixed_problem().objectives)


def test_a_logbook_of_neither_sort_is_refused():
    logbook = tools.Logbook()
    logbook.record(gen=0, nevals=1)
    for draw in (plots.plot_search, plots.search_data, plots.generations_data):
        with pytest.raises(ValpError, match="needs"):
            draw(logbook)


def test_an_operator_looks_the_same_in_every_search():
    everything = looks_of(valp.operators())
    assert looks_of(["start", "clone_network"])["clone_network"] == everything["clone_network"]


def test_no_two_operators_share_a_colour():
    foreign = [f"foreign_{index}" for index in range(40)]
    looks = looks_of([*valp.operators(), *foreign, "start", "no change"])
    colours = [look["color"] for look in looks.values()]
    assert len(set(colours)) == len(colours)
    for one, other in combinations(looks_of(valp.operators()).values(), 2):
        assert plotting.colour_distance(one["color"], other["color"]) > 20


def test_what_a_foreign_operator_adds_leaves_the_others_as_they_look():
    assert looks_of(["foreign", *valp.operators()]).items() >= looks_of(valp.operators()).items()
