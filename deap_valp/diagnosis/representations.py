"""What ``dependency`` and ``mutual_information`` share: results of sub-networks beside targets."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from ..genome.diagnosis import Dependency
from .subject import Subject

Sources = tuple[str, ...]
"""The components that a representation comes from: one sub-network, or the providers of one."""


def representations(subject: Subject) -> dict[Sources, Tensor]:
    """Return what sub-networks give and what they read, each once, shape (examples, columns)."""
    found: dict[Sources, Tensor] = {}
    for name in subject.networks:
        for sources in ((name,), subject.model.providers[name]):
            if sources not in found:
                found[sources] = torch.cat([subject.intact[source] for source in sources], 1)
    return found


def compare_with_providers(
    subject: Subject, told: Mapping[Sources, Mapping[str, float]]
) -> dict[tuple[str, str], Dependency]:
    """Pair what a sub-network tells of each output it reaches with what its providers tell.

    Args:
        subject: What was measured.
        told: By representation and output, how much the one tells of the other.
    """
    pairs = {}
    for name in subject.networks:
        own, providers = told[(name,)], told[subject.model.providers[name]]
        for output in subject.outputs_behind(name):
            pairs[name, output] = Dependency(own[output], providers[output])
    return pairs


def outputs_alike(subject: Subject) -> list[tuple[list[str], Tensor | None]]:
    """Return outputs that have targets of the same examples, and which examples: None for all."""
    outputs = subject.model.outputs
    rows = {output: subject.rows("validation", output) for output in outputs}
    whole = [output for output in outputs if rows[output] is None]
    groups: list[tuple[list[str], Tensor | None]] = [(whole, None)] if whole else []
    groups += [([output], found) for output, found in rows.items() if found is not None]
    return groups


def target_columns(subject: Subject, output: str) -> Tensor:
    """Return the target as numbers, shape (examples, columns); a class becomes indicators.

    The examples are those that have a target.
    """
    target, rows = subject.data.targets[output], subject.rows("validation", output)
    if rows is not None:
        target = target[rows]
    if target.dim() > 1:
        return target
    classes = subject.model.components[output].width
    return functional.one_hot(target, classes).to(torch.float32)
