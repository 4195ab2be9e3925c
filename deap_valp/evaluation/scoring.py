"""The scores of a trained VALP on a split of the data.

References:
    Paper VI-A (objectives).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .. import device as devices
from ..genome import VALP, check
from ..genome.valp import need_valp, warn_untrained
from ..problem import Problem
from ..problem.data.splits import refuse_unknown_split
from ..training.mixture import fit_latents
from ..training.model import Latents, Model

GENERATED = 5000
"""The number of samples generated to score a generation output, from the same noise each time."""

CHUNK = 2000
"""The number of examples that are computed at the same time."""


@torch.no_grad()
def score_model(model: Model, problem: Problem, split: str, chunk: int = CHUNK) -> dict[str, float]:
    """Return the score of every output of a decoded VALP on a split; lower is better.

    Predictions are made with each latent at its mean. A generation output is scored by samples
    that are generated from noise, or from the mixture that the problem asks for, which the model
    then keeps. An output is scored on the examples that have a target of it.

    Args:
        model: The decoded individual.
        problem: The problem, which has the data and the scores.
        split: The name of the split.
        chunk: The number of examples that are computed at the same time.
    """
    device = next(model.parameters()).device
    data = problem.split(split, device)
    model.mixture = fit_latents(model, problem, chunk)
    generated = model.generate(min(data.size, GENERATED), devices.generator(device, 0))
    predicted: dict[str, list[Tensor]] = {
        name: [] for name in model.outputs if name not in generated
    }
    # What serves generation outputs alone is a large part of the model, and was computed above.
    needed = frozenset[str]().union(*(model.subgraph(name) for name in predicted))
    order = [name for name in model.order if name in needed]
    for start in range(0, data.size if predicted else 0, chunk):
        features = {name: value[start : start + chunk] for name, value in data.inputs.items()}
        results = model.run(features, Latents("reconstruct"), order)
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
    """Return the score of every output of a trained individual on a split; lower is better.

    The individual is not trained and not changed. The fitness is measured on the validation split,
    so a final report should use ``"test"``.

    If the individual was never trained, the log of ``deap_valp`` has a warning: the score is then
    that of random weights.

    Raises:
        StructureError: The individual is not a VALP of this problem.
        EvaluationError: The device does not exist.
        ProblemError: The problem has no such split.
    """
    need_valp(individual, "score")
    check(individual, problem)
    refuse_unknown_split(split)
    place = devices.choose(device)
    warn_untrained(individual, "score")
    with devices.one_thread():
        return score_model(Model(individual, torch.float32, place), problem, split)
