"""The registry of metrics: ``metric`` adds to it, ``ALL_METRICS`` is a live view of its names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from ..arguments import got
from ..errors import RegistrationError
from .subject import Subject

Metric = Callable[[Subject], Mapping[Any, Any]]
METRICS: dict[str, Metric] = {}
"""The registered metrics by name."""

GROWTH_METRICS = (
    "module_intervention",
    "growth_potential",
    "pair_potential",
    "connection_intervention",
    "input_removal",
)
"""What the policy ``growth`` needs."""

DEFAULT_METRICS = ("loss_slope", *GROWTH_METRICS)
"""What the default policy needs, and the paper's guidelines (VII-A)."""


class AllMetrics(Sequence[str]):
    """The names of all metrics, those of ``DEFAULT_METRICS`` first.

    This is a view: it shows a metric from the moment that ``metric`` registers it. It pickles as a
    reference, so another process sees the metrics that are registered there.
    """

    def _names(self) -> tuple[str, ...]:
        others = (name for name in METRICS if name not in DEFAULT_METRICS)
        return (*DEFAULT_METRICS, *others)

    def __getitem__(self, index: Any) -> Any:
        return self._names()[index]

    def __len__(self) -> int:
        return len(self._names())

    def __repr__(self) -> str:
        return repr(self._names())

    def __reduce__(self) -> str:
        return "ALL_METRICS"


ALL_METRICS = AllMetrics()
"""All that look at one model; relative performance, the fifth of the paper, is ``rank``."""


def metric(function: Metric) -> Metric:
    """Register a metric under the name of its function.

    Args:
        function: Takes a ``Subject`` and returns a dictionary by output or by (component, output).
            The component may be a connection, ``"u->v"``. A subject has the trained ``model``, the
            ``problem``, about 1,000 validation examples (``data``), the result of every component
            on them (``intact``, shapes (examples, width)), the loss of every output
            (``intact_losses``), the training losses of the last session (``history``) and a
            ``seed`` for draws.

    Raises:
        RegistrationError: The argument is not a function, or its name is taken by a function of
            another module.
    """
    if not callable(function) or not hasattr(function, "__name__"):
        raise RegistrationError(f"metric needs a function, got {got(function)}")
    known = METRICS.get(function.__name__)
    if known is not None and known.__module__ != function.__module__:
        raise RegistrationError(
            f"metric needs a name that is not registered, got {function.__name__!r}: "
            f"{known.__module__} has it already"
        )
    METRICS[function.__name__] = function
    return function


def known_metrics(metrics: Iterable[str]) -> tuple[str, ...]:
    """Return the names as a tuple; a single name may come as a string.

    Raises:
        RegistrationError: A metric is unknown.
    """
    if not isinstance(metrics, Iterable):
        raise RegistrationError(
            f"diagnosis needs metrics among {list(ALL_METRICS)}, got {got(metrics)}"
        )
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise RegistrationError(f"diagnosis needs metrics among {list(ALL_METRICS)}, got {unknown}")
    return names
