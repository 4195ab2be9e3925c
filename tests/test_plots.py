"""What holds for every plot: each test file of a plot names in ``PANELS`` how to draw it."""

from __future__ import annotations

import importlib
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import plotting
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from deap_valp import plots
from deap_valp.errors import ValpError
from deap_valp.plots import style
from deap_valp.plots.points import label_of

closed_figures = plotting.closed_figures

# By name, how the plot is drawn on given axes, and how many it needs.
PANELS = {}
for path in sorted(Path(__file__).parent.glob("test_plot_*.py")):
    PANELS.update(importlib.import_module(path.stem).PANELS)

each_plot = pytest.mark.parametrize(("draw", "count"), PANELS.values(), ids=PANELS.keys())


@each_plot
def test_every_plot_returns_its_figure(draw, count):
    figure = draw(None)
    assert isinstance(figure, Figure) and len(figure.axes) == count
    assert plt.get_fignums() == [figure.number]
    plotting.assert_inside(figure)


@each_plot
def test_every_plot_draws_on_the_axes_it_is_given(draw, count):
    figure, axes = plt.subplots(
        2, count, figsize=(4 * count, 6), layout="constrained", squeeze=False
    )
    assert draw(axes[0, 0] if count == 1 else axes[0]) is figure
    assert plt.get_fignums() == [figure.number]
    assert not any(ax.has_data() for ax in axes[1])
    figure.canvas.draw()


@each_plot
def test_every_plot_draws_in_a_subfigure(draw, count):
    figure = plt.figure(figsize=(4 * count, 6), layout="constrained")
    part = figure.subfigures(2)[0]
    axes = part.subplots(1, count, squeeze=False)[0]
    assert draw(axes[0] if count == 1 else axes) is figure


@each_plot
def test_another_number_of_axes_is_refused(draw, count):
    with pytest.raises(ValpError, match=f"needs {count} axes"):
        draw(plt.subplots(1, count + 1)[1])


def test_every_plot_has_its_numbers_and_its_test():
    drawn_alone = {"plot_diagnosis"}  # all that was measured, side by side
    for name in plots.__all__:
        if name.startswith("plot_"):
            subject = name.removeprefix("plot_")
            assert name in drawn_alone or f"{subject}_data" in plots.__all__
            assert subject in PANELS, f"no test_plot_*.py names {subject!r} in its PANELS"


@pytest.mark.parametrize("needed", [1, 3, 4, 5, 7, 10])
def test_any_number_of_panels_fits_a_figure(needed):
    axes = style.panels(None, needed, 2.0, 1.5, beside=1.0)
    for ax in axes:
        ax.plot([1, 2], label="a line")
    style.legend_beside(*axes)
    assert len(axes) == needed == len(axes[0].figure.axes)
    plotting.assert_inside(axes[0].figure)
    boxes = [ax.get_window_extent() for ax in axes]
    [legend] = [ax.get_legend() for ax in axes if ax.get_legend()]
    assert legend.get_window_extent().x0 > max(box.x1 for box in boxes)
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_an_axis_is_named_by_its_score_where_there_is_one():
    scored, plain = SimpleNamespace(score_name="error rate"), SimpleNamespace()
    problem = SimpleNamespace(outputs={"label": scored, "value": plain}, costs={"weights": len})
    assert label_of("label", problem) == "label: error rate"
    for name in ("value", "weights", "from elsewhere"):
        assert label_of(name, problem) == label_of(name) == f"{name} (minimised)"


def test_text_reads_on_every_colour():
    for colour in (*style.PALETTE, *style.FURTHER, style.SHARED):
        assert contrast(colour, style.ink_on(colour)) > 3
        assert contrast("white", style.darker(colour)) > 3


def contrast(one, other) -> float:
    """As WCAG defines it, from 1 to 21."""
    light = []
    for colour in (one, other):
        parts = np.array(to_rgb(colour))
        linear = np.where(parts <= 0.03928, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        light.append(float(linear @ [0.2126, 0.7152, 0.0722]))
    return (max(light) + 0.05) / (min(light) + 0.05)
