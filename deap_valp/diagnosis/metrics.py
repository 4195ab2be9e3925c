"""What a trained model shows about its parts: one function per metric.

References:
    Paper IV-B (metrics).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import device as devices
from ..errors import EvaluationError, ProblemError, RegistrationError
from ..genome import VALP
from ..genome.diagnosis import Dependency, Diagnosis, Slope
from ..problem import Problem, Split
from ..training.model import Latents, Model, decode

EXAMPLES = 1000
"""Validation examples that interventions are measured on."""

CAP = 100.0
"""Largest relevance reported: past it, only the size of the ruin differs."""


@dataclass(frozen=True)
class Subject:
    """What metrics look at: a trained model on validation examples.

    Attributes:
        model: Decoded after training.
        problem: What it was trained for.
        history: Losses of the last training session, by output.
        seed: Of the draws that interventions make.
        features: By input, named groups of its features to intervene on beside the whole input.
    """

    model: Model
    problem: Problem
    history: Mapping[str, np.ndarray]
    seed: int
    features: Mapping[str, Mapping[str, Sequence[int]]] = field(default_factory=dict)

    @cached_property
    def data(self) -> Split:
        """The validation examples that metrics share."""
        return self.problem.split(
            "validation", next(self.model.parameters()).device, limit=EXAMPLES
        )

    @cached_property
    def intact(self) -> dict[str, Tensor]:
        """Features and results of every component on them, latents at their mean.

        Reconstruction, not generation: from noise, nothing before a latent could matter to an
        output.
        """
        return self.model.run(self.data.inputs, Latents("reconstruct"))

    @cached_property
    def intact_performance(self) -> dict[str, float]:
        """Performance of every output on them."""
        return {output: self.performance(output, self.intact) for output in self.model.outputs}

    def performance(self, output: str, results: Mapping[str, Tensor]) -> float:
        """Accuracy of a classification, mean squared error of a regression or reconstruction."""
        return self.problem.outputs[output].performance(results[output], self.data.targets[output])

    def generator(self) -> torch.Generator | None:
        """A generator for the draws of one metric, on the model's device."""
        return devices.generator(next(self.model.parameters()).device, self.seed)

    def relevance(
        self, name: str, known: Mapping[str, Tensor], order: Sequence[str]
    ) -> dict[tuple[str, str], float]:
        """Relevance of ``name`` for the outputs in ``order``, which is computed again from what is known."""
        results = self.model.run(known, Latents("reconstruct"), order)
        return {
            (name, output): loss_ratio(
                self.problem,
                output,
                self.intact_performance[output],
                self.performance(output, results),
                self.data.size,
            )
            for output in order
            if output in self.model.outputs
        }


Metric = Callable[[Subject], Mapping[Any, Any]]
METRICS: dict[str, Metric] = {}


def metric(function: Metric) -> Metric:
    """Register a metric: ``function(subject)`` gives a dictionary by output, or by (component, output).

    Raises:
        RegistrationError: The name is taken by another function.
    """
    known = METRICS.get(function.__name__)
    if known is not None and known.__module__ != function.__module__:
        raise RegistrationError(
            f"metric {function.__name__} is registered already, by {known.__module__}"
        )
    METRICS[function.__name__] = function
    return function


def measure(subject: Subject, metrics: Iterable[str]) -> Diagnosis:
    """Run the metrics on a trained model.

    Raises:
        RegistrationError: A metric is unknown.
    """
    names = known_metrics(metrics)
    with torch.no_grad():
        return Diagnosis({name: METRICS[name](subject) for name in names})


def known_metrics(metrics: Iterable[str]) -> tuple[str, ...]:
    """The names, if there are such metrics.

    Raises:
        RegistrationError: A metric is unknown.
    """
    names = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise RegistrationError(f"diagnosis needs metrics among {list(METRICS)}, got {unknown}")
    return names


DEFAULT_METRICS = ("loss_slope", "module_intervention")
"""What the guidelines need (paper VII-A: the two metrics with the most significant differences)."""

ALL_METRICS = (*DEFAULT_METRICS, "input_intervention", "dependency", "mutual_information")
"""All that look at one model; the fifth of the paper, relative performance, is ``selection.rank``'s."""


def diagnose(
    individual: VALP,
    problem: Problem,
    metrics: Iterable[str] = ALL_METRICS,
    features: Mapping[str, Mapping[str, Sequence[int]]] | None = None,
    device: str = "auto",
) -> Diagnosis:
    """Diagnose an evaluated individual, on the weights that its evaluation left.

    Args:
        individual: Evaluated by ``evaluate``; not changed.
        problem: What it was evaluated on; about 1,000 of its validation examples are used.
        metrics: Names of registered metrics.
        features: By input, named groups of its features (after encoding) that the input
            intervention permutes too.
        device: As for ``evaluate``.

    Raises:
        EvaluationError: The individual was not evaluated since it was last changed, or its
            evaluation failed.
        ProblemError: ``features`` names an input or a column that the problem does not have.
        RegistrationError: A metric is unknown.
    """
    evaluation = individual.evaluation
    if evaluation is None or not evaluation.ok:
        state = "none" if evaluation is None else evaluation.status
        raise EvaluationError(
            f"diagnose needs an individual with a successful evaluation of its own, got {state}"
        )
    _check_features(problem, features or {})
    with devices.one_thread():
        model = decode(individual, device=devices.choose(device))
        return measure(
            Subject(model, problem, evaluation.history, individual.seed, features or {}), metrics
        )


def _check_features(problem: Problem, features: Mapping[str, Mapping[str, Sequence[int]]]) -> None:
    for name, groups in features.items():
        if name not in problem.inputs:
            raise ProblemError(f"features needs inputs among {list(problem.inputs)}, got {name!r}")
        width = problem.inputs[name].width
        for group, columns in groups.items():
            wrong = [column for column in columns if not 0 <= column < width]
            if wrong:
                raise ProblemError(
                    f"group {group!r} of input {name} needs columns from 0 to {width - 1}, got {wrong}"
                )


# ---- metrics -------------------------------------------------------------------------------------


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

    Relevance: 1 for no change, 2 for performance halved, for every output that the sub-network
    reaches. One draw of
    standard deviation 0.1, seeded by the individual; only what lies behind the sub-network is
    computed again.
    """
    model, generator = subject.model, subject.generator()
    intact, _ = (
        subject.intact,
        subject.intact_performance,
    )  # both are lazy, and are to see the weights as they are
    relevance = {}
    for name in _networks(subject):
        tensors = model.tensors_of(name)
        kept = {key: tensor.clone() for key, tensor in tensors.items()}
        for tensor in tensors.values():
            tensor.normal_(0, 0.1, generator=generator)
        relevance.update(subject.relevance(name, intact, model.behind(name)))
        for key, tensor in tensors.items():
            tensor.copy_(kept[key])
    return relevance


@metric
def input_intervention(subject: Subject) -> dict[tuple[str, str], float]:
    """How much an output loses when the values of an input are permuted across the examples (paper IV-B 3).

    By (input, output that it reaches), as relevance of the module intervention; and by
    (``"input[group]"``, output) for the groups of features that ``diagnose`` was given.
    """
    generator, relevance = subject.generator(), {}
    for name in subject.model.inputs:
        whole: dict[str, Any] = {name: slice(None)}
        groups = {
            f"{name}[{group}]": list(columns)
            for group, columns in subject.features.get(name, {}).items()
        }
        behind = [other for other in subject.model.behind(name) if other != name]
        for label, columns in {**whole, **groups}.items():
            values = subject.intact[name].clone()
            order = torch.randperm(len(values), generator=generator, device=values.device)
            values[:, columns] = values[order][:, columns]
            relevance.update(subject.relevance(label, {**subject.intact, name: values}, behind))
    return relevance


@metric
def dependency(subject: Subject) -> dict[tuple[str, str], Dependency]:
    """How well a linear estimator tells an output's target from a sub-network's result (paper IV-B 4).

    Ridge regression (of the class indicators for a classification), fitted on half of the examples;
    the share of the target's variance that it explains on the other half, at least 0. Compared with
    the same from the results of its providers side by side.
    """
    targets = {output: _target_columns(subject, output) for output in subject.model.outputs}
    wanted = torch.cat(list(targets.values()), 1)
    widths = [target.shape[1] for target in targets.values()]
    half = len(wanted) // 2
    spreads = _by_columns(wanted[half:] - wanted[half:].mean(0), widths)

    def explained(values: Tensor) -> dict[str, float]:
        misses = _by_columns(
            _ridge(values[:half], wanted[:half], values[half:]) - wanted[half:], widths
        )
        shares = [
            1 - miss / max(spread, 1e-12) for miss, spread in zip(misses, spreads, strict=True)
        ]
        return {output: max(0.0, share) for output, share in zip(targets, shares, strict=True)}

    return _pairs(
        subject, {key: explained(values) for key, values in _representations(subject).items()}
    )


@metric
def mutual_information(subject: Subject) -> dict[tuple[str, str], Dependency]:
    """Mutual information of a sub-network's result and an output's target, in nats (paper IV-B 4).

    Of their leading principal components, each cut into cells of equal frequency; corrected for the
    number of cells (Miller-Madow), and at least 0. Compared with the same from the results of its
    providers side by side.
    """
    targets = {
        output: _cells(_target_columns(subject, output), 1) for output in subject.model.outputs
    }
    cells = {key: _cells(values, 2) for key, values in _representations(subject).items()}
    return _pairs(
        subject,
        {key: {o: _information(own, targets[o]) for o in targets} for key, own in cells.items()},
    )


def _networks(subject: Subject) -> list[str]:
    return [name for name in subject.model.order if name not in subject.model.outputs]


def _representations(subject: Subject) -> dict[tuple[str, ...], Tensor]:
    """What sub-networks give and read, each once, as (examples, columns), by the components it comes from."""
    keys = [key for name in _networks(subject) for key in ((name,), subject.model.providers[name])]
    return {
        key: torch.cat([subject.intact[name] for name in key], 1) for key in dict.fromkeys(keys)
    }


def _pairs(
    subject: Subject, found: Mapping[tuple[str, ...], Mapping[str, float]]
) -> dict[tuple[str, str], Dependency]:
    return {
        (name, output): Dependency(
            found[(name,)][output], found[subject.model.providers[name]][output]
        )
        for name in _networks(subject)
        for output in subject.model.behind(name)
        if output in subject.model.outputs
    }


def _target_columns(subject: Subject, output: str) -> Tensor:
    """The target as numbers, (examples, columns); a class as indicators."""
    target = subject.data.targets[output]
    if target.dim() == 1:
        return torch.nn.functional.one_hot(target, subject.model.components[output].width).to(
            torch.float32
        )
    return target


def _by_columns(values: Tensor, widths: Sequence[int]) -> list[float]:
    """Sum of squares of each group of columns."""
    return [float(group.sum()) for group in values.square().sum(0).split(list(widths))]


def _ridge(fitted: Tensor, wanted: Tensor, held: Tensor) -> Tensor:
    """Ridge predictions for ``held``, the penalty a tenth of the columns' mean square.

    By as many unknowns as there are columns or examples, whichever are fewer.
    """
    mean, scale = fitted.mean(0), fitted.std().clamp(min=1e-6)
    fitted, held = (fitted - mean) / scale, (held - mean) / scale
    centred = wanted - wanted.mean(0)
    examples, columns = fitted.shape
    if columns > examples:
        return held @ fitted.T @ _solve(fitted @ fitted.T, 0.1 * columns, centred) + wanted.mean(0)
    return held @ _solve(fitted.T @ fitted, 0.1 * examples, fitted.T @ centred) + wanted.mean(0)


def _solve(gram: Tensor, penalty: float, wanted: Tensor) -> Tensor:
    gram.diagonal().add_(penalty)
    return torch.cholesky_solve(wanted, torch.linalg.cholesky_ex(gram).L)


_CELLS = 6  # along each component; 36 cells for two hold some 30 of 1,000 examples each


def _cells(values: Tensor, components: int) -> np.ndarray:
    """A cell for every example: its place along the leading principal components, each cut into equal frequencies."""
    centred = (values - values.mean(0)).cpu()
    centred /= (
        centred.abs().max().clamp(min=1e-30)
    )  # squares of what a linear layer blew up would not be finite
    axes = torch.randn(
        centred.shape[1], min(8, *centred.shape), generator=torch.Generator().manual_seed(0)
    )
    for _ in range(
        4
    ):  # subspace iteration: the leading components alone, at a tenth of the cost of all
        axes, _ = torch.linalg.qr(centred.T @ (centred @ axes))
    found = centred @ axes
    _, mix = torch.linalg.eigh(found.T @ found)
    scores = (found @ mix.flip(1)[:, :components]).numpy()
    edges = np.linspace(0, 1, _CELLS + 1)[1:-1]
    columns = [
        np.searchsorted(np.quantile(column, edges), column, side="right") for column in scores.T
    ]
    return np.ravel_multi_index(tuple(columns), (_CELLS,) * len(columns))


def _information(a: np.ndarray, b: np.ndarray) -> float:
    (of_a, cells_a), (of_b, cells_b) = _entropy(a), _entropy(b)
    of_both, cells_both = _entropy(a * (b.max() + 1) + b)
    return max(0.0, of_a + of_b - of_both - (cells_both - cells_a - cells_b + 1) / (2 * len(a)))


def _entropy(cells: np.ndarray) -> tuple[float, int]:
    """In nats, and how many cells are occupied."""
    counts = np.bincount(cells)
    shares = counts[counts > 0] / len(cells)
    return -float(shares @ np.log(shares)), len(shares)


def loss_ratio(problem: Problem, output: str, before: float, after: float, examples: int) -> float:
    """Performance before and after as a relevance: 1 for no change, 2 for halved; guarded against 0, and capped."""
    if problem.outputs[output].higher_is_better:
        least = 1 / examples
        ratio = max(before, least) / max(after, least)
    else:
        least = 1e-12
        ratio = max(after, least) / max(before, least)
    return min(ratio, CAP) if np.isfinite(ratio) else CAP
