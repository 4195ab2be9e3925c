"""``scoopMap`` and ``scoopSubmit`` in this process: without SCOOP, and over scripted workers."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import zoo

import deap_valp as valp
from deap_valp.distributed import TasksFailed, scoop_map, scoopMap, scoopSubmit
from deap_valp.distributed import call as call_module
from deap_valp.distributed.call import Call, Sending, Submitted
from deap_valp.distributed.task import Outcome
from deap_valp.errors import DistributedError, StructureError

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
    scoop_map._say_serial.cache_clear()
    yield
    while scoop_map._bars:
        scoop_map._bars.popitem()[1].close()


# ---- without SCOOP -------------------------------------------------------------------------------


def test_without_scoop_it_maps_in_order():
    assert scoopMap(square, [3, 1, 2], progress=False) == [9, 1, 4]
    assert scoopMap(divmod, [7, 9], iter([2, 4, 6]), progress=False) == [(3, 1), (2, 1)]
    assert scoopMap(square, [], progress=False) == []


def test_without_scoop_it_says_once_that_it_runs_serially(caplog):
    for _ in range(3):
        scoopMap(square, [1], progress=False)
    said = [record for record in caplog.records if "serially" in record.getMessage()]
    assert (
        len(said) == 1 and said[0].levelno >= logging.WARNING
    )  # below, Python shows nothing unless asked to
    assert "python -m deap_valp.scoop" in said[0].getMessage()


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
    (bar,) = scoop_map._bars.values()
    assert (bar.n, bar.total) == (4, 6)
    scoopMap(square, range(2), evaluations=6)
    assert bar.n == 6 and not scoop_map._bars
    assert "6/6" in capsys.readouterr().err


# ---- what the origin does about its workers, with no workers and no waiting ----------------------


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
        vars(self.sendings[sending].ticket).update(
            isDone=True, executor=(worker, None), resultValue=watched
        )

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
        monkeypatch.setattr(call_module, "time", SimpleNamespace(monotonic=lambda: workers.now))
        counted = []
        map_ = Call(workers, payloads, lambda: counted.append(workers.now), timeout)
        outcomes = map_.run(range(len(payloads)))
        assert len(counted) == len(payloads) and workers.forgotten == workers.sendings
        return outcomes

    for said in (call_module._say_lost, call_module._say_unwatched):
        said.cache_clear()
    return run


def test_a_long_task_on_a_worker_within_reach_is_sent_once(call):
    workers = Workers(
        {0: lambda w: (w.start(0, b"a"), w.start(1, b"b"), w.end(1)), 900: lambda w: w.end(0)}
    )
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
    assert workers.sendings[2].sent <= 3 + call_module.GONE + 2 * call_module.PULSE
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
    assert (
        "took too long: last, a has had it for 10 s" in str(outcomes[0].error)
        and outcomes[1].value == b"1"
    )


def test_a_connection_that_is_mended_costs_nothing(call):
    workers = Workers(
        {
            0: lambda w: (w.start(0, b"a"), w.end(1)),
            3: lambda w: w.cut.add(b"a"),
            3 + call_module.GONE - 2: lambda w: w.cut.clear(),
            20: lambda w: w.cut.add(b"a"),
            20 + call_module.GONE - 2: lambda w: w.end(0),
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
    assert outcomes[1].value == b"1" and len(workers.sendings) == 1 + call_module.TRIES
    assert isinstance(outcomes[0].error, DistributedError) and "each time its worker died" in str(
        outcomes[0].error
    )


def test_what_the_broker_does_not_hand_out_is_run_here(call, caplog):
    workers = Workers({0: lambda w: setattr(w, "answers", False)})
    outcomes = call(workers)
    assert {task: outcome.value for task, outcome in outcomes.items()} == {0: b"0", 1: b"1"}
    assert (
        workers.ran_here == [b"0", b"1"] and workers.now < call_module.LOST + 3 * call_module.PULSE
    )
    assert caplog.text.count("so it runs here") == 1


def test_a_worker_out_of_sight_is_waited_for_and_named(call, caplog):
    workers = Workers(
        {
            0: lambda w: (w.start(0, b"far", False), w.end(1), w.cut.add(b"far")),
            500: lambda w: w.end(0),
        }
    )
    assert call(workers)[0].value == b"0" and len(workers.sendings) == 2
    assert caplog.text.count("worker far has no connection") == 1


@pytest.fixture
def submit(monkeypatch):
    """Submits a task over scripted workers; seconds pass between two questions whether it is done."""

    def run(workers):
        monkeypatch.setattr(call_module, "time", SimpleNamespace(monotonic=lambda: workers.now))
        monkeypatch.setattr(workers, "work", lambda: vars(workers).update(asked=True))
        submitted = Submitted(Call(workers, [b"0"], lambda: None))
        while not submitted.done():
            workers.receive(call_module.PULSE)
        assert workers.forgotten == workers.sendings
        return submitted.result()

    return run


def test_a_submitted_task_on_a_worker_within_reach_is_sent_once(submit):
    workers = Workers({100: lambda w: w.end(0), 3: lambda w: w.start(0, b"a")})
    assert submit(workers) == b"0" and len(workers.sendings) == 1 and not hasattr(workers, "asked")


def test_a_submitted_task_of_a_worker_that_is_gone_is_sent_again(submit):
    workers = Workers(
        {3: lambda w: w.start(0, b"a"), 9: lambda w: w.cut.add(b"a"), 30: lambda w: w.end(1)}
    )
    assert submit(workers) == b"0" and len(workers.sendings) == 2


def test_a_submitted_task_that_nobody_begins_is_asked_for(submit):
    workers = Workers({call_module.LOST + 5: lambda w: (w.start(0, b"me"), w.end(0))})
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
