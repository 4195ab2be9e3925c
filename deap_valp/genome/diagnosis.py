"""The record of a diagnosis, which an evaluation carries; the room ``diagnosis`` measures it.

References:
    Paper IV-B (metrics).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..text import table


class Slope(NamedTuple):
    """Least-squares slope of a training loss, per batch, and its standard error."""

    slope: float
    error: float

    def __str__(self) -> str:
        return f"{self.slope:.1e} ± {self.error:.0e}"


class Dependency(NamedTuple):
    """How much a sub-network's result, and its providers' results, tell of an output's target.

    From 0 (nothing) to 1 for the linear probe; in nats for the mutual information.

    Attributes:
        own: What the result of the sub-network tells.
        providers: What the results of its providers tell, side by side.
    """

    own: float
    providers: float

    @property
    def gain(self) -> float:
        """What the sub-network adds; 0 or less where it is not helpful."""
        return self.own - self.providers

    def __str__(self) -> str:
        return f"{self.own:.2f} after {self.providers:.2f}"


class Gain(NamedTuple):
    """What a change could add to an output, to first order and on validation examples.

    Attributes:
        gain: The fall of the output's validation loss for a step along the prediction.
        share: The share of what the receiver gets wrong that is explained, at most 1. Both numbers
            are about 0 or below where nothing generalises.
    """

    gain: float
    share: float

    def __str__(self) -> str:
        return f"{max(self.share, 0):.0%}"


class Growth(NamedTuple):
    """What could be added between a provider and a receiver.

    Attributes:
        linear: By a connection; None where the receiver does not take what the provider gives.
        nonlinear: By a sub-network in between; None where no kind of sub-network fits.
    """

    linear: Gain | None
    nonlinear: Gain | None

    @property
    def share(self) -> float:
        """The larger of the two shares."""
        return max(gain.share for gain in self if gain is not None)

    def __str__(self) -> str:
        return " / ".join("-" if gain is None else str(gain) for gain in self)


@dataclass(frozen=True)
class Diagnosis:
    """The measurements of one trained individual, by metric; ``print`` shows them as a table.

    Attributes:
        measured: By name of the metric, what it gave.
        examples: Number of validation examples that were looked at; 0 where it is not known.
        means: By component, the mean of its result over these examples, shape (width,). It is kept
            where ``connection_intervention`` was measured, for a deletion to use.
    """

    measured: Mapping[str, Mapping[Any, Any]]
    examples: int = 0
    means: Mapping[str, Any] = field(default_factory=dict)

    @property
    def slopes(self) -> Mapping[str, Slope]:
        """The slope of each output's loss over the last session; empty where not measured."""
        return self.measured.get("loss_slope", {})

    @property
    def relevance(self) -> Mapping[tuple[str, str], float]:
        """By (sub-network, output that it reaches), r >= 0; empty where not measured."""
        return self.measured.get("module_intervention", {})

    @property
    def input_relevance(self) -> Mapping[tuple[str, str], float]:
        """By (input, output that it reaches), r >= 0; empty where not measured."""
        return self.measured.get("input_intervention", {})

    @property
    def dependency(self) -> Mapping[tuple[str, str], Dependency]:
        """By (sub-network, output that it reaches), the linear probe; empty where not measured."""
        return self.measured.get("dependency", {})

    @property
    def growth(self) -> Mapping[tuple[str, str], Growth]:
        """By ("u->v", output that v reaches), what could be added there; empty if not measured."""
        return self.measured.get("growth_potential", {})

    @property
    def pair_growth(self) -> Mapping[tuple[str, str], Gain]:
        """By ("u*w->v", output that v reaches), what u and w could add together; may be empty."""
        return self.measured.get("pair_potential", {})

    @property
    def change_without(self) -> Mapping[tuple[str, str], float]:
        """By ("u->v", output that v reaches), the change of the validation loss without u->v.

        Below 0 the output is better without the connection. Empty where not measured.
        """
        return self.measured.get("connection_intervention", {})

    def __str__(self) -> str:
        keys = [key for values in self.measured.values() for key in values]
        outputs = sorted({key[-1] if isinstance(key, tuple) else key for key in keys})
        lines: list[list[str]] = []
        for name, values in self.measured.items():
            lines += _lines(name, values, outputs)
        # Metrics of outputs come first: their lines bear the name of the metric alone.
        lines.sort(key=lambda line: line[0] not in self.measured)
        return table([["", *outputs], *lines])


PRINTED = 8
"""Lines that a metric of gains prints, those of the largest."""


def _lines(name: str, values: Mapping[Any, Any], outputs: Sequence[str]) -> list[list[str]]:
    """Return the lines of a metric: one, or one for each component or connection."""
    places = {key[0] for key in values if isinstance(key, tuple)}
    if not values:
        return []
    if not places:
        return [[name, *(_cell(values.get(output)) for output in outputs)]]
    lines = []
    for place in _printed(values, places):
        cells = [_cell(values.get((place, output))) for output in outputs]
        lines.append([f"{name} {place}", *cells])
    return lines


def _printed(values: Mapping[Any, Any], places: Iterable[str]) -> list[str]:
    """Return the places that have a line: all by name, or those of the largest gains."""
    best: dict[str, float] = {}
    for (place, _), value in values.items():
        if isinstance(value, Gain | Growth):
            best[place] = max(value.share, best.get(place, value.share))
    if best:
        return sorted(best, key=lambda place: -best[place])[:PRINTED]
    return sorted(places, key=lambda place: (len(place), place))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if not isinstance(value, float):
        return str(value)
    # A change of a loss is small; relevance below 0.1 is rare, and then its size matters.
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.1g}"
