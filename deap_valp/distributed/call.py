"""Bookkeeping for tasks that other processes run: who has which one, and what is sent again.

A worker says which task it starts. A task is sent again only when the worker that started it is
gone, or has had it for longer than a time limit. Nothing here knows SCOOP: ``Workers`` is all that
a backend has to offer.
"""

from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import DistributedError
from .task import TaskOutcome, TasksFailed

logger = logging.getLogger("deap_valp")

LOOK_EVERY = 1.0
"""Seconds between two looks at the workers."""

GONE_AFTER = 5.0
"""Seconds out of reach after which a worker counts as gone; a lost connection is mended sooner."""

LOST_AFTER = 15.0
"""Seconds after which a task that no worker starts, and no request brings here, counts as lost."""

TRIES = 3
"""How often a task is sent. One that costs each of its workers fails, and the others go on."""


@dataclass(eq=False)
class Sending:
    """One sending of a task to the workers.

    Attributes:
        handle: What the backend recognises the sending by.
        sent: When it was sent. All times are those of ``time.monotonic``.
        worker: The worker that started the task; None until one has.
        watched: Whether this process would notice that the worker is gone.
        outcome: What became of the task; None until it has ended.
        begun: When this process first saw that the task was started.
        silent: Since when the worker is out of reach; None while it is within reach.
    """

    handle: Any
    sent: float
    worker: str | None = None
    watched: bool = True
    outcome: TaskOutcome | None = None
    begun: float | None = None
    silent: float | None = None


class Workers(Protocol):
    """What a backend offers: processes, this one among them, that take tasks from one queue.

    Attributes:
        asking: Since when this process waits for a task that it asked the queue for; None while it
            waits for none.
    """

    asking: float | None

    def send(self, payload: bytes) -> Any:
        """Put a task into the queue and return a handle for this sending."""

    def receive(self, seconds: float) -> None:
        """Take in what has arrived; where nothing has, wait for it, at most so many seconds."""

    def refresh(self, sending: Sending) -> None:
        """Write into a sending what has arrived about it."""

    def work(self, ask: bool) -> bool:
        """Run a task here that the queue gave to this process, and say whether there was one.

        Where there was none and ``ask`` is set, the queue is asked for one.
        """

    def run(self, handle: Any) -> None:
        """Run a sent task here."""

    def reachable(self, worker: str) -> bool:
        """Whether there is a connection to a worker."""

    def forget(self, handles: Iterable[Any]) -> None:
        """Drop whatever may still arrive about these sendings."""


class Call:
    """Some tasks, from the first sending to the last outcome.

    Args:
        workers: The processes that run the tasks.
        payloads: The tasks, as ``pack`` made them.
        count: Is called once for each task that ends.
        timeout: Seconds that a worker may take for a task; None for no limit.
    """

    def __init__(
        self,
        workers: Workers,
        payloads: Sequence[bytes],
        count: Callable[[], Any] = lambda: None,
        timeout: float | None = None,
    ) -> None:
        self._workers = workers
        self._payloads = payloads
        self._count = count
        self._timeout = timeout
        self._open: dict[int, list[Sending]] = {}
        self._outcomes: dict[int, TaskOutcome] = {}
        self._handles: list[Any] = []
        self._looked = 0.0

    def start(self, order: Iterable[int]) -> None:
        """Send the tasks in this order, and wait for none."""
        for task in order:
            self._send(task)

    def run(self, order: Iterable[int]) -> list[TaskOutcome]:
        """Send the tasks in this order, work on them here too, and return all outcomes by task."""
        try:
            self.start(order)
            wait = 0.0
            while self._open:
                worked = self._advance(wait, eager=True)
                wait = 0.0 if worked else LOOK_EVERY
            return [self._outcomes[task] for task in range(len(self._payloads))]
        finally:
            self._workers.forget(self._handles)

    def poll(self, seconds: float) -> TaskOutcome | None:
        """Return the outcome of the first task; None where it has not ended in so many seconds.

        This process works on a task only where the queue has given it one, or where no worker
        starts it.
        """
        if self._open:
            self._advance(seconds, eager=False)
            if not self._open:
                self._workers.forget(self._handles)
        return self._outcomes.get(0)

    def drop(self) -> None:
        """Give the tasks up; what arrives about them is ignored."""
        self._open.clear()
        self._workers.forget(self._handles)

    def _advance(self, seconds: float, eager: bool) -> bool:
        """Take in what has arrived, work, and look after the workers; whether a task ran here."""
        self._workers.receive(seconds)
        self._collect()
        if not self._open:
            return False
        worked = self._workers.work(ask=eager or self._has_lost()) or self._look()
        if worked:
            self._collect()
        return worked

    def _send(self, task: int) -> None:
        sending = Sending(self._workers.send(self._payloads[task]), time.monotonic())
        self._handles.append(sending.handle)
        self._open.setdefault(task, []).append(sending)

    def _collect(self) -> None:
        for task, sendings in list(self._open.items()):
            for sending in sendings:
                self._workers.refresh(sending)
                if sending.outcome is not None:  # the first one counts of a task sent twice
                    self._close(task, sending.outcome)
                    break

    def _close(self, task: int, outcome: TaskOutcome) -> None:
        del self._open[task]
        self._outcomes[task] = outcome
        self._count()

    def _has_lost(self) -> bool:
        """Whether no worker has started a task for so long that this process asks for it."""
        since = time.monotonic() - LOST_AFTER
        last = [sendings[-1] for sendings in self._open.values()]
        return any(sending.worker is None and sending.sent < since for sending in last)

    def _look(self) -> bool:
        """Send again what a worker took with it, and run here a task that nobody has.

        Returns:
            Whether a task ran here.
        """
        now = time.monotonic()
        if now < self._looked + LOOK_EVERY:
            return False
        self._looked = now
        for task, sendings in list(self._open.items()):
            last = sendings[-1]
            if last.worker is not None:
                self._look_after(task, last, last.worker, now)
            elif self._asked_in_vain(last, now):
                _say_lost()
                self._workers.run(last.handle)
                self._looked = 0.0  # the other tasks have waited as long
                return True
        return False

    def _asked_in_vain(self, sending: Sending, now: float) -> bool:
        """Whether the queue cannot have a task: it hands out at once whatever it has."""
        asking = self._workers.asking
        return asking is not None and now - max(asking, sending.sent) > LOST_AFTER

    def _look_after(self, task: int, sending: Sending, worker: str, now: float) -> None:
        """Send a task again where its worker is gone or has had it for too long."""
        if sending.begun is None:
            sending.begun = now
        if self._timeout is not None and now - sending.begun >= self._timeout:
            self._replace(task, worker, f"has had it for {self._timeout:g} s")
        elif self._gone(sending, worker, now):
            self._replace(task, worker, "is gone")

    def _gone(self, sending: Sending, worker: str, now: float) -> bool:
        if not sending.watched:
            _say_unwatched(worker)
            return False
        if self._workers.reachable(worker):
            sending.silent = None
            return False
        if sending.silent is None:
            sending.silent = now
        return now - sending.silent >= GONE_AFTER

    def _replace(self, task: int, worker: str, why: str) -> None:
        if len(self._open[task]) < TRIES:
            logger.warning("scoopMap: worker %s %s, so task %d is sent again", worker, why, task)
            self._send(task)
            return
        error = DistributedError(
            f"task {task} was sent {TRIES} times and each time its worker died or took too long: "
            f"last, {worker} {why}"
        )
        self._close(task, TaskOutcome(error=error))


class Submitted:
    """The future of one task, as ``scoopSubmit`` returns it.

    Args:
        poll: Returns the outcome of the task, or None where it has not ended within the seconds
            that it is given.
        drop: Gives the task up.
    """

    def __init__(
        self,
        poll: Callable[[float], TaskOutcome | None],
        drop: Callable[[], None] = lambda: None,
    ) -> None:
        self._poll = poll
        self._drop = drop

    def cancel(self) -> None:
        """Give the task up. A worker that has begun it ends it, and the result is ignored."""
        self._drop()

    def done(self) -> bool:
        """Whether the task has ended. Asking also sends it again where its worker is gone."""
        return self._poll(0.0) is not None

    def result(self) -> Any:
        """Wait for the task and return its value.

        Raises:
            Exception: What the task raised; its cause is a ``TasksFailed`` with the traceback.
        """
        outcome = self._poll(LOOK_EVERY)
        while outcome is None:
            outcome = self._poll(LOOK_EVERY)
        if outcome.error is not None:
            raise outcome.error from TasksFailed(f"a task of scoopSubmit failed:\n{outcome.trace}")
        return outcome.value


@functools.cache
def _say_lost() -> None:
    logger.warning(
        "scoopMap: a task waits that no worker has begun and that the broker does not give to this "
        "process, so it runs here. A worker died on the way, or the broker ended: that of "
        "python -m scoop ends when it has a task for a worker that was killed while idle; that of "
        "python -m deap_valp.scoop goes on"
    )


@functools.cache
def _say_unwatched(worker: str) -> None:
    logger.warning(
        "scoopMap: worker %s has no connection to this process (--tunnel?), so its death would not "
        "be noticed",
        worker,
    )
