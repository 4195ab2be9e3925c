"""Saved VALPs with random damage: ``load`` refuses each, or what it returns keeps every rule."""

from __future__ import annotations

import copy
import random
import struct
import time
import tracemalloc
from types import SimpleNamespace

import pytest
import torch
import zoo
from parts import (
    assembled,
    contents,
    laid_out,
    places_in,
    resolved,
    saved_and_loaded,
    taken_apart,
)
from validity import assert_valid

import deap_valp as valp
from deap_valp.errors import FileFormatError, ValpError
from deap_valp.genome.files import load


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.valp"


MEGABYTE = 2**20

TEXTS = ["n0", "n1", "left", "label", "x", "y", "n0->n1", "n1->n0", "relu", "softmax", "input"]
TEXTS += ["generic", "decoder", "classification", "adam", "F32", "F16", "__metadata__", "__class__"]
ODD_TEXTS = ["", "é", "\x00", "\ud800", "a" * 10_000]
INTEGERS = [0, 1, -1, 2, 3, 5, 255, 2**31 - 1, 2**31, 2**63 - 1, 2**63, -(2**63), 10**50, 10**400]
FLOATS = [0.0, -0.0, 0.5, 1e-320, 1e38, 1e39, -1e308, float("nan"), float("inf"), float("-inf")]
ARRAYS = [[], [0], [[]], [1, 2], [2, 1], [0.0] * 5, [[[[[[]]]]]], ["relu"]]
OBJECTS = [{}, {"": ""}, {"kind": "input"}]
NAMES = TEXTS + ODD_TEXTS
ODD_VALUES = [None, True, False, *INTEGERS, *FLOATS, *NAMES, *ARRAYS, *OBJECTS]


# ---- edits of JSON -------------------------------------------------------------------------------


def put(holder, key, value, rng):
    holder[key] = copy.deepcopy(rng.choice(ODD_VALUES))


def leave_out(holder, key, value, rng):
    del holder[key]


def add(holder, key, value, rng):
    if isinstance(holder, list):
        added = copy.deepcopy(rng.choice([value, *ODD_VALUES]))
        holder.insert(rng.randrange(len(holder) + 1), added)
    else:
        name = rng.choice(["n7", "x", "extra", f"{key}_", *map(str, holder)])
        holder[name] = copy.deepcopy(value)


def rename(holder, key, value, rng):
    if isinstance(holder, dict):
        items = list(holder.items())
        holder.clear()
        for name, kept in items:
            holder[rng.choice(NAMES) if name == key else name] = kept


def swap(holder, key, value, rng):
    keys = list(holder) if isinstance(holder, dict) else range(len(holder))
    other = rng.choice(keys)
    holder[key], holder[other] = holder[other], value


def nudge(holder, key, value, rng):
    if isinstance(value, int | float):
        holder[key] = rng.choice(
            [value + 1, value - 1, -value, value * 2, value // 2, value * 10**9]
        )
    elif isinstance(value, str) and "->" in value:
        provider, _, receiver = value.partition("->")
        holder[key] = rng.choice([f"{receiver}->{provider}", f"{provider}->n0", f"{value}0"])


EDITS = (put, put, leave_out, add, rename, swap, nudge, nudge)


def edit_json(value, rng):
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        places = list(places_in(value))
        if places:
            holder, key = resolved(value, rng.choice(places))
            rng.choice(EDITS)(holder, key, holder[key], rng)


# ---- edits of the graph and of bytes -------------------------------------------------------------


def width_of(component):
    return component["layers"][-1]["width"] if "layers" in component else component["width"]


def rows_of(component):
    if "latent" in component:
        return 2 * component["latent"]["dim"]
    return component["layers"][0]["width"] if "layers" in component else component["width"]


def rewired(header, structure, rng):
    """Add and remove connections with their tensors, so that the graph alone can be wrong."""
    components, connections = structure["components"], structure["connections"]
    shapes = {name: entry["shape"] for name, entry in header.items()}
    for _ in range(rng.choice([1, 1, 2, 4])):
        provider, receiver = rng.choices(list(components), k=2)
        name = f"{provider}->{receiver}"
        if connections and rng.random() < 0.3:
            gone = connections.pop(rng.randrange(len(connections)))
            del shapes[gone]
        elif name not in connections:
            connections.append(name)
            shapes[name] = [rows_of(components[receiver]), width_of(components[provider])]
    header, size = laid_out(shapes)
    return assembled(header, structure, bytes(size))


PRINTABLE = b'0123456789,:{}[]"\\ eE+-.naN>_xl'


def edit_part(part, rng):
    """Change one place of a bytearray."""
    at, count = rng.randrange(len(part) + 1), rng.choice([1, 1, 2, 4, 9, 64])
    kind = rng.choice(
        ["flip", "flip", "insert", "delete", "overwrite", "overwrite", "repeat", "cut"]
    )
    some = bytes(rng.choices(PRINTABLE, k=count))
    if rng.random() < 0.2:
        some = rng.randbytes(count)
    if kind == "flip" and at < len(part):
        part[at] ^= 1 << rng.randrange(8)
    elif kind == "insert":
        part[at:at] = some
    elif kind == "overwrite":
        part[at : at + count] = some
    elif kind == "repeat":
        part[at : at + count] = bytes(part[at : at + count]) * 2
    elif kind == "cut" and rng.random() < 0.3:
        del part[at:]
    else:
        del part[at : at + count]


def edit_bytes(data, rng):
    """Damage bytes, mostly those of the header: other weights than the saved ones are no damage."""
    length = struct.unpack("<Q", data[:8])[0]
    head, body = bytearray(data[8 : 8 + length]), bytearray(data[8 + length :])
    for _ in range(rng.choice([1, 1, 2, 8])):
        edit_part(head if head and rng.random() < 0.8 else body, rng)
    said, draw = len(head), rng.random()
    if draw < 0.15:
        said = rng.choice([0, 1, length - 1, length + 1, len(head) + len(body), 2**40, 2**64 - 1])
    elif draw < 0.25:
        said = length
    return struct.pack("<Q", max(0, said)) + bytes(head) + bytes(body)


def mutated(data, rng):
    """Damage the bytes of a valid file, its header, its structure or its graph."""
    where = rng.choice(["bytes"] * 2 + ["header"] + ["structure"] * 3 + ["graph", "all"])
    header, structure, body = taken_apart(data)
    if where == "bytes":
        return edit_bytes(data, rng)
    if where == "graph":
        return rewired(header, structure, rng)
    if where in ("header", "all"):
        edit_json(header, rng)
    if where in ("structure", "all"):
        edit_json(structure, rng)
    damaged = assembled(header, structure, body)
    return edit_bytes(damaged, rng) if where == "all" else damaged


# ---- what must hold ------------------------------------------------------------------------------


def outcome(path, data):
    """Return the class of what ``load`` raised; None if it returned a VALP that keeps the rules."""
    path.write_bytes(data)
    tracemalloc.reset_peak()
    start = time.perf_counter()
    try:
        loaded = load(path, valp.VALP)
    except ValpError as error:
        assert len(str(error)) < 1_500 and str(error).isprintable()
        return type(error)
    finally:
        assert time.perf_counter() - start < 10
        assert tracemalloc.get_traced_memory()[1] < 64 * MEGABYTE
    hold_to_the_rules(loaded, path)
    return None


def hold_to_the_rules(loaded, path):
    assert_valid(loaded, SimpleNamespace(inputs=loaded.inputs, outputs=loaded.outputs))
    valp.check(loaded)
    inputs = {name: torch.zeros(2, loaded.component(name).width) for name in loaded.inputs}
    with torch.no_grad():
        predictions = valp.decode(loaded)(inputs, mode="train")
    shapes = {name: tuple(prediction.shape) for name, prediction in predictions.items()}
    assert shapes == {name: (2, loaded.component(name).width) for name in loaded.outputs}
    assert saved_and_loaded(loaded, path) == loaded


def check_fuzzing(path, seed, count):
    rng = random.Random(seed)
    sources = [contents(zoo.member(name), path) for name in zoo.NAMES]
    tracemalloc.start()
    try:
        outcomes = [outcome(path, mutated(rng.choice(sources), rng)) for _ in range(count)]
    finally:
        tracemalloc.stop()
    assert set(outcomes) <= {FileFormatError, None}
    # Damage is found, and some of what remains was held to the rules.
    assert count / 2 < outcomes.count(FileFormatError) < count


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files_are_refused_or_valid(path, seed):
    check_fuzzing(path, seed, 100)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_020))
def test_many_damaged_files_are_refused_or_valid(path, seed):
    check_fuzzing(path, seed, 500)
