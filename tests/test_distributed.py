"""Maps over processes: the same result under any, each task once, and what is left when workers die."""

from __future__ import annotations

import importlib.util
import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import zoo

import deap_valp as valp
from deap_valp import distributed
from deap_valp.distributed import Outcome, Sending, Submitted, TasksFailed, scoopMap, scoopSubmit
from deap_valp.errors import DistributedError, StructureError

ROOT = Path(valp.__file__).parents[1]
SCRIPTS = Path(__file__).parent / "scripts"
PLAIN, OURS = "scoop", "deap_valp.scoop"

slow = pytest.mark.slow


def needs(module):
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


square_calls: list[int] = []


def square(number):
    square_calls.append(number)
    return number * number


def refuse_odd(number):
    square_calls.append(number)
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


@pytest.fixture(autouse=True)
def fresh_start():
    square_calls.clear()
    distributed._say_serial.cache_clear()
    yield
    while distributed._bars:
        distributed._bars.popitem()[1].close()


# ---- without SCOOP -------------------------------------------------------------------------------------------


def test_without_scoop_it_maps_in_order():
    assert scoopMap(square, [3, 1, 2], progress=False) == [9, 1, 4]
    assert scoopMap(divmod, [7, 9], iter([2, 4, 6]), progress=False) == [(3, 1), (2, 1)]
    assert scoopMap(square, [], progress=False) == []


def test_without_scoop_it_says_once_that_it_runs_serially(caplog):
    for _ in range(3):
        scoopMap(square, [1], progress=False)
    said = [record for record in caplog.records if "serially" in record.getMessage()]
    assert len(said) == 1 and said[0].levelno >= logging.WARNING  # below, Python shows nothing unless asked to
    assert "python -m scoop" in said[0].getMessage()


def test_a_failure_costs_no_other_task_its_result():
    with pytest.raises(ValueError, match=r"^1 is odd$") as caught:
        scoopMap(refuse_odd, [0, 1, 2, 3, 4], progress=False)
    assert square_calls == [0, 1, 2, 3, 4]
    cause = caught.value.__cause__
    assert isinstance(cause, TasksFailed) and isinstance(cause, DistributedError)
    assert "2 of 5 tasks" in str(cause) and "in refuse_odd" in str(cause)
    assert [cause.results[index] for index in (0, 2, 4)] == [0, 2, 4]
    assert [str(cause.results[index]) for index in (1, 3)] == ["1 is odd", "3 is odd"]


def test_errors_of_the_caller_keep_their_type():
    with pytest.raises(StructureError):
        scoopMap(valp.evaluate, [zoo.smallest()], [zoo.mixed_problem()], progress=False)


def test_a_bar_for_each_call(capsys):
    scoopMap(square, range(4))
    shown = capsys.readouterr().err
    assert "evaluations" in shown and "/4" in shown
    scoopMap(square, range(4), progress=False)
    assert capsys.readouterr().err == ""


def test_one_bar_for_the_whole_run(capsys):
    scoopMap(square, range(4), evaluations=6)
    (bar,) = distributed._bars.values()
    assert (bar.n, bar.total) == (4, 6)
    scoopMap(square, range(2), evaluations=6)
    assert bar.n == 6 and not distributed._bars
    assert "6/6" in capsys.readouterr().err


# ---- what the origin does about its workers, with no workers and no waiting -----------------------------------


class Workers:
    """Stands for SCOOP: ``script`` says by second what happens; time passes only while the origin waits."""

    def __init__(self, script):
        self.script = sorted(script.items())
        self.now = 0.0
        self.sendings: list[Sending] = []
        self.ran_here: list[bytes] = []
        self.forgotten: list[Sending] = []
        self.cut: set[bytes] = set()
        self.answers = True
        self.given = False

    def send(self, payload):
        future = SimpleNamespace(isDone=False, payload=payload, result=None)
        self.sendings.append(Sending(future, SimpleNamespace(isDone=False), self.now))
        return self.sendings[-1]

    def start(self, sending, worker, watched=True):
        vars(self.sendings[sending].ticket).update(isDone=True, executor=(worker, None), resultValue=watched)

    def end(self, sending):
        future = self.sendings[sending].future
        vars(future).update(isDone=True, result=Outcome(future.payload))

    def receive(self, seconds):
        assert self.now < 1000, "the origin waits for ever"
        self.now += seconds
        while self.script and self.script[0][0] <= self.now:
            self.script.pop(0)[1](self)

    def work(self):
        return False

    def run(self, future):
        self.ran_here.append(future.payload)
        vars(future).update(isDone=True, result=Outcome(future.payload))

    def unanswered(self, now, sent):
        return now - sent if self.answers is False else 0.0

    def reachable(self, worker):
        return worker not in self.cut

    def outcome(self, future):
        return future.result

    def forget(self, sendings):
        self.forgotten = list(sendings)


@pytest.fixture
def call(monkeypatch):
    """Runs two tasks over scripted workers; gives their outcomes by task."""

    def run(workers, payloads=(b"0", b"1"), timeout=None):
        monkeypatch.setattr(distributed, "time", SimpleNamespace(monotonic=lambda: workers.now))
        counted = []
        map_ = distributed.Call(workers, payloads, lambda: counted.append(workers.now), timeout)
        outcomes = map_.run(range(len(payloads)))
        assert len(counted) == len(payloads) and workers.forgotten == workers.sendings
        return outcomes

    for said in (distributed._say_lost, distributed._say_unwatched):
        said.cache_clear()
    return run


def test_a_long_task_on_a_worker_within_reach_is_sent_once(call):
    workers = Workers({0: lambda w: (w.start(0, b"a"), w.start(1, b"b"), w.end(1)), 900: lambda w: w.end(0)})
    assert {task: outcome.value for task, outcome in call(workers).items()} == {0: b"0", 1: b"1"}
    assert len(workers.sendings) == 2 and not workers.ran_here


def test_a_task_of_a_worker_that_is_gone_is_sent_again(call, caplog):
    workers = Workers(
        {
            0: lambda w: (w.start(0, b"a"), w.start(1, b"b"), w.end(1)),
            3: lambda w: w.cut.add(b"a"),
            20: lambda w: w.start(2, b"b"),
            30: lambda w: w.end(2),
        }
    )
    assert call(workers)[0].value == b"0"
    assert [sending.future.payload for sending in workers.sendings] == [b"0", b"1", b"0"]
    assert workers.sendings[2].sent <= 3 + distributed.GONE + 2 * distributed.PULSE
    assert "worker a is gone, so task 0 is sent again" in caplog.text


def test_a_worker_that_takes_too_long_is_not_waited_for(call, caplog):
    workers = Workers(
        {
            0: lambda w: (w.start(0, b"a"), w.start(1, b"b"), w.end(1)),
            115: lambda w: w.start(2, b"b"),
            220: lambda w: w.start(3, b"c"),  # more than 100 s later
            230: lambda w: w.end(3),
        }
    )
    assert call(workers, timeout=100)[0].value == b"0"
    assert [round(sending.sent) for sending in workers.sendings] == [0, 0, 101, 215]
    assert caplog.text.count("worker a has had it for 100 s, so task 0 is sent again") == 1


def test_a_task_that_always_takes_too_long_fails_and_says_so(call):
    begins = {50: lambda w: w.start(2, b"a"), 100: lambda w: w.start(3, b"a")}
    outcomes = call(Workers({0: lambda w: (w.start(0, b"a"), w.end(1)), **begins}), timeout=10)
    assert "took too long: last, a has had it for 10 s" in str(outcomes[0].error) and outcomes[1].value == b"1"


def test_a_connection_that_is_mended_costs_nothing(call):
    workers = Workers(
        {
            0: lambda w: (w.start(0, b"a"), w.end(1)),
            3: lambda w: w.cut.add(b"a"),
            3 + distributed.GONE - 2: lambda w: w.cut.clear(),
            20: lambda w: w.cut.add(b"a"),
            20 + distributed.GONE - 2: lambda w: w.end(0),
        }
    )
    assert call(workers)[0].value == b"0" and len(workers.sendings) == 2


def test_of_a_task_sent_twice_the_first_outcome_counts(call):
    workers = Workers(
        {
            0: lambda w: (w.start(0, b"a"), w.end(1), w.cut.add(b"a")),
            15: lambda w: w.start(2, b"b"),
            16: lambda w: w.end(0),  # it was alive after all
        }
    )
    assert call(workers)[0].value == b"0" and len(workers.sendings) == 3


def test_a_task_that_kills_its_workers_fails_and_the_others_go_on(call):
    workers = Workers(
        {
            0: lambda w: (w.start(0, b"a"), w.start(1, b"z"), w.cut.update((b"a", b"b", b"c"))),
            20: lambda w: w.start(2, b"b"),
            40: lambda w: w.start(3, b"c"),
            60: lambda w: w.end(1),
        }
    )
    outcomes = call(workers)
    assert outcomes[1].value == b"1" and len(workers.sendings) == 1 + distributed.TRIES
    assert isinstance(outcomes[0].error, DistributedError) and "each time its worker died" in str(outcomes[0].error)


def test_what_the_broker_does_not_hand_out_is_run_here(call, caplog):
    workers = Workers({0: lambda w: setattr(w, "answers", False)})
    outcomes = call(workers)
    assert {task: outcome.value for task, outcome in outcomes.items()} == {0: b"0", 1: b"1"}
    assert workers.ran_here == [b"0", b"1"] and workers.now < distributed.LOST + 3 * distributed.PULSE
    assert caplog.text.count("so it runs here") == 1


def test_a_worker_out_of_sight_is_waited_for_and_named(call, caplog):
    workers = Workers({0: lambda w: (w.start(0, b"far", False), w.end(1), w.cut.add(b"far")), 500: lambda w: w.end(0)})
    assert call(workers)[0].value == b"0" and len(workers.sendings) == 2
    assert caplog.text.count("worker far has no connection") == 1


@pytest.fixture
def submit(monkeypatch):
    """Submits a task over scripted workers; seconds pass between two questions whether it is done."""

    def run(workers):
        monkeypatch.setattr(distributed, "time", SimpleNamespace(monotonic=lambda: workers.now))
        monkeypatch.setattr(workers, "work", lambda: vars(workers).update(asked=True))
        submitted = Submitted(distributed.Call(workers, [b"0"], lambda: None))
        while not submitted.done():
            workers.receive(distributed.PULSE)
        assert workers.forgotten == workers.sendings
        return submitted.result()

    return run


def test_a_submitted_task_on_a_worker_within_reach_is_sent_once(submit):
    workers = Workers({100: lambda w: w.end(0), 3: lambda w: w.start(0, b"a")})
    assert submit(workers) == b"0" and len(workers.sendings) == 1 and not hasattr(workers, "asked")


def test_a_submitted_task_of_a_worker_that_is_gone_is_sent_again(submit):
    workers = Workers({3: lambda w: w.start(0, b"a"), 9: lambda w: w.cut.add(b"a"), 30: lambda w: w.end(1)})
    assert submit(workers) == b"0" and len(workers.sendings) == 2


def test_a_submitted_task_that_nobody_begins_is_asked_for(submit):
    workers = Workers({distributed.LOST + 5: lambda w: (w.start(0, b"me"), w.end(0))})
    assert submit(workers) == b"0" and workers.asked


def test_a_submitted_task_fails_as_it_would_here():
    assert scoopSubmit(square, 3).done() and scoopSubmit(square, 3).result() == 9
    submitted = scoopSubmit(refuse_odd, 3)
    with pytest.raises(ValueError, match=r"^3 is odd$") as caught:
        submitted.result()
    assert "in refuse_odd" in str(caught.value.__cause__)


def test_everything_is_forgotten_when_the_origin_is_interrupted(call):
    workers = Workers({2: lambda w: (_ for _ in ()).throw(KeyboardInterrupt)})
    with pytest.raises(KeyboardInterrupt):
        call(workers)
    assert workers.forgotten == workers.sendings


# ---- real processes ------------------------------------------------------------------------------------------


def start(*arguments, within=(), **environment):
    """A Python process in a session of its own, with its output in files: orphans would hold a pipe open.

    ``within`` is a command that becomes the one after it.
    """
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    out = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115
    process = subprocess.Popen(
        [*within, sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
    )
    process.out = out
    return process


def finish(process, timeout=150):
    """Exit status and output; nothing of it lives on."""
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        status = "timeout"
    leftover = remain(process.pid)
    if leftover:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    output = Path(process.out.name).read_text()
    process.out.close()
    return SimpleNamespace(status=status, output=output, leftover=leftover)


def remain(group, patience=10):
    """Whether processes of a group are still there after a while."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def run(*arguments, **environment):
    return finish(start(*arguments, **environment))


def scoop(launcher, workers, script, *arguments):
    done = run("-m", launcher, "-q", "-n", workers, SCRIPTS / script, *arguments)
    assert done.status == 0, done.output
    return json.loads([line for line in done.output.splitlines() if line.startswith("{")][-1]) | vars(done)


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    return scoop(PLAIN, 2, "small_tasks.py", tmp_path_factory.mktemp("tasks"))


def test_both_processes_work_and_results_are_in_order(tasks):
    assert [item for item, _ in tasks["met"]] == list(range(8))
    assert len({pid for _, pid in tasks["met"]}) == 2 and tasks["origin"] in {pid for _, pid in tasks["met"]}
    assert tasks["two_iterables"] == [[3, 1], [2, 1]] and tasks["nothing"] == []


def test_no_task_runs_twice(tasks):
    assert tasks["slow"] == [0, 10, 20, 30]
    assert sorted(item for item, _ in tasks["slow_ran"]) == ["0", "1", "2", "3"]


def test_a_failure_in_a_worker_is_raised_here_when_the_others_have_ended(tasks):
    error, cause, results = tasks["failure"]
    assert error == "KeyError('the second')"
    assert "3 of 6 tasks" in cause and "in fail" in cause
    assert [results[index] for index in (0, 1, 5)] == ["0", "1", "5"]
    assert sorted(item for item, _ in tasks["failure_ran"]) == list("012345")


def test_what_does_not_pickle_is_named(tasks):
    results = tasks["failure"][2]
    assert "results and exceptions that pickle, got the result function" in results[3]
    assert "got the exception Awkward" in results[4]
    assert "a function and arguments that pickle, got <function main.<locals>.<lambda>" in tasks["lambda"][0]


def test_large_individuals_are_started_first(tasks):
    assert tasks["sized"] == [3, 9, 1, 7, 5]
    started = [int(item) for item, _ in tasks["sized_ran"]]
    assert set(started[:2]) == {9, 7} and started[-1] == 1


def test_a_map_inside_a_task_runs_where_the_task_does(tasks):
    assert all(set(inside) == {pid} for inside, pid in tasks["nested"])


def test_one_bar_counts_the_whole_run_under_scoop(tasks):
    assert "12/12" in tasks["output"] and "evaluations" in tasks["output"]


# ---- the same search under every map -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def search(tmp_path_factory):
    """Runs the small search under a kind of map, once; with who evaluated what as ``evaluated``."""
    found = {}

    def get(kind, processes=1, *options, launcher=None, **environment):
        key = (kind, processes, *options, launcher, *environment.items())
        if key not in found:
            notes = tmp_path_factory.mktemp(kind)
            if launcher:
                found[key] = scoop(launcher, processes, "small_search.py", kind, processes, notes, *options)
            else:
                done = run(SCRIPTS / "small_search.py", kind, processes, notes, **environment)
                assert done.status == 0, done.output
                found[key] = json.loads(done.output.splitlines()[-1]) | vars(done)
            found[key]["evaluated"] = [line.split() for line in (notes / "evaluations").read_text().splitlines()]
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


@pytest.mark.parametrize(("kind", "processes", "launcher"), [pytest.param("serial", 1, None, id="serial"), *MAPS])
def test_each_individual_is_trained_once(search, kind, processes, launcher):
    found = search(kind, processes, launcher=launcher)
    assert len(found["evaluated"]) == found["evaluations"]
    assert len({seed for _, seed in found["evaluated"]}) == found["evaluations"]


@pytest.mark.parametrize(("kind", "processes", "launcher"), [pytest.param("serial", 1, None, id="serial"), *MAPS])
def test_weights_are_inherited_across_processes(search, kind, processes, launcher):
    for first, of_parent, of_fresh in search(kind, processes, launcher=launcher)["first_losses"]:
        assert first == pytest.approx(of_parent, rel=0.01)
        assert abs(first - of_parent) < 0.1 * abs(first - of_fresh)


KILLS = [
    pytest.param(2, PLAIN, id="the-last-one"),
    pytest.param(3, PLAIN, id="one-of-two", marks=slow),
    pytest.param(3, OURS, id="one-of-two-our-launcher", marks=slow),
]


@pytest.mark.parametrize(("processes", "launcher"), KILLS)
def test_a_killed_worker_changes_nothing(search, processes, launcher):
    killed = search("scoop", processes, "deadly", launcher=launcher)
    assert killed["digest"] == search("serial")["digest"]
    assert len(killed["evaluated"]) == killed["evaluations"] + 1  # what it had begun was done again, and no more
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
@pytest.mark.parametrize(("launcher", "left"), [(PLAIN, 1), (OURS, 2)])
def test_a_worker_killed_while_idle_costs_no_result(tmp_path, launcher, left):
    """SCOOP's broker ends then: the origin goes on alone. Ours goes on with the others."""
    script = tmp_path / "script.py"
    script.write_text(IDLE)
    done = run("-m", launcher, "-q", "-n", 3, script)
    assert f"workers {left} tasks 12" in done.output, done.output


# ---- the launcher --------------------------------------------------------------------------------------------

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
        sys.exit(None if end == "None" else int(end) if end.isdigit() else end)
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
        pytest.param("None", 0, marks=slow),
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
# ssh [options] host command: runs the command here, and hangs up when it is ended, as ssh -tt does
setsid /bin/sh -c "${@: -1}" < /dev/null & child=$!
trap 'kill -HUP -- -$child' TERM
wait $child
"""


@slow
@pytest.mark.parametrize("hosts", [("127.0.0.1", "elsewhere"), ("elsewhere", "127.0.0.1")], ids="-".join)
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
        wait_for_output(process, "arguments")
        process.send_signal(sent)
    finally:
        done = finish(process, timeout=60)
    assert done.status == status and not done.leftover, done.output


def wait_for_output(process, text, patience=60):
    end = time.monotonic() + patience
    while text not in Path(process.out.name).read_text():
        assert time.monotonic() < end, f"no {text!r} in {patience} s"
        time.sleep(0.1)


LISTENS = """
import scoop
from deap_valp import scoopMap

def work(item):
    return item

if __name__ == "__main__":
    scoopMap(work, range(4), progress=False)
    direct = int(scoop.worker.decode().rsplit(":", 1)[1])
    rows = [row.split() for row in open("/proc/net/tcp6")][1:]
    ours = [row[1] for row in rows if int(row[1].split(":")[1], 16) in (direct, *scoop.BROKER[1:3]) and row[3] == "0A"]
    print("listening", *sorted(address.split(":")[0] for address in ours))
"""


@slow
@pytest.mark.skipif(not Path("/proc/net/tcp6").exists(), reason="needs /proc/net/tcp6 to see who listens where")
@pytest.mark.parametrize(
    ("launcher", "address"), [(PLAIN, "0" * 32), (OURS, "0000000000000000FFFF00000100007F")], ids=["plain", "ours"]
)
def test_our_launcher_listens_on_loopback_alone(tmp_path, launcher, address):
    script = tmp_path / "script.py"
    script.write_text(LISTENS)
    done = run("-m", launcher, "-q", "-n", 2, script)
    assert f"listening {address} {address} {address}" in done.output, done.output


def test_the_launcher_is_not_mistaken_for_scoop():
    import scoop

    import deap_valp.scoop

    assert deap_valp.scoop is not scoop and hasattr(scoop, "IS_RUNNING")
    assert deap_valp.scoop.launcher.__name__ == "scoop.launcher"
    assert distributed.scoop_started() is False
