"""The comparison with classic neuroevolution: budgets, paired starts, resumed runs, statistics."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from dataclasses import replace
from importlib.util import find_spec
from itertools import count, pairwise
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPT = EXAMPLES / "compare_with_classic_neuroevolution.py"
SEEDS = (1, 2)

sys.path.insert(0, str(EXAMPLES))
try:
    import compare_with_classic_neuroevolution as compare
    import comparison_arms
    import comparison_report as report
    import comparison_runs as folders
finally:
    sys.path.remove(str(EXAMPLES))

INSTALLED = [
    arm
    for arm in compare.ARMS
    if arm not in compare.NEEDED or find_spec(compare.NEEDED[arm][0]) is not None
]
NOT_FROM_THE_START = {"cma-es", "neat"}
SCRATCH = {"nsga2", "random_search"}
SETTINGS = replace(compare.Settings("digits"), **compare.SMALLEST)

every_arm = pytest.mark.parametrize("arm", compare.ARMS)


def lines_of(folder, arm, seed):
    return [
        json.loads(line) for line in folders.path_of(folder, arm, seed).read_text().splitlines()
    ]


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("*.jsonl")}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder with a whole run of every arm and seed."""
    folder = tmp_path_factory.mktemp("comparison")
    folders.open_folder(folder, SETTINGS)
    for arm in INSTALLED:
        for seed in SEEDS:
            compare.run_one(SETTINGS, arm, seed, folder)
    return folder


@pytest.fixture
def lines(finished, arm):
    if arm not in INSTALLED:
        pytest.skip(f"{compare.NEEDED[arm][1]} is not installed")
    return [lines_of(finished, arm, seed) for seed in SEEDS]


# ---- budgets and starts --------------------------------------------------------------------------


@every_arm
def test_no_evaluation_passes_the_budget_and_none_more_would_fit(lines, arm):
    dearest = SETTINGS.minibatch if arm in NOT_FROM_THE_START else SETTINGS.first_batches * 200
    for *evaluations, last in lines:
        assert last["spent"] == "examples"
        assert SETTINGS.examples - dearest < evaluations[-1]["examples"] <= SETTINGS.examples


@every_arm
def test_examples_and_seconds_add_up(lines, arm):
    for *evaluations, _ in lines:
        for before, after in pairwise(evaluations):
            assert before["examples"] <= after["examples"]
            assert before["seconds"] <= after["seconds"]


@pytest.mark.parametrize("arm", [arm for arm in compare.ARMS if arm not in NOT_FROM_THE_START])
def test_a_seed_gives_every_arm_the_same_start(finished, arm):
    for seed in SEEDS:
        first = lines_of(finished, arm, seed)[0]
        assert first["values"] == lines_of(finished, "retrain", seed)[0]["values"]
        assert first["values"] == lines_of(finished, arm, seed)[-1]["start"]
    assert lines_of(finished, arm, 1)[0]["values"] != lines_of(finished, arm, 2)[0]["values"]


@pytest.mark.parametrize("arm", [arm for arm in compare.ARMS if arm not in NOT_FROM_THE_START])
def test_inherited_weights_cost_a_session_and_new_ones_a_first_one(lines, arm):
    for *evaluations, _ in lines:
        costs = {after["examples"] - before["examples"] for before, after in pairwise(evaluations)}
        first, session = SETTINGS.first_batches * 64, SETTINGS.batches * 64  # of 64 examples
        assert (
            costs == {first} if arm in SCRATCH else session in costs and costs <= {first, session}
        )


@pytest.mark.parametrize("arm", ["guidelines", "nsga2", "cma-es", "neat"])
def test_a_run_is_a_function_of_its_arm_and_seed(finished, lines, arm, tmp_path):
    compare.run_one(SETTINGS, arm, 1, tmp_path)
    again = lines_of(tmp_path, arm, 1)
    assert [line.get("values") for line in again] == [line.get("values") for line in lines[0]]
    assert again[-1] == lines[0][-1]


@every_arm
def test_the_front_is_what_nothing_on_validation_dominates(lines, arm):
    for *evaluations, last in lines:
        values = [line["values"] for line in evaluations if line["values"]]
        front = [member["validation"] for member in last["front"]]
        assert front and all(member in values for member in front)
        assert not any(
            comparison_arms.dominates(other, member) for member in front for other in values
        )


@pytest.mark.parametrize("arm", ["adaptive", "cma-es", "neat"])
def test_seconds_are_a_budget_too(arm, tmp_path, monkeypatch):
    if arm not in INSTALLED:
        pytest.skip(f"{compare.NEEDED[arm][1]} is not installed")
    monkeypatch.setattr(
        comparison_arms, "perf_counter", count(0, 0.01).__next__
    )  # each look at the clock takes time
    compare.run_one(replace(SETTINGS, examples=None, seconds=0.8), arm, 1, tmp_path)
    *evaluations, last = lines_of(tmp_path, arm, 1)
    assert last["spent"] == "seconds"
    assert 0.75 < evaluations[-1]["seconds"] < 0.85


def test_a_budget_without_room_for_an_evaluation_fails_and_leaves_no_run(tmp_path):
    with pytest.raises(RuntimeError, match="within the budget"):
        compare.run_one(replace(SETTINGS, examples=100), "retrain", 1, tmp_path)
    assert not list(tmp_path.glob("*.jsonl"))


# ---- the script ----------------------------------------------------------------------------------


def start(folder, *options):
    environment = {**os.environ, "DEAP_VALP_SMALL": "1", "PYTHONPATH": str(EXAMPLES.parent)}
    command = [sys.executable, "-W", "error", str(SCRIPT), "--folder", str(folder), *options]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


class InThisProcess:
    """A pool of no processes."""

    def __init__(self, *arguments):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *error):
        pass

    def submit(self, function, *arguments):
        future = Future()
        try:
            future.set_result(function(*arguments))
        except RuntimeError as error:
            future.set_exception(error)
        return future


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_a_killed_comparison_goes_on_without_repeating_finished_runs(finished, monkeypatch, capsys):
    for arm in ("retrain", "gentle", "aging", "nsga2"):
        folders.path_of(finished, arm, 2).unlink()
    whole = times(finished)
    options = ("--arms", *INSTALLED, "--workers", "1")
    process = start(finished, *options)
    wait_for(lambda: len(times(finished)) > len(whole) or process.poll() is not None)
    process.send_signal(signal.SIGKILL)
    process.communicate()  # ends when the workers, which hold the pipe, have left too
    then = times(finished)
    assert len(whole) < len(then) < len(INSTALLED) * len(SEEDS)

    monkeypatch.setattr(folders, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setattr(compare, "SMALL", True)
    assert compare.main(["--folder", str(finished), *options]) == 0
    assert times(finished).items() > then.items()
    assert len(times(finished)) == len(INSTALLED) * len(SEEDS)
    assert not list(finished.glob("*.part"))
    assert (finished / "table.md").read_text() in capsys.readouterr().out
    assert all(
        (finished / f"{name}.png").stat().st_size
        for name in ("objectives", "hypervolume", "attainment")
    )


def test_runs_of_other_settings_are_refused(finished):
    with pytest.raises(
        SystemExit, match=r"holds runs of other settings \(batches 5, asked for 6\)"
    ):
        folders.open_folder(finished, replace(SETTINGS, batches=6))


@pytest.mark.parametrize("arm", compare.NEEDED)
def test_without_its_package_an_arm_is_skipped_with_the_reason(
    finished, tmp_path, monkeypatch, capsys, arm
):
    folders.open_folder(tmp_path, SETTINGS)
    for path in finished.glob("retrain-*.jsonl"):
        (tmp_path / path.name).write_text(path.read_text())
    monkeypatch.setattr(compare, "find_spec", lambda name: None)
    monkeypatch.setattr(compare, "SMALL", True)
    monkeypatch.setattr(compare, "report_on", lambda folder, order, notes: notes[arm])
    assert compare.main(["--folder", str(tmp_path), "--arms", "retrain", arm]) == 0
    assert capsys.readouterr().out.startswith(f"skipped, since {compare.NEEDED[arm][1]} is")


def test_a_failed_run_costs_that_run(tmp_path, monkeypatch):
    def broken(run, toolbox, starts):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(folders, "ProcessPoolExecutor", InThisProcess)
    monkeypatch.setitem(compare.ARMS, "broken", broken)
    runs = [("broken", 1), ("random_search", 1)]
    failed = folders.run_all(compare.run_one, SETTINGS, runs, tmp_path, 1)
    assert failed == {("broken", 1): "RuntimeError: out of luck"}
    assert list(times(tmp_path)) == ["random_search-1.jsonl"]


# ---- the report ----------------------------------------------------------------------------------


@pytest.mark.skipif("neat" not in INSTALLED, reason="neat-python is not installed")
def test_the_table_says_what_neat_cannot_do(finished):
    analysis = report.analyse(report.read_folder(finished, compare.ARMS))
    [row] = [
        line
        for line in report.table(analysis, {}).splitlines()
        if line.startswith("| neat") and "cannot" in line
    ]
    assert row.count("cannot generate") == 1
    assert row.count("not defined") == 2  # hypervolume and share of the front


def test_every_arm_has_a_row_and_a_comparison_with_the_controls(finished):
    found = report.read_folder(finished, compare.ARMS)
    text = report.table(report.analyse(found), {})
    for arm in INSTALLED:
        rows = sum(line.startswith(f"| {arm} |") for line in text.splitlines())
        assert rows == 3 - (arm in report.CONTROLS)


def a_run(test, start=(1.0, 1.0)):
    points = np.array(test, dtype=float)
    count = np.arange(1, len(points) + 1)
    return report.Found(
        ("a", "b"),
        count,
        count,
        points,
        np.array(start),
        points,
        points.min(0),
        1.0,
        "examples",
        {},
    )


def test_the_same_values_are_no_difference():
    same = {"x": [1.0, 1.0], "y": [1.0, 1.0], "z": [1.0, 1.0]}
    p, dunn = report.kruskal(same)
    assert p == 1.0
    assert list(dunn.values()) == [1.0] * 3
    assert report.vargha_delaney([1, 2, 3], [3, 2, 1]) == 0.5
    assert report.paired({1: 1.0, 2: 2.0}, {1: 1.0, 2: 2.0}) == (0, 0, 1.0)


def test_effects_have_the_sign_of_lower_is_better():
    assert report.vargha_delaney([1, 2], [3, 4]) == 1.0
    assert report.vargha_delaney([3, 4], [1, 2]) == 0.0
    assert report.vargha_delaney([1, 3], [2, 2]) == 0.5
    ours, theirs = dict(enumerate(range(5))), dict(enumerate([1, 3, 5, 7, 9, 100]))
    assert report.paired(ours, theirs) == (
        5,
        0,
        0.0625,
    )  # five pairs cannot give less; the sixth has no partner


def test_groups_apart_differ_and_holm_makes_no_pair_surer():
    from scikit_posthocs import posthoc_dunn

    groups = {"x": [1, 2, 3, 4, 5], "y": [11, 12, 13, 14, 15], "z": [21, 22, 23, 24, 25]}
    p, dunn = report.kruskal(groups)
    raw = posthoc_dunn(list(groups.values())).to_numpy()
    assert p < 0.01
    assert dunn[frozenset("xz")] < 0.05 < dunn[frozenset("xy")]
    assert dunn[frozenset("xz")] == pytest.approx(3 * raw[0, 2])


def test_hypervolume_is_a_share_of_the_box():
    reference = np.array([2.0, 4.0])
    assert report.hypervolume(np.array([[1.0, 2.0]]), reference) == 0.25
    assert report.hypervolume(np.array([[0.0, 0.0]]), reference) == 1.0
    assert report.hypervolume(np.array([[3.0, 1.0], [np.nan, 1.0]]), reference) == 0.0
    assert report.reference_of(
        {"x": {1: a_run([[1, 1]], (1, 10)), 2: a_run([[1, 1]], (3, 30))}}
    ) == pytest.approx([2.4, 24])


def test_the_front_of_all_runs_is_shared_out():
    found = {
        "x": {1: a_run([[1, 4], [5, 5]])},
        "y": {1: a_run([[2, 3]]), 2: a_run([[3, 2], [4, 1]])},
        "z": {1: a_run([[9, 9]])},
    }
    assert report.front_shares(found) == {"x": 0.25, "y": 0.75, "z": 0.0}


def test_half_of_the_runs_reach_the_attainment_surface():
    runs = [a_run([[value, value]]) for value in (1, 2, 3)]
    assert report.attained(runs, [0, 1]).tolist() == [[2, 2]]


def test_courses_hold_the_best_so_far():
    positions, curves = report.courses({"x": {1: a_run([[3, 1], [1, 2], [2, 3]])}}, "examples")
    [values] = curves["a"]["x"]
    assert np.isnan(values[positions < 1]).all()
    assert (values[(positions >= 1) & (positions < 2)] == 3).all()
    assert (values[positions >= 2] == 1).all()


def test_minibatches_lie_in_the_training_split(tmp_path):
    with open(tmp_path / "run", "w") as file:
        run = comparison_arms.Run(SETTINGS, compare.valp.problems.digits(), file)
    slices = [run.minibatch() for _ in range(200)]
    assert all(one.start >= 0 and one.stop - one.start == SETTINGS.minibatch for one in slices)
    assert max(one.stop for one in slices) <= run.data.size
