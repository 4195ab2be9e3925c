"""The candidates of a search, numbered, with what they were made of: what the page shows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ValpError
from ..genome import VALP
from ..plots.applied import START, UNCHANGED
from ..plots.pareto import nondominated
from ..plots.points import label_of, names_of, succeeded
from ..problem import Problem
from ..search.genealogy import Entry


@dataclass(frozen=True)
class Candidate:
    """One evaluation of a search.

    Attributes:
        number: Its place in the archive, from 0 on.
        entry: What the archive holds of it.
        host: The number of the candidate that it was made of, or trained on from; None at the
            start, and where that one is not in the archive.
        donors: The numbers of the candidates that donated to it.
        individual: The individual with its weights, where the caller gave it.
    """

    number: int
    entry: Entry
    host: int | None = None
    donors: tuple[int, ...] = ()
    individual: VALP | None = None

    @property
    def applied(self) -> str:
        """The operator that made it, ``START`` or ``UNCHANGED``."""
        if self.entry.move is not None:
            return self.entry.move.operator
        return START if self.host is None else UNCHANGED


@dataclass(frozen=True)
class Candidates:
    """The candidates of a search in their order, and their numbers; arrays have a row for each.

    Attributes:
        members: The candidates.
        objectives: The names of the objectives.
        labels: How axes name the objectives.
        problem: What the search was for, where it is known.
    """

    members: Sequence[Candidate]
    objectives: tuple[str, ...]
    labels: tuple[str, ...]
    problem: Problem | None = field(default=None, repr=False)

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def ok(self) -> np.ndarray:
        """Whether each was evaluated without a failure."""
        return np.array([succeeded(member.entry) for member in self.members], dtype=bool)

    @cached_property
    def values(self) -> np.ndarray:
        """The objectives, shape (candidates, objectives); NaN where the evaluation failed."""
        rows = np.array([member.entry.values for member in self.members], dtype=float)
        return np.where(self.ok[:, None], rows, np.nan)

    @cached_property
    def front(self) -> np.ndarray:
        """Whether each is in the Pareto front of all."""
        front = np.zeros(len(self), dtype=bool)
        front[self.ok] = nondominated(self.values[self.ok])
        return front

    @cached_property
    def steps(self) -> np.ndarray:
        """When each was evaluated."""
        return np.array([member.entry.step for member in self.members])

    @cached_property
    def seconds(self) -> np.ndarray:
        """The seconds of all evaluations up to and with each, those of all workers added up."""
        return np.cumsum([member.entry.seconds for member in self.members])

    @cached_property
    def accepted(self) -> np.ndarray:
        """Whether each became the incumbent, or came into the population."""
        return np.array([member.entry.accepted for member in self.members], dtype=bool)

    @cached_property
    def starts(self) -> np.ndarray:
        """Whether the search began at each."""
        return np.array([member.applied == START for member in self.members], dtype=bool)

    @property
    def applied(self) -> list[str]:
        """What made each."""
        return [member.applied for member in self.members]

    @cached_property
    def climbs(self) -> bool:
        """Whether there is one candidate a step, so that an accepted one is the incumbent."""
        return len(set(self.steps.tolist())) == len(self)

    @property
    def first(self) -> int:
        """The number of the candidate that the page shows first.

        It is the first individual that the caller gave, the last accepted member of the front, or
        the last one.
        """
        given = [member.number for member in self.members if member.individual is not None]
        chosen = np.flatnonzero(self.front & self.accepted)
        if given:
            return given[0]
        return int(chosen[-1]) if len(chosen) else len(self) - 1


def candidates_of(
    archive: Iterable[Any], individuals: Iterable[VALP], problem: Problem | None
) -> Candidates:
    """Return the candidates of an archive, with the individuals that belong to them.

    Args:
        archive: Entries, or evaluated individuals, which then are candidates of step 0.
        individuals: Evaluated ones. Those that are not in the archive follow it.
        problem: Names the axes by its scores.

    Raises:
        ValpError: Nobody is in the archive, an individual was not evaluated, something is neither
            an entry nor an individual, or candidates differ in the number of objectives.
    """
    archive, given = list(archive), list(individuals)
    entries = [_entry_of(member) for member in archive]
    known = {_key(entry): number for number, entry in enumerate(entries)}
    at: dict[int, VALP] = {}
    given += [member for member in archive if not isinstance(member, Entry)]
    last = max((entry.step for entry in entries), default=0)
    for individual in given:
        entry = _entry_of(individual, last)
        if _key(entry) not in known:
            known[_key(entry)] = len(entries)
            entries.append(entry)
        at.setdefault(known[_key(entry)], individual)
    if not entries:
        raise ValpError("report needs an archive with somebody in it, got an empty one")
    names = _names(entries)
    labels = tuple(label_of(name, problem) for name in names)
    return Candidates(_related(entries, at), names, labels, problem)


def _entry_of(member: Any, step: int = 0) -> Entry:
    if isinstance(member, Entry):
        return member
    if not isinstance(member, VALP):
        raise ValpError(
            "report needs the archive that a search filled (entries), or individuals, "
            f"got {type(member).__name__}"
        )
    if not getattr(getattr(member, "fitness", None), "valid", False):
        raise ValpError(f"report needs individuals that were evaluated, got {member!r} without")
    return Entry.about(member, step, accepted=True)


def _key(entry: Entry) -> tuple[int, tuple[float, ...]]:
    """Return what tells evaluations apart: training on gives an individual other values."""
    return entry.seed, entry.values


def _names(entries: Sequence[Entry]) -> tuple[str, ...]:
    numbers = {len(entry.values) for entry in entries}
    if len(numbers) > 1:
        raise ValpError(
            f"report needs candidates of one search, got some of {sorted(numbers)} objectives"
        )
    return names_of(entries)


def _related(entries: Sequence[Entry], at: dict[int, VALP]) -> list[Candidate]:
    """Return the candidates with what each was made of: the last evaluation of its parents."""
    latest: dict[int, int] = {}
    related = []
    for number, entry in enumerate(entries):
        parents = entry.parents
        if not parents and entry.seed in latest:
            parents = (entry.seed,)  # trained on without a change
        host = latest.get(parents[0]) if parents else None
        donors = tuple(latest[seed] for seed in parents[1:] if seed in latest)
        related.append(Candidate(number, entry, host, donors, at.get(number)))
        if entry.accepted or entry.seed not in latest:
            latest[entry.seed] = number
    return related
