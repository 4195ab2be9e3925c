"""Interventions: what an output loses when a component or a connection is disturbed."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ..genome import Connection, mean_effect
from ..genome.structure import fed_by
from ..training.model import Model, reads_maps
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


@metric
def connection_intervention(subject: Subject) -> dict[tuple[str, str], float]:
    """How much an output's validation loss rises when a connection carries only its mean.

    The receiver reads the mean of the provider over the examples in place of the provider's result,
    as if the connection were deleted and what it adds on average were folded into the bias. A
    negative number says that the output is better without the connection. It is measured in units
    of the loss, because accuracy moves in steps that are too coarse.

    Returns:
        By (connection, output that its receiver reaches), the loss without the connection less the
        loss with it.
    """
    model = subject.model
    keys: list[tuple[str, str]] = []
    changes: list[Tensor] = []
    for receiver in model.order:
        outputs = subject.outputs_behind(receiver)
        reached = [model.outputs.index(output) for output in outputs]
        for provider in model.providers[receiver]:
            without = _without_connections(subject, [(provider, receiver)])
            losses = subject.losses(without, model.behind(receiver))
            changes.append((losses - subject.intact_losses)[reached])
            keys += [(Connection(provider, receiver), output) for output in outputs]
    # Nothing is known of a loss that is not finite with the connection either.
    return dict(zip(keys, torch.cat(changes).nan_to_num(0.0).tolist(), strict=True))


@metric
def input_removal(subject: Subject) -> dict[tuple[str, str], float]:
    """How much an output's validation loss rises when an input is taken away (``mutDeleteInput``).

    The input, and the sub-networks that depend on it alone, give their means over the examples in
    place of their results. Below 0, the output is better without the input.

    Returns:
        By (input, output that it reaches), the loss without the input less the loss with it. There
        is nothing for an input that some output cannot do without, and 0 for one that nothing
        reads.
    """
    model = subject.model
    changes: dict[tuple[str, str], float] = {}
    for name in model.inputs:
        fed = fed_by(name, model.order, model.providers)
        if any(other in model.outputs for other in fed):
            continue
        outputs = subject.outputs_behind(name)
        behind = [other for other in model.behind(name) if other not in fed]
        losses = _losses_without(subject, fed, behind) - subject.intact_losses
        for output, change in zip(model.outputs, losses.nan_to_num(0.0).tolist(), strict=True):
            if output in outputs:
                changes[name, output] = change
    return changes


def _losses_without(subject: Subject, fed: Sequence[str], behind: Sequence[str]) -> Tensor:
    """Return the losses where components give their means to those behind them."""
    model = subject.model
    cut = [(one, name) for name in behind for one in model.providers[name] if one in fed]
    if any(reads_maps(model.components[receiver]) for _, receiver in cut):
        # Their biases can only hold a mean over positions.
        return subject.losses(_without_connections(subject, cut), behind)
    known = dict(subject.intact)
    for other in fed:
        known[other] = known[other].mean(0, keepdim=True).expand_as(known[other])
    return subject.losses(model, behind, known)


def _without_connections(subject: Subject, connections: Sequence[tuple[str, str]]) -> Model:
    """Return a model that lacks connections and adds their means to the receivers' entry biases.

    It shares all other tensors with the subject's model. Such a bias has a row for each example,
    which a receiver without any other provider needs.
    """
    model, without = subject.model, copy.copy(subject.model)
    without.providers, without.tensors = dict(model.providers), dict(model.tensors)
    for provider, receiver in connections:
        result, bias = subject.intact[provider], model.entry_bias[receiver]
        block = model.tensors[Connection(provider, receiver)]
        read, reads = model.components[provider], model.components[receiver]
        mean = mean_effect(read, reads, block, result.mean(0))
        others = tuple(name for name in without.providers[receiver] if name != provider)
        without.providers[receiver] = others
        without.tensors[bias] = (without.tensors[bias] + mean).expand(len(result), -1)
    return without
