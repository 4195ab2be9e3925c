"""SCOOP's workers, broker and messages: nothing beside this module knows them."""

from __future__ import annotations

import functools
import pickle
import time
from collections.abc import Iterable
from copy import copy
from typing import Any

from ..errors import DistributedError
from .call import Sending
from .task import Outcome, opened, perform


@functools.cache
def pool() -> Pool:
    """The workers of this process, where it is SCOOP's origin."""
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
            raise DistributedError(
                "scoopMap needs SCOOP's backend ZMQ, its default, got --backend TCP"
            )

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
            raise DistributedError(
                f"scoopMap needs SCOOP running, but it is shutting down ({shutdown})"
            ) from shutdown

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
            return Outcome(
                error=DistributedError(
                    f"a task ended its worker's work with {future.exceptionValue!r}"
                )
            )
        return opened(future.resultValue)

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
    return perform(payload)


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

    Sends it the answer "the task you ask about is in good hands", which SCOOP ignores, and which
    the system refuses to send where there is no connection any more.
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
