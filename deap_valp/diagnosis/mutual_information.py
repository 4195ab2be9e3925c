"""Mutual information of what a sub-network gives and a target."""

from __future__ import annotations

import numpy as np
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

CELLS = 6
"""Intervals along each component: the 36 cells of two hold some 30 of 1,000 examples each."""


@metric
def mutual_information(subject: Subject) -> dict[tuple[str, str], Dependency]:
    """Mutual information of a sub-network's result and a target, in nats (paper IV-B 4).

    The leading principal components of both are cut into cells of equal frequency. The estimate is
    corrected for the number of cells (Miller-Madow), and at least 0. It stands beside the same from
    the results of the sub-network's providers side by side.
    """
    told: dict[Sources, dict[str, float]] = {}
    for outputs, rows in outputs_alike(subject):
        targets = {output: cells_of(target_columns(subject, output), 1) for output in outputs}
        for key, values in representations(subject).items():
            own = cells_of(values if rows is None else values[rows], 2)
            found = {output: information(own, target) for output, target in targets.items()}
            told.setdefault(key, {}).update(found)
    return compare_with_providers(subject, told)


def cells_of(values: Tensor, components: int) -> np.ndarray:
    """Return the number of every example's cell, shape (examples,).

    A cell is a place along the leading principal components, each cut into intervals of equal
    frequency.
    """
    centred = (values - values.mean(0)).cpu()
    # The squares of a result that a linear layer blew up would not be finite.
    centred /= centred.abs().max().clamp(min=1e-30)
    scores = _leading_scores(centred, components).numpy()
    edges = np.linspace(0, 1, CELLS + 1)[1:-1]
    columns = [
        np.searchsorted(np.quantile(column, edges), column, side="right") for column in scores.T
    ]
    return np.ravel_multi_index(tuple(columns), (CELLS,) * len(columns))


# PCA of scikit-learn would cost 0.9, 1.1 and 0.8 % of 1,000 batches of Fashion-MNIST more (6, 12
# and 24 sub-networks), where this whole metric costs about 1 %.
def _leading_scores(centred: Tensor, components: int) -> Tensor:
    """Return the scores of the leading principal components, shape (examples, components)."""
    generator = torch.Generator().manual_seed(0)
    axes = torch.randn(centred.shape[1], min(8, *centred.shape), generator=generator)
    for _ in range(4):
        axes, _ = torch.linalg.qr(centred.T @ (centred @ axes))
    found = centred @ axes
    _, mix = torch.linalg.eigh(found.T @ found)
    return found @ mix.flip(1)[:, :components]


def information(a: np.ndarray, b: np.ndarray) -> float:
    """Return the mutual information of two columns of cells, in nats and at least 0."""
    from sklearn.metrics import mutual_info_score

    width = b.max() + 1
    counts = np.bincount(a * width + b, minlength=(a.max() + 1) * width).reshape(-1, width)
    occupied, occupied_a, occupied_b = map(np.count_nonzero, (counts, counts.sum(1), counts.sum(0)))
    excess = (occupied - occupied_a - occupied_b + 1) / (2 * len(a))
    return max(0.0, mutual_info_score(None, None, contingency=counts) - excess)
