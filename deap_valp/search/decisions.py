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
from itertools import chain
from typing import NamedTuple

from ..errors import ValpError
from ..genome.fitness import OK
from ..text import html_table, table
from ..variation.operators import Move
from .genealogy import Entry, entries_of

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
        achieved: How much the summed validation loss fell; NaN where it is not known.
    """

    step: int
    move: Move | None
    accepted: bool
    before: Mapping[str, float]
    after: Mapping[str, float]
    status: str = OK
    achieved: float = math.nan

    @property
    def predicted(self) -> float:
        """How much the move promised that it would fall (``Move.gain``); NaN where nothing."""
        gain = None if self.move is None else self.move.gain
        return math.nan if gain is None else gain

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

    @property
    def cells(self) -> list[list[str]]:
        """The cells of the table, its header first."""
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
        return rows

    def __str__(self) -> str:
        return table(self.cells)

    def _repr_html_(self) -> str:
        return html_table(self.cells)


def decisions(archive: Iterable[Entry]) -> Decisions:
    """Return the decisions of a search, from its ``archive``.

    There is one decision for every candidate: it was made from an individual by one move, or by
    none.

    Args:
        archive: The list that a search filled.

    Raises:
        ValpError: The archive is empty, or holds something else than entries.
    """
    entries = entries_of(archive, "decisions")
    if not entries:
        raise ValpError(
            "decisions needs the archive of a search with somebody in it, got an empty one"
        )
    known: dict[int, Mapping[str, float]] = {}
    outcomes = []
    for entry in entries:
        if entry.step > 0:
            outcomes.append(_outcome(entry, known.get(entry.seed, {})))
        if entry.ok and (entry.accepted or entry.seed not in known):
            known[entry.seed] = entry.named
    return Decisions(outcomes)


def _outcome(entry: Entry, known: Mapping[str, float]) -> Outcome:
    """Return what came of the decision that made an entry.

    Args:
        entry: Of the archive, after the start.
        known: The objectives of the same individual in an earlier entry.
    """
    before, achieved = known, math.nan
    if entry.decision is not None:
        before = entry.before
        if entry.decision.loss is not None and entry.loss is not None:
            achieved = entry.decision.loss - entry.loss
    return Outcome(
        entry.step, entry.move, entry.accepted, before, entry.named, entry.status, achieved
    )


class Promise(NamedTuple):
    """What moves promised, and what came of it: falls of the summed validation loss.

    Attributes:
        predicted: The mean that was predicted.
        achieved: The mean that came, with the training that came with it.
        correlation: Spearman's rank correlation of the two; NaN for fewer than three moves.
        moves: Number of moves of which both are known.
    """

    predicted: float
    achieved: float
    correlation: float
    moves: int


@dataclass(frozen=True)
class Payoff:
    """Whether the decisions of each group paid; ``print`` shows it as a table, in percent.

    A candidate has been trained for longer than the individual it was made of, and so would be
    better without any move. Compare its improvement with the row ``no change`` of a run with the
    policy ``retrain``, not with 0. Where moves predicted a fall of the validation loss
    (``Move.gain``), the mean prediction stands beside the mean of what was achieved.

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

    def promise(self, group: tuple[str, ...] | None = None) -> Promise:
        """Return how well the predicted gains of a group, or of all decisions, tell the achieved.

        Args:
            group: A key of ``rows``; None is for all of them.
        """
        groups = self.rows.values() if group is None else [self.rows[group]]
        pairs = [
            (outcome.predicted, outcome.achieved)
            for outcome in chain(*groups)
            if not math.isnan(outcome.predicted + outcome.achieved)
        ]
        if not pairs:
            return Promise(math.nan, math.nan, math.nan, 0)
        predicted, achieved = zip(*pairs, strict=True)
        correlation = _rank_correlation(predicted, achieved)
        return Promise(_mean(predicted), _mean(achieved), correlation, len(pairs))

    def __str__(self) -> str:
        return "\n".join([table(self.cells), *self._correlation()])

    def _repr_html_(self) -> str:
        return html_table(self.cells) + "".join(f"<p>{line}</p>" for line in self._correlation())

    def _correlation(self) -> list[str]:
        """Return the line below the table; none where nothing was promised."""
        promise = self.promise()
        if math.isnan(promise.correlation):
            return []
        found = f"{promise.correlation:.2f} ({promise.moves} moves)"
        return [f"rank correlation of predicted and achieved gain: {found}"]

    @property
    def cells(self) -> list[list[str]]:
        """The cells of the table, its header first."""
        promises = self.promise().moves > 0
        names = _objectives(chain(*self.rows.values()))
        rows = [[*self.by, "applied", "accepted", "failed", *(f"{name} %" for name in names)]]
        if promises:
            rows[0] += ["predicted", "achieved"]
        for group in self.rows:
            improved = self.improvement(group)
            counts = self.applied(group), self.accepted(group), self.failed(group)
            shares = [100 * improved.get(name, math.nan) for name in names]
            rows.append(
                [
                    *group,
                    *map(str, counts),
                    *("" if math.isnan(share) else f"{share:+.1f}" for share in shares),
                ]
            )
            if promises:
                kept = self.promise(group)
                means = kept.predicted, kept.achieved
                rows[-1] += ["" if math.isnan(mean) else f"{mean:+.3f}" for mean in means]
        return rows


def payoff(archive: Iterable[Entry], by: Sequence[str] = ("rule", "operator", "version")) -> Payoff:
    """Return whether decisions paid: how often each was applied and accepted, and what it gained.

    Args:
        archive: The list that a search filled, or the lists of several searches joined.
        by: The parts to group by: some of ``rule``, ``operator``, ``version`` and ``place``.

    Raises:
        ValpError: The archive is empty, or ``by`` is empty or names another part.
    """
    if not by or isinstance(by, str) or any(part not in PARTS for part in by):
        raise ValpError(f"payoff groups by some of {list(PARTS)}, got {by!r}")
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


def _rank_correlation(ones: Sequence[float], others: Sequence[float]) -> float:
    """Return Spearman's; NaN where one side does not vary, or there are fewer than three."""
    if len(ones) < 3 or len(set(ones)) == 1 or len(set(others)) == 1:
        return math.nan
    from scipy.stats import spearmanr

    return float(spearmanr(ones, others).statistic)


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.3g}"
