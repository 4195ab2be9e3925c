"""Sub-network kinds and output kinds from outside the package are drawn as the package's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotting
import pytest
import zoo
from deap import base
from plotting import assert_inside, legend_of

import deap_valp as valp
from deap_valp import plots
from deap_valp.genome import KINDS, Layer, SubNetwork
from deap_valp.genome.ports import OUTPUT_KINDS

closed_figures = plotting.closed_figures

PANELS = {}  # no plot of its own


@dataclass(frozen=True)
class Gate(SubNetwork):
    """A sub-network kind that is no stack of layers."""

    units: int

    kind = "gate"
    takes = frozenset({"features", "values"})
    gives = "values"

    @property
    def width(self):
        return self.units

    @property
    def rows(self):
        return self.units

    def shapes(self):
        return {"0.bias": (self.units,)}

    def compute(self, pre, calculator):
        return calculator.activate(pre, Layer(self.units, "tanh"))

    @classmethod
    def draw(cls, layout):
        return cls(zoo.generic(1).id, layout.draw_layer().width)


class Counts(valp.Regression):
    """An output kind with a score of its own."""

    kind = "counts"
    score_name = "squared error of counts"


# Other tests of this process draw from the registries, so the kinds stand there only while needed.
KINDS.pop(Gate.kind, None)
OUTPUT_KINDS.pop(Counts.kind)


@pytest.fixture(params=["registered", "in no registry"])
def problem(request, monkeypatch):
    if request.param == "registered":
        monkeypatch.setitem(KINDS, Gate.kind, Gate)
    monkeypatch.setitem(OUTPUT_KINDS, Counts.kind, Counts)
    x = np.random.default_rng(0).normal(size=(zoo.EXAMPLES, 4))
    outputs = {"count": Counts(x[:, :1] ** 2), "sign": valp.Classification(x[:, 0] > 0)}
    return valp.Problem({"x": x}, outputs)


@pytest.fixture
def searched(problem):
    """The last incumbent, the logbook and the archive of a short search over foreign kinds."""
    networks = {"n0": Gate(1, 4), "n1": zoo.generic(3)}
    start = zoo.build(problem, networks, "x->n0 n0->n1 n0->count n1->sign n1->count")
    toolbox = base.Toolbox()
    toolbox.register("evaluate", valp.evaluate, problem=problem, batches=20, first_batches=20)
    toolbox.register("selMutation", valp.selMutation, policy="retrain")
    archive = []
    best, logbook = valp.hillClimbing(start, toolbox, 2, archive=archive, progress=False)
    assert best.evaluation.ok
    return best, logbook, archive


def test_a_foreign_sub_network_kind_has_a_marker_of_its_own(searched):
    best, _, _ = searched
    assert plots.valp_data(best).kinds == {"n0": "gate", "n1": "generic"}
    figure = plots.plot_valp(best)
    assert_inside(figure)
    assert legend_of(figure)[:2] == ["generic", "gate"]
    markers = [line.get_marker() for line in figure.axes[0].lines]
    assert len(set(markers)) == 2


def test_a_foreign_output_kind_names_its_axes(problem, searched):
    _, logbook, archive = searched
    figures = [
        plots.plot_search(logbook, problem=problem),
        plots.plot_pareto(archive, problem=problem),
        plots.plot_genealogy(archive, problem=problem),
        plots.plot_decisions(archive, problem=problem),
    ]
    for figure in figures:
        assert_inside(figure)
        ax = figure.axes[0]
        assert "count: squared error of counts" in ax.get_xlabel() + ax.get_ylabel()


@pytest.mark.parametrize("draw", [plots.plot_diagnosis, plots.plot_losses, plots.plot_relevance])
def test_what_was_measured_on_foreign_kinds_is_drawn(draw, searched):
    assert_inside(draw(searched[0]))
