"""Interventions: what an output loses when a sub-network or an input is disturbed."""

from __future__ import annotations

from typing import Any

import torch

from .registry import metric
from .subject import Subject


@metric
def module_intervention(subject: Subject) -> dict[tuple[str, str], float]:
    """How much an output loses when a sub-network's weights are replaced by noise (paper IV-B 2).

    The result is a relevance for every output that the sub-network reaches: 1 for no change, 2 for
    performance halved. The noise is one draw of standard deviation 0.1, seeded by the individual.
    Only what lies behind the sub-network is computed again.
    """
    model, generator = subject.model, subject.generator()
    # Both are lazy; they have to see the weights before the first of them changes.
    intact, _ = subject.intact, subject.intact_performance
    relevance = {}
    for name in subject.networks:
        tensors = model.tensors_of(name)
        kept = {key: tensor.clone() for key, tensor in tensors.items()}
        for tensor in tensors.values():
            tensor.normal_(0, 0.1, generator=generator)
        relevance.update(subject.relevance(name, intact, model.behind(name)))
        for key, tensor in tensors.items():
            tensor.copy_(kept[key])
    return relevance


@metric
def input_intervention(subject: Subject) -> dict[tuple[str, str], float]:
    """How much an output loses when an input is permuted across the examples (paper IV-B 3).

    The result is a relevance, as for the module intervention, by (input, output that it reaches).
    The groups of features that ``diagnose`` was given stand under (``"input[group]"``, output).
    """
    generator, relevance = subject.generator(), {}
    for name in subject.model.inputs:
        columns_by_label: dict[str, Any] = {name: slice(None)}
        for group, columns in subject.features.get(name, {}).items():
            columns_by_label[f"{name}[{group}]"] = list(columns)
        behind = [other for other in subject.model.behind(name) if other != name]
        for label, columns in columns_by_label.items():
            values = subject.intact[name].clone()
            order = torch.randperm(len(values), generator=generator, device=values.device)
            values[:, columns] = values[order][:, columns]
            relevance.update(subject.relevance(label, {**subject.intact, name: values}, behind))
    return relevance
