"""The tasks of one map, from the first sending to the last outcome."""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DistributedError
from .task import Outcome, TasksFailed

logger = logging.getLogger("deap_valp")

PULSE = 1.0
"""Seconds between two looks at the workers."""

GONE = 5.0
"""Seconds that a worker is out of reach before its task is sent again; a broken connection is mended sooner."""

LOST = 15.0
"""Seconds without a sign of a task, while this process asks the broker for work, before it is run here."""

TRIES = 3
"""Sendings of a task; one that takes each of its workers with it is a failure, and the others go on."""


@dataclass(eq=False)
class Sending:
    """One sending of a task.

    Attributes:
        future: SCOOP's; ends with the packed outcome.
        ticket: SCOOP's; ends when a worker starts the task, with whether that worker has a
            connection to here.
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
        self,
        pool: Any,
        payloads: Sequence[bytes],
        count: Callable[[], Any],
        timeout: float | None = None,
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
        return any(
            not sendings[-1].started and now - sendings[-1].sent > LOST
            for sendings in self._open.values()
        )

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
                # The broker hands out what it has at once, so it has nothing: it ended, or a worker
                # did on the way.
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
