"""Plots: the numbers that they draw, and that what they draw can be read."""

from __future__ import annotations

import functools
import math
import random
from itertools import combinations, pairwise
from types import SimpleNamespace

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
import torch
import zoo
from deap import base, tools
from matplotlib.offsetbox import TextArea

import deap_valp as valp
from deap_valp import plots
from deap_valp.diagnosis import Dependency, Diagnosis, Slope
from deap_valp.errors import EvaluationError, ValpError
from deap_valp.genome.valp import ends
from deap_valp.plots import layout, style

OUTPUTS = ("label", "value", "image", "texture")


@pytest.fixture(autouse=True)
def closed_figures():
    yield
    plt.close("all")


@functools.cache
def evaluated():
    """One member of the zoo after a short training; plots do not change it."""
    random.seed(2)
    individual = zoo.fan_out()
    individual.fitness.values = valp.evaluate(
        individual, zoo.mixed_problem(), batches=30, first_batches=30
    )
    assert individual.evaluation.ok
    return individual


def evaluation_of(individual, values, **options):
    """What an evaluation with these values would have left."""
    names = [f"o{index}" for index in range(len(values))]
    return valp.Evaluation(
        values, objectives=names, seed=individual.seed, weights=individual.weights, **options
    )


def grown(count: int, seed: int = 0):
    """A VALP of ``count`` sub-networks, made by mutations."""
    random.seed(seed)
    individual = zoo.random_valp(zoo.mixed_problem(), networks=(min(count, 6), min(count, 6)))
    while len(individual.networks) < count:
        valp.mutRandom(individual)
    return individual


def drawn(axes):
    """The figure of some axes, drawn."""
    figure = np.ravel(axes)[0].figure
    figure.canvas.draw()
    return figure


def legend_of(ax) -> list[str]:
    return [text.get_text() for text in ax.get_legend().get_texts()]


def labels_drawn(ax) -> list:
    """All texts of an axes that are not empty, those in boxes too."""
    boxes = [artist for artist in ax.artists if hasattr(artist, "offsetbox")]
    return [text for text in ax.texts if getattr(text, "get_text", str)()] + boxes


# ---- the graph -----------------------------------------------------------------------------------


@pytest.fixture(params=[*zoo.NAMES, "of 12", "of 20", "of 30"])
def pictured(request):
    """The zoo, and larger ones."""
    name = request.param
    return grown(int(name.removeprefix("of "))) if name.startswith("of ") else zoo.member(name)


def test_valp_data_describes_every_component(pictured):
    graph = plots.valp_data(pictured)
    assert graph.positions.keys() == graph.widths.keys() == set(pictured.graph)
    assert graph.routes.keys() == set(pictured.connections)
    assert graph.kinds == {name: pictured.component(name).kind for name in pictured.networks}
    assert graph.relevance == {}
    for output in pictured.outputs:
        assert {
            name for name, owner in graph.owners.items() if owner == output
        } == pictured.exclusive(output)


def test_providers_stand_left_of_their_receivers_between_inputs_and_outputs(pictured):
    x = {name: position[0] for name, position in plots.valp_data(pictured).positions.items()}
    assert {x[name] for name in pictured.inputs} == {0}
    assert {x[name] for name in pictured.outputs} == {max(x.values())}
    for name in pictured.networks:
        assert x[name] == 1 + max(x[provider] for provider in pictured.providers(name))
        assert all(x[name] < x[receiver] for receiver in pictured.receivers(name))


def test_no_component_and_no_bend_comes_close_to_a_component(pictured):
    graph = plots.valp_data(pictured)
    at = list(graph.positions.values())
    assert all(abs(y - other) > 1 - 1e-9 for (x, y), (x2, other) in combinations(at, 2) if x == x2)
    for route in graph.routes.values():
        for x, y in route[1:-1]:
            assert all(abs(y - other) > 0.65 - 1e-9 for x2, other in at if x == x2)


def test_routes_lead_from_provider_to_receiver_column_by_column(pictured):
    graph = plots.valp_data(pictured)
    for name, route in graph.routes.items():
        provider, receiver = ends(name)
        assert (route[0], route[-1]) == (graph.positions[provider], graph.positions[receiver])
        assert all(after[0] == before[0] + 1 for before, after in pairwise(route))


def test_sweeps_take_out_crossings_that_need_not_be():
    graph = nx.DiGraph([("a", "y"), ("b", "x")])
    nx.set_node_attributes(graph, {"a": 0, "b": 0, "x": 1, "y": 1}, "column")
    crossed = [["a", "b"], ["x", "y"]]
    assert layout.crossings(graph, crossed) == 1
    assert layout.crossings(graph, layout._ordered(graph, crossed)) == 0


def test_layout_is_the_same_for_a_copy_and_leaves_the_individual_as_it_is(pictured):
    copied = base.Toolbox().clone(pictured)
    assert plots.valp_data(pictured) == plots.valp_data(copied)
    plots.plot_valp(pictured)
    assert pictured == copied


def test_widths_are_those_of_the_layers_after_a_latent():
    widths = plots.valp_data(zoo.fan_in()).widths
    assert (widths["n0"], widths["n1"], widths["n3"], widths["left"], widths["value"]) == (
        "6",
        "5-4",
        "z3: 4-4",
        "5",
        "2",
    )


def test_many_layers_take_several_lines():
    assert plots.graph._widths(zoo.generic(*range(1, 7))) == "1-2-3-4-\n5-6"


@pytest.mark.parametrize("with_relevance", [True, False], ids=["with relevance", "without"])
def test_labels_of_a_graph_neither_overlap_nor_leave_the_figure(pictured, with_relevance):
    if with_relevance:
        measured = {
            (name, output): 14.3
            for name in pictured.networks
            for output in pictured.outputs_of(name)
        }
        diagnosis = Diagnosis({"module_intervention": measured})
        values = [1.0] * len(pictured.outputs)
        pictured.fitness.values = evaluation_of(pictured, values, diagnosis=diagnosis)
    ax = plots.plot_valp(pictured)
    boxes = [artist for artist in ax.artists if hasattr(artist, "offsetbox")]
    assert len(boxes) == (len(pictured.networks) if with_relevance else 0)
    assert_readable(ax)


def test_relevance_is_that_of_the_diagnosis():
    assert plots.valp_data(evaluated()).relevance == evaluated().evaluation.diagnosis.relevance


def test_relevance_is_bold_above_the_threshold_of_its_output():
    def weights(relevance: float) -> list[str]:
        own = {name: valp.Thresholds(relevance=relevance) for name in evaluated().outputs}
        ax = plots.plot_valp(evaluated(), thresholds=own)
        numbers = [
            area
            for box in ax.artists
            if hasattr(box, "offsetbox")
            for area in box.findobj(TextArea)
        ]
        return [text.get_fontweight() for area in numbers for text in area.get_children()]

    pairs = len(evaluated().evaluation.diagnosis.relevance)
    assert weights(0) == ["bold"] * pairs
    assert weights(100) == ["normal"] * pairs


def assert_readable(ax):
    figure = drawn(ax)
    labels = [*labels_drawn(ax), ax.get_legend()]
    boxes = {label: label.get_window_extent(figure.canvas.get_renderer()) for label in labels}
    assert len(boxes) > 2
    for (one, box), (other, second) in combinations(boxes.items(), 2):
        assert not box.padded(-1).overlaps(second.padded(-1)), f"{one} and {other} overlap"
    for label, box in boxes.items():
        assert figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1, f"{label} is cut off"
        assert figure.bbox.y0 - 1 <= box.y0 and box.y1 <= figure.bbox.y1 + 1, f"{label} is cut off"


def test_a_changed_individual_shows_no_relevance():
    changed = base.Toolbox().clone(evaluated())
    valp.mutCloneNetwork(changed, "n0")
    assert plots.valp_data(changed).relevance == {}


def test_fonts_shrink_in_a_small_axes():
    figure, axes = plt.subplots(2, 3, figsize=(8, 5))
    ax = plots.plot_valp(grown(12), axes[0, 0])
    assert ax is axes[0, 0]
    assert max(text.get_fontsize() for text in ax.texts if text.get_text()) < 5
    figure.canvas.draw()


# ---- Pareto --------------------------------------------------------------------------------------

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
FAILED = (valp.PENALTY,) * 4


def individuals(rows):
    made = [zoo.fan_out() for _ in rows]
    for individual, row in zip(made, rows, strict=True):
        individual.fitness.values = evaluation_of(individual, row) if row else ()
    return made


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
    assert (
        plots.pareto_data(
            [SimpleNamespace(values=row, objectives=OUTPUTS) for row in ROWS]
        ).objectives
        == OUTPUTS
    )


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
    assert any(
        "3" in line for line in legend_of(plots.plot_pareto([*entries(rows), unevaluated])[-1])
    )


@pytest.mark.parametrize("points", [[], [FAILED], {}, {"a": [], "b": [FAILED]}], ids=str)
def test_pareto_of_nothing_is_empty(points):
    assert not any(len(values) for values in plots.pareto_data(points).values.values())
    drawn(plots.plot_pareto(points))


@pytest.mark.parametrize("width", [2, 3, 4])
def test_every_pair_of_objectives_has_a_panel(width):
    rows = [row[:width] for row in ROWS]
    axes = plots.plot_pareto({"guided": rows, "random": rows}, OUTPUTS[:width])
    labels = [(ax.get_xlabel().split()[0], ax.get_ylabel().split()[0]) for ax in axes]
    assert labels == list(combinations(OUTPUTS[:width], 2))
    assert legend_of(axes[-1])[-1] == "random, Pareto front"
    assert_inside(axes)


def test_pareto_names_must_fit_the_points():
    with pytest.raises(ValpError, match=r"\[4\] objectives"):
        plots.pareto_data(ROWS, ["label", "value"])
    with pytest.raises(ValpError, match="two objectives"):
        plots.plot_pareto([(1,), (2,)])


# ---- searches ------------------------------------------------------------------------------------

SCRIPT = [(4, 4, 4, 4), (3, 3, 3, 5), (9, 9, 1, 9), FAILED, (2, 2, 2, 2), (5, 900, 5, 5)]


def climbed(**options):
    """The logbook of a hill climbing whose evaluations are written down above."""
    values = iter(SCRIPT)
    toolbox = base.Toolbox()
    toolbox.register("evaluate", lambda individual: evaluation_of(individual, next(values)))
    toolbox.register("selMutation", valp.selMutation, policy="random")
    return valp.hillClimbing(
        zoo.fan_out(), toolbox, nsteps=len(SCRIPT) - 1, progress=False, **options
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
    axes = plots.plot_search(climbed())
    assert len(axes) == 4
    shown = legend_of(axes[-1])
    assert {"incumbent", "start", "not accepted", "not accepted, far above", "failed"} <= set(shown)
    assert axes[1].get_ylim()[1] < 900
    assert_inside(axes)


def test_the_line_of_the_incumbent_changes_at_the_step_that_changed_it():
    lines = plots.plot_search(climbed(), ["o1"])[0].lines
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
    axes = plots.plot_search(evolved())
    assert [ax.get_ylabel().split()[0] for ax in axes] == list(
        plots.generations_data(evolved()).minimum
    )
    assert legend_of(axes[-1]) == ["minimum", "average"]
    assert_inside(axes)
    assert len(plots.plot_search(evolved(), ["image"])) == 1


def test_a_logbook_of_neither_sort_is_refused():
    logbook = tools.Logbook()
    logbook.record(gen=0, nevals=1)
    for draw in (plots.plot_search, plots.search_data, plots.generations_data):
        with pytest.raises(ValpError, match="needs"):
            draw(logbook)


def test_an_operator_looks_the_same_in_every_search():
    everything = plots.search._styles(valp.operators())
    assert (
        plots.search._styles(["start", "clone_network"])["clone_network"]
        == everything["clone_network"]
    )
    looks = [(look["color"], look["marker"]) for look in everything.values()]
    assert len(set(looks)) == len(looks)


# ---- diagnosis and losses ------------------------------------------------------------------------

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
    ax = plots.plot_relevance(DIAGNOSIS)
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
    shown = {
        text.get_text(): text.get_fontweight() for text in plots.plot_dependency(IN_FULL).texts
    }
    assert shown == {"0.50 (-0.25)": "normal", "0.90 (+0.40)": "bold"}
    ax = plots.plot_dependency(IN_FULL, metric="mutual_information")
    assert [text.get_text() for text in ax.texts] == [
        "2.50 (+1.50)"
    ] and ax.get_title() == "mutual information"
    with pytest.raises(EvaluationError, match="dependency"):
        plots.plot_dependency(DIAGNOSIS)


def test_all_that_was_measured_is_drawn():
    axes = plots.plot_diagnosis(IN_FULL)
    assert [ax.get_title().split()[0] for ax in axes] == [
        "relevance",
        "slope",
        "dependency",
        "mutual",
    ]
    assert_inside(axes)


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
    drawn(plots.plot_slopes(DIAGNOSIS, thresholds=own))


@pytest.mark.parametrize(
    "subject",
    [DIAGNOSIS, "individual", "evaluation"],
    ids=["diagnosis", "individual", "evaluation"],
)
def test_diagnosis_draws_relevance_and_slopes(subject):
    known = {"individual": evaluated, "evaluation": lambda: evaluated().evaluation}
    axes = plots.plot_diagnosis(known[subject]() if isinstance(subject, str) else subject)
    assert [ax.get_title().split()[0] for ax in axes] == ["relevance", "slope"]
    assert_inside(axes)


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
    ax = plots.plot_losses(evaluated())
    assert legend_of(ax) == list(evaluated().outputs)
    assert_inside((ax,))


def test_what_was_not_measured_is_refused():
    individual = zoo.smallest()
    failed = evaluation_of(individual, (valp.PENALTY,), status="the loss is nan")
    for draw in (plots.plot_diagnosis, plots.plot_relevance, plots.plot_slopes, plots.plot_losses):
        for subject in (individual, failed):
            with pytest.raises(EvaluationError, match="this plot needs"):
                draw(subject)
    with pytest.raises(EvaluationError, match="module_intervention"):
        plots.plot_relevance(Diagnosis({"loss_slope": {"y": Slope(0.0, 1.0)}}))


# ---- samples -------------------------------------------------------------------------------------


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


@pytest.mark.parametrize(
    ("images", "shape"),
    [
        (np.ones((3, 6)), None),
        (np.ones((3, 6)), (2, 2)),
        (np.ones((0, 4)), None),
        (np.ones(4), None),
    ],
)
def test_samples_that_make_no_images_are_refused(images, shape):
    with pytest.raises(ValpError, match="images"):
        plots.plot_samples(images, shape)


def test_generated_samples_are_drawn():
    samples = valp.decode(evaluated()).generate(7)["texture"]
    ax = plots.plot_samples(samples)
    assert ax.images[0].get_array().shape == (8, 8)
    drawn(ax)


# ---- axes ----------------------------------------------------------------------------------------


def assert_inside(axes):
    """Nothing of the axes, their labels and legends leaves the figure."""
    figure = drawn(axes)
    for ax in axes:
        box = ax.get_tightbbox()
        assert figure.bbox.x0 <= box.x0 + 1 and box.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 <= box.y0 + 1 and box.y1 <= figure.bbox.y1 + 1


PANELS = {
    "valp": (lambda ax: plots.plot_valp(zoo.fan_in(), ax), 1),
    "relevance": (lambda ax: plots.plot_relevance(DIAGNOSIS, ax), 1),
    "slopes": (lambda ax: plots.plot_slopes(DIAGNOSIS, ax), 1),
    "losses": (lambda ax: plots.plot_losses(evaluated(), ax), 1),
    "samples": (lambda ax: plots.plot_samples(np.ones((4, 4)), ax=ax), 1),
    "diagnosis": (lambda axes: plots.plot_diagnosis(DIAGNOSIS, axes), 2),
    "diagnosis in full": (lambda axes: plots.plot_diagnosis(IN_FULL, axes), 4),
    "dependency": (lambda ax: plots.plot_dependency(IN_FULL, ax), 1),
    "pareto": (lambda axes: plots.plot_pareto(ROWS, axes=axes), 6),
    "search": (lambda axes: plots.plot_search(climbed(), axes=axes), 4),
    "generations": (lambda axes: plots.plot_search(evolved(), axes=axes), 4),
}


@pytest.mark.parametrize(("draw", "count"), PANELS.values(), ids=PANELS.keys())
def test_every_plot_draws_on_the_axes_it_is_given(draw, count):
    figure, axes = plt.subplots(
        2, count, figsize=(4 * count, 6), layout="constrained", squeeze=False
    )
    given = draw(axes[0, 0] if count == 1 else axes[0])
    assert [*np.ravel(given)] == [*axes[0]]
    assert plt.get_fignums() == [figure.number]
    assert not any(ax.has_data() for ax in axes[1])
    figure.canvas.draw()


@pytest.mark.parametrize(("draw", "count"), PANELS.values(), ids=PANELS.keys())
def test_another_number_of_axes_is_refused(draw, count):
    with pytest.raises(ValpError, match=f"needs {count} axes"):
        draw(plt.subplots(1, count + 1)[1])


def test_every_plot_has_its_numbers():
    drawn_alone = {"plot_diagnosis"}  # all that was measured, side by side
    for name in plots.__all__:
        if name.startswith("plot_") and name not in drawn_alone:
            assert f"{name.removeprefix('plot_')}_data" in plots.__all__


def test_text_reads_on_every_colour():
    for colour in (*style.PALETTE, style.SHARED):
        assert contrast(colour, style.ink_on(colour)) > 3
        assert contrast("white", style.darker(colour)) > 3


def contrast(one, other) -> float:
    """As WCAG defines it, from 1 to 21."""
    from matplotlib.colors import to_rgb

    light = [
        sum(
            share * (part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4)
            for share, part in zip((0.2126, 0.7152, 0.0722), to_rgb(colour), strict=True)
        )
        for colour in (one, other)
    ]
    return (max(light) + 0.05) / (min(light) + 0.05)
