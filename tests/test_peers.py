"""Populations that use their peers: the arms differ in nothing else, and the report's numbers."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import deap_valp as valp

EXAMPLES = Path(__file__).parents[1] / "examples"

sys.path.insert(0, str(EXAMPLES))
try:
    import comparison_runs as folders
    import paper_numbers
    import peers_in_populations as peers
    import peers_report as report
finally:
    sys.path.remove(str(EXAMPLES))

SETTINGS = replace(peers.Settings(), **peers.SMALLEST)
STARTS = ("random", "shared")
ALONE = ("mutation", "training", "gentle", "gentle_training")
ALONE += ("principles_alone", "principles_training")


# ---- runs ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("peers")
    folders.open_folder(folder, SETTINGS)
    for start in STARTS:
        for policy in peers.METRICS:
            peers.run_one(SETTINGS, "iris", start, policy, 1, folder)
    return folder


def populations(folder):
    """The finished runs, joined by population."""
    return report.joined(paper_numbers.read_runs(folder)[1])


def test_all_arms_begin_alike_and_evaluate_as_often(finished):
    runs = populations(finished)
    assert sorted(run["start"] for run in runs) == sorted(STARTS)
    for run in runs:
        assert set(run["arms"]) == set(peers.ARMS)
        found = list(run["arms"].values())
        assert {arm["hypervolume"][0] for arm in found} == {found[0]["hypervolume"][0]}
        assert {arm["evaluations"] for arm in found} == {SETTINGS.size * SETTINGS.generations}
        for arm in found:
            children = sum(row["count"] for row in arm["children"].values())
            assert children == arm["evaluations"]
            assert arm["hypervolume"] == sorted(arm["hypervolume"])


def test_arms_that_see_no_peers_never_donate(finished):
    for run in populations(finished):
        for name in ALONE:
            assert peers.DONATION not in run["arms"][name]["children"]


@pytest.mark.parametrize("name", peers.ARMS)
def test_a_policy_sees_the_population_where_its_arm_has_peers(name, monkeypatch):
    seen = []
    monkeypatch.setattr(valp, "selMutation", lambda one, others, policy: seen.append(others))
    peers.selected("one", ["one", "two"], peers.ARMS[name])
    assert seen == [["one", "two"] if peers.ARMS[name].peers else None]


def test_the_shared_start_has_nothing_to_donate(finished):
    parts = {run["start"]: run["exclusive"] for run in populations(finished)}
    assert parts["shared"] == 0.0 < parts["random"]


# ---- what made a child, and what it gained -------------------------------------------------------


def test_gains_are_parts_of_the_corner_and_a_donation_has_two(monkeypatch):
    def outcome(move, after, accepted=True):
        before = {"a": 1.0, "b": 2.0}
        entry = valp.search.decisions.Outcome(1, move, accepted, before, after)
        return entry

    donated = valp.Move(peers.DONATION, "aggressive", "a")
    grown = valp.Move("clone_network", "gentle", "n0")
    outcomes = [
        outcome(donated, {"a": 0.5, "b": 2.0}),
        outcome(grown, {"a": 1.0, "b": 1.0}, accepted=False),
        outcome(None, {"a": 0.0, "b": 2.0}),
    ]
    monkeypatch.setattr(valp, "decisions", lambda archive: outcomes)
    found = peers.told([], corner=np.array([2.0, 4.0]))
    assert found[peers.DONATION] == {"count": 1, "kept": 1, "gains": [0.25, 0.0]}
    assert found["clone_network"] == {"count": 1, "kept": 0, "gains": [0.125]}
    assert found["training"] == {"count": 1, "kept": 1, "gains": [0.25]}


# ---- the report ----------------------------------------------------------------------------------


def an_arm(volume, score, children=None):
    return {
        "hypervolume": [0.1, volume],
        "front": volume,
        "test": {"a": score, "b": score},
        "children": children or {"clone_network": {"count": 10, "kept": 5, "gains": [0.01]}},
        "seconds": 1.0,
    }


def a_run(seed, **arms):
    usual = dict.fromkeys(peers.ARMS, an_arm(0.5, 1.0))
    return {
        "problem": "iris",
        "start": "random",
        "seed": seed,
        "kinds": {"a": "regression", "b": "regression"},
        "sizes": {"test": 50},
        "exclusive": 0.5,
        "seconds": 1.0,
        "arms": {**usual, **arms},
    }


def test_an_arm_that_is_better_throughout_has_an_effect_of_that_size():
    runs = [a_run(seed, donation=an_arm(0.6, 0.5)) for seed in range(6)]
    found = report.effects(runs, "donation", "mutation")
    assert found["pairs"] == 6
    assert found["won"] == (6, 0)
    assert found["hypervolume"] == pytest.approx([0.1] * 3)
    assert found["test"] == pytest.approx([0.5] * 3)
    same = report.effects(runs, "ranked", "mutation")
    assert same["hypervolume"] == [0.0] * 3
    assert same["test"] == [1.0] * 3


def test_arms_of_one_population_are_compared_whichever_file_they_are_in():
    whole = [a_run(seed) for seed in range(6)]
    parts = []
    for run in whole:
        for arm, found in run["arms"].items():
            parts.append({**run, "arms": {arm: found}})
    assert report.analyse(parts)["random"]["effects"] == report.analyse(whole)["random"]["effects"]
    assert report.joined(parts)[0]["seconds"] == len(peers.ARMS)


def test_a_comparison_has_the_populations_that_both_arms_have():
    runs = [a_run(seed) for seed in range(6)]
    del runs[0]["arms"]["gentle"]
    found = report.analyse(runs)["random"]["effects"]
    assert found["gentle_donation", "gentle"][report.ALL]["pairs"] == 5
    assert found["donation", "mutation"][report.ALL]["pairs"] == 6


def test_children_are_counted_by_what_made_them():
    made = {
        report.DONATION: {"count": 3, "kept": 3, "gains": [0.2, -0.1]},
        "clone_network": {"count": 2, "kept": 1, "gains": [0.0]},
        "add_connection": {"count": 4, "kept": 0, "gains": [0.3]},
        "training": {"count": 1, "kept": 0, "gains": []},
    }
    runs = [a_run(seed, donation=an_arm(0.5, 1.0, made)) for seed in range(5)]
    found = report.children(runs, "donation")
    assert found["donation"]["part"] == 0.3
    assert found["donation"]["kept"] == 1.0
    assert found["donation"]["aimed"] == pytest.approx([0.2] * 3)
    assert found["donation"]["gain"] == pytest.approx([-0.1] * 3)
    assert found["mutation"]["gain"] == pytest.approx([0.2] * 3)
    assert found["mutation"]["kept"] == pytest.approx(1 / 6)
    assert np.isnan(found["only training"]["gain"][0])


def test_the_report_is_whole(finished, tmp_path):
    text, tables = report.report_on(finished, tmp_path)
    names = {f"{name}, {start}" for name in ("effects", "problems", "children") for start in STARTS}
    assert set(tables) == names
    assert all(content in text for content in tables.values())
    assert (tmp_path / "peers_effects.png").stat().st_size
    assert report.report_on(tmp_path / "none", tmp_path) == ("no run is finished", {})


def test_the_page_has_the_tables_of_the_published_runs():
    _, runs = paper_numbers.read_runs(paper_numbers.PUBLISHED / "peers.json")
    assert runs
    page = (paper_numbers.PUBLISHED / "peers.md").read_text()
    for title, content in report.tables(report.analyse(runs)).items():
        assert f"<!-- {title} -->\n{content}\n<!-- end of {title} -->" in page


def test_a_folder_of_other_settings_is_refused(finished):
    with pytest.raises(SystemExit, match="holds runs of other settings"):
        peers.main(["--folder", str(finished), "--size", "6"])
    assert len(list(finished.glob("*.jsonl"))) == len(STARTS) * len(peers.METRICS)
    assert json.loads((finished / "settings.json").read_text())["size"] == SETTINGS.size
