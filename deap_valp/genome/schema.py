"""Dataclasses as JSON text, held to their types when they are read.

A dataclass may have fields of these types: numbers, texts, truth values, tuples, and dataclasses of
them. Reading accepts exactly the fields of the dataclass. A number must lie in the range that
``RANGES`` has for the name of its field; without one, an ``int`` is from 0 to ``LARGEST_COUNT`` and
a ``float`` is one that float32 holds. A field that needs another range is annotated with it, for
instance as ``Annotated[int, msgspec.Meta(ge=-1, le=1)]``. A field with the metadata ``since`` may
be missing, because older versions of the format do not have it.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from functools import cache
from typing import Annotated, Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec
import numpy as np
from msgspec import Meta

from ..errors import FileFormatError

Value = TypeVar("Value")

LARGEST_COUNT = 2**20
LARGEST_FLOAT = float(np.finfo(np.float32).max)

SIZE = Meta(ge=1, le=2**31 - 1)
RANGES: dict[str, Meta] = {
    "id": Meta(ge=0, le=2**63 - 1),
    "share": Meta(gt=0, le=1),
    "learning_rate": Meta(ge=0, le=LARGEST_FLOAT),
    "decay": Meta(ge=0, le=LARGEST_FLOAT),
    **dict.fromkeys(("width", "dim", "networks", "layers", "latent", "batch_size"), SIZE),
    **dict.fromkeys(("shape", "size", "kernel", "stride"), Meta(ge=1, le=LARGEST_COUNT)),
}
"""The legal numbers by field name; those of the elements where the field is a tuple."""

RANGES_BY_TYPE: dict[Any, Meta] = {
    int: Meta(ge=0, le=LARGEST_COUNT),
    float: Meta(ge=-LARGEST_FLOAT, le=LARGEST_FLOAT),
}


def to_json(value: Any, **more: str) -> msgspec.Raw:
    """Return the JSON text of a dataclass, with ``more`` entries before its fields."""
    entries = more | msgspec.to_builtins(value, enc_hook=_plain_number)
    return msgspec.Raw(msgspec.json.encode(entries))


def parse(text: bytes | msgspec.Raw, kind: type[Value], place: str) -> Value:
    """Read a JSON text as a type that msgspec knows.

    Raises:
        FileFormatError: The text is no such JSON; the message begins with ``place``.
    """
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FileFormatError(f"{place}: {error}") from None


def from_json(text: msgspec.Raw, kind: type[Value], place: str, *more: str) -> Value:
    """Read a JSON text as a dataclass; ``more`` names further entries, which are texts.

    Raises:
        FileFormatError: The text has not exactly these fields, or one of another type or out of its
            range; the message begins with ``place``.
    """
    # Classes are hashable.
    record = parse(text, _schema(kind, more), place)  # type: ignore[arg-type]
    try:
        return msgspec.convert(record, kind, from_attributes=True)
    except msgspec.ValidationError as error:  # the dataclass has a rule of its own
        raise FileFormatError(f"{place}: {error}") from None


@cache
def _schema(kind: Any, more: tuple[str, ...] = ()) -> type[msgspec.Struct]:
    """Return the strict counterpart of a dataclass.

    msgspec reads dataclasses too, but it ignores unknown fields and fills in missing ones.
    """
    hints = get_type_hints(kind, include_extras=True)
    types = dict.fromkeys(more, str)
    types |= {field.name: _ranged(hints[field.name], field.name) for field in fields(kind)}
    later = {field.name: field.default for field in fields(kind) if "since" in field.metadata}
    given: list[Any] = [(name, type_) for name, type_ in types.items() if name not in later]
    given += [(name, types[name], default) for name, default in later.items()]
    return msgspec.defstruct(kind.__name__, given, forbid_unknown_fields=True)


def _ranged(hint: Any, field: str) -> Any:
    """Return the type of a field with the ranges of its numbers."""
    if is_dataclass(hint):
        return _schema(hint)  # type: ignore[arg-type]
    if get_origin(hint) is tuple:
        elements = get_args(hint)
        ranged = (element if element is ... else _ranged(element, field) for element in elements)
        return tuple[tuple(ranged)]  # type: ignore[misc]
    if hint in RANGES_BY_TYPE:
        return Annotated[hint, RANGES.get(field, RANGES_BY_TYPE[hint])]
    return hint


def _plain_number(value: Any) -> Any:
    """Turn a numpy number, which a user's size or rate may be, into Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise FileFormatError(f"a saved VALP holds numbers, texts and tuples of them, got {value!r}")
