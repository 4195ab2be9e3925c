"""``save`` and ``load``: one VALP in one file, which may come from a stranger.

The file is in the safetensors format: the weights, float32, under the names of ``VALP.weights``,
and in the metadata
under ``deap_valp`` everything else as JSON text, with the fields of ``Structure``. Every reader of
safetensors finds the weights, and there is nothing in it that could run.

Reading trusts nothing: sizes are compared with each other and with the file's before memory is
taken for them, the
JSON is held to the types of the dataclasses field by field, and in the end the VALP to its rules. A
new kind of sub-network needs no edit here, as long as its fields are numbers, names, pairs, tuples
or dataclasses of them.

References:
    https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import io
import json
import math
import os
import re
import reprlib
import stat
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeVar, get_args, get_origin, get_type_hints

import networkx as nx
import numpy as np
import safetensors.numpy
import torch
from torch import Tensor

from ..errors import FileFormatError, StructureError
from .activations import ACTIVATIONS, SOFTMAX
from .genome import Genome, Optimizer
from .kinds import KINDS, Discrete, Layout, Limits, SubNetwork
from .optimizers import OPTIMIZERS
from .places import Connection
from .ports import OUTPUT_KINDS, Input, Output
from .structure import Component, build_graph
from .valp import VALP

Individual = TypeVar("Individual", bound=VALP)

KEY = "deap_valp"
"""Of the structure in the metadata."""

VERSION, READS = 1, (1,)
"""What ``save`` writes and what ``load`` reads. A change of ``Structure``, or of what it holds, is a new version."""

LARGEST_FILE, LARGEST_HEADER = 2**30, 2**24
"""Bytes. A VALP of the paper takes less than a megabyte, and its header 20 kB."""

MOST_CONTAINERS, DEEPEST = 400_000, 16
"""Objects and arrays of a JSON text, and how deep they nest: Python makes 64 bytes and more of the 3 bytes of one."""

MOST = {"components": 2_000, "connections": 20_000, "shape": 8}
"""Elements of a field, where the size of the header is too weak a bound. Such a VALP loads within seconds."""

_FLOAT = float(np.finfo(np.float32).max)
_INTEGERS = {"id": (0, 2**63 - 1), "data_offsets": (0, LARGEST_FILE)}  # by field; others are sizes
_SIZES = (1, 2**31 - 1)
_NUMBERS = {
    "share": (sys.float_info.min, 1.0),
    "learning_rate": (0.0, _FLOAT),
}  # others are any that float32 holds


@dataclass(frozen=True)
class Structure:
    """All of a VALP but its weights; fields are keys of the JSON text, and dictionaries keep their order."""

    version: int
    components: dict[str, Component]
    connections: tuple[str, ...]
    optimizers: dict[str, Optimizer]
    batch_size: int
    limits: Limits
    layout: Layout
    trained: bool


@dataclass(frozen=True)
class Entry:
    """What the header of a safetensors file says of a tensor; offsets count from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    data_offsets: tuple[int, int]

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return 4 * math.prod(self.shape)


def save(individual: VALP, path: str | os.PathLike[str]) -> None:
    """Write an individual with its trained weights to a file.

    The fitness, the last move and the seed are not written. The weights are those after the last
    training, as ``decode`` takes them, so where it was trained since its last change, what is
    loaded equals the individual after ``inherit``.

    Written beside ``path`` under another name and then renamed: readers see the old file or all of
    the new one, and a failure leaves the old one and nothing else. What ``load`` would refuse is
    not written.

    Raises:
        FileFormatError: ``load`` would refuse it, for instance since a weight is NaN or a tensor is
            not float32.
        OSError: The file cannot be written.
    """
    with _naming(path):
        data = _serialized(individual)
        _restore(
            io.BytesIO(data), len(data), VALP, seed=0
        )  # a seed, so that nothing is drawn from ``random``
    write_atomically(path, data)


def load(path: str | os.PathLike[str], icls: type[Individual]) -> Individual:
    """Read an individual that ``save`` wrote, from anybody: nothing in the file is run.

    Memory and time are bounded by the file's size, which is at most ``LARGEST_FILE``. Limits and
    layout, which rule how operators let it grow, are the file's: who evolves a stranger's VALP sets
    them first. Ports are not compared
    with a problem: ``evaluate`` and ``score`` do, and ``check(individual, problem)``. Output kinds
    of your own have to
    be imported before.

    Args:
        path: The file.
        icls: The individual's class, made by ``creator.create``; its number of objectives may be
            any.

    Returns:
        An instance of ``icls`` with an empty fitness and a new seed.

    Raises:
        FileFormatError: It is not a file of ``save``, of another version, or damaged; the message
            says where, what the rule is, and what it got.
        OSError: The file cannot be read; ``FileNotFoundError`` where there is none.
    """
    regular = stat.S_ISREG(os.stat(path).st_mode)
    with _naming(path):
        if not regular:  # opening a pipe would wait for ever
            raise FileFormatError("a saved VALP is a regular file, got something else")
        with open(path, "rb") as stream:
            return _restore(stream, os.fstat(stream.fileno()).st_size, icls)


def write_atomically(path: str | os.PathLike[str], data: bytes) -> None:
    """Make ``data`` the content of a file, all of it or, where that fails, none."""
    partial = Path(path).with_name(
        f".{uuid.uuid4().hex}.partial"
    )  # not from ``random``, which rules the run
    try:
        with open(partial, "xb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(
                stream.fileno()
            )  # else a power cut after the renaming could leave an empty file
        os.replace(partial, path)
    finally:
        with suppress(FileNotFoundError):
            partial.unlink()


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Errors name the file, are of one class, and stay short whatever names the file holds."""
    try:
        yield
    except (FileFormatError, StructureError) as error:
        message = str(error)
        short = message if len(message) <= 1000 else f"{message[:1000]}..."
        raise FileFormatError(f"{os.fspath(path)}: {short}") from None


# ---- writing -------------------------------------------------------------------------------------


def _serialized(individual: VALP) -> bytes:
    for name, tensor in individual.trained_weights.items():
        if tensor.dtype != torch.float32:
            _refuse(f"tensor {name}", "torch.float32", tensor.dtype)
    arrays = {
        name: tensor.detach().cpu().contiguous().numpy()
        for name, tensor in individual.trained_weights.items()
    }
    # safetensors.torch would refuse the tensors that a gentle clone shares with its original
    return bytes(
        safetensors.numpy.save(arrays, {KEY: json.dumps(_plain(_structure_of(individual)))})
    )


def _structure_of(individual: VALP) -> Structure:
    return Structure(
        version=VERSION,
        components={name: individual.component(name) for name in individual.graph},
        connections=tuple(Connection(*edge) for edge in individual.graph.edges),
        optimizers=dict(individual.optimizers),
        batch_size=individual.batch_size,
        limits=individual.limits,
        layout=individual.layout,
        trained=individual.trained,
    )


def _plain(value: Any) -> Any:
    """What JSON knows: objects for dataclasses, arrays for tuples."""
    if is_dataclass(value):
        kind = (
            {"kind": "input" if isinstance(value, Input) else value.kind}
            if isinstance(value, Component)
            else {}
        )
        return kind | {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(element) for name, element in value.items()}
    if isinstance(value, tuple | list):
        return [_plain(element) for element in value]
    return value.item() if isinstance(value, np.generic) else value


# ---- reading: from bytes to an individual --------------------------------------------------------


def _restore(
    stream: BinaryIO, size: int, icls: type[Individual], seed: int | None = None
) -> Individual:
    text, entries = _header(stream, size)
    structure = _structure(text)
    graph = _graph(structure)
    tensors = {name: _tensor(stream, name, entry) for name, entry in entries.items()}
    genome = Genome(
        graph=graph,
        weights=tensors,
        optimizers=structure.optimizers,
        batch_size=structure.batch_size,
        limits=structure.limits,
        layout=structure.layout,
        trained=structure.trained,
    )
    return icls(genome, seed)  # checks the rules of a VALP


def _header(stream: BinaryIO, size: int) -> tuple[str, dict[str, Entry]]:
    """The text of the structure, and the tensors in the order in which they follow in the stream."""
    if not 8 <= size <= LARGEST_FILE:
        _refuse("the file", f"of 8 to {LARGEST_FILE} bytes", size)
    length = int.from_bytes(_bytes(stream, 8), "little")
    if length > min(LARGEST_HEADER, size - 8):
        _refuse(
            "the header's length", f"at most {min(LARGEST_HEADER, size - 8)} in this file", length
        )
    try:
        header = _parse(_bytes(stream, length).decode(), "the header")
    except UnicodeDecodeError as error:
        raise FileFormatError(
            f"the header must be UTF-8: {error.reason} at byte {error.start}"
        ) from error
    metadata = _object(header, "the header").pop("__metadata__", None)
    if (
        not isinstance(metadata, dict)
        or metadata.keys() != {KEY}
        or not isinstance(metadata[KEY], str)
    ):
        _refuse("__metadata__", f"an object with the text {KEY!r}: is this a saved VALP?", metadata)
    entries: dict[str, Entry] = _read(dict[str, Entry], header, "the header", "tensors")
    return metadata[KEY], _contiguous(entries, size - 8 - length)


def _contiguous(entries: dict[str, Entry], size: int) -> dict[str, Entry]:
    """The tensors by position; each begins where the one before it ends, and together they are the rest of the file."""
    by_position = dict(sorted(entries.items(), key=lambda item: item[1].data_offsets))
    position = 0
    for name, entry in by_position.items():
        if entry.data_offsets != (position, position + entry.size):
            expected = [position, position + entry.size]
            _refuse(
                f"tensor {_label(name)}: data_offsets",
                f"{expected} for its shape",
                list(entry.data_offsets),
            )
        position += entry.size
    if position != size:
        _refuse("the tensors", f"of {size} bytes together, as many as follow the header", position)
    return by_position


def _tensor(stream: BinaryIO, name: str, entry: Entry) -> Tensor:
    """A finite tensor with memory of its own."""
    array = np.frombuffer(_bytes(stream, entry.size), "<f4").astype(np.float32).reshape(entry.shape)
    finite = np.isfinite(array)
    if not finite.all():
        _refuse(f"tensor {_label(name)}", "finite", float(array[~finite][0]))
    return torch.from_numpy(array)


def _bytes(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(count)
    if len(data) != count:
        raise FileFormatError("the file was cut short while it was read")
    return data


def _structure(text: str) -> Structure:
    values = _object(_parse(text, "the structure"), "the structure")
    version = values.get("version")
    if version not in READS or isinstance(version, bool):
        _refuse("version", f"one of {list(READS)}, which this deap_valp reads", version)
    structure: Structure = _read(Structure, values, "the structure:", "")
    for name, component in structure.components.items():
        _check_component(name, component)
    return structure


def _graph(structure: Structure) -> nx.DiGraph:
    seen: set[str] = set()
    for index, name in enumerate(structure.connections):
        if name in seen or not structure.components.keys() >= set(_ends(name)):
            _refuse(
                f"connections[{index}]",
                "provider->receiver, two of the components, each pair once",
                name,
            )
        seen.add(name)
    return build_graph(structure.components, map(_ends, structure.connections))


def _check_component(name: str, component: Component) -> None:
    """The rules that the types of the fields do not say."""
    place, port = f"component {_label(name)}:", not isinstance(component, SubNetwork)
    numbered = re.fullmatch("n[0-9]{1,18}", name) is not None
    if port and (numbered or not name.isidentifier()):
        _refuse(place, "named by an identifier other than n<digits>, as it is a port", name)
    if not port and not numbered:
        _refuse(place, "named n<digits>, as it is a sub-network", name)
    if isinstance(component, Input | Output):
        for field, units in (("shift", component.shift), ("scale", component.scale)):
            if len(units) not in (1, component.width):
                _refuse(
                    f"{place} {field}", f"of length 1 or {component.width}, its width", len(units)
                )
    else:
        _check_softmax(place, component)


def _check_softmax(place: str, component: SubNetwork) -> None:
    last = len(component.layers) - 1
    for index, layer in enumerate(component.layers):
        if (layer.activation == SOFTMAX) != (index == last and isinstance(component, Discrete)):
            legal = [SOFTMAX] if layer.activation != SOFTMAX else list(ACTIVATIONS)
            _refuse(
                f"{place} layers[{index}].activation",
                f"one of {legal} in a {component.kind}",
                layer.activation,
            )


# ---- reading: from JSON to dataclasses -----------------------------------------------------------


def _parse(text: str, what: str) -> Any:
    """The value of a JSON text: no doubled keys, no NaN, no long numbers, little nesting."""
    _refuse_heavy(text, what)

    def pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        if len(value) < len(pairs):
            seen: set[str] = set()
            doubled = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            _refuse(f"{what}: keys", "different from each other", doubled)
        return value

    def number(kind: type) -> Any:
        def convert(digits: str) -> Any:
            if len(digits) > 40 or not math.isfinite(
                float(digits)
            ):  # Python takes quadratic time for long integers
                _refuse(f"{what}: numbers", "finite and of at most 40 characters", digits)
            return kind(digits)

        return convert

    try:
        return json.loads(
            text,
            object_pairs_hook=pairs,
            parse_int=number(int),
            parse_float=number(float),
            parse_constant=number(float),
        )
    except json.JSONDecodeError as error:
        raise FileFormatError(
            f"{what} must be JSON: {error.msg} at character {error.pos}"
        ) from error


def _refuse_heavy(text: str, what: str) -> None:
    """Refuse before parsing what would take far more memory than its text, or overflow the stack."""
    opened = text.count("[") + text.count("{")  # of those in strings too, which keeps this cheap
    if opened > MOST_CONTAINERS:
        _refuse(what, f"of at most {MOST_CONTAINERS} objects and arrays", opened)
    outside_strings = re.sub('"[^"]*"', "", text.replace("\\\\", "").replace('\\"', ""))
    brackets = re.sub(r"[^][{}]+", "", outside_strings)
    depth = max(accumulate(1 if bracket in "[{" else -1 for bracket in brackets), default=0)
    if depth > DEEPEST:
        _refuse(what, f"nested at most {DEEPEST} deep", depth)


def _read(kind: Any, value: Any, place: str, field: str) -> Any:
    """A value of the file as this type.

    Args:
        kind: A type of a field of a dataclass, or a dataclass.
        value: From JSON.
        place: Where it stands, for messages.
        field: Name of the innermost field, which has the bounds.
    """
    if kind == Component:
        return _read_component(value, place, field)
    if is_dataclass(kind):
        return _read_fields(kind, value, place)
    if get_origin(kind) is dict:
        return _read_mapping(get_args(kind)[1], value, place, field)
    if get_origin(kind) is tuple:
        return _read_sequence(get_args(kind), value, place, field)
    return _read_scalar(kind, value, place, field)


def _read_component(value: Any, place: str, field: str) -> Component:
    kinds: dict[str, Any] = {"input": Input, **KINDS, **dict.fromkeys(OUTPUT_KINDS, Output)}
    kind = _object(value, place).get("kind")
    if not isinstance(kind, str) or kind not in kinds:
        _refuse(f"{place} kind", f"one of {list(kinds)}", kind)
    rest = value if kinds[kind] is Output else {key: value[key] for key in value if key != "kind"}
    component: Component = _read(kinds[kind], rest, place, field)
    return component


def _read_fields(kind: Any, value: Any, place: str) -> Any:
    types = _types(kind)
    got = _object(value, place)
    if got.keys() != types.keys():
        wrong = [key for key in (*types, *got) if (key in types) != (key in got)]
        _refuse(place, f"an object of exactly {list(types)}; missing or unknown", wrong)
    dot = " " if place.endswith(":") else "."
    return kind(
        **{name: _read(types[name], got[name], f"{place}{dot}{name}", name) for name in types}
    )


@cache
def _types(kind: type) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _read_mapping(kind: Any, value: Any, place: str, field: str) -> dict[str, Any]:
    elements = _object(value, place)
    _check_count(elements, place, field)
    return {
        name: _read(kind, element, f"{field[:-1]} {_label(name)}:", field)
        for name, element in elements.items()
    }


def _read_sequence(kinds: tuple[Any, ...], value: Any, place: str, field: str) -> tuple[Any, ...]:
    """A tuple of any length from 1 on, or a pair, which is a range."""
    if not isinstance(value, list):
        _refuse(place, "an array", value)
    pair = kinds[-1] is not Ellipsis
    if pair and len(value) != 2:
        _refuse(place, "an array of two", value)
    _check_count(value, place, field)
    elements = tuple(
        _read(kinds[0], element, f"{place}[{index}]", field) for index, element in enumerate(value)
    )
    if pair and elements[0] > elements[1]:
        _refuse(place, "a range, its lower end first", value)
    return elements


def _check_count(elements: Any, place: str, field: str) -> None:
    most = MOST.get(field, LARGEST_HEADER)
    if not 1 <= len(elements) <= most:
        _refuse(place, f"of 1 to {most} elements", len(elements))


def _read_scalar(kind: type, value: Any, place: str, field: str) -> Any:
    if kind is str:
        return _read_name(value, place, field)
    if kind is bool:
        return value if isinstance(value, bool) else _refuse(place, "true or false", value)
    whole = kind is int
    low, high = _INTEGERS.get(field, _SIZES) if whole else _NUMBERS.get(field, (-_FLOAT, _FLOAT))
    number = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    if not number or not low <= value <= high:
        _refuse(place, f"a {'whole ' if whole else ''}number from {low} to {high}", value)
    return kind(value)


def _read_name(value: Any, place: str, field: str) -> str:
    choices = {
        "activation": [*ACTIVATIONS, SOFTMAX],
        "activations": list(ACTIVATIONS),
        "dtype": ["F32"],
        "kind": list(OUTPUT_KINDS),
        "name": list(OPTIMIZERS),
    }.get(field)
    if not isinstance(value, str) or (choices is not None and value not in choices):
        _refuse(place, f"one of {choices}" if choices else "a text", value)
    return value


def _object(value: Any, place: str) -> dict[str, Any]:
    return value if isinstance(value, dict) else _refuse(place, "an object", value)


def _label(name: str) -> str:
    """A name as it may stand in a message."""
    return name if re.fullmatch(r"[\w.>-]{1,100}", name) else reprlib.repr(name)


def _refuse(place: str, rule: str, got: Any) -> NoReturn:
    raise FileFormatError(f"{place} must be {rule}, got {reprlib.repr(got)}")


def _ends(name: str) -> tuple[str, str]:
    provider, _, receiver = name.partition("->")
    return provider, receiver
