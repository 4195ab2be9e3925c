"""The ports of a VALP, its inputs and outputs, and the types that decide what may be connected.

References:
    Paper III; the type table of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from torch import Tensor

FEATURES, VALUES, DISCRETE, SAMPLES = "features", "values", "discrete", "samples"

OUTPUT_KINDS: dict[str, Any] = {}
"""The output kinds by name; a subclass of ``problem.OutputKind`` registers itself."""


@dataclass(frozen=True)
class Input:
    """What a model input is to a VALP: its features are ``(x - shift) * scale`` of the user's ``x``.

    ``shift`` and ``scale`` have one entry for all features, or one each.
    """

    width: int
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    gives: ClassVar[str] = "features"
    nonnegative: ClassVar[bool] = False
    entry_bias: ClassVar[str] = ""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """An input has no tensors."""
        return {}

    def __str__(self) -> str:
        return f"input {self.width}"

    def features(self, x: Tensor) -> Tensor:
        """Features of rows in the user's units, in their dtype and on their device."""
        return (x - x.new_tensor(self.shift)) * x.new_tensor(self.scale)


@dataclass(frozen=True)
class Output:
    """What a model output is to a VALP: a linear head of ``width`` rows, read as ``head * scale + shift``."""

    kind: str
    width: int
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)

    @property
    def takes(self) -> frozenset[str]:
        """The types of result that a provider of this output may give."""
        return OUTPUT_KINDS[self.kind].takes

    entry_bias: ClassVar[str] = "bias"
    entry_gain: ClassVar[float] = 1.0

    @property
    def rows(self) -> int:
        """Rows of every block through which the output reads a provider."""
        return self.width

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of the tensors of the output, the blocks of its providers apart."""
        return {"bias": (self.width,)}

    def __str__(self) -> str:
        return f"{self.kind} {self.width}"

    def predict(self, head: Tensor) -> Tensor:
        """The prediction in the user's units, in the head's dtype and on its device."""
        return OUTPUT_KINDS[self.kind].predict(self, head)


class HasPort(Protocol):
    """A target of a problem: it knows what it is to a VALP."""

    @property
    def port(self) -> Output: ...


class Ports(Protocol):
    """What a VALP needs to know of a problem: its inputs and outputs."""

    @property
    def inputs(self) -> Mapping[str, Input]: ...

    @property
    def outputs(self) -> Mapping[str, HasPort]: ...
