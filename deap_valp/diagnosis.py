"""What a trained model shows about its parts: one function per metric.

References:
    Paper IV-B (metrics).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from . import device as devices
from .errors import EvaluationError, RegistrationError
from .genome import VALP
from .model import Latents, Model, decode
from .problem import Problem

EXAMPLES = 1000
"""Validation examples that interventions are measured on."""

CAP = 100.0
"""Largest relevance reported: past it, only the size of the ruin differs."""


class Slope(NamedTuple):
    """Least-squares slope of a training loss, per batch, and its standard error."""

    slope: float
    error: float

    def __str__(self) -> str:
        return f"{self.slope:.1e} ± {self.error:.0e}"


@dataclass(frozen=True)
class Subject:
    """What metrics look at: a trained model, what it was trained for, how its losses fell, and a seed."""

    model: Model
    problem: Problem
    history: Mapping[str, np.ndarray]
    seed: int


Metric = Callable[[Subject], Mapping[Any, Any]]
_REGISTRY: dict[str, Metric] = {}


def metric(function: Metric) -> Metric:
    """Register a metric: ``function(subject)`` gives a dictionary by output, or by (component, output).

    Raises:
        RegistrationError: The name is taken by another function.
    """
    known = _REGISTRY.get(function.__name__)
    if known is not None and known.__module__ != function.__module__:
        raise RegistrationError(f"metric {function.__name__} is registered already, by {known.__module__}")
    _REGISTRY[function.__name__] = function
    return function


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

    def __str__(self) -> str:
        by_output = {name: values for name, values in self.measured.items() if not _by_pair(values)}
        by_pair = {name: values for name, values in self.measured.items() if _by_pair(values)}
        outputs = sorted({key[-1] if isinstance(key, tuple) else key for v in self.measured.values() for key in v})
        rows = [["", *outputs]]
        rows += [[name, *(_cell(values.get(output)) for output in outputs)] for name, values in by_output.items()]
        for name, values in by_pair.items():
            components = sorted({key[0] for key in values}, key=lambda c: (len(c), c))
            rows += [
                [f"{name} {component}", *(_cell(values.get((component, output))) for output in outputs)]
                for component in components
            ]
        widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
        return "\n".join(
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
        )


def _by_pair(values: Mapping[Any, Any]) -> bool:
    return any(isinstance(key, tuple) for key in values)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.2f}" if isinstance(value, float) else str(value)


def measure(subject: Subject, metrics: Iterable[str]) -> Diagnosis:
    """Run the metrics on a trained model.

    Raises:
        RegistrationError: A metric is unknown.
    """
    names = list(metrics)
    unknown = [name for name in names if name not in _REGISTRY]
    if unknown:
        raise RegistrationError(f"diagnose needs metrics among {list(_REGISTRY)}, got {unknown}")
    with torch.no_grad():
        return Diagnosis({name: _REGISTRY[name](subject) for name in names})


DEFAULT_METRICS = ("loss_slope", "module_intervention")
"""What the guidelines need (paper VII-A: the two metrics with the most significant differences)."""


def diagnose(
    individual: VALP, problem: Problem, metrics: Iterable[str] = DEFAULT_METRICS, device: str = "auto"
) -> Diagnosis:
    """Diagnose an evaluated individual, on the weights that its evaluation left.

    Raises:
        EvaluationError: The individual was not evaluated since it was last changed, or its evaluation failed.
        RegistrationError: A metric is unknown.
    """
    evaluation = individual.evaluation
    if evaluation is None or not evaluation.ok:
        state = "none" if evaluation is None else evaluation.status
        raise EvaluationError(f"diagnose needs an individual with a successful evaluation of its own, got {state}")
    with devices.one_thread():
        model = decode(individual, device=devices.choose(device))
        return measure(Subject(model, problem, evaluation.history, individual.seed), metrics)


# ---- metrics -------------------------------------------------------------------------------------------------


@metric
def loss_slope(subject: Subject) -> dict[str, Slope]:
    """Historic sub-loss: per output the slope of its loss over the last training session (paper IV-B 1)."""
    return {output: fit_slope(losses) for output, losses in subject.history.items()}


def fit_slope(losses: np.ndarray) -> Slope:
    """Slope of the least-squares line through a series, per step; below three steps nothing is known of it."""
    steps = len(losses)
    if steps < 3:
        return Slope(0.0, float("inf"))
    centred = np.arange(steps) - (steps - 1) / 2
    spread = float(centred @ centred)
    series = np.asarray(losses, dtype=np.float64)
    slope = float(centred @ series) / spread
    residuals = series - series.mean() - slope * centred
    return Slope(slope, float(np.sqrt(residuals @ residuals / (steps - 2) / spread)))


@metric
def module_intervention(subject: Subject) -> dict[tuple[str, str], float]:
    """How much an output loses when the weights of a sub-network are replaced by noise (paper IV-B 2).

    Relevance: 1 for no change, 2 for performance halved, for every output that the sub-network reaches. One draw of
    standard deviation 0.1, seeded by the individual; only what lies behind the sub-network is computed again.
    """
    model, problem = subject.model, subject.problem
    device = next(model.parameters()).device
    data = problem.split("validation", device, limit=EXAMPLES)
    generator = devices.generator(device, subject.seed)
    intact = model.run(data.inputs, Latents("reconstruct"))
    before = {output: performance(problem, output, intact, data.targets) for output in model.outputs}
    relevance = {}
    for name in (name for name in model.order if name not in model.outputs):
        kept = {key: tensor.clone() for key, tensor in model.tensors_of(name).items()}
        for tensor in model.tensors_of(name).values():
            tensor.normal_(0, 0.1, generator=generator)
        behind = model.behind(name)
        results = model.run(intact, Latents("reconstruct"), behind)
        for key, tensor in model.tensors_of(name).items():
            tensor.copy_(kept[key])
        for output in (output for output in model.outputs if output in behind):
            after = performance(problem, output, results, data.targets)
            relevance[name, output] = loss_ratio(problem, output, before[output], after, data.size)
    return relevance


def performance(problem: Problem, output: str, results: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> float:
    """Accuracy of a classification, mean squared error of a regression or reconstruction."""
    return problem.outputs[output].performance(results[output], targets[output])


def loss_ratio(problem: Problem, output: str, before: float, after: float, examples: int) -> float:
    """Performance before and after as a relevance: 1 for no change, 2 for halved; guarded against 0, and capped."""
    if problem.outputs[output].higher_is_better:
        least = 1 / examples
        ratio = max(before, least) / max(after, least)
    else:
        least = 1e-12
        ratio = max(after, least) / max(before, least)
    return min(ratio, CAP) if np.isfinite(ratio) else CAP
