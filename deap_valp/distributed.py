"""``scoopMap`` and ``scoopSubmit``: evaluations over SCOOP's workers, or here where SCOOP was not started.

SCOOP's own ``map`` asks its broker after tasks that are running, is told that nobody has them, and sends them again;
without that question, a worker that dies takes its task with it. So these use SCOOP's workers, broker and
messages and do the waiting themselves: a worker says which task it starts, and a task is sent again only when the
worker that started it is gone.
"""

from __future__ import annotations

import functools
import logging
import pickle
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from typing import Any

from tqdm.auto import tqdm

from .errors import DistributedError

logger = logging.getLogger("deap_valp")

PULSE = 1.0
"""Seconds between two looks at the workers."""

GONE = 5.0
"""Seconds that a worker is out of reach before its task is sent again; a broken connection is mended sooner."""

LOST = 15.0
"""Seconds without a sign of a task, while this process asks the broker for work, before it is run here."""

TRIES = 3
"""Sendings of a task; one that takes each of its workers with it is a failure, and the others go on."""


class TasksFailed(DistributedError):
    """Why a map ended with an exception: the cause of the exception that it raises.

    Attributes:
        results: One entry per task in order: its result, or the exception that it raised.
    """

    def __init__(self, message: str, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.results = list(results)


def scoopMap(
    function: Callable[..., Any],
    *iterables: Iterable[Any],
    evaluations: int | None = None,
    progress: bool = True,
    timeout: float | None = None,
) -> list[Any]:
    """Map over the workers that ``python -m scoop`` started; results in order.

    Each task runs once, unless the worker that has it dies: then it is sent again. This process works too. Larger
    VALPs are started first, for a shorter end. Without ``-m scoop``, and inside a task, it runs here, one after the
    other; the first is said once in the log of ``deap_valp``. The results are the same, since an evaluation seeds
    itself from its individual.

    Args:
        function: What to call; picklable.
        iterables: Its arguments, as for ``map``.
        evaluations: Number expected in the whole run; then one progress bar, with the expected end, lasts for all
            calls. By default each call has a bar of its own.
        progress: Whether to show a bar at all.
        timeout: Seconds that another process may take for a task before it is sent again, as if that process had died:
            for what hangs and yet can be reached. By default there is no limit.

    Raises:
        Exception: The first one, in order, that a task raised, when all the others have ended. Its cause is a
            ``TasksFailed`` that says how many failed, with the traceback, and keeps the other results.
        DistributedError: The function or an argument does not pickle, or SCOOP is shutting down.
    """
    tasks = list(zip(*iterables, strict=False))
    with _bar(len(tasks), evaluations, progress) as advance:
        return _results(
            _shared(function, tasks, advance, timeout) if _has_workers() else _serially(function, tasks, advance)
        )


def scoopSubmit(function: Callable[..., Any], *arguments: Any) -> Submitted:
    """Start one task on the workers that ``python -m scoop`` started: ``toolbox.submit`` for ``eaSteadyState``.

    As ``scoop.futures.submit``, but the task of a worker that dies is sent again. This process searches meanwhile, and
    takes a task only where no worker has begun it for a while. Without workers the task runs here, at once.

    Raises:
        DistributedError: The function or an argument does not pickle.
    """
    if not _has_workers():
        return Submitted(outcome=_attempt(function, arguments))
    return Submitted(Call(_pool(), [_packed(function, arguments)], lambda: None))


def scoop_started() -> bool:
    """Whether this process was started by ``python -m scoop``."""
    import scoop

    return bool(getattr(scoop, "IS_RUNNING", False))


def _has_workers() -> bool:
    """Whether there are workers to share tasks with: what a task maps runs where the task does."""
    import scoop

    if not scoop_started():
        _say_serial()
        return False
    return bool(scoop.IS_ORIGIN and scoop.SIZE > 1 and not _pool().working)


@functools.cache
def _say_serial() -> None:
    # A warning, since Python shows nothing below it unless asked to.
    logger.warning("scoopMap: SCOOP was not started (python -m scoop -n WORKERS script.py), so it runs serially")


# ---- one task ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its value, or the exception that it raised and where."""

    value: Any = None
    error: BaseException | None = None
    trace: str = ""


def _attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    try:
        return Outcome(function(*arguments))
    except Exception as error:
        return Outcome(error=error, trace=traceback.format_exc())


def _serially(
    function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], advance: Callable[[], Any]
) -> list[Outcome]:
    outcomes = []
    for task in tasks:
        outcomes.append(_attempt(function, task))
        advance()
    return outcomes


def _results(outcomes: Sequence[Outcome]) -> list[Any]:
    failed = [index for index, outcome in enumerate(outcomes) if outcome.error is not None]
    results = [outcome.value if outcome.error is None else outcome.error for outcome in outcomes]
    if not failed:
        return results
    first = outcomes[failed[0]]
    message = f"{len(failed)} of {len(outcomes)} tasks of scoopMap failed ({failed}); task {failed[0]}:\n{first.trace}"
    raise results[failed[0]] from TasksFailed(message, results)


def _packed(function: Callable[..., Any], task: tuple[Any, ...]) -> bytes:
    try:
        return pickle.dumps((function, task), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise DistributedError(
            f"scoopMap needs a function and arguments that pickle, got {function!r} for {task!r} ({error}): define "
            "functions and creator classes at module level; lambdas and toolbox.decorate do not pickle"
        ) from error


def _perform(payload: bytes) -> bytes:
    """Run a packed task and pack its outcome. Never raises: that would end a worker, and SCOOP with it."""
    outcome = _attempt(_unpack_and_call, (payload,))
    try:
        packed = pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
        if outcome.error is not None:
            pickle.loads(packed)  # exceptions with arguments of their own may pickle and not come back
        return packed
    except Exception as error:
        what = f"exception {outcome.error!r}" if outcome.error is not None else f"result {type(outcome.value).__name__}"
        problem = DistributedError(f"scoopMap needs results and exceptions that pickle, got the {what}: {error}")
        return pickle.dumps(Outcome(error=problem, trace=outcome.trace or traceback.format_exc()))


def _unpack_and_call(payload: bytes) -> Any:
    function, task = pickle.loads(payload)
    return function(*task)


def _opened(packed: bytes) -> Outcome:
    opening = _attempt(pickle.loads, (packed,))
    return opening if opening.error is not None else opening.value


# ---- all tasks of a call -------------------------------------------------------------------------------------


def _shared(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    advance: Callable[[], Any],
    timeout: float | None,
) -> list[Outcome]:
    payloads = [_packed(function, task) for task in tasks]
    largest_first = sorted(range(len(tasks)), key=lambda index: -_size(tasks[index]))
    outcomes = Call(_pool(), payloads, advance, timeout).run(largest_first)
    return [outcomes[index] for index in range(len(tasks))]


def _size(task: tuple[Any, ...]) -> float:
    """What the time of a task grows with: the weights of its individual."""
    return getattr(task[0], "weight_count", 0) if task else 0


@dataclass(eq=False)
class Sending:
    """One sending of a task.

    Attributes:
        future: SCOOP's; ends with the packed outcome.
        ticket: SCOOP's; ends when a worker starts the task, with whether that worker has a connection to here.
        sent: When.
        begun: When this process first saw that it was started.
        silent: Since when that worker is out of reach.
    """

    future: Any
    ticket: Any
    sent: float
    begun: float | None = None
    silent: float | None = None

    @property
    def started(self) -> bool:
        return bool(self.ticket.isDone)

    @property
    def worker(self) -> bytes:
        """The worker that started it."""
        worker: bytes = self.ticket.executor[0]
        return worker

    @property
    def watched(self) -> bool:
        """Whether this process would notice that the worker is gone."""
        return bool(self.ticket.resultValue)


class Call:
    """The tasks of one map, from the first sending to the last outcome."""

    def __init__(
        self, pool: Any, payloads: Sequence[bytes], count: Callable[[], Any], timeout: float | None = None
    ) -> None:
        self._pool = pool
        self._timeout = timeout
        self._payloads = payloads
        self._count = count
        self._open: dict[int, list[Sending]] = {}
        self._sendings: list[Sending] = []
        self._outcomes: dict[int, Outcome] = {}
        self._looked = 0.0

    def run(self, order: Iterable[int]) -> dict[int, Outcome]:
        """Send the tasks in this order, work on them here too, and give all outcomes by task."""
        try:
            for task in order:
                self._send(task)
            wait = 0.0
            while self._open:
                self._pool.receive(wait)
                self._collect()
                worked = self._pool.work() or self._look()
                wait = 0.0 if worked else PULSE
            return self._outcomes
        finally:
            self._pool.forget(self._sendings)

    def start(self) -> None:
        """Send all tasks, and wait for none."""
        for task in range(len(self._payloads)):
            self._send(task)

    def advance(self, seconds: float = 0.0) -> dict[int, Outcome]:
        """Take in what has arrived, and give the outcomes so far; wait at most so long for something to arrive."""
        self._pool.receive(seconds)
        self._collect()
        if self._open and (self._pool.given or self._left_lying()):
            self._pool.work()
            self._collect()
        self._look()
        if not self._open:
            self._pool.forget(self._sendings)
        return self._outcomes

    def _left_lying(self) -> bool:
        now = time.monotonic()
        return any(not sendings[-1].started and now - sendings[-1].sent > LOST for sendings in self._open.values())

    def _send(self, task: int) -> None:
        sending = self._pool.send(self._payloads[task])
        self._sendings.append(sending)
        self._open.setdefault(task, []).append(sending)

    def _collect(self) -> None:
        for task, sendings in list(self._open.items()):
            for sending in sendings:  # of one that was sent again, whichever ends first
                if sending.future.isDone:
                    self._close(task, self._pool.outcome(sending.future))
                    break

    def _close(self, task: int, outcome: Outcome) -> None:
        del self._open[task]
        self._outcomes[task] = outcome
        self._count()

    def _look(self) -> bool:
        """Send again what a worker took with it, and run here one that nobody has; whether there was one."""
        now = time.monotonic()
        if now < self._looked + PULSE:
            return False
        self._looked = now
        for task, sendings in list(self._open.items()):
            last = sendings[-1]
            if last.started and (why := self._given_up(last, now)):
                self._replace(task, last, why)
            elif not last.started and self._pool.unanswered(now, last.sent) > LOST:
                # The broker hands out what it has at once, so it has nothing: it ended, or a worker did on the way.
                _say_lost()
                self._pool.run(last.future)
                self._looked = 0.0  # the others have waited as long
                return True
        return False

    def _given_up(self, sending: Sending, now: float) -> str:
        """Why a sending that was started is not waited for any more; empty where it is."""
        sending.begun = sending.begun or now
        if self._timeout is not None and now - sending.begun >= self._timeout:
            return f"has had it for {self._timeout:g} s"
        return "is gone" if self._gone(sending, now) else ""

    def _gone(self, sending: Sending, now: float) -> bool:
        if not sending.watched:
            _say_unwatched(sending.worker)
            return False
        if self._pool.reachable(sending.worker):
            sending.silent = None
            return False
        sending.silent = sending.silent or now
        return now - sending.silent >= GONE

    def _replace(self, task: int, lost: Sending, why: str) -> None:
        worker = lost.worker.decode()
        if len(self._open[task]) < TRIES:
            logger.warning("scoopMap: worker %s %s, so task %d is sent again", worker, why, task)
            self._send(task)
            return
        error = DistributedError(
            f"task {task} was sent {TRIES} times and each time its worker died or took too long: last, {worker} {why}"
        )
        self._close(task, Outcome(error=error))


class Submitted:
    """The future of one task.

    Args:
        call: Of this one task; sent here.
        outcome: Of a task that has ended already.
    """

    def __init__(self, call: Call | None = None, outcome: Outcome | None = None) -> None:
        self._call, self._outcome = call, outcome
        if call is not None:
            call.start()

    def done(self) -> bool:
        """Whether the task has ended; sends it again where its worker is gone."""
        return self._look(0.0) is not None

    def result(self) -> Any:
        """Wait for the value of the task, or raise what it raised."""
        while (outcome := self._look(PULSE)) is None:
            pass
        if outcome.error is not None:
            raise outcome.error from TasksFailed(f"a task of scoopSubmit failed:\n{outcome.trace}")
        return outcome.value

    def _look(self, seconds: float) -> Outcome | None:
        if self._outcome is None and self._call is not None:
            self._outcome = self._call.advance(seconds).get(0)
        return self._outcome


@functools.cache
def _say_lost() -> None:
    logger.warning(
        "scoopMap: a task waits, no worker has begun it and SCOOP's broker does not give it, so it runs here. A worker "
        "died on the way, or the broker ended, as that of python -m scoop does when it has a task for a worker that "
        "was killed while idle; that of python -m deap_valp.scoop goes on"
    )


@functools.cache
def _say_unwatched(worker: bytes) -> None:
    logger.warning(
        "scoopMap: worker %s has no connection to this process (--tunnel?), so its death would not be noticed",
        worker.decode(),
    )


# ---- SCOOP's messages: nothing above knows them --------------------------------------------------------------


@functools.cache
def _pool() -> Pool:
    return Pool()


class Pool:
    """SCOOP's workers, as its origin sees them."""

    def __init__(self) -> None:
        from scoop import _control

        self._control = _control
        self._queue = _control.execQueue
        self._asked: float | None = None
        self.working = False
        if not hasattr(self._queue.socket, "infoSocket"):
            raise DistributedError("scoopMap needs SCOOP's backend ZMQ, its default, got --backend TCP")

    def send(self, payload: bytes) -> Sending:
        """Put a task into the broker's queue."""
        from scoop import _types, futures

        ticket = _types.Future(self._control.current.id, None)
        future = futures.submit(_work, ticket.id, payload)
        self._queue.flush()
        return Sending(future, ticket, time.monotonic())

    def receive(self, seconds: float) -> None:
        """Take in what has arrived; wait at most so long for something to."""
        from scoop._comm import Shutdown

        try:
            if seconds:
                self._queue.socket._poll(int(seconds * 1000))
            self._queue.updateQueue()
        except Shutdown as shutdown:
            raise DistributedError(f"scoopMap needs SCOOP running, but it is shutting down ({shutdown})") from shutdown

    @property
    def given(self) -> bool:
        """Whether the broker gave a task to this process."""
        return bool(self._queue.movable)

    def work(self) -> bool:
        """Run a task that the broker gave to this process; where there is none, ask for one, once."""
        if self._queue.movable:
            self._asked = None
            self.run(self._queue.movable.popleft())
            return True
        if self._asked is None:
            self._asked = time.monotonic()
            self._queue.requestFuture()
        return False

    def run(self, future: Any) -> None:
        """Run a task here."""
        import scoop

        if future.isDone:
            return
        self.working = True
        self._control.runFuture(future)
        self.working = False
        if future.exceptionValue is not None and not isinstance(future.exceptionValue, Exception):
            raise future.exceptionValue  # SCOOP catches KeyboardInterrupt as well
        if future.id[0] != scoop.worker:
            self._queue.sendResult(future)

    def unanswered(self, now: float, sent: float) -> float:
        """How long this process has asked the broker for work in vain, since a task was sent."""
        return 0.0 if self._asked is None else now - max(self._asked, sent)

    def reachable(self, worker: bytes) -> bool:
        """Whether there is a connection to a worker."""
        return _reachable(worker)

    def outcome(self, future: Any) -> Outcome:
        """The outcome that an ended future brought."""
        if future.exceptionValue is not None:  # what _perform does not catch, such as SystemExit
            return Outcome(error=DistributedError(f"a task ended its worker's work with {future.exceptionValue!r}"))
        return _opened(future.resultValue)

    def forget(self, sendings: Iterable[Sending]) -> None:
        """Let SCOOP forget these; what may still come of them is dropped."""
        for sending in sendings:
            sending.future._delete()
            sending.ticket._delete()


def _work(ticket: tuple[bytes, int], payload: bytes) -> bytes:
    """What a worker runs."""
    import scoop

    if ticket[0] != scoop.worker:
        _say_started(ticket)
    return _perform(payload)


def _say_started(ticket: tuple[bytes, int]) -> None:
    """Return the ticket to the origin: to SCOOP it is the result of another future."""
    import scoop
    from scoop import _control

    note = copy(_control.current)
    note.id = ticket
    note.resultValue = _connected(ticket[0])
    note.executor = (scoop.worker, None)
    note.isDone = True
    _control.execQueue.sendResult(note)


@functools.cache
def _connected(origin: bytes, patience: float = 2.0) -> bool:
    """Whether this worker has a connection to the origin; SCOOP began to make one when the first task arrived."""
    end = time.monotonic() + patience
    while not _reachable(origin):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def _reachable(process: bytes) -> bool:
    """Whether there is a connection to another process of this SCOOP.

    Sends it the answer "the task you ask about is in good hands", which SCOOP ignores, and which the system refuses to
    send where there is no connection any more.
    """
    import zmq
    from scoop import _control
    from scoop._comm.scoopzmq import STATUS_ANS, STATUS_GIVEN

    try:
        _control.execQueue.socket.direct_socket.send_multipart(
            [process, STATUS_ANS, pickle.dumps(None), STATUS_GIVEN], flags=zmq.NOBLOCK
        )
    except zmq.ZMQError:
        return False
    return True


# ---- progress ------------------------------------------------------------------------------------------------

_bars: dict[int, tqdm[Any]] = {}


@contextmanager
def _bar(tasks: int, evaluations: int | None, progress: bool) -> Iterator[Callable[[], Any]]:
    """Gives the function that counts one finished task."""
    if not progress:
        yield lambda: None
    elif evaluations is None:
        # Results of several workers come in bursts: the expected end is to follow the average.
        with tqdm(total=tasks, desc="evaluations", leave=False, smoothing=0.05) as bar:
            yield bar.update
    else:
        if evaluations not in _bars:
            _bars[evaluations] = tqdm(total=evaluations, desc="evaluations", smoothing=0.05)
        bar = _bars[evaluations]
        yield bar.update
        if bar.n >= evaluations:
            _bars.pop(evaluations).close()
