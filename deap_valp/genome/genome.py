"""The genome of a VALP, a value, and the draft in which an operator makes another one of it.

References:
    Paper III.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Any

import networkx as nx
import torch
from torch import Generator, Tensor

from .kinds import Layout, Limits, Part, SubNetwork
from .optimizers import BlockState, State, pack_state, unpack_state
from .places import Connection
from .ports import DISCRETE
from .structure import Structure, build_graph, copy_graph, same_structure
from .weights import initial, pack, unpack


@dataclass(frozen=True)
class Optimizer:
    """How one output is trained.

    Attributes:
        name: The SGD algorithm, a name in ``optimizers.OPTIMIZERS``.
        learning_rate: Its learning rate.
        decay: Decoupled weight decay: at each step weights, not biases, shrink by the learning rate
            times it.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    decay: float = 0.0


@dataclass(frozen=True, eq=False)
class Genome(Structure):
    """All that is inherited of a VALP: graph, weights, hyperparameters. It never changes.

    Copies and clones share it. ``Draft(genome)`` is a copy to edit. Tensors are values: nothing
    writes to one. The graph is frozen, and the mappings are read-only.

    Attributes:
        graph: As for ``Structure``.
        weights: As for ``Structure``.
        optimizers: The ``Optimizer`` of each output.
        batch_size: Examples of a training batch.
        limits: How far operators may let it grow.
        layout: How operators draw what is new at random.
        trained: Whether any of the weights come from training.
        ages: By sub-network, the training sessions that it has been through.
        unused: The number in the name of the next new sub-network.
        optimizer_state: What training remembers of each tensor, by its name and the algorithm's.
            It is inherited with the tensor and no part of what makes genomes equal.
    """

    graph: nx.DiGraph
    weights: Mapping[str, Tensor]
    optimizers: Mapping[str, Optimizer]
    batch_size: int = 200
    limits: Limits = Limits()
    layout: Layout = Layout()
    trained: bool = False
    ages: Mapping[str, int] = field(default_factory=dict)
    unused: int = 0
    optimizer_state: State = field(default_factory=dict)

    def __post_init__(self) -> None:
        networks = self.networks
        ages = {name: self.ages.get(name, 0) for name in networks}
        numbers = [int(name[1:]) for name in networks if name[1:].isdecimal()]
        settled: dict[str, Any] = {
            "graph": self.graph if nx.is_frozen(self.graph) else nx.freeze(copy_graph(self.graph)),
            "weights": MappingProxyType(dict(self.weights)),
            "optimizers": MappingProxyType(dict(self.optimizers)),
            "ages": MappingProxyType(ages),
            "unused": max([self.unused, *(number + 1 for number in numbers)]),
        }
        for name, value in settled.items():
            object.__setattr__(self, name, value)

    def __eq__(self, other: object) -> bool:
        """Return whether structure, hyperparameters and weights are the same."""
        if not isinstance(other, Genome):
            return NotImplemented
        return (
            self.batch_size == other.batch_size
            and self.optimizers == other.optimizers
            and same_structure(self.graph, other.graph)
            and self.weights.keys() == other.weights.keys()
            and all(same_tensor(tensor, other.weights[key]) for key, tensor in self.weights.items())
        )

    __hash__ = None  # type: ignore[assignment]  # tensors have no hash by value

    def __deepcopy__(self, memo: dict[int, Any]) -> Genome:
        return self  # a value

    def __reduce__(self) -> tuple[Any, ...]:
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        nodes = [(name, self.component(name)) for name in self.graph]
        state["graph"] = nodes, list(self.graph.edges)
        state["weights"] = pack(self.weights)
        state["optimizers"], state["ages"] = dict(self.optimizers), dict(self.ages)
        state["optimizer_state"] = pack_state(self.optimizer_state)
        return _unpickled, (state,)

    def __repr__(self) -> str:
        return f"<Genome: {summary(self)}>"


def _unpickled(state: dict[str, Any]) -> Genome:
    nodes, edges = state["graph"]
    state["graph"], state["weights"] = build_graph(dict(nodes), edges), unpack(state["weights"])
    state["optimizer_state"] = unpack_state(state["optimizer_state"])
    return Genome(**state)


def summary(structure: Structure) -> str:
    """Return the size of a structure in words."""
    connections = structure.graph.number_of_edges()
    return (
        f"{len(structure.networks)} sub-networks, {connections} connections, "
        f"{structure.weight_count} weights"
    )


def same_tensor(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal, at no cost where they are one."""
    return a is b or torch.equal(a, b)


class Draft(Structure):
    """A genome under the knife: what an operator edits. No method checks the rules of a VALP.

    It reads like a VALP and has the same attributes. ``genome()`` gives the new genome; the one it
    was made of stays as it is. What the optimizers remember of a tensor goes where the tensor goes,
    also to several places; a new tensor begins without, unless it ``follows`` an old one.
    """

    def __init__(self, genome: Genome, means: Mapping[str, Any] | None = None) -> None:
        self.origin = genome
        self.means: Mapping[str, Any] = means or {}
        self.graph: nx.DiGraph = copy_graph(genome.graph)
        self.weights: dict[str, Tensor] = dict(genome.weights)
        self.optimizers: dict[str, Optimizer] = dict(genome.optimizers)
        self.ages: dict[str, int] = dict(genome.ages)
        self.batch_size, self.trained = genome.batch_size, genome.trained
        self.limits, self.layout = genome.limits, genome.layout
        self._unused = genome.unused
        self._states: dict[int, Mapping[str, BlockState]] = {}
        self._holding: list[Any] = []  # so that no other tensor gets an id that stands above
        self.adopt(genome)

    def adopt(self, genome: Genome) -> None:
        """Let the tensors of a genome bring along what the optimizers remember of them."""
        self._holding.append(genome)
        for key, state in genome.optimizer_state.items():
            self._states[id(genome.weights[key])] = state

    def follow(self, new: Tensor, old: Tensor) -> None:
        """Let a new tensor of the same shape take over what is remembered of an old one."""
        if id(old) in self._states:
            self._holding.append(new)
            self._states[id(new)] = self._states[id(old)]

    def genome(self) -> Genome:
        """Return the genome that the draft has become."""
        return replace(
            self.origin,
            graph=self.graph,
            weights=self.weights,
            optimizers=self.optimizers,
            ages=self.ages,
            batch_size=self.batch_size,
            limits=self.limits,
            layout=self.layout,
            trained=self.trained,
            unused=self._unused,
            optimizer_state=self._inherited_states(),
        )

    def _inherited_states(self) -> dict[str, Mapping[str, BlockState]]:
        tensors = self.weights.items()
        return {key: self._states[id(t)] for key, t in tensors if id(t) in self._states}

    # ---- sub-networks ----------------------------------------------------------------------------

    def add_network(self, component: SubNetwork, tensors: Mapping[str, Tensor]) -> str:
        """Add a sub-network without connections and return its new name.

        Args:
            component: What it is.
            tensors: Its tensors, by their names in ``component.shapes``.
        """
        name = f"n{self._unused}"
        self._unused += 1
        self.graph.add_node(name, component=component)
        self.ages[name] = 0
        self._set_tensors(name, tensors)
        return name

    def remove_network(self, name: str) -> None:
        """Remove a sub-network with its tensors and connections."""
        self._drop_tensors(name)
        for provider in self.providers(name):
            self.disconnect(provider, name)
        for receiver in self.receivers(name):
            self.disconnect(name, receiver)
        self.graph.remove_node(name)
        del self.ages[name]

    def part(self, name: str) -> Part:
        """Return a sub-network with all the tensors that touch it, for surgery."""
        return Part(
            self.component(name),
            self.tensors_of(name),
            {provider: self.block(provider, name) for provider in self.providers(name)},
            {receiver: self.block(name, receiver) for receiver in self.receivers(name)},
        )

    def put(self, name: str, part: Part, generator: Generator | None = None) -> None:
        """Put a part in the place of a sub-network with the same connections.

        Args:
            name: The sub-network.
            part: What surgery made of it.
            generator: Draws the blocks that the part leaves open.
        """
        self._drop_tensors(name)
        self.set_component(name, part.component)
        self._set_tensors(name, part.tensors)
        blocks = {Connection(provider, name): block for provider, block in part.entering.items()}
        blocks |= {Connection(name, receiver): block for receiver, block in part.leaving.items()}
        for place, block in blocks.items():
            if block is None:
                assert generator is not None
                block = self.random_block(place.provider, place.receiver, generator)
            self.weights[place] = block

    def set_component(self, name: str, component: SubNetwork) -> None:
        """Describe a sub-network anew; its tensors must fit."""
        self.graph.nodes[name]["component"] = component

    def _set_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        for key, tensor in tensors.items():
            self.weights[f"{name}.{key}"] = tensor

    def _drop_tensors(self, name: str) -> None:
        for key in self.component(name).shapes():
            del self.weights[f"{name}.{key}"]

    # ---- connections -----------------------------------------------------------------------------

    def connect(self, provider: str, receiver: str, block: Tensor) -> None:
        """Add a connection, or give an existing one another block."""
        self.graph.add_edge(provider, receiver)
        self.weights[Connection(provider, receiver)] = block

    def disconnect(self, provider: str, receiver: str) -> None:
        """Remove a connection with its block."""
        self.graph.remove_edge(provider, receiver)
        del self.weights[Connection(provider, receiver)]

    def connect_at_random(self, edges: Iterable[tuple[str, str]], generator: Generator) -> None:
        """Add connections with random blocks, each sized for all that its receiver then reads."""
        edges = list(edges)
        self.graph.add_edges_from(edges)
        for provider, receiver in edges:
            self.connect(provider, receiver, self.random_block(provider, receiver, generator))

    def random_block(self, provider: str, receiver: str, generator: Generator) -> Tensor:
        """Return a random block for an existing connection."""
        return initial_block(self.graph, provider, receiver, generator)

    def __repr__(self) -> str:
        return f"<Draft: {summary(self)}>"


def initial_block(graph: nx.DiGraph, provider: str, receiver: str, generator: Generator) -> Tensor:
    """Return a random block for an existing connection.

    The providers of one receiver have equal parts in its variance. The squares of a distribution
    sum to at most 1, whatever its width, so its columns count as one.
    """
    reads, read = graph.nodes[receiver]["component"], graph.nodes[provider]["component"]
    columns = read.width
    if read.gives == DISCRETE:
        columns = 1
    fan_in = columns * len(graph.pred[receiver])
    return initial(reads.rows, read.width, fan_in, reads.entry_gain, generator)
