"""Evaluations through every sort of map: the same result for all; failures cost what they must and no more."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import zoo

import deap_valp as valp
from deap_valp import distributed
from deap_valp.errors import DistributedError

SCRIPTS = Path(__file__).parent / "scripts"
SCOOP, OURS = ("-m", "scoop", "-q"), ("-m", "deap_valp.scoop", "-q")


def run(*arguments, timeout=120):
    """Run Python with these arguments in a session of its own, and end all of it."""
    process = subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(timeout=timeout)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output


def evolved(folder, *launcher, mapping="scoop", fault=""):
    output = folder / "digest"
    status, text = run(*launcher, SCRIPTS / "evolve.py", mapping, output, *([fault] if fault else []))
    assert output.exists(), f"status {status}: {text[-3000:]}"
    return output.read_text()


@pytest.fixture(scope="module")
def serial(tmp_path_factory):
    return evolved(tmp_path_factory.mktemp("serial"), mapping="map")


def test_scoop_map_without_scoop_gives_the_same(serial, tmp_path):
    assert evolved(tmp_path) == serial


@pytest.mark.parametrize("mapping", ["spawn", "futures"])
def test_other_engines_give_the_same(mapping, serial, tmp_path):
    assert evolved(tmp_path, mapping=mapping) == serial


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_any_number_of_scoop_workers_gives_the_same(workers, serial, tmp_path):
    assert evolved(tmp_path, *OURS, "-n", workers) == serial


def test_scoop_s_own_launcher_gives_the_same(serial, tmp_path):
    assert evolved(tmp_path, *SCOOP, "-n", 2) == serial


@pytest.mark.parametrize("workers", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_a_killed_worker_costs_time_and_nothing_else(workers, serial, tmp_path):
    assert evolved(tmp_path, *OURS, "-n", workers, fault="kill") == serial
    assert (tmp_path / "digest.marker").exists(), "no worker was killed"


def test_the_status_of_the_script_is_the_launcher_s(tmp_path):
    script = tmp_path / "status.py"
    script.write_text("import sys\nif __name__ == '__main__':\n    sys.exit(7)\n")
    assert run(*OURS, "-n", 2, script)[0] == 7
    script.write_text("if __name__ == '__main__':\n    raise RuntimeError('at the end')\n")
    assert run(*OURS, "-n", 2, script)[0] != 0
    script.write_text("if __name__ == '__main__':\n    print('fine')\n")
    assert run(*OURS, "-n", 2, script)[0] == 0


@pytest.mark.parametrize("launcher", [(), (*OURS, "-n", 2)], ids=["serial", "scoop"])
def test_an_exception_leaves_the_other_results(launcher, tmp_path):
    output = tmp_path / "seen"
    status, text = run(*launcher, SCRIPTS / "failing.py", output)
    assert output.exists(), f"status {status}: {text[-3000:]}"
    seen = output.read_text()
    assert seen.startswith("task 2 is odd in its own way; [0, 1, 'ValueError', 9, 'ValueError', 25]")
    assert "2 of 6 tasks of scoopMap failed ([2, 4])" in seen


# ---- in this process -----------------------------------------------------------------------------------------


def test_serial_results_keep_their_order_and_the_log_says_so_once(caplog, capsys):
    distributed._say_serial.cache_clear()
    with caplog.at_level(logging.WARNING, logger="deap_valp"):
        assert valp.scoopMap(divmod, range(5), [2] * 5) == [divmod(n, 2) for n in range(5)]
        assert valp.scoopMap(abs, []) == []
    assert len([record for record in caplog.records if "runs serially" in record.message]) == 1
    assert "evaluations" in capsys.readouterr().err


def test_one_bar_lasts_for_all_calls_of_a_run(capsys):
    for _ in range(2):
        valp.scoopMap(abs, range(3), evaluations=6)
    assert "6/6" in capsys.readouterr().err
    assert not distributed._bars


def test_what_does_not_pickle_is_named():
    with pytest.raises(DistributedError, match="a function and arguments that pickle"):
        distributed._packed(lambda x: x, (1,))


def test_larger_valps_are_started_first():
    small, large = zoo.smallest(), zoo.fan_in()
    assert distributed._size((large,)) > distributed._size((small,)) > distributed._size((3,)) == 0
