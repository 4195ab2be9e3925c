"""Maps over processes: the same result under each, each task once, also when workers die."""

from __future__ import annotations

import importlib.util
import json
import signal
from pathlib import Path

import pytest
from launching import OURS, PLAIN, SCRIPTS, finish, run, start, wait_until

from deap_valp.distributed import scoop_started

slow = pytest.mark.slow


def needs(module):
    return pytest.mark.skipif(
        importlib.util.find_spec(module) is None, reason=f"{module} is not installed"
    )


def scoop(launcher, workers, script, *arguments):
    done = run("-m", launcher, "-q", "-n", workers, SCRIPTS / script, *arguments)
    assert done.status == 0, done.output
    printed = [line for line in done.output.splitlines() if line.startswith("{")]
    return json.loads(printed[-1]) | vars(done)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return scoop(PLAIN, 2, "small_tasks.py", tmp_path_factory.mktemp("tasks"))


def test_both_processes_work_and_results_are_in_order(tasks):
    assert [item for item, _ in tasks["met"]] == list(range(8))
    took_part = {pid for _, pid in tasks["met"]}
    assert len(took_part) == 2 and tasks["origin"] in took_part
    assert tasks["two_iterables"] == [[3, 1], [2, 1]] and tasks["nothing"] == []


def test_no_task_runs_twice(tasks):
    assert tasks["slow"] == [0, 10, 20, 30]
    assert sorted(item for item, _ in tasks["slow_ran"]) == ["0", "1", "2", "3"]


def test_a_failure_in_a_worker_is_raised_here_when_the_others_have_ended(tasks):
    error, cause, results = tasks["failure"]
    assert error == "KeyError('the second')"
    assert "2 of 6 tasks" in cause and "in fail" in cause
    assert results == ["0", "1", error, "3", "KeyError('another')", "5"]
    assert sorted(item for item, _ in tasks["failure_ran"]) == list("012345")


def test_large_individuals_are_started_first(tasks):
    assert tasks["sized"] == [3, 9, 1, 7, 5]
    started = [int(item) for item, _ in tasks["sized_ran"]]
    assert set(started[:2]) == {9, 7} and started[-1] == 1


def test_a_map_inside_a_task_runs_where_the_task_does(tasks):
    assert all(set(inside) == {pid} for inside, pid in tasks["nested"])


def test_one_bar_counts_the_whole_run_under_scoop(tasks):
    assert "12/12" in tasks["output"] and "evaluations" in tasks["output"]


# ---- the same search under every map -------------------------------------------------------------


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Runs the small search under a kind of map, once; ``evaluated`` says who evaluated what."""
    found = {}

    def get(kind, processes=1, *options, launcher=None, **environment):
        key = (kind, processes, *options, launcher, *environment.items())
        if key not in found:
            notes = tmp_path_factory.mktemp(kind)
            if launcher:
                found[key] = scoop(
                    launcher, processes, "small_search.py", kind, processes, notes, *options
                )
            else:
                done = run(SCRIPTS / "small_search.py", kind, processes, notes, **environment)
                assert done.status == 0, done.output
                found[key] = json.loads(done.output.splitlines()[-1]) | vars(done)
            found[key]["evaluated"] = [
                line.split() for line in (notes / "evaluations").read_text().splitlines()
            ]
        return found[key]

    return get


MAPS = [
    pytest.param("scoop", 2, PLAIN, id="scoop-2"),
    pytest.param("pool", 2, None, id="pool"),
    pytest.param("scoop", 1, PLAIN, id="scoop-1", marks=slow),
    pytest.param("scoop", 3, PLAIN, id="scoop-3", marks=slow),
    pytest.param("scoop", 3, OURS, id="scoop-3-our-launcher", marks=slow),
    pytest.param("executor", 2, None, id="executor", marks=slow),
    pytest.param("dask", 2, None, id="dask", marks=[slow, needs("distributed")]),
    pytest.param("ray", 2, None, id="ray", marks=[slow, needs("ray")]),
]


@pytest.mark.parametrize(("kind", "processes", "launcher"), MAPS)
def test_the_same_seed_gives_the_same_search_under_every_map(search, kind, processes, launcher):
    serial, other = search("serial"), search(kind, processes, launcher=launcher)
    assert other["digest"] == serial["digest"]
    assert len({pid for pid, _ in other["evaluated"]}) == processes


@slow
def test_the_threads_of_a_process_change_nothing(search):
    """Hosts, and Dask's and Ray's workers, start with other settings than this process."""
    assert search("serial", OMP_NUM_THREADS="1")["digest"] == search("serial")["digest"]


@pytest.mark.parametrize(
    ("kind", "processes", "launcher"), [pytest.param("serial", 1, None, id="serial"), *MAPS]
)
def test_each_individual_is_trained_once(search, kind, processes, launcher):
    found = search(kind, processes, launcher=launcher)
    assert len(found["evaluated"]) == found["evaluations"]
    assert len({seed for _, seed in found["evaluated"]}) == found["evaluations"]


@pytest.mark.parametrize(
    ("kind", "processes", "launcher"), [pytest.param("serial", 1, None, id="serial"), *MAPS]
)
def test_weights_are_inherited_across_processes(search, kind, processes, launcher):
    for first, of_parent, of_fresh in search(kind, processes, launcher=launcher)["first_losses"]:
        assert first == pytest.approx(of_parent, rel=0.01)
        assert abs(first - of_parent) < 0.1 * abs(first - of_fresh)


KILLS = [
    pytest.param(2, PLAIN, id="the-last-one"),
    pytest.param(3, PLAIN, id="one-of-two", marks=slow),
]


@pytest.mark.parametrize(("processes", "launcher"), KILLS)
def test_a_killed_worker_changes_nothing(search, processes, launcher):
    killed = search("scoop", processes, "deadly", launcher=launcher)
    assert killed["digest"] == search("serial")["digest"]
    # What it had begun was done again, and no more.
    assert len(killed["evaluated"]) == killed["evaluations"] + 1
    assert "is gone, so task" in killed["output"]


IDLE = """
import os, signal, sys, time
from deap_valp import scoopMap

def work(item):
    time.sleep(0.5)
    return os.getpid()

if __name__ == "__main__":
    others = set()
    while len(others) < 2:
        others |= set(scoopMap(work, range(6), progress=False)) - {os.getpid()}
    time.sleep(1)
    os.kill(min(others), signal.SIGKILL)
    time.sleep(1)
    left = [scoopMap(work, range(6), progress=False) for _ in range(2)]
    print("workers", len(set(sum(left, []))), "tasks", len(sum(left, [])))
"""


@slow
@pytest.mark.parametrize(("launcher", "said"), [(PLAIN, "tasks 12"), (OURS, "workers 2 tasks 12")])
def test_a_worker_killed_while_idle_costs_no_result(tmp_path, launcher, said):
    """SCOOP's broker ends then, and the origin runs the tasks that it still had; ours goes on."""
    script = tmp_path / "script.py"
    script.write_text(IDLE)
    done = run("-m", launcher, "-q", "-n", 3, script)
    assert said in done.output, done.output


# ---- the launcher --------------------------------------------------------------------------------

ENDS = """
import logging, os, signal, sys
from deap_valp import scoopMap

logging.getLogger("deap_valp").warning("a warning of %s", os.getpid())

if __name__ == "__main__":
    end = sys.argv[1]
    print("arguments", sys.argv[1:], flush=True)
    if end == "raise":
        raise ValueError("it went wrong")
    if end == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if end == "wait":
        signal.pause()
    if end != "return":
        sys.exit(int(end) if end.isdigit() else end)
"""


@pytest.fixture
def ends(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(ENDS)
    return script


ARGUMENT = 'one "argument" of $HOME'


@pytest.mark.parametrize(
    ("end", "status"),
    [
        ("7", 7),
        pytest.param("raise", 1, marks=slow),
        pytest.param("killed", 137, marks=slow),
        pytest.param("return", 0, marks=slow),
        pytest.param("0", 0, marks=slow),
        pytest.param("a message", 1, marks=slow),
    ],
)
def test_the_exit_status_is_that_of_the_script(ends, end, status):
    done = run("-m", OURS, "-q", "-n", 1, ends, end, ARGUMENT)
    assert done.status == status, done.output
    assert f"arguments {[end, ARGUMENT]}" in done.output
    assert "a warning of" in done.output  # SCOOP's logging does not silence this package's
    assert not done.leftover


SSH = """#!/bin/bash
# ssh [options] host command: runs the command here, and hangs up when it ends, as ssh -tt does
setsid /bin/sh -c "${@: -1}" < /dev/null & child=$!
trap 'kill -HUP -- -$child' TERM
wait $child
"""


@slow
@pytest.mark.parametrize(
    "hosts", [("127.0.0.1", "elsewhere"), ("elsewhere", "127.0.0.1")], ids="-".join
)
def test_the_exit_status_comes_from_any_host(ends, tmp_path, hosts):
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH)
    ssh.chmod(0o700)
    remote = ("--tunnel", "--ssh-executable", ssh, "--hosts", *hosts)
    done = run("-m", OURS, "-q", *remote, "-n", 2, "--path", tmp_path, ends, "7")
    assert done.status == 7, done.output


@slow
@pytest.mark.parametrize(("sent", "status"), [(signal.SIGTERM, 130), (signal.SIGINT, 130)])
def test_a_cancelled_run_fails_and_leaves_no_process(ends, sent, status):
    process = start("-m", OURS, "-q", "-n", 2, ends, "wait")
    try:
        wait_until(lambda: "arguments" in Path(process.out.name).read_text(), process)
        process.send_signal(sent)
    finally:
        done = finish(process, timeout=60)
    assert done.status == status and not done.leftover, done.output


LISTENS = """
import scoop
from deap_valp import scoopMap

def work(item):
    return item

if __name__ == "__main__":
    scoopMap(work, range(4), progress=False)
    direct = int(scoop.worker.decode().rsplit(":", 1)[1])
    rows = [row.split() for row in open("/proc/net/tcp6")][1:]
    ports = (direct, *scoop.BROKER[1:3])
    listening = [row[1] for row in rows if row[3] == "0A"]
    ours = [address for address in listening if int(address.split(":")[1], 16) in ports]
    print("listening", *sorted(address.split(":")[0] for address in ours))
"""


@slow
@pytest.mark.skipif(
    not Path("/proc/net/tcp6").exists(), reason="needs /proc/net/tcp6 to see who listens where"
)
@pytest.mark.parametrize(
    ("launcher", "address"),
    [(PLAIN, "0" * 32), (OURS, "0000000000000000FFFF00000100007F")],
    ids=["plain", "ours"],
)
def test_our_launcher_listens_on_loopback_alone(tmp_path, launcher, address):
    script = tmp_path / "script.py"
    script.write_text(LISTENS)
    done = run("-m", launcher, "-q", "-n", 2, script)
    assert f"listening {address} {address} {address}" in done.output, done.output


def test_the_launcher_is_not_mistaken_for_scoop():
    import scoop

    import deap_valp.scoop
    from deap_valp.distributed import launcher

    assert deap_valp.scoop is not scoop and launcher.launcher.__name__ == "scoop.launcher"
    assert scoop_started() is False
