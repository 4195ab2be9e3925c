"""The one door to SCOOP: ``map`` and ``submit`` over its workers.

SCOOP's own ``map`` asks the broker about tasks that are running, is told that nobody has them, and
sends them again; without that question, a worker that dies takes its task with it. So this module
uses SCOOP's workers, broker and messages, and ``call`` does the waiting.

Only this module and ``launcher`` know SCOOP. This is all that this module relies on;
``tests/test_scoop_contract.py`` compares the list with the SCOOP that is installed:

* ``scoop.IS_RUNNING``, ``scoop.IS_ORIGIN``, ``scoop.SIZE``, ``scoop.worker``: whether a launcher
  started this process, whether the script's main part runs here, how many processes there are, and
  the address of this one.
* ``scoop.futures.submit(*args, **kwargs)`` and ``scoop._types.FutureQueue.flush(self)``:
  send a task to the broker.
* ``scoop._types.Future(parentId, callable, *args, **kargs)`` with ``scoop._types.Future.id``,
  ``scoop._types.Future.isDone``, ``scoop._types.Future.resultValue``,
  ``scoop._types.Future.exceptionValue``, ``scoop._types.Future.executor`` (whose first part is the
  address of the process that ran it) and ``scoop._types.Future._delete(self)``: one task. A process
  takes in a result for any future that it made and has not deleted, whoever sends it.
* ``scoop._control.current``: the future that this process is running.
* ``scoop._control.runFuture(future)``: runs a future here, and catches every exception.
* ``scoop._control.execQueue``: the queue of this process, a ``scoop._types.FutureQueue``.
* ``scoop._types.FutureQueue.movable``: the tasks that the broker gave to this process.
* ``scoop._types.FutureQueue.requestFuture(self)``: asks the broker for a task. The broker answers
  when it has one, and at once where it has.
* ``scoop._types.FutureQueue.updateQueue(self)``: takes in what has arrived.
* ``scoop._types.FutureQueue.sendResult(self, future)``: sends a result to the process that the
  future's ``id`` names, directly where there is a connection.
* ``scoop._types.FutureQueue.socket`` with ``scoop._comm.scoopzmq.ZMQCommunicator._poll(self,
  timeout)``, which waits for milliseconds, ``scoop._comm.scoopzmq.ZMQCommunicator.infoSocket``,
  which the backend TCP lacks, and ``scoop._comm.scoopzmq.ZMQCommunicator.direct_socket``, a ZeroMQ
  socket that refuses to send to a process that it has no connection to.
* ``scoop._comm.scoopzmq.STATUS_ANS`` and ``scoop._comm.scoopzmq.STATUS_GIVEN``: the message "the
  task you ask about is in good hands", which its receiver ignores.
* ``scoop._comm.Shutdown``: what the queue raises when SCOOP is shutting down.
"""

from __future__ import annotations

import functools
import pickle
import time
from collections.abc import Callable, Iterable, Sequence
from copy import copy
from typing import Any

import scoop

from ..errors import DistributedError
from .call import Call, Sending, Submitted
from .task import TaskOutcome, perform, unpack


def started() -> bool:
    """Whether this process was started by SCOOP's launcher or by this package's."""
    return bool(scoop.IS_RUNNING)


def has_workers() -> bool:
    """Whether this process can share tasks: the origin can, while it is not running one itself."""
    if not started() or not scoop.IS_ORIGIN or scoop.SIZE < 2:
        return False
    return not _workers().working


def map(
    payloads: Sequence[bytes],
    order: Iterable[int],
    count: Callable[[], Any],
    timeout: float | None,
) -> list[TaskOutcome]:
    """Run tasks on the workers and in this process, and return their outcomes.

    Args:
        payloads: The tasks, as ``task.pack`` made them.
        order: The indices of the tasks, in the order in which to send them.
        count: Is called once for each task that ends.
        timeout: Seconds after which a task is sent again, as if its worker had died; None for no
            limit.

    Raises:
        DistributedError: SCOOP is shutting down, or runs with its backend TCP.
    """
    return Call(_workers(), payloads, count, timeout).run(order)


def submit(payload: bytes) -> Submitted:
    """Send one task to the workers and return its future.

    Raises:
        DistributedError: SCOOP runs with its backend TCP.
    """
    call = Call(_workers(), [payload])
    call.start([0])
    return Submitted(call.poll, call.drop)


@functools.cache
def _workers() -> _ScoopWorkers:
    return _ScoopWorkers()


class _ScoopWorkers:
    """SCOOP's processes as this one sees them: the ``Workers`` of ``call``.

    The handle of a sending is a pair of SCOOP's futures: the task, and a ticket, which ends when a
    worker starts the task.

    Attributes:
        asking: Since when this process waits for a task that it asked the broker for.
        working: Whether this process is running a task.
    """

    def __init__(self) -> None:
        # These modules read SCOOP's options when they are imported, so it has to run before.
        import zmq
        from scoop import _control, _types, futures
        from scoop._comm import Shutdown, scoopzmq

        self._zmq, self._messages, self._shutdown = zmq, scoopzmq, Shutdown
        self._control, self._types, self._futures = _control, _types, futures
        self._queue = _control.execQueue
        self.asking: float | None = None
        self.working = False
        if not hasattr(self._queue.socket, "infoSocket"):
            raise DistributedError(
                "scoopMap needs SCOOP's backend ZMQ, its default, got --backend TCP"
            )

    # ---- in the process that searches ------------------------------------------------------------

    def send(self, payload: bytes) -> tuple[Any, Any]:
        ticket = self._types.Future(self._control.current.id, None)
        future = self._futures.submit(_work, ticket.id, payload)
        self._queue.flush()
        return future, ticket

    def receive(self, seconds: float) -> None:
        try:
            if seconds:
                self._queue.socket._poll(int(seconds * 1000))
            self._queue.updateQueue()
        except self._shutdown as shutdown:
            raise DistributedError(
                f"scoopMap needs SCOOP running, but it is shutting down ({shutdown})"
            ) from shutdown

    def refresh(self, sending: Sending) -> None:
        future, ticket = sending.handle
        if ticket.isDone:
            sending.worker = ticket.executor[0].decode()
            sending.watched = bool(ticket.resultValue)
        if not future.isDone:
            return
        if future.exceptionValue is None:
            sending.outcome = unpack(future.resultValue)
            return
        # ``perform`` catches every Exception, so this is SystemExit or its like.
        why = f"a task ended its worker's work with {future.exceptionValue!r}"
        sending.outcome = TaskOutcome(error=DistributedError(why))

    def work(self, ask: bool) -> bool:
        if self._queue.movable:
            self.asking = None
            self._run(self._queue.movable.popleft())
            return True
        if ask and self.asking is None:
            self.asking = time.monotonic()
            self._queue.requestFuture()
        return False

    def run(self, handle: tuple[Any, Any]) -> None:
        self._run(handle[0])

    def _run(self, future: Any) -> None:
        if future.isDone:
            return
        self.working = True
        self._control.runFuture(future)
        self.working = False
        if future.exceptionValue is not None and not isinstance(future.exceptionValue, Exception):
            raise future.exceptionValue  # SCOOP catches KeyboardInterrupt as well
        if future.id[0] != scoop.worker:  # a task that a worker submitted by SCOOP's own functions
            self._queue.sendResult(future)

    def forget(self, handles: Iterable[tuple[Any, Any]]) -> None:
        for future, ticket in handles:
            future._delete()
            ticket._delete()

    # ---- in any process --------------------------------------------------------------------------

    def reachable(self, worker: str) -> bool:
        # The socket refuses to send a message where there is no connection.
        message = [self._messages.STATUS_ANS, pickle.dumps(None), self._messages.STATUS_GIVEN]
        try:
            self._queue.socket.direct_socket.send_multipart(
                [worker.encode(), *message], flags=self._zmq.NOBLOCK
            )
        except self._zmq.ZMQError:
            return False
        return True

    # ---- in a worker -----------------------------------------------------------------------------

    def say_started(self, ticket: tuple[bytes, int]) -> None:
        """Tell the origin that this worker starts a task: to SCOOP, it is the ticket's result."""
        note = copy(self._control.current)
        note.id = ticket
        note.resultValue = _connected(ticket[0].decode())
        note.executor = (scoop.worker, None)
        note.isDone = True
        self._queue.sendResult(note)


def _work(ticket: tuple[bytes, int], payload: bytes) -> bytes:
    """Run a task; SCOOP calls it in the process that got the task."""
    if ticket[0] != scoop.worker:
        _workers().say_started(ticket)
    return perform(payload)


@functools.cache
def _connected(origin: str, patience: float = 2.0) -> bool:
    """Whether this worker has a connection to the origin.

    SCOOP begins to make one when the first task arrives, so the first question waits for it, at
    most ``patience`` seconds.
    """
    end = time.monotonic() + patience
    while not _workers().reachable(origin):
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True
