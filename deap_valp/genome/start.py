"""The start that trains best: a shared trunk, a linear path beside it, and heads that are zero.

On tables and artificial problems, this graph is as good after training as a hand-made network for
several outputs. Random graphs of the same size have 1.4 times its errors (docs/training.md).

References:
    Not of the paper, whose start is random (``draw``).
"""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import networkx as nx
import torch
from torch import Tensor

from .activations import Layer
from .draw import initial_weights
from .kinds import (
    KINDS,
    Convolutional,
    Decoder,
    Filter,
    Generic,
    Latent,
    Layout,
    SubNetwork,
    new_id,
)
from .kinds.filters import FIRST_KERNEL, KERNEL, LARGE
from .places import Connection
from .ports import VALUES, Input, Ports
from .structure import build_graph

TRUNK = (Layer(96, "relu"), Layer(96, "relu"))
"""The layers of the trunk, and of the encoder before a decoder."""

LINEAR_PATH = (Layer(16, "identity"),)
"""The layers of the linear path, which quickly learns what a linear model can know."""

FILTERS = (32, 64)
"""The channels of the first convolution of images and of the further ones."""

LATENT = 16
"""The number of dimensions of a decoder's latent."""

SCALE = 0.5
"""The factor of the trunk's initial weights. With smaller weights it overfits later."""


def shared_start(
    problem: Ports, count: int | None, layout: Layout
) -> tuple[nx.DiGraph, dict[str, Tensor]] | None:
    """Return the graph and the weights of the shared start, or None where it does not fit.

    One ``generic`` sub-network, the trunk, and one linear path read every input, and every output
    that takes values reads both. Each other output has a sub-network that gives a type it takes,
    behind an encoder of its own. The blocks to outputs that take values are zero, so such an
    output starts with a constant prediction.

    If an input is an image, one ``convolutional`` sub-network reads all such inputs, and the trunk
    and the encoders read it in place of them. It is left out if ``count`` has no room for it.

    Args:
        problem: The problem, which has the inputs and outputs.
        count: The number of sub-networks. Beyond those above, random outputs get a random
            sub-network of their own, which reads every input, so that there are exclusive
            subgraphs to donate. With None, there are no further sub-networks.
        layout: The ranges from which these sub-networks are drawn.

    Returns:
        The graph and the weights. None if ``count`` is too small, or if no kind of sub-network
        reads values and gives a type that some output takes.
    """
    images = [name for name, port in problem.inputs.items() if port.maps]
    started = _started(problem, count, layout, images)
    if started is None and images:
        started = _started(problem, count, layout, [])
    return started


def _started(
    problem: Ports, count: int | None, layout: Layout, images: list[str]
) -> tuple[nx.DiGraph, dict[str, Tensor]] | None:
    """Return the start in which these inputs are read by a convolutional sub-network."""
    parts = _Parts(problem)
    read = [name for name in problem.inputs if name not in images]
    if images:
        convolution = _convolution([problem.inputs[name] for name in images])
        read.append(parts.add(convolution, images, []))
    served = [name for name, output in problem.outputs.items() if VALUES in output.port.takes]
    if served:
        parts.add(Generic(id=new_id(), layers=TRUNK), read, served)
    for name, output in problem.outputs.items():
        if name in served:
            continue
        maker = _maker(output.port.takes, layout)
        if maker is None:
            return None
        encoder = parts.add(Generic(id=new_id(), layers=TRUNK), read, [])
        parts.add(maker, [encoder], [name])
    if count is not None and len(parts) > count:
        return None
    if served and (count is None or len(parts) < count):
        parts.add(Generic(id=new_id(), layers=LINEAR_PATH), problem.inputs, served)
    wanting: list[str] = []
    while count is not None and served and len(parts) < count:
        wanting = wanting or random.sample(served, len(served))
        parts.add(Generic.draw(layout), problem.inputs, [wanting.pop()])
    if count is not None and len(parts) < count:
        return None
    graph = build_graph(parts.components, parts.edges)
    return graph, _weights(graph, served)


def _convolution(images: list[Input]) -> Convolutional:
    """Return a convolutional sub-network for images, whose result is at most 8 x 8."""
    found = Convolutional(id=new_id(), layers=(), size=(1, 1)).settled(images)
    side, channels = max(found.size), [FILTERS[0]]
    while side > 2 * LARGE:
        side = -(-side // 2)
        channels.append(FILTERS[1])
    kernels = [FIRST_KERNEL] + [KERNEL] * (len(channels) - 1)
    layers = [Filter(width, "relu", size) for width, size in zip(channels, kernels, strict=True)]
    return replace(found, layers=tuple(layers)).settled(images)


class _Parts:
    """The components and connections of a graph, collected one sub-network after the other."""

    def __init__(self, problem: Ports) -> None:
        outputs = {name: output.port for name, output in problem.outputs.items()}
        self.components: dict[str, Any] = {**problem.inputs, **outputs}
        self.edges: list[tuple[str, str]] = []
        self._ports = len(self.components)

    def __len__(self) -> int:
        return len(self.components) - self._ports

    def add(self, network: SubNetwork, providers: Any, receivers: list[str]) -> str:
        """Add a sub-network that reads the providers and is read by the receivers; name it."""
        name = f"n{len(self)}"
        self.components[name] = network
        self.edges += [(provider, name) for provider in providers]
        self.edges += [(name, receiver) for receiver in receivers]
        return name


def _maker(takes: frozenset[str], layout: Layout) -> SubNetwork | None:
    """Return a sub-network that reads values and gives a type that an output takes, or None."""
    if Decoder.gives in takes:
        return Decoder(id=new_id(), layers=TRUNK[:1], latent=Latent(new_id(), LATENT))
    for kind in KINDS.values():
        if VALUES in kind.takes and kind.gives in takes:
            return kind.draw(layout)
    return None


def _weights(graph: nx.DiGraph, served: list[str]) -> dict[str, Tensor]:
    """Return initial weights: half the usual size in trunks, zero in the blocks to ``served``."""
    weights = initial_weights(graph)
    for name, component in graph.nodes(data="component"):
        if getattr(component, "layers", None) != TRUNK:
            continue
        keys = [Connection(provider, name) for provider in graph.pred[name]]
        for key in (*keys, f"{name}.1.weight"):
            weights[key] = weights[key] * SCALE
    for output in served:
        for provider in graph.pred[output]:
            place = Connection(provider, output)
            weights[place] = torch.zeros_like(weights[place])
    return weights
