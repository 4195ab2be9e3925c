"""Micro operators: inside a sub-network (paper V-A)."""

from __future__ import annotations

import random
from dataclasses import replace

import torch
from torch import Tensor

from ..genome import VALP, connection, ends
from ..genome.draw import initial_block
from ..genome.kinds import SOFTMAX, Decoder, Layer
from ..genome.weights import initial, new_generator, read_pair, relu_pair, split
from .operators import operator

LATENT = "latent"


def _stage(place: str) -> tuple[str, int]:
    """Sub-network and index of a layer's place; the latent, which comes before layer 0, has index -1."""
    name, _, stage = place.partition(".")
    return name, -1 if stage == LATENT else int(stage)


def _layer_places(individual: VALP, name: str, latent: bool) -> list[str]:
    """The layers of a sub-network, without softmax layers, and if asked for its latent."""
    component = individual.component(name)
    places = [f"{name}.{LATENT}"] if latent and isinstance(component, Decoder) else []
    return places + [
        f"{name}.{k}" for k, layer in enumerate(component.layers) if layer.activation != SOFTMAX
    ]


def _width(individual: VALP, place: str) -> int:
    name, index = _stage(place)
    component = individual.component(name)
    return component.latent.dim if index < 0 else component.layers[index].width


def _into(individual: VALP, name: str, index: int) -> list[str]:
    """Keys of the tensors whose rows are the units of a layer (of the heads of a latent)."""
    component = individual.component(name)
    if index == (-1 if isinstance(component, Decoder) else 0):
        return [connection(provider, name) for provider in individual.providers(name)] + [
            individual.entry_bias(name)
        ]
    return [f"{name}.{index}.weight", f"{name}.{index}.bias"]


def _out_of(individual: VALP, name: str, index: int) -> list[str]:
    """Keys of the tensors whose columns are the units of a layer (of a latent)."""
    if index == len(individual.component(name).layers) - 1:
        return [connection(name, receiver) for receiver in individual.receivers(name)]
    return [f"{name}.{index + 1}.weight"]


def _set_layers(individual: VALP, name: str, layers: list[Layer]) -> None:
    component = individual.component(name)
    individual.graph.nodes[name]["component"] = replace(component, layers=tuple(layers))


def _renumber(individual: VALP, name: str, first: int, by: int) -> None:
    """Move the tensors of the layers from ``first`` on by so many places."""
    moved = {}
    for index in range(first, len(individual.component(name).layers)):
        for part in ("weight", "bias"):
            if f"{name}.{index}.{part}" in individual.weights:
                moved[f"{name}.{index + by}.{part}"] = individual.weights.pop(
                    f"{name}.{index}.{part}"
                )
    individual.weights.update(moved)


def _deepenable(individual: VALP, gentle: bool) -> list[str]:
    places = []
    for name in individual.networks:
        layers = individual.component(name).layers
        if len(layers) < individual.limits.layers:
            sole_softmax = (
                [f"{name}.0"] if len(layers) == 1 and layers[0].activation == SOFTMAX else []
            )
            places += sole_softmax + _layer_places(individual, name, latent=True)
    return [
        place
        for place in places
        if not gentle or _carrier_width(individual, place) <= individual.limits.width
    ]


def _carrier_width(individual: VALP, place: str) -> int:
    """Units of a relu layer that passes on what the layer gives (what the latent draws)."""
    name, index = _stage(place)
    layers = individual.component(name).layers
    one_sign = index >= 0 and layers[index].nonnegative and layers[index].activation != SOFTMAX
    return _width(individual, place) * (1 if one_sign else 2)


@operator(scope="micro", effect="extender", versions=("gentle", "aggressive"), places=_deepenable)
def mutAddLayer(individual: VALP, layer: str, gentle: bool) -> None:
    """Add a layer after a layer, or after the latent of a decoder.

    Gentle: a relu layer that passes on what it reads, of the same width after a never negative
    activation, else of
    twice the width with both signs; not offered where that passes the limit of width. Aggressive: a
    random layer of the same width, so that no other weight has to change. A softmax layer stays the
    last: the place of a discrete sub-network's only layer means the layer goes before it, and
    deeper ones offer the layers before the softmax.

    References:
        Paper V-A, add_layer; Net2Net (Chen et al. 2016) for the identity layer.
    """
    name, index = _stage(layer)
    layers = list(individual.component(name).layers)
    width, units = _width(individual, layer), _carrier_width(individual, layer)
    generator = new_generator()
    new = (
        Layer(units, "relu")
        if gentle
        else Layer(width, random.choice(individual.layout.activations))
    )
    if index >= 0 and layers[index].activation == SOFTMAX:
        _add_before_softmax(individual, name, new, gentle, generator)
        return
    if gentle and units > width:
        for key in _out_of(individual, name, index):
            individual.weights[key] = read_pair(individual.weights[key])
    _renumber(individual, name, index + 1, 1)
    identity = relu_pair(torch.eye(width)) if units > width else torch.eye(width)
    weight = identity if gentle else initial(width, width, width, new.gain, generator)
    individual.weights |= {
        f"{name}.{index + 1}.weight": weight,
        f"{name}.{index + 1}.bias": torch.zeros(new.width),
    }
    _set_layers(individual, name, [*layers[: index + 1], new, *layers[index + 1 :]])


def _add_before_softmax(
    individual: VALP, name: str, new: Layer, gentle: bool, generator: torch.Generator
) -> None:
    """The new layer reads the providers through the blocks, and the only layer reads the new one."""
    softmax = individual.component(name).layers[0]
    if gentle:
        for key in _into(individual, name, 0):
            individual.weights[key] = relu_pair(individual.weights[key])
        weight = read_pair(torch.eye(softmax.width))
    else:
        weight = initial(softmax.width, new.width, new.width, softmax.gain, generator)
    individual.weights |= {f"{name}.1.weight": weight, f"{name}.1.bias": torch.zeros(softmax.width)}
    _set_layers(individual, name, [new, softmax])


def _removable(individual: VALP, gentle: bool) -> list[str]:
    deep = [name for name in individual.networks if len(individual.component(name).layers) > 1]
    return [place for name in deep for place in _layer_places(individual, name, latent=False)]


@operator(scope="micro", effect="reducer", versions=("aggressive",), places=_removable)
def mutRemoveLayer(individual: VALP, layer: str) -> None:
    """Remove a layer; the other layers stay the same.

    The layer after it (for the last layer: every receiver) reads the layer before it instead,
    through the weights it has where the widths agree and through random ones otherwise. A softmax
    layer and an only layer are not offered.

    References:
        Paper V-A, remove_layer.
    """
    name, index = _stage(layer)
    component = individual.component(name)
    layers = list(component.layers)
    generator = new_generator()
    first = index == 0 and not isinstance(component, Decoder)
    gone = [f"{name}.1.weight", f"{name}.0.bias"] if first else _into(individual, name, index)
    for key in gone:
        del individual.weights[key]
    if first:
        individual.weights[f"{name}.0.bias"] = individual.weights.pop(f"{name}.1.bias")
        reading, before = (
            [connection(provider, name) for provider in individual.providers(name)],
            None,
        )
        _renumber(individual, name, 2, -1)
    else:
        before = component.latent.dim if index == 0 else layers[index - 1].width
        reading = [
            key.replace(f"{name}.{index + 1}.", f"{name}.{index}.")
            for key in _out_of(individual, name, index)
        ]
        _renumber(individual, name, index + 1, -1)
    del layers[index]
    _set_layers(individual, name, layers)
    for key in reading:
        individual.weights[key] = _fitted(
            individual, key, individual.weights[key], before, generator
        )


def _fitted(
    individual: VALP, key: str, weight: Tensor, columns: int | None, generator: torch.Generator
) -> Tensor:
    """The weight itself where it fits the structure, else a random one in its place."""
    provider, receiver = ends(key)
    if receiver:
        fits = tuple(weight.shape) == (
            individual.rows(receiver),
            individual.component(provider).width,
        )
        return weight if fits else initial_block(individual.graph, provider, receiver, generator)
    assert columns is not None
    name, index, _ = key.split(".")
    gain = individual.component(name).layers[int(index)].gain
    return (
        weight
        if weight.shape[1] == columns
        else initial(weight.shape[0], columns, columns, gain, generator)
    )


def _widenable(individual: VALP, gentle: bool) -> list[str]:
    limits = individual.limits
    return [
        place
        for name in individual.networks
        for place in _layer_places(individual, name, latent=True)
        if _width(individual, place) < (limits.latent if _stage(place)[1] < 0 else limits.width)
    ]


@operator(scope="micro", effect="extender", versions=("gentle", "aggressive"), places=_widenable)
def mutExtendLayer(individual: VALP, layer: str, gentle: bool) -> None:
    """Add units to a layer, up to half its width, or dimensions to the latent of a decoder.

    Gentle: new units copy randomly chosen ones, and whatever reads them splits its weights between
    the two, element
    by element at random; new dimensions of a latent have heads of zero (so no KL) and are read
    through zero.
    Aggressive: new units are random. A softmax layer is not offered: one more class changes all the
    others.

    References:
        Paper V-A, extend_layer; Net2Net (Chen et al. 2016).
    """
    name, index = _stage(layer)
    width = _width(individual, layer)
    limit = individual.limits.latent if index < 0 else individual.limits.width
    added = random.randint(1, min(max(1, width // 2), limit - width))
    generator = new_generator()
    copied = torch.randperm(width, generator=generator)[:added]
    for key in _into(individual, name, index):
        individual.weights[key] = _more_rows(
            individual.weights[key], index < 0, copied, gentle, generator
        )
    for key in _out_of(individual, name, index):
        individual.weights[key] = _more_columns(
            individual.weights[key], index < 0, copied, gentle, generator
        )
    component = individual.component(name)
    if index < 0:
        latent = replace(component.latent, dim=width + added)
        individual.graph.nodes[name]["component"] = replace(component, latent=latent)
    else:
        layers = list(component.layers)
        layers[index] = replace(layers[index], width=width + added)
        _set_layers(individual, name, layers)


def _more_rows(
    tensor: Tensor, latent: bool, copied: Tensor, gentle: bool, generator: torch.Generator
) -> Tensor:
    """Rows (or elements of a bias) for the new units; for a latent's heads, for mean and log-variance each."""
    if latent:
        halves = [_new_rows(half, copied, gentle, True, generator) for half in tensor.chunk(2)]
        return torch.cat(
            [
                part
                for half, new in zip(tensor.chunk(2), halves, strict=True)
                for part in (half, new)
            ]
        )
    return torch.cat([tensor, _new_rows(tensor, copied, gentle, False, generator)])


def _new_rows(
    tensor: Tensor, copied: Tensor, gentle: bool, zero: bool, generator: torch.Generator
) -> Tensor:
    rows = tensor[copied]
    if gentle:
        return torch.zeros_like(rows) if zero else rows
    if tensor.dim() == 1:
        return torch.zeros_like(rows)
    return initial(rows.shape[0], rows.shape[1], rows.shape[1], 1.0, generator)


def _more_columns(
    tensor: Tensor, latent: bool, copied: Tensor, gentle: bool, generator: torch.Generator
) -> Tensor:
    """Columns through which the new units are read."""
    columns = tensor[:, copied]
    if not gentle:
        fan_in = tensor.shape[1] + len(copied)
        return torch.cat(
            [tensor, initial(columns.shape[0], columns.shape[1], fan_in, 1.0, generator)], 1
        )
    if latent:
        return torch.cat([tensor, torch.zeros_like(columns)], 1)
    kept, given = split(columns, generator)
    widened = torch.cat([tensor, given], 1)
    widened[:, copied] = kept
    return widened
