"""The rules of a valid VALP.

References:
    Paper III, "structurally correct VALP".
"""

from __future__ import annotations

import re
from typing import Any

import networkx as nx
from torch import float32

from ..arguments import is_number, need_type
from ..errors import StructureError
from .kinds import SubNetwork
from .optimizers import OPTIMIZERS
from .places import Connection
from .ports import Input, Output, Ports, each_feature, need_ports
from .structure import Structure, type_valid


def check(individual: Any, problem: Ports | None = None) -> None:
    """Raise an error unless all rules of a valid VALP hold.

    Args:
        individual: A VALP, or a genome.
        problem: A problem whose inputs and outputs the VALP must have, if given.

    Raises:
        StructureError: A rule is broken. The message names the component or connection.

    References:
        Paper III.
    """
    need_type(individual, Structure, "check", "individual as a VALP or a Genome", StructureError)
    graph = individual.graph
    if problem is not None:
        need_ports(problem, "check")
        _check_ports(individual, problem)
    for name, component in graph.nodes(data="component"):
        _check_component(graph, name, component)
    for provider, receiver in graph.edges:
        if not type_valid(graph, provider, receiver):
            raise StructureError(
                f"connection {Connection(provider, receiver)}: "
                f"{receiver} ({_kind(graph, receiver)}) does not take what "
                f"{provider} ({_kind(graph, provider)}) gives"
            )
    if not nx.is_directed_acyclic_graph(graph):
        cycle = " -> ".join(provider for provider, _ in nx.find_cycle(graph))
        raise StructureError(f"a VALP has no recurrence, got the cycle {cycle}")
    _check_weights(individual)
    _check_training(individual)


def _kind(graph: nx.DiGraph, name: str) -> str:
    return getattr(graph.nodes[name]["component"], "kind", "input")


def _check_ports(individual: Structure, problem: Ports) -> None:
    outputs = {name: output.port for name, output in problem.outputs.items()}
    for ports, mine, theirs in (
        ("inputs", individual.inputs, dict(problem.inputs)),
        ("outputs", individual.outputs, outputs),
    ):
        rule = f"a VALP has exactly the {ports} of its problem"
        if set(mine) != set(theirs):
            raise StructureError(f"{rule} ({sorted(theirs)}), got {sorted(mine)}")
        for name, port in theirs.items():
            different = _difference(individual.component(name), port)
            if different:
                raise StructureError(
                    f"{rule}, widths, units and labels included, got {name!r} with {different}. "
                    "Build the problem from the same data with the same columns, splits and seed; "
                    "a model of another problem is kept whole by pickle.dumps(decode(individual, "
                    "its_problem)) or export, which need no problem later"
                )


def _difference(mine: Any, theirs: Any) -> str:
    """Return what differs between two ports of one name, or nothing."""
    ours, other = getattr(mine, "labels", ""), getattr(theirs, "labels", "")
    if mine == theirs:
        if ours and other and ours != other:
            return "other class labels than those of the problem, or the same in another order"
        return ""
    for field in ("kind", "width"):
        ours, other = getattr(mine, field, None), getattr(theirs, field, None)
        if ours != other:
            return f"the {field} {ours}, where the problem has {other}"
    for field, meaning in (("shift", "mean"), ("scale", "scale")):
        pairs = zip(each_feature(mine, field), each_feature(theirs, field), strict=True)
        for number, (one, another) in enumerate(pairs):
            if one != another:
                return f"a {meaning} of {one:.6g} in place {number}, where it has {another:.6g}"
    return f"{mine}, where the problem has {theirs}"


def _check_component(graph: nx.DiGraph, name: str, component: Any) -> None:
    if not isinstance(component, Input | SubNetwork | Output):
        raise StructureError(
            f"{name}: a component is an Input, a SubNetwork or an Output, got {component!r}"
        )
    if isinstance(component, SubNetwork):
        if not re.fullmatch("n[0-9]+", name):
            raise StructureError(f"a sub-network is named n0, n1, ..., got {name!r}")
        fault = component.fault()
        if fault:
            raise StructureError(f"{name} ({component.kind}) {fault}")
    if not isinstance(component, Input) and not graph.pred[name]:
        raise StructureError(f"{name} ({_kind(graph, name)}) has no provider")
    # An input may have no consumer: nothing needs it, and mutDeleteInput took it away.
    if isinstance(component, SubNetwork) and not graph.succ[name]:
        raise StructureError(f"{name} ({_kind(graph, name)}) has no consumer")


def _check_weights(individual: Structure) -> None:
    expected = individual.shapes()
    if expected.keys() != individual.weights.keys():
        odd = sorted(expected.keys() ^ individual.weights.keys())
        raise StructureError(
            f"a VALP has one tensor for each of its connections and layers; wrong or missing: {odd}"
        )
    for key, shape in expected.items():
        tensor = individual.weights[key]
        if tuple(tensor.shape) != shape:
            raise StructureError(f"{key}: expected shape {shape}, got {tuple(tensor.shape)}")
        if tensor.dtype != float32:
            raise StructureError(f"{key}: weights are float32, got {tensor.dtype}")


def _check_training(individual: Any) -> None:
    if type(individual.batch_size) is not int or individual.batch_size < 1:
        raise StructureError(
            f"a batch size is a number of examples from 1 on, got {individual.batch_size!r}"
        )
    if set(individual.optimizers) != set(individual.outputs):
        raise StructureError(
            f"a VALP has an optimizer for each output ({list(individual.outputs)}), "
            f"got {list(individual.optimizers)}"
        )
    for output, optimizer in individual.optimizers.items():
        if optimizer.name not in OPTIMIZERS:
            raise StructureError(
                f"{output} needs an SGD algorithm among {list(OPTIMIZERS)}, got {optimizer.name!r}"
            )
        if not _is_finite(optimizer.learning_rate):
            raise StructureError(
                f"{output} needs a finite learning rate from 0 on, got {optimizer.learning_rate!r}"
            )
        if not _is_finite(optimizer.decay):
            raise StructureError(
                f"{output} needs a finite weight decay from 0 on, got {optimizer.decay!r}"
            )


def _is_finite(value: object) -> bool:
    """Return whether a value is a finite number from 0 on."""
    return is_number(value) and 0 <= value < float("inf")  # type: ignore[operator]
