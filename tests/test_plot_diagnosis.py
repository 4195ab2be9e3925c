"""Plots of a diagnosis: relevance, dependency, slopes; and of the training losses."""

from __future__ import annotations

import math

import numpy as np
import plotting
import pytest
import zoo
from plotting import assert_inside, evaluated, evaluation_of, legend_of

import deap_valp as valp
from deap_valp import plots
from deap_valp.errors import EvaluationError
from deap_valp.genome.diagnosis import Dependency, Diagnosis, Slope

closed_figures = plotting.closed_figures

PANELS = {
    "relevance": (lambda ax: plots.plot_relevance(DIAGNOSIS, ax), 1),
    "slopes": (lambda ax: plots.plot_slopes(DIAGNOSIS, ax), 1),
    "losses": (lambda ax: plots.plot_losses(evaluated(), ax), 1),
    "diagnosis": (lambda axes: plots.plot_diagnosis(DIAGNOSIS, axes), 2),
    "diagnosis in full": (lambda axes: plots.plot_diagnosis(IN_FULL, axes), 4),
    "metric": (lambda ax: plots.plot_metric(FOREIGN, ax, metric="growth"), 1),
    "diagnosis with a foreign metric": (lambda axes: plots.plot_diagnosis(FOREIGN, axes), 3),
    "dependency": (lambda ax: plots.plot_dependency(IN_FULL, ax), 1),
}

DIAGNOSIS = Diagnosis(
    {
        "loss_slope": {
            "label": Slope(-1e-3, 1e-6),
            "value": Slope(-1e-5, 1e-7),
            "image": Slope(-1e-3, 1e-2),
            "texture": Slope(0.0, math.inf),
        },
        "module_intervention": {
            ("n0", "label"): 1.2,
            ("n0", "value"): 1.3,
            ("n10", "label"): 0.97,
            ("n2", "label"): 100.0,
        },
    }
)


def test_relevance_data_is_blank_where_an_output_is_not_reached():
    data = plots.relevance_data(DIAGNOSIS)
    assert (data.components, data.outputs) == (("n0", "n2", "n10"), ("label", "value"))
    np.testing.assert_array_equal(data.values, [[1.2, 1.3], [100, np.nan], [0.97, np.nan]])
    assert data.relevant.tolist() == [[False, True], [True, False], [False, False]]


def test_relevance_shows_one_number_for_each_pair():
    [ax] = plots.plot_relevance(DIAGNOSIS).axes
    assert {text.get_text(): text.get_fontweight() for text in ax.texts} == {
        "1.20": "normal",
        "1.30": "bold",
        "100": "bold",
        "0.97": "normal",
    }


IN_FULL = Diagnosis(
    {
        **DIAGNOSIS.measured,
        "input_intervention": {("x", "label"): 1.0, ("x", "value"): 1.5},
        "dependency": {
            ("n0", "label"): Dependency(0.5, 0.75),
            ("n2", "label"): Dependency(0.9, 0.5),
        },
        "mutual_information": {("n0", "value"): Dependency(2.5, 1.0)},
    }
)


def test_relevance_of_inputs_stands_below_that_of_sub_networks():
    data = plots.relevance_data(IN_FULL)
    assert data.components == ("n0", "n2", "n10", "x")
    np.testing.assert_array_equal(data.values[-1], [1.0, 1.5])
    assert data.relevant[-1].tolist() == [False, True]


def test_dependency_shows_what_is_told_and_what_that_adds():
    data = plots.dependency_data(IN_FULL)
    np.testing.assert_allclose(data.own, [[0.5], [0.9]])
    np.testing.assert_allclose(data.gain, [[-0.25], [0.4]])
    [ax] = plots.plot_dependency(IN_FULL).axes
    shown = {text.get_text(): text.get_fontweight() for text in ax.texts}
    assert shown == {"0.50 (-0.25)": "normal", "0.90 (+0.40)": "bold"}
    [ax] = plots.plot_dependency(IN_FULL, metric="mutual_information").axes
    assert [text.get_text() for text in ax.texts] == ["2.50 (+1.50)"]
    assert ax.get_title() == "mutual information"
    with pytest.raises(EvaluationError, match="dependency"):
        plots.plot_dependency(DIAGNOSIS)


def test_all_that_was_measured_is_drawn():
    figure = plots.plot_diagnosis(IN_FULL)
    titles = [ax.get_title().split()[0] for ax in figure.axes]
    assert titles == ["relevance", "slope", "dependency", "mutual"]
    assert_inside(figure)


FOREIGN = Diagnosis(
    {
        **DIAGNOSIS.measured,
        "growth": {("n0->n2", "label"): 0.31, ("n2->n10", "value"): -0.0025},
        "rank": {"label": 3, "value": 1},
    }
)


def test_a_foreign_metric_is_a_matrix():
    data = plots.metric_data(FOREIGN, "growth")
    assert (data.components, data.outputs) == (("n0->n2", "n2->n10"), ("label", "value"))
    np.testing.assert_array_equal(data.values, [[0.31, np.nan], [np.nan, -0.0025]])
    shown = [text.get_text() for text in plots.plot_metric(FOREIGN, metric="growth").axes[0].texts]
    assert shown == ["0.31", "-0.0025"]
    titles = [ax.get_title().split()[0] for ax in plots.plot_diagnosis(FOREIGN).axes]
    assert titles == ["relevance", "slope", "growth"]


@pytest.mark.parametrize("metric", ["rank", "loss_slope"])
def test_a_metric_that_gives_no_pairs_is_no_matrix(metric):
    with pytest.raises(EvaluationError, match=f"each .component, output.*got {metric}"):
        plots.plot_metric(FOREIGN, metric=metric)


def test_slopes_data_names_the_states_of_the_thresholds():
    data = plots.slopes_data(DIAGNOSIS)
    assert data.states == {
        "label": "steep",
        "value": "moderate",
        "image": "stuck",
        "texture": "stuck",
    }
    own = {name: valp.Thresholds(deviations=None) for name in data.slopes} | {
        "value": valp.Thresholds(steep=-1e-6)
    }
    assert plots.slopes_data(DIAGNOSIS, own).states["value"] == "steep"
    plots.plot_slopes(DIAGNOSIS, thresholds=own).canvas.draw()


@pytest.mark.parametrize(
    "subject",
    [DIAGNOSIS, "individual", "evaluation"],
    ids=["diagnosis", "individual", "evaluation"],
)
def test_diagnosis_draws_relevance_and_slopes(subject):
    known = {"individual": evaluated, "evaluation": lambda: evaluated().evaluation}
    figure = plots.plot_diagnosis(known[subject]() if isinstance(subject, str) else subject)
    assert [ax.get_title().split()[0] for ax in figure.axes][:2] == ["relevance", "slope"]
    assert_inside(figure)


def test_losses_are_means_around_each_batch():
    individual = zoo.smallest()
    history = {"y": np.arange(100, dtype=np.float32)}
    evaluation = evaluation_of(individual, (1.0,), history=history)
    batches, losses = plots.losses_data(evaluation, window=4)["y"]
    np.testing.assert_allclose(losses, batches - 1)
    assert (batches[0], batches[-1]) == (2.5, 98.5)
    assert len(plots.losses_data(evaluation)["y"][0]) == 96
    assert len(plots.losses_data(evaluation, window=1000)["y"][0]) == 1


def test_losses_have_a_line_for_each_output():
    figure = plots.plot_losses(evaluated())
    assert legend_of(figure) == list(evaluated().outputs)
    assert_inside(figure)


def test_losses_of_several_sessions_stand_one_after_the_other():
    individual = zoo.smallest()
    sessions = [
        evaluation_of(individual, (1.0,), history={"y": np.full(batches, level, np.float32)})
        for batches, level in ((4, 3.0), (6, 1.0))
    ]
    batches, losses = plots.losses_data(sessions, window=2)["y"]
    np.testing.assert_allclose(batches, [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5])
    np.testing.assert_allclose(losses, [3, 3, 3, np.nan, 1, 1, 1, 1, 1])
    [ax] = plots.plot_losses(sessions).axes
    assert [line.get_xdata()[0] for line in ax.lines[1:]] == [4.5]
    assert ax.get_xlabel() == "batch of all sessions"
    with pytest.raises(EvaluationError, match="got none"):
        plots.plot_losses([])


def test_what_was_not_measured_is_refused():
    individual = zoo.smallest()
    failed = evaluation_of(individual, (valp.PENALTY,), status="the loss is nan")
    for draw in (plots.plot_diagnosis, plots.plot_relevance, plots.plot_slopes, plots.plot_losses):
        for subject in (individual, failed):
            with pytest.raises(EvaluationError, match="this plot needs"):
                draw(subject)
    with pytest.raises(EvaluationError, match="module_intervention"):
        plots.plot_relevance(Diagnosis({"loss_slope": {"y": Slope(0.0, 1.0)}}))
