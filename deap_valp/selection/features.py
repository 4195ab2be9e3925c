"""What is known of a move before it is made, as numbers that mean the same in every problem.

The policy ``learned`` predicts by them what comes of a move. No number depends on names, units or
the order of outputs: losses are in units of ignorance (1 is what the mean of the targets has),
gains are shares, sizes are logarithms.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

from ..genome import Connection, Diagnosis, Evaluation, Gain, Place, Route
from ..variation.operators import Move, operators
from .growth import losses_of, need_growth_metrics
from .policies import Situation
from .view import Thresholds, View

NOISE = 8.0
"""A share that a probe explains counts from ``NOISE`` / (validation examples) on."""

WORST = 0.1
"""A search leaves a candidate that lost more than this part in one output (``Graded``)."""

_LEAST = 1e-9


class Features:
    """The features of every move of one diagnosed individual.

    Args:
        situation: With an individual that was evaluated as it is.
        evaluation: The individual's.
        diagnosis: The evaluation's.

    Raises:
        EvaluationError: The diagnosis lacks a metric.
    """

    def __init__(self, situation: Situation, evaluation: Evaluation, diagnosis: Diagnosis) -> None:
        need_growth_metrics(diagnosis, "learned")
        self.individual = situation.individual
        self.diagnosis = diagnosis
        self.view = View(self.individual, diagnosis, Thresholds())
        self.losses = losses_of(evaluation)
        self.floor = NOISE / max(diagnosis.examples, 1)
        self.weights = math.log10(self.individual.weight_count / max(diagnosis.examples, 1)) - 2

    def noted(self, move: Move) -> Move:
        """Return the move with its features."""
        return replace(move, features=self.of(move))

    def of(self, move: Move) -> dict[str, float]:
        """Return the features of a move by name; those that are 0 may be left out.

        What the diagnosis says stands under the class of the move, because what helps an addition
        says nothing of a deletion. What a move takes away stands under its operator too.
        """
        effect, place = operators()[move.operator].effect, Place.named(move.place)
        group = f"{move.version} {effect}" if effect == "extender" else effect
        rises = [self._log_rise(*change) for change in self._changes(move, place).items()]
        relief = max(-sum(rises) / len(self.losses), 0.0)
        refused = max([*rises, 0.0]) > math.log1p(WORST)
        told = {"relief": relief, "refused": float(refused)}
        if effect == "extender":
            told["promise"] = self._promise(move, place)
        if effect == "reducer":
            told |= self._touched(place)
        found = {group: 1.0, f"{move.operator} {move.version}": 1.0, **self._behind(place)}
        found |= {f"{group}: {name}": number for name, number in told.items() if number}
        if relief:
            found[f"{move.operator}: relief"] = relief
        return found

    # ---- the place -------------------------------------------------------------------------------

    def _behind(self, place: Place) -> dict[str, float]:
        """Return what is known of the outputs that a place leads to, and the individual's size."""
        served = [output for output in self.losses if self.view.leads_to(place.component, output)]
        served = served or list(self.losses)
        kinds = [self.individual.component(output).kind for output in served]
        total = sum(map(self._clipped_loss, self.losses)) or 1.0
        return {
            "share of loss": sum(map(self._clipped_loss, served)) / total,
            "classes": kinds.count("classification") / len(kinds),
            "generates": kinds.count("generation") / len(kinds),
            "weights": self.weights,
        }

    def _clipped_loss(self, output: str) -> float:
        return _clipped(self.losses[output], 0.0, 2.0)

    def _touched(self, place: Place) -> dict[str, float]:
        """Return how relevant and how young the sub-networks at a place are."""
        touched = [name for name in place.touched if name in self.individual.networks]
        ages = [self.individual.age(name) for name in touched]
        return {
            "relevance": max(map(self._relevance, touched), default=0.0),
            "young": max((1 / (1 + age) for age in ages), default=0.0),
        }

    def _relevance(self, network: str) -> float:
        """Return the logarithm of the largest relevance of a sub-network, clipped."""
        found = [self.view.relevance(network, output) for output in self.view.reached[network]]
        return _clipped(math.log(max([*found, 1.0])), 0.0, 2.0)

    # ---- what the diagnosis promises -------------------------------------------------------------

    def _promise(self, move: Move, place: Place) -> float:
        """Return the largest predicted fall of an output's logarithmic loss by what is added."""
        shares = [gain.share - self.floor for gain in self._gains(move.operator, place)]
        return -math.log(1 - _clipped(max(shares, default=0.0), 0.0, 0.9))

    def _gains(self, operator: str, place: Place) -> Iterator[Gain]:
        """Yield what a new part at a place could add to each output."""
        places: list[Place] = [place]
        if operator == "clone_network":
            providers = self.individual.providers(place)
            places = [Connection(provider, place) for provider in providers]
        part = "linear" if operator == "add_connection" else "nonlinear"
        for name in places:
            for output in self.losses:
                gain = self.diagnosis.pair_growth.get((name, output))
                if (name, output) in self.diagnosis.growth:
                    gain = getattr(self.diagnosis.growth[name, output], part)
                if gain is not None:
                    yield gain

    def _changes(self, move: Move, place: Place) -> dict[str, float]:
        """Return the measured changes of the losses without what the move takes away, if any."""
        without, measured = str(place), self.diagnosis.change_without
        if isinstance(place, Route):
            without = Connection(place.provider, place.network)
        elif place in self.individual.inputs:
            measured = self.diagnosis.change_without_input
        elif operators()[move.operator].effect != "reducer":
            return {}
        found = {}
        for output in self.losses:
            if (without, output) in measured:
                # a fork frees the outputs behind its receiver, and leaves the others as they are
                if not isinstance(place, Route) or self.view.leads_to(place.receiver, output):
                    found[output] = measured[without, output]
        return found

    def _log_rise(self, output: str, change: float) -> float:
        before = max(self.losses[output], _LEAST)
        return _clipped(math.log(max(before + change, _LEAST) / before), -1.0, 1.0)


def _clipped(number: float, least: float, most: float) -> float:
    return min(max(number, least), most) if math.isfinite(number) else most
