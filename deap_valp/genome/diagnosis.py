"""The record of a diagnosis, which an evaluation carries; the room ``diagnosis`` measures it.

References:
    Paper IV-B (metrics).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Diagnosis:
    """The measurements of one trained individual, by metric; ``print`` shows them as a table.

    Attributes:
        measured: By name of the metric, what it gave.
    """

    measured: Mapping[str, Mapping[Any, Any]]

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

    def __str__(self) -> str:
        keys = [key for values in self.measured.values() for key in values]
        outputs = sorted({key[-1] if isinstance(key, tuple) else key for key in keys})
        lines: list[list[str]] = []
        for name, values in self.measured.items():
            lines += _lines(name, values, outputs)
        # Metrics of outputs come first: their lines bear the name of the metric alone.
        lines.sort(key=lambda line: line[0] not in self.measured)
        return table([["", *outputs], *lines])


def _lines(name: str, values: Mapping[Any, Any], outputs: Sequence[str]) -> list[list[str]]:
    """Return the lines of a metric: one, or one for each component or connection."""
    places = {key[0] for key in values if isinstance(key, tuple)}
    if not places:
        return [[name, *(_cell(values.get(output)) for output in outputs)]]
    rows = []
    for place in sorted(places, key=lambda place: (len(place), place)):
        cells = [_cell(values.get((place, output))) for output in outputs]
        rows.append([f"{name} {place}", *cells])
    return rows


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if isinstance(value, float) else str(value)
