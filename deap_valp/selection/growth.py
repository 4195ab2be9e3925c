"""The policy ``growth``: grow where an output lacks most, and delete what harms.

References:
    Not of the paper. Growing Tiny Networks (Verbockhaven et al. 2024) and Firefly (Wu et al. 2020)
    grow along functional gradients; here their judgement on held-out examples chooses the move.
"""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from ..arguments import is_number
from ..diagnosis import GROWTH_METRICS
from ..errors import EvaluationError, RegistrationError
from ..genome import VALP, Connection, Diagnosis, Evaluation, Gain, Place, Route
from ..variation.operators import Move, operators
from .donation import donations
from .policies import POLICIES, UNDIAGNOSED, Situation, explored
from .view import Thresholds, View

NEGLIGIBLE = 0.001
"""A connection does nothing if each loss's logarithm changes by at most this without it."""

WORST = 0.05
"""A connection is harmful only if no loss rises by this part (0.05: 5 %) without it."""

_LEAST = 1e-9


@dataclass(frozen=True)
class ByGain:
    """Grow where the predicted fall of the loss is largest, and delete what harms or is idle.

    The moves that grow, and what they promise of the fall of the normalised validation loss, summed
    over the outputs:

    - ``add_connection`` by the linear gain of ``growth_potential``, ``parallel_network`` by the
      nonlinear one, ``join_networks`` by ``pair_potential``: the share of what the receiver gets
      wrong that is explained, less what noise explains, times the loss of the output;
    - ``fork_network`` by ``connection_intervention``: what one output loses by a connection that
      another one needs;
    - a donation, in a population: the difference to the donor's loss.

    One of them is drawn, in proportion to its promise raised to ``sharpness``. In a part of the
    draws the policy deletes instead: the connection without which the losses are lowest, if that is
    lower than with it; else a sub-network that is irrelevant for every output and old enough. Where
    nothing promises a gain, it deletes as well, idle connections too. Where nothing is left to
    delete either, a random gentle macro operator explores.

    Attributes:
        deletions: Share of the draws that delete, where there is something to delete.
        sharpness: 1 draws in proportion to the score, ``math.inf`` takes the largest.
        noise: A share counts from ``noise`` / (validation examples) on. Pure noise explained at
            most so much in 12 draws.
        margin: A connection harms where the mean logarithm of the losses falls by more than this
            without it, and no loss rises by more than a twentieth.
        grace: Training sessions for which a new sub-network is exempt from deletion.
        explore: Whether a random gentle move follows where nothing is left; otherwise no change is
            made, and training goes on.
        thresholds: When a sub-network is irrelevant.

    Raises:
        RegistrationError: A number is out of range.
    """

    deletions: float = 1 / 3
    sharpness: float = 1.0
    noise: float = 8.0
    margin: float = 0.005
    grace: int = 3
    explore: bool = True
    thresholds: Thresholds = Thresholds()

    def __post_init__(self) -> None:
        for name, most in (("deletions", 1.0), ("sharpness", math.inf), ("noise", math.inf)):
            value = getattr(self, name)
            if not is_number(value) or not 0 <= value <= most:
                raise RegistrationError(
                    f"ByGain needs {name} between 0 and {most:g}, got {value!r}"
                )

    def __call__(self, situation: Situation) -> Move | None:
        """Return the move for an individual, or None if nothing should change.

        Raises:
            EvaluationError: The evaluation did not measure what the policy needs.
        """
        individual = situation.individual
        evaluation = individual.evaluation
        if evaluation is None or evaluation.diagnosis is None:
            return self._explored(individual, UNDIAGNOSED)
        lack = Lack(situation, evaluation, evaluation.diagnosis, self)
        growing = _open(lack.growing(), situation.barred)
        useless = _open(lack.useless_inputs(), situation.barred)
        if useless and self.deletions > 0:
            return max(useless, key=lambda move: move.gain or 0.0)
        if not growing or random.random() < self.deletions:
            for reducing in lack.reducing(idle=not growing):
                moves = _open(reducing, situation.barred)
                if moves:
                    return max(moves, key=lambda move: move.gain or 0.0)
        if growing:
            return self._drawn(growing)
        return self._explored(individual, "nothing promises a gain, and nothing harms")

    def _drawn(self, moves: list[Move]) -> Move:
        best = max(move.gain or 0.0 for move in moves)
        # relative to the best, so that a large power cannot overflow; inf leaves the best alone
        weights = [((move.gain or 0.0) / best) ** self.sharpness for move in moves]
        return random.choices(moves, weights)[0]

    def _explored(self, individual: VALP, why: str) -> Move | None:
        return explored(individual, why) if self.explore else None


def _open(moves: Iterable[Move], barred: Collection[tuple[str, str, str]]) -> list[Move]:
    return [move for move in moves if move.key not in barred]


POLICIES["growth"] = ByGain


# ---- what is lacking and what harms --------------------------------------------------------------


class Lack:
    """What an evaluated individual lacks, as moves that could help.

    Args:
        situation: With an individual that was evaluated as it is.
        evaluation: The individual's.
        diagnosis: The evaluation's.
        policy: Says from when on a number counts.

    Raises:
        EvaluationError: The diagnosis lacks a metric.
    """

    def __init__(
        self, situation: Situation, evaluation: Evaluation, diagnosis: Diagnosis, policy: ByGain
    ) -> None:
        need_growth_metrics(diagnosis, "growth")
        self.individual = situation.individual
        self.diagnosis = diagnosis
        self.policy = policy
        self.view = View(self.individual, diagnosis, policy.thresholds, situation.population)
        self.losses = losses_of(evaluation)
        self.floor = policy.noise / max(diagnosis.examples, 1)

    # ---- growing ---------------------------------------------------------------------------------

    def growing(self) -> Iterator[Move]:
        """Yield the legal moves that promise more than noise does."""
        direct: dict[Place, dict[str, Gain]] = {}
        through: dict[Place, dict[str, Gain]] = {}
        together: dict[Place, dict[str, Gain]] = {}
        for (place, output), growth in self.diagnosis.growth.items():
            if growth.linear is not None:
                direct.setdefault(Place.named(place), {})[output] = growth.linear
            if growth.nonlinear is not None:
                through.setdefault(Place.named(place), {})[output] = growth.nonlinear
        for (place, output), gain in self.diagnosis.pair_growth.items():
            together.setdefault(Place.named(place), {})[output] = gain
        for operator, gains in (
            ("add_connection", direct),
            ("parallel_network", through),
            ("join_networks", together),
        ):
            legal = self._legal(operator, gentle=True)
            for place, by_output in gains.items():
                if place not in legal:
                    continue
                score = self.score(by_output)
                if score > 0:
                    reason = self._explained(by_output)
                    yield Move(operator, "gentle", place, reason, "growth", gain=score)
        yield from self._forks()
        yield from self._donations()

    def _forks(self) -> Iterator[Move]:
        """Yield the forks that would free one output of a provider that other outputs need."""
        for place in operators()["fork_network"].places(self.individual, False):
            assert isinstance(place, Route)
            connection = Connection(place.provider, place.network)
            found = {}
            for output, change in self._changes(connection).items():
                if self.view.leads_to(place.receiver, output):
                    found[output] = change
            if self._harms(self._logs(found)):
                reason = f"{connection} harms, others may need it: {self._said(found)}"
                gain = -sum(found.values())
                yield Move("fork_network", "aggressive", place, reason, "growth", gain=gain)

    def _donations(self) -> Iterator[Move]:
        """Yield the donation that brings the weakest output a peer's subgraph, if it gains."""
        for move in donations(self.view, "growth"):
            assert move.donor is not None and move.donor.evaluation is not None
            theirs = losses_of(move.donor.evaluation)[move.place]
            gain = self.losses[move.place] - theirs
            if gain > 0:
                yield replace(move, gain=gain)

    def score(self, gains: Mapping[str, Gain]) -> float:
        """Return the predicted fall of the summed losses, by the gains of one place by output."""
        parts = (self._part(output, gain) for output, gain in gains.items())
        return sum(parts)

    def _part(self, output: str, gain: Gain) -> float:
        return max(gain.share - self.floor, 0.0) * self.losses[output]

    def _explained(self, gains: Mapping[str, Gain]) -> str:
        """Say which outputs a move helps, the most helped first."""
        helped = [output for output, gain in gains.items() if self._part(output, gain) > 0]
        helped.sort(key=lambda output: -self._part(output, gains[output]))
        shares = [f"{gains[output].share:.0%} of what {output} gets wrong" for output in helped]
        return f"explains {', '.join(shares)}"

    def _legal(self, operator: str, gentle: bool) -> dict[str, None]:
        """Return the legal places in the operator's order, which no hash of a string decides."""
        return dict.fromkeys(operators()[operator].places(self.individual, gentle))

    # ---- reducing --------------------------------------------------------------------------------

    def reducing(self, idle: bool) -> Iterator[Iterable[Move]]:
        """Yield groups of deletions, the most urgent first.

        Args:
            idle: Whether connections that do nothing are among them.
        """
        rises = self._rises()
        harmful = [place for place in rises if self._harms(rises[place])]
        yield [self._without(place, "harms") for place in harmful]
        yield self._irrelevant()
        if idle:
            neutral = [place for place in rises if self._does_nothing(rises[place])]
            yield [self._without(place, "does nothing") for place in neutral]

    def useless_inputs(self) -> Iterator[Move]:
        """Yield the deletions of inputs that help no output and promise nothing to any."""
        legal = self._legal("delete_input", gentle=False)
        if not legal:
            return
        promising = self._promising()
        for name in legal:
            found = self.diagnosis.change_without_input
            changes = {out: found[name, out] for out in self.losses if (name, out) in found}
            rise = self._logs(changes)
            if not rise or name in promising:
                continue
            useless = self._mean(rise) <= NEGLIGIBLE and max(rise.values()) <= self.policy.margin
            if useless or self._harms(rise):
                reason = f"no output needs {name}: {self._said(changes)}"
                gain = max(-sum(changes.values()), 0.0)
                yield Move(
                    "delete_input", "aggressive", Place(name), reason, "reduction", gain=gain
                )

    def _promising(self) -> set[str]:
        """Return the components that a new part could read and lower some loss."""
        found: set[str] = set()
        for (place, output), growth in self.diagnosis.growth.items():
            gains = [gain for gain in growth if gain is not None]
            if any(self._part(output, gain) > 0 for gain in gains):
                found.update(_providers(place))
        for (place, output), gain in self.diagnosis.pair_growth.items():
            if self._part(output, gain) > 0:
                found.update(_providers(place))
        return found

    def _rises(self) -> dict[str, dict[str, float]]:
        """Return how much each loss's logarithm rises without each deletable connection."""
        legal = self._legal("delete_connection", gentle=False)
        return {place: self._logs(self._changes(place)) for place in legal}

    def _changes(self, place: str) -> dict[str, float]:
        """Return the change of each output's loss without a connection."""
        found = self.diagnosis.change_without
        reached = (output for output in self.individual.outputs if (place, output) in found)
        return {output: found[place, output] for output in reached}

    def _logs(self, changes: Mapping[str, float]) -> dict[str, float]:
        """Turn changes of the losses into changes of their logarithms."""
        logs = {}
        for output, change in changes.items():
            before = max(self.losses[output], _LEAST)
            logs[output] = math.log(max(before + change, _LEAST) / before)
        return logs

    def _mean(self, rise: Mapping[str, float]) -> float:
        return sum(rise.values()) / len(self.losses)

    def _harms(self, rise: Mapping[str, float]) -> bool:
        if self._mean(rise) >= -self.policy.margin:
            return False
        return max(rise.values()) < math.log1p(WORST)

    def _does_nothing(self, rise: Mapping[str, float]) -> bool:
        sizes = [abs(change) for change in rise.values()]
        return bool(sizes) and max(sizes) <= NEGLIGIBLE

    def _without(self, place: str, what: str) -> Move:
        changes = self._changes(place)
        reason, gain = f"{what}: {self._said(changes)}", -sum(changes.values())
        return Move("delete_connection", "aggressive", place, reason, "reduction", gain=gain)

    def _said(self, changes: Mapping[str, float]) -> str:
        shown = []
        for output, change in sorted(changes.items(), key=lambda item: item[1]):
            shown.append(f"{output} {change / max(self.losses[output], _LEAST):+.1%}")
        return f"without it the loss of {', '.join(shown)}"

    def _irrelevant(self) -> Iterator[Move]:
        legal = self._legal("delete_network", gentle=False)
        for network, outputs in self.view.reached.items():
            if network not in legal or self.individual.age(network) <= self.policy.grace:
                continue
            if all(self.view.clearly_irrelevant(network, output) for output in outputs):
                values = [f"{self.view.relevance(network, output):.2f}" for output in outputs]
                reason = f"irrelevant for every output (relevance {', '.join(values)})"
                yield Move("delete_network", "aggressive", network, reason, "reduction")


def _providers(place: str) -> tuple[str, ...]:
    """Return the components that a new part at this place would read."""
    return Place.named(place).touched[:-1]


def need_growth_metrics(diagnosis: Diagnosis, policy: str) -> None:
    """Raise unless a diagnosis has the metrics that a policy needs.

    Raises:
        EvaluationError: It lacks one of ``GROWTH_METRICS``.
    """
    lacking = [name for name in GROWTH_METRICS if name not in diagnosis.measured]
    if lacking:
        raise EvaluationError(
            f"the policy {policy} needs the metrics {lacking} too, and the evaluation measured "
            f"{list(diagnosis.measured)}: evaluate(..., metrics=deap_valp.GROWTH_METRICS)"
        )


def losses_of(evaluation: Evaluation) -> dict[str, float]:
    """Return the normalised loss of every output.

    It is the validation loss. A session that keeps no weights does not look at the validation loss;
    then it is the mean training loss at the end of the session.
    """
    if evaluation.losses:
        return evaluation.losses
    recent = {name: losses[-evaluation.window :] for name, losses in evaluation.history.items()}
    return {name: float(losses.mean()) for name, losses in recent.items()}
