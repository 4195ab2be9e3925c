"""The picture of a VALP in SVG, and what a notebook shows of the objects of the package."""

from __future__ import annotations

import pickle
import xml.etree.ElementTree as ElementTree

import numpy as np
import plotting
import pytest
import zoo
from deap import tools
from sklearn.isotonic import isotonic_regression

import deap_valp as valp
from deap_valp import plots
from deap_valp.plots.layout import rising

SVG = "{http://www.w3.org/2000/svg}"


def texts_of(picture: str) -> list[str]:
    root = ElementTree.fromstring(picture)
    return ["".join(text.itertext()) for text in root.iter(f"{SVG}text")]


def test_the_picture_names_every_component_and_its_layers(zoo_member):
    graph, texts = plots.valp_data(zoo_member), texts_of(plots.valp_svg(zoo_member))
    assert set(zoo_member.graph) <= set(texts)
    for text in graph.widths.values():
        assert set(text.split("\n")) <= set(texts)
    assert set(graph.kinds.values()) <= set(texts)


def test_all_of_the_picture_is_inside_it(zoo_member):
    root = ElementTree.fromstring(plots.valp_svg(zoo_member))
    width, height = float(root.get("width")), float(root.get("height"))
    for group in root.iter(f"{SVG}g"):
        if group.get("transform"):
            x, y = map(float, group.get("transform")[len("translate(") : -1].split())
            assert 0 <= x < width and 14 <= y < height


def test_the_picture_shows_the_relevance_of_a_diagnosed_individual():
    individual = plotting.evaluated()
    texts = " ".join(texts_of(plots.valp_svg(individual)))
    for value in individual.evaluation.diagnosis.relevance.values():
        assert plots.style.number(value) in texts


def test_a_notebook_shows_the_picture_of_a_valp(zoo_member):
    assert zoo_member._repr_svg_() == plots.valp_svg(zoo_member)


@pytest.mark.parametrize("seed", range(5))
def test_rising_numbers_are_those_of_isotonic_regression(seed):
    values = np.random.default_rng(seed).normal(size=20)
    np.testing.assert_allclose(rising(values.tolist()), isotonic_regression(values))


# ---- what a notebook shows -----------------------------------------------------------------------

EVIL = "<script>alert(1)</script>"


def shown():
    """By name, an object of each class with a table, and words that the table must have."""
    individual = plotting.evaluated()
    archive = [plotting.entry(1, 0, 2.0), plotting.entry(2, 1, 1.0, (1,))]
    logbook = valp.search.run.Logbook()
    for gen in range(100):
        logbook.record(gen=gen, move=EVIL, label={"min": 0.25, "avg": 0.5})
    return {
        "problem": (zoo.mixed_problem(), ["input left", "output texture"]),
        "diagnosis": (individual.evaluation.diagnosis, ["module_intervention n0", "texture"]),
        "move": (valp.Move("add_layer", "gentle", "n0", EVIL), ["add_layer", "n0"]),
        "logbook": (logbook, ["label min", "0.25", "99", "..."]),
        "decisions": (valp.decisions(archive), ["gentle add_layer(n0)"]),
        "payoff": (valp.payoff(archive), ["add_layer", "applied"]),
    }


@pytest.mark.parametrize("name", ["problem", "diagnosis", "move", "logbook", "decisions", "payoff"])
def test_a_notebook_shows_a_table_of_plain_text(name):
    subject, words = shown()[name]
    page = subject._repr_html_()
    root = ElementTree.fromstring(f"<body>{page}</body>")
    cells = [cell.text or "" for cell in root.iter() if cell.tag in ("td", "th")]
    assert set(words) <= set(cells), cells
    assert "<script" not in page
    rows = [len(row) for row in root.iter("tr")]
    assert len(set(rows)) == 1 and len(rows) <= 70


def test_the_logbook_of_a_search_is_deaps():
    logbook = valp.search.run.Logbook()
    logbook.record(gen=0, label={"min": 1.0})
    assert isinstance(logbook, tools.Logbook)
    assert str(logbook) == str(copied(logbook)) and pickle.loads(pickle.dumps(logbook)) == logbook


def copied(logbook):
    plain = tools.Logbook()
    for record, chapter in zip(logbook, logbook.chapters["label"], strict=True):
        plain.record(**record, label={"min": chapter["min"]})
    return plain
