"""The record of a diagnosis, which is a part of an evaluation. The room ``diagnosis`` measures it.

References:
    Paper IV-B (metrics).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..text import table


class Slope(NamedTuple):
    """The least-squares slope of a training loss per batch, and its standard error."""

    slope: float
    error: float

    def __str__(self) -> str:
        return f"{self.slope:.1e} ± {self.error:.0e}"


class Dependency(NamedTuple):
    """How well an output's target can be predicted from a sub-network, and from its providers.

    With the linear probe, a number goes from 0 (not at all) to 1. With the mutual information, it
    is in nats.

    Attributes:
        own: The prediction from the result of the sub-network.
        providers: The prediction from the results of its providers side by side.
    """

    own: float
    providers: float

    @property
    def gain(self) -> float:
        """The difference that the sub-network makes; 0 or less where it is not helpful."""
        return self.own - self.providers

    def __str__(self) -> str:
        return f"{self.own:.2f} after {self.providers:.2f}"


class Gain(NamedTuple):
    """What a new part could add to an output, to first order and on validation examples.

    The gradient of the output's loss says in which direction the receiver of the new part should
    move for each example. A prediction of this direction is fitted on training examples.

    Attributes:
        gain: The fall of the output's validation loss for a step along the prediction.
        share: The share of the direction that the prediction explains, at most 1. Both numbers are
            about 0 or below where the prediction does not generalise.
    """

    gain: float
    share: float

    def __str__(self) -> str:
        return f"{max(self.share, 0):.0%}"


class Growth(NamedTuple):
    """What could be gained by a new part between a provider and a receiver.

    Attributes:
        linear: The gain of a connection; None where the receiver does not take what the provider
            gives.
        nonlinear: The gain of a sub-network in between; None where no kind of sub-network fits.
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
        measured: The values of each metric, by its name.
        examples: The number of validation examples that were used; 0 where it is not known.
        means: The mean result of each component over these examples, shape (width,). It is kept
            where ``connection_intervention`` was measured, since a deletion can use it.
    """

    measured: Mapping[str, Mapping[Any, Any]]
    examples: int = 0
    means: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def slopes(self) -> Mapping[str, Slope]:
        """The slope of each output's loss over the last session; empty where not measured."""
        return self.measured.get("loss_slope", {})

    @property
    def relevance(self) -> Mapping[tuple[str, str], float]:
        """The relevance of a sub-network for an output that it reaches, by (sub-network, output).

        It is the factor by which the output gets worse without the sub-network, so 1 means that
        nothing is lost. Empty where not measured.
        """
        return self.measured.get("module_intervention", {})

    @property
    def input_relevance(self) -> Mapping[tuple[str, str], float]:
        """The relevance of an input for an output that it reaches, by (input, output).

        Empty where not measured.
        """
        return self.measured.get("input_intervention", {})

    @property
    def dependency(self) -> Mapping[tuple[str, str], Dependency]:
        """The linear probe by (sub-network, output that it reaches); empty where not measured."""
        return self.measured.get("dependency", {})

    @property
    def growth(self) -> Mapping[tuple[str, str], Growth]:
        """The possible gain by ("u->v", output that v reaches); empty where not measured."""
        return self.measured.get("growth_potential", {})

    @property
    def pair_growth(self) -> Mapping[tuple[str, str], Gain]:
        """The possible gain of u and w together, by ("u*w->v", output that v reaches).

        Empty where not measured.
        """
        return self.measured.get("pair_potential", {})

    @property
    def change_without(self) -> Mapping[tuple[str, str], float]:
        """The change of the validation loss without u->v, by ("u->v", output that v reaches).

        Below 0, the output is better without the connection. Empty where not measured.
        """
        return self.measured.get("connection_intervention", {})

    @property
    def change_without_input(self) -> Mapping[tuple[str, str], float]:
        """The change of the validation loss without an input, by (input, output that it reaches).

        Below 0, the output is better without the input. Empty where not measured.
        """
        return self.measured.get("input_removal", {})

    def __str__(self) -> str:
        keys = [key for values in self.measured.values() for key in values]
        outputs = sorted({key[-1] if isinstance(key, tuple) else key for key in keys})
        lines: list[list[str]] = []
        for name, values in self.measured.items():
            lines += _lines(name, values, outputs)
        # Metrics of outputs come first. Their lines begin with the name of the metric alone.
        lines.sort(key=lambda line: line[0] not in self.measured)
        return table([["", *outputs], *lines])


PRINTED = 8
"""The number of lines that are printed of a metric of gains; the largest gains are shown."""


def _lines(name: str, values: Mapping[Any, Any], outputs: Sequence[str]) -> list[list[str]]:
    """Return the lines of a metric: one line, or one for each component or connection."""
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
    """Return the places that have a line: all of them, or those with the largest gains."""
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
    # The change of a loss is mostly below 0.1, where two decimals would not show it.
    return f"{value:.2f}" if abs(value) >= 0.1 or value == 0 else f"{value:.1g}"
