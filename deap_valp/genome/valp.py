"""The VALP: a graph of components, its weights, and the rules it keeps.

References:
    Paper III (the model, its subgraphs and structural correctness).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import networkx as nx
import torch
from torch import Tensor, float32

from ..errors import StructureError
from .kinds import ACTIVATIONS, SOFTMAX, Decoder, Discrete, SubNetwork
from .optimizers import OPTIMIZERS
from .ports import Input, Output, Ports
from .weights import pack, unpack

if TYPE_CHECKING:
    from .fitness import Evaluation

Component = Input | SubNetwork | Output


@dataclass(frozen=True)
class Limits:
    """How far operators may let a VALP grow; an operator that would pass a limit offers no place there.

    The defaults leave room for the 60 steps of the paper's search and for the relu pair of the
    gentle operators, which doubles a width.

    Attributes:
        networks: Sub-networks of a VALP.
        layers: Layers of a sub-network.
        width: Units of a layer.
        latent: Dimensions of a decoder's latent.
        batch_size: Smallest and largest number of examples of a batch.
        learning_rate: Smallest and largest learning rate.
    """

    networks: int = 64
    layers: int = 8
    width: int = 256
    latent: int = 64
    batch_size: tuple[int, int] = (25, 1600)
    learning_rate: tuple[float, float] = (1e-5, 1e-1)


@dataclass(frozen=True)
class Optimizer:
    """The SGD algorithm (a name in ``optimizers.OPTIMIZERS``) and learning rate of one output."""

    name: str = "adam"
    learning_rate: float = 1e-3


@dataclass(frozen=True)
class Layout:
    """How a VALP is drawn at random; all bounds are inclusive.

    Attributes:
        layers: Layers of a sub-network.
        width: Units of a layer.
        latent: Dimensions of a decoder's latent.
        activations: Names of the hidden activations to draw from.
    """

    layers: tuple[int, int] = (1, 4)
    width: tuple[int, int] = (8, 96)
    latent: tuple[int, int] = (4, 32)
    activations: tuple[str, ...] = field(
        default=("relu", "elu", "softplus", "softsign", "sigmoid", "tanh", "identity")
    )


def connection(provider: str, receiver: str) -> str:
    """The name of a connection, and of its block in ``VALP.weights``."""
    return f"{provider}->{receiver}"


def ends(name: str) -> tuple[str, str]:
    """Provider and receiver of a connection's name."""
    provider, _, receiver = name.partition("->")
    return provider, receiver


def component_at(individual: VALP, place: str) -> str:
    """The component that a move's place is at: the receiver of a connection, the sub-network of a layer, or itself."""
    name = ends(place)[1] or place
    return name if name in individual.graph else name.partition(".")[0]


def _natural(name: str) -> tuple[int, str]:
    return len(name), name


class VALP:
    """A heterogeneous multi-network model as a DEAP individual (paper III).

    Tensors are values: no method and no operator writes to one, so copies share them.

    Attributes:
        graph: The components, as node attribute ``component``, and their connections.
        weights: Tensor by name. ``"u->v"``: the block through which ``v`` reads ``u``, shape (rows
            of v, width of u); ``"v.1.weight"``, ``"v.1.bias"``: the layers of a sub-network;
            ``"v.0.bias"`` (``"v.latent.bias"`` of a decoder, ``"o.bias"`` of an output): added to
            what ``v`` reads.
        optimizers: The ``Optimizer`` of each output.
        batch_size: Examples of a training batch.
        limits: How far operators may let it grow.
        layout: How operators draw what is new at random.
        trained: Whether any of the weights come from training.
        ages: By sub-network, the training sessions it had been through when the individual was last
            changed.
        seed: Drawn anew by every change; it seeds the evaluation, and names the individual it
            belongs to.
        move: The last ``Move`` applied to it, or None.
        decision: What was known when it was applied (a ``Decision``), where a selection chose it;
            else None.
    """

    def __init__(
        self,
        graph: nx.DiGraph,
        weights: Mapping[str, Tensor],
        optimizers: Mapping[str, Optimizer],
        *,
        batch_size: int = 200,
        limits: Limits = Limits(),
        layout: Layout = Layout(),
        seed: int | None = None,
    ) -> None:
        self.graph = graph
        self.weights = dict(weights)
        self.optimizers = dict(optimizers)
        self.batch_size = batch_size
        self.limits = limits
        self.layout = layout
        self.trained = False
        self.ages = dict.fromkeys(self.networks, 0)
        self.seed = random.getrandbits(63) if seed is None else seed
        self.move: Any = None
        self.decision: Any = None
        check(self)
        self._next_name = 1 + max(int(name[1:]) for name in self.networks)

    # ---- what is there ---------------------------------------------------------------------------

    def component(self, name: str) -> Any:
        """The frozen value that describes input, sub-network or output ``name``."""
        return self.graph.nodes[name]["component"]

    def _named(self, kind: type) -> tuple[str, ...]:
        return tuple(
            sorted(
                (n for n, c in self.graph.nodes(data="component") if isinstance(c, kind)),
                key=_natural,
            )
        )

    @property
    def inputs(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return self._named(Input)

    @property
    def networks(self) -> tuple[str, ...]:
        """Names of the sub-networks."""
        return self._named(SubNetwork)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Names of the outputs."""
        return self._named(Output)

    @property
    def connections(self) -> tuple[str, ...]:
        """Names of the connections."""
        return tuple(
            connection(provider, receiver)
            for receiver in self.order
            for provider in self.providers(receiver)
        )

    @property
    def order(self) -> tuple[str, ...]:
        """All components, providers before receivers; the same for equal graphs, whatever their history."""
        return tuple(nx.lexicographical_topological_sort(self.graph, key=_natural))

    def providers(self, name: str) -> tuple[str, ...]:
        """What ``name`` reads, in the order in which its blocks stand side by side."""
        return tuple(sorted(self.graph.pred[name], key=_natural))

    def receivers(self, name: str) -> tuple[str, ...]:
        """What reads ``name``."""
        return tuple(sorted(self.graph.succ[name], key=_natural))

    def block(self, provider: str, receiver: str) -> Tensor:
        """The weights of a connection, shape (rows of the receiver, width of the provider)."""
        return self.weights[connection(provider, receiver)]

    def entry_bias(self, name: str) -> str:
        """Key of the bias that is added to what ``name`` reads."""
        component = self.component(name)
        return (
            f"{name}.{component.entry}.bias"
            if isinstance(component, SubNetwork)
            else f"{name}.bias"
        )

    def rows(self, name: str) -> int:
        """Rows of the blocks through which a sub-network or output reads."""
        component = self.component(name)
        return component.rows if isinstance(component, SubNetwork) else component.width

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Shape by key of every tensor that the structure asks for."""
        shapes: dict[str, tuple[int, ...]] = {}
        for name in self.order:
            component = self.component(name)
            for provider in self.providers(name):
                shapes[connection(provider, name)] = (
                    self.rows(name),
                    self.component(provider).width,
                )
            if isinstance(component, SubNetwork):
                shapes.update((f"{name}.{key}", shape) for key, shape in component.shapes().items())
            elif isinstance(component, Output):
                shapes[f"{name}.bias"] = (component.width,)
        return shapes

    @property
    def weight_count(self) -> int:
        """Number of trainable weights and biases."""
        return sum(tensor.numel() for tensor in self.weights.values())

    # ---- subgraphs (paper III) -------------------------------------------------------------------

    def ancestors(self) -> dict[str, frozenset[str]]:
        """By component all that it depends on, in one pass over the graph."""
        above: dict[str, frozenset[str]] = {}
        for name in self.order:
            above[name] = frozenset().union(
                *({provider} | above[provider] for provider in self.graph.pred[name])
            )
        return above

    def outputs_of(self, name: str) -> frozenset[str]:
        """The outputs that can be reached from ``name``."""
        return frozenset(nx.descendants(self.graph, name)) & frozenset(self.outputs)

    def subgraph(self, output: str) -> frozenset[str]:
        """The sub-networks from which ``output`` can be reached."""
        return frozenset(nx.ancestors(self.graph, output)) & frozenset(self.networks)

    def exclusive(self, output: str) -> frozenset[str]:
        """The sub-networks from which ``output`` can be reached, and no other output."""
        others = (self.subgraph(other) for other in self.outputs if other != output)
        return self.subgraph(output).difference(*others)

    # ---- weights and evaluation ------------------------------------------------------------------

    @property
    def evaluation(self) -> Evaluation | None:
        """The evaluation of exactly this structure, hyperparameters and starting weights; None if changed since."""
        evaluation = getattr(getattr(self, "fitness", None), "evaluation", None)
        return evaluation if evaluation is not None and evaluation.seed == self.seed else None

    @property
    def trained_weights(self) -> dict[str, Tensor]:
        """The weights after the last training, or those it holds where there was none."""
        return self.weights if self.evaluation is None else self.evaluation.weights

    def inherit(self) -> None:
        """Take over the weights that the last evaluation left."""
        if self.evaluation is not None:
            self.trained = self.trained or self.evaluation.ok
            self.ages = {name: self.age(name) for name in self.networks}
            self.weights = dict(self.evaluation.weights)

    def age(self, network: str) -> int:
        """Training sessions that a sub-network has been through."""
        return self.ages[network] + (0 if self.evaluation is None else self.evaluation.sessions)

    # ---- edits for operators; none checks the rules ----------------------------------------------

    def add_network(self, component: SubNetwork, tensors: Mapping[str, Tensor]) -> str:
        """Add a sub-network without connections and return its new name; ``tensors`` as in ``component.shapes``."""
        name = f"n{self._next_name}"
        self._next_name += 1
        self.graph.add_node(name, component=component)
        self.ages[name] = 0
        self.weights.update((f"{name}.{key}", tensor) for key, tensor in tensors.items())
        return name

    def remove_network(self, name: str) -> None:
        """Remove a sub-network with its tensors and connections."""
        for key in self.component(name).shapes():
            del self.weights[f"{name}.{key}"]
        for provider in self.providers(name):
            self.disconnect(provider, name)
        for receiver in self.receivers(name):
            self.disconnect(name, receiver)
        self.graph.remove_node(name)
        del self.ages[name]

    def replace_network(
        self, name: str, component: SubNetwork, tensors: Mapping[str, Tensor]
    ) -> None:
        """Describe a sub-network anew and give it these tensors; its connections stay."""
        for key in self.component(name).shapes():
            del self.weights[f"{name}.{key}"]
        self.graph.nodes[name]["component"] = component
        self.weights.update((f"{name}.{key}", tensor) for key, tensor in tensors.items())

    def network_tensors(self, name: str) -> dict[str, Tensor]:
        """The tensors of a sub-network, its blocks apart, by their names in ``component.shapes``."""
        return {key: self.weights[f"{name}.{key}"] for key in self.component(name).shapes()}

    def connect(self, provider: str, receiver: str, block: Tensor) -> None:
        """Add a connection, or give an existing one another block."""
        self.graph.add_edge(provider, receiver)
        self.weights[connection(provider, receiver)] = block

    def disconnect(self, provider: str, receiver: str) -> None:
        """Remove a connection with its block."""
        self.graph.remove_edge(provider, receiver)
        del self.weights[connection(provider, receiver)]

    # ---- Python and DEAP -------------------------------------------------------------------------

    def __deepcopy__(self, memo: dict[int, Any]) -> VALP:
        copy_ = self.__class__.__new__(self.__class__)
        memo[id(self)] = copy_
        shared = {"graph": copy_graph(self.graph)} | {
            key: dict(getattr(self, key)) for key in _MAPPINGS
        }
        rest = {
            key: deepcopy(value, memo)
            for key, value in self.__dict__.items()
            if key not in (*shared, *_VALUES)
        }
        copy_.__dict__.update({key: self.__dict__[key] for key in _VALUES}, **shared, **rest)
        return copy_

    def __getstate__(self) -> dict[str, Any]:
        nodes = [(name, self.component(name)) for name in self.graph]
        return {
            **self.__dict__,
            "graph": (nodes, list(self.graph.edges)),
            "weights": pack(self.weights),
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        nodes, edges = state["graph"]
        self.__dict__.update(
            state, graph=build_graph(dict(nodes), edges), weights=unpack(state["weights"])
        )

    def __eq__(self, other: object) -> bool:
        """Same structure, hyperparameters and weights; DEAP rebuilds classes, so types do not count."""
        if not isinstance(other, VALP):
            return NotImplemented
        return (
            self.batch_size == other.batch_size
            and self.optimizers == other.optimizers
            and same_structure(self.graph, other.graph)
            and self.weights.keys() == other.weights.keys()
            and all(same_tensor(tensor, other.weights[key]) for key, tensor in self.weights.items())
        )

    __hash__ = None  # type: ignore[assignment]  # mutable, as DEAP's own individuals

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {len(self.networks)} sub-networks, {self.graph.number_of_edges()} connections, "
            f"{self.weight_count} weights>"
        )

    def __str__(self) -> str:
        lines = [repr(self)]
        for name in self.order:
            read = f" <- {', '.join(self.providers(name))}" if self.graph.pred[name] else ""
            lines.append(f"  {name}: {_described(self.component(name))}{read}")
        return "\n".join(lines)


def _described(component: Component) -> str:
    if isinstance(component, SubNetwork):
        return str(component)
    return f"{'input' if isinstance(component, Input) else component.kind} {component.width}"


_MAPPINGS = ("weights", "optimizers", "ages")  # of values
_VALUES = ("batch_size", "limits", "layout", "trained", "seed", "move", "decision", "_next_name")


def same_tensor(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors are equal, at no cost where they are one."""
    return a is b or torch.equal(a, b)


def same_structure(a: nx.DiGraph, b: nx.DiGraph) -> bool:
    """Whether two graphs have the same components and connections."""
    return dict(a.nodes(data="component")) == dict(b.nodes(data="component")) and set(
        a.edges
    ) == set(b.edges)


def build_graph(
    components: Mapping[str, Component], edges: Iterable[tuple[str, str]]
) -> nx.DiGraph:
    """A graph of these components and connections."""
    graph = nx.DiGraph()
    graph.add_nodes_from((name, {"component": component}) for name, component in components.items())
    graph.add_edges_from(edges)
    return graph


def copy_graph(graph: nx.DiGraph) -> nx.DiGraph:
    """A graph that shares the components and nothing else."""
    return build_graph(dict(graph.nodes(data="component")), graph.edges)


# ---- structural correctness ----------------------------------------------------------------------


def type_valid(graph: nx.DiGraph, provider: str, receiver: str) -> bool:
    """Whether the receiver takes what the provider gives; an input never feeds an output."""
    give, take = graph.nodes[provider]["component"], graph.nodes[receiver]["component"]
    if (
        isinstance(give, Output)
        or isinstance(take, Input)
        or (isinstance(give, Input) and isinstance(take, Output))
    ):
        return False
    return give.gives in take.takes


def check(individual: VALP, problem: Ports | None = None) -> None:
    """Check every rule of a valid VALP and, given a problem, that its ports are the problem's.

    Raises:
        StructureError: A rule is broken; the message names the component or connection.

    References:
        Paper III, "structurally correct VALP".
    """
    graph = individual.graph
    if problem is not None:
        _check_ports(individual, problem)
    for name, component in graph.nodes(data="component"):
        _check_component(graph, name, component)
    for provider, receiver in graph.edges:
        if not type_valid(graph, provider, receiver):
            raise StructureError(
                f"connection {connection(provider, receiver)}: {receiver} ({_kind(graph, receiver)}) does not take "
                f"what {provider} ({_kind(graph, provider)}) gives"
            )
    if not nx.is_directed_acyclic_graph(graph):
        cycle = " -> ".join(provider for provider, _ in nx.find_cycle(graph))
        raise StructureError(f"a VALP has no recurrence, got the cycle {cycle}")
    _check_weights(individual)
    _check_training(individual)


def _kind(graph: nx.DiGraph, name: str) -> str:
    component = graph.nodes[name]["component"]
    return "input" if isinstance(component, Input) else component.kind


def _check_ports(individual: VALP, problem: Ports) -> None:
    for ports, mine, theirs in (
        ("inputs", individual.inputs, problem.inputs),
        (
            "outputs",
            individual.outputs,
            {name: output.port for name, output in problem.outputs.items()},
        ),
    ):
        if {name: individual.component(name) for name in mine} != dict(theirs):
            raise StructureError(
                f"a VALP has exactly the {ports} of its problem ({sorted(theirs)}, widths and units included), "
                f"got {sorted(mine)}"
            )


def _check_component(graph: nx.DiGraph, name: str, component: Any) -> None:
    if isinstance(component, SubNetwork) and not re.fullmatch("n[0-9]+", name):
        raise StructureError(f"a sub-network is named n0, n1, ..., got {name!r}")
    if not isinstance(component, Input | SubNetwork | Output):
        raise StructureError(
            f"{name}: a component is an Input, a SubNetwork or an Output, got {component!r}"
        )
    if isinstance(component, SubNetwork):
        _check_layers(name, component)
    if not isinstance(component, Input) and not graph.pred[name]:
        raise StructureError(f"{name} ({_kind(graph, name)}) has no provider")
    if not isinstance(component, Output) and not graph.succ[name]:
        raise StructureError(f"{name} ({_kind(graph, name)}) has no consumer")


def _check_layers(name: str, component: SubNetwork) -> None:
    last = SOFTMAX if isinstance(component, Discrete) else None
    wrong = [
        layer
        for layer in component.layers[: -1 if last else None]
        if layer.activation not in ACTIVATIONS
    ]
    if wrong or not component.layers or (last and component.layers[-1].activation != last):
        rule = f"layers with activations among {list(ACTIVATIONS)}" + (
            f", the last {last}" if last else ""
        )
        raise StructureError(f"{name} ({component.kind}) needs {rule}, got {component}")
    if isinstance(component, Decoder) and not component.share > 0:
        raise StructureError(
            f"{name} (decoder) needs a positive share in its latent's divergence, got {component.share}"
        )


def _check_weights(individual: VALP) -> None:
    expected = individual.shapes()
    if expected.keys() != individual.weights.keys():
        odd = sorted(expected.keys() ^ individual.weights.keys())
        raise StructureError(
            f"a VALP has one tensor for each of its connections and layers; wrong or missing: {odd}"
        )
    for key, shape in expected.items():
        if tuple(individual.weights[key].shape) != shape:
            raise StructureError(
                f"{key}: expected shape {shape}, got {tuple(individual.weights[key].shape)}"
            )
        if individual.weights[key].dtype != float32:
            raise StructureError(f"{key}: weights are float32, got {individual.weights[key].dtype}")


def _check_training(individual: VALP) -> None:
    if type(individual.batch_size) is not int or individual.batch_size < 1:
        raise StructureError(
            f"a batch size is a number of examples from 1 on, got {individual.batch_size!r}"
        )
    if set(individual.optimizers) != set(individual.outputs):
        raise StructureError(
            f"a VALP has an optimizer for each output ({list(individual.outputs)}), got {list(individual.optimizers)}"
        )
    for output, optimizer in individual.optimizers.items():
        if optimizer.name not in OPTIMIZERS:
            raise StructureError(
                f"{output} needs an SGD algorithm among {list(OPTIMIZERS)}, got {optimizer.name!r}"
            )
        if not 0 <= optimizer.learning_rate < float("inf"):
            raise StructureError(
                f"{output} needs a finite learning rate from 0 on, got {optimizer.learning_rate}"
            )
