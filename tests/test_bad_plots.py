"""Every plot, called with the wrong type, value or state, says what it needs."""

from __future__ import annotations

import pytest
import zoo
from deap import tools
from plotting import closed_figures, evaluated, individuals

import deap_valp as valp
from deap_valp import plots

__all__ = ["closed_figures"]

PROBLEM = zoo.mixed_problem()


def fresh():
    """An individual that was never evaluated."""
    return zoo.fan_out()


def failed():
    [individual] = individuals([(valp.PENALTY,) * 4])
    return individual


BAD = {
    **{
        f"{name}: an individual without an evaluation": (
            lambda name=name: getattr(plots, name)(fresh()),
            "this plot needs an individual that was evaluated since it was last changed",
        )
        for name in ("plot_losses", "plot_relevance", "plot_slopes", "plot_dependency")
    },
    **{
        f"{name}: a problem": (
            lambda name=name: getattr(plots, name)(PROBLEM),
            "needs .*got Problem",
        )
        for name in [
            "plot_valp",
            "plot_losses",
            "plot_relevance",
            "plot_slopes",
            "plot_dependency",
            "plot_diagnosis",
            "plot_pareto",
            "plot_genealogy",
            "plot_decisions",
            "plot_search",
        ]
    },
    "plot_diagnosis: failed": (
        lambda: plots.plot_diagnosis(failed()),
        "needs a diagnosis",
    ),
    "plot_metric: an unknown metric": (
        lambda: plots.plot_metric(evaluated(), metric="slope"),
        "needs a diagnosis with the metric slope",
    ),
    "plot_losses: window=0.5": (
        lambda: plots.plot_losses(evaluated(), window=0.5),
        "window as a whole number from 1 on, got 0.5",
    ),
    "plot_pareto: not evaluated": (
        lambda: plots.plot_pareto([fresh(), fresh()]),
        "this plot needs points that were evaluated, got 2 without any value",
    ),
    "plot_pareto: one individual": (
        lambda: plots.plot_pareto(evaluated()),
        "this plot needs .*got Zoo4",
    ),
    "plot_search: an archive": (
        lambda: plots.plot_search([]),
        "this plot needs the Logbook of a search, got list",
    ),
    "plot_search: another objective": (
        lambda: plots.plot_search(tools.Logbook()),
        "needs chapters with min and avg",
    ),
    "plot_decisions: an empty archive": (
        lambda: plots.plot_decisions([]),
        "needs the archive of a search",
    ),
    "plot_genealogy: a logbook": (
        lambda: plots.plot_genealogy([{"gen": 0}]),
        "needs the entries of an archive .*got dict",
    ),
    "plot_samples: of all outputs": (
        lambda: plots.plot_samples({"picture": [[1, 2]]}),
        r"images of one output, such as \['picture'\], got a mapping",
    ),
    "plot_samples: words": (lambda: plots.plot_samples("images"), "samples need images"),
    "plot_samples: of two shapes": (
        lambda: plots.plot_samples([[1, 2], [3]]),
        "samples need images",
    ),
    "plot_patches: of no image": (
        lambda: plots.plot_patches(evaluated(), zoo.mixed_problem()),
        r"needs input as the name of an image among \[\], got None",
    ),
    "plot_valp: two axes": (
        lambda: plots.plot_valp(fresh(), ax=[None, None]),
        "this plot needs 1 axes, one for each panel, got",
    ),
    "plot_relevance: thresholds of another output": (
        lambda: plots.plot_relevance(evaluated(), thresholds={"x": valp.Thresholds()}),
        r"thresholds for the output .*, got .*\['x'\]",
    ),
}


@pytest.mark.parametrize("attempt, message", BAD.values(), ids=BAD.keys())
def test_a_wrong_argument_is_named(attempt, message):
    with pytest.raises(valp.ValpError, match=message):
        attempt()


def test_every_plot_was_tried_and_says_that_it_returns_its_figure():
    drawn = {name for name in plots.__all__ if name.startswith("plot_")}
    assert drawn <= {name.partition(":")[0] for name in BAD}
    for name in drawn:
        assert getattr(plots, name).__annotations__["return"] == "Figure"
