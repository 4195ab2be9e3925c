"""Checks of what a user describes a problem with: ports, lengths, what to standardise, costs."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ProblemError
from ..genome.fitness import RESERVED
from ..genome.ports import OUTPUT_KINDS
from ..text import listed
from .data.arrays import is_frame, length_of
from .data.doubts import of_target
from .inputs import InputKind, Table
from .outputs import OutputKind

logger = logging.getLogger("deap_valp")

Cost = Callable[[Any], float]
"""A minimised objective that is a function of the individual."""


def weight_count(individual: Any) -> float:
    """Return the number of weights of a VALP, as a cost."""
    return individual.weight_count


COSTS: dict[str, Cost] = {"weight_count": weight_count}
"""The built-in costs by name."""


def check_ports(inputs: Any, outputs: Any, costs: Mapping[str, Any]) -> None:
    """Raise where ports and costs are not what a problem can be made of."""
    for role, ports in (("inputs", inputs), ("outputs", outputs)):
        rule = f"Problem needs {role} as a mapping of at least one name"
        if not isinstance(ports, Mapping):
            raise ProblemError(f"{rule}, got {type(ports).__name__}")
        if not ports:
            raise ProblemError(f"{rule}, got an empty one")
    for name, kind in outputs.items():
        if not isinstance(kind, OutputKind):
            kinds = [kind.__name__ for kind in OUTPUT_KINDS.values()]
            raise ProblemError(
                f"output {name!r} needs one of {kinds} around its target, got {type(kind).__name__}"
            )
    _check_names([*inputs, *outputs, *costs])
    for name in (*outputs, *costs):
        if name in RESERVED:
            raise ProblemError(
                "names of outputs and costs are those of objectives, and need to differ from what "
                f"logbooks have columns for ({list(RESERVED)}), got {name!r}: {name}_ will do"
            )


def _check_names(names: Sequence[Any]) -> None:
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or re.fullmatch(r"n\d+", name):
            raise ProblemError(
                "names of ports and costs need to be identifiers, but not n<digits> (a "
                f"sub-network's), got {name!r}"
            )
        if names.count(name) > 1:
            raise ProblemError(
                f"inputs, outputs and costs need names of their own, got {name!r} twice"
            )


def common_length(inputs: Mapping[str, Any], outputs: Mapping[str, OutputKind]) -> int:
    """Return the number of examples that all arrays have.

    Raises:
        ProblemError: The numbers differ, or the indexes of two frames do.
    """
    inputs = {
        name: data.values if isinstance(data, InputKind) else data for name, data in inputs.items()
    }
    lengths = {name: {length_of(name, data)} for name, data in inputs.items()}
    for name, kind in outputs.items():
        lengths[name] = {length_of(name, data) for data in kind.arrays()}
    different = set().union(*lengths.values())
    if len(different) != 1:
        found = [f"{name} {size}" for name, sizes in lengths.items() for size in sorted(sizes)]
        raise ProblemError(f"all ports need the same number of examples, got {', '.join(found)}")
    _check_indexes(inputs, outputs)
    return different.pop()


def _check_indexes(inputs: Mapping[str, Any], outputs: Mapping[str, OutputKind]) -> None:
    """Raise where two frames have different indexes: rows are matched by their position alone."""
    frames = [(name, data) for name, data in inputs.items() if is_frame(data)]
    for name, kind in outputs.items():
        frames += [(name, data) for data in kind.arrays() if is_frame(data)]
    for name, frame in frames[1:]:
        first, reference = frames[0]
        if not frame.index.equals(reference.index):
            pairs = enumerate(zip(reference.index, frame.index, strict=True))
            row = next((row for row, (ours, theirs) in pairs if ours != theirs), 0)
            raise ProblemError(
                "frames are matched row by row and need equal indexes, got "
                f"{reference.index[row]!r} in {first!r} and {frame.index[row]!r} in {name!r} "
                f"at row {row}: align them (frame.loc[...]), or use reset_index(drop=True) where "
                "their order is the same"
            )


def report_leaks(
    inputs: Mapping[str, InputKind],
    given: Mapping[str, OutputKind],
    outputs: Mapping[str, OutputKind],
) -> None:
    """Report to the log the columns of tables that are the target of an output.

    Args:
        inputs: The inputs, around the user's values.
        given: The outputs, around the user's targets.
        outputs: The same, bound. A generation, and a target that is the whole of an input, are
            reconstructions, which read what they predict.
    """
    for port, kind in inputs.items():
        if not isinstance(kind, Table):
            continue
        for name, output in outputs.items():
            target = given[name]._target
            if target is None or output.draws_samples or _is_whole(target, kind.values):
                continue
            columns = of_target(kind.values, target, output.present.missing)
            if columns:
                logger.warning(
                    "%r has the target of %r as its column %s: leave it out, for new examples will "
                    "not have it",
                    port,
                    name,
                    listed(columns),
                )


def _is_whole(target: Any, values: Any) -> bool:
    return np.shape(target) == np.shape(values) and np.ndim(target) > 1


def wishes_of(
    standardize: bool | Mapping[str, bool], ports: Sequence[str]
) -> dict[str, bool | None]:
    """Return what the user says of each port: True, False, or None for the default rule."""
    if standardize is True:
        return dict.fromkeys(ports)
    if standardize is False:
        return dict.fromkeys(ports, False)
    if not isinstance(standardize, Mapping) or not all(
        isinstance(wish, bool) for wish in standardize.values()
    ):
        raise ProblemError(
            f"standardize needs True, False or a mapping of them by port, got {standardize!r}"
        )
    unknown = [name for name in standardize if name not in ports]
    if unknown:
        raise ProblemError(f"standardize needs the names of ports ({list(ports)}), got {unknown}")
    return {name: standardize.get(name) for name in ports}


def costs_of(costs: Any) -> dict[str, Cost]:
    """Return the costs by objective name: from one name, from names and functions, or a mapping."""
    if isinstance(costs, str):
        costs = (costs,)
    if not isinstance(costs, Mapping):
        costs = {_name_of(cost): cost for cost in costs}
    return {name: _cost(cost) for name, cost in costs.items()}


def _name_of(cost: Any) -> str:
    if isinstance(cost, str):
        return cost
    return getattr(cost, "__name__", repr(cost))


def _cost(cost: Any) -> Cost:
    if callable(cost):
        return cost
    if not isinstance(cost, str) or cost not in COSTS:
        raise ProblemError(
            f"costs need functions of an individual or names of {list(COSTS)}, got {cost!r}"
        )
    return COSTS[cost]
