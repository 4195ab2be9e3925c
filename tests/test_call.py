"""What this process does about its workers, over scripted ones: no SCOOP and no waiting."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from deap_valp.distributed import call as call_module
from deap_valp.distributed.call import GONE_AFTER, LOOK_EVERY, LOST_AFTER, TRIES, Call, Submitted
from deap_valp.distributed.task import TaskOutcome
from deap_valp.errors import DistributedError


class ScriptedWorkers:
    """Workers to which happens, second by second, what a script says.

    Time passes only while the caller waits. A sending is known by its number, counted from 0.
    """

    def __init__(self, script):
        self.script = sorted(script.items())
        self.now = 0.0
        self.sent: list[tuple[bytes, float]] = []
        self.started: dict[int, tuple[str, bool]] = {}
        self.ended: set[int] = set()
        self.cut: set[str] = set()
        self.given: list[int] = []
        self.ran_here: list[bytes] = []
        self.forgotten: list[int] = []
        self.asking: float | None = None
        self.asked = False
        self.empty = False  # whether the queue has nothing for this process to wait for

    # ---- what a script does ----------------------------------------------------------------------

    def start(self, sending, worker, watched=True):
        self.started[sending] = worker, watched

    def end(self, sending):
        self.ended.add(sending)

    # ---- what a call does ------------------------------------------------------------------------

    def send(self, payload):
        self.sent.append((payload, self.now))
        return len(self.sent) - 1

    def receive(self, seconds):
        assert self.now < 1000, "the call waits for ever"
        self.now += seconds
        while self.script and self.script[0][0] <= self.now:
            self.script.pop(0)[1](self)

    def refresh(self, sending):
        if sending.handle in self.started:
            sending.worker, sending.watched = self.started[sending.handle]
        if sending.handle in self.ended:
            sending.outcome = TaskOutcome(self.sent[sending.handle][0])

    def work(self, ask):
        if self.given:
            self.asking = None
            self.run(self.given.pop())
            return True
        self.asked |= ask
        if ask and self.empty and self.asking is None:
            self.asking = self.now
        return False

    def run(self, sending):
        self.ran_here.append(self.sent[sending][0])
        self.end(sending)

    def reachable(self, worker):
        return worker not in self.cut

    def forget(self, sendings):
        self.forgotten = list(sendings)


@pytest.fixture(autouse=True)
def fresh_warnings():
    for said in (call_module._say_lost, call_module._say_unwatched):
        said.cache_clear()


@pytest.fixture
def scripted(monkeypatch):
    """Makes workers of a script that names by second what happens to them."""

    def make(script):
        workers = ScriptedWorkers(script)
        monkeypatch.setattr(call_module, "time", SimpleNamespace(monotonic=lambda: workers.now))
        return workers

    return make


def run(workers, timeout=None):
    """Runs the tasks ``0`` and ``1``; each gives its own name."""
    counted = []
    call = Call(workers, [b"0", b"1"], lambda: counted.append(workers.now), timeout)
    outcomes = call.run([0, 1])
    assert len(counted) == 2 and workers.forgotten == list(range(len(workers.sent)))
    return outcomes


def submit(workers):
    """Submits the task ``0``; seconds pass between two questions whether it is done."""
    call = Call(workers, [b"0"])
    call.start([0])
    submitted = Submitted(call.poll)
    while not submitted.done():
        workers.receive(LOOK_EVERY)
    assert workers.forgotten == list(range(len(workers.sent)))
    return submitted.result()


def both_start(workers):
    """``a`` starts task 0; ``b`` starts task 1 and ends it."""
    workers.start(0, "a")
    workers.start(1, "b")
    workers.end(1)


def values(outcomes):
    return [outcome.value for outcome in outcomes]


# ---- a map ---------------------------------------------------------------------------------------


def test_a_long_task_on_a_worker_within_reach_is_sent_once(scripted):
    workers = scripted({0: both_start, 900: lambda w: w.end(0)})
    assert values(run(workers)) == [b"0", b"1"]
    assert len(workers.sent) == 2 and not workers.ran_here


def test_tasks_are_sent_in_the_order_that_is_asked_for(scripted):
    workers = scripted({0: lambda w: (w.end(0), w.end(1), w.end(2))})
    assert values(Call(workers, [b"0", b"1", b"2"]).run([2, 0, 1])) == [b"0", b"1", b"2"]
    assert [payload for payload, _ in workers.sent] == [b"2", b"0", b"1"]


def test_this_process_runs_what_it_is_given(scripted):
    workers = scripted({0: lambda w: w.start(1, "b"), 2: lambda w: w.given.append(0)})
    workers.script.append((5, lambda w: w.end(1)))
    assert values(run(workers)) == [b"0", b"1"]
    assert workers.ran_here == [b"0"] and workers.now == 5


def test_a_task_of_a_worker_that_is_gone_is_sent_again(scripted, caplog):
    workers = scripted(
        {
            0: both_start,
            3: lambda w: w.cut.add("a"),
            20: lambda w: w.start(2, "b"),
            30: lambda w: w.end(2),
        }
    )
    assert values(run(workers)) == [b"0", b"1"]
    assert [payload for payload, _ in workers.sent] == [b"0", b"1", b"0"]
    assert workers.sent[2][1] <= 3 + GONE_AFTER + 2 * LOOK_EVERY
    assert "worker a is gone, so task 0 is sent again" in caplog.text


def test_a_worker_that_takes_too_long_is_not_waited_for(scripted, caplog):
    workers = scripted(
        {
            0: both_start,
            115: lambda w: w.start(2, "b"),
            220: lambda w: w.start(3, "c"),  # more than 100 s later
            230: lambda w: w.end(3),
        }
    )
    assert values(run(workers, timeout=100)) == [b"0", b"1"]
    assert [round(sent) for _, sent in workers.sent] == [0, 0, 101, 215]
    assert caplog.text.count("worker a has had it for 100 s, so task 0 is sent again") == 1


def test_a_task_that_always_takes_too_long_fails_and_says_so(scripted):
    workers = scripted(
        {0: both_start, 50: lambda w: w.start(2, "a"), 100: lambda w: w.start(3, "a")}
    )
    failed, other = run(workers, timeout=10)
    assert "took too long: last, a has had it for 10 s" in str(failed.error)
    assert other.value == b"1"


def test_a_connection_that_is_mended_costs_nothing(scripted):
    workers = scripted(
        {
            0: both_start,
            3: lambda w: w.cut.add("a"),
            3 + GONE_AFTER - 2: lambda w: w.cut.clear(),
            20: lambda w: w.cut.add("a"),
            20 + GONE_AFTER - 2: lambda w: w.end(0),
        }
    )
    assert values(run(workers)) == [b"0", b"1"] and len(workers.sent) == 2


def test_the_first_outcome_of_a_task_sent_twice_counts(scripted):
    workers = scripted(
        {
            0: lambda w: (both_start(w), w.cut.add("a")),
            15: lambda w: w.start(2, "b"),
            16: lambda w: w.end(0),  # its worker was alive after all
        }
    )
    assert values(run(workers)) == [b"0", b"1"] and len(workers.sent) == 3


def test_a_task_that_kills_its_workers_fails_and_the_others_go_on(scripted):
    workers = scripted(
        {
            0: lambda w: (w.start(0, "a"), w.start(1, "z"), w.cut.update("abc")),
            20: lambda w: w.start(2, "b"),
            40: lambda w: w.start(3, "c"),
            60: lambda w: w.end(1),
        }
    )
    failed, other = run(workers)
    assert other.value == b"1" and len(workers.sent) == 1 + TRIES
    assert isinstance(failed.error, DistributedError)
    assert "each time its worker died" in str(failed.error)


def test_tasks_that_nobody_gets_run_here(scripted, caplog):
    workers = scripted({0: lambda w: setattr(w, "empty", True)})
    assert values(run(workers)) == [b"0", b"1"]
    assert workers.ran_here == [b"0", b"1"]
    assert LOST_AFTER < workers.now < LOST_AFTER + 3 * LOOK_EVERY
    assert caplog.text.count("so it runs here") == 1


def test_a_worker_out_of_sight_is_waited_for_and_named(scripted, caplog):
    workers = scripted(
        {
            0: lambda w: (w.start(0, "far", watched=False), w.end(1), w.cut.add("far")),
            500: lambda w: w.end(0),
        }
    )
    assert values(run(workers)) == [b"0", b"1"] and len(workers.sent) == 2
    assert caplog.text.count("worker far has no connection") == 1


def test_everything_is_forgotten_when_a_map_is_interrupted(scripted):
    def interrupt(workers):
        raise KeyboardInterrupt

    workers = scripted({2: interrupt})
    with pytest.raises(KeyboardInterrupt):
        run(workers)
    assert workers.forgotten == [0, 1]


# ---- a submitted task ----------------------------------------------------------------------------


def test_a_submitted_task_on_a_worker_within_reach_is_sent_once(scripted):
    workers = scripted({3: lambda w: w.start(0, "a"), 100: lambda w: w.end(0)})
    assert submit(workers) == b"0"
    assert len(workers.sent) == 1 and not workers.asked


def test_a_submitted_task_of_a_worker_that_is_gone_is_sent_again(scripted):
    workers = scripted(
        {3: lambda w: w.start(0, "a"), 9: lambda w: w.cut.add("a"), 30: lambda w: w.end(1)}
    )
    assert submit(workers) == b"0" and len(workers.sent) == 2


def test_a_submitted_task_that_nobody_begins_is_asked_for(scripted):
    workers = scripted({LOST_AFTER - 1: lambda w: asked.append(w.asked)})
    workers.script.append((LOST_AFTER + 5, lambda w: w.given.append(0)))
    asked = []
    assert submit(workers) == b"0"
    assert asked == [False] and workers.asked
    assert workers.ran_here == [b"0"] and workers.now == LOST_AFTER + 5
