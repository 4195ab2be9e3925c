"""A killed search goes on from where it was, with the same result."""

from __future__ import annotations

import errno
import logging
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import zoo
from deap import base, tools

import deap_valp as valp
from deap_valp import checkpoint as module
from deap_valp.errors import FileFormatError, ValpError

SCRIPT = Path(__file__).parent / "scripts" / "resume.py"
SEARCHES = ["hillClimbing", "eaGuided", "eaAging", "eaSteadyState"]


def search(name, folder, *kill):
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(SCRIPT), name, str(folder), *map(str, kill)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def digest(folder):
    return (folder / "digest").read_text()


def killed_and_resumed(name, folder, kills):
    for kill in kills:
        assert search(name, folder, kill).returncode == -9
    finished = search(name, folder)
    assert finished.returncode == 0, finished.stderr[-3000:]
    return digest(folder)


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_killed_in_the_middle_gives_the_same(name, tmp_path):
    assert search(name, tmp_path / "whole").returncode == 0
    assert killed_and_resumed(name, tmp_path / "killed", [6]) == digest(tmp_path / "whole")
    for folder in ("whole", "killed"):  # no evaluation that had finished was repeated
        calls = Counter((tmp_path / folder / "calls").read_text().split())
        assert max(calls.values()) <= (1 if name != "eaGuided" else 2)
    repeated = [(tmp_path / folder / "calls").read_text().count("\n") for folder in ("whole", "killed")]
    assert repeated[0] == repeated[1]


# ---- in this process -----------------------------------------------------------------------------------------


@pytest.fixture
def toolbox():
    toolbox = base.Toolbox()
    toolbox.register("evaluate", valp.evaluate, problem=zoo.mixed_problem(), batches=2, first_batches=2)
    toolbox.register("selMutation", valp.selMutation)
    return toolbox


def climb(toolbox, path, nsteps=3, **options):
    random.seed(1)
    return valp.hillClimbing(
        zoo.random_valp(zoo.mixed_problem()),
        toolbox,
        nsteps,
        progress=False,
        checkpoint=valp.Checkpoint(path, **options),
    )


def test_a_finished_search_returns_at_once_and_can_be_made_longer(toolbox, tmp_path):
    best, logbook = climb(toolbox, tmp_path / "c")
    again, same = climb(toolbox, tmp_path / "c")
    assert again == best and len(same) == len(logbook) == 4
    assert len(climb(toolbox, tmp_path / "c", nsteps=5)[1]) == 6


@pytest.mark.parametrize(
    "damage", [lambda data: data[:-20], lambda data: data[:5], lambda data: b"", lambda d: b"x" * 99]
)
def test_a_damaged_file_is_named_with_the_way_out(damage, toolbox, tmp_path):
    path = tmp_path / "c"
    climb(toolbox, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(FileFormatError, match=r"(damaged|not a checkpoint)[\s\S]*mv .*previous"):
        climb(toolbox, path)
    path.with_name("c.previous").replace(path)
    assert len(climb(toolbox, path)[1]) == 4


def test_a_full_disk_costs_the_checkpoint_and_not_the_run(toolbox, tmp_path, monkeypatch, caplog):
    write, count = module.write_atomically, []

    def full(path, data):
        count.append(path)
        if len(count) > 4:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(path, data)

    monkeypatch.setattr(module, "write_atomically", full)
    with caplog.at_level(logging.WARNING, logger="deap_valp"):
        _, logbook = climb(toolbox, tmp_path / "c", nsteps=4)
    assert len(logbook) == 5 and "No space left" in caplog.text
    monkeypatch.undo()
    assert len(climb(toolbox, tmp_path / "c", nsteps=4)[1]) == 5  # from the last whole state


def test_a_disk_that_is_full_from_the_start_ends_it(toolbox, tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(module, "write_atomically", full)
    with pytest.raises(OSError, match="No space left"):
        climb(toolbox, tmp_path / "c")


def test_a_loop_of_one_s_own_needs_two_lines(toolbox, tmp_path):
    checkpoint = valp.Checkpoint(tmp_path / "c")
    toolbox.register("map", checkpoint.map, map)
    random.seed(2)
    start = [zoo.random_valp(zoo.mixed_problem()) for _ in range(3)]
    state = checkpoint.load(population=start, generation=0, halloffame=tools.ParetoFront())
    evaluations = toolbox.map(toolbox.evaluate, state["population"])
    random.random()
    resumed = valp.Checkpoint(tmp_path / "c")
    state = resumed.load(population=None)
    assert state["population"] == start and state["generation"] == 0
    kept = resumed.map(lambda f, individuals: pytest.fail("evaluated again"), toolbox.evaluate, state["population"])
    assert [tuple(e) for e in kept] == [tuple(e) for e in evaluations]


@pytest.mark.parametrize(
    ("options", "message"), [({"every": 0}, "every to be 1 or more"), ({"also": [3]}, "lists, sets, dicts or objects")]
)
def test_wrong_options_are_named(options, message, tmp_path):
    with pytest.raises(ValpError, match=message):
        valp.Checkpoint(tmp_path / "c", **options)


def test_a_checkpoint_of_another_search_is_refused(toolbox, tmp_path):
    climb(toolbox, tmp_path / "c")
    toolbox.register("map", map)
    toolbox.register("select", tools.selNSGA2)
    population = [zoo.random_valp(zoo.mixed_problem()) for _ in range(2)]
    with pytest.raises(FileFormatError, match="is a checkpoint of hillClimbing, got eaAging"):
        valp.eaAging(population, toolbox, 1, verbose=False, checkpoint=valp.Checkpoint(tmp_path / "c"))
