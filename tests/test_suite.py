"""The suite: its problems, its rivals, runs that resume, and the numbers of its report."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import deap_valp as valp

EXAMPLES = Path(__file__).parents[1] / "examples"

sys.path.insert(0, str(EXAMPLES))
try:
    import comparison_runs as folders
    import suite
    import suite_budgets as budgets
    import suite_problems
    import suite_report as report
    import suite_rivals as rivals
finally:
    sys.path.remove(str(EXAMPLES))

SETTINGS = replace(suite.Settings(), **suite.SMALLEST)
SMALL_PROBLEMS = (*suite_problems.TABLES, *suite_problems.PLANTED)

every_problem = pytest.mark.parametrize("name", SMALL_PROBLEMS)


# ---- problems ------------------------------------------------------------------------------------


@every_problem
def test_a_problem_has_two_or_more_outputs_and_inputs(name):
    problem = suite_problems.problem_of(name, 1, small=True)
    assert len(problem.outputs) >= 2
    assert len(problem.inputs) >= 2


@every_problem
def test_a_seed_gives_the_same_problem_and_another_seed_another(name):
    def targets(seed):
        split = suite_problems.problem_of(name, seed, small=True).split("test")
        return torch.cat([target.float().flatten() for target in split.targets.values()])

    assert torch.equal(targets(1), targets(1))
    assert not torch.equal(targets(1), targets(2))


@pytest.mark.parametrize("name", suite_problems.TABLES)
def test_no_input_holds_a_column_that_is_to_be_predicted(name):
    split = suite_problems.problem_of(name, 1).split("train")
    columns = torch.cat(list(split.inputs.values()), 1).double()
    for target in split.targets.values():
        if target.is_floating_point():
            both = torch.cat([columns, target.double()], 1).numpy()
            with np.errstate(invalid="ignore", divide="ignore"):
                last = np.corrcoef(both, rowvar=False)[-1, :-1]
            assert np.nanmax(np.abs(last)) < 0.999


def test_planted_truths_need_what_they_are_said_to_need():
    rows = 2000
    problem = suite_problems.planted_product(1, rows)
    split = problem.split("train")
    product = split.targets["product"][:, 0]
    a, b = split.inputs["A"], split.inputs["B"]
    assert np.corrcoef(a[:, 0] * b[:, 0], product)[0, 1] > 0.99
    assert abs(np.corrcoef(a[:, 0], product)[0, 1]) < 0.1


# ---- rivals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("rival", rivals.RIVALS)
def test_a_rival_scores_every_output_that_is_predicted(rival):
    problem = suite_problems.problem_of("iris", 1)
    draws = rivals.RIVALS[rival](problem, 1, True).draws
    assert all(set(scores) == {"species", "width"} for scores in draws)
    assert all(0 <= value < 10 for scores in draws for value in scores.values())


def test_the_linear_model_finds_a_linear_truth_in_the_users_units():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 4))
    outputs = {
        "line": valp.Regression(1000 + 50 * x[:, :1]),
        "side": valp.Classification((x[:, 1] > 0).astype(int)),
    }
    problem = valp.Problem({"a": x[:, :2], "b": x[:, 2:]}, outputs, seed=0)
    [scores] = rivals.RIVALS["linear"](problem, 0).draws
    assert scores["line"] < 1e-2
    assert scores["side"] < 0.1


def test_a_hand_made_network_is_a_function_of_its_seed():
    problem = suite_problems.problem_of("iris", 1)
    first, second, other = (rivals.hand_made(problem, seed, patience=2) for seed in (1, 1, 2))
    assert first == second
    assert first != other


# ---- runs ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", ["linear", "hand_made", "gentle", *suite.ARMS])
def test_a_run_is_one_file_with_its_scores(arm, tmp_path):
    suite.run_one(SETTINGS, "iris", arm, 1, tmp_path)
    run = json.loads(folders.path_of(tmp_path, "iris", arm, 1).read_text())
    assert (run["problem"], run["arm"]) == ("iris", arm)
    assert set(run["test"][0]) == set(run["kinds"]) == {"species", "width"}
    assert run["seconds"] > 0
    assert not list(tmp_path.glob("*.part"))


def test_a_search_tells_its_way(tmp_path):
    suite.run_one(SETTINGS, "iris", "search", 1, tmp_path)
    run = json.loads((tmp_path / "iris-search-1.jsonl").read_text())
    assert run["reads"] == {name: ["petal", "sepal"] for name in ("species", "width")}
    assert len(run["validation"]) == 1 + SETTINGS.steps
    assert all(len(values) == 2 for values in run["validation"])
    assert all(len(move) == 4 for move in run["moves"])


def test_the_tuned_network_gets_the_seconds_of_our_search(tmp_path, monkeypatch):
    pytest.importorskip("optuna", reason="the tuned network needs Optuna")
    with pytest.raises(RuntimeError, match="no run here"):
        suite.run_one(SETTINGS, "iris", rivals.TUNED, 1, tmp_path)
    suite.run_one(SETTINGS, "iris", "search", 1, tmp_path)
    got, tried = [], rivals.Tried([{"width": 1.0}], 8)
    monkeypatch.setattr(budgets, "tuned", lambda *given: got.append(given[2]) or tried)
    suite.run_one(SETTINGS, "iris", rivals.TUNED, 1, tmp_path)
    assert got == [json.loads((tmp_path / "iris-search-1.jsonl").read_text())["seconds"]]


def test_the_tuned_network_is_scored_when_the_time_is_over():
    pytest.importorskip("optuna", reason="the tuned network needs Optuna")
    [scores] = rivals.tuned(suite_problems.problem_of("iris", 1), 1, 0.01).draws
    assert set(scores) == {"species", "width"}


def test_start_and_search_begin_from_one_start_and_start_changes_nothing(tmp_path):
    for arm in ("start", "search"):
        suite.run_one(replace(SETTINGS, steps=1), "iris", arm, 1, tmp_path)
    start, search = (
        json.loads((tmp_path / f"iris-{arm}-1.jsonl").read_text()) for arm in ("start", "search")
    )
    assert start["accepted"] == 0
    if search["accepted"] == 0:
        assert search["test"] == start["test"]


def test_the_command_goes_on_without_repeating_finished_runs(tmp_path, monkeypatch, capsys):
    calls = []

    class InThisProcess:
        def __init__(self, *arguments):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            pass

        def submit(self, function, *arguments):
            from concurrent.futures import Future

            calls.append(arguments[1:4])
            future = Future()
            future.set_result(function(*arguments))
            return future

    monkeypatch.setattr(folders, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(suite, "SMALL", True)
    options = [
        "--problems",
        "iris",
        "--rivals",
        "linear",
        "--seeds",
        "1",
        "--folder",
        str(tmp_path),
    ]
    assert suite.main(options) == 0
    assert calls == [("iris", arm, 1) for arm in ("linear", "start", "search")]
    assert suite.main([*options[:-2], "--seeds", "2", *options[-2:]]) == 0
    assert calls[3:] == [("iris", arm, 2) for arm in ("linear", "start", "search")]
    assert (tmp_path / "table.md").read_text() in capsys.readouterr().out


def test_runs_of_other_settings_are_refused(tmp_path):
    folders.open_folder(tmp_path, SETTINGS)
    with pytest.raises(SystemExit, match=r"holds runs of other settings \(steps 2, asked for 3\)"):
        folders.open_folder(tmp_path, replace(SETTINGS, steps=3))


# ---- the report ----------------------------------------------------------------------------------


def a_run(problem, arm, seed, draws, kinds=None):
    kinds = kinds or dict.fromkeys(draws[0], "regression")
    run = {"problem": problem, "arm": arm, "seed": seed, "kinds": kinds, "sizes": {"test": 50}}
    return {**run, "test": draws, "seconds": 1.0}


def test_a_ratio_is_the_geometric_mean_over_outputs_of_the_mean_over_seeds():
    ours = {("iris", "x", 1): math.log(2), ("iris", "x", 2): math.log(8), ("wine", "y", 1): 0.0}
    theirs = dict.fromkeys([*ours, ("wine", "z", 1)], 0.0)
    assert report.ratio(ours, theirs, ["iris", "wine"]) == (pytest.approx(2), 2)
    assert report.ratio(ours, theirs, ["iris"]) == (pytest.approx(4), 1)
    assert report.ratio(ours, theirs, ["digits"]) == (None, 0)


def test_draws_are_averaged_in_logarithms_and_no_error_is_half_an_example():
    assert report.log_score(a_run("iris", "a", 1, [{"x": 1.0}, {"x": 4.0}]), "x") == pytest.approx(
        math.log(2)
    )
    run = a_run("iris", "a", 1, [{"x": 0.0}], {"x": "classification"})
    assert report.log_score(run, "x") == pytest.approx(math.log(0.01))


def test_pairs_are_counted_by_the_mean_over_outputs_and_p_is_holms():
    worse = {("iris", name, seed): 1.0 for name in "xy" for seed in range(8)}
    ours = dict.fromkeys(worse, 0.0)
    mixed = {place: (1.0 if place[2] else -1.0) for place in worse}
    found = report.paired({"search": ours, "worse": worse, "mixed": mixed})
    assert (found["worse"]["wins"], found["worse"]["losses"], found["worse"]["pairs"]) == (8, 0, 8)
    assert (found["mixed"]["wins"], found["mixed"]["losses"]) == (7, 1)
    assert found["worse"]["ratio"] == pytest.approx(math.exp(-1))
    assert found["worse"]["p"] == pytest.approx(2 / 2**8)
    assert found["worse"]["holm"] == pytest.approx(2 * found["worse"]["p"])
    assert found["mixed"]["holm"] >= found["mixed"]["p"]


def test_promises_are_ranked_against_what_came():
    run = {**a_run("iris", "search", 1, [{"x": 1.0}]), "validation": [[1.0]]}
    run["moves"] = [["clone", True, gain, 2 * gain] for gain in (0.1, 0.2, 0.4)]
    run["moves"].append(["clone", True, None, 1.0])
    assert report.promises({"search": {("iris", 1): run}}) == {"search": (pytest.approx(1.0), 3)}


def test_the_hypervolume_is_of_the_box_that_the_starts_span():
    def run(seed, *values):
        return {**a_run("iris", "search", seed, [{"x": 1.0}]), "validation": list(values)}

    found = {
        "search": {("iris", 1): run(1, [1.0, 1.0]), ("iris", 2): run(2, [1.0, 1.0], [0.6, 0.6])}
    }
    volumes = report.hypervolumes(found)["iris"]["search"]
    assert volumes == {1: pytest.approx((0.2 / 1.2) ** 2), 2: pytest.approx(0.25)}


def test_the_best_of_three_is_the_best_for_each_output_and_seed():
    scores = {"linear": (1.0, 4.0), "mlp": (2.0, 2.0), "boosting": (3.0, 3.0), "ours": (1.0, 1.0)}
    found = {
        arm: {("iris", 1): a_run("iris", arm, 1, [{"x": x, "y": y}])}
        for arm, (x, y) in scores.items()
    }
    logs = report.logarithms(found)
    best = {("iris", "x", 1): 0.0, ("iris", "y", 1): math.log(2)}
    assert logs[report.BEST] == pytest.approx(best, abs=1e-6)
    analysis = report.analyse(found)
    assert analysis["ratios"]["ours"]["tables"][report.BEST] == (pytest.approx(2**-0.5), 2)
    text = report.table(analysis, {"iris mlp, seed 2, failed": "why"})
    assert "0.707 (2)" in text
    assert text.endswith("- iris mlp, seed 2, failed: why\n")
