"""What the page shows of generation outputs: samples, and real rows beside them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..genome import VALP
from ..plots.samples import coloured, samples_data
from ..problem import Problem
from ..problem.outputs import OutputKind
from ..training import decode

_COLUMNS = 64
"""The number of columns that are drawn of rows that are no images."""

Shapes = Mapping[str, Sequence[int]]


def generations_of(problem: Problem | None) -> tuple[str, ...]:
    """Return the outputs whose samples can be shown."""
    if problem is None:
        return ()
    return tuple(name for name, kind in problem.outputs.items() if kind.draws_samples)


def shape_of(problem: Problem, output: str, shapes: Shapes) -> tuple[int, ...] | None:
    """Return the shape of one image of a generation output; None where rows are no images.

    It is what the caller said, or the shape of the target's examples as the problem was given them.
    """
    if output in shapes:
        return tuple(shapes[output])
    shape: tuple[int, ...] = problem.outputs[output].shape
    return shape if len(shape) in (2, 3) else None


def real_rows(problem: Problem, output: str, number: int) -> Tensor:
    """Return the first real rows of the validation split, in the user's units."""
    targets = problem.split("validation").targets[output]
    rows = OutputKind.predict(problem.outputs[output].port, targets)
    return rows[rows.isfinite().all(1)][:number]


def generated_rows(individual: VALP, problem: Problem, number: int) -> dict[str, Tensor]:
    """Return samples by output; those of every individual come from the same noise."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        return decode(individual, problem, device="cpu").generate(number, generator)


def shown(rows: Tensor, shape: tuple[int, ...] | None, real: Tensor) -> dict[str, Any]:
    """Return what the page draws of rows: an image, or a line for each row.

    Args:
        rows: Generated or real ones, shape (rows, width).
        shape: As ``shape_of`` gives it.
        real: The real rows, whose range is that of colours or of the vertical axis.
    """
    low, high = float(real.min()), float(real.max())
    if shape is not None:
        grid = coloured(samples_data(rows, shape), low, high)
        return {"image": _data_url(grid), "width": grid.shape[1]}
    heights = (rows[:, :_COLUMNS].numpy() - low) / ((high - low) or 1.0)
    return {"lines": [[round(value, 3) for value in row] for row in heights.tolist()]}


def _data_url(grid: np.ndarray) -> str:
    """Return an image (height, width, 3) as the address of a PNG that it holds itself."""
    from matplotlib.image import imsave

    stream = io.BytesIO()
    imsave(stream, grid, format="png", metadata={"Software": ""})
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
