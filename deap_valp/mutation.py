"""The mutation operators, one decorated function each; they know graph and weights, never training.

An operator is only called with a legal place, and the decorator does the rest (see ``operators``). Places are
strings: the name of a sub-network (``"n3"``), of a connection (``"n1->n3"``), of a layer (``"n3.0"``) or of the
latent of a decoder (``"n3.latent"``), or of an output.

References:
    Paper V and Fig. 3.
"""

from __future__ import annotations

import math
import random
from dataclasses import replace

import torch
from torch import Tensor

from .genome import VALP, Optimizer, connection, ends, type_valid
from .init import connect_at_random, initial_block, initial_tensors, random_network
from .networks import KINDS, SAMPLES, SOFTMAX, Decoder, Generic, Latent, Layer, Refiner, SubNetwork
from .operators import operator
from .optimizers import OPTIMIZERS
from .weights import initial, new_generator, read_pair, relu_pair, split

LATENT = "latent"

# ---- macro: between sub-networks (paper V-B) -----------------------------------------------------------------


def _room_for_network(individual: VALP) -> bool:
    return len(individual.networks) < individual.limits.networks


def _absent_connections(individual: VALP, gentle: bool) -> list[str]:
    graph, above = individual.graph, individual.ancestors()
    decoders = {name for name in individual.networks if isinstance(individual.component(name), Decoder)}
    generating = [name for name in individual.outputs if individual.component(name).takes == {SAMPLES}]
    places = []
    for receiver in (*individual.networks, *individual.outputs):
        served = [output for output in generating if output == receiver or receiver in above[output]]
        for provider in (*individual.inputs, *individual.networks):
            linked = provider == receiver or receiver in above[provider] or graph.has_edge(provider, receiver)
            if linked or not type_valid(graph, provider, receiver):
                continue
            brings = decoders & (above[provider] | {provider}) if gentle else set()
            if all(brings <= above[output] for output in served):  # no decoder, hence no KL part, that was not there
                places.append(connection(provider, receiver))
    return places


@operator(scope="macro", effect="extender", versions=("gentle", "aggressive"), places=_absent_connections)
def mutAddConnection(individual: VALP, connection: str, gentle: bool) -> None:
    """Link two components that are not linked, where types allow it and no cycle arises.

    Gentle: the new block is zero; it receives gradient, since what it reads is not zero. Not offered where it would
    bring a decoder to a generation output that had not read it: the output would stay, but its loss would gain a KL
    part.

    References:
        Paper V-B, add_connection.
    """
    provider, receiver = ends(connection)
    if gentle:
        zero = torch.zeros(individual.rows(receiver), individual.component(provider).width)
        individual.connect(provider, receiver, zero)
    else:
        connect_at_random(individual, [(provider, receiver)], new_generator())


def _spare_connections(individual: VALP, gentle: bool) -> list[str]:
    graph = individual.graph
    return [connection(u, v) for u, v in graph.edges if len(graph.succ[u]) > 1 and len(graph.pred[v]) > 1]


@operator(scope="macro", effect="reducer", versions=("aggressive",), places=_spare_connections)
def mutDeleteConnection(individual: VALP, connection: str) -> None:
    """Remove a connection that is neither its receiver's only provider nor its provider's only consumer.

    References:
        Paper V-B, delete_connection.
    """
    individual.disconnect(*ends(connection))


def _divided(individual: VALP, provider: str, receiver: str) -> tuple[Tensor, Tensor]:
    """Weights into and out of a relu layer that together carry the block; the narrower of the exact ways."""
    block = individual.block(provider, receiver)
    rows, width = block.shape
    if getattr(individual.component(provider), "nonnegative", False) and width <= 2 * rows:
        return torch.eye(width), block
    if rows <= width:
        return relu_pair(block), read_pair(torch.eye(rows))
    return relu_pair(torch.eye(width)), read_pair(block)


def _kinds_between(individual: VALP, provider: str, receiver: str) -> list[type[SubNetwork]]:
    gives, takes = individual.component(provider).gives, individual.component(receiver).takes
    return [kind for kind in KINDS.values() if gives in kind.takes and kind.gives in takes]


def _divisible_connections(individual: VALP, gentle: bool) -> list[str]:
    if not _room_for_network(individual):
        return []
    places = []
    for provider, receiver in individual.graph.edges:
        if not gentle:
            fits = bool(_kinds_between(individual, provider, receiver))
        else:
            width, rows = individual.component(provider).width, individual.rows(receiver)
            known = getattr(individual.component(provider), "nonnegative", False)
            fits = min(width if known else 2 * width, 2 * rows) <= individual.limits.width
        if fits:
            places.append(connection(provider, receiver))
    return places


@operator(scope="macro", effect="extender", versions=("gentle", "aggressive"), places=_divisible_connections)
def mutInsertNetwork(individual: VALP, connection: str, gentle: bool) -> None:
    """Put a new sub-network on a connection ("divide connection").

    Gentle: one relu layer carries both signs, ``relu([A; -A] x)`` read by ``[B, -B]`` with ``B A`` the old block;
    one sign where what it reads is never negative. Of ``A = block`` and ``B = block`` the narrower is taken, and
    where neither keeps the limit of width the connection is not offered. Aggressive: a random sub-network of any
    kind that types allow.

    References:
        Paper V-B, insert_network; Fig. 3.
    """
    provider, receiver = ends(connection)
    if gentle:
        entering, leaving = _divided(individual, provider, receiver)
        kind = Refiner if individual.component(receiver).takes == {SAMPLES} else Generic
        units = entering.shape[0]
        component: SubNetwork = kind(layers=(Layer(units, "relu"),), id=random.getrandbits(63))
        name = individual.add_network(component, {"0.bias": torch.zeros(units)})
        individual.connect(provider, name, entering)
        individual.connect(name, receiver, leaving)
    else:
        component = random_network(random.choice(_kinds_between(individual, provider, receiver)), individual.layout)
        generator = new_generator()
        name = individual.add_network(component, initial_tensors(component, generator))
        connect_at_random(individual, [(provider, name), (name, receiver)], generator)
    individual.disconnect(provider, receiver)


def _bypassable_networks(individual: VALP, gentle: bool) -> list[str]:
    graph = individual.graph
    return [
        name
        for name in individual.networks
        if all(type_valid(graph, provider, receiver) for provider in graph.pred[name] for receiver in graph.succ[name])
    ]


@operator(scope="macro", effect="reducer", versions=("aggressive",), places=_bypassable_networks)
def mutDeleteNetwork(individual: VALP, network: str) -> None:
    """Remove a sub-network and link every provider of it with every consumer ("bypass").

    A pair that is linked already keeps its block, a new connection starts at random. Not offered where a consumer
    does not take what a provider gives, as for the only sub-network between an input and an output.

    References:
        Paper V-B, delete_network.
    """
    graph = individual.graph
    pairs = [(u, v) for u in individual.providers(network) for v in individual.receivers(network)]
    new = [pair for pair in pairs if not graph.has_edge(*pair)]
    individual.remove_network(network)
    connect_at_random(individual, new, new_generator())


def _clonable_networks(individual: VALP, gentle: bool) -> list[str]:
    return list(individual.networks) if _room_for_network(individual) else []


@operator(scope="macro", effect="extender", versions=("gentle", "aggressive"), places=_clonable_networks)
def mutCloneNetwork(individual: VALP, network: str, gentle: bool) -> None:
    """Duplicate a sub-network with all its connections.

    Gentle: every receiver splits the block through which it read the original between the two copies, element by
    element at random, so every output is unchanged and the copies learn different things. The clone of a decoder
    shares its latent, and so draws the same noise, and its part in the KL divergence. Aggressive: the clone's weights
    are all new.

    References:
        Paper V-B, clone_network; Net2Net (Chen et al. 2016) for the split.
    """
    component = replace(individual.component(network), id=random.getrandbits(63))
    generator = new_generator()
    providers, receivers = individual.providers(network), individual.receivers(network)
    if not gentle:
        if isinstance(component, Decoder):
            component = replace(component, latent=Latent(random.getrandbits(63), component.latent.dim))
        clone = individual.add_network(component, initial_tensors(component, generator))
        edges = [(provider, clone) for provider in providers] + [(clone, receiver) for receiver in receivers]
        connect_at_random(individual, edges, generator)
        return
    if isinstance(component, Decoder):
        component = replace(component, share=component.share / 2)
        individual.graph.nodes[network]["component"] = replace(individual.component(network), share=component.share)
    clone = individual.add_network(component, individual.network_tensors(network))
    for provider in providers:
        individual.connect(provider, clone, individual.block(provider, network))
    for receiver in receivers:
        kept, given = split(individual.block(network, receiver), generator)
        individual.connect(network, receiver, kept)
        individual.connect(clone, receiver, given)


# ---- micro: inside a sub-network (paper V-A) -----------------------------------------------------------------


def _stage(place: str) -> tuple[str, int]:
    """Sub-network and index of a layer's place; the latent, which comes before layer 0, has index -1."""
    name, _, stage = place.partition(".")
    return name, -1 if stage == LATENT else int(stage)


def _layer_places(individual: VALP, name: str, latent: bool) -> list[str]:
    """The layers of a sub-network, without softmax layers, and if asked for its latent."""
    component = individual.component(name)
    places = [f"{name}.{LATENT}"] if latent and isinstance(component, Decoder) else []
    return places + [f"{name}.{k}" for k, layer in enumerate(component.layers) if layer.activation != SOFTMAX]


def _width(individual: VALP, place: str) -> int:
    name, index = _stage(place)
    component = individual.component(name)
    return component.latent.dim if index < 0 else component.layers[index].width


def _into(individual: VALP, name: str, index: int) -> list[str]:
    """Keys of the tensors whose rows are the units of a layer (of the heads of a latent)."""
    component = individual.component(name)
    if index == (-1 if isinstance(component, Decoder) else 0):
        return [connection(provider, name) for provider in individual.providers(name)] + [individual.entry_bias(name)]
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
                moved[f"{name}.{index + by}.{part}"] = individual.weights.pop(f"{name}.{index}.{part}")
    individual.weights.update(moved)


def _deepenable(individual: VALP, gentle: bool) -> list[str]:
    places = []
    for name in individual.networks:
        layers = individual.component(name).layers
        if len(layers) < individual.limits.layers:
            sole_softmax = [f"{name}.0"] if len(layers) == 1 and layers[0].activation == SOFTMAX else []
            places += sole_softmax + _layer_places(individual, name, latent=True)
    return [place for place in places if not gentle or _carrier_width(individual, place) <= individual.limits.width]


def _carrier_width(individual: VALP, place: str) -> int:
    """Units of a relu layer that passes on what the layer gives (what the latent draws)."""
    name, index = _stage(place)
    layers = individual.component(name).layers
    one_sign = index >= 0 and layers[index].nonnegative and layers[index].activation != SOFTMAX
    return _width(individual, place) * (1 if one_sign else 2)


@operator(scope="micro", effect="extender", versions=("gentle", "aggressive"), places=_deepenable)
def mutAddLayer(individual: VALP, layer: str, gentle: bool) -> None:
    """Add a layer after a layer, or after the latent of a decoder.

    Gentle: a relu layer that passes on what it reads, of the same width after a never negative activation, else of
    twice the width with both signs; not offered where that passes the limit of width. Aggressive: a random layer of
    the same width, so that no other weight has to change. A softmax layer stays the last: the place of a discrete
    sub-network's only layer means the layer goes before it, and deeper ones offer the layers before the softmax.

    References:
        Paper V-A, add_layer; Net2Net (Chen et al. 2016) for the identity layer.
    """
    name, index = _stage(layer)
    layers = list(individual.component(name).layers)
    width, units = _width(individual, layer), _carrier_width(individual, layer)
    generator = new_generator()
    new = Layer(units, "relu") if gentle else Layer(width, random.choice(individual.layout.activations))
    if index >= 0 and layers[index].activation == SOFTMAX:
        _add_before_softmax(individual, name, new, gentle, generator)
        return
    if gentle and units > width:
        for key in _out_of(individual, name, index):
            individual.weights[key] = read_pair(individual.weights[key])
    _renumber(individual, name, index + 1, 1)
    identity = relu_pair(torch.eye(width)) if units > width else torch.eye(width)
    weight = identity if gentle else initial(width, width, width, new.gain, generator)
    individual.weights |= {f"{name}.{index + 1}.weight": weight, f"{name}.{index + 1}.bias": torch.zeros(new.width)}
    _set_layers(individual, name, [*layers[: index + 1], new, *layers[index + 1 :]])


def _add_before_softmax(individual: VALP, name: str, new: Layer, gentle: bool, generator: torch.Generator) -> None:
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

    The layer after it (for the last layer: every receiver) reads the layer before it instead, through the weights
    it has where the widths agree and through random ones otherwise. A softmax layer and an only layer are not
    offered.

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
        reading, before = [connection(provider, name) for provider in individual.providers(name)], None
        _renumber(individual, name, 2, -1)
    else:
        before = component.latent.dim if index == 0 else layers[index - 1].width
        reading = [key.replace(f"{name}.{index + 1}.", f"{name}.{index}.") for key in _out_of(individual, name, index)]
        _renumber(individual, name, index + 1, -1)
    del layers[index]
    _set_layers(individual, name, layers)
    for key in reading:
        individual.weights[key] = _fitted(individual, key, individual.weights[key], before, generator)


def _fitted(individual: VALP, key: str, weight: Tensor, columns: int | None, generator: torch.Generator) -> Tensor:
    """The weight itself where it fits the structure, else a random one in its place."""
    provider, receiver = ends(key)
    if receiver:
        fits = tuple(weight.shape) == (individual.rows(receiver), individual.component(provider).width)
        return weight if fits else initial_block(individual.graph, provider, receiver, generator)
    assert columns is not None
    name, index, _ = key.split(".")
    gain = individual.component(name).layers[int(index)].gain
    return weight if weight.shape[1] == columns else initial(weight.shape[0], columns, columns, gain, generator)


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

    Gentle: new units copy randomly chosen ones, and whatever reads them splits its weights between the two, element
    by element at random; new dimensions of a latent have heads of zero (so no KL) and are read through zero.
    Aggressive: new units are random. A softmax layer is not offered: one more class changes all the others.

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
        individual.weights[key] = _more_rows(individual.weights[key], index < 0, copied, gentle, generator)
    for key in _out_of(individual, name, index):
        individual.weights[key] = _more_columns(individual.weights[key], index < 0, copied, gentle, generator)
    component = individual.component(name)
    if index < 0:
        latent = replace(component.latent, dim=width + added)
        individual.graph.nodes[name]["component"] = replace(component, latent=latent)
    else:
        layers = list(component.layers)
        layers[index] = replace(layers[index], width=width + added)
        _set_layers(individual, name, layers)


def _more_rows(tensor: Tensor, latent: bool, copied: Tensor, gentle: bool, generator: torch.Generator) -> Tensor:
    """Rows (or elements of a bias) for the new units; for a latent's heads, for mean and log-variance each."""
    if latent:
        halves = [_new_rows(half, copied, gentle, True, generator) for half in tensor.chunk(2)]
        return torch.cat([part for half, new in zip(tensor.chunk(2), halves, strict=True) for part in (half, new)])
    return torch.cat([tensor, _new_rows(tensor, copied, gentle, False, generator)])


def _new_rows(tensor: Tensor, copied: Tensor, gentle: bool, zero: bool, generator: torch.Generator) -> Tensor:
    rows = tensor[copied]
    if gentle:
        return torch.zeros_like(rows) if zero else rows
    if tensor.dim() == 1:
        return torch.zeros_like(rows)
    return initial(rows.shape[0], rows.shape[1], rows.shape[1], 1.0, generator)


def _more_columns(tensor: Tensor, latent: bool, copied: Tensor, gentle: bool, generator: torch.Generator) -> Tensor:
    """Columns through which the new units are read."""
    columns = tensor[:, copied]
    if not gentle:
        fan_in = tensor.shape[1] + len(copied)
        return torch.cat([tensor, initial(columns.shape[0], columns.shape[1], fan_in, 1.0, generator)], 1)
    if latent:
        return torch.cat([tensor, torch.zeros_like(columns)], 1)
    kept, given = split(columns, generator)
    widened = torch.cat([tensor, given], 1)
    widened[:, copied] = kept
    return widened


# ---- hyperparameters (paper V-C) -----------------------------------------------------------------------------

_SMALLEST_FACTOR, _LARGEST_FACTOR = 1.5, 4.0


def _rate_range(individual: VALP, output: str) -> list[tuple[float, float]]:
    """The log-ranges, below and above the present learning rate, from which a new one may be drawn."""
    rate = individual.optimizers[output].learning_rate
    low, high = individual.limits.learning_rate
    if rate <= 0:
        return []
    below = (max(low, rate / _LARGEST_FACTOR), rate / _SMALLEST_FACTOR)
    above = (rate * _SMALLEST_FACTOR, min(high, rate * _LARGEST_FACTOR))
    return [(math.log(start), math.log(end)) for start, end in (below, above) if start <= end]


def _outputs_with_rate(individual: VALP, gentle: bool) -> list[str]:
    return [output for output in individual.outputs if _rate_range(individual, output)]


@operator(scope="hyperparameter", effect="neutral", versions=("gentle",), places=_outputs_with_rate)
def mutChangeLR(individual: VALP, output: str) -> None:
    """Multiply or divide the learning rate of an output by 1.5 to 4, within the limits; a rate of 0 stays.

    References:
        Paper V-C, change_lr.
    """
    start, end = random.choice(_rate_range(individual, output))
    rate = math.exp(random.uniform(start, end))
    individual.optimizers[output] = replace(individual.optimizers[output], learning_rate=rate)


def _all_outputs(individual: VALP, gentle: bool) -> list[str]:
    return list(individual.outputs)


@operator(scope="hyperparameter", effect="neutral", versions=("gentle",), places=_all_outputs)
def mutChangeSGD(individual: VALP, output: str) -> None:
    """Train an output with another SGD algorithm.

    The learning rate keeps its ratio to the algorithm's usual one, within the limits.

    References:
        Paper V-C, change_sgd.
    """
    now = individual.optimizers[output]
    name = random.choice([other for other in OPTIMIZERS if other != now.name])
    rate = now.learning_rate * OPTIMIZERS[name].usual_rate / OPTIMIZERS[now.name].usual_rate
    low, high = individual.limits.learning_rate
    individual.optimizers[output] = Optimizer(name, min(max(rate, low), high) if rate > 0 else rate)


def _batch_sizes(individual: VALP) -> list[int]:
    low, high = individual.limits.batch_size
    return [size for size in (individual.batch_size // 2, individual.batch_size * 2) if low <= size <= high]


def _batch_size_place(individual: VALP, gentle: bool) -> list[str]:
    return ["batch_size"] if _batch_sizes(individual) else []


@operator(scope="hyperparameter", effect="neutral", versions=("gentle",), places=_batch_size_place)
def mutChangeBS(individual: VALP, hyperparameter: str) -> None:
    """Halve or double the batch size, within the limits; its only place is ``"batch_size"``.

    References:
        Paper V-C, change_bs.
    """
    individual.batch_size = random.choice(_batch_sizes(individual))
