"""What an output loses when a patch of an image is hidden: which part of a picture matters.

It is no metric of a diagnosis, since the patches are the user's choice.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .. import device as devices
from ..arguments import got, need_type, need_whole
from ..errors import ProblemError
from ..genome import VALP
from ..genome.maps import Maps, maps_of
from ..problem import Image, Problem
from .measure import need_diagnosable, subject_of
from .subject import Subject

PATCH = 4
"""The height and width of a patch in pixels by default."""


@dataclass(frozen=True)
class PatchIntervention:
    """What hiding each patch of an image costs.

    Attributes:
        input: The name of the input.
        patch: The height and width of a patch in pixels; those at the right and lower edge may be
            smaller.
        changes: By output that the input reaches: the validation loss with the patch hidden less
            the loss of the whole image, shape (rows of patches, columns of patches).
        losses: The loss of the whole image, by the same outputs.
        mean: The mean of the validation images in the user's units, shape (height, width,
            channels).
    """

    input: str
    patch: int
    changes: dict[str, np.ndarray]
    losses: dict[str, float]
    mean: np.ndarray


def image_patches(problem: Problem, input: str, patch: int = PATCH) -> dict[str, list[int]]:
    """Return the patches of an image as groups of features, as ``diagnose`` takes them.

    Args:
        problem: The problem.
        input: The name of an input that is an ``Image``.
        patch: The height and width of a patch in pixels; those at the right and lower edge may be
            smaller.

    Returns:
        The columns of each patch, by the row and column of its upper left pixel: ``"0,4"``.

    Raises:
        ProblemError: There is no such input, it is no image of rows, columns and up to 4 colours,
            or ``patch`` is no whole number from 1 on.
    """
    need_type(problem, Problem, "image_patches", "problem as a Problem", ProblemError)
    return _patches(_maps_of(problem, input, "image_patches"), patch, "image_patches")


def patch_intervention(
    individual: VALP,
    problem: Problem,
    patch: int = PATCH,
    input: str | None = None,
    device: str = "auto",
) -> PatchIntervention:
    """Measure how much the validation losses rise when a patch of an image is hidden.

    A hidden patch has its mean over the examples, pixel by pixel. Below 0, an output is better
    without the patch. Each patch costs a forward pass, of what the input reaches, of about 1,000
    validation examples.

    Args:
        individual: Evaluated by ``evaluate``; not changed.
        problem: What it was evaluated on.
        patch: The height and width of a patch in pixels.
        input: The name of the input; not needed where there is one image.
        device: As for ``evaluate``.

    Raises:
        StructureError: The individual is not a VALP of this problem.
        EvaluationError: The individual was not evaluated since it was last changed, or its
            evaluation failed.
        ProblemError: As for ``image_patches``; or there is not exactly one image, and ``input``
            names none.
    """
    who = "patch_intervention"
    need_diagnosable(individual, problem, who)
    name = _only_image(problem, who) if input is None else input
    maps = _maps_of(problem, name, who)
    groups = _patches(maps, patch, who)
    with devices.one_thread(), torch.no_grad():
        subject = subject_of(individual, problem, device)
        outputs = subject.outputs_behind(name)
        hidden = [_change(subject, name, columns) for columns in groups.values()]
        changes = torch.stack(hidden, 1).nan_to_num(0.0).cpu().numpy()
        losses = subject.intact_losses.tolist()
        mean = _mean_image(subject, name, maps)
    rows = -(-maps.height // patch)
    found = PatchIntervention(name, patch, {}, {}, mean)
    for index, output in enumerate(subject.model.outputs):
        if output in outputs:
            found.changes[output] = changes[index].reshape(rows, -1)
            found.losses[output] = losses[index]
    return found


def _mean_image(subject: Subject, name: str, maps: Maps) -> np.ndarray:
    """Return the mean image in the user's units, shape (height, width, channels)."""
    port, mean = subject.model.components[name], subject.intact[name].mean(0).cpu()
    pixels = mean / mean.new_tensor(port.scale) + mean.new_tensor(port.shift)
    image: np.ndarray = maps.images(pixels[None])[0].permute(1, 2, 0).numpy()
    return image


def _change(subject: Subject, name: str, columns: list[int]) -> Tensor:
    """Return how much the loss of each output rises without these columns of an input."""
    values = subject.intact[name].clone()
    values[:, columns] = values[:, columns].mean(0)
    behind = [other for other in subject.model.behind(name) if other != name]
    losses = subject.losses(subject.model, behind, {**subject.intact, name: values})
    return losses - subject.intact_losses


def _patches(maps: Maps, patch: int, who: str) -> dict[str, list[int]]:
    need_whole(patch, 1, who, "patch", ProblemError)
    columns = maps.images(torch.arange(maps.columns)[None])[0]
    groups = {}
    for top in range(0, maps.height, patch):
        for left in range(0, maps.width, patch):
            inside = columns[:, top : top + patch, left : left + patch]
            groups[f"{top},{left}"] = inside.flatten().tolist()
    return groups


def _images(problem: Problem) -> dict[str, Maps]:
    """Return the inputs that are images of rows, columns and a few colours, of any size."""
    found = {}
    for name, reader in problem.preparation.inputs.items():
        maps = maps_of(reader.encoding.shape, smallest=1)
        if isinstance(reader.kind, Image) and maps is not None:
            found[name] = maps
    return found


def _maps_of(problem: Problem, name: str, who: str) -> Maps:
    images = _images(problem)
    if name not in images:
        raise ProblemError(
            f"{who} needs an input that is an image ({list(images)}), got {got(name)}"
        )
    return images[name]


def _only_image(problem: Problem, who: str) -> str:
    images = list(_images(problem))
    if len(images) != 1:
        raise ProblemError(f"{who} needs input as the name of an image among {images}, got None")
    return images[0]
