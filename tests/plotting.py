"""What the tests of plots share: individuals with written-down values, and what a figure shows."""

from __future__ import annotations

import functools
import random
from itertools import combinations

import matplotlib.pyplot as plt
import networkx as nx
import numpy as np
import pytest
import zoo
from matplotlib.colors import to_rgb

import deap_valp as valp

OUTPUTS = ("label", "value", "image", "texture")
FAILED = (valp.PENALTY,) * 4


@pytest.fixture(autouse=True)
def closed_figures():
    """A test module that assigns this fixture closes the figures of each test."""
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
    if max(values, default=0) >= valp.PENALTY:
        options.setdefault("status", "written down as failed")
    return valp.Evaluation(
        values, objectives=names, seed=individual.seed, weights=individual.weights, **options
    )


def individuals(rows):
    """Individuals with these objectives; without any of an empty row."""
    made = [zoo.fan_out() for _ in rows]
    for individual, row in zip(made, rows, strict=True):
        individual.fitness.values = evaluation_of(individual, row) if row else ()
    return made


def entry(seed, step, value, parents=(), accepted=True, operator="add_layer"):
    """An archive entry with the objectives ``a`` (this value) and ``b`` (1)."""
    move = valp.Move(operator, "gentle", "n0")
    decision = valp.Decision(move, parents) if parents else None
    status = "the loss is nan" if value >= valp.PENALTY else "ok"
    return valp.Entry(
        step, nx.DiGraph(), (value, 1.0), 10, decision, accepted, seed, ("a", "b"), status
    )


def legend_of(figure) -> list[str]:
    """The lines of the legends of a figure."""
    legends = [ax.get_legend() for ax in figure.axes if ax.get_legend()]
    return [text.get_text() for legend in legends for text in legend.get_texts()]


def assert_inside(figure):
    """Nothing leaves the figure, and no two labels of axes run into each other."""
    figure.canvas.draw()
    labels = [label for ax in figure.axes for label in (ax.xaxis.label, ax.yaxis.label)]
    boxes = [label.get_window_extent() for label in labels if label.get_text()]
    assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))
    for ax in figure.axes:
        box = ax.get_tightbbox()
        assert figure.bbox.x0 <= box.x0 + 1 and box.x1 <= figure.bbox.x1 + 1
        assert figure.bbox.y0 <= box.y0 + 1 and box.y1 <= figure.bbox.y1 + 1


def lines_of(ax) -> list[tuple[float, float]]:
    """The points of all lines of an axes."""
    points = []
    for line in ax.lines:
        points += [(float(x), float(y)) for x, y in zip(*line.get_data(), strict=True)]
    return [point for point in points if np.isfinite(point).all()]


def colour_distance(one: str, other: str) -> float:
    """The distance of two colours in CIELAB (1976): about 2 can just be told apart."""
    return float(np.linalg.norm(_lab(one) - _lab(other)))


def _lab(colour: str) -> np.ndarray:
    parts = np.array(to_rgb(colour))
    light = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    to_xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    share = np.array(to_xyz) @ light / [0.9505, 1.0, 1.0888]
    x, y, z = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])
