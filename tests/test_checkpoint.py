"""A killed search goes on from where it was, with the same result."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import killing
import numpy as np
import pytest
import torch
from deap import algorithms, tools
from digests import digest
from searching import SEARCHES, search, toolbox_of_searches
from test_populations import Workers, quick

import deap_valp as valp
from deap_valp.search import checkpoint as module

TESTS = Path(__file__).parent
SCRIPT = TESTS / "scripts" / "resume.py"


# ---- killed --------------------------------------------------------------------------------------


def killed_at_random_lines(folder, seed):
    """By search, what ``killing.py`` reports."""
    command = [sys.executable, str(TESTS / "killing.py"), str(folder), str(seed), *killing.SEARCHES]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return {found.pop("search"): found for found in map(json.loads, done.stdout.splitlines())}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(10, 20))]
)
def test_killed_at_random_lines_of_the_code_a_search_gives_the_same(seed, tmp_path):
    found = killed_at_random_lines(tmp_path, seed)
    for name, left in found.items():
        (tmp_path / name).mkdir()
        random.seed(1)
        assert left["digest"] == killing.outcome(name, tmp_path / name), (
            name
        )  # without a kill, without a checkpoint
        # One that a kill stops is not finished; what a kill repeats is what was about to be written
        # down.
        assert left["evaluations"] <= killing.finished(tmp_path / name) + left["kills"], name
    assert sum(left["kills"] for left in found.values()) > 0


def finish(name, folder, *arguments, launcher=()):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, *launcher, str(SCRIPT), name, str(folder), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)


def found_in(folder):
    """What a search left, and the evaluations that were finished."""
    return (folder / "digest").read_text(), sorted((folder / "calls").read_text().split())


@pytest.mark.slow
@pytest.mark.parametrize("name", SEARCHES)
def test_killed_again_and_again_in_processes_of_its_own(name, tmp_path):
    assert finish(name, tmp_path / "whole").returncode == 0
    for evaluations in [0, 4, 1, 2, 1]:
        assert (
            finish(name, tmp_path / "killed", "serial", evaluations).returncode == -signal.SIGKILL
        )
    assert finish(name, tmp_path / "killed").returncode == 0
    assert found_in(tmp_path / "killed") == found_in(tmp_path / "whole")


LAUNCHERS = {"serial": (), "processes": (), "scoop": ("-m", "deap_valp.scoop", "-n", "3")}


def kill_after(evaluations, folder, command):
    """Kill a search and its workers as soon as so many more evaluations have finished.

    Return whether the search still ran.
    """
    folder.mkdir(exist_ok=True)
    calls = folder / "calls"

    def finished():
        return calls.read_text().count("\n") if calls.exists() else 0

    wanted, deadline = finished() + evaluations, time.monotonic() + 120
    search = subprocess.Popen(
        command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    while search.poll() is None and time.monotonic() < deadline and finished() < wanted:
        time.sleep(0.02)
    running = search.poll() is None
    if running:
        os.killpg(search.pid, signal.SIGKILL)
        search.wait()
    return running


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", LAUNCHERS)
@pytest.mark.parametrize("name", ["eaGuided", "eaAging", "eaSteadyState"])
def test_killed_with_all_its_workers(name, kind, tmp_path):
    """What each worker finished counts, also if the map returns all results together at its end."""
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    command = [sys.executable, *LAUNCHERS[kind], str(SCRIPT), name, str(killed), kind]
    kills = sum(kill_after(evaluations, killed, command) for evaluations in [2, 3, 2])
    assert kills >= 1
    assert finish(name, killed, kind, launcher=LAUNCHERS[kind]).returncode == 0
    assert finish(name, whole).returncode == 0
    left, evaluations = found_in(killed)
    # Of three workers, each may have been about to write down what it had finished.
    assert len(evaluations) <= len(found_in(whole)[1]) + 3 * kills
    if name != "eaSteadyState" or kind == "serial":
        assert left == found_in(whole)[0]


# ---- interrupted, in this process ----------------------------------------------------------------


@pytest.fixture
def toolbox():
    return toolbox_of_searches()


class Interrupted(BaseException):
    pass


def interrupting(evaluations, calls):
    """An evaluation that is interrupted when so many have finished.

    ``calls`` holds the individuals that were evaluated.
    """

    def evaluate(individual):
        if len(calls) == evaluations:
            raise Interrupted
        calls.append(individual.seed)
        return quick(individual)

    return evaluate


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("name", SEARCHES)
def test_interrupted_at_every_evaluation_none_is_repeated(name, every, toolbox, tmp_path):
    random.seed(3)
    whole = search(name, toolbox)
    calls = []
    for evaluations in itertools.count():
        toolbox.register("evaluate", interrupting(evaluations, calls))
        random.seed(
            3 if evaluations == 0 else 1000 + evaluations
        )  # what it starts from is in the checkpoint
        try:
            resumed = search(name, toolbox, tmp_path / "c", every=every)
            break
        except Interrupted:
            pass
    assert resumed == whole and len(calls) == evaluations >= 6


@pytest.mark.parametrize("name", SEARCHES)
def test_a_finished_search_returns_at_once_and_can_be_made_longer(name, toolbox, tmp_path):
    random.seed(3)
    whole = search(name, toolbox, size=2)
    random.seed(3)
    first = search(name, toolbox, tmp_path / "c")
    toolbox.register("evaluate", interrupting(0, []))
    assert search(name, toolbox, tmp_path / "c") == first
    toolbox.register("evaluate", quick)
    longer = search(name, toolbox, tmp_path / "c", size=2)
    assert (
        longer == whole or name == "eaSteadyState"
    )  # whose second worker had nothing left to do, at the end
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c", "c.previous"]


def test_the_order_in_which_workers_finish_is_kept(toolbox, tmp_path):
    """With a population of 4, a state is saved with every fourth candidate.

    The other candidates come from their files.
    """

    def attempt(evaluations, path):
        toolbox.register("submit", Workers().submit)
        toolbox.register("evaluate", interrupting(evaluations, calls))
        return search("eaSteadyState", toolbox, path)

    calls = []
    random.seed(3)
    whole = attempt(None, None)
    born = list(calls)
    for interrupted in range(1, len(born)):
        calls.clear()
        random.seed(3)
        with pytest.raises(Interrupted):
            attempt(interrupted, tmp_path / "c")
        resumed = attempt(None, tmp_path / "c")
        # What was under way goes to other workers, which need not finish in the order of those that
        # were killed.
        assert calls[:interrupted] == born[:interrupted] and len(calls) == len(born)
        assert resumed == whole or interrupted < len(born) - 1
        (tmp_path / "c").unlink()


def test_a_map_may_give_all_results_at_its_end(toolbox, tmp_path):
    calls = []
    toolbox.register("evaluate", interrupting(6, calls))
    with ThreadPoolExecutor(1) as pool:
        toolbox.register("map", lambda function, items: list(pool.map(function, items)))
        with pytest.raises(Interrupted):
            search("eaGuided", toolbox, tmp_path / "c")
        toolbox.register("evaluate", interrupting(None, calls))
        search("eaGuided", toolbox, tmp_path / "c")
    assert len(calls[6:]) > 0 and not set(calls[:6]) & set(calls[6:])


def test_workers_that_do_not_see_the_folder_cost_nothing(toolbox, tmp_path, monkeypatch):
    """As those on another host: what comes back is written down here."""
    monkeypatch.setattr(
        module.Keeping, "__call__", lambda self, individual: self.evaluate(individual)
    )
    calls = []
    toolbox.register("evaluate", interrupting(6, calls))  # in the middle of the second map
    with pytest.raises(Interrupted):
        search("eaGuided", toolbox, tmp_path / "c", every=5)
    toolbox.register("evaluate", interrupting(None, calls))
    search("eaGuided", toolbox, tmp_path / "c", every=5)
    assert not set(calls[:4]) & set(calls[6:]) and calls[4:6] == calls[6:8]


def test_a_damaged_evaluation_is_repeated(toolbox, tmp_path):
    calls = []
    toolbox.register("evaluate", interrupting(None, calls))
    random.seed(3)
    whole, evaluations = search("eaGuided", toolbox), len(calls)
    calls.clear()
    toolbox.register("evaluate", interrupting(3, calls))
    random.seed(3)
    with pytest.raises(Interrupted):
        search("eaGuided", toolbox, tmp_path / "c")
    first, second, _ = sorted((tmp_path / "c.evaluations").glob("*.evaluation"))
    first.write_bytes(first.read_bytes()[:-3])
    second.write_bytes(b"")
    toolbox.register("evaluate", interrupting(None, calls))
    assert search("eaGuided", toolbox, tmp_path / "c") == whole
    assert len(calls) == evaluations + 2


# ---- what is in it -------------------------------------------------------------------------------


def test_a_loop_of_one_s_own(toolbox, tmp_path):
    draws = random.random, np.random.random, lambda: float(torch.rand(1))
    checkpoint = valp.Checkpoint(tmp_path / "c")
    start = tools.initRepeat(list, toolbox.individual, 3)
    state = checkpoint.load(
        population=start, generation=0, halloffame=tools.ParetoFront(), logbook=tools.Logbook()
    )
    assert state["population"] is start
    toolbox.register("map", checkpoint.map, map)
    evaluations = toolbox.map(toolbox.evaluate, start)
    drawn = [draw() for draw in draws]
    resumed = valp.Checkpoint(tmp_path / "c")
    state = resumed.load(population=[], generation=9)
    assert digest(state["population"]) == digest(start) and state["generation"] == 0
    assert [draw() for draw in draws] == drawn
    assert {"population", "generation", "halloffame", "logbook", "rndstate"} <= set(
        state
    )  # DEAP's recipe
    kept = resumed.map(
        lambda f, individuals: pytest.fail("evaluated again"), toolbox.evaluate, state["population"]
    )
    assert kept == evaluations and [e.seed for e in kept] == [i.seed for i in start]
    resumed.save(population=state["population"], generation=1)
    assert not (tmp_path / "c.evaluations").exists()


GENERATION = """
    toolbox.register("mutate", valp.mutRandom)
    offspring = algorithms.varOr(population, toolbox, 4, 0, 1) if generation else population
    invalid = [individual for individual in offspring if not individual.fitness.valid]
    for individual, values in zip(invalid, toolbox.map(toolbox.evaluate, invalid)):
        individual.fitness.values = values
    front.update(offspring)
    population = toolbox.select([*population, *offspring], 4) if generation else population
"""


def test_the_loop_in_the_docs_repeats_no_evaluation(toolbox, tmp_path):
    [loop] = re.findall(
        r"```python\n(checkpoint = .*?)```",
        (TESTS.parent / "docs" / "checkpoints.md").read_text(),
        re.S,
    )
    loop = (
        re.sub(r" +\.\.\.  # .*\n", GENERATION, loop)
        .replace("valp.scoopMap", "map")
        .replace("30)", "3)")
    )
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)

    def found(path):
        names = {"valp": valp, "tools": tools, "algorithms": algorithms, "toolbox": toolbox}
        random.seed(3)
        exec(loop.replace("run.checkpoint", str(path)), names)
        return digest(names["population"])

    calls = []
    toolbox.register("evaluate", interrupting(None, calls))
    whole, evaluations = found(tmp_path / "whole"), len(calls)
    for stop in range(1, evaluations):
        calls.clear()
        toolbox.register("evaluate", interrupting(stop, calls))
        with pytest.raises(Interrupted):
            found(tmp_path / str(stop))
        toolbox.register("evaluate", interrupting(None, calls))
        assert found(tmp_path / str(stop)) == whole and len(calls) == evaluations, stop


def test_decisions_and_what_is_barred_are_in_it(toolbox, tmp_path):
    archive = []
    toolbox.register(
        "selMutation", lambda individual, barred: valp.selMutation(individual, policy="random")
    )
    search(
        "hillClimbing",
        toolbox,
        tmp_path / "c",
        archive=archive,
        accept=lambda candidate, incumbent: False,
    )
    state = valp.Checkpoint(tmp_path / "c").load()
    assert [entry.decision for entry in state["archive"]] == [entry.decision for entry in archive]
    assert state["barred"] == {entry.move.key for entry in archive if entry.move} != set()


def test_further_objects_are_restored_in_place(toolbox, tmp_path):
    history = tools.History()
    history.update([toolbox.individual()])
    for notes, table, tree in [(["a"], {"b": {1}}, history), ([], {}, tools.History())]:
        checkpoint = valp.Checkpoint(tmp_path / "c", also=[notes, table, tree])
        valp.hillClimbing(toolbox.individual(), toolbox, 1, progress=False, checkpoint=checkpoint)
        assert (
            notes == ["a"]
            and table == {"b": {1}}
            and tree.genealogy_history == history.genealogy_history
        )


def test_a_bandit_that_learns_is_in_it(toolbox, tmp_path):
    rewards = []
    for _ in range(2):
        bandit = valp.Bandit()
        toolbox.register("selMutation", valp.selMutation, policy=bandit)
        toolbox.register("feedback", bandit.feedback)
        search("eaGuided", toolbox, tmp_path / "c")
        rewards.append((bandit.counts, bandit.rewards))
    assert rewards[0] == rewards[1] and rewards[0][0]
