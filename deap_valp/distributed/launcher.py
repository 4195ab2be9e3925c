"""``python -m deap_valp.scoop``: SCOOP's launcher and its options, mended for long runs.

``python -m scoop`` exits with 0 whatever happens in the script; its broker ends when it has a task
for a worker that was killed; it waits for ever for a worker that was stopped; a thread of its
processes can abort them; and its sockets run what anybody sends to them, from any network. This
launcher exits as the script does; it goes on with the other workers in both cases; it has no such
thread; and what runs on one host, or through ``--tunnel``, listens on loopback alone.

Only this module and ``backend`` know SCOOP. This is all that this module relies on;
``tests/test_scoop_contract.py`` compares the list with the SCOOP that is installed:

* ``scoop.launcher.main()`` parses the command line, runs a ``scoop.launcher.ScoopApp`` and exits
  with what ``scoop.launcher.ScoopApp.run(self)`` returned.
* ``scoop.launcher.ScoopApp.LAUNCH_HOST_CLASS`` starts the processes of one host.
  ``scoop.launcher.ScoopApp.externalHostname`` is the name that workers reach the broker by, one of
  ``scoop.utils.loopbackReferences`` where this host or a tunnel is enough.
* ``scoop.utils.KeyboardInterruptHandler(signum, frame)`` handles a signal by an interrupt, after
  which the launcher ends what it started.
* ``scoop.launch.Host._WorkerCommand_launcher(self)`` gives Python, two words, and the arguments of
  the program that starts a host's processes; ``scoop.launch.Host._WorkerCommand_options(self)``
  gives the options of these processes; ``scoop.launch.Host.isLocal(self)`` says that no shell
  parses the command.
* ``scoop.launch.__main__.launchBootstraps()`` starts a host's processes by ``python -m`` and
  ``scoop.launch.__main__.BOOTSTRAP_MODULE``, puts them into ``scoop.launch.__main__.processes``
  and waits for the origin, the first one, or for all where the origin is elsewhere;
  ``scoop.launch.__main__.cleanupBootstraps()`` terminates them.
* ``scoop.broker.brokerzmq.Broker(tSock='tcp://*:*', mSock='tcp://*:*', debug=False, headless=False,
  hostname='127.0.0.1')`` is looked up there when it is made. It answers from
  ``scoop.broker.brokerzmq.Broker.task_socket``, with messages of a process, a kind, of which one is
  ``scoop.broker.brokerzmq.TASK``, and the rest; ``scoop.broker.brokerzmq.Broker.available_workers``
  are the processes that wait for a task, and ``scoop.broker.brokerzmq.Broker.unassigned_tasks`` the
  tasks that wait for a process, each with an id that only status questions need.
* ``scoop.bootstrap.__main__.Bootstrap.main(self)`` parses a process's options into
  ``scoop.bootstrap.__main__.Bootstrap.args``, sets SCOOP's, and calls
  ``scoop.bootstrap.__main__.Bootstrap.run(self, globs=None)``, which puts the script's names into
  ``globs`` and runs the script by ``scoop.bootstrap.__main__.runpy``.
* ``scoop._types.Communicator``: the class of a process's sockets, looked up there when the queue is
  made. ``scoop._comm.scoopzmq.ZMQCommunicator.createZMQSocket(self, sock_type)`` makes its sockets;
  its only ROUTER is the one between workers and origin, and its only bound one.
  ``scoop._comm.scoopzmq.ZMQCommunicator._reportFutures(self)`` is its second thread.
"""

from __future__ import annotations

import functools
import logging
import runpy
import shlex
import signal
import sys
from types import SimpleNamespace
from typing import Any

import zmq
from scoop import launcher, utils
from scoop.bootstrap import __main__ as bootstrap
from scoop.broker import brokerzmq
from scoop.launch import Host

INTERRUPTED = 130
"""Exit status of a run that was interrupted, as a shell gives it."""

HEARTBEAT = 10
"""Seconds between two signs of life that the origin's socket asks a worker's socket for."""

HEARTBEAT_TIMEOUT = 30
"""Seconds without a sign of life after which the origin's socket drops the connection."""

_WORKER = "--worker"
"""The first argument of ``python -m deap_valp.scoop`` in the processes that it starts."""

_START_HOST = """
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
# The program that starts the processes of one host and exits as the first of them did. It is text,
# because SCOOP starts it as a command, on other hosts too, and because it is to load neither this
# package nor torch.


def main() -> None:
    """Launch the script that the command line names; in a process that this started, run it."""
    if sys.argv[1:2] == [_WORKER]:
        del sys.argv[1]
        _Process().main()
        return
    # A run that the system or Slurm cancels is to leave no workers.
    signal.signal(signal.SIGTERM, utils.KeyboardInterruptHandler)
    launcher.ScoopApp = _App
    launcher.main()


# ---- the launcher --------------------------------------------------------------------------------


class _Host(Host):
    """Starts the processes of one host by ``_START_HOST``."""

    def _WorkerCommand_launcher(self) -> list[str]:
        python, _, _, *arguments = super()._WorkerCommand_launcher()
        program = _START_HOST
        if not self.isLocal():
            program = shlex.quote(program)
        return [python, "-c", program, *arguments]

    def _WorkerCommand_options(self) -> list[str]:
        return [_WORKER, *super()._WorkerCommand_options()]


class _App(launcher.ScoopApp):
    LAUNCH_HOST_CLASS = _Host

    def run(self) -> int:
        local = self.externalHostname in utils.loopbackReferences
        brokerzmq.Broker = functools.partial(_Broker, local)
        status: int | None = super().run()
        if status is None:
            return INTERRUPTED
        return status


class _Broker(brokerzmq.Broker):
    def __init__(self, local: bool, **options: Any) -> None:
        address = "tcp://127.0.0.1:*" if local else "tcp://*:*"
        super().__init__(tSock=address, mSock=address, **options)
        self.task_socket: Any = _Deliveries(self.task_socket, self)


class _Deliveries:
    """The broker's socket, except that a task for a worker that is gone goes to the next one."""

    def __init__(self, socket: Any, broker: _Broker) -> None:
        self._socket, self._broker = socket, broker

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def send_multipart(self, frames: list[bytes]) -> None:
        try:
            self._socket.send_multipart(frames)
        except zmq.ZMQError:
            if frames[1] == brokerzmq.TASK:
                self._send_elsewhere(frames)

    def _send_elsewhere(self, frames: list[bytes]) -> None:
        if self._broker.available_workers:
            self.send_multipart([self._broker.available_workers.popleft(), *frames[1:]])
        else:
            no_id = b""
            self._broker.unassigned_tasks.append((no_id, frames[2]))


# ---- the processes that run the script -----------------------------------------------------------


class _Process(bootstrap.Bootstrap):
    """A process that runs the script: the origin its main part, a worker its tasks."""

    status: Any = None

    def run(self, globs: dict[str, Any] | None = None) -> None:
        _enable_loggers()
        if self.args.backend == "ZMQ":
            _use_sockets(self.args.origin, self.args.externalBrokerHostname)
        bootstrap.runpy = SimpleNamespace(run_path=self._run_script)
        if self.args.origin:
            super().run({})
        else:
            # A task that was pickled in the script's __main__ looks for its names in this one.
            super().run(vars(sys.modules["__main__"]))
        sys.exit(self.status)

    def _run_script(self, *arguments: Any, **options: Any) -> dict[str, Any]:
        try:
            return runpy.run_path(*arguments, **options)
        except SystemExit as stop:  # SCOOP takes even sys.exit(0) for a failure with status 1
            self.status = stop.code
            return {}


def _enable_loggers() -> None:
    """Enable the loggers of modules that were imported before SCOOP set up its logging.

    SCOOP disables them, and those of this package are among them.
    """
    for logger in logging.root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False


def _use_sockets(origin: bool, broker: str) -> None:
    """Have SCOOP make this process's sockets as a long run needs them.

    Args:
        origin: Whether this process is the origin.
        broker: The name that workers reach the broker by.
    """
    # These modules read SCOOP's options when they are imported, so they are imported here.
    from scoop import _types
    from scoop._comm.scoopzmq import ZMQCommunicator

    class Communicator(ZMQCommunicator):
        def createZMQSocket(self, sock_type: int) -> Any:
            socket = super().createZMQSocket(sock_type)
            if sock_type == zmq.ROUTER:
                _mend_router(socket, origin, broker in utils.loopbackReferences)
            return socket

        def _reportFutures(self) -> None:
            """Stand in for SCOOP's thread of reports, which now and then ends its process.

            It uses the socket of the main thread, and ZeroMQ aborts when the two meet. The broker
            has no use for the reports: they name tasks in another form than the questions that
            they are to answer.
            """

    _types.Communicator = Communicator


def _mend_router(socket: Any, origin: bool, local: bool) -> None:
    """Make the socket between workers and origin survive what breaks its connections.

    The origin's drops a connection whose other end is silent: stopped, or without power. A worker
    that computes answers all the same, from a thread of ZeroMQ's own. A worker's must not be
    IMMEDIATE, as SCOOP makes it: ZeroMQ then aborts where a connection ends between two parts of a
    message that is being read ("Assertion failed: !_more").

    Args:
        socket: The ROUTER, which SCOOP binds next.
        origin: Whether it is the origin's.
        local: Whether it is to listen on loopback alone.
    """
    if origin:
        socket.heartbeat_ivl = 1000 * HEARTBEAT
        socket.heartbeat_timeout = 1000 * HEARTBEAT_TIMEOUT
    else:
        socket.immediate = 0
    if local:
        bind = socket.bind
        socket.bind = lambda address: bind(address.replace("tcp://*:", "tcp://127.0.0.1:"))
