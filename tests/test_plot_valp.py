"""The picture of a VALP: where its components stand, and that every label can be read."""

from __future__ import annotations

import random
from itertools import combinations, pairwise

import matplotlib.pyplot as plt
import networkx as nx
import plotting
import pytest
import zoo
from deap import base
from matplotlib.offsetbox import TextArea
from matplotlib.text import Text
from plotting import evaluated, evaluation_of

import deap_valp as valp
from deap_valp import plots
from deap_valp.genome import Connection
from deap_valp.genome.diagnosis import Diagnosis
from deap_valp.plots import graph as drawing
from deap_valp.plots import layout

closed_figures = plotting.closed_figures

PANELS = {"valp": (lambda ax: plots.plot_valp(zoo.fan_in(), ax), 1)}


def grown(count: int, seed: int = 0):
    """A VALP of ``count`` sub-networks, made by mutations."""
    random.seed(seed)
    individual = zoo.random_valp(zoo.mixed_problem(), networks=(min(count, 6), min(count, 6)))
    while len(individual.networks) < count:
        valp.mutRandom(individual)
    return individual


def labels_drawn(ax) -> list:
    """All texts of an axes that are not empty, those in boxes too."""
    boxes = [artist for artist in ax.artists if hasattr(artist, "offsetbox")]
    return [text for text in ax.texts if getattr(text, "get_text", str)()] + boxes


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
        place = Connection.parse(name)
        provider, receiver = place.provider, place.receiver
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
    assert drawing._widths(zoo.generic(*range(1, 7))) == "1-2-3-4-\n5-6"


@pytest.mark.parametrize("with_relevance", [True, False], ids=["with relevance", "without"])
def test_labels_of_a_graph_neither_overlap_nor_leave_the_figure(pictured, with_relevance):
    if with_relevance:
        measured = {}
        for name in pictured.networks:
            measured.update(((name, output), 14.3) for output in pictured.outputs_of(name))
        diagnosis = Diagnosis({"module_intervention": measured})
        values = [1.0] * len(pictured.outputs)
        pictured.fitness.values = evaluation_of(pictured, values, diagnosis=diagnosis)
    [ax] = plots.plot_valp(pictured).axes
    boxes = [artist for artist in ax.artists if hasattr(artist, "offsetbox")]
    assert len(boxes) == (len(pictured.networks) if with_relevance else 0)
    assert_readable(ax)


def test_relevance_is_that_of_the_diagnosis():
    assert plots.valp_data(evaluated()).relevance == evaluated().evaluation.diagnosis.relevance


def test_relevance_is_bold_above_the_threshold_of_its_output():
    def weights(relevance: float) -> list[int | str]:
        own = {name: valp.Thresholds(relevance=relevance) for name in evaluated().outputs}
        [ax] = plots.plot_valp(evaluated(), thresholds=own).axes
        seen = []
        for box in ax.artists:
            for area in box.findobj(TextArea):
                texts = [text for text in area.get_children() if isinstance(text, Text)]
                seen += [text.get_fontweight() for text in texts]
        return seen

    pairs = len(evaluated().evaluation.diagnosis.relevance)
    assert weights(0) == ["bold"] * pairs
    assert weights(100) == ["normal"] * pairs


def assert_readable(ax):
    figure = ax.figure
    figure.canvas.draw()
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
    ax = axes[0, 0]
    assert plots.plot_valp(grown(12), ax) is figure
    assert max(text.get_fontsize() for text in ax.texts if text.get_text()) < 5
    figure.canvas.draw()
