"""``Problem``: named inputs and outputs over the user's arrays, their splits, and the reference it travels as."""

from __future__ import annotations

import importlib
import math
import pickle
import re
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ProblemError
from ..genome.ports import OUTPUT_KINDS, Input
from .data.arrays import Encoding, length_of, training_units
from .data.splits import SPLITS, Split, refuse_unknown_split, split_rows
from .data.storage import read_store, refuse_unpicklable, this_process, write_store
from .outputs import Binding, OutputKind


def weight_count(individual: Any) -> float:
    """The number of weights of a VALP: a cost."""
    return individual.weight_count


COSTS: dict[str, Callable[[Any], float]] = {"weight_count": weight_count}

_OPENED: dict[Hashable, Problem] = {}
_OPENING = threading.RLock()


class Problem:
    """What a VALP is evolved for: named inputs and outputs, three splits, one minimised objective per output and cost.

    It travels as a reference of less than 2 kB: to a loader (``Problem.load``), or to files that it
    writes to the temporary directory when it is first pickled, which only processes on this host
    can open, while this one runs.

    Args:
        inputs: arrays (numpy, torch, pandas) with one row per example. Arrays of three or more
            dimensions, or of bytes, are images: flattened, bytes divided by 255. Columns of
            categories become one-hot.
        outputs: ``Classification``, ``Regression`` or ``Generation`` of each target.
        splits: fractions, or the rows of "train", "validation" and "test". Rows are copied, those
            of training in a random order, so that contiguous batches are random ones. A slice is
            used as it is, without a copy where the
            array is float32 and not standardised: give one where the order is random already.
        seed: of the split and the order of training rows.
        standardize: to mean 0 and deviation 1 on the training split, images excepted; False for no
            port; or True and False by port (True then holds for images too). What is not
            standardised stays in the user's units, bytes in fractions of 255.
        normalize: divide each loss by its baseline, so that 1 means "knows nothing" for every
            output.
        costs: further objectives: names of built-in ones ("weight_count") and functions of the
            individual.

    Raises:
        ProblemError: something in the data or its description breaks a rule; the message names the
            port.

    Attributes:
        inputs: what a VALP knows of each input.
        outputs: the output kinds, bound.
        costs: functions of an individual by objective name.
        loss_scale: factor of each output's loss in the sum: its weight, divided by its baseline if
            ``normalize``.
    """

    def __init__(
        self,
        inputs: Mapping[str, Any],
        outputs: Mapping[str, OutputKind],
        *,
        splits: Sequence[float] | Mapping[str, Any] = (0.7, 0.15, 0.15),
        seed: int = 0,
        standardize: bool | Mapping[str, bool] = True,
        normalize: bool = True,
        costs: Sequence[str | Callable[[Any], float]] | Mapping[str, Callable[[Any], float]] = (),
    ):
        self.costs = _costs(costs)
        _check_ports(inputs, outputs, self.costs)
        size = _common_length(inputs, outputs)
        wishes = _wishes(standardize, [*inputs, *outputs])
        rows = split_rows(splits, size, seed)
        self._encodings = {
            name: Encoding.of(name, data, rows["train"]) for name, data in inputs.items()
        }
        self.inputs: dict[str, Input] = {}
        features = {}
        for name, encoding in self._encodings.items():
            matrix = encoding.matrix(name, inputs[name])
            standard, features[name] = training_units(matrix, encoding.image, wishes[name], rows)
            self.inputs[name] = Input(
                matrix.shape[1], standard.shift, tuple(1 / spread for spread in standard.spread)
            )
        self.outputs = {
            name: kind.bind(Binding(name, rows, wishes[name], inputs))
            for name, kind in outputs.items()
        }
        self._share(features)
        self._splits = {name: self._split_of(name, features) for name in SPLITS}
        self._on_device: dict[tuple[str, torch.device], Split] = {}
        self._reference: tuple[Callable[..., Problem], tuple[Any, ...]] | None = None
        self.loss_scale = {
            name: kind.loss_weight / (_positive(name, kind) if normalize else 1)
            for name, kind in self.outputs.items()
        }

    def _share(self, features: Mapping[str, dict[str, Tensor]]) -> None:
        """Let targets that equal an input be that input's tensors."""
        for kind in self.outputs.values():
            for tensors in features.values():
                if all(_same(kind.targets[name], tensors[name]) for name in SPLITS):
                    kind.targets = tensors

    def _split_of(self, name: str, features: Mapping[str, Mapping[str, Tensor]]) -> Split:
        inputs = {port: tensors[name] for port, tensors in features.items()}
        targets = {port: kind.targets[name] for port, kind in self.outputs.items()}
        return Split(inputs, targets, len(next(iter(inputs.values()))))

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of what the fitness minimises: the outputs, then the costs."""
        return (*self.outputs, *self.costs)

    @property
    def weights(self) -> tuple[float, ...]:
        """DEAP's objective weights: everything is minimised."""
        return (-1.0,) * len(self.objectives)

    def split(
        self, name: str, device: str | torch.device = "cpu", limit: int | None = None
    ) -> Split:
        """The examples of a split on a device, moved there once; with a limit, views of the first ones.

        Training examples are in random order already: contiguous slices are random batches.
        """
        refuse_unknown_split(name)
        key = (name, torch.empty(0, device=device).device)  # "cuda" and "cuda:0" are one device
        if key not in self._on_device:
            self._on_device[key] = self._splits[name].to(device)
        found = self._on_device[key]
        return found if limit is None else found.first(limit)

    def prepare(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """New data as a decoded model takes it: float32 ``(examples, width)`` in the user's units, categories one-hot.

        Raises:
            ProblemError: the ports are not the problem's inputs, or an array breaks a rule of the
                constructor.
        """
        if not isinstance(inputs, Mapping) or set(inputs) != set(self.inputs):
            got = list(inputs) if isinstance(inputs, Mapping) else type(inputs).__name__
            raise ProblemError(
                f"prepare needs a mapping with the inputs {list(self.inputs)}, got {got}"
            )
        _common_length(inputs, {})
        matrices = {
            name: encoding.matrix(name, inputs[name]) for name, encoding in self._encodings.items()
        }
        return {
            name: torch.from_numpy(np.array(matrix, dtype=np.float32))
            for name, matrix in matrices.items()
        }

    # -- travelling

    @classmethod
    def load(cls, loader: str, **arguments: Any) -> Problem:
        """The problem that an importable function gives, called once in each process that the problem travels to.

        Args:
            loader: ``"package.module:function"``.
            arguments: passed on; numbers, strings, functions, and lists or mappings of them.
        """
        return open_once(loader, arguments, lambda: _called(loader, arguments))

    def __reduce__(self) -> tuple[Callable[..., Problem], tuple[Any, ...]]:
        with _OPENING:
            if self._reference is None:
                path = self._write()
                self._reference = _open_store, (path, this_process())
                _OPENED[path] = self
        refuse_unpicklable(f"the reference of {self!r}", self._reference[1])
        return self._reference

    def _write(self) -> str:
        for name, kind in self.outputs.items():
            for argument, function in kind.functions().items():
                refuse_unpicklable(f"{argument} of output {name!r}", function)
        for name, function in self.costs.items():
            refuse_unpicklable(f"cost {name!r}", function)
        return write_store({**vars(self), "_on_device": {}})

    def __deepcopy__(self, memo: dict[int, Any]) -> Problem:
        return self

    def __repr__(self) -> str:
        inputs = ", ".join(f"{name} {port.width}" for name, port in self.inputs.items())
        outputs = ", ".join(
            f"{name} {kind.kind} {kind.port.width}" for name, kind in self.outputs.items()
        )
        sizes = "/".join(str(split.size) for split in self._splits.values())
        return f"<Problem {inputs} -> {outputs}; {sizes} examples>"

    def __str__(self) -> str:
        lines = [f"input {name}: {port.width} features" for name, port in self.inputs.items()]
        lines += [
            f"output {name}: {kind.kind}, width {kind.port.width}, constant loss {kind.baseline:.4g}"
            for name, kind in self.outputs.items()
        ]
        lines += [f"cost {name}" for name in self.costs]
        lines += [f"{name}: {split.size} examples" for name, split in self._splits.items()]
        return "\n".join(lines)


# --- References -----------------------------------------------------------------------------------


def open_once(loader: str, arguments: Mapping[str, Any], build: Callable[[], Problem]) -> Problem:
    """The problem of a loader and its arguments, built by the first call in this process."""
    key = (loader, _key(arguments))
    with _OPENING:
        if key not in _OPENED:
            problem = build()
            if problem._reference is None:
                problem._reference = _open_loader, (loader, dict(arguments))
            _OPENED[key] = problem
        return _OPENED[key]


def _key(value: Any) -> Hashable:
    """What a value and its unpickled copy have in common."""
    if isinstance(value, Mapping):
        return tuple((name, _key(value[name])) for name in sorted(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(_key, value))
    try:
        return pickle.dumps(value)
    except Exception:  # it cannot travel, so itself will do
        return value


def _open_loader(loader: str, arguments: Mapping[str, Any]) -> Problem:
    return Problem.load(loader, **arguments)


def _open_store(path: str, origin: str) -> Problem:
    with _OPENING:
        if path not in _OPENED:
            problem = Problem.__new__(Problem)
            vars(problem).update(read_store(path, origin), _reference=(_open_store, (path, origin)))
            _OPENED[path] = problem
        return _OPENED[path]


def _called(loader: str, arguments: Mapping[str, Any]) -> Problem:
    module, _, name = loader.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ProblemError(
            f"Problem.load needs an importable 'package.module:function', got {loader!r}: {error}"
        ) from error
    problem = function(**arguments)
    if not isinstance(problem, Problem):
        raise ProblemError(
            f"Problem.load needs a function that gives a Problem, got {problem!r} from {loader!r}"
        )
    return problem


# --- Checks ---------------------------------------------------------------------------------------


def _check_ports(inputs: Any, outputs: Any, costs: Mapping[str, Any]) -> None:
    for role, ports in (("inputs", inputs), ("outputs", outputs)):
        if not isinstance(ports, Mapping) or not ports:
            raise ProblemError(
                f"Problem needs {role} as a mapping of at least one name, got {_described(ports)}"
            )
    for name, kind in outputs.items():
        if not isinstance(kind, OutputKind):
            kinds = [kind.__name__ for kind in OUTPUT_KINDS.values()]
            raise ProblemError(
                f"output {name!r} needs one of {kinds} around its target, got {type(kind).__name__}"
            )
    names = [*inputs, *outputs, *costs]
    for name in names:
        if not isinstance(name, str) or not name.isidentifier() or re.fullmatch(r"n\d+", name):
            raise ProblemError(
                f"names of ports and costs need to be identifiers, but not n<digits> (a sub-network's), got {name!r}"
            )
        if names.count(name) > 1:
            raise ProblemError(
                f"inputs, outputs and costs need names of their own, got {name!r} twice"
            )


def _described(value: Any) -> str:
    return "an empty one" if isinstance(value, Mapping) else type(value).__name__


def _common_length(inputs: Mapping[str, Any], outputs: Mapping[str, OutputKind]) -> int:
    lengths = {name: {length_of(name, data)} for name, data in inputs.items()}
    lengths |= {
        name: {length_of(name, data) for data in kind.arrays()} for name, kind in outputs.items()
    }
    if len(set().union(*lengths.values())) != 1:
        found = ", ".join(
            f"{name} {size}" for name, sizes in lengths.items() for size in sorted(sizes)
        )
        raise ProblemError(f"all ports need the same number of examples, got {found}")
    return next(iter(lengths[next(iter(inputs))]))


def _wishes(standardize: bool | Mapping[str, bool], ports: Sequence[str]) -> dict[str, bool | None]:
    """What the user says of each port: True, False, or None for the default rule."""
    if isinstance(standardize, bool):
        return dict.fromkeys(ports, None if standardize else False)
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


def _costs(costs: Any) -> dict[str, Callable[[Any], float]]:
    if isinstance(costs, str):
        costs = (costs,)
    if not isinstance(costs, Mapping):
        costs = {
            (cost if isinstance(cost, str) else getattr(cost, "__name__", repr(cost))): cost
            for cost in costs
        }
    return {name: _cost(cost) for name, cost in costs.items()}


def _cost(cost: Any) -> Callable[[Any], float]:
    if callable(cost):
        return cost
    if not isinstance(cost, str) or cost not in COSTS:
        raise ProblemError(
            f"costs need functions of an individual or names of {list(COSTS)}, got {cost!r}"
        )
    return COSTS[cost]


def _same(target: Tensor, feature: Tensor) -> bool:
    return target.dtype == feature.dtype and torch.equal(target, feature)


def _positive(name: str, kind: OutputKind) -> float:
    if not 0 < kind.baseline < math.inf:
        raise ProblemError(
            f"normalize needs a positive finite loss of the constant prediction, got {kind.baseline} for {name!r}: "
            "use normalize=False or another loss"
        )
    return kind.baseline
