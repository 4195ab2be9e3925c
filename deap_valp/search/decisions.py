"""What the decisions of a search were, and whether they paid.

References:
    Paper VII-D and Fig. 4: a selected operator counts by what its candidate is worth beside the
    incumbent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import ValpError
from ..genome.fitness import OK
from ..text import table
from ..variation.operators import Move
from .genealogy import Entry

PARTS = ("rule", "operator", "version", "place")
"""What ``payoff`` can group decisions by."""


@dataclass(frozen=True)
class Outcome:
    """One decision, and what came of it.

    Attributes:
        step: When the candidate was evaluated.
        move: What was done; None where nothing was changed and training went on.
        accepted: Whether the candidate became the incumbent, or came into the population.
        before: Objectives by name of what was changed; empty where it had not been evaluated, or
            its evaluation failed.
        after: Objectives by name of the candidate.
        status: ``"ok"``, or why the evaluation of the candidate failed.
    """

    step: int
    move: Move | None
    accepted: bool
    before: Mapping[str, float]
    after: Mapping[str, float]
    status: str = OK

    @property
    def failed(self) -> bool:
        """Whether the evaluation of the candidate failed."""
        return self.status != OK

    @property
    def improvement(self) -> dict[str, float]:
        """By objective, the part of the value before that is gone: 0.1 for 10 % less, below 0 where it grew.

        NaN where the candidate failed, or nothing is known from before.
        """
        if self.failed:
            return dict.fromkeys(self.after, math.nan)
        return {
            name: _gone(self.before.get(name, math.nan), value)
            for name, value in self.after.items()
        }

    def key(self, by: Sequence[str]) -> tuple[str, ...]:
        """The group it belongs to; ``no change`` without a move."""
        if self.move is None:
            return tuple("no change" if part == "operator" else "" for part in by)
        return tuple(getattr(self.move, part) for part in by)


def _gone(before: float, after: float) -> float:
    if before == after:
        return 0.0
    return (before - after) / abs(before) if before else math.nan


class Decisions(tuple[Outcome, ...]):
    """The decisions of a search in order; ``print`` shows them as a table."""

    def __str__(self) -> str:
        names = _objectives(self)
        rows = [["step", "rule", "move", *names, "accepted"]]
        for outcome in self:
            move = outcome.move
            what = "no change" if move is None else f"{move.version} {move.operator}({move.place})"
            values = [
                f"{_number(outcome.before.get(name))} > {_number(outcome.after[name])}"
                for name in names
            ]
            cells = ["failed"] * len(names) if outcome.failed else values
            rows.append(
                [
                    str(outcome.step),
                    move.rule if move else "",
                    what,
                    *cells,
                    "yes" if outcome.accepted else "",
                ]
            )
        return table(rows)


def decisions(archive: Iterable[Entry]) -> Decisions:
    """What a search decided, from its ``archive``: every candidate that was made from another by one move or by none.

    Args:
        archive: As a search filled it.

    Raises:
        ValpError: The archive is empty.
    """
    entries = list(archive)
    if not entries:
        raise ValpError(
            "decisions needs the archive of a search with somebody in it, got an empty one"
        )
    known: dict[int, Mapping[str, float]] = {}
    outcomes = []
    for entry in entries:
        if entry.step > 0:
            before = known.get(entry.seed, {}) if entry.decision is None else entry.before
            outcomes.append(
                Outcome(entry.step, entry.move, entry.accepted, before, entry.named, entry.status)
            )
        if entry.ok and (entry.accepted or entry.seed not in known):
            known[entry.seed] = entry.named
    return Decisions(outcomes)


@dataclass(frozen=True)
class Payoff:
    """Whether decisions of each sort paid; ``print`` shows it as a table, in percent.

    A candidate has been trained for longer than what it was made of, so compare with the row ``no
    change`` of a run with the policy ``retrain``, not with 0.

    Attributes:
        by: What the decisions are grouped by.
        rows: The outcomes by group, the most frequent group first.
    """

    by: tuple[str, ...]
    rows: Mapping[tuple[str, ...], Sequence[Outcome]]

    def applied(self, group: tuple[str, ...]) -> int:
        """How often it was applied."""
        return len(self.rows[group])

    def accepted(self, group: tuple[str, ...]) -> int:
        """How often its candidate was accepted."""
        return sum(outcome.accepted for outcome in self.rows[group])

    def failed(self, group: tuple[str, ...]) -> int:
        """How often the evaluation of its candidate failed."""
        return sum(outcome.failed for outcome in self.rows[group])

    def improvement(self, group: tuple[str, ...]) -> dict[str, float]:
        """By objective, the mean of ``Outcome.improvement`` where it is known; NaN where it never is."""
        all_ = [outcome.improvement for outcome in self.rows[group]]
        return {
            name: _mean([found.get(name, math.nan) for found in all_])
            for name in _objectives(self.rows[group])
        }

    def __str__(self) -> str:
        names = _objectives([outcome for outcomes in self.rows.values() for outcome in outcomes])
        rows = [[*self.by, "applied", "accepted", "failed", *(f"{name} %" for name in names)]]
        for group in self.rows:
            means = self.improvement(group)
            counts = self.applied(group), self.accepted(group), self.failed(group)
            shares = [100 * means.get(name, math.nan) for name in names]
            rows.append(
                [
                    *group,
                    *map(str, counts),
                    *("" if math.isnan(share) else f"{share:+.1f}" for share in shares),
                ]
            )
        return table(rows)


def payoff(archive: Iterable[Entry], by: Sequence[str] = ("rule", "operator", "version")) -> Payoff:
    """Did it pay: per rule and operator, how often applied, how often accepted, and the mean improvement.

    Args:
        archive: As a search filled it, or those of several searches one after the other.
        by: What to group by, among ``rule``, ``operator``, ``version``, ``place``.

    Raises:
        ValpError: The archive is empty, or ``by`` names something else.
    """
    if not by or any(part not in PARTS for part in by):
        raise ValpError(f"payoff groups by some of {list(PARTS)}, got {list(by)}")
    groups: dict[tuple[str, ...], list[Outcome]] = {}
    for outcome in decisions(archive):
        groups.setdefault(outcome.key(by), []).append(outcome)
    return Payoff(
        tuple(by), dict(sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])))
    )


def _objectives(outcomes: Iterable[Outcome]) -> list[str]:
    return list(dict.fromkeys(name for outcome in outcomes for name in outcome.after))


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"
