"""The rivals of the suite that get the search's budget: what they spend, and what they build."""

from __future__ import annotations

import json
import math
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

import deap_valp as valp

EXAMPLES = Path(__file__).parents[1] / "examples"

sys.path.insert(0, str(EXAMPLES))
try:
    import comparison_runs as folders
    import suite
    import suite_arms
    import suite_budgets
    import suite_gromo
    import suite_problems
    import suite_report
    import suite_tpe
finally:
    sys.path.remove(str(EXAMPLES))

SETTINGS = replace(suite.Settings(), **suite.SMALLEST)
TRAINING = SETTINGS.training
NEEDS = {"gromo": "gromo", "gromo_5": "gromo"}
SOME = ("iris", "wine", "planted_small")


def problem_of(name):
    return suite_problems.problem_of(name, 1, small=True)


# ---- budgets -------------------------------------------------------------------------------------


@pytest.mark.parametrize("arm", suite_budgets.BUDGETED)
def test_what_the_search_spent_is_known_before(arm, tmp_path):
    with pytest.raises(RuntimeError, match=f"{arm} gets the budget of the arm search"):
        suite.run_one(SETTINGS, "iris", arm, 1, tmp_path)


@pytest.mark.filterwarnings("ignore:Initializing zero-element", "ignore:.*extension_scaling")
@pytest.mark.parametrize("arm", suite_budgets.BUDGETED)
def test_a_run_says_what_it_spent(arm, tmp_path):
    pytest.importorskip(NEEDS.get(arm, "optuna"))
    for name in ("search", arm):
        suite.run_one(SETTINGS, "iris", name, 1, tmp_path)
    search, run = (
        json.loads(folders.path_of(tmp_path, "iris", name, 1).read_text())
        for name in ("search", arm)
    )
    assert set(run["test"][0]) == {"species", "width"}
    assert run["examples"] > 0
    if arm == "tpe_examples":
        assert run["examples"] <= search["examples"]


def test_the_examples_of_a_search_are_those_of_all_its_sessions(tmp_path):
    suite.run_one(SETTINGS, "iris", "search", 1, tmp_path)
    run = json.loads((tmp_path / "iris-search-1.jsonl").read_text())
    batches = TRAINING["first_batches"] + SETTINGS.steps * TRAINING["batches"]
    assert run["examples"] == 64 * batches


def test_the_report_shows_what_was_spent(tmp_path):
    suite.run_one(SETTINGS, "iris", "search", 1, tmp_path)
    suite.run_one(SETTINGS, "iris", "linear", 1, tmp_path)
    analysis = suite_report.analyse(suite_report.read_folder(tmp_path))
    assert analysis["examples"] == {"search": {"iris": 1600.0}, "linear": {}}
    assert "Training examples of a run" in suite_report.table(analysis, {})


# ---- TPE over genomes ----------------------------------------------------------------------------


def trials(problem, count):
    optuna = pytest.importorskip("optuna")
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=1))
    study.enqueue_trial(suite_tpe.usual(problem))
    return [study.ask() for _ in range(count)]


@pytest.mark.parametrize("name", SOME)
def test_every_trial_is_a_valid_valp_of_its_problem(name):
    problem = problem_of(name)
    icls = suite_arms.individual_class(problem)
    for trial in trials(problem, 20):
        individual = icls(suite_tpe.genome_of(trial, problem))
        valp.check(individual, problem)
        assert len(individual) == trial.params["networks"]


@pytest.mark.parametrize("name", SOME)
def test_the_first_trial_has_the_shape_of_our_start(name):
    problem = problem_of(name)
    icls = suite_arms.individual_class(problem)
    [trial] = trials(problem, 1)
    first, start = icls(suite_tpe.genome_of(trial, problem)), valp.initVALP(icls, problem)
    assert sorted(first.connections) == sorted(start.connections)
    assert first.shapes() == start.shapes()
    assert first.genome.optimizers == start.genome.optimizers
    assert first.batch_size == start.batch_size


def test_the_examples_are_all_that_a_search_gets():
    pytest.importorskip("optuna")
    problem = problem_of("iris")
    budget = suite_tpe.Budget(examples=64 * 40)
    tried = suite_tpe.tpe(problem, 1, budget, TRAINING)
    assert tried.examples == 64 * 40  # two whole sessions of 15 batches, and one of the 10 left


def test_the_seconds_end_a_search_after_the_trial_under_way():
    pytest.importorskip("optuna")
    began = time.process_time()
    tried = suite_tpe.tpe(problem_of("iris"), 1, suite_tpe.Budget(seconds=1e-6), TRAINING)
    assert tried.examples == 64 * 15
    assert time.process_time() - began < 60


def test_an_output_that_generates_is_refused():
    problem = problem_of("digits")
    with pytest.raises(ValueError, match="outputs that take values"):
        suite_tpe.genome_of(None, problem)


# ---- gromo ---------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Initializing zero-element", "ignore:.*extension_scaling")
@pytest.mark.parametrize("name", ["species", "width"])
def test_a_network_of_gromo_grows_and_keeps_its_best(name):
    pytest.importorskip("gromo")
    network = suite_gromo.Growing(problem_of("iris"), name)
    network.train()
    network.keep()
    before = sum(one.numel() for one in network.model.parameters()), network.lowest
    for _ in range(2):
        network.grow()
        network.keep()
    assert sum(one.numel() for one in network.model.parameters()) > before[0]
    assert network.lowest <= before[1]
    assert len(network.head) == 30


@pytest.mark.filterwarnings("ignore:Initializing zero-element", "ignore:.*extension_scaling")
def test_a_network_of_gromo_that_diverges_ends_with_its_best(monkeypatch):
    pytest.importorskip("gromo")
    network = suite_gromo.Growing(problem_of("iris"), "width")
    network.train()
    network.keep()
    kept = network.head.clone()
    monkeypatch.setattr(suite_gromo, "RATE", 1e20)
    network.run(until=math.inf)
    assert math.isfinite(network.lowest)
    assert network.head.equal(kept)
