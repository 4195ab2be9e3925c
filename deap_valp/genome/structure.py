"""A graph of components with their weights, to read: what a VALP, a genome and a draft share.

References:
    Paper III (the model and its subgraphs).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Any

import networkx as nx
from torch import Tensor

from .kinds import SubNetwork
from .maps import Convolution
from .places import Connection
from .ports import Input, Output

Component = Input | SubNetwork | Output


def fed_by(
    name: str, order: Iterable[str], providers: Mapping[str, Iterable[str]]
) -> tuple[str, ...]:
    """Return a component and those that depend on it alone: every path to them begins there.

    Args:
        name: The component.
        order: The components, providers before their receivers.
        providers: The components that each component reads; an input may be absent.
    """
    fed = {name: None}
    for other in order:
        read = list(providers.get(other, ()))
        if read and all(provider in fed for provider in read):
            fed[other] = None
    return tuple(fed)


class Structure:
    """A graph of components and the tensors that belong to it, to read.

    Attributes:
        graph: The components, as node attribute ``component``, and their connections.
        weights: The tensors by name. ``"u->v"`` is the block through which ``v`` reads ``u``,
            shape (rows of v, width of u), or kernels where ``v`` reads maps. ``"v.name"`` is a
            tensor of the sub-network ``v``, by its name in ``SubNetwork.shapes``. ``"o.bias"`` is
            the bias of the output ``o``.
    """

    graph: nx.DiGraph
    weights: Mapping[str, Tensor]

    # ---- components and connections --------------------------------------------------------------

    def component(self, name: str) -> Any:
        """Return the description of an input, sub-network or output. It never changes."""
        return self.graph.nodes[name]["component"]

    def _named(self, role: type) -> tuple[str, ...]:
        components = self.graph.nodes(data="component")
        names = [name for name, component in components if isinstance(component, role)]
        return tuple(sorted(names, key=natural))

    @property
    def inputs(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return self._named(Input)

    @property
    def networks(self) -> tuple[str, ...]:
        """The names of the sub-networks."""
        return self._named(SubNetwork)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        return self._named(Output)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """The connections, in the order of their receivers."""
        found: list[Connection] = []
        for receiver in self.order:
            found += [Connection(provider, receiver) for provider in self.providers(receiver)]
        return tuple(found)

    @property
    def order(self) -> tuple[str, ...]:
        """The names of all components, providers before receivers; the same for equal graphs."""
        return tuple(nx.lexicographical_topological_sort(self.graph, key=natural))

    def providers(self, name: str) -> tuple[str, ...]:
        """Return the components that ``name`` reads, in a fixed order."""
        return tuple(sorted(self.graph.pred[name], key=natural))

    def receivers(self, name: str) -> tuple[str, ...]:
        """Return the components that read ``name``, in a fixed order."""
        return tuple(sorted(self.graph.succ[name], key=natural))

    # ---- tensors ---------------------------------------------------------------------------------

    def block(self, provider: str, receiver: str) -> Tensor:
        """Return the weights of a connection, of the shape that ``block_shape`` returns."""
        return self.weights[Connection(provider, receiver)]

    def entry_bias(self, name: str) -> str:
        """Return the key in ``weights`` of the bias that is added to what ``name`` reads."""
        return f"{name}.{self.component(name).entry_bias}"

    def rows(self, name: str) -> int:
        """Return the number of rows of the blocks through which ``name`` reads its providers."""
        rows: int = self.component(name).rows
        return rows

    def block_shape(self, provider: str, receiver: str) -> tuple[int, ...]:
        """Return the shape of the block of a connection, present or not."""
        return block_shape(self.component(provider), self.component(receiver))

    def keys_of(self, name: str) -> tuple[str, ...]:
        """Return the keys in ``weights`` of a sub-network or output, its blocks first."""
        blocks = [Connection(provider, name) for provider in self.providers(name)]
        own = [f"{name}.{tensor}" for tensor in self.component(name).shapes()]
        return (*blocks, *own)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shape of every tensor that belongs to the graph, by its key in ``weights``."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self.order:
            component = self.component(name)
            for provider in self.providers(name):
                block = block_shape(self.component(provider), component)
                shapes[Connection(provider, name)] = block
            for tensor, shape in component.shapes().items():
                shapes[f"{name}.{tensor}"] = shape
        return shapes

    def tensors_of(self, name: str) -> dict[str, Tensor]:
        """Return the tensors of a sub-network by their names in its ``shapes``, without blocks."""
        return {key: self.weights[f"{name}.{key}"] for key in self.component(name).shapes()}

    @property
    def weight_count(self) -> int:
        """The number of trainable weights and biases."""
        return sum(tensor.numel() for tensor in self.weights.values())

    # ---- subgraphs (paper III) -------------------------------------------------------------------

    def ancestors(self) -> dict[str, frozenset[str]]:
        """Return, for each component, all components that it depends on."""
        above: dict[str, frozenset[str]] = {}
        for name in self.order:
            providers = self.graph.pred[name]
            above[name] = frozenset(providers).union(*(above[provider] for provider in providers))
        return above

    def fed_by(self, name: str) -> tuple[str, ...]:
        """Return ``name`` and the components that depend on it and on no other input."""
        return fed_by(name, self.order, self.graph.pred)

    def outputs_of(self, name: str) -> frozenset[str]:
        """Return the outputs that can be reached from ``name``."""
        return frozenset(nx.descendants(self.graph, name)) & frozenset(self.outputs)

    def subgraph(self, output: str) -> frozenset[str]:
        """Return the sub-networks from which ``output`` can be reached."""
        return frozenset(nx.ancestors(self.graph, output)) & frozenset(self.networks)

    def exclusive(self, output: str) -> frozenset[str]:
        """Return the sub-networks from which ``output`` can be reached, and no other output."""
        others = (self.subgraph(other) for other in self.outputs if other != output)
        return self.subgraph(output).difference(*others)

    def __str__(self) -> str:
        lines = [repr(self)]
        for name in self.order:
            line = f"  {name}: {self.component(name)}"
            if self.graph.pred[name]:
                line += f" <- {', '.join(self.providers(name))}"
            lines.append(line)
        return "\n".join(lines)


def convolution(provider: Any, receiver: Any) -> Convolution | None:
    """Return the convolution through which a component reads another; None for a product."""
    found: Convolution | None = receiver.convolution(provider)
    return found


def block_shape(provider: Any, receiver: Any) -> tuple[int, ...]:
    """Return the shape of the block through which a component reads another."""
    reading = convolution(provider, receiver)
    return (receiver.rows, provider.width) if reading is None else reading.weights


def mean_effect(provider: Any, receiver: Any, block: Tensor, mean: Tensor) -> Tensor:
    """Return what a connection adds on average to each row of the receiver's entry bias.

    Args:
        provider: The component that is read.
        receiver: The component that reads it. If its bias is the same at all positions of maps,
            the mean over positions counts.
        block: The block of the connection.
        mean: The mean result of the provider, shape (width,).
    """
    reading = convolution(provider, receiver)
    if reading is None:
        return block @ mean
    effect = reading(mean[None], block)[0]
    if receiver.rows == len(effect):
        return effect
    return effect.view(-1, reading.channels).mean(0)


def natural(name: str) -> tuple[int, str]:
    """Return a key for sorting that puts ``n2`` before ``n10``."""
    return len(name), name


def build_graph(
    components: Mapping[str, Component], edges: Iterable[tuple[str, str]]
) -> nx.DiGraph:
    """Return a graph of these components and connections."""
    graph = nx.DiGraph()
    graph.add_nodes_from((name, {"component": component}) for name, component in components.items())
    graph.add_edges_from(edges)
    return graph


def copy_graph(graph: nx.DiGraph) -> nx.DiGraph:
    """Return a copy of a graph that may be changed; the two share the components."""
    return build_graph(dict(graph.nodes(data="component")), graph.edges)


def same_structure(a: nx.DiGraph, b: nx.DiGraph) -> bool:
    """Return whether two graphs have the same components and connections."""
    same_components = dict(a.nodes(data="component")) == dict(b.nodes(data="component"))
    return same_components and set(a.edges) == set(b.edges)


def independent_pairs(graph: nx.DiGraph) -> list[tuple[str, str]]:
    """Return the pairs of providers in which each depends on an input that the other does not.

    So each provider can know something that the other cannot. The pairs nearest to the inputs come
    first. A graph with one input has none.
    """
    components = graph.nodes(data="component")
    inputs = {name for name, component in components if isinstance(component, Input)}
    above: dict[str, set[str]] = {}
    for name, component in components:
        if not isinstance(component, Output):
            above[name] = nx.ancestors(graph, name) | {name}
    providers = sorted(
        above, key=lambda name: (len(above[name]), name not in inputs, natural(name))
    )
    found = []
    for one, other in combinations(providers, 2):
        ours, theirs = above[one] & inputs, above[other] & inputs
        if ours - theirs and theirs - ours:
            found.append((one, other))
    return sorted(found, key=lambda pair: len(above[pair[0]]) + len(above[pair[1]]))


def type_valid(graph: nx.DiGraph, provider: str, receiver: str) -> bool:
    """Return whether the types of two components of a graph allow a connection.

    The receiver must take what the provider gives, and an output must not read an input.
    """
    return types_fit(graph.nodes[provider]["component"], graph.nodes[receiver]["component"])


def types_fit(give: Any, take: Any) -> bool:
    """Return whether a component may read another, by their types: see ``type_valid``."""
    if isinstance(give, Output) or isinstance(take, Input):
        return False
    if isinstance(give, Input) and isinstance(take, Output):
        return False
    return not take.takes.isdisjoint(give.given)
