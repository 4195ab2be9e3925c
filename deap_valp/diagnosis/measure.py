"""Run metrics: ``measure`` on a decoded model, ``diagnose`` on an evaluated individual."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch

from .. import device as devices
from ..errors import EvaluationError, ProblemError
from ..genome import VALP, check
from ..genome.diagnosis import Diagnosis
from ..genome.valp import need_valp
from ..problem import Problem
from ..training.model import Model
from .registry import ALL_METRICS, METRICS, known_metrics
from .subject import Subject

Features = Mapping[str, Mapping[str, Sequence[int]]]
"""By input, named groups of its columns."""


def measure(subject: Subject, metrics: Iterable[str]) -> Diagnosis:
    """Run the metrics on a trained model, which they leave as it was.

    Raises:
        RegistrationError: A metric is unknown.
    """
    names = known_metrics(metrics)
    with torch.no_grad():
        measured = {name: METRICS[name](subject) for name in names}
        means = {}
        if "connection_intervention" in names:
            means = {name: mean.numpy() for name, mean in subject.means.items()}
        return Diagnosis(measured, subject.data.size, means)


def diagnose(
    individual: VALP,
    problem: Problem,
    metrics: Iterable[str] = ALL_METRICS,
    features: Features | None = None,
    device: str = "auto",
) -> Diagnosis:
    """Diagnose an evaluated individual, on the weights that its evaluation left.

    Args:
        individual: Evaluated by ``evaluate``; not changed.
        problem: What it was evaluated on. Metrics look at about 1,000 of its validation examples,
            some at as many training examples too.
        metrics: Names of registered metrics.
        features: By input, named groups of its features (columns after encoding) that the input
            intervention permutes too.
        device: As for ``evaluate``.

    Raises:
        StructureError: The individual is not a VALP of this problem.
        EvaluationError: The individual was not evaluated since it was last changed, or its
            evaluation failed.
        ProblemError: ``features`` names an input or a column that the problem does not have.
        RegistrationError: A metric is unknown.
    """
    need_diagnosable(individual, problem, "diagnose")
    features = features or {}
    _check_features(problem, features)
    with devices.one_thread():
        return measure(subject_of(individual, problem, device, features), metrics)


def need_diagnosable(individual: VALP, problem: Problem, who: str) -> None:
    """Raise unless an individual of this problem has a successful evaluation of its own."""
    need_valp(individual, who)
    evaluation = individual.evaluation
    if evaluation is None or not evaluation.ok:
        state = "none" if evaluation is None else evaluation.status
        raise EvaluationError(
            f"{who} needs an individual with a successful evaluation of its own, got {state}"
        )
    check(individual, problem)


def subject_of(
    individual: VALP, problem: Problem, device: str, features: Features | None = None
) -> Subject:
    """Return what metrics look at, of an individual that can be diagnosed."""
    evaluation = individual.evaluation
    assert evaluation is not None
    model = Model(individual, torch.float32, devices.choose(device))
    recent = {name: losses[-evaluation.window :] for name, losses in evaluation.history.items()}
    return Subject(model, problem, recent, individual.seed, features or {})


def _check_features(problem: Problem, features: Features) -> None:
    for name, groups in features.items():
        if name not in problem.inputs:
            raise ProblemError(f"features needs inputs among {list(problem.inputs)}, got {name!r}")
        width = problem.inputs[name].width
        for group, columns in groups.items():
            wrong = [column for column in columns if not 0 <= column < width]
            if wrong:
                raise ProblemError(
                    f"group {group!r} of input {name} needs columns from 0 to {width - 1}, "
                    f"got {wrong}"
                )
