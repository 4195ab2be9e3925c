"""``Watch``: asks the stops and tells the reporters after each step, and takes Ctrl-C."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from multiprocessing import parent_process
from typing import Any

from .progress import Fall, Progress, falls_of
from .reporters import Reporter, Reporters, reporters_of
from .stopping import Stop, Until, check_objectives, stops_of

logger = logging.getLogger("deap_valp")

AGAIN = 5.0
"""Seconds after a Ctrl-C in which another one interrupts the program and not only the search."""

_last_interrupt = float("-inf")


def clock() -> float:
    """Return the seconds on a clock that only goes forward."""
    return time.monotonic()


class Watch:
    """What ends a search before its last step, and who hears of its steps.

    Args:
        until: The stops.
        reporters: The reporters and the names of some.

    Attributes:
        memory: What a checkpoint saves: the seconds and evaluations so far, and the falls of the
            objectives.
        reason: Why the search ends before its last step; None while it does not.

    Raises:
        ValpError: A stop or a reporter is none.
    """

    def __init__(self, until: Until = None, reporters: Reporters = ()) -> None:
        self.stops = stops_of(until)
        self.reporters = reporters_of(reporters)
        self.memory: dict[str, Any] = {"seconds": 0.0, "evaluations": 0, "falls": []}
        self.reason: str | None = None
        self._began = 0.0
        self._complained: set[int] = set()

    def begin(self, objectives: Sequence[str] | None) -> None:
        """Start the clock, which goes on from the time that the memory holds.

        Args:
            objectives: The names of the objectives, where they are known before an evaluation.

        Raises:
            ValpError: A stop names an objective that there is not.
        """
        if objectives is not None:
            check_objectives(self.stops, objectives)
        self._began = clock() - self.memory["seconds"]

    def count(self, step: int, population: Sequence[Any], evaluations: int) -> None:
        """Take a step into the memory."""
        memory = self.memory
        memory["seconds"] = clock() - self._began
        memory["evaluations"] += evaluations
        falls: list[Fall] = memory["falls"]
        falls += falls_of(step, population, {fall.objective: fall.value for fall in falls})
        if falls:
            check_objectives(self.stops, dict.fromkeys(fall.objective for fall in falls))

    def ask(self, progress: Progress) -> None:
        """Ask the stops, in their order; the first that ends the search gives the reason."""
        for stop in self.stops:
            if stop(progress):
                self.reason = _name(stop)
                return

    def report(self, progress: Progress) -> None:
        """Tell the reporters."""
        for reporter in self.reporters:
            self._tell(reporter, progress)

    def _tell(self, reporter: Callable[..., Any], *arguments: Any) -> None:
        """Call a reporter, which may raise anything; the log says so once for each."""
        try:
            reporter(*arguments)
        except Exception as error:
            if id(reporter) not in self._complained:
                self._complained.add(id(reporter))
                logger.warning(
                    "the reporter %s failed (%s: %s); the search goes on, and the next failures "
                    "of this reporter are not logged",
                    _name(reporter),
                    type(error).__name__,
                    error,
                    exc_info=True,
                )

    def close(self) -> None:
        """Close the reporters that can be closed."""
        for reporter in self.reporters:
            close = getattr(reporter, "close", None)
            if callable(close):
                self._tell(close)


def takes_interrupt() -> bool:
    """Return whether this Ctrl-C is to end a search and not the program.

    A second one within ``AGAIN`` seconds is for the program. In a process of a pool, what a search
    returns would be taken for the result of the whole search, so it never ends there.
    """
    global _last_interrupt
    now = clock()
    again = now - _last_interrupt < AGAIN
    _last_interrupt = now
    return not again and parent_process() is None


def _name(function: Stop | Reporter) -> str:
    """Return how messages call a stop or a reporter."""
    return getattr(function, "__qualname__", None) or repr(function)
