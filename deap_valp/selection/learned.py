"""The policy ``learned``: it predicts the gain of every legal move from what came of others.

References:
    Not of the paper. A contextual bandit by Thompson sampling (Agrawal and Goyal 2013).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from pathlib import Path

from ..arguments import is_number, need_type
from ..errors import RegistrationError
from ..genome import VALP, Decision, Evaluation
from ..genome.fitness import log_change
from ..variation.operators import Move, moves, version_name
from .beliefs import Beliefs
from .features import WORST, Features
from .policies import POLICIES, UNDIAGNOSED, Policy, Situation, explored

SHIPPED = Path(__file__).with_name("learned.json")
"""What was learned from searches on other problems; ``examples/learn_policy.py`` makes it."""

MOST = 1.0
"""The largest gain that counts, so that no single move outweighs the others."""


class Learned:
    """Choose the move that is predicted to gain most, by what came of moves in other searches.

    Every legal move of a macro operator is looked at. Its features say what the diagnosis tells of
    it. Their weights were fitted to moves of searches on other problems. At each choice the weights
    are drawn from what is believed of them, so that a move of which little is known gets its turn
    (Thompson sampling), and the move with the largest prediction is taken. ``evaluate`` has to
    measure ``GROWTH_METRICS``, as it does by default.

    The policy goes on learning from every candidate that is given to ``feedback``. The searches of
    this package do that if the toolbox has it, and checkpoints save what was learned:
    ``toolbox.register("feedback", learned.feedback)``.

    Args:
        beliefs: What to start from; by default what ships with the package.
        exploration: Times the deviations of the weights that are drawn; 0 takes what is expected.
        openness: Times the deviations that are believed at first. Above 1, a run says more of its
            own problem than runs on others do.

    Raises:
        RegistrationError: An argument has the wrong type, or a number is negative.
    """

    def __init__(
        self, beliefs: Beliefs | None = None, exploration: float = 1.0, openness: float = 1.0
    ) -> None:
        if beliefs is not None:
            need_type(beliefs, Beliefs, "Learned", "beliefs as Beliefs", RegistrationError)
        for name, value in (("exploration", exploration), ("openness", openness)):
            if not is_number(value) or not 0 <= value < math.inf:
                raise RegistrationError(f"Learned needs {name} from 0 on, got {value!r}")
        self.beliefs = (beliefs or _shipped()).widened(openness)
        self.exploration = exploration

    def __call__(self, situation: Situation) -> Move | None:
        """Return the move for an individual, or None if no operator has a legal place.

        Raises:
            EvaluationError: The evaluation did not measure what the policy needs.
        """
        features = features_of(situation)
        if features is None:
            return explored(situation.individual, UNDIAGNOSED)
        found = [features.noted(move) for move in proposals(situation)]
        if not found:
            return None
        weights = self.beliefs.drawn(self.exploration)
        scores = [float(self.beliefs.row(move.features) @ weights) for move in found]
        best = found[max(range(len(found)), key=scores.__getitem__)]
        return self._explained(best, features)

    def _explained(self, move: Move, features: Features) -> Move:
        expected, deviation = self.beliefs.predicted(move.features)
        reason = f"predicted to lower the losses by {expected:.1%} ± {deviation:.1%}"
        # in the unit of every promise: the fall of the summed losses
        gain = -math.expm1(-expected) * sum(features.losses.values())
        key = move.operator, move.version, move.place
        return Move(*key, reason, "learned", gain=gain, features=move.features)

    def feedback(self, candidate: VALP) -> None:
        """Learn from an evaluated individual that a move with features made."""
        decision, evaluation = candidate.decision, candidate.evaluation
        if decision is None or evaluation is None or not decision.move.features:
            return
        gain = gain_of(decision, evaluation)
        if gain is not None:
            self.beliefs = self.beliefs.updated(decision.move.features, gain)


class Noted:
    """Another policy, whose moves get the features that ``Learned`` learns from.

    Args:
        policy: The policy that chooses.
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy

    def __call__(self, situation: Situation) -> Move | None:
        """Return the policy's move, with its features where the individual has a diagnosis."""
        move = self.policy(situation)
        features = features_of(situation)
        return move if move is None or features is None else features.noted(move)


POLICIES["learned"] = Learned


@functools.cache
def _shipped() -> Beliefs:
    return Beliefs.load(SHIPPED)


def features_of(situation: Situation) -> Features | None:
    """Return the features of an individual's moves; None where it has no diagnosis of its own."""
    evaluation = situation.individual.evaluation
    if evaluation is None or evaluation.diagnosis is None:
        return None
    return Features(situation, evaluation, evaluation.diagnosis)


def proposals(situation: Situation) -> Iterator[Move]:
    """Yield every legal move of a macro operator that is not barred."""
    for op, gentle, places in moves(situation.individual, "macro"):
        for place in places:
            move = Move(op.name, version_name(gentle), place)
            if move.key not in situation.barred:
                yield move


def gain_of(decision: Decision, evaluation: Evaluation) -> float | None:
    """Return what came of a move: the mean fall of the logarithms of the outputs' objectives.

    The changes are those that the acceptance ``Graded`` counts (``log_change``).

    The gain is from 0 to ``MOST``. It is 0 where the candidate is not better, failed, or lost more
    than ``WORST`` in one output: a search leaves such a candidate, and it costs no more than one
    that changed nothing. None where nothing is known of the individual before.
    """
    if not decision.before:
        return None
    if not evaluation.ok:
        return 0.0
    before, changes = dict(zip(decision.objectives, decision.before, strict=True)), []
    for name, after in evaluation.named.items():
        if name not in before or name not in evaluation.history:
            continue  # a cost, or an objective of one's own
        changes.append(log_change(name, after, before[name], evaluation, decision.losses))
    if not changes or max(changes) > math.log1p(WORST):
        return 0.0
    return min(max(0.0, -sum(changes) / len(changes)), MOST)
