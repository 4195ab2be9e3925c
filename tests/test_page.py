"""The page of results: what it says of a search, and that whatever a user wrote is text in it."""

from __future__ import annotations

import builtins
import json
import re

import networkx as nx
import numpy as np
import plotting
import pytest
import zoo

import deap_valp as valp
from deap_valp.errors import MissingExtraError, ValpError
from deap_valp.page import details
from deap_valp.page.candidates import candidates_of
from deap_valp.page.details import details_of

pytest.importorskip("bokeh", reason="the extra `report` is not installed")
from deap_valp.page.figures import columns_of, figures_of

FOUR = ("label", "value", "image", "texture")  # the outputs of the problem of the zoo
NAMES = FOUR[:2]
EVIL = (
    "<script>window.hacked=1</script>",
    "</script><img src=x onerror='window.hacked=1'>",
    "$$\\frac{1}{2}$$",
    "@number ${title} <!--<script>",
)


def archive(size=24, names=NAMES, **options):
    """A written-down hill climbing: each third candidate is rejected, no two have one value."""
    rng = np.random.default_rng(0)
    operators = list(valp.operators("macro"))
    made, host = [], None
    for step in range(size):
        values = tuple((rng.uniform(0.2, 1, len(names)) / (1 + step)).tolist())
        decision = None
        if host is not None:
            operator = operators[step % len(operators)]
            why = "it says", "growth"
            move = valp.Move(operator, "gentle", "n0", *why, gain=rng.random())
            losses = {} if host.loss is None else {"label": host.loss}
            decision = valp.Decision(move, (host.seed,), names, host.values, host.diagnosis, losses)
        entry = valp.Entry(
            step=step,
            graph=zoo.fan_out().graph,
            values=values,
            weight_count=100 + step,
            decision=decision,
            accepted=step % 3 != 2,
            seed=1000 + step,
            objectives=names,
            loss=float(rng.uniform(1, 2) / (1 + step)),
            seconds=1.5,
            batches=10,
            history=dict.fromkeys(names, (0.5, 0.4, 0.3)),
            diagnosis=f"                        {names[0]}\nmodule_intervention n0  1.5",
        )
        entry = valp.Entry(**{**vars(entry), **options})
        if entry.accepted:
            host = entry
        made.append(entry)
    return made


def written(tmp_path, *arguments, **options):
    return valp.report(*arguments, tmp_path / "run.html", **options).read_text()


def details_in(page):
    """What the page holds for its script."""
    return json.loads(re.search(r"^const PAGE = (.*);$", page, flags=re.MULTILINE).group(1))


# ---- numbers -------------------------------------------------------------------------------------


def test_candidates_know_what_they_were_made_of():
    found = candidates_of(archive(6), (), None)
    assert [member.host for member in found.members] == [None, 0, 1, 1, 3, 4]
    assert found.starts.tolist() == [True] + [False] * 5 and found.climbs
    np.testing.assert_allclose(found.seconds, 1.5 * np.arange(1, 7))


def test_training_on_makes_a_candidate_of_the_same_individual():
    start = archive(1)[0]
    again = valp.Entry(**{**vars(start), "step": 1, "values": (0.1,) * 2})
    found = candidates_of([start, again], (), None)
    assert [member.applied for member in found.members] == ["start", "no change"]
    assert found.members[1].host == 0


def test_a_donor_is_a_parent_of_its_own():
    first, second, child = archive(3)
    decision = valp.Decision(child.move, (first.seed, second.seed))
    child = valp.Entry(**{**vars(child), "decision": decision})
    member = candidates_of([first, second, child], (), None).members[2]
    assert member.host == 0 and member.donors == (1,)


def test_individuals_find_their_candidate_and_others_follow_the_archive():
    individual = plotting.evaluated()
    entry = valp.Entry.about(individual, 3, True)
    made = [*archive(3, FOUR), entry]
    [member] = [m for m in candidates_of(made, [individual], None).members if m.individual]
    assert member.number == 3
    found = candidates_of(archive(3, FOUR), [individual], None)
    assert len(found) == 4 and found.members[3].individual is individual and found.first == 3


def test_a_population_is_an_archive_too():
    found = candidates_of([plotting.evaluated()], (), None)
    assert found.starts.tolist() == [True] and found.objectives == FOUR


@pytest.mark.parametrize("count", [1, 5, 7])
def test_any_number_of_objectives_has_its_figures(count):
    names = tuple(f"o{index}" for index in range(count))
    found = candidates_of(archive(5, names), (), None)
    figures = figures_of(found)
    shown = min(count, 6)
    assert len(figures["parallel"]) == (count > 1)
    assert len(figures["pairs"]) == shown * (shown - 1) // 2
    for section in ("steps", "seconds", "improved", "genealogy"):
        assert len(figures[section]) == count
    assert {len(column) for column in columns_of(found).values()} == {len(found)}


def test_the_columns_are_those_of_the_archive():
    entries = archive()
    columns = columns_of(candidates_of(entries, (), None))
    np.testing.assert_allclose(columns["v1"], [entry.values[1] for entry in entries])
    outcomes = valp.decisions(entries)
    np.testing.assert_allclose(columns["predicted"][1:], [made.predicted for made in outcomes])
    np.testing.assert_allclose(columns["achieved"][1:], [made.achieved for made in outcomes])
    np.testing.assert_allclose(
        columns["i1"][1:], [100 * made.improvement["value"] for made in outcomes]
    )
    heights = np.array(columns["ys"])
    front = candidates_of(entries, (), None).front
    assert heights[front].min() == 0 and heights[front].max() <= 1


# ---- the file ------------------------------------------------------------------------------------


def test_every_candidate_has_graph_losses_and_diagnosis_and_the_given_have_samples(tmp_path):
    individual = plotting.evaluated()
    entries = [*archive(4, FOUR), valp.Entry.about(individual, 4, True)]
    page = written(
        tmp_path,
        entries,
        problem=zoo.mixed_problem(),
        individuals=[individual],
        samples=7,
        shapes={"texture": (2, 2)},
    )
    found = details_in(page)
    for member in found["candidates"]:
        assert member["svg"].startswith("<svg") and member["diagnosis"] and member["batches"]
    assert found["first"] == 4
    samples = found["candidates"][4]["samples"]
    assert len(samples["image"]["lines"]) == 7 and len(found["real"]["image"]["lines"]) == 7
    assert samples["texture"]["image"].startswith("data:image/png;base64,")
    assert "label: error rate" in page


def test_a_thousand_candidates_are_drawn_and_more_are_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(details, "MOST_DRAWN", 5)
    found = details_of(candidates_of(archive(9), (), None), 1, {})
    drawn = [member["number"] for member in found["candidates"] if "svg" in member]
    assert len(drawn) == found["drawn"] == 5
    front = [member["number"] for member in found["candidates"] if member["front"]]
    assert set(front[-5:]) & set(drawn)


def test_failures_have_no_point_but_a_place_in_the_page(tmp_path):
    failed = valp.Entry(
        **{**vars(archive(3)[2]), "values": (valp.PENALTY,) * 2, "status": "the loss is nan"}
    )
    page = written(tmp_path, [*archive(2), failed])
    assert "1 failed" in page and details_in(page)["candidates"][2]["values"] == [None] * 2
    only = valp.Entry(**{**vars(failed), "step": 0, "decision": None})
    assert "0 in the Pareto front" in written(tmp_path, [only])


def test_what_a_user_wrote_stays_text(tmp_path):
    entries = archive(6, EVIL, diagnosis=EVIL[0])
    named = dict(zip(FOUR, EVIL, strict=True))
    for entry in entries:
        object.__setattr__(entry, "graph", nx.relabel_nodes(entry.graph, named))
        if entry.decision:
            object.__setattr__(entry.move, "reason", EVIL[1])
    page = written(tmp_path, entries, title=EVIL[1])
    library = page.index("</style>")
    assert page.count("</script>", library) == 3  # Bokeh's, its figures', ours
    assert "<img" not in page[page.index("<main>") :]
    assert details_in(page)["objectives"] == list(EVIL)


def test_every_table_scrolls_in_a_box_of_its_own(tmp_path):
    page = written(tmp_path, archive())
    assert page.count("<table>") == page.count('<div class="wide"><table>') == 2
    # The others are made by one function of the script, in a box too.
    assert page.count('element("table"') == page.count('element("div", { class: "wide" }, made)')
    assert re.search(r"^\.wide[^{]*\{ overflow: auto; max-width: 100%", page, flags=re.MULTILINE)


def test_the_page_makes_no_request(tmp_path):
    page = written(tmp_path, archive(3))
    assert "default-src 'none'" in page
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=[\"']?http", page)


def test_the_file_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "run.html"
    path.write_text("as it was")

    def full(*arguments):
        raise OSError("disk is full")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="full"):
        valp.report(archive(2), path)
    assert path.read_text() == "as it was" and list(tmp_path.iterdir()) == [path]


def test_without_bokeh_the_error_names_the_extra(tmp_path, monkeypatch):
    imported = builtins.__import__

    def lacking(name, *arguments, **options):
        if name.partition(".")[0] == "bokeh":
            raise ImportError(name)
        return imported(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", lacking)
    with pytest.raises(MissingExtraError, match=r"pip install 'deap_valp\[report\]'"):
        valp.report(archive(2), tmp_path / "run.html")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "options", "said"),
    [
        ([[]], {}, "somebody in it"),
        ([[zoo.smallest]], {}, "entries"),
        ([[zoo.smallest()]], {}, "were evaluated"),
        ([archive(2) + archive(2, ("a", "b", "c"))], {}, r"\[2, 3\] objectives"),
        ([zoo.smallest()], {}, r"list of individuals, \[best\], got"),
        ([archive(2)], {"individuals": zoo.smallest()}, r"a list of individuals, \[best\], got"),
        ([archive(2)], {"problem": "digits"}, "problem as a Problem, got 'digits'"),
        ([archive(2)], {"samples": 0}, "samples"),
        ([archive(2)], {"shapes": {"sample": (2, 2)}}, "shapes by output"),
        ([archive(2)], {"problem": zoo.mixed_problem(), "shapes": {"image": (2, 2)}}, "6 pixels"),
    ],
)
def test_wrong_arguments_write_nothing(arguments, options, said, tmp_path):
    with pytest.raises(ValpError, match=said):
        valp.report(*arguments, tmp_path / "run.html", **options)
    assert not list(tmp_path.iterdir())
