"""The decisions of a search, and whether they paid.

A decision is the choice of a move for an individual. The candidate that the move makes is then
evaluated and compared with the individual that it was made of.

References:
    Paper VII-D and Fig. 4: a selected operator is judged by comparing its candidate with the
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
"""The parts of a move by which ``payoff`` can group decisions."""


@dataclass(frozen=True)
class Outcome:
    """One decision and its result.

    Attributes:
        step: The step in which the candidate was evaluated.
        move: The move; None where nothing was changed and training went on.
        accepted: Whether the candidate became the incumbent or entered the population.
        before: The objectives, by name, of the individual that was changed; empty where it had no
            evaluation, or a failed one.
        after: The objectives of the candidate by name.
        status: ``"ok"``, or the reason why the evaluation of the candidate failed.
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
        """The relative fall of every objective: 0.1 is 10 % less; a number below 0 is a rise.

        It is NaN where the candidate failed, or where the value before is not known.
        """
        if self.failed:
            return dict.fromkeys(self.after, math.nan)
        return {
            name: _gone(self.before.get(name, math.nan), value)
            for name, value in self.after.items()
        }

    def key(self, by: Sequence[str]) -> tuple[str, ...]:
        """Return the group that the decision belongs to, one name for each part in ``by``.

        Where there was no move, ``operator`` is ``no change`` and the other parts are empty.
        """
        if self.move is None:
            return tuple("no change" if part == "operator" else "" for part in by)
        return tuple(getattr(self.move, part) for part in by)


def _gone(before: float, after: float) -> float:
    if before == after:
        return 0.0
    return (before - after) / abs(before) if before else math.nan


class Decisions(tuple[Outcome, ...]):
    """The decisions of a search, in their order; ``print`` shows them as a table."""

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
    """Return the decisions of a search, from its ``archive``.

    There is one decision for every candidate: it was made from an individual by one move, or by
    none.

    Args:
        archive: The list that a search filled.

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
    """Whether the decisions of each group paid; ``print`` shows it as a table, in percent.

    A candidate has been trained for longer than the individual it was made of, and so would be
    better without any move. Compare its improvement with the row ``no change`` of a run with the
    policy ``retrain``, not with 0.

    Attributes:
        by: The parts of a move by which the decisions are grouped.
        rows: The decisions of each group, the most frequent group first.
    """

    by: tuple[str, ...]
    rows: Mapping[tuple[str, ...], Sequence[Outcome]]

    def applied(self, group: tuple[str, ...]) -> int:
        """Return the number of decisions in the group."""
        return len(self.rows[group])

    def accepted(self, group: tuple[str, ...]) -> int:
        """Return the number of decisions in the group whose candidate was accepted."""
        return sum(outcome.accepted for outcome in self.rows[group])

    def failed(self, group: tuple[str, ...]) -> int:
        """Return the number of decisions in the group whose candidate failed in its evaluation."""
        return sum(outcome.failed for outcome in self.rows[group])

    def improvement(self, group: tuple[str, ...]) -> dict[str, float]:
        """Return the mean of ``Outcome.improvement`` by objective, over the known ones.

        It is NaN where no improvement in the group is known.
        """
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
    """Return whether decisions paid: how often each was applied and accepted, and what it gained.

    Args:
        archive: The list that a search filled, or the lists of several searches joined.
        by: The parts to group by: some of ``rule``, ``operator``, ``version`` and ``place``.

    Raises:
        ValpError: The archive is empty, or ``by`` is empty or names another part.
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
