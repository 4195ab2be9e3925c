"""Small arrays, frames and functions to make problems of."""

from __future__ import annotations

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch

from deap_valp.problem import (
    Classification,
    Generation,
    Output,
    Problem,
    Regression,
)

SIZE = 120


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def table(width: int = 4, size: int = SIZE) -> np.ndarray:
    return rng().normal(3, 2, (size, width))


def pictures(dtype: type = np.uint8, size: int = SIZE) -> np.ndarray:
    bytes_ = rng().integers(0, 256, (size, 3, 3), dtype=np.uint8)
    return bytes_ if dtype is np.uint8 else (bytes_ / 255).astype(dtype)


def labels(size: int = SIZE) -> np.ndarray:
    return np.arange(size) % 3 + 5


def frame() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "length": rng().normal(size=SIZE),
            "flag": rng().random(SIZE) > 0.5,
            "colour": np.array(["red", "blue", "green"])[np.arange(SIZE) % 3],
            "grade": pd.Categorical(
                np.array(["b", "a"])[np.arange(SIZE) % 2], categories=["b", "a", "never"]
            ),
        }
    )


def weighted_error(head: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return (head - target).abs().mean() * 3


def misses(head: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    return 1 - head.softmax(1).gather(1, target[:, None]).mean()


def largest_error(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return (prediction.double() - target).abs().max().item()


def share_wrong(prediction: torch.Tensor, target: torch.Tensor) -> float:
    return 10 + (prediction.argmax(1) != target).double().mean().item()


def first_two(rows: torch.Tensor) -> torch.Tensor:
    return rows[:, :2]


def width_of(port: Output) -> float:
    return port.width


def size_of(individual) -> float:
    return individual.weight_count


KINDS = {
    "classification": partial(Classification, labels()),
    "regression": partial(Regression, table(2)),
    "generation": partial(Generation, table(4)),
}
OWN_LOSS = {"classification": misses, "regression": weighted_error, "generation": weighted_error}
OWN_SCORE = {
    "classification": share_wrong,
    "regression": largest_error,
    "generation": largest_error,
}
each_kind = pytest.mark.parametrize("kind", KINDS)


def problem_of(kind: str, **options) -> Problem:
    return Problem({"x": table()}, {"y": KINDS[kind](**options)})


def heads(problem: Problem, split: str = "train") -> tuple[torch.Tensor, torch.Tensor]:
    """Random heads and the targets of a split."""
    port, target = problem.outputs["y"].port, problem.split(split).targets["y"]
    return torch.randn(len(target), port.width, generator=torch.Generator().manual_seed(0)), target


def perfect(problem: Problem, split: str) -> torch.Tensor:
    """The head that makes no error."""
    target = problem.split(split).targets["y"]
    return 100 * torch.eye(problem.outputs["y"].port.width)[target] if target.ndim == 1 else target


def slices() -> dict[str, slice]:
    return {"train": slice(0, 80), "validation": slice(80, 100), "test": slice(100, None)}
