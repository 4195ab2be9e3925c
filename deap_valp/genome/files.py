"""``save`` and ``load``: one VALP in one file, which may come from a stranger.

The file is in the safetensors format. Its tensors are the weights, in float32, under the names of
``VALP.weights``. Its metadata has one entry, ``deap_valp``: a JSON text with the fields of
``SavedStructure``, which is all of a VALP but its weights. Every reader of safetensors finds the
weights, and nothing in the file can run.

``load`` trusts nothing. It compares the sizes of the file and of its header with the limits below
before it takes memory for them. msgspec holds the JSON text to the types of the dataclasses, field
by field; safetensors checks that the tensors fill the file; and in the end ``check`` holds the VALP
to its own rules.

A new kind of sub-network needs no edit here: ``schema`` reads and writes whatever fields the kind's
dataclass has.

References:
    https://github.com/huggingface/safetensors#format
"""

from __future__ import annotations

import io
import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from math import prod
from typing import Annotated, Any, BinaryIO, NoReturn, TypeVar

import msgspec
import numpy as np
import safetensors
import safetensors.numpy
import torch
from msgspec import Meta
from torch import Tensor

from ..arguments import need_folder, need_path
from ..atomic import write_atomically
from ..errors import FileFormatError, StructureError
from .activations import ACTIVATIONS
from .genome import Genome, Optimizer
from .kinds import KINDS, Layout, Limits, SubNetwork
from .places import Connection
from .ports import OUTPUT_KINDS, Input, Output
from .schema import SIZE, from_json, parse, to_json
from .structure import Component, build_graph
from .valp import VALP, need_class, need_valp, warn_untrained

Individual = TypeVar("Individual", bound=VALP)

KEY = "deap_valp"
"""The name of the structure in the metadata of the file."""

VERSION, READS = 4, (2, 3, 4)
"""The version that ``save`` writes, and those that ``load`` reads.

A change of ``SavedStructure``, or of what it holds, is a new version.
"""

LARGEST_FILE, LARGEST_HEADER = 2**30, 2**24
"""Bytes. A VALP of the paper takes less than a megabyte, and its header 20 kB."""

MOST_ELEMENTS = 1_000_000
"""Elements of all JSON objects and arrays of a header. Python takes up to 200 bytes for one."""

MOST_COMPONENTS, MOST_CONNECTIONS = 2_000, 20_000
"""A VALP of this size loads within seconds."""

MOST_DIMENSIONS = 8
"""Dimensions of a tensor. numpy raises errors of its own for very many, or where one is 0."""


class SavedStructure(msgspec.Struct, forbid_unknown_fields=True):
    """All of a VALP but its weights.

    The fields are the keys of the JSON text. Dictionaries keep their order. A ``Raw`` is the JSON
    text of a dataclass, so that an error can name the component or output that it belongs to.
    """

    version: int
    components: Annotated[dict[str, msgspec.Raw], Meta(min_length=1, max_length=MOST_COMPONENTS)]
    connections: Annotated[list[str], Meta(max_length=MOST_CONNECTIONS)]
    optimizers: dict[str, msgspec.Raw]
    batch_size: Annotated[int, SIZE]
    limits: msgspec.Raw
    layout: msgspec.Raw
    trained: bool


class _Versioned(msgspec.Struct):
    """The one field that the structure has in every version."""

    version: int


class _Kinded(msgspec.Struct):
    """The one field that every component has."""

    kind: str


class _Metadata(msgspec.Struct, forbid_unknown_fields=True):
    structure: str = msgspec.field(name=KEY)


class _Header(msgspec.Struct):
    """The header of the file; safetensors itself reads the tensors' part of it."""

    metadata: _Metadata = msgspec.field(name="__metadata__")


def save(individual: VALP, path: str | os.PathLike[str]) -> None:
    """Write an individual with its trained weights to a file.

    The weights are those after the last training, as ``decode`` takes them. So if the individual
    was trained since its last change, the loaded one holds what it would hand on (``inherited``).
    The fitness, the last move and the seed are not written. If the individual was never trained,
    the log of ``deap_valp`` has a warning.

    The file is written under another name beside ``path`` and then renamed. Readers see the old
    file or all of the new one, and a failure leaves the old file as it was. ``save`` writes nothing
    that ``load`` would refuse.

    Raises:
        StructureError: ``individual`` is not a VALP.
        FileFormatError: ``load`` would refuse the file, for instance because a weight is NaN or a
            tensor is not float32.
        OSError: The file cannot be written.
    """
    need_valp(individual, "save")
    need_path(path, "save")
    need_folder(path, "save")
    warn_untrained(individual, "save")
    with _naming(path):
        data = _serialized(individual)
        # With a seed given, building the individual draws nothing from ``random``.
        _restored(io.BytesIO(data), len(data), VALP, seed=0)
    write_atomically(path, data)


def load(path: str | os.PathLike[str], icls: type[Individual]) -> Individual:
    """Read an individual that ``save`` wrote, from anybody: nothing in the file is run.

    Memory and time are bounded by the size of the file, which is at most ``LARGEST_FILE``. The
    individual keeps the limits and the layout of the file, which rule how operators let it grow;
    set your own before you evolve a VALP from a stranger. ``load`` knows no problem: ``evaluate``,
    ``score`` and ``check(individual, problem)`` compare the ports with those of a problem. Import
    your own output kinds and sub-network kinds first.

    Args:
        path: The file.
        icls: The individual's class, made by ``creator.create``, with any number of objectives.

    Returns:
        An instance of ``icls`` with an empty fitness and a new seed.

    Raises:
        StructureError: ``icls`` is not a class made of ``VALP``.
        FileFormatError: The file was not written by ``save``, has another version, or is damaged;
            the message says where, what the rule is, and what it got.
        OSError: The file cannot be read; ``FileNotFoundError`` if there is none.
    """
    need_path(path, "load")
    need_class(icls, "load")
    regular = stat.S_ISREG(os.stat(path).st_mode)
    with _naming(path):
        if not regular:  # opening a pipe would wait for ever
            raise FileFormatError("a saved VALP is a regular file, got something else")
        with open(path, "rb") as stream:
            return _restored(stream, os.fstat(stream.fileno()).st_size, icls)


@contextmanager
def _naming(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn the errors of a file into a short, printable ``FileFormatError`` that names the file."""
    try:
        yield
    except (FileFormatError, StructureError) as error:
        message = _printable(str(error)[:1001])
        if len(message) > 1000:
            message = f"{message[:1000]}..."
        raise FileFormatError(f"{os.fspath(path)}: {message}") from None


def _printable(text: str) -> str:
    """Escape control characters: names that a stranger chose must not steer a terminal."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


# ---- between the individual and what the file holds ----------------------------------------------


def _taken_apart(individual: VALP) -> tuple[SavedStructure, dict[str, Tensor]]:
    """Return the structure and the tensors of an individual: all that ``save`` reads of it."""
    components: dict[str, msgspec.Raw] = {}
    for name in individual.graph:
        component = individual.component(name)
        kind = "input" if isinstance(component, Input) else component.kind
        components[name] = to_json(component, kind=kind)
    structure = SavedStructure(
        version=VERSION,
        components=components,
        connections=[str(Connection(*edge)) for edge in individual.graph.edges],
        optimizers={name: to_json(value) for name, value in individual.optimizers.items()},
        batch_size=individual.batch_size,
        limits=to_json(individual.limits),
        layout=to_json(individual.layout),
        trained=individual.trained,
    )
    return structure, dict(individual.weights)


def _put_together(
    structure: SavedStructure,
    tensors: Mapping[str, Tensor],
    icls: type[Individual],
    seed: int | None,
) -> Individual:
    """Build the individual, which checks the rules of a VALP."""
    components = {name: _component(name, text) for name, text in structure.components.items()}
    edges = _edges(structure.connections, components)
    optimizers = {
        name: from_json(text, Optimizer, f"the optimizer of {name!r}")
        for name, text in structure.optimizers.items()
    }
    genome = Genome(
        graph=build_graph(components, edges),
        weights=tensors,
        optimizers=optimizers,
        batch_size=structure.batch_size,
        limits=_limits(structure.limits),
        layout=_layout(structure.layout),
        trained=structure.trained,
    )
    return icls(genome, seed)


# ---- between bytes, structure and tensors --------------------------------------------------------


def _serialized(individual: VALP) -> bytes:
    structure, tensors = _taken_apart(individual)
    for name, tensor in tensors.items():
        if tensor.dtype != torch.float32:
            _refuse(f"tensor {name!r}", "torch.float32", tensor.dtype)
    # safetensors.torch would refuse the tensors that a gentle clone shares with its original.
    arrays = {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}
    text = msgspec.json.encode(structure).decode()
    return bytes(safetensors.numpy.save(arrays, {KEY: text}))


def _restored(
    stream: BinaryIO, size: int, icls: type[Individual], seed: int | None = None
) -> Individual:
    """Read the individual from a stream of ``size`` bytes.

    The structure is read first, since it refuses most other files before their tensors take memory.
    """
    structure = _structure(_header(stream, size))
    stream.seek(0)
    return _put_together(structure, _tensors(stream.read(size)), icls, seed)


def _header(stream: BinaryIO, size: int) -> bytes:
    """Return the JSON text that describes the file, once its size is known to be bearable."""
    if not 8 <= size <= LARGEST_FILE:
        _refuse("the file", f"of 8 to {LARGEST_FILE} bytes", size)
    length, most = int.from_bytes(stream.read(8), "little"), min(LARGEST_HEADER, size - 8)
    if length > most:
        raise FileFormatError(
            f"the header's length must be at most {most} in this file, got {length}: valp.save "
            "wrote no such file (.pt2 is for torch.export.load, a checkpoint for valp.Checkpoint)"
        )
    header = stream.read(length)
    # Commas are counted in strings too: the structure is in one, and counting stays cheap.
    elements = header.count(b",")
    if elements > MOST_ELEMENTS:
        _refuse("the header", f"of at most {MOST_ELEMENTS} elements", elements)
    return header


def _structure(header: bytes) -> SavedStructure:
    metadata = parse(header, _Header, "the header of a saved VALP").metadata
    text = metadata.structure.encode()
    version = parse(text, _Versioned, "the structure").version
    if version not in READS:
        _refuse("version", f"one of {list(READS)}, which this deap_valp reads", version)
    return parse(text, SavedStructure, "the structure")


def _tensors(data: bytes) -> dict[str, Tensor]:
    """Return the finite tensors of a file by name, each with memory of its own."""
    try:
        entries = dict(safetensors.deserialize(data))
    except safetensors.SafetensorError as error:
        raise FileFormatError(f"safetensors cannot read the tensors: {error}") from None
    return {name: _tensor(name, entries[name]) for name in sorted(entries)}


def _tensor(name: str, entry: Mapping[str, Any]) -> Tensor:
    if entry["dtype"] != "F32":
        _refuse(f"tensor {name!r}", "of dtype F32", entry["dtype"])
    if not 1 <= len(entry["shape"]) <= MOST_DIMENSIONS or 0 in entry["shape"]:
        _refuse(f"tensor {name!r}", f"of 1 to {MOST_DIMENSIONS} sizes from 1 on", entry["shape"])
    array = np.frombuffer(entry["data"], "<f4").astype(np.float32, copy=False)
    finite = np.isfinite(array)
    if not finite.all():
        _refuse(f"tensor {name!r}", "finite", array[~finite][0].item())
    return torch.from_numpy(array.reshape(entry["shape"]))


# ---- rules that types do not say -----------------------------------------------------------------


def _component(name: str, text: msgspec.Raw) -> Component:
    """Read a component of any kind that is registered now."""
    place = f"component {name!r}"
    kinds: dict[str, Any] = {"input": Input, **KINDS, **dict.fromkeys(OUTPUT_KINDS, Output)}
    kind = parse(text, _Kinded, place).kind
    if kind not in kinds:
        _refuse(f"the kind of {place}", f"one of {list(kinds)}", repr(kind))
    component: Component = from_json(text, kinds[kind], place, "kind")
    _check_name(name, component)
    if isinstance(component, Input | Output):
        _check_units(place, component)
    return component


def _check_name(name: str, component: Component) -> None:
    place = f"component {name!r}"
    numbered = re.fullmatch("n[0-9]{1,18}", name) is not None
    if isinstance(component, SubNetwork):
        if not numbered:
            _refuse(place, "named n<digits>, as it is a sub-network", repr(name))
    elif numbered or not name.isidentifier():
        rule = "named by an identifier other than n<digits>, as it is a port"
        _refuse(place, rule, repr(name))


def _check_units(place: str, port: Input | Output) -> None:
    for field, units in (("shift", port.shift), ("scale", port.scale)):
        if len(units) not in (1, port.width):
            _refuse(f"{field} of {place}", f"of length 1 or {port.width}, its width", len(units))
    if port.shape and prod(port.shape) != port.width:
        _refuse(f"shape of {place}", f"of {port.width} numbers, its width", list(port.shape))


def _edges(names: list[str], components: Mapping[str, Component]) -> list[tuple[str, str]]:
    """Return the connections as pairs of two components, each pair once."""
    edges: dict[tuple[str, str], None] = {}  # in order
    for name in names:
        provider, _, receiver = name.partition("->")
        edge = provider, receiver
        if edge in edges or not components.keys() >= set(edge):
            rule = "provider->receiver, two of the components, each pair once"
            _refuse("a connection", rule, repr(name))
        edges[edge] = None
    return list(edges)


def _limits(text: msgspec.Raw) -> Limits:
    limits = from_json(text, Limits, "limits")
    _check_ranges("limits", limits)
    return limits


def _layout(text: msgspec.Raw) -> Layout:
    layout = from_json(text, Layout, "layout")
    _check_ranges("layout", layout)
    unknown = [name for name in layout.activations if name not in ACTIVATIONS]
    if unknown or not layout.activations:
        rule = f"one or more of {list(ACTIVATIONS)}"
        _refuse("layout.activations", rule, list(layout.activations))
    return layout


def _check_ranges(place: str, bounds: Limits | Layout) -> None:
    """Check that two numbers in a field begin with the smaller one."""
    for field in fields(bounds):
        match getattr(bounds, field.name):
            case (int() | float() as low, int() | float() as high) if low > high:
                rule = "a range, its lower end first"
                _refuse(f"{place}.{field.name}", rule, [low, high])


def _refuse(place: str, rule: str, got: object) -> NoReturn:
    raise FileFormatError(f"{place} must be {rule}, got {got}")
