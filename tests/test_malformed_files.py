"""Files that ``save`` did not write: ``load`` refuses them with a clear error, at little cost."""

from __future__ import annotations

import copy
import json
import os
import pickle
import struct
import time
import tracemalloc
from pathlib import Path

import pytest
import safetensors.torch
import torch
import zoo
from parts import assembled, contents, framed, places_in, resolved, taken_apart

import deap_valp as valp
from deap_valp.errors import FileFormatError
from deap_valp.genome.files import KEY, LARGEST_FILE, LARGEST_HEADER, load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.valp"


def refused(path, data, message=""):
    """Demand one short, printable error that names the file and says this."""
    path.write_bytes(data)
    with pytest.raises(FileFormatError) as caught:
        load(path, valp.VALP)
    said = str(caught.value)
    assert said.startswith(f"{path}: ") and message in said
    assert len(said) < 1_010 + len(str(path)) and said.isprintable()


# ---- bytes ---------------------------------------------------------------------------------------


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


NO_HEADER = "the header of a saved VALP: "
BYTES = {
    "empty": (lambda data: b"", "the file must be of 8 to 1073741824 bytes, got 0"),
    "shorter than the length": (lambda data: data[:7], "the file must be of 8"),
    "length only": (lambda data: data[:8], "the header's length must be at most 0 in this file"),
    "header cut": (lambda data: data[:100], "the header's length must be at most 92 in this file"),
    "header of 2**63": (lambda data: struct.pack("<Q", 2**63) + data[8:], "header's length"),
    "header of 2**64 - 1": (lambda data: b"\xff" * 8 + data[8:], "the header's length"),
    "header longer than any": (
        lambda data: framed(b" " * (LARGEST_HEADER + 1)),
        "the header's length must be at most 16777216 in this file, got 16777217",
    ),
    "header not UTF-8": (lambda data: data[:10] + b"\xff" + data[11:], NO_HEADER),
    "header not JSON": (lambda data: framed("{'a': 1}"), NO_HEADER + "JSON is malformed"),
    "header an array": (lambda data: framed("[]"), NO_HEADER + "Expected `object`, got `array`"),
    "header with more behind": (lambda data: framed(data[8:200] + b"{}"), NO_HEADER),
    "weights cut": (lambda data: data[:-1], "safetensors cannot read the tensors: "),
    "weights longer": (lambda data: data + b"\0", "safetensors cannot read the tensors: "),
    "deep": (lambda data: framed('{"a":' + "[" * 99_999), NO_HEADER + "maximum recursion depth"),
    "many elements": (lambda data: framed("1," * 1_000_001), "at most 1000000 elements, got"),
    "a pickle": (lambda data: pickle.dumps(Bomb()), "must be"),
    "text": (lambda data: b"Dear reader, this is no VALP.", "the header's length must be at"),
}


@pytest.mark.parametrize(("edit", "message"), BYTES.values(), ids=BYTES)
def test_malformed_bytes(path, monkeypatch, edit, message):
    monkeypatch.chdir(path.parent)
    refused(path, edit(contents(zoo.smallest(), path)), message)
    assert not Path("exploded").exists()


def test_a_file_of_torch_save_is_refused(path):
    torch.save(zoo.smallest(), path)
    refused(path, path.read_bytes(), "the header's length")


def test_a_file_of_safetensors_that_holds_no_valp_is_refused(path):
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    refused(path, path.read_bytes(), "a saved VALP: Object missing required field `__metadata__`")


def test_a_file_that_is_cut_while_it_is_read_is_refused(path, monkeypatch):
    save(zoo.smallest(), path)
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[: size // 2])
    whole = os.stat_result((*os.stat(path)[:6], size, *os.stat(path)[7:]))
    monkeypatch.setattr(os, "fstat", lambda number: whole)
    with pytest.raises(FileFormatError):
        load(path, valp.VALP)


# ---- header and tensors --------------------------------------------------------------------------


def tensor(**entry):
    return lambda header: header["n0.0.bias"].update(entry)


UNREADABLE = "safetensors cannot read the tensors: "
HEADERS = {
    "no metadata": (lambda h: h.update(__metadata__={}), f"missing required field `{KEY}`"),
    "metadata no object": (lambda h: h.update(__metadata__="x"), NO_HEADER),
    "metadata of others": (lambda h: h.update(__metadata__={"of": "pt"}), "unknown field `of`"),
    "metadata no text": (lambda h: h.update(__metadata__={KEY: {}}), "Expected `str`"),
    "dtype I32": (tensor(dtype="I32"), "tensor 'n0.0.bias' must be of dtype F32, got I32"),
    "dtype unknown": (tensor(dtype="code"), UNREADABLE),
    "shape empty": (tensor(shape=[]), UNREADABLE),
    "shape of large product": (tensor(shape=[2**31 - 1] * 8), UNREADABLE),
    "shape of nine": (tensor(shape=[4] + [1] * 8), "must be of 1 to 8 sizes from 1 on, got [4, 1"),
    "shape of other rank": (tensor(shape=[2, 2]), "n0.0.bias: expected shape (4,), got (2, 2)"),
    "offsets of a hole": (tensor(data_offsets=[4, 20]), UNREADABLE),
    "offsets beyond any file": (tensor(data_offsets=[0, 2**63]), UNREADABLE),
    "other name": (
        lambda h: h.update({"n0.1.bias": h.pop("n0.0.bias")}),
        "missing: ['n0.0.bias', 'n0.1.bias']",
    ),
    "transposed": (
        lambda h: h["n0->y"].update(shape=[4, 1]),
        "n0->y: expected shape (1, 4), got (4, 1)",
    ),
    "an odd name": (
        lambda h: h.update({"\n\x1b[2J" * 999: h.pop("y.bias")}),
        r"missing: ['\n\x1b[2J",
    ),
}


@pytest.mark.parametrize(("edit", "message"), HEADERS.values(), ids=HEADERS)
def test_malformed_headers(path, edit, message):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    edit(header)
    refused(path, assembled(header, structure, body), message)


@pytest.mark.parametrize("shape", [[1], [0], [0, 2**62], [0, 2**64 - 1], []], ids=str)
def test_an_extra_tensor_is_refused(path, shape):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    more = 0 if 0 in shape else 4
    offsets = [len(body), len(body) + more]
    header["payload"] = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    refused(path, assembled(header, structure, body + bytes(more)), "payload")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_weight_that_is_not_finite_is_refused(path, value):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    start = header["n0->y"]["data_offsets"][0]
    body = body[:start] + struct.pack("<f", float(value)) + body[start + 4 :]
    message = f"tensor 'n0->y' must be finite, got {value}"
    refused(path, assembled(header, structure, body), message)


# ---- structure -----------------------------------------------------------------------------------

TEXTS = {
    "nothing": lambda text: "",
    "cut": lambda text: text[:-1],
    "an array": lambda text: "[]",
    "NaN": lambda text: text.replace("0.001", "NaN"),
    "Infinity": lambda text: text.replace("0.001", "-Infinity"),
    "1e999": lambda text: text.replace("0.001", "1e999"),
    "an endless number": lambda text: text.replace("0.001", "9" * 100_000),
    "deep": lambda text: text.replace("0.001", "[" * 99_999),
    "a control character": lambda text: text.replace("adam", "ad\nam"),
    "half a surrogate": lambda text: text.replace("adam", "\\ud800"),
}


@pytest.mark.parametrize("edit", TEXTS.values(), ids=TEXTS)
def test_malformed_texts(path, edit):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    refused(path, assembled(header, edit(json.dumps(structure)), body))


GONE = object()
LAYER = {"width": 6, "activation": "relu"}
OPTIMIZER = {"name": "adam", "learning_rate": 1, "decay": 0.0}
PORT = {"kind": "input", "width": 5, "shift": [0.0], "scale": [1.0]}

# By name: the place, what stands there instead (``GONE`` for nothing), what the error says.
FIELDS = {
    "of version 1": (
        "version",
        1,
        "version must be one of [2, 3, 4], which this deap_valp reads, got 1",
    ),
    "of version true": ("version", True, "`int`, got `bool` - at `$.version`"),
    "without connections": ("connections", GONE, "missing required field `connections`"),
    "with more": ("fitness", [0.0], "the structure: Object contains unknown field `fitness`"),
    "components no object": ("components", [], "`object`, got `array` - at `$.components`"),
    "no components": ("components", {}, "`object` of length >= 1 - at `$.components`"),
    "too many components": ("components", {f"p{i}": PORT for i in range(2_001)}, "<= 2000"),
    "component without kind": ("components n0 kind", GONE, "'n0': Object missing required field"),
    "unknown kind": ("components n0 kind", "lstm", "kind of component 'n0' must be one of ['inp"),
    "another kind's fields": ("components n2 kind", "refiner", "'n2': Object contains unknown"),
    "without layers": ("components n0 layers", GONE, "component 'n0': Object missing required"),
    "no layers": ("components n0 layers", [], "n0 (generic) needs layers"),
    "layer with more": ("components n0 layers 0 bias", 1, "field `bias` - at `$.layers[0]`"),
    "unknown activation": ("components n3 layers 1 activation", "sin", "n3 (decoder) needs layers"),
    "softmax elsewhere": ("components n0 layers 0 activation", "softmax", "n0 (generic) needs"),
    "softmax inside": ("components n1 layers 0 activation", "softmax", "n1 (discrete) needs"),
    "no softmax": (
        "components n1 layers 1 activation",
        "relu",
        "needs softmax as its last activation, got",
    ),
    "width 0": ("components n0 layers 0 width", 0, "'n0': Expected `int` >= 1 - at `$.layers[0]"),
    "width a fraction": ("components n0 layers 0 width", 6.0, "`int`, got `float`"),
    "width 2**31": ("components n0 layers 0 width", 2**31, "`int` <= 2147483647"),
    "layers of too many weights": ("components n0 layers", [LAYER] * 99_999, "wrong or missing"),
    "id of 64 bits": ("components n0 id", 2**63, "component 'n0': "),
    "latent without id": ("components n2 latent id", GONE, "required field `id` - at `$.latent`"),
    "latent of dimension 0": ("components n2 latent dim", 0, "`int` >= 1 - at `$.latent.dim`"),
    "share 0": ("components n2 share", 0, "component 'n2': Expected `float` > 0"),
    "share 2": ("components n2 share", 2, "component 'n2': Expected `float` <= 1"),
    "shift of other length": ("components left shift", [0] * 3, "must be of length 1 or 5, its"),
    "scale of other length": ("components left scale", [1] * 6, "scale of component 'left' must"),
    "shift empty": ("components left shift", [], "must be of length 1 or 5, its width, got 0"),
    "shift of text": ("components left shift 0", "0", "`float`, got `str` - at `$.shift[0]`"),
    "scale past float32": ("components left scale 0", 1e39, "`float` <= 3.4028"),
    "too many connections": ("connections", ["n0->n2"] * 20_001, "`array` of length <= 20000"),
    "connection no text": ("connections 0", ["n0", "n1"], "got `array` - at `$.connections[0]`"),
    "connection from nowhere": ("connections 0", "n99->n1", "two of the components, each pair on"),
    "connection to nothing": ("connections 0", "n1", "must be provider->receiver"),
    "connection twice": ("connections +", "n0->n2", "each pair once, got 'n0->n2'"),
    "connection to itself": ("connections +", "n0->n0", "no recurrence, got the cycle n0"),
    "cycle": ("connections +", "n5->n0", "a VALP has no recurrence, got the cycle"),
    "input to output": ("connections +", "left->label", "label (classification) does not take"),
    "output as provider": ("connections +", "label->n0", "n0 (generic) does not take what label"),
    "values to a refiner": ("connections +", "n0->n4", "n4 (refiner) does not take what n0"),
    "optimizer left out": ("optimizers label", GONE, "an optimizer for each output"),
    "optimizer of no output": ("optimizers n0", OPTIMIZER, "an optimizer for each output"),
    "optimizer unknown": ("optimizers label name", "lion", "an SGD algorithm among ["),
    "optimizer a text": ("optimizers label", "adam", "optimizer of 'label': Expected `object`"),
    "learning rate negative": ("optimizers label learning_rate", -1, "`float` >= 0"),
    "batch size 0": ("batch_size", 0, "`int` >= 1 - at `$.batch_size`"),
    "limits null": ("limits", None, "limits: Expected `object`, got `null`"),
    "limits without width": ("limits width", GONE, "limits: Object missing required field `width`"),
    "limit of width 0": ("limits width", 0, "limits: Expected `int` >= 1 - at `$.width`"),
    "range reversed": ("limits batch_size", [9, 8], "limits.batch_size must be a range, its lower"),
    "rates reversed": ("limits learning_rate", [1, 0], "limits.learning_rate must be a range"),
    "layout reversed": ("layout layers", [2, 1], "layout.layers must be a range, its lower end"),
    "layout of unknown activation": ("layout activations", ["sin"], "one or more of ['relu', "),
    "layout with softmax": ("layout activations", ["softmax"], "layout.activations must be one"),
    "layout without activations": ("layout activations", [], "layout.activations must be one"),
    "trained 1": ("trained", 1, "`bool`, got `int` - at `$.trained`"),
}


def replace_field(structure, place, value):
    holder, key = resolved(structure, [int(k) if k.isdigit() else k for k in place.split()])
    if key == "+":
        holder.append(value)
    elif value is GONE:
        del holder[key]
    else:
        holder[key] = value


@pytest.mark.parametrize(("place", "value", "message"), FIELDS.values(), ids=FIELDS)
def test_malformed_fields(path, place, value, message):
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    replace_field(structure, place, value)
    refused(path, assembled(header, structure, body), message)


NAMES = {
    "port no identifier": ("left", "../left", "'../left' must be named by an identifier"),
    "port without name": ("left", "", "component '' must be named by an identifier"),
    "port like a sub-network": ("left", "n77", "other than n<digits>, as it is a port"),
    "sub-network like a port": ("n0", "first", "component 'first' must be named n<digits>"),
    "sub-network of other digits": ("n0", "n\u0663", "must be named n<digits>"),
    "sub-network of many digits": ("n0", "n" + "1" * 5000, "component 'n111"),
}


@pytest.mark.parametrize(("old", "new", "message"), NAMES.values(), ids=NAMES)
def test_malformed_names(path, old, new, message):
    """The component is renamed wherever its name stands."""
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    text = json.dumps(structure).replace(f'"{old}"', f'"{new}"').replace(f'"{old}->', f'"{new}->')
    refused(path, assembled(header, text, body), message)


@pytest.mark.parametrize(
    ("gone", "message"),
    [
        ("->value", "value (regression) has no provider"),
        ("n1->n2", "wrong or missing: ['n1->n2']"),
    ],
)
def test_malformed_graphs(path, gone, message):
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    structure["connections"] = [name for name in structure["connections"] if gone not in name]
    refused(path, assembled(header, structure, body), message)


def test_every_field_is_needed(path):
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    for place in list(places_in(structure)):
        edited = copy.deepcopy(structure)
        holder, key = resolved(edited, place)
        if isinstance(holder, dict) and key not in ("shape", "labels"):  # which older versions lack
            del holder[key]
            refused(path, assembled(header, edited, body))


# ---- cost ----------------------------------------------------------------------------------------

MEGABYTE = 2**20
MILLION = 999_000


def cost(path):
    """Return the seconds of a load that is refused, and the peak of Python's and numpy's memory."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(FileFormatError):
            load(path, valp.VALP)
        return time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


EXPENSIVE = {
    "arrays": b"[" + b"[]," * MILLION + b"1]",
    "more arrays": b"[" + b"[]," * 5 * MILLION + b"1]",
    "depth": b"[" * MILLION,
    "depth in an object": b'{"a":' * MILLION,
    "numbers": b'{"a":[' + b"0," * MILLION + b"1]}",
    "digits": b"9" * MILLION,
    "quotes": b'"' * MILLION,
    "escapes": b'{"a":"' + b'\\"' * MILLION + b'"}',
    "a name": b'{"' + b"a" * MILLION + b'":1}',
}


@pytest.mark.parametrize("header", EXPENSIVE.values(), ids=EXPENSIVE)
def test_headers_that_look_expensive_are_refused_cheaply(path, header):
    path.write_bytes(framed(header))
    seconds, peak = cost(path)
    assert peak < 2 * len(header) + MEGABYTE
    assert seconds < 20  # a few hundredths of a second, on a machine that does nothing else


MANY = dict.fromkeys(map(str, range(200_000)), 0)
LARGE_FIELDS = {
    "components": MANY,
    "components n0 layers": [LAYER] * 100_000,
    "components left shift": [0] * MILLION,
    "connections": [""] * MILLION,
    "optimizers": MANY,
    "layout activations": [""] * MILLION,
}


@pytest.mark.parametrize(("place", "value"), LARGE_FIELDS.items(), ids=LARGE_FIELDS)
def test_structures_that_look_expensive_are_refused_at_a_bounded_cost(path, place, value):
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    replace_field(structure, place, value)
    check_bounded(path, assembled(header, structure, body))


def test_tensors_that_look_expensive_are_refused_at_a_bounded_cost(path):
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    empty = {"dtype": "F32", "shape": [0], "data_offsets": [len(body), len(body)]}
    header.update({f"{number:x}": empty for number in range(50_000)})
    check_bounded(path, assembled(header, structure, body))


def check_bounded(path, data):
    path.write_bytes(data)
    seconds, peak = cost(path)
    assert peak < 25 * len(data) + MEGABYTE
    assert seconds < 60  # five at most, on a machine that does nothing else


def test_a_large_file_of_noise_costs_nothing(path):
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", 2**20))
        stream.truncate(LARGEST_FILE)  # sparse
    assert cost(path)[1] < 8 * MEGABYTE
    with path.open("r+b") as stream:
        stream.truncate(2**42)
    assert cost(path)[1] < MEGABYTE


@pytest.mark.parametrize("field", ["width", "dim", "layers"])
def test_sizes_are_not_taken_from_the_structure(path, field):
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    for name, component in structure["components"].items():
        if field == "layers" and name.startswith("n"):
            component["layers"] = component["layers"][:1] * 2_000
        for holder in (*component.get("layers", ()), component.get("latent", {})):
            if field in holder:
                holder[field] = 2**31 - 1
    path.write_bytes(assembled(header, structure, body))
    assert cost(path)[1] < 24 * MEGABYTE
