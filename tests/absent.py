"""Problems whose outputs lack the targets of some examples, or weigh them."""

from __future__ import annotations

import functools
import math

import numpy as np
import zoo

import deap_valp as valp

ROWS = zoo.EXAMPLES
SPLITS = {
    "train": np.arange(ROWS // 2),
    "validation": np.arange(ROWS // 2, 3 * ROWS // 4),
    "test": np.arange(3 * ROWS // 4, ROWS),
}
MIXED = [name for name in zoo.NAMES if zoo.problem_of(name) is zoo.mixed_problem()]


def arrays():
    """Two inputs and four targets, as those of ``zoo.mixed_problem``."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(ROWS, 5)), rng.normal(size=(ROWS, 3))
    targets = {
        "label": (left[:, 0] > 0).astype(int) + (right[:, 0] > 0),
        "value": left[:, :2] * 3 + 1,
        "image": np.tanh(left @ rng.normal(size=(5, 6))),
        "texture": rng.normal(size=(ROWS, 4)),
    }
    return {"left": left, "right": right}, targets


KINDS = {
    "label": valp.Classification,
    "value": valp.Regression,
    "image": valp.Generation,
    "texture": valp.Generation,
}


def problem_of(targets=None, options=None, splits=SPLITS):
    """A problem of these targets, with options by output."""
    inputs, whole = arrays()
    targets, options = {**whole, **(targets or {})}, options or {}
    outputs = {name: kind(targets[name], **options.get(name, {})) for name, kind in KINDS.items()}
    return valp.Problem(inputs, outputs, splits=splits)


def chosen(seed, share=0.3):
    """Some of the examples, at least a few of each split."""
    return np.random.default_rng(seed).random(ROWS) < share


def with_holes(absent, filler=math.nan):
    """The targets, each without other examples: ``absent`` gives them by output."""
    _, targets = arrays()
    for name, rows in absent.items():
        target = targets[name].astype(float)
        target[rows] = filler
        targets[name] = target
    return targets


ABSENT = {name: chosen(seed) for seed, name in enumerate(KINDS)}


@functools.cache
def holed():
    """A problem of which every output lacks other targets."""
    return problem_of(with_holes(ABSENT))
