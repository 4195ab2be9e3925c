"""Scores of a trained VALP on a split of the data.

References:
    Paper VI-A (objectives).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import device as devices
from ..genome import VALP, check
from ..problem import Problem
from ..training.model import Latents, Model, decode

GENERATED = 5000
"""Images generated for the objective of a generation output; the noise is the same for every model."""

CHUNK = 2000
"""Examples scored at a time."""


@torch.no_grad()
def score_model(model: Model, problem: Problem, split: str, chunk: int = CHUNK) -> dict[str, float]:
    """Score every output of a decoded VALP on a split: predictions with latents at their mean, samples from noise.

    Args:
        model: The decoded individual.
        problem: Gives the data and the scores.
        split: Of the data.
        chunk: Examples computed at a time.
    """
    device = next(model.parameters()).device
    data = problem.split(split, device)
    generated = model.generate(min(data.size, GENERATED), devices.generator(device, 0))
    predicted: dict[str, list[Tensor]] = {
        name: [] for name in model.outputs if name not in generated
    }
    for start in range(0, data.size if predicted else 0, chunk):
        features = {name: value[start : start + chunk] for name, value in data.inputs.items()}
        results = model.run(features, Latents("reconstruct"))
        for name, parts in predicted.items():
            parts.append(model.components[name].predict(results[name]))
    predictions = {**generated, **{name: torch.cat(parts) for name, parts in predicted.items()}}
    return {
        name: float(output.score(predictions[name], split))
        for name, output in problem.outputs.items()
    }


def score(
    individual: VALP, problem: Problem, split: str = "test", device: str | torch.device = "auto"
) -> dict[str, float]:
    """Scores of the trained individual by output, minimised, on a split; no training, nothing changed.

    Fitness comes from the validation split, so final reports are to use ``"test"``.

    Raises:
        StructureError: The individual is not a VALP of this problem.
        ProblemError: There is no such split.
    """
    check(individual, problem)
    with devices.one_thread():
        return score_model(decode(individual, device=devices.choose(device)), problem, split)
