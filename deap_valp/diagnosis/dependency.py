"""Dependency: what a linear estimator can tell of a target from a sub-network's result."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..genome.diagnosis import Dependency
from .registry import metric
from .representations import (
    Sources,
    compare_with_providers,
    outputs_alike,
    representations,
    target_columns,
)
from .subject import Subject


@metric
def dependency(subject: Subject) -> dict[tuple[str, str], Dependency]:
    """How well a linear estimator tells a target from a sub-network's result (paper IV-B 4).

    A ridge regression (of the class indicators for a classification) is fitted on half of the
    examples. The result is the share of the target's variance that it explains on the other half,
    at least 0, beside the same from the results of the sub-network's providers side by side.
    """
    told: dict[Sources, dict[str, float]] = {}
    for outputs, rows in outputs_alike(subject):
        targets = [target_columns(subject, output) for output in outputs]
        for key, values in representations(subject).items():
            found = _explained(values if rows is None else values[rows], targets)
            told.setdefault(key, {}).update(zip(outputs, found, strict=True))
    return compare_with_providers(subject, told)


def _explained(values: Tensor, targets: Sequence[Tensor]) -> list[float]:
    """Return the share of each target that a ridge regression explains; 0 of fewer than 4 rows."""
    wanted, widths = torch.cat(list(targets), 1), [target.shape[1] for target in targets]
    if len(wanted) < 4:
        return [0.0] * len(targets)
    half = len(wanted) // 2
    spreads = _sum_squares(wanted[half:] - wanted[half:].mean(0), widths)
    predicted = ridge(values[:half], wanted[:half], values[half:])
    shares = 1 - _sum_squares(predicted - wanted[half:], widths) / spreads.clamp(min=1e-12)
    explained: list[float] = shares.clamp(min=0).tolist()
    return explained


def _sum_squares(values: Tensor, widths: Sequence[int]) -> Tensor:
    """Return the sum of squares of each group of columns, shape (groups,)."""
    groups = values.square().sum(0).split(list(widths))
    return torch.stack([group.sum() for group in groups])


# Ridge of scikit-learn gives the same predictions, but would cost 1.0, 1.5 and 1.5 % of 1,000
# batches of Fashion-MNIST more (6, 12 and 24 sub-networks), where this whole metric costs 1 to 2 %.
def ridge(fitted: Tensor, wanted: Tensor, held: Tensor) -> Tensor:
    """Return ridge predictions of ``wanted`` for ``held``, shape (examples of held, targets).

    The penalty is a tenth of the columns' mean square. The system that is solved has as many
    unknowns as there are columns or examples, whichever are fewer.
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
