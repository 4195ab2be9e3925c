"""The experiment on what the paper leaves open: its arms, that they resume, and its report."""

from __future__ import annotations

import json
import random
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import deap_valp as valp

EXAMPLES = Path(__file__).parents[1] / "examples"

sys.path.insert(0, str(EXAMPLES))
try:
    import comparison_runs as folders
    import paper_main
    import paper_numbers
    import paper_open
    import paper_open_report
finally:
    sys.path.remove(str(EXAMPLES))

SETTINGS = replace(paper_main.Settings(), **paper_main.SMALLEST)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("open")
    folders.open_folder(folder, SETTINGS)
    for arm in paper_open.OPEN:
        paper_open.run_one(SETTINGS, arm, 1, folder)
    return folder


def test_every_arm_is_told_against_a_random_one(runs):
    rows, medians = paper_open_report.compared(paper_numbers.read_runs(runs)[1])
    assert set(rows) == set(paper_open.OPEN) - {"random"}
    assert all(rival.endswith("random") for rival, _ in rows.values())
    assert set(medians) == set(paper_open.OPEN)


def test_the_report_is_whole(runs, tmp_path):
    text, tables = paper_open_report.report_on(runs, tmp_path)
    assert set(tables) == {"open"}
    assert tables["open"] in text
    assert (tmp_path / "open_effects.png").stat().st_size > 0


def test_a_report_without_runs_says_so(tmp_path):
    assert paper_open_report.report_on(tmp_path, tmp_path) == ("no pair is finished", {})


@pytest.mark.parametrize("arm", ["barred_for_good", "calibrated", "raw_guidelines"])
def test_a_run_depends_on_no_run_before_it(runs, tmp_path, arm):
    paper_open.run_one(SETTINGS, arm, 1, tmp_path)
    ours, theirs = (
        json.loads(folders.path_of(folder, arm, 1).read_text()) for folder in (runs, tmp_path)
    )
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


# ---- the arms ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def diagnosed():
    """A VALP for which the rules propose something."""
    problem = valp.problems.digits()
    random.seed(1)
    individual = paper_main.drawn(problem)
    individual.fitness.values = valp.evaluate(
        individual, problem, first_batches=30, metrics=paper_main.GUIDED
    )
    return individual


def proposed(policy, individual, barred=()):
    """The keys of the moves that a policy draws in many draws."""
    random.seed(2)
    return {valp.selMutation(individual, policy=policy, barred=barred).key for _ in range(100)}


def test_a_refused_move_is_drawn_again_only_where_nothing_is_barred(diagnosed):
    guidelines = paper_open.OPEN["guidelines"].policy
    [refused, *_] = sorted(proposed(guidelines, diagnosed))
    assert refused not in proposed(guidelines, diagnosed, {refused})
    assert refused in proposed(paper_open.OPEN["unbarred"].policy, diagnosed, {refused})


def test_a_move_that_is_barred_for_good_stays_so(diagnosed):
    [refused, *_] = sorted(proposed(paper_open.OPEN["guidelines"].policy, diagnosed))
    policy = paper_open.BarredForGood()
    proposed(policy, diagnosed, {refused})
    assert refused not in proposed(policy, diagnosed)


def test_the_fallback_of_an_arm_has_the_versions_that_it_names(diagnosed):
    undiagnosed = valp.VALP(diagnosed.genome)
    versions = {
        name: {version for _, version, _ in proposed(paper_open.OPEN[name].policy, undiagnosed)}
        for name in ("guidelines", "any_fallback")
    }
    assert versions == {"guidelines": {"gentle"}, "any_fallback": {"gentle", "aggressive"}}


def test_only_the_arm_that_carries_has_a_state(diagnosed):
    problem = valp.problems.digits()
    for name, carried in (("guidelines", False), ("carried_guidelines", True)):
        evaluation = valp.evaluate(
            diagnosed, problem, batches=2, training=paper_open.OPEN[name].training
        )
        assert bool(evaluation.optimizer_state) is carried
