"""``export``: an individual as one file that runs without this package, preprocessing included.

The file takes numeric arrays and gives numeric arrays. What is text stays outside: the file's
metadata has the names of columns, categories and classes, and whoever runs the file looks them up.
"""

from __future__ import annotations

import io
import json
import logging
import math
import os
import warnings
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..arguments import need_folder, need_path, need_type
from ..atomic import write_atomically
from ..device import one_thread
from ..errors import MissingExtraError, ValpError
from ..genome import VALP
from ..genome.valp import need_valp
from ..problem import InputPreparation, Problem
from .predictor import BATCH, Predictor, decode

METADATA = "deap_valp.json"
"""The extra file of a ``.pt2`` that holds the metadata; in ``.onnx`` its key is ``deap_valp``."""

TOLERANCE = 1e-4
"""How far a result may be from the decoded model's, as a share of the output's largest number."""

Run = Callable[[Mapping[str, np.ndarray]], Mapping[str, np.ndarray]]
"""From numeric arrays by input name to numeric arrays by output name."""


# --- The whole as a module ------------------------------------------------------------------------


class Reader(nn.Module):
    """From the numbers of one input to features: missing values, categories, units.

    A column of categories holds their numbers, from 0 on in the order of the metadata, -1 for one
    that training did not have. NaN is a missing value.
    """

    def __init__(self, prepared: InputPreparation) -> None:
        super().__init__()
        self.dtype = dtype_of(prepared)
        self.width = math.prod(prepared.encoding.shape)
        standard, imputation = prepared.standard, prepared.imputation
        self.places = list(prepared.encoding.places(self.width))
        self.categorical = prepared.encoding.categorical
        self.fills = bool(imputation.columns)
        place = {first: number for number, first in enumerate(imputation.columns)}
        self.indicated = [place[first] for first in imputation.indicated]
        self.register_buffer("fill", torch.tensor(imputation.fills, dtype=self.dtype))
        self.register_buffer("shift", torch.tensor(standard.shift, dtype=self.dtype))
        self.register_buffer("spread", torch.tensor(standard.spread, dtype=self.dtype))

    def forward(self, values: Tensor) -> Tensor:
        """Return features ``(examples, width)`` from values in the shape of the metadata."""
        numbers = values.reshape(values.shape[0], self.width)
        if self.fills:
            holes = numbers.isnan()
            numbers = self._one_hot(numbers) if self.categorical else numbers
            numbers = torch.where(numbers.isnan(), self.get_buffer("fill"), numbers)
            if self.indicated:
                indicators = [holes[:, place : place + 1] for place in self.indicated]
                numbers = torch.cat([numbers, *(hole.to(self.dtype) for hole in indicators)], 1)
        return ((numbers - self.get_buffer("shift")) / self.get_buffer("spread")).float()

    def _one_hot(self, numbers: Tensor) -> Tensor:
        columns = []
        for place, (_, _, count) in enumerate(self.places):
            column = numbers[:, place : place + 1]
            if count is not None:
                codes = torch.arange(count, dtype=self.dtype)
                column = (column == codes).to(self.dtype)
            columns.append(column)
        return torch.cat(columns, 1)

    def undone(self, features: Tensor) -> np.ndarray:
        """Return values ``(examples, columns)`` that become these features."""
        shift, spread = self.get_buffer("shift"), self.get_buffer("spread")
        numbers = features.to(self.dtype) * spread + shift
        columns = []
        for _, first, count in self.places:
            column = numbers[:, first]
            if count is not None:
                top, code = numbers[:, first : first + count].max(1)
                column = torch.where(top > 0.5, code, -1).to(self.dtype)
            columns.append(column)
        values = torch.stack(columns, 1)
        for number, place in enumerate(self.indicated):
            hole = numbers[:, numbers.shape[1] - len(self.indicated) + number] > 0.5
            values[hole, place] = math.nan
        return np.asarray(values.numpy())


class Whole(nn.Module):
    """From numeric arrays by input name to numeric arrays by output name."""

    def __init__(self, predictor: Predictor) -> None:
        super().__init__()
        known = predictor.known("export")
        self.readers = nn.ModuleDict(
            {f"of_{name}": Reader(prepared) for name, prepared in known.inputs.items()}
        )
        self.network = predictor.requires_grad_(False)
        self.meanings = known.outputs

    def reader(self, name: str) -> Reader:
        """Return the reader of an input."""
        found = self.readers[f"of_{name}"]  # a ModuleDict has methods of its own
        assert isinstance(found, Reader)
        return found

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        """Return probabilities, and numbers in the user's units and shape."""
        features = {name: self.reader(name)(values) for name, values in inputs.items()}
        heads = self.network.heads(features)
        return {name: self._result(name, heads[name]) for name in self.meanings}

    def _result(self, name: str, head: Tensor) -> Tensor:
        values: Tensor = self.network.components[name].predict(head)
        shape = self.meanings[name].shape_for(values.shape[1:])
        return values.reshape(values.shape[0], *shape)


def dtype_of(prepared: InputPreparation) -> torch.dtype:
    """Return the type of the numbers that an exported file takes for an input.

    Tables and series have columns like a time in seconds, of which float32 would lose too much.
    """
    return torch.float32 if prepared.kind.kind == "image" else torch.float64


# --- Files ----------------------------------------------------------------------------------------


def export(individual: VALP, problem: Problem, path: str | os.PathLike[str]) -> None:
    """Write a trained individual to a file that runs without this package.

    The end of the name says what is written: ``.pt2`` for ``torch.export.load``, or ``.onnx`` for
    onnxruntime and others. Either holds imputation, one-hot columns, units and the network, and
    takes any number of examples: one numeric array for each input, named as the input. It gives one
    for each output: probabilities in the order of the classes, and numbers in the user's units and
    shape. Latents are at their mean, so it reconstructs and does not sample.

    Text stays outside. The metadata names the columns of each input, the categories of a column
    (whose numbers, from 0 on, go into the file; -1 for any other) and the classes of each output.
    NaN stands for a missing value.

    Before the file is written, it runs on the validation split, and is compared with ``decode``.
    The file appears at once, under another name first.

    Raises:
        StructureError: ``individual`` is no VALP, or not one of this problem.
        ValpError: The path has another ending, something cannot be exported, or the file gives
            other results than the decoded model.
        MissingExtraError: ``.onnx`` was asked for, and its packages are not installed.
        OSError: The file cannot be written.
    """
    need_type(problem, Problem, "export", "problem as a Problem")
    need_valp(individual, "export")
    need_path(path, "export")
    need_folder(path, "export")
    suffix = Path(path).suffix
    if suffix not in (".pt2", ".onnx"):
        raise ValpError(f"export needs a path that ends in .pt2 or .onnx, got {suffix!r}")
    if suffix == ".onnx":
        _need_onnx()
    predictor = decode(individual, problem)
    whole = Whole(predictor).eval()
    text = json.dumps(metadata_of(predictor), indent=1)
    examples = _examples(whole, problem)
    with one_thread(), _quiet():
        program = _program(whole, examples)
        data, run = _FORMATS[suffix](program, text)
        _compare(run, whole, problem, examples)
    write_atomically(path, data)


def metadata_of(predictor: Predictor) -> dict[str, Any]:
    """Return what the arrays of an exported file mean, as JSON has it."""
    known = predictor.known("export")
    inputs: dict[str, Any] = {}
    for name, prepared in known.inputs.items():
        encoding = prepared.encoding
        inputs[name] = {
            "kind": prepared.kind.kind,
            "dtype": str(dtype_of(prepared)).removeprefix("torch."),
            "shape": ["examples", *encoding.shape],
            "columns": [_plain(column) for column, _ in encoding.columns],
            "categories": {
                str(column): [_plain(category) for category in categories]
                for column, categories in encoding.columns
                if categories is not None
            },
            "missing": "NaN" if encoding.holes else None,
        }
    outputs = {}
    for name, meaning in known.outputs.items():
        width = predictor.components[name].width
        outputs[name] = {
            "kind": meaning.kind,
            "shape": ["examples", *meaning.shape_for((width,))],
            "classes": [_plain(label) for label in meaning.classes],
            "columns": [_plain(column) for column in meaning.columns],
        }
    return {"deap_valp": 1, "inputs": inputs, "outputs": outputs}


def _plain(label: Hashable) -> Any:
    """Return a label as JSON can have it: as it is, or in words."""
    value = label.item() if isinstance(label, np.generic) else label
    return value if isinstance(value, str | bool | int | float) else repr(value)


def _examples(whole: Whole, problem: Problem) -> dict[str, Tensor]:
    """Return the validation split as arrays for the exported file."""
    found = {}
    for name, features in problem.split("validation").inputs.items():
        shape = problem.preparation.inputs[name].encoding.shape
        values = whole.reader(name).undone(features)
        found[name] = torch.from_numpy(values.reshape(len(values), *shape))
    return found


def _program(whole: Whole, examples: Mapping[str, Tensor]) -> Any:
    # With one example only, torch would take its number for a constant.
    some = {name: torch.cat([values[:2]] * 2)[:3] for name, values in examples.items()}
    size = torch.export.Dim("examples", min=1)
    shapes = ({name: {0: size} for name in some},)
    try:
        return torch.export.export(whole, (some,), dynamic_shapes=shapes)
    except Exception as error:
        raise ValpError(
            f"export needs sub-networks and outputs that torch.export can trace: {error}"
        ) from error


def _pt2(program: Any, text: str) -> tuple[bytes, Run]:
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={METADATA: text})
    data = stream.getvalue()
    module = torch.export.load(io.BytesIO(data)).module()

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        found = module({name: torch.from_numpy(values) for name, values in inputs.items()})
        return {name: values.numpy() for name, values in found.items()}

    return data, run


def _onnx(program: Any, text: str) -> tuple[bytes, Run]:
    import onnxruntime

    description = json.loads(text)
    names = list(description["outputs"])
    converted = torch.onnx.export(
        program,
        input_names=list(description["inputs"]),
        output_names=names,
        dynamo=True,
        verbose=False,
    )
    assert converted is not None
    proto = converted.model_proto
    proto.metadata_props.add(key="deap_valp", value=text)
    data: bytes = proto.SerializeToString()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    taken = {port.name for port in session.get_inputs()}

    def run(inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        given = {name: values for name, values in inputs.items() if name in taken}
        return dict(zip(names, session.run(names, given), strict=True))

    return data, run


_FORMATS: dict[str, Callable[[Any, str], tuple[bytes, Run]]] = {".pt2": _pt2, ".onnx": _onnx}


@torch.no_grad()
def _compare(run: Run, whole: Whole, problem: Problem, examples: Mapping[str, Tensor]) -> None:
    """Raise unless an exported file gives the results of the decoded model."""
    data = problem.split("validation")
    for start in range(0, data.size, BATCH):
        rows = slice(start, start + BATCH)
        found = run({name: values[rows].numpy() for name, values in examples.items()})
        heads = whole.network.heads({name: part[rows] for name, part in data.inputs.items()})
        for name, head in heads.items():
            expected = whole.network.components[name].predict(head).numpy()
            error = np.abs(found[name].reshape(expected.shape) - expected).max()
            largest = max(1e-30, float(np.abs(expected).max()))
            if not error <= TOLERANCE * largest:
                raise ValpError(
                    f"export needs a file that gives the results of the decoded model, got output "
                    f"{name!r} off by {error:.3g} of {largest:.3g} on the validation split"
                )


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what torch says of its own parts while it exports."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(before)


def _need_onnx() -> None:
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            f"export to .onnx needs the extra 'export' ({error}): pip install 'deap_valp[export]'"
        ) from error
