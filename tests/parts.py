"""A saved VALP taken apart and put together again: for test_files and its neighbours."""

from __future__ import annotations

import json
import struct

import numpy as np

from deap_valp.genome.files import KEY, load, save


def saved_and_loaded(individual, path):
    save(individual, path)
    return load(path, type(individual))


def contents(individual, path):
    save(individual, path)
    return path.read_bytes()


def taken_apart(data):
    """Return the header without the structure, the structure, and the bytes of the weights."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")[KEY]), data[8 + length :]


def assembled(header, structure, body):
    """Return the file of these parts; a structure may be a text."""
    text = structure if isinstance(structure, str) else json.dumps(structure)
    return framed(json.dumps({"__metadata__": {KEY: text}, **header}), body)


def framed(header, body=b""):
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header)) + header + body


def laid_out(shapes):
    """Return the header of tensors of these shapes, and the number of bytes that they take."""
    header, position = {}, 0
    for name, shape in shapes.items():
        end = position + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [position, end]}
        position = end
    return header, position


def places_in(value, before=()):
    """Yield the path to everything inside a JSON value."""
    items = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inside in items:
        yield (*before, key)
        yield from places_in(inside, (*before, key))


def resolved(value, place):
    """Return the object or array that holds a place, and the key of the place in it."""
    for key in place[:-1]:
        value = value[key]
    return value, place[-1]
