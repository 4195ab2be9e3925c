"""The paper's experiments: what a run records, that they resume, and the numbers of the reports."""

from __future__ import annotations

import json
import math
import random
import sys
from copy import deepcopy
from dataclasses import replace
from itertools import combinations_with_replacement
from pathlib import Path

import numpy as np
import pytest

import deap_valp as valp

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"

sys.path.insert(0, str(EXAMPLES))
try:
    import comparison_runs as folders
    import paper_initial
    import paper_initial_numbers as numbers
    import paper_initial_report
    import paper_main
    import paper_main_report
    import paper_numbers
    import paper_open_report
finally:
    sys.path.remove(str(EXAMPLES))

INITIAL = replace(paper_initial.Settings(), **paper_initial.SMALLEST, networks=6)
MAIN = replace(paper_main.Settings(), **paper_main.SMALLEST)
PAPER_ARMS = [name for name, arm in paper_main.ARMS.items() if arm.paper]


# ---- what they share -----------------------------------------------------------------------------


def test_an_interval_draws_whole_units():
    same = [[0.0] * 99 + [1.0]] * 10
    assert paper_numbers.interval(same, paper_numbers.joined(np.mean)) == pytest.approx([0.01] * 3)
    apart = [[0.0] * 100] * 5 + [[1.0] * 100] * 5
    value, low, high = paper_numbers.interval(apart, paper_numbers.joined(np.mean))
    assert value == 0.5
    assert low <= 0.25
    assert high >= 0.75


def test_few_units_have_no_interval_and_show_nothing():
    bounds = paper_numbers.interval([[1.0]] * 4, paper_numbers.joined(np.mean))
    assert bounds[0] == 1.0
    assert np.isnan(bounds[1:]).all()
    assert paper_numbers.verdict(bounds, 1) == "not shown at this size"
    assert paper_numbers.told(bounds) == "1.00"
    assert np.isnan(paper_numbers.interval([], paper_numbers.joined(np.mean))).all()


@pytest.mark.parametrize(
    ("bounds", "sign", "answer"),
    [
        ((2, 1, 3), 1, "holds"),
        ((2, 1, 3), -1, "does not hold"),
        ((-2, -3, -1), -1, "holds"),
        ((-2, -3, -1), 1, "does not hold"),
        ((1, -1, 3), 1, "not shown at this size"),
        ((0, 0, 0), 1, "not shown at this size"),
    ],
)
def test_a_claim_holds_where_its_whole_interval_has_the_sign(bounds, sign, answer):
    assert paper_numbers.verdict(bounds, sign) == answer


def test_published_runs_are_those_of_the_folder(tmp_path):
    folders.open_folder(tmp_path, INITIAL)
    for seed in (2, 1):
        folders.path_of(tmp_path, "valp", seed).write_text(json.dumps({"seed": seed}) + "\n")
    paper_numbers.publish(tmp_path, tmp_path / "all.json")
    settings, runs = paper_numbers.read_runs(tmp_path / "all.json")
    assert (settings, runs) == paper_numbers.read_runs(tmp_path)
    assert [run["seed"] for run in runs] == [1, 2]
    assert settings["networks"] == INITIAL.networks


def test_tables_go_where_the_page_names_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- one -->\nold\n<!-- end of one -->\nb\n")
    for _ in range(2):
        paper_numbers.fill(page, {"one": "new", "two": "nowhere"})
        assert page.read_text() == "a\n<!-- one -->\nnew\n<!-- end of one -->\nb\n"


# ---- the initial experiment: runs ----------------------------------------------------------------


@pytest.fixture(scope="module")
def valps(tmp_path_factory):
    folder = tmp_path_factory.mktemp("initial")
    folders.open_folder(folder, INITIAL)
    for seed in (1, 2):
        paper_initial.run_one(INITIAL, "valp", seed, folder)
    return folder


def test_every_operator_is_applied_in_every_version_at_the_same_places(valps):
    _, runs = paper_numbers.read_runs(valps)
    for run in runs:
        places = {}
        for operator, version, place, *values in run["clones"]:
            places.setdefault((operator, version), []).append(place)
            assert len(values) == len(run["before"]) == 3
        assert places.pop(numbers.CONTROL) == [""]
        for name in paper_numbers.OPERATORS:
            versions = valp.operators()[name].versions
            got = [places.get((name, version), []) for version in versions]
            assert all(len(some) <= INITIAL.places for some in got)
            assert got[0] == got[-1]
    applied = {clone[0] for run in runs for clone in run["clones"]}
    assert applied == {*paper_numbers.OPERATORS, "retrain"}


def test_a_valp_records_all_metrics_before_the_moves(valps):
    _, [run, _] = paper_numbers.read_runs(valps)
    outputs = set(run["objectives"])
    assert set(run["loss"]) == set(run["slope"]) == outputs
    for name in ("relevance", "input_relevance", "dependency"):
        assert {key.split()[1] for key in run[name]} == outputs
    for metric in numbers.METRICS:
        [operator, version, place] = run["clones"][1][:3]
        by_output = [numbers.metric_values(run, metric, place, output) for output in outputs]
        assert any(by_output), (metric, operator, version)


def test_a_finished_valp_is_not_run_again(valps, monkeypatch):
    def never(*_):
        raise AssertionError

    monkeypatch.setattr(paper_initial, "run_one", never)
    before = {path.name: path.read_bytes() for path in valps.glob("*.jsonl")}
    runs = [("valp", 1), ("valp", 2)]
    assert folders.run_all(never, INITIAL, runs, valps, 1) == {}
    assert {path.name: path.read_bytes() for path in valps.glob("*.jsonl")} == before


def test_the_initial_report_needs_no_more_than_two_valps(valps, tmp_path):
    text, tables = paper_initial_report.report_on(valps, tmp_path)
    assert all(content in text for content in tables.values())
    for figure in ("gentle", "slope", "relevance"):
        assert (tmp_path / f"initial_{figure}.png").stat().st_size
    assert paper_initial_report.report_on(tmp_path / "nothing", tmp_path) == (
        "no VALP is finished",
        {},
    )


# ---- the initial experiment: numbers -------------------------------------------------------------


def a_valp(clones, before=(1.0, 1.0), **metrics):
    usual = {
        "slope": {"a": [-1.0, 0.1], "b": [-2.0, 0.1]},
        "relevance": {"n1 a": 1.0, "n2 a": 3.0, "n2 b": 2.0},
    }
    return {
        "objectives": ["a", "b"],
        "before": before,
        "clones": [["retrain", "", "", *before], *clones],
        **usual,
        **metrics,
    }


def test_an_improvement_is_a_logarithm_below_0_where_the_clone_is_better():
    run = a_valp([["clone_network", "gentle", "n1", math.exp(-0.5), 2 * math.exp(9)]], (1.0, 2.0))
    found = numbers.improvements(run)
    assert found["clone_network", "gentle"]["n1"] == pytest.approx({"a": -0.5, "b": 1.0})


def test_what_going_on_with_training_gives_is_taken_off():
    run = a_valp([["clone_network", "gentle", "n1", math.exp(-0.5), math.exp(-0.5)]])
    run["clones"][0] = ["retrain", "", "", math.exp(-0.2), 1.0]
    added = numbers.beyond(numbers.improvements(run))
    assert added["clone_network", "gentle"]["n1"] == pytest.approx({"a": -0.3, "b": -0.5})
    assert added[numbers.CONTROL][""] == {"a": 0.0, "b": 0.0}


def test_g_is_positive_where_the_gentle_version_won_at_the_same_place():
    clones = [
        ["clone_network", "gentle", "n1", math.exp(-0.5), 1.0],
        ["clone_network", "aggressive", "n1", math.exp(-0.1), math.exp(-0.3)],
        ["clone_network", "aggressive", "n2", 5.0, 5.0],
        ["delete_network", "aggressive", "n1", 5.0, 5.0],
    ]
    one = numbers.improvements(a_valp(clones))
    assert numbers.gains(one, ["a"]) == pytest.approx([0.4])
    assert numbers.gains(one, ["b"]) == pytest.approx([-0.3])
    both = numbers.gentle_against_aggressive([one] * 6, ["a", "b"])
    assert both["pairs"] == 12
    assert both["won"][0] == 0.5
    assert both["extreme"] == 0


def test_a_place_has_the_largest_value_of_its_components():
    clones = [["add_connection", "gentle", "n1->n2", 0.5, 0.5]]
    run = a_valp(clones)
    found = [numbers.improvements(run)]
    kind = "add_connection", "gentle"
    for output, relevance, slope in (("a", 3.0, -1.0), ("b", 2.0, -2.0)):
        for metric, value in (("relevance", relevance), ("slope", slope)):
            [[point]] = numbers.points([run], found, metric, kind, [output])
            assert point == pytest.approx((value, math.log(0.5)))


def test_thirds_hold_every_value_once():
    units = [[(value, -value) for value in range(start, 9, 3)] for start in range(3)]
    low, middle, high = numbers.thirds(units)
    assert sorted(np.concatenate(low).tolist()) == [-2, -1, 0]
    assert sorted(np.concatenate(middle).tolist()) == [-5, -4, -3]
    assert sorted(np.concatenate(high).tolist()) == [-8, -7, -6]


def test_what_few_valps_have_is_no_interval():
    ours = [[-0.5]] * 3 + [[]] * 7
    theirs = [[0.5]] * 10
    few = numbers.more_often(ours, theirs, lambda values: values < 0)
    assert few[0] == 1.0
    assert np.isnan(few[1:]).all()
    assert numbers.more_often(theirs, [[-0.5]] * 10, lambda values: values > 0) == [1.0, 1.0, 1.0]


def test_a_share_of_1_in_few_units_is_not_certain():
    bounds = [1.0, 1.0, 1.0]
    assert numbers.of_few([[1.0]] * 5, bounds) == pytest.approx([1.0, 0.478, 1.0], abs=1e-3)
    assert numbers.of_few([[0.0]] * 6, [0.0] * 3) == pytest.approx([0.0, 0.0, 0.459], abs=1e-3)
    assert numbers.of_few([[1.0, 0.0]] * 6, [0.5, 0.4, 0.6]) == [0.5, 0.4, 0.6]


def test_association_is_a_rank_correlation():
    rising = [[(1, 0.1), (2, 0.2)], [(3, 0.9)]]
    assert numbers.association(rising) == pytest.approx(1)
    assert numbers.association([[(x, -y) for x, y in unit] for unit in rising]) == pytest.approx(-1)
    assert np.isnan(numbers.association([[(1, 0.1), (1, 0.2), (1, 0.3)]]))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("columns", [2, 3])
def test_the_best_cuts_are_those_of_all_that_are_possible(seed, columns):
    rng = np.random.default_rng(seed)
    units = [tuple(row) for row in rng.normal(size=(7, columns + 1))]
    rows = np.array(sorted(units))

    def total(ends):
        parts = zip((0, *ends), (*ends, len(rows)), strict=True)
        return sum(
            rows[low:high, column].sum() for column, (low, high) in enumerate(parts, start=1)
        )

    def chosen(cuts):
        return total(tuple(int((rows[:, 0] < cut).sum()) for cut in cuts))

    every = combinations_with_replacement(range(len(rows) + 1), columns - 1)
    cuts = numbers.best_cuts(units)
    inner = [cut for cut in cuts if cut != rows[-1, 0]]
    if len(inner) == len(cuts):  # the highest edge lies on a row
        assert chosen(cuts) == pytest.approx(min(map(total, every)))
    assert cuts == sorted(cuts)


def test_the_best_cut_divides_where_the_deletion_stops_to_pay():
    units = [(relevance, 0.1 if relevance > 1.5 else -0.1, 0.0) for relevance in (1, 1.2, 1.8, 3)]
    assert numbers.best_cuts(units) == [1.5]


def test_calibration_sees_what_the_evaluations_saw(valps):
    _, [run, _] = paper_numbers.read_runs(valps)
    assert numbers.calibrated([run] * 9) is None
    found = numbers.calibrated([run] * 10)
    assert set(found) == set(run["objectives"])
    for output, thresholds in found.items():
        assert thresholds.steep == min(run["slope"][output][0], 0)


# ---- the main experiment: runs -------------------------------------------------------------------


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("main")
    folders.open_folder(folder, MAIN)
    for arm in paper_main.ARMS:
        paper_main.run_one(MAIN, arm, 1, folder)
    return folder


def test_the_arms_of_the_paper_share_their_trained_start(pairs):
    found = paper_main_report.by_arm(paper_numbers.read_runs(pairs)[1])
    assert set(found) == set(paper_main.ARMS)
    starts = [found[arm][1]["values"][0].tolist() for arm in PAPER_ARMS]
    assert all(start == starts[0] for start in starts)
    weights = [found[arm][1]["weights"][0] for arm in paper_main.ARMS]
    assert len(set(weights)) == 1
    assert all(len(runs[1]["values"]) == 1 + MAIN.steps for runs in found.values())


def test_a_run_is_a_function_of_its_arm_and_seed(pairs, tmp_path):
    paper_main.run_one(MAIN, "guidelines", 1, tmp_path)
    ours, theirs = (
        json.loads(folders.path_of(folder, "guidelines", 1).read_text())
        for folder in (pairs, tmp_path)
    )
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


@pytest.mark.parametrize("arm", ["random", "gentle", "guidelines"])
def test_the_arms_of_the_paper_have_its_operators_only(arm):
    problem = valp.problems.digits()
    individual = valp.initVALP(paper_main.individual_class(problem), problem, start="random")
    random.seed(arm)
    for _ in range(200):  # without a diagnosis, so the guidelines fall back
        move = valp.selMutation(individual, policy=paper_main.ARMS[arm].policy)
        assert move.operator in paper_numbers.OPERATORS
        assert arm == "random" or move.version == "gentle"


def test_the_main_report_is_whole(pairs, tmp_path):
    text, tables = paper_main_report.report_on(pairs, tmp_path)
    assert set(tables) == {"claims", "arms", "against", "evolution"}
    assert all(content in text for content in tables.values())
    for figure in ("pairs", "all", "hypervolume"):
        assert (tmp_path / f"main_{figure}.png").stat().st_size


# ---- the main experiment: numbers ----------------------------------------------------------------


def a_run(arm, seed, values):
    final = next(row for row in reversed(values) if row)
    return {
        "arm": arm,
        "seed": seed,
        "objectives": ["a", "b"],
        "values": values,
        "accepted": [0],
        "test": dict(zip("ab", final, strict=True)),
        "weights": [10, 10],
        "rules": {},
        "seconds": 1.0,
    }


def a_pair(seed, guided, drawn):
    start = [4.0, 4.0]
    return [
        a_run("guidelines", seed, [start, *guided]),
        a_run("random", seed, [start, *drawn]),
    ]


def test_the_start_and_failed_candidates_are_in_no_front():
    runs = a_pair(1, [[9.0, 9.0], [1.0, 3.0]], [None, [3.0, 1.0]])
    counts = paper_main_report.front_counts(paper_main_report.by_arm(runs), [1])
    assert counts["guidelines"].tolist() == [1, 1]
    assert counts["random"].tolist() == [0, 1]


def test_equal_points_count_for_both():
    same = {arm: np.array([[1.0, 2.0], [2.0, 1.0]]) for arm in paper_main_report.RIVALS}
    assert paper_main_report.shares(same) == {"random": 2, "guidelines": 2}


def steps_of(level):
    """Twenty candidates on a front of their own, lower with the level."""
    return [[level + 0.1 * step, level + 2 - 0.1 * step] for step in range(20)]


def test_a_search_that_is_better_throughout_holds_where_it_should():
    runs = [run for seed in range(6) for run in a_pair(seed, steps_of(0.5), steps_of(1.0))]
    analysis = paper_main_report.analyse(runs)
    verdicts = [answer for *_, answer in analysis["claims"].values()]
    assert verdicts == ["does not hold", "holds", "holds", "does not hold", "holds", "holds"]
    row = analysis["against"]["guidelines", "random"]["hypervolume"]
    assert (row["wins"], row["losses"], row["a12"]) == (6, 0, 1.0)
    assert row["effect"][0] > 0


def test_one_guided_valp_may_be_the_whole_front():
    runs = a_pair(1, [[3.0, 5.0], [0.5, 0.5]], [[2.0, 2.0], [3.0, 1.0]])
    runs += a_pair(2, [[3.0, 3.0], [3.0, 3.5]], [[5.0, 1.0], [1.0, 5.0]])
    assert paper_main_report.analyse(runs)["lone dominator"] == 2


def test_the_same_search_twice_shows_nothing():
    runs = [run for seed in range(6) for run in a_pair(seed, steps_of(1.0), steps_of(1.0))]
    analysis = paper_main_report.analyse(runs)
    assert {answer for *_, answer in analysis["claims"].values()} == {"not shown at this size"}
    assert analysis["lone dominator"] is None
    assert analysis["against"]["guidelines", "random"]["a"]["effect"] == [1.0, 1.0, 1.0]


def test_only_pairs_with_both_rivals_count():
    runs = [run for seed in range(3) for run in a_pair(seed, steps_of(1.0), steps_of(1.0))]
    one = deepcopy(runs[0]) | {"seed": 9}
    assert paper_main_report.analyse([*runs, one])["pairs"] == 3
    assert paper_main_report.analyse([one]) is None


# ---- what is published ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("report", "page"),
    [
        (paper_initial_report, "initial.md"),
        (paper_main_report, "main.md"),
        (paper_main_report, "digits/main.md"),
        (paper_open_report, "open.md"),
    ],
)
def test_the_pages_have_the_tables_of_the_published_runs(report, page, tmp_path):
    path = paper_numbers.PUBLISHED / page
    text = path.read_text()
    _, tables = report.report_on(path.with_suffix(".json"), tmp_path)
    assert tables
    for title, content in tables.items():
        assert f"<!-- {title} -->\n{content}\n<!-- end of {title} -->" in text
