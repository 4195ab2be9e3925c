"""The ports of a VALP, its inputs and outputs, and the types that decide what may be connected.

References:
    Paper III; the type table of the model.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from torch import Tensor

from ..arguments import got
from ..errors import RegistrationError, StructureError
from .maps import Convolution, Maps, maps_of

FEATURES, VALUES, DISCRETE, SAMPLES = "features", "values", "discrete", "samples"
"""The types of result: a model input gives features, sub-networks give the other three."""

HEAD_KERNEL = 3
"""Height and width of the kernels through which an image reads maps of samples."""

MAPS = "maps"
"""A further type of features or values that are images, which convolutions can read."""

OUTPUT_KINDS: dict[str, Any] = {}
"""The output kinds by name; a subclass of ``problem.OutputKind`` registers itself."""


@dataclass(frozen=True)
class Input:
    """A model input as a VALP knows it.

    Its features are ``(x - shift) * scale``, where ``x`` is in the user's units.
    ``shift`` and ``scale`` have one entry for all features, or one entry for each feature.
    ``shape`` is that of one example if the features are an image, such as (28, 28), (32, 32, 3) or
    (3, 32, 32), and empty otherwise. Inputs that differ in it alone are equal.
    """

    width: int
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    shape: tuple[int, ...] = field(default=(), compare=False, metadata={"since": 3})

    gives: ClassVar[str] = FEATURES
    nonnegative: ClassVar[bool] = False
    entry_bias: ClassVar[str] = ""

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the input's tensors, of which it has none."""
        return {}

    @property
    def maps(self) -> Maps | None:
        """The maps that the features are, or None if they are no image."""
        return maps_of(self.shape)

    @property
    def given(self) -> frozenset[str]:
        """All types of the result."""
        return frozenset({FEATURES}) if self.maps is None else frozenset({FEATURES, MAPS})

    def __str__(self) -> str:
        return f"input {self.width}"

    def features(self, x: Tensor) -> Tensor:
        """Return the features of rows in the user's units, in their dtype and on their device."""
        return (x - x.new_tensor(self.shift)) * x.new_tensor(self.scale)


@dataclass(frozen=True)
class Output:
    """A model output as a VALP knows it: a linear head of ``width`` rows, read by its output kind.

    ``head * scale + shift`` is in the user's units; ``shift`` and ``scale`` have one entry for all
    rows, or one entry for each row. ``shape`` is that of one row of the target if it is an image,
    and empty otherwise. ``labels`` is a digest of the labels of the rows, in their order, and empty
    where there are none. Outputs that differ in these two alone are equal.
    """

    kind: str
    width: int
    shift: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    shape: tuple[int, ...] = field(default=(), compare=False, metadata={"since": 3})
    labels: str = field(default="", compare=False, metadata={"since": 4})

    entry_bias: ClassVar[str] = "bias"
    entry_gain: ClassVar[float] = 1.0

    @property
    def takes(self) -> frozenset[str]:
        """The types of result that a provider of this output may give."""
        takes: frozenset[str] = self._kind().takes
        return takes

    @property
    def draws_samples(self) -> bool:
        """Whether this output is scored on rows that the model draws from noise."""
        draws_samples: bool = self._kind().draws_samples
        return draws_samples

    @property
    def plain(self) -> bool:
        """Whether training has the user's units: the shift is 0, and the scale 1, throughout."""
        return not any(self.shift) and set(self.scale) == {1.0}

    @property
    def rows(self) -> int:
        """Rows of every block through which the output reads a provider."""
        return self.width

    @property
    def maps(self) -> Maps | None:
        """The maps that the target is, or None if it is no image."""
        return maps_of(self.shape)

    def convolution(self, provider: Any) -> Convolution | None:
        """Return the convolution through which an image reads samples that are maps, or None."""
        maps = self.maps
        if maps is None or not provider.given >= {SAMPLES, MAPS}:
            return None
        size = maps.height, maps.width
        return Convolution(provider.maps, size, maps.channels, HEAD_KERNEL, 1, maps.planes)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the output's own tensors, without the blocks of its providers."""
        return {"bias": (self.width,)}

    def __str__(self) -> str:
        return f"{self.kind} {self.width}"

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher performance is better: an accuracy, not an error."""
        higher: bool = self._kind().higher_is_better
        return higher

    def predict(self, head: Tensor) -> Tensor:
        """Return the prediction in the user's units, in the head's dtype and on its device."""
        prediction: Tensor = self._kind().predict(self, head)
        return prediction

    def _kind(self) -> Any:
        try:
            return OUTPUT_KINDS[self.kind]
        except KeyError:
            raise RegistrationError(
                f"an output needs a kind among {list(OUTPUT_KINDS)}, got {self.kind!r}: import the "
                "module that defines this kind"
            ) from None


class HasPort(Protocol):
    """A target of a problem, with the port that a VALP sees of it."""

    @property
    def port(self) -> Output: ...


class Ports(Protocol):
    """What a VALP needs to know of a problem: its inputs and outputs."""

    @property
    def inputs(self) -> Mapping[str, Input]: ...

    @property
    def outputs(self) -> Mapping[str, HasPort]: ...

    @property
    def training_size(self) -> int: ...


def need_ports(problem: Any, who: str) -> None:
    """Raise ``StructureError`` unless an argument is a problem: it has inputs and outputs by name.

    A VALP has names of inputs and outputs too, but no mappings of them.
    """
    ports = [getattr(problem, role, None) for role in ("inputs", "outputs")]
    if isinstance(problem, type) or not all(isinstance(port, Mapping) for port in ports):
        raise StructureError(f"{who} needs problem as a Problem, got {got(problem)}")


def each_feature(port: Input | Output, field: str) -> tuple[float, ...]:
    """Return the numbers of the units of a port, one for each of its features."""
    units: tuple[float, ...] = getattr(port, field)
    return units * port.width if len(units) == 1 else units
