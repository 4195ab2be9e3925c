"""``Problem``: named inputs and outputs over the user's arrays, their splits, and its travels."""

from __future__ import annotations

import importlib
import math
import pickle
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..errors import ProblemError
from ..genome.ports import Input
from ..text import html_table
from .checks import Cost, check_ports, common_length, costs_of, report_leaks, wishes_of
from .data.augmentation import Augmentation
from .data.rare import with_every_label
from .data.splits import SPLITS, Rows, Split, refuse_unknown_split, split_rows
from .data.storage import read_store, refuse_unpicklable, this_process, write_store
from .inputs import image_shape, kind_of
from .outputs import Binding, OutputKind
from .preparation import InputPreparation, Meaning, Preparation

_OPENED: dict[Hashable, Problem] = {}
"""The problems that this process has opened, by what they travel as."""

_OPENING = threading.RLock()


class Problem:
    """What a VALP is evolved for: named inputs and outputs, three splits, minimised objectives.

    There is one objective for each output and one for each cost.

    Pickled, a problem is a reference of less than 2 kB, which each process opens once. The
    reference names a loader (``Problem.load``), or else files that the problem writes to the
    temporary directory when it is first pickled. Only processes on this host can open these files,
    while this process runs.

    Args:
        inputs: ``Table``, ``Series`` or ``Image`` around each array or frame, with one row per
            example. The kind of a bare array is guessed, and ``print(problem)`` shows the guess.
            Values may be missing (NaN, None, masked) in tables and series, though not in images: a
            number becomes the mean of its column over the training split, a category none of those
            known, and each column with holes in training gets a further feature that is 1 where the
            value is missing.
            Mapped arrays (``open_arrays``) need not fit into memory.
        outputs: ``Classification``, ``Regression``, ``Generation`` or a kind of your own around
            each target. An example without a target for one of them counts for the others.
        splits: Fractions, or the rows of "train", "validation" and "test". By fractions, rows are
            drawn at random, and a row of each label is moved to training. Rows are copied, those
            of training in a random order, so that contiguous batches are random ones. A slice is
            used in its order, and without a copy where the array is float32 and not standardised:
            give a slice where the order is random already.
        seed: Seed of the split and of the order of training rows.
        standardize: True brings every port except images to mean 0 and deviation 1 on the training
            split, False no port. A mapping gives True and False by port; True then holds for images
            too. What is not standardised stays in the user's units, and an image is scaled by its
            range.
        normalize: Divide each loss by its baseline, so that 1 means "knows nothing" for every
            output.
        costs: Further objectives: names of built-in ones ("weight_count"), and functions of the
            individual.

    Raises:
        ProblemError: Something in the data or its description breaks a rule; the message names the
            port.

    Attributes:
        inputs: What a VALP knows of each input.
        outputs: The output kinds, bound to their targets.
        costs: Functions of an individual by objective name.
        preparation: How new data is read, and what predictions mean.
        imputed: Number of missing values of each input.
        augmentations: How the training examples of an input are changed in every batch, by input.
        loss_scale: Factor of each output's loss in the sum: its weight, divided by its baseline if
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
        costs: Sequence[str | Cost] | Mapping[str, Cost] = (),
    ):
        self.costs = costs_of(costs)
        check_ports(inputs, outputs, self.costs)
        size = common_length(inputs, outputs)
        wishes = wishes_of(standardize, [*inputs, *outputs])
        rows: Rows = split_rows(splits, size, seed)
        if not isinstance(splits, Mapping):
            rows = with_every_label(rows, [kind.needed_in_training() for kind in outputs.values()])
        given = {name: kind_of(name, data) for name, data in inputs.items()}
        self.inputs: dict[str, Input] = {}
        self.imputed: dict[str, int] = {}
        prepared, features = {}, {}
        for name, kind in given.items():
            prepared[name], features[name], self.imputed[name] = InputPreparation.of(
                name, kind, wishes[name], rows
            )
            self.inputs[name] = _port(prepared[name], features[name])
        self.augmentations = _augmentations(prepared)
        self.outputs = {
            name: kind.bind(Binding(name, rows, wishes[name], given))
            for name, kind in outputs.items()
        }
        meanings = {name: _meaning(kind) for name, kind in self.outputs.items()}
        self.preparation = Preparation(prepared, meanings)
        self._share(features)
        report_leaks(given, outputs, self.outputs)
        self._splits = {name: self._split_of(name, features) for name in SPLITS}
        self._on_device: dict[tuple[str, torch.device, int | None], Split] = {}
        self._travels_as: tuple[Callable[..., Problem], tuple[Any, ...]] | None = None
        self.loss_scale = {
            name: _loss_scale(name, kind, normalize) for name, kind in self.outputs.items()
        }

    def _share(self, features: Mapping[str, dict[str, Tensor]]) -> None:
        """Let targets that equal an input be that input's tensors."""
        for kind in self.outputs.values():
            for tensors in features.values():
                if all(_same(kind.targets[name], tensors[name]) for name in SPLITS):
                    kind.targets = tensors

    def _split_of(self, name: str, features: Mapping[str, Mapping[str, Tensor]]) -> Split:
        inputs = {port: tensors[name] for port, tensors in features.items()}
        targets, weights = {}, {}
        for port, kind in self.outputs.items():
            targets[port] = kind.present.spread(name, kind.targets[name])
            weight = kind.present.weights(name, kind.weights[name])
            if weight is not None:
                weights[port] = weight
        return Split(inputs, targets, len(next(iter(inputs.values()))), weights)

    def augmented(
        self,
        features: Mapping[str, Tensor],
        targets: Mapping[str, Tensor],
        generator: torch.Generator | None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Return a batch of training examples with its images moved and mirrored at random.

        A target that is the same data as an input gets the same changes.

        Args:
            features: The features by input.
            targets: The targets by output.
            generator: Draws the changes, on the device of the batch.
        """
        features, targets, data = dict(features), dict(targets), self._splits["train"]
        for name, change in self.augmentations.items():
            features[name] = change(features[name], generator)
            for output, target in data.targets.items():
                if target is data.inputs[name]:
                    targets[output] = features[name]
        return features, targets

    @property
    def objectives(self) -> tuple[str, ...]:
        """Names of what the fitness minimises: the outputs, then the costs."""
        return (*self.outputs, *self.costs)

    @property
    def training_size(self) -> int:
        """Number of training examples."""
        return self._splits["train"].size

    @property
    def weights(self) -> tuple[float, ...]:
        """DEAP's objective weights, -1 for each objective, since everything is minimised."""
        return (-1.0,) * len(self.objectives)

    def split(
        self, name: str, device: str | torch.device = "cpu", limit: int | None = None
    ) -> Split:
        """Return the examples of a split on a device, to which they are moved once.

        Training examples are in random order already: contiguous slices are random batches.

        Args:
            name: "train", "validation" or "test".
            device: Where the tensors lie.
            limit: Return so many of the examples only, drawn at random once for all.

        Raises:
            ProblemError: There is no such split, or the limit is below 1.
        """
        refuse_unknown_split(name)
        place = torch.empty(0, device=device).device  # "cuda" and "cuda:0" are one device
        key = name, place, limit
        if key not in self._on_device:
            if limit is None:
                self._on_device[key] = self._splits[name].to(place)
            else:
                self._on_device[key] = self.split(name, place).sample(limit)
        return self._on_device[key]

    def prepare(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """Return new data as a decoded model takes it, with categories as one-hot columns.

        A category that the training split does not have gets a zero in all of its columns.

        What is missing is filled as in the problem's own data, with the same indicators. In a
        column that had no holes in training it is filled without an indicator.

        Args:
            inputs: Arrays or frames by input name, in the form that the problem was made from.

        Returns:
            By input name, float32 ``(examples, width)`` in the user's units.

        Raises:
            ProblemError: The ports are not the problem's inputs, or an array breaks a rule of the
                constructor.
        """
        self.preparation.check(inputs, "prepare")
        common_length(inputs, {})
        return {
            name: torch.from_numpy(np.array(prepared.matrix(inputs[name]), dtype=np.float32))
            for name, prepared in self.preparation.inputs.items()
        }

    # -- travelling

    @classmethod
    def load(cls, loader: str, **arguments: Any) -> Problem:
        """Return the problem that an importable function gives.

        Each process that the problem travels to calls the function once.

        Args:
            loader: ``"package.module:function"``.
            arguments: Passed on to the function: numbers, strings, functions, and lists or mappings
                of them.

        Raises:
            ProblemError: The function cannot be imported, or gives no problem.
        """
        return open_once(loader, arguments, lambda: _called(loader, arguments))

    def __reduce__(self) -> tuple[Callable[..., Problem], tuple[Any, ...]]:
        with _OPENING:
            if self._travels_as is None:
                path = self._write()
                self._travels_as = _open_store, (path, this_process())
                _OPENED[path] = self
        refuse_unpicklable(f"the reference of {self!r}", self._travels_as[1])
        return self._travels_as

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
        inputs = [f"{name} {port.width}" for name, port in self.inputs.items()]
        outputs = [f"{name} {kind.kind} {kind.port.width}" for name, kind in self.outputs.items()]
        sizes = [str(split.size) for split in self._splits.values()]
        ports = f"{', '.join(inputs)} -> {', '.join(outputs)}"
        return f"<Problem {ports}; {'/'.join(sizes)} examples>"

    def __str__(self) -> str:
        lines = []
        for name, port in self.inputs.items():
            prepared = self.preparation.inputs[name]
            line = f"input {name}: {port.width} features"
            if self.imputed[name]:
                line += f", {self.imputed[name]} missing values imputed"
            indicators = len(prepared.imputation.indicated)
            if indicators:
                line += f", {indicators} features that say where"
            lines.append(f"{line}; {prepared}")
        for name, kind in self.outputs.items():
            line = f"output {name}: {kind.kind}, width {kind.port.width}, "
            line += f"constant loss {kind.baseline:.4g}"
            sizes = kind.present.sizes.items()
            if any(len(kind.targets[split]) < size for split, size in sizes):
                shares = [f"{len(kind.targets[split])} of {size}" for split, size in sizes]
                line += f", targets for {', '.join(shares)} examples"
            lines.append(line)
        lines += [f"cost {name}" for name in self.costs]
        lines += [f"{name}: {split.size} examples" for name, split in self._splits.items()]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        lines = [line.partition(": ") for line in str(self).splitlines()]
        return html_table([["problem", ""], *([name, rest] for name, _, rest in lines)])


def _port(prepared: InputPreparation, features: Mapping[str, Tensor]) -> Input:
    standard = prepared.standard
    scale = tuple(1 / spread for spread in standard.spread)
    shape = image_shape(prepared.kind, prepared.encoding)
    return Input(features["train"].shape[1], standard.shift, scale, shape)


def _augmentations(prepared: Mapping[str, InputPreparation]) -> dict[str, Augmentation]:
    """Return how the training examples of inputs are changed, of those that are."""
    found = {name: one.kind.augmentation(name, one.encoding) for name, one in prepared.items()}
    return {name: change for name, change in found.items() if change is not None}


def _meaning(kind: OutputKind) -> Meaning:
    return Meaning(kind.kind, kind.shape, kind.named_rows(kind.port.width), kind.columns)


def _same(target: Tensor, feature: Tensor) -> bool:
    return target.dtype == feature.dtype and torch.equal(target, feature)


def _loss_scale(name: str, kind: OutputKind, normalize: bool) -> float:
    if not normalize:
        return kind.loss_weight
    if not 0 < kind.baseline < math.inf:
        raise ProblemError(
            "normalize needs a positive finite loss of the constant prediction, "
            f"got {kind.baseline} for {name!r}: use normalize=False or another loss"
        )
    return kind.loss_weight / kind.baseline


# --- Opening what a problem travels as ------------------------------------------------------------


def open_once(loader: str, arguments: Mapping[str, Any], build: Callable[[], Problem]) -> Problem:
    """Return the problem of a loader and its arguments, built by the first call in a process."""
    key = (loader, _comparable(arguments))
    with _OPENING:
        if key not in _OPENED:
            problem = build()
            if problem._travels_as is None:
                problem._travels_as = _open_loader, (loader, dict(arguments))
            _OPENED[key] = problem
        return _OPENED[key]


def _comparable(value: Any) -> Hashable:
    """Return something hashable that a value and its unpickled copy have in common."""
    if isinstance(value, Mapping):
        return tuple((name, _comparable(value[name])) for name in sorted(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(_comparable, value))
    try:
        return pickle.dumps(value)
    except Exception:  # it cannot travel, so the value itself will do
        return value


def _open_loader(loader: str, arguments: Mapping[str, Any]) -> Problem:
    return Problem.load(loader, **arguments)


def _open_store(path: str, origin: str) -> Problem:
    with _OPENING:
        if path not in _OPENED:
            problem = Problem.__new__(Problem)
            travels_as = (_open_store, (path, origin))
            vars(problem).update(read_store(path, origin), _travels_as=travels_as)
            _OPENED[path] = problem
        return _OPENED[path]


def _called(loader: str, arguments: Mapping[str, Any]) -> Problem:
    if not isinstance(loader, str):
        raise ProblemError(
            f"Problem.load needs an importable 'package.module:function', got {loader!r}"
        )
    module, _, name = loader.partition(":")
    try:
        function = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ProblemError(
            f"Problem.load needs an importable 'package.module:function', got {loader!r}: {error}"
        ) from error
    if not callable(function) or isinstance(function, Problem):
        raise ProblemError(
            f"Problem.load needs a function that gives a Problem, got {function!r} as {loader!r}"
        )
    problem = function(**arguments)
    if not isinstance(problem, Problem):
        raise ProblemError(
            f"Problem.load needs a function that gives a Problem, got {problem!r} from {loader!r}"
        )
    return problem
