"""``python -m deap_valp.scoop``: SCOOP's launcher with its options, mended where a long run needs it.

``python -m scoop`` exits with 0 whatever happens in the script; its broker ends when it has a task
for a worker that was killed; it waits for ever for one that was stopped; a thread of its processes
can abort them; its sockets run what anybody sends to them, from any network. This launcher exits as
the script does, goes on with the other workers in both cases, has no such thread, and what runs on
one host, or through ``--tunnel``, listens on loopback alone.
"""

from __future__ import annotations

import logging
import runpy
import shlex
import signal
import sys
from collections.abc import Callable
from functools import partialmethod
from typing import Any

import zmq
from scoop import launcher, utils
from scoop.bootstrap.__main__ import Bootstrap
from scoop.broker import brokerzmq
from scoop.launch import Host

INTERRUPTED = 130
"""Exit status of a run that was interrupted, as a shell gives it."""

PULSE = 10
"""Seconds between two signs of life that the origin asks a worker for."""

SILENT = 30
"""Seconds without one before the origin takes the connection for broken."""

_ON_A_HOST = """
import signal, sys
from scoop.launch import __main__ as host
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
host.BOOTSTRAP_MODULE = "deap_valp.scoop"
try:
    host.launchBootstraps()
finally:
    host.cleanupBootstraps()
    for process in host.processes:
        process.send_signal(signal.SIGCONT)  # one that was stopped ends now
status = host.processes[0].wait()
sys.exit(status if status >= 0 else 128 - status)
"""
# Starts the processes of one host and exits as the first one did. It stands here as text because
# SCOOP starts it as a command, on other hosts too, and it is to load neither this package nor
# torch.

_WORKER = "--worker"


def main() -> None:
    """Launch the script given on the command line or, in the processes that this starts, be a worker."""
    if sys.argv[1:2] == [_WORKER]:
        del sys.argv[1]
        _Worker().main()
        return
    signal.signal(
        signal.SIGTERM, utils.KeyboardInterruptHandler
    )  # so that a cancelled run leaves no workers
    launcher.ScoopApp = _App
    brokerzmq.Broker = _Broker
    launcher.main()


class _App(launcher.ScoopApp):
    class _Host(Host):
        def _WorkerCommand_launcher(self) -> list[str]:
            python, _, _, *arguments = super()._WorkerCommand_launcher()
            return [
                python,
                "-c",
                _ON_A_HOST if self.isLocal() else shlex.quote(_ON_A_HOST),
                *arguments,
            ]

        def _WorkerCommand_options(self) -> list[str]:
            return [_WORKER, *super()._WorkerCommand_options()]

    LAUNCH_HOST_CLASS = _Host

    def run(self) -> int:
        _Broker.local = self.externalHostname in utils.loopbackReferences
        status: int | None = super().run()
        return INTERRUPTED if status is None else status


class _Broker(brokerzmq.Broker):
    local = False

    def __init__(self, **options: Any) -> None:
        address = "tcp://127.0.0.1:*" if self.local else "tcp://*:*"
        super().__init__(tSock=address, mSock=address, **options)
        self.task_socket: Any = _Deliveries(self.task_socket, self)


class _Deliveries:
    """The broker's socket; a task for a worker that is gone goes to the next one."""

    def __init__(self, socket: Any, broker: _Broker) -> None:
        self._socket, self._broker = socket, broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send_multipart(self, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart(frames)
        except zmq.ZMQError:
            if frames[1] != brokerzmq.TASK:
                return
            if self._broker.available_workers:
                self.send_multipart([self._broker.available_workers.popleft(), *frames[1:]])
            else:
                self._broker.unassigned_tasks.append(
                    (b"", frames[2])
                )  # its id is of use to status questions only


class _Worker(Bootstrap):
    """A process that runs the script, as the origin, or its tasks."""

    status: Any = None

    def run(self, globs: dict[str, Any] | None = None) -> None:
        from scoop._comm.scoopzmq import ZMQCommunicator  # reads the options on import

        _enable_loggers()
        ZMQCommunicator._reportFutures = _report_nothing
        if self.args.externalBrokerHostname in utils.loopbackReferences:
            zmq.Socket.bind = _bind_locally  # type: ignore[method-assign, assignment]
        ZMQCommunicator.createZMQSocket = partialmethod(
            _make_socket, ZMQCommunicator.createZMQSocket, self.args.origin
        )
        runpy.run_path = self._script
        # What tasks that were pickled in the script's __main__ look for.
        super().run({} if self.args.origin else vars(sys.modules["__main__"]))
        sys.exit(self.status)

    def _script(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        try:
            return _run_path(*arguments, **options)
        except SystemExit as stop:  # SCOOP takes any for a failure with status 1, sys.exit(0) too
            self.status = stop.code
            return {}


def _enable_loggers() -> None:
    """Undo what SCOOP's logging does to the loggers of modules that were imported before it, this package's too."""
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False


def _report_nothing(communicator: Any) -> None:
    """Stand in for SCOOP's thread of reports, which now and then ends its process.

    It uses the socket of the main thread, and ZeroMQ aborts when the two meet.
    The broker has no use for the reports: they name tasks in another form than the questions that
    they are to answer.
    """


def _make_socket(
    communicator: Any, make: Callable[[Any, int], Any], origin: bool, kind: int
) -> Any:
    """Make a socket; that between workers and origin survives what breaks its connections.

    The origin's drops a connection whose other end is silent: stopped, or without power. A worker
    that computes answers all the same, from a thread of ZeroMQ's own. A worker's must not be
    IMMEDIATE, as SCOOP makes it: ZeroMQ then aborts where a connection ends between two parts of a
    message that is being read ("Assertion failed: !_more").
    """
    socket = make(communicator, kind)
    if kind == zmq.ROUTER and origin:
        socket.heartbeat_ivl, socket.heartbeat_timeout = 1000 * PULSE, 1000 * SILENT
    elif kind == zmq.ROUTER:
        socket.immediate = 0
    return socket


_run_path = runpy.run_path
_bind = zmq.Socket.bind


def _bind_locally(socket: Any, address: str) -> Any:
    return _bind(socket, address.replace("tcp://*:", "tcp://127.0.0.1:"))
