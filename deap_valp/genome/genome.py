"""The genome of a VALP, which never changes, and the draft, a copy that operators edit.

References:
    Paper III.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from math import prod
from types import MappingProxyType
from typing import Any

import networkx as nx
import torch
from torch import Generator, Tensor

from .kinds import Layout, Limits, Part, SubNetwork
from .optimizers import OPTIMIZERS, BlockState, State, States
from .places import Connection
from .ports import DISCRETE
from .structure import Structure, block_shape, build_graph, copy_graph, same_structure
from .weights import Selection, Tensors, initial


@dataclass(frozen=True)
class Optimizer:
    """The settings with which one output is trained.

    Attributes:
        name: The SGD algorithm, a name in ``optimizers.OPTIMIZERS``.
        learning_rate: The learning rate.
        decay: The weight decay. At each step a weight shrinks by the learning rate times this
            number. Biases do not shrink.
    """

    name: str = "adam"
    learning_rate: float = 1e-3
    decay: float = 0.0


@dataclass(frozen=True, eq=False)
class Genome(Structure):
    """The graph, the weights and the hyperparameters of a VALP. A genome never changes.

    An individual and its clones share one genome. ``Draft(genome)`` is a copy that can be edited.
    The graph is frozen, the mappings are read-only, and nothing writes to a tensor.

    Attributes:
        graph: As for ``Structure``.
        weights: As for ``Structure``.
        optimizers: The ``Optimizer`` of each output.
        batch_size: The number of examples in a training batch.
        limits: The sizes up to which operators may let the VALP grow.
        layout: The ranges from which operators draw new sub-networks.
        trained: Whether any of the weights come from training.
        ages: The number of training sessions that each sub-network has been through.
        unused: The number in the name of the next new sub-network.
        optimizer_state: The state of the optimizers, by the name of a tensor and of an algorithm.
            A tensor that is inherited keeps its state. Two genomes are equal even if their states
            differ.
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
            "weights": Tensors.of(self.weights),
            "optimizer_state": States.of(self.optimizer_state),
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

    __hash__ = None  # type: ignore[assignment]  # equal tensors have different hashes

    @cached_property
    def _found(self) -> dict[Any, Any]:
        """What was asked of the graph, by the question: the graph never changes."""
        return {}

    def _named(self, role: type) -> tuple[str, ...]:
        if role not in self._found:
            self._found[role] = super()._named(role)
        names: tuple[str, ...] = self._found[role]
        return names

    @property
    def order(self) -> tuple[str, ...]:
        """The names of all components, providers before receivers; the same for equal graphs."""
        if "order" not in self._found:
            self._found["order"] = super().order
        names: tuple[str, ...] = self._found["order"]
        return names

    def exclusive(self, output: str) -> frozenset[str]:
        """Return the sub-networks from which ``output`` can be reached, and no other output."""
        if ("exclusive", output) not in self._found:
            self._found["exclusive", output] = super().exclusive(output)
        names: frozenset[str] = self._found["exclusive", output]
        return names

    def after_training(
        self, weights: Mapping[str, Tensor], optimizer_state: State, trained: bool
    ) -> Genome:
        """Return the genome with other tensors, which have the names and shapes of its own."""
        return self._with(
            weights=Tensors.of(weights),
            optimizer_state=States.of(optimizer_state),
            trained=self.trained or trained,
        )

    def older(self, sessions: int) -> Genome:
        """Return the genome with sub-networks that have been through further sessions."""
        ages = {name: age + sessions for name, age in self.ages.items()}
        return self._with(ages=MappingProxyType(ages))

    def _with(self, **changed: Any) -> Genome:
        """Return the genome with other values of fields that no other field depends on.

        What was found out about the graph is shared.
        """
        twin = object.__new__(type(self))
        vars(twin).update(vars(self), _found=self._found, **changed)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Genome:
        return self  # it never changes

    def __reduce__(self) -> tuple[Any, ...]:
        state = {each.name: getattr(self, each.name) for each in fields(self)}
        nodes = [(name, self.component(name)) for name in self.graph]
        state["graph"] = nodes, list(self.graph.edges)
        state["optimizers"], state["ages"] = dict(self.optimizers), dict(self.ages)
        return _unpickled, (state,)

    def __repr__(self) -> str:
        return f"<Genome: {summary(self)}>"


def _unpickled(state: dict[str, Any]) -> Genome:
    nodes, edges = state["graph"]
    state["graph"] = build_graph(dict(nodes), edges)
    return Genome(**state)


def summary(structure: Structure) -> str:
    """Return the number of sub-networks, connections and weights of a structure, in words."""
    connections = structure.graph.number_of_edges()
    return (
        f"{len(structure.networks)} sub-networks, {connections} connections, "
        f"{structure.weight_count} weights"
    )


def same_tensor(a: Tensor, b: Tensor) -> bool:
    """Return whether two tensors are equal. The same tensor is not compared with itself."""
    return a is b or torch.equal(a, b)


class Draft(Structure):
    """A copy of a genome that an operator edits. No method checks the rules of a VALP.

    A draft has the same attributes as a VALP. ``genome()`` returns the new genome; the old one
    stays as it is. If a tensor of the old genome is put somewhere else in the draft, or in several
    places, its optimizer state goes with it. A new tensor has no state, unless ``follow`` gives it
    that of an old one.

    Args:
        genome: The genome to copy.
        means: The mean result of each component on validation examples, where a diagnosis knows
            it.
    """

    def __init__(self, genome: Genome, means: Mapping[str, Any] | None = None) -> None:
        self.origin = genome
        self.means: Mapping[str, Any] = means or {}
        self._settled: nx.DiGraph = genome.graph
        self.weights: dict[str, Tensor] = dict(genome.weights)
        self.optimizers: dict[str, Optimizer] = dict(genome.optimizers)
        self.ages: dict[str, int] = dict(genome.ages)
        self.batch_size, self.trained = genome.batch_size, genome.trained
        self.limits, self.layout = genome.limits, genome.layout
        self._unused = genome.unused
        self._states: dict[int, Mapping[str, BlockState]] = {}
        # These objects are kept alive, so that no new tensor gets an id that is a key above.
        self._holding: list[Any] = []
        self.adopt(genome)

    @cached_property
    def graph(self) -> nx.DiGraph:
        """The graph to edit: copied at the first look, so a change of other things copies none."""
        return copy_graph(self._settled)

    def adopt(self, genome: Genome) -> None:
        """Let tensors of a genome keep their optimizer state when they are put in this draft."""
        self._holding.append(genome)
        for key, state in genome.optimizer_state.items():
            self._states[id(genome.weights[key])] = state

    def follow(self, new: Tensor, old: Tensor, selection: Selection | None = None) -> None:
        """Give a new tensor the optimizer state of an old one, if it has any.

        Args:
            new: The new tensor.
            old: The tensor that the new one was made of.
            selection: How its rows or columns come from those of the old one. None means that the
                two have the same shape, and that each element comes from the one in its place.
        """
        if new is old or id(old) not in self._states:
            return
        states = self._states[id(old)]
        if selection is not None:
            states = {
                name: block.selected(selection, OPTIMIZERS[name])
                for name, block in states.items()
                if name in OPTIMIZERS
            }
        self._holding.append(new)
        self._states[id(new)] = states

    def genome(self) -> Genome:
        """Return the genome that the draft describes now.

        The genome takes over the graph, frozen, without another copy. Ask the draft for ``graph``
        anew to edit further.
        """
        if "graph" in self.__dict__:
            self._settled = nx.freeze(self.__dict__.pop("graph"))
        return replace(
            self.origin,
            graph=self._settled,
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
            component: The description of the sub-network.
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
        """Return a sub-network with its own tensors and the blocks of its connections."""
        return Part(
            self.component(name),
            self.tensors_of(name),
            {provider: self.block(provider, name) for provider in self.providers(name)},
            {receiver: self.block(name, receiver) for receiver in self.receivers(name)},
        )

    def put(self, name: str, part: Part, generator: Generator | None = None) -> None:
        """Replace a sub-network by a part; the connections stay the same.

        Args:
            name: The name of the sub-network.
            part: The changed sub-network, with its tensors and blocks.
            generator: The generator of the blocks that are None in the part.
        """
        for made in part.made:
            self.follow(*made)
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
        """Replace the description of a sub-network. Its tensors stay, and must fit it."""
        self.graph.nodes[name]["component"] = component

    def _set_tensors(self, name: str, tensors: Mapping[str, Tensor]) -> None:
        for key, tensor in tensors.items():
            self.weights[f"{name}.{key}"] = tensor

    def _drop_tensors(self, name: str) -> None:
        for key in self.component(name).shapes():
            del self.weights[f"{name}.{key}"]

    # ---- connections -----------------------------------------------------------------------------

    def connect(self, provider: str, receiver: str, block: Tensor) -> None:
        """Add a connection with this block, or replace the block of an existing connection."""
        self.graph.add_edge(provider, receiver)
        self.weights[Connection(provider, receiver)] = block

    def connect_zero(self, provider: str, receiver: str) -> None:
        """Add a connection with a block of zeros."""
        self.connect(provider, receiver, torch.zeros(self.block_shape(provider, receiver)))

    def disconnect(self, provider: str, receiver: str) -> None:
        """Remove a connection and its block."""
        self.graph.remove_edge(provider, receiver)
        del self.weights[Connection(provider, receiver)]

    def connect_at_random(self, edges: Iterable[tuple[str, str]], generator: Generator) -> None:
        """Add connections with random blocks.

        All connections are added before the first block is drawn, because the size of random
        weights depends on the number of providers.
        """
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

    The providers of a receiver have equal parts in the variance of their sum. A discrete
    distribution counts as one column: its squares add up to at most 1, whatever its width.
    """
    reads, read = graph.nodes[receiver]["component"], graph.nodes[provider]["component"]
    rows, *rest = block_shape(read, reads)
    columns = prod(rest)
    if read.gives == DISCRETE:
        columns = 1
    fan_in = columns * len(graph.pred[receiver])
    drawn = initial(rows, prod(rest), fan_in, reads.entry_gain, generator)
    return drawn.view(rows, *rest)
