"""What may end a search before its last step: time, patience, a target, a function of the user's.

A stop is a callable from a ``Progress`` to whether the search ends. It is asked after every step
and keeps nothing to itself, so a search that goes on from a checkpoint stops where it would have.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ..arguments import is_number, need_whole
from ..errors import ValpError
from .progress import Progress, objectives_of

Stop = Callable[[Progress], Any]
Until = Stop | Iterable[Stop] | None
"""What the searches take as ``until``: a stop, several of which any ends the search, or None."""


@dataclass(frozen=True)
class Seconds:
    """End a search after the step in which so many seconds are over.

    A step is never cut short, so the search ends as much later as its last step takes. The time
    before a kill counts, as far as the last saved state.

    Raises:
        ValpError: The number is not above 0.
    """

    seconds: float

    def __post_init__(self) -> None:
        _need_positive("Seconds", self.seconds)

    def __call__(self, progress: Progress) -> bool:
        """Return whether the time is over."""
        return progress.seconds >= self.seconds


@dataclass(frozen=True)
class Minutes:
    """End a search after so many minutes, as ``Seconds`` does."""

    minutes: float

    def __post_init__(self) -> None:
        _need_positive("Minutes", self.minutes)

    def __call__(self, progress: Progress) -> bool:
        """Return whether the time is over."""
        return progress.seconds >= 60 * self.minutes


@dataclass(frozen=True)
class Hours:
    """End a search after so many hours, as ``Seconds`` does."""

    hours: float

    def __post_init__(self) -> None:
        _need_positive("Hours", self.hours)

    def __call__(self, progress: Progress) -> bool:
        """Return whether the time is over."""
        return progress.seconds >= 3600 * self.hours


@dataclass(frozen=True)
class Patience:
    """End a search that has not improved for so many steps.

    A step improves the search if, after it, a member of the population has a lower value of an
    objective than any member had before. The population of ``hillClimbing`` is its incumbent.

    Attributes:
        steps: The number of steps in a row without an improvement. A step is a candidate in
            ``hillClimbing`` and ``eaSteadyState``, and a generation in the others.
        of: The objective that has to improve. None means any.
        least: An improvement is a fall by more than this part of the value; 0.01 is 1 %.

    Raises:
        ValpError: ``steps`` is not a whole number from 1 on, or ``least`` is not from 0 on and
            below 1.
    """

    steps: int
    of: str | None = None
    least: float = 0.0

    def __post_init__(self) -> None:
        need_whole(self.steps, 1, "Patience", "steps")
        if not is_number(self.least) or not 0 <= self.least < 1:
            raise ValpError(f"Patience needs least from 0 on and below 1, got {self.least!r}")

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives that the user named."""
        return () if self.of is None else (self.of,)

    def __call__(self, progress: Progress) -> bool:
        """Return whether the patience is at its end."""
        improved, reached = 0, dict[str, float]()
        for fall in progress.falls:
            if self.of not in (None, fall.objective):
                continue
            before = reached.get(fall.objective)
            if before is None or fall.value < before - self.least * abs(before):
                improved, reached[fall.objective] = fall.step, fall.value
        return progress.step - improved >= self.steps


class Target:
    """End a search as soon as one member of the population reaches all of these objectives.

    >>> Target(label=0.05, size=1e4)
    Target(label=0.05, size=10000.0)

    Args:
        objectives: The value by objective that has to be reached or undercut.

    Raises:
        ValpError: No objective is named, or a value is not a number.
    """

    def __init__(self, **objectives: float) -> None:
        if not objectives:
            raise ValpError("Target needs an objective to reach, as in Target(label=0.05)")
        for name, value in objectives.items():
            if not is_number(value) or math.isnan(value):
                raise ValpError(f"Target needs {name} as a number, got {value!r}")
        self.values = objectives

    @property
    def objectives(self) -> tuple[str, ...]:
        """The objectives that the user named."""
        return tuple(self.values)

    def __call__(self, progress: Progress) -> bool:
        """Return whether a member of the population reaches the target."""
        return any(self._reached(objectives_of(member)) for member in progress.population)

    def _reached(self, values: dict[str, float]) -> bool:
        return bool(values) and all(values[name] <= top for name, top in self.values.items())

    def __repr__(self) -> str:
        return f"Target({', '.join(f'{name}={value!r}' for name, value in self.values.items())})"


def stops_of(until: Until) -> tuple[Stop, ...]:
    """Return what a user gave as ``until`` as a tuple.

    Raises:
        ValpError: Something in it cannot be called.
    """
    if until is None:
        return ()
    several = isinstance(until, Iterable) and not isinstance(until, str | type)
    stops: tuple[Any, ...] = tuple(until) if several else (until,)  # type: ignore[arg-type]
    for stop in stops:
        if not callable(stop) or isinstance(stop, type):
            raise ValpError(
                "until needs Minutes(2), Patience(20), Target(label=0.05), a function of a "
                f"Progress, or a list of these, got {stop!r}"
            )
    return stops


def check_objectives(stops: Iterable[Stop], known: Iterable[str]) -> None:
    """Raise ``ValpError`` where a stop names an objective that the search does not have."""
    known = tuple(known)
    for stop in stops:
        unknown = [name for name in getattr(stop, "objectives", ()) if name not in known]
        if unknown:
            raise ValpError(f"{stop!r} needs objectives among {list(known)}, got {unknown}")


def _need_positive(who: str, value: Any) -> None:
    if not is_number(value) or not value > 0:
        raise ValpError(f"{who} needs a number above 0, got {value!r}")
