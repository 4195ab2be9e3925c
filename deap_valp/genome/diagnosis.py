"""What a diagnosis holds: the record that an evaluation carries. The room ``diagnosis`` measures it.

References:
    Paper IV-B (metrics).
"""

from __future__ import annotations

from collections.abc import Mapping
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
    """How well the target of an output can be told from the result of a sub-network, and from its providers' results.

    Between 0 (not at all) and 1 for the linear probe; in nats for the mutual information.
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
        """By output, the slope of its loss over the last training session; empty where not measured."""
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
        """By (sub-network, output that it reaches), what the linear probe told; empty where not measured."""
        return self.measured.get("dependency", {})

    def __str__(self) -> str:
        by_output = {name: values for name, values in self.measured.items() if not _by_pair(values)}
        by_pair = {name: values for name, values in self.measured.items() if _by_pair(values)}
        outputs = sorted(
            {
                key[-1] if isinstance(key, tuple) else key
                for v in self.measured.values()
                for key in v
            }
        )
        rows = [["", *outputs]]
        rows += [
            [name, *(_cell(values.get(output)) for output in outputs)]
            for name, values in by_output.items()
        ]
        for name, values in by_pair.items():
            components = sorted({key[0] for key in values}, key=lambda c: (len(c), c))
            rows += [
                [
                    f"{name} {component}",
                    *(_cell(values.get((component, output))) for output in outputs),
                ]
                for component in components
            ]
        return table(rows)


def _by_pair(values: Mapping[Any, Any]) -> bool:
    return any(isinstance(key, tuple) for key in values)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)
