"""Rare labels: by fractions, training gets an example of each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .arrays import is_frame
from .missing import is_missing
from .splits import SPLITS, Rows


def with_every_label(rows: Rows, columns: Sequence[Any]) -> Rows:
    """Return the random rows of each split with an example of each label in training.

    A row with a label that training has not changes places with a training row whose labels
    training has twice. Where training has all labels already, the rows stay as they are.

    Args:
        rows: The indices of the rows of each split.
        columns: Labels of the examples; None for none.
    """
    moved = {name: np.array(rows[name]) for name in SPLITS}
    numbered = [_numbered(labels) for labels in columns if labels is not None]
    for numbers in numbered:
        for split in SPLITS[1:]:
            absent = np.setdiff1d(numbers[moved[split]], numbers[moved["train"]])
            for number in absent[absent >= 0]:
                spare = _spare(moved["train"], numbered)
                if spare is None:
                    return moved
                place = np.flatnonzero(numbers[moved[split]] == number)[0]
                row = moved[split][place]
                moved[split][place], moved["train"][spare] = moved["train"][spare], row
    return moved


def _numbered(labels: Any) -> np.ndarray:
    """Return a number for each label, -1 for none; zeros where these are no labels."""
    missing = is_missing(labels)
    if is_frame(labels):
        values = labels.to_numpy(dtype=object)
    elif isinstance(labels, Tensor):
        values = labels.detach().cpu().numpy()
    else:
        values = np.asarray(labels)
    found: dict[Any, int] = {}
    if values.size == len(missing):
        try:
            numbers = [found.setdefault(label, len(found)) for label in values.ravel().tolist()]
            return np.where(missing, -1, numbers)
        except TypeError:  # not hashable, which the output refuses
            pass
    return np.zeros(len(missing), dtype=int)


def _spare(training: np.ndarray, numbered: Sequence[np.ndarray]) -> int | None:
    """Return the place of a training row without which training still has all of its labels."""
    spare = np.ones(len(training), dtype=bool)
    for numbers in numbered:
        own = numbers[training]
        counts = np.bincount(own + 1)
        spare &= (own < 0) | (counts[own + 1] > 1)
    places = np.flatnonzero(spare)
    return int(places[-1]) if len(places) else None
