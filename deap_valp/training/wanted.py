"""Samples of a wanted class: draw many, let the model say what each one is, keep the best.

Nothing is trained for it, so every model that knows classes and draws what it reads can do it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..arguments import got, is_whole
from ..errors import ValpError
from ..genome.ports import each_feature

if TYPE_CHECKING:
    from .model import Model


def keep_wanted(
    model: Model, samples: dict[str, Tensor], wanted: Mapping[str, int], size: int
) -> dict[str, Tensor]:
    """Return the samples that the model itself most surely takes for what is wanted.

    Args:
        model: The model that drew the samples.
        samples: The samples by output, in the user's units, each of shape (drawn, width).
        wanted: The index of the class by the name of a classification.
        size: Number of samples to keep.

    Raises:
        ValpError: ``wanted`` names no classification of the model or none of its classes, or the
            model does not draw what it reads.
    """
    classes = _classes(model, wanted)
    known = model({name: samples[_drawn_as(model, name)] for name in model.inputs})
    surely = sum(known[output][:, number].log() for output, number in classes.items())
    assert isinstance(surely, Tensor)
    best = torch.topk(surely, size).indices
    return {name: rows[best] for name, rows in samples.items()}


def _classes(model: Model, wanted: Mapping[str, int]) -> dict[str, int]:
    """Return what is wanted, checked."""
    kinds = {name: model.components[name] for name in model.outputs}
    known = {name: port.width for name, port in kinds.items() if port.kind == "classification"}
    if not isinstance(wanted, Mapping) or not wanted or not wanted.keys() <= known.keys():
        raise ValpError(
            f"generate needs wanted as a mapping of some classifications ({list(known)}) to the "
            f"index of a class, got {got(wanted)}"
        )
    for name, number in wanted.items():
        if not is_whole(number) or not 0 <= number < known[name]:
            raise ValpError(
                f"generate needs a class of {name} from 0 to {known[name] - 1}, got {number!r}"
            )
    return {name: int(number) for name, number in wanted.items()}


def _drawn_as(model: Model, name: str) -> str:
    """Return the generation output that draws what an input reads: as wide, in the same units."""
    port = model.components[name]
    for output in model.outputs:
        drawn = model.components[output]
        if not drawn.draws_samples or drawn.width != port.width:
            continue
        scales = zip(each_feature(port, "scale"), each_feature(drawn, "scale"), strict=True)
        same = each_feature(port, "shift") == each_feature(drawn, "shift")
        if same and all(abs(a * b - 1) < 1e-6 for a, b in scales):
            return output
    raise ValpError(
        f"generate needs a generation output that draws what input {name} reads (width "
        f"{port.width}, in the same units) to know the class of a sample, got none"
    )
