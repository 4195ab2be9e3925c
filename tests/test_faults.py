"""What goes wrong in long runs, for real.

Workers are killed, stopped and late; the origin is killed; data disappear; a disk fills up.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest
from launching import (
    OURS,
    PLAIN,
    SCRIPTS,
    digest_of,
    evaluated,
    finish,
    run,
    start,
    wait_until,
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(
        not Path("/proc/self/cmdline").exists(),
        reason="needs /proc to tell workers from the origin",
    ),
]

WORKERS = 3


def processes_of(launched):
    """The numbers of the origin and of the workers, among what a launcher started."""
    origins, workers = [], []
    for folder in Path("/proc").glob("[0-9]*"):
        pid = int(folder.name)
        try:
            words = (folder / "cmdline").read_text().split("\0")
            ours = os.getpgid(pid) == launched.pid and words[1:4] == ["-m", OURS, "--worker"]
        except OSError:
            continue  # it ended
        if ours and "--origin" in words:
            origins.append(pid)
        elif ours:
            workers.append(pid)
    return origins, workers


def search(folder, kind="scoop", **environment):
    """Start a search that leaves what it found in a folder."""
    folder.mkdir(exist_ok=True)
    launcher = ("-m", OURS, "-q", "-n", 1 + WORKERS) if kind == "scoop" else ()
    return start(*launcher, SCRIPTS / "resume.py", "eaGuided", folder, kind, **environment)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """What the search finds where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("whole")
    done = finish(search(folder, "serial"))
    assert done.status == 0, done.output
    return digest_of(folder)


# ---- workers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(4))
def test_workers_killed_at_any_moment_change_nothing(seed, whole, tmp_path):
    """Any number of them, from their start on; the origin goes on alone when none is left."""
    dice = random.Random(seed)
    process = search(tmp_path)
    wait_until(lambda: len(processes_of(process)[1]) == WORKERS, process)
    if seed % 3:  # else while they start
        wait_until(lambda: evaluated(tmp_path), process)
    victims = dice.sample(processes_of(process)[1], dice.randint(1, WORKERS))
    for victim in victims:
        time.sleep(dice.uniform(0, 1))
        with suppress(ProcessLookupError):  # the run may have ended before a late kill
            os.kill(victim, signal.SIGKILL)
    done = finish(process)
    assert done.status == 0 and not done.leftover, done.output
    assert digest_of(tmp_path) == whole


def test_all_workers_killed_at_once_change_nothing(whole, tmp_path):
    process = search(tmp_path)
    wait_until(lambda: evaluated(tmp_path) >= 4, process)
    time.sleep(0.2)  # in the middle of the next generation
    for victim in processes_of(process)[1]:
        os.kill(victim, signal.SIGKILL)
    done = finish(process)
    assert done.status == 0 and not done.leftover, done.output
    assert digest_of(tmp_path) == whole


STOPS = """
import os, signal, sys, time
from pathlib import Path
from deap_valp import scoopMap

notes, timeout = Path(sys.argv[1]), float(sys.argv[2]) or None

def work(item):
    time.sleep(0.5)
    if str(os.getpid()) != (notes / "origin").read_text() and not (notes / "stopped").exists():
        (notes / "stopped").write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGSTOP)
    return os.getpid()

if __name__ == "__main__":
    (notes / "origin").write_text(str(os.getpid()))
    while not (notes / "stopped").exists():  # the worker may start late
        without = scoopMap(work, range(6), progress=False, timeout=timeout)
    stopped = int((notes / "stopped").read_text())
    print("without it", len(without), stopped in without, flush=True)
    os.kill(stopped, signal.SIGCONT)
    while stopped not in scoopMap(work, range(6), progress=False):
        pass
    print("takes part again")
"""


@pytest.mark.parametrize(
    ("launcher", "timeout", "said"),
    [(OURS, 0, "is gone"), (OURS, 3, "has had it for 3 s"), (PLAIN, 3, "has had it")],
)
def test_a_worker_that_is_stopped_is_not_waited_for_and_may_come_back(
    launcher, timeout, said, tmp_path
):
    script = tmp_path / "script.py"
    script.write_text(STOPS)
    done = run("-m", launcher, "-q", "-n", 2, script, tmp_path, timeout)
    assert "without it 6 False" in done.output and "takes part again" in done.output, done.output
    assert done.output.count(f"{said}") == 1, done.output


def test_a_worker_that_is_still_stopped_in_the_end_ends_too(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(STOPS.replace("os.kill(stopped, signal.SIGCONT)", "sys.exit(7)"))
    done = run("-m", OURS, "-q", "-n", 2, script, tmp_path, 3)
    assert done.status == 7 and not done.leftover, done.output


REPORTS = """
import scoop
from deap_valp import scoopMap

scoop.TIME_BETWEEN_STATUS_REPORTS = 0.0

def work(item):
    return item

if __name__ == "__main__":
    maps = (scoopMap(work, range(50), progress=False) for _ in range(300))
    print("right", all(found == list(range(50)) for found in maps))
"""


def test_no_thread_of_scoop_meets_the_main_thread_on_a_socket(tmp_path):
    """Its reports do, every 25 s; where they come without pause, ZeroMQ aborts within seconds."""
    script = tmp_path / "script.py"
    script.write_text(REPORTS)
    done = run("-m", OURS, "-q", "-n", 3, script)
    assert done.status == 0 and done.output == "right True\n", done.output


SOCKETS = """
import time
import scoop
from deap_valp import scoopMap

def work(item):
    time.sleep(0.2)
    socket = scoop._control.execQueue.socket.direct_socket
    return scoop.IS_ORIGIN, socket.immediate, socket.heartbeat_ivl

if __name__ == "__main__":
    found = set()
    while len(found) < 2:
        found |= set(scoopMap(work, range(6), progress=False))
    print("sockets", sorted(found))
"""


def test_the_sockets_of_workers_are_not_those_that_zeromq_aborts(tmp_path):
    """ZeroMQ aborts IMMEDIATE sockets, SCOOP's, when a connection breaks within a message."""
    script = tmp_path / "script.py"
    script.write_text(SOCKETS)
    done = run("-m", OURS, "-q", "-n", 2, script)
    assert done.status == 0 and done.output == "sockets [(False, 0, 0), (True, 1, 10000)]\n", (
        done.output
    )


LATE = """
import os, sys, time
from pathlib import Path
import scoop
from deap_valp import scoopMap

if not scoop.IS_ORIGIN:
    time.sleep(6)

def work(item):
    time.sleep(0.5)
    return os.getpid()

if __name__ == "__main__":
    maps = [scoopMap(work, range(8), progress=False) for _ in range(5)]
    print("processes", [len(set(found)) for found in maps])
"""


@pytest.mark.parametrize("launcher", [PLAIN, OURS])
def test_a_worker_that_starts_late_joins_in(launcher, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(LATE)
    done = run("-m", launcher, "-q", "-n", 2, script)
    assert done.status == 0 and "processes [1, " in done.output and "2]" in done.output, done.output


@pytest.mark.parametrize("kills", range(3))
def test_a_steady_state_keeps_both_workers_busy_and_survives_them(kills, tmp_path):
    """Evaluations take 2.5 s, so SCOOP would ask after them; alone, the origin goes on."""
    process = start("-m", OURS, "-q", "-n", 3, SCRIPTS / "steady.py", tmp_path)
    began = tmp_path / "began"
    wait_until(lambda: began.exists() and len(began.read_text().splitlines()) >= 4, process)
    [origin], workers = processes_of(process)
    for worker in workers[:kills]:
        os.kill(worker, signal.SIGKILL)
    done = finish(process)
    assert done.status == 0 and "evaluated 7" in done.output, done.output
    begun = [line.split() for line in began.read_text().splitlines()]
    assert len({seed for _, seed in begun}) == 7 and 7 <= len(begun) <= 7 + kills
    assert {int(pid) for pid, _ in begun} == {*workers, *([origin] if kills == 2 else [])}


# ---- the origin ----------------------------------------------------------------------------------


@pytest.mark.parametrize("evaluations", [1, 6, 11])
def test_after_the_origin_is_killed_the_same_command_goes_on(evaluations, whole, tmp_path):
    process = search(tmp_path)
    wait_until(lambda: evaluated(tmp_path) >= evaluations, process)
    [origin], _ = processes_of(process)
    os.kill(origin, signal.SIGKILL)
    done = finish(process)
    assert done.status == 137 and not done.leftover, done.output
    done = finish(search(tmp_path))
    assert done.status == 0, done.output
    assert digest_of(tmp_path) == whole


# ---- the data ------------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path):
    """The file with the images of the search's problem, once its search has begun."""
    return tmp_path / "cache" / "arrays-1" / "digits" / "images.npy"


def test_a_data_file_deleted_while_a_run_goes_on_changes_nothing(whole, images, tmp_path):
    process = search(tmp_path, DEAP_VALP_CACHE=str(tmp_path / "cache"))
    wait_until(lambda: evaluated(tmp_path), process)
    shutil.rmtree(images.parent)
    done = finish(process)
    assert done.status == 0, done.output
    assert digest_of(tmp_path) == whole


def test_a_data_file_cut_while_a_run_goes_on_kills_the_run_and_no_more(whole, images, tmp_path):
    """The system kills whoever reads what is gone, in the end the origin; the checkpoint stays."""
    process = search(tmp_path, DEAP_VALP_CACHE=str(tmp_path / "cache"))
    wait_until(lambda: evaluated(tmp_path) >= 5, process)
    os.truncate(images, 1000)
    done = finish(process)
    assert done.status == 128 + signal.SIGBUS and not done.leftover, done.output
    again = finish(search(tmp_path, DEAP_VALP_CACHE=str(tmp_path / "cache")))
    assert again.status == 1 and f"DataFileError: {images} is damaged" in again.output, again.output
    shutil.rmtree(images.parent)  # as the message says
    done = finish(search(tmp_path, DEAP_VALP_CACHE=str(tmp_path / "cache")))
    assert done.status == 0, done.output
    assert digest_of(tmp_path) == whole


# ---- the disk ------------------------------------------------------------------------------------

FULL = """
import logging, random, sys
from contextlib import suppress
from pathlib import Path
from deap import base, creator
import deap_valp as valp

logging.basicConfig(level=logging.WARNING)
disk = Path(sys.argv[1])
filler = disk / "filler"
problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
calls = 0

def evaluate(individual):
    global calls
    calls += 1
    if calls == 4:
        with filler.open("wb", buffering=0) as file, suppress(OSError):
            while file.write(bytes(1000)):
                pass
    return valp.evaluate(individual, problem, batches=4, first_batches=6)

def search(path):
    toolbox = base.Toolbox()
    toolbox.register("evaluate", evaluate)
    toolbox.register("selMutation", valp.selMutation)
    random.seed(3)
    start = valp.initVALP(creator.Individual, problem, networks=(3, 4), width=(8, 16))
    checkpoint = valp.Checkpoint(path)
    best, logbook = valp.hillClimbing(start, toolbox, 6, progress=False, checkpoint=checkpoint)
    return best.seed, tuple(best.fitness.values), list(logbook)

if __name__ == "__main__":
    found = search(disk / "checkpoint")
    left = len(valp.Checkpoint(disk / "checkpoint").load()["logbook"])
    print("left", [path.name for path in disk.rglob("*.partial")], 0 < left < len(found[2]))
    filler.unlink()
    calls = 5
    print("goes on", search(disk / "checkpoint") == found == search(disk / "another"))
"""


def test_a_disk_that_fills_up_costs_the_states_that_do_not_fit(tmp_path):
    disk, script = tmp_path / "disk", tmp_path / "script.py"
    disk.mkdir()
    script.write_text(FULL)
    if not shutil.which("unshare"):
        pytest.skip("needs unshare, to make a small file system in a mount namespace of Linux")
    mount = 'mount -t tmpfs -o size=4m none "$0" && exec "$@"'
    small = ("unshare", "--mount", "--map-root-user", "sh", "-c", mount, disk)
    tried = subprocess.run([*small, "true"], capture_output=True, text=True, check=False)
    if tried.returncode:
        pytest.skip(f"cannot make a small file system in a mount namespace: {tried.stderr}")
    done = run(script, disk, within=small)
    said = ("left [] True", "goes on True", "No space left on device", "could not be written")
    assert done.status == 0 and all(text in done.output for text in said), done.output
