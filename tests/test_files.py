"""``save`` and ``load``: what comes back is what was saved, whatever else a file holds is refused, at little cost."""

from __future__ import annotations

import copy
import json
import os
import pickle
import random
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import zoo

import deap_valp as valp
from deap_valp.errors import FileFormatError, ValpError
from deap_valp.genome.files import KEY, load, save
from deap_valp.genome.valp import Layout, Limits, Optimizer, files


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.valp"


def saved_and_loaded(individual, path):
    save(individual, path)
    return load(path, type(individual))


def assert_same_predictions(one, other, problem):
    """Bit by bit, in every mode, losses included."""
    before, after = (
        zoo.predictions(individual, problem, dtype=torch.float32) for individual in (one, other)
    )
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


# ---- what comes back -----------------------------------------------------------------------------


def test_loaded_equals_saved(zoo_member, path):
    loaded = saved_and_loaded(zoo_member, path)
    assert loaded == zoo_member and type(loaded) is type(zoo_member)
    assert loaded.limits == zoo_member.limits and loaded.layout == zoo_member.layout


def test_loaded_predicts_the_same_bits(zoo_member, problem, path):
    assert_same_predictions(zoo_member, saved_and_loaded(zoo_member, path), problem)


def test_loaded_is_valid_and_owns_its_weights(zoo_member, problem, path):
    loaded = saved_and_loaded(zoo_member, path)
    zoo.assert_valid(loaded, problem)
    valp.check(loaded, problem)
    for tensor in loaded.weights.values():
        assert tensor.untyped_storage().nbytes() == 4 * tensor.numel()


def test_every_field_comes_back(zoo_member, path):
    zoo_member.limits = Limits(9, 3, 77, 11, (10, 90), (1e-7, 0.3))
    zoo_member.layout = Layout((2, 3), (4, 5), (6, 7), ("elu", "tanh"))
    zoo_member.batch_size = 33
    first = zoo_member.outputs[0]
    zoo_member.optimizers[first] = Optimizer("rmsprop", 0.1 + 0.2)
    zoo_member.trained = True
    loaded = saved_and_loaded(zoo_member, path)
    for name in ("limits", "layout", "batch_size", "optimizers", "trained"):
        assert getattr(loaded, name) == getattr(zoo_member, name), name
    assert isinstance(loaded.limits.batch_size, tuple) and isinstance(
        loaded.layout.activations, tuple
    )


def test_ids_of_63_bits_come_back(path):
    individual = zoo.shared_latent()
    nodes = individual.graph.nodes
    nodes["n0"]["component"] = replace(individual.component("n0"), id=2**63 - 1)
    nodes["n3"]["component"] = replace(
        individual.component("n3"), id=0, latent=valp.networks.Latent(2**63 - 2, 2)
    )
    loaded = saved_and_loaded(individual, path)
    assert loaded.component("n0").id == 2**63 - 1
    assert loaded.component("n3") == individual.component("n3")
    assert loaded.component("n1").latent.id == loaded.component("n2").latent.id


def test_weights_come_back_bit_by_bit(path):
    individual = zoo.smallest()
    odd = torch.tensor([-0.0, 1e-45, torch.finfo(torch.float32).max, 0.1])
    individual.weights["n0.0.bias"] = odd
    loaded = saved_and_loaded(individual, path)
    assert torch.equal(loaded.weights["n0.0.bias"].view(torch.int32), odd.view(torch.int32))


@pytest.mark.parametrize("seed", range(3))
def test_operators_draw_the_same_on_the_loaded(zoo_member, path, seed):
    loaded = saved_and_loaded(zoo_member, path)
    for individual in (zoo_member, loaded):
        random.seed(seed)
        for _ in range(4):
            valp.mutRandom(individual, operators="all")
    assert loaded.move == zoo_member.move
    assert loaded == zoo_member and loaded.seed == zoo_member.seed


def test_saving_changes_nothing(zoo_member, path):
    before, random_state, torch_state = (
        copy.deepcopy(zoo_member),
        random.getstate(),
        torch.get_rng_state(),
    )
    seed = zoo_member.seed
    save(zoo_member, path)
    assert zoo_member == before and zoo_member.seed == seed
    assert random.getstate() == random_state and torch.equal(torch.get_rng_state(), torch_state)


def test_loaded_has_a_seed_of_its_own(zoo_member, path):
    save(zoo_member, path)
    random.seed(5)
    first, second = load(path, type(zoo_member)), load(path, type(zoo_member))
    random.seed(5)
    assert [first.seed, second.seed] == [random.getrandbits(63), random.getrandbits(63)]


def test_the_same_individual_gives_the_same_bytes(zoo_member, path):
    save(zoo_member, path)
    first = path.read_bytes()
    save(saved_and_loaded(zoo_member, path), path)
    assert path.read_bytes() == first


def test_unicode_ports(path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    problem = valp.Problem({"größe": x}, {"ответ": valp.Regression(x[:, :1])})
    individual = zoo.build(problem, {"n0": zoo.generic(2)}, "größe->n0 n0->ответ")
    assert saved_and_loaded(individual, path) == individual


def test_what_a_gentle_clone_shares_is_saved_for_both(path):
    individual = zoo.shared_provider()
    valp.mutCloneNetwork(individual, "n0")
    assert individual.weights["n0.0.bias"] is individual.weights["n2.0.bias"]
    assert saved_and_loaded(individual, path) == individual


def test_tensors_that_are_views_are_saved_as_they_read(path):
    individual = zoo.smallest()
    wide = torch.randn(4, 8)
    individual.weights["x->n0"] = wide[:, ::2]
    individual.weights["n0->y"] = wide[:, :1].t()
    assert saved_and_loaded(individual, path) == individual


@pytest.mark.parametrize("seed", range(2))
def test_round_trip_after_evolution(zoo_name, problem, path, seed):
    random.seed(seed)
    individual, other = zoo.member(zoo_name), zoo.random_valp(problem)
    for step in range(12):
        if step == 5:
            individual.fitness.values = valp.evaluate(
                individual, problem, batches=2, first_batches=3, device="cpu"
            )
        if step % 4 == 3:
            valp.cxExclusiveSubgraph(individual, other)
        valp.mutRandom(individual, operators="all")
    loaded = saved_and_loaded(individual, path)
    assert loaded == individual and loaded.trained == individual.trained
    assert_same_predictions(individual, loaded, problem)
    zoo.assert_valid(loaded, problem)


def test_an_evaluated_individual_comes_back_trained(zoo_member, problem, path):
    zoo_member.fitness.values = valp.evaluate(
        zoo_member, problem, batches=2, first_batches=3, device="cpu"
    )
    before = zoo_member.weights
    loaded = saved_and_loaded(zoo_member, path)
    assert zoo_member.weights is before and not zoo_member.trained  # saving takes nothing over
    assert loaded.trained and not loaded.fitness.valid and loaded.evaluation is None
    assert_same_predictions(zoo_member, loaded, problem)
    zoo_member.inherit()
    assert loaded == zoo_member


def test_a_failed_evaluation_leaves_it_untrained(path):
    individual, problem = zoo.smallest(), zoo.plain_problem()
    individual.fitness.values = valp.Evaluation(
        [valp.PENALTY],
        objectives=problem.objectives,
        seed=individual.seed,
        weights=individual.weights,
        status="failed",
    )
    assert not saved_and_loaded(individual, path).trained


def test_loads_as_a_class_with_another_number_of_objectives(zoo_member, path):
    save(zoo_member, path)
    loaded = load(path, zoo.individual_class((-1.0,) * 7))
    assert loaded == zoo_member and not loaded.fitness.valid and len(loaded.fitness.weights) == 7


ELSEWHERE = """
import sys, torch
import deap_valp as valp
from deap import base, creator
from deap_valp.files import load
creator.create("F", base.Fitness, weights=(-1.0,))
creator.create("I", valp.VALP, fitness=creator.F)
individual = load(sys.argv[1], creator.I)
inputs = {
    name: torch.linspace(-1, 1, 3 * individual.component(name).width).view(3, -1)
    for name in individual.inputs
}
for name, value in valp.decode(individual)(inputs).items():
    print(name, value.detach().numpy().tobytes().hex())
"""


def test_another_process_predicts_the_same_bits(path):
    individual = zoo.fan_in()
    save(individual, path)
    environment = {**os.environ, "PYTHONPATH": str(Path(valp.__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, path],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    inputs = {
        n: torch.linspace(-1, 1, 3 * individual.component(n).width).view(3, -1)
        for n in individual.inputs
    }
    expected = valp.decode(individual)(inputs)
    assert dict(line.split() for line in done.stdout.splitlines()) == {
        name: value.detach().numpy().tobytes().hex() for name, value in expected.items()
    }


def test_safetensors_itself_reads_the_weights(zoo_member, path):
    save(zoo_member, path)
    weights = safetensors.torch.load_file(path)
    assert weights.keys() == zoo_member.weights.keys()
    assert all(torch.equal(weights[key], tensor) for key, tensor in zoo_member.weights.items())
    with safetensors.safe_open(path, "pt") as opened:
        assert json.loads(opened.metadata()[KEY])["version"] == files.VERSION


def test_a_file_is_little_more_than_its_weights(path):
    individual = zoo.build(zoo.plain_problem(), {"n0": zoo.generic(256, 256)}, "x->n0 n0->y")
    save(individual, path)
    assert 0 < path.stat().st_size - 4 * individual.weight_count < 5_000


VERSION_1 = {
    "version": 1,
    "components": {
        "x": {"kind": "input", "width": 2, "shift": [0.5], "scale": [2.0]},
        "n0": {"kind": "generic", "layers": [{"width": 2, "activation": "relu"}], "id": 5},
        "n1": {
            "kind": "decoder",
            "layers": [{"width": 1, "activation": "tanh"}],
            "id": 6,
            "latent": {"id": 7, "dim": 1},
            "share": 0.5,
        },
        "n2": {"kind": "refiner", "layers": [{"width": 1, "activation": "elu"}], "id": 8},
        "n3": {"kind": "discrete", "layers": [{"width": 2, "activation": "softmax"}], "id": 9},
        "label": {"kind": "classification", "width": 2, "shift": [0.0], "scale": [1.0]},
        "image": {"kind": "generation", "width": 1, "shift": [0.0], "scale": [1.0]},
    },
    "connections": ["x->n0", "n0->n1", "n0->n3", "n1->n2", "n2->image", "n3->label"],
    "optimizers": {
        "label": {"name": "adam", "learning_rate": 0.001},
        "image": {"name": "sgd", "learning_rate": 0.01},
    },
    "batch_size": 200,
    "limits": {
        "networks": 64,
        "layers": 8,
        "width": 256,
        "latent": 64,
        "batch_size": [25, 1600],
        "learning_rate": [1e-05, 0.1],
    },
    "layout": {
        "layers": [1, 4],
        "width": [8, 96],
        "latent": [4, 32],
        "activations": ["relu", "tanh"],
    },
    "trained": True,
}


def test_version_1_stays_readable(path):
    shapes = {
        "x->n0": [2, 2],
        "n0.0.bias": [2],
        "n0->n1": [2, 2],
        "n1.latent.bias": [2],
        "n1.0.weight": [1, 1],
    }
    shapes |= {
        "n1.0.bias": [1],
        "n1->n2": [1, 1],
        "n2.0.bias": [1],
        "n2->image": [1, 1],
        "image.bias": [1],
    }
    shapes |= {"n0->n3": [2, 2], "n3.0.bias": [2], "n3->label": [2, 2], "label.bias": [2]}
    header, size = laid_out(shapes)
    path.write_bytes(assembled(header, VERSION_1, np.arange(size // 4, dtype="<f4").tobytes()))
    loaded = load(path, zoo.individual_class((-1.0, -1.0)))
    assert loaded.trained and loaded.component("n1").share == 0.5
    assert loaded.weights["n0->n1"].tolist() == [[6.0, 7.0], [8.0, 9.0]]
    assert saved_and_loaded(loaded, path) == loaded


# ---- writing -------------------------------------------------------------------------------------


def fail(error):
    def failing(*_):
        raise error

    return failing


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError("disk full"), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
def test_a_failed_write_leaves_the_old_file_alone(path, monkeypatch, step, error):
    save(zoo.smallest(), path)
    before = path.read_bytes()
    monkeypatch.setattr(files.os, step, fail(error))
    with pytest.raises(type(error)):
        save(zoo.deep(), path)
    assert os.listdir(path.parent) == [path.name] and path.read_bytes() == before


def test_a_failed_first_write_leaves_nothing(path, monkeypatch):
    monkeypatch.setattr(files.os, "replace", fail(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(zoo.smallest(), path)
    assert os.listdir(path.parent) == []


def test_saving_leaves_the_file_alone_in_its_folder(zoo_member, path):
    save(zoo_member, path)
    save(zoo_member, path)
    assert os.listdir(path.parent) == [path.name]


def test_a_file_has_the_permissions_of_any_other(path):
    save(zoo.smallest(), path)
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_a_reader_sees_one_whole_file_or_another(path):
    pair = zoo.smallest(), zoo.deep()
    save(pair[0], path)
    done = threading.Event()

    def write():
        for turn in range(60):
            save(pair[turn % 2], path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = [load(path, type(pair[0]))]
    while not done.is_set():
        seen.append(load(path, type(pair[0])))
    writer.join()
    assert all(individual in pair for individual in seen)


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (
            torch.tensor([1.0, float("nan"), 1.0, 1.0]),
            r"tensor n0\.0\.bias must be finite, got nan",
        ),
        (
            torch.tensor([1.0, float("-inf"), 1.0, 1.0]),
            r"tensor n0\.0\.bias must be finite, got -inf",
        ),
        (
            torch.zeros(4, dtype=torch.float64),
            r"tensor n0\.0\.bias must be torch\.float32, got torch\.float64",
        ),
        (
            torch.zeros(4, dtype=torch.bfloat16),
            r"tensor n0\.0\.bias must be torch\.float32, got torch\.bfloat16",
        ),
        (torch.zeros(5), r"n0\.0\.bias: expected shape \(4,\), got \(5,\)"),
    ],
)
def test_what_load_would_refuse_is_not_written(path, weight, message):
    save(zoo.deep(), path)
    before = path.read_bytes()
    individual = zoo.smallest()
    individual.weights["n0.0.bias"] = weight
    with pytest.raises(FileFormatError, match=message):
        save(individual, path)
    assert path.read_bytes() == before


def test_other_files_raise_as_open_does(path):
    with pytest.raises(FileNotFoundError):
        load(path, valp.VALP)
    with pytest.raises(FileNotFoundError):
        save(zoo.smallest(), path / "in a folder that is not there")


def test_a_folder_or_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(FileFormatError, match="regular file"):
            load(odd, valp.VALP)


# ---- malformed files -----------------------------------------------------------------------------


def taken_apart(data):
    """Header without the structure, structure, weights."""
    length = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + length])
    return header, json.loads(header.pop("__metadata__")[KEY]), data[8 + length :]


def assembled(header, structure, body):
    text = structure if isinstance(structure, str) else json.dumps(structure)
    return framed(json.dumps({"__metadata__": {KEY: text}, **header}), body)


def framed(header, body=b""):
    header = header.encode() if isinstance(header, str) else header
    return struct.pack("<Q", len(header)) + header + body


def laid_out(shapes):
    """The header of tensors of these shapes, one behind the other, and their bytes together."""
    header, position = {}, 0
    for name, shape in shapes.items():
        end = position + 4 * int(np.prod(shape))
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [position, end]}
        position = end
    return header, position


def contents(individual, path):
    save(individual, path)
    return path.read_bytes()


def refused(path, data, message):
    path.write_bytes(data)
    with pytest.raises(FileFormatError, match=message) as caught:
        load(path, valp.VALP)
    assert str(caught.value).startswith(f"{path}: ") and len(str(caught.value)) < 1_200 + len(
        str(path)
    )


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("exploded",)


BYTES = {
    "empty": (lambda data: b"", r"the file must be of 8 to \d+ bytes, got 0"),
    "shorter than the length": (lambda data: data[:7], "the file must be of 8"),
    "length only": (
        lambda data: data[:8],
        r"header's length must be at most 0 in this file, got \d+",
    ),
    "header cut": (lambda data: data[:100], "header's length must be at most 92 in this file"),
    "header longer than the file": (
        lambda data: struct.pack("<Q", len(data)) + data[8:],
        "header's length",
    ),
    "header of 2**63": (lambda data: struct.pack("<Q", 2**63) + data[8:], "header's length"),
    "header of 2**64 - 1": (lambda data: b"\xff" * 8 + data[8:], "header's length"),
    "header longer than any": (
        lambda data: framed(b" " * (files.LARGEST_HEADER + 1)),
        "at most 16777216 in this file",
    ),
    "header of nothing": (lambda data: bytes(8) + data[8:], "the header must be JSON"),
    "header not UTF-8": (
        lambda data: data[:9] + b"\xff" + data[10:],
        "must be UTF-8: invalid start byte at byte 1",
    ),
    "header not JSON": (lambda data: framed("{'a': 1}"), "header must be JSON: .* at character 1"),
    "header after a byte order mark": (lambda data: framed("\ufeff{}"), "header must be JSON"),
    "header an array": (lambda data: framed("[]"), r"header must be an object, got \[\]"),
    "header with more behind": (lambda data: framed("{} {}"), "header must be JSON: Extra data"),
    "weights cut": (lambda data: data[:-1], r"tensors must be of \d+ bytes together, .* got \d+"),
    "weights longer": (lambda data: data + b"\0", r"tensors must be of \d+ bytes together"),
    "deep": (lambda data: framed("[" * 5_000 + "]" * 5_000), "nested at most 16 deep, got 5000"),
    "deep objects": (
        lambda data: framed('{"a":' * 17 + "1" + "}" * 17),
        "nested at most 16 deep, got 17",
    ),
    "deep behind strings": (
        lambda data: framed('["]]\\"]\\\\",' * 17 + "1" + "]" * 17),
        "16 deep, got 17",
    ),
    "many objects": (
        lambda data: framed("[" + "{}," * 400_001 + "1]"),
        "at most 400000 objects and arrays",
    ),
    "a pickle": (lambda data: pickle.dumps(Bomb()), "must be"),
    "text": (lambda data: b"Dear reader, this is no VALP.", "header's length"),
}


@pytest.mark.parametrize(("edit", "message"), BYTES.values(), ids=BYTES)
def test_malformed_bytes(path, monkeypatch, edit, message):
    monkeypatch.chdir(path.parent)
    refused(path, edit(contents(zoo.smallest(), path)), message)
    assert not Path("exploded").exists()


def test_a_file_of_torch_save_is_refused(path):
    torch.save(zoo.smallest(), path)
    refused(path, path.read_bytes(), "header's length")


def test_a_file_of_safetensors_that_holds_no_valp_is_refused(path):
    safetensors.torch.save_file({"weight": torch.zeros(2)}, path)
    refused(path, path.read_bytes(), f"'{KEY}': is this a saved VALP")


def entry(header, **changes):
    header["n0.0.bias"] |= changes


HEADERS = {
    "no metadata": (
        lambda h: h.update({"__metadata__": {}}),
        f"text '{KEY}': is this a saved VALP",
    ),
    "metadata no object": (lambda h: h.update({"__metadata__": "x"}), "is this a saved VALP"),
    "metadata of others": (
        lambda h: h.update({"__metadata__": {KEY: "{}", "format": "pt"}}),
        "is this a saved VALP",
    ),
    "metadata no text": (lambda h: h.update({"__metadata__": {KEY: {}}}), "is this a saved VALP"),
    "entry no object": (
        lambda h: h.update({"n0.0.bias": 3}),
        r"tensor n0\.0\.bias: must be an object, got 3",
    ),
    "entry without dtype": (
        lambda h: h["n0.0.bias"].pop("dtype"),
        r"exactly \['dtype', .* unknown, got \['dtype'\]",
    ),
    "entry with more": (lambda h: entry(h, code="x"), r"missing or unknown, got \['code'\]"),
    "dtype F64": (
        lambda h: entry(h, dtype="F64"),
        r"n0\.0\.bias: dtype must be one of \['F32'\], got 'F64'",
    ),
    "dtype I32": (lambda h: entry(h, dtype="I32"), "dtype must be one of"),
    "dtype no text": (lambda h: entry(h, dtype=None), "dtype must be one of .* got None"),
    "shape a number": (lambda h: entry(h, shape=4), "shape must be an array, got 4"),
    "shape empty": (lambda h: entry(h, shape=[]), "shape must be of 1 to"),
    "shape with zero": (lambda h: entry(h, shape=[0]), r"shape\[0\] must be a whole number from 1"),
    "shape negative": (lambda h: entry(h, shape=[-2, -2]), r"shape\[0\] must be a whole number"),
    "shape huge": (
        lambda h: entry(h, shape=[2**31]),
        r"shape\[0\] must be a whole number from 1 to 2147483647",
    ),
    "shape of large product": (
        lambda h: entry(h, shape=[2**31 - 1] * 8),
        r"bias: data_offsets must be \[16, \d{60,}",
    ),
    "shape of a million": (
        lambda h: entry(h, shape=[2**31 - 1] * 10**6),
        "shape must be of 1 to 8 elements, got 10000",
    ),
    "shape a fraction": (lambda h: entry(h, shape=[4.0]), r"shape\[0\] must be a whole number"),
    "shape a truth": (
        lambda h: entry(h, shape=[True]),
        r"shape\[0\] must be a whole number .* got True",
    ),
    "shape of other rank": (
        lambda h: entry(h, shape=[2, 2]),
        r"n0\.0\.bias: expected shape \(4,\), got \(2, 2\)",
    ),
    "offsets of a hole": (
        lambda h: entry(h, data_offsets=[4, 20]),
        r"data_offsets must be \[16, 32\] for its shape",
    ),
    "offsets of an overlap": (
        lambda h: entry(h, data_offsets=[0, 16]),
        "data_offsets must be .* for its",
    ),
    "offsets of a short tensor": (
        lambda h: entry(h, data_offsets=[16, 28]),
        r"must be \[16, 32\] for its shape",
    ),
    "offsets reversed": (
        lambda h: entry(h, data_offsets=[16, 0]),
        "must be a range, its lower end first",
    ),
    "offsets negative": (
        lambda h: entry(h, data_offsets=[-4, 12]),
        r"data_offsets\[0\] must be a whole number from 0",
    ),
    "offsets beyond the file": (
        lambda h: entry(h, data_offsets=[2**29, 2**29 + 16]),
        "for its shape",
    ),
    "offsets beyond any file": (
        lambda h: entry(h, data_offsets=[0, 2**40]),
        r"data_offsets\[1\] must be a whole",
    ),
    "one offset": (lambda h: entry(h, data_offsets=[0]), "data_offsets must be an array of two"),
    "three offsets": (
        lambda h: entry(h, data_offsets=[0, 16, 16]),
        "data_offsets must be an array of two",
    ),
    "missing tensor": (lambda h: h.pop("y.bias"), "tensors must be of|data_offsets"),
    "other name": (
        lambda h: h.update({"n0.1.bias": h.pop("n0.0.bias")}),
        r"missing: \['n0\.0\.bias', 'n0\.1\.bias'\]",
    ),
    "transposed": (
        lambda h: h["n0->y"].update(shape=[4, 1]),
        r"n0->y: expected shape \(1, 4\), got \(4, 1\)",
    ),
    "an odd name": (
        lambda h: h.update({"\n\x1b[2J" * 999: h.pop("y.bias")}),
        r"wrong or missing: \['\\n\\x1b\[2J",
    ),
}


@pytest.mark.parametrize(("edit", "message"), HEADERS.values(), ids=HEADERS)
def test_malformed_headers(path, edit, message):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    edit(header)
    refused(path, assembled(header, structure, body), message)


def test_an_extra_tensor_is_refused(path):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    header["payload"] = {"dtype": "F32", "shape": [1], "data_offsets": [len(body), len(body) + 4]}
    refused(path, assembled(header, structure, body + bytes(4)), r"wrong or missing: \['payload'\]")


@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_a_weight_that_is_not_finite_is_refused(path, value):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    start = header["n0->y"]["data_offsets"][0]
    body = body[:start] + struct.pack("<f", float(value)) + body[start + 4 :]
    refused(path, assembled(header, structure, body), f"tensor n0->y must be finite, got {value}")


def test_doubled_names_of_tensors_are_refused(path):
    data = contents(zoo.smallest(), path)
    header, structure, body = taken_apart(data)
    text = assembled(header, structure, b"")[8:].decode()
    doubled = text[:-1] + ', "y.bias": ' + json.dumps(header["y.bias"]) + "}"
    refused(
        path,
        framed(doubled, body),
        "the header: keys must be different from each other, got 'y.bias'",
    )


TEXTS = {
    "nothing": (lambda text: "", "structure must be JSON: Expecting value at character 0"),
    "cut": (lambda text: text[:-1], "structure must be JSON: .* at character"),
    "an array": (lambda text: "[]", r"structure must be an object, got \[\]"),
    "a doubled key": (
        lambda text: text.replace('"id":', '"id": 1, "id":'),
        "structure: keys must be .* got 'id'",
    ),
    "a doubled component": (
        lambda text: text.replace('"components": {', '"components": {"n0": 1, '),
        "structure: keys must be different from each other, got 'n0'",
    ),
    "NaN": (lambda text: text.replace("0.001", "NaN"), "numbers must be finite .* got 'NaN'"),
    "Infinity": (
        lambda text: text.replace("0.001", "-Infinity"),
        "numbers must be finite .* got '-Infinity'",
    ),
    "1e999": (lambda text: text.replace("0.001", "1e999"), "numbers must be finite .* got '1e999'"),
    "an endless number": (
        lambda text: text.replace("0.001", "9" * 100_000),
        "at most 40 characters",
    ),
    "an endless fraction": (
        lambda text: text.replace("0.001", "0." + "9" * 100_000),
        "at most 40 characters",
    ),
    "deep": (
        lambda text: text.replace("0.001", "[" * 999 + "]" * 999),
        "structure must be nested at most 16 deep",
    ),
    "a control character": (lambda text: text.replace("adam", "ad\nam"), "structure must be JSON"),
    "half a surrogate": (
        lambda text: text.replace("adam", "\\ud800"),
        r"name must be one of .* got '\\ud800'",
    ),
}


@pytest.mark.parametrize(("edit", "message"), TEXTS.values(), ids=TEXTS)
def test_malformed_texts(path, edit, message):
    header, structure, body = taken_apart(contents(zoo.smallest(), path))
    refused(path, assembled(header, edit(json.dumps(structure)), body), message)


def renamed(structure, old, new):
    """The name of a component, wherever it stands."""
    text = json.dumps(structure)
    structure.clear()
    structure.update(
        json.loads(text.replace(f'"{old}"', f'"{new}"').replace(f'"{old}->', f'"{new}->'))
    )


def network(structure, name, **changes):
    structure["components"][name] |= changes


def port(structure, **changes):
    structure["components"]["left"] |= changes


LAYER = {"width": 6, "activation": "relu"}
STRUCTURES = {
    "of version 2": (
        lambda s: s.update(version=2),
        r"version must be one of \[1\], which .* reads, got 2",
    ),
    "of version 1.0": (lambda s: s.update(version=1.0), "version must be a whole number"),
    "of version true": (lambda s: s.update(version=True), "version must be one of"),
    "of version '1'": (lambda s: s.update(version="1"), "version must be one of"),
    "without version": (lambda s: s.pop("version"), "version must be one of .* got None"),
    "without connections": (
        lambda s: s.pop("connections"),
        r"missing or unknown, got \['connections'\]",
    ),
    "with more": (
        lambda s: s.update(fitness=[0.0]),
        r"structure: must be .* unknown, got \['fitness'\]",
    ),
    "components no object": (
        lambda s: s.update(components=[]),
        r"components must be an object, got \[\]",
    ),
    "no components": (
        lambda s: s.update(components={}),
        "components must be of 1 to 2000 elements, got 0",
    ),
    "too many components": (
        lambda s: s["components"].update({f"p{i}": s["components"]["left"] for i in range(2_000)}),
        r"components must be of 1 to 2000 elements, got \d+",
    ),
    "component no object": (
        lambda s: s["components"].update(n0=None),
        "component n0: must be an object, got None",
    ),
    "component without kind": (
        lambda s: s["components"]["n0"].pop("kind"),
        "n0: kind must be one of .* got None",
    ),
    "unknown kind": (
        lambda s: network(s, "n0", kind="lstm"),
        r"n0: kind must be one of \['input', .* got 'lstm'",
    ),
    "kind a list": (
        lambda s: network(s, "n0", kind=[]),
        r"component n0: kind must be one of .* got \[\]",
    ),
    "another kind's fields": (
        lambda s: network(s, "n2", kind="refiner"),
        "unknown, got .'latent', 'share'",
    ),
    "without layers": (
        lambda s: s["components"]["n0"].pop("layers"),
        r"n0: must be .* got \['layers'\]",
    ),
    "no layers": (
        lambda s: network(s, "n0", layers=[]),
        "component n0: layers must be of 1 to .* got 0",
    ),
    "layers no array": (
        lambda s: network(s, "n0", layers={}),
        "component n0: layers must be an array",
    ),
    "layer no object": (
        lambda s: network(s, "n0", layers=[[6, "relu"]]),
        r"n0: layers\[0\] must be an object",
    ),
    "layer with more": (
        lambda s: network(s, "n0", layers=[LAYER | {"bias": 1}]),
        r"layers\[0\] must be .* got \['bias",
    ),
    "unknown activation": (
        lambda s: s["components"]["n3"]["layers"][1].update(activation="sin"),
        r"component n3: layers\[1\]\.activation must be one of \['relu', .*\], got 'sin'",
    ),
    "softmax elsewhere": (
        lambda s: network(s, "n0", layers=[{"width": 6, "activation": "softmax"}]),
        r"component n0: layers\[0\]\.activation must be one of \['relu', .*\] in a generic, got 'softmax'",
    ),
    "softmax inside": (
        lambda s: s["components"]["n1"]["layers"][0].update(activation="softmax"),
        r"n1: layers\[0\]\.activation must be one of \['relu', .*\] in a discrete, got 'softmax'",
    ),
    "no softmax": (
        lambda s: s["components"]["n1"]["layers"][1].update(activation="relu"),
        r"n1: layers\[1\]\.activation must be one of \['softmax'\] in a discrete, got 'relu'",
    ),
    "width 0": (
        lambda s: network(s, "n0", layers=[LAYER | {"width": 0}]),
        r"layers\[0\]\.width must be a whole .* 0",
    ),
    "width negative": (
        lambda s: network(s, "n0", layers=[LAYER | {"width": -6}]),
        "width must be a whole .* got -6",
    ),
    "width a truth": (
        lambda s: network(s, "n0", layers=[LAYER | {"width": True}]),
        "width must be .* got True",
    ),
    "width a fraction": (
        lambda s: network(s, "n0", layers=[LAYER | {"width": 6.0}]),
        "width must be .* got 6.0",
    ),
    "width a text": (
        lambda s: network(s, "n0", layers=[LAYER | {"width": "6"}]),
        "width must be .* got '6'",
    ),
    "width 2**31": (
        lambda s: network(s, "n0", layers=[LAYER | {"width": 2**31}]),
        "width must be a whole number",
    ),
    "width of more weights than there are": (
        lambda s: network(s, "n0", layers=[LAYER | {"width": 2**31 - 1}]),
        r"expected shape \(2147483647",
    ),
    "layers of more weights than there are": (
        lambda s: network(s, "n0", layers=[LAYER] * 100_000),
        "one tensor for each of its connections and layers",
    ),
    "id negative": (
        lambda s: network(s, "n0", id=-1),
        "component n0: id must be a whole number from 0",
    ),
    "id of 64 bits": (
        lambda s: network(s, "n0", id=2**63),
        "component n0: id must be a whole number",
    ),
    "latent null": (
        lambda s: network(s, "n2", latent=None),
        "component n2: latent must be an object, got None",
    ),
    "latent without id": (
        lambda s: s["components"]["n2"]["latent"].pop("id"),
        r"n2: latent must be .* got \['id'\]",
    ),
    "latent of dimension 0": (
        lambda s: s["components"]["n2"]["latent"].update(dim=0),
        r"n2: latent\.dim must be",
    ),
    "share 0": (
        lambda s: network(s, "n2", share=0),
        "component n2: share must be a number from .* to 1.0, got 0",
    ),
    "share 2": (lambda s: network(s, "n2", share=2.0), "component n2: share must be a number"),
    "shift of other length": (
        lambda s: port(s, shift=[0.0] * 3),
        "left: shift must be of length 1 or 5, .* got 3",
    ),
    "scale of other length": (
        lambda s: port(s, scale=[1.0] * 6),
        "left: scale must be of length 1 or 5, .* got 6",
    ),
    "shift empty": (lambda s: port(s, shift=[]), "component left: shift must be of 1"),
    "shift a number": (lambda s: port(s, shift=0.0), "component left: shift must be an array"),
    "shift of text": (
        lambda s: port(s, shift=["0"]),
        r"component left: shift\[0\] must be a number",
    ),
    "scale past float32": (
        lambda s: port(s, scale=[1e39]),
        r"component left: scale\[0\] must be a number",
    ),
    "port no identifier": (
        lambda s: renamed(s, "left", "../left"),
        r"component '\.\./left': must be named by an ident",
    ),
    "port without name": (
        lambda s: renamed(s, "left", ""),
        "component '': must be named by an identifier",
    ),
    "port like a sub-network": (
        lambda s: renamed(s, "left", "n77"),
        r"other than n<digits>, as it is a port",
    ),
    "sub-network like a port": (
        lambda s: renamed(s, "n0", "first"),
        "component first: must be named n<digits>",
    ),
    "sub-network of other digits": (
        lambda s: renamed(s, "n0", "n\u0663"),
        "must be named n<digits>",
    ),
    "sub-network of many digits": (
        lambda s: renamed(s, "n0", "n" + "1" * 5000),
        "must be named n<digits>",
    ),
    "connections no array": (lambda s: s.update(connections={}), "connections must be an array"),
    "connection no text": (
        lambda s: s["connections"].append(["n0", "n1"]),
        r"connections\[\d+\] must be a text",
    ),
    "connection from nowhere": (
        lambda s: s["connections"].append("n99->n1"),
        r"connections\[\d+\] must be .* 'n99->n1",
    ),
    "connection to nowhere": (
        lambda s: s["connections"].append("n1->n99"),
        r"connections\[\d+\] must be .*n1->n99",
    ),
    "connection to nothing": (
        lambda s: s["connections"].append("n1"),
        r"connections\[\d+\] must be provider->receiver",
    ),
    "connection of three": (
        lambda s: s["connections"].append("n0->n1->n2"),
        r"connections\[\d+\] must be provider",
    ),
    "connection twice": (
        lambda s: s["connections"].append("n0->n2"),
        "each pair once, got 'n0->n2'",
    ),
    "too many connections": (
        lambda s: s.update(connections=["n0->n2"] * 20_001),
        "connections must be of 1 to 20000 elements",
    ),
    "connection to itself": (
        lambda s: s["connections"].append("n0->n0"),
        "no recurrence, got the cycle n0",
    ),
    "cycle": (
        lambda s: s["connections"].append("n5->n0"),
        "a VALP has no recurrence, got the cycle",
    ),
    "input to output": (
        lambda s: s["connections"].append("left->label"),
        r"left->label: label \(classification\) does",
    ),
    "output as provider": (
        lambda s: s["connections"].append("label->n0"),
        "n0 .generic. does not take what label",
    ),
    "values to a refiner": (
        lambda s: s["connections"].append("n0->n4"),
        r"n0->n4: n4 \(refiner\) does not take",
    ),
    "no provider": (
        lambda s: s.update(connections=[c for c in s["connections"] if not c.endswith("->value")]),
        r"value \(regression\) has no provider",
    ),
    "no consumer": (
        lambda s: s.update(
            connections=[c for c in s["connections"] if not c.startswith("right->")]
        ),
        r"right \(input\) has no consumer",
    ),
    "connection left out": (
        lambda s: s["connections"].remove("n1->n2"),
        r"wrong or missing: \['n1->n2'\]",
    ),
    "optimizer left out": (lambda s: s["optimizers"].pop("label"), "an optimizer for each output"),
    "optimizer of no output": (
        lambda s: s["optimizers"].update(n0=s["optimizers"]["label"]),
        "an optimizer for each output",
    ),
    "optimizer unknown": (
        lambda s: s["optimizers"]["label"].update(name="lion"),
        "label: name must be one of .'adam'",
    ),
    "optimizer a text": (
        lambda s: s["optimizers"].update(label="adam"),
        "optimizer label: must be an object",
    ),
    "learning rate negative": (
        lambda s: s["optimizers"]["label"].update(learning_rate=-1),
        "rate must be a number",
    ),
    "batch size 0": (lambda s: s.update(batch_size=0), "batch_size must be a whole number from 1"),
    "batch size null": (
        lambda s: s.update(batch_size=None),
        "batch_size must be a whole number .* got None",
    ),
    "limits null": (lambda s: s.update(limits=None), "limits must be an object, got None"),
    "limits without width": (
        lambda s: s["limits"].pop("width"),
        r"limits must be .* got \['width'\]",
    ),
    "limit of width 0": (
        lambda s: s["limits"].update(width=0),
        r"limits\.width must be a whole number from 1",
    ),
    "range reversed": (
        lambda s: s["limits"].update(batch_size=[9, 8]),
        r"limits\.batch_size must be a range",
    ),
    "range of one": (
        lambda s: s["layout"].update(layers=[1]),
        r"layout\.layers must be an array of two",
    ),
    "layout of unknown activation": (
        lambda s: s["layout"].update(activations=["sin"]),
        r"layout\.activations\[0\] must",
    ),
    "layout with softmax": (
        lambda s: s["layout"].update(activations=["softmax"]),
        r"layout\.activations\[0\] must",
    ),
    "layout without activations": (
        lambda s: s["layout"].update(activations=[]),
        r"layout\.activations must be of 1 to",
    ),
    "trained 1": (lambda s: s.update(trained=1), "trained must be true or false, got 1"),
}


@pytest.mark.parametrize(("edit", "message"), STRUCTURES.values(), ids=STRUCTURES)
def test_malformed_structures(path, edit, message):
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    edit(structure)
    refused(path, assembled(header, structure, body), message)


def test_every_field_is_needed(path):
    """A missing key anywhere is refused; so a field of a new kind is checked the day it is there."""
    header, structure, body = taken_apart(contents(zoo.fan_in(), path))
    for place in list(places_in(structure)):
        edited = copy.deepcopy(structure)
        holder, key = resolved(edited, place)
        if isinstance(holder, dict):
            del holder[key]
            refused(path, assembled(header, edited, body), ".")


def test_a_sub_network_named_like_no_other_is_found(path):
    """The network of every kind, saved under its kind."""
    for kind in valp.networks.KINDS:
        assert any(kind == c["kind"] for c in VERSION_1["components"].values()), (
            f"{kind} is not in VERSION_1"
        )


# ---- cost ----------------------------------------------------------------------------------------


def cost(path):
    """Seconds and the peak of Python's and numpy's memory of a load that is refused."""
    tracemalloc.start()
    start = time.perf_counter()
    try:
        with pytest.raises(FileFormatError):
            load(path, valp.VALP)
        return time.perf_counter() - start, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


MEGABYTE = 2**20
EXPENSIVE = {
    "arrays": b"[" + b"[]," * MEGABYTE + b"1]",
    "objects": b"[" + b'{"":0},' * MEGABYTE + b"1]",
    "depth": b"[" * MEGABYTE,
    "depth among strings": b'["a",' * MEGABYTE,
    "numbers": b'{"a":[' + b"0," * MEGABYTE + b"1]}",
    "digits": b"9" * MEGABYTE,
    "quotes": b'"' * MEGABYTE,
    "escapes": b'{"a":"' + b'\\"' * MEGABYTE + b'"}',
    "a name": b'{"' + b"a" * MEGABYTE + b'":1}',
}


@pytest.mark.parametrize("header", EXPENSIVE.values(), ids=EXPENSIVE)
def test_what_looks_expensive_is_refused_cheaply(path, header):
    path.write_bytes(framed(header))
    seconds, peak = cost(path)
    assert peak < 12 * len(header) + MEGABYTE
    assert seconds < 20  # one second or two, on a machine that does nothing else


def test_a_large_file_of_noise_costs_nothing(path):
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", 2**20))
        stream.truncate(files.LARGEST_FILE)  # sparse
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


# ---- fuzzing -------------------------------------------------------------------------------------

ODD_VALUES = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        3,
        5,
        255,
        2**31 - 1,
        2**31,
        2**63 - 1,
        2**63,
        -(2**63),
        10**30,
        10**50,
        10**400,
    ),
    *(0.0, -0.0, 0.5, 1e-320, 1e38, 1e39, 1e308, -1e308, float("nan"), float("inf"), float("-inf")),
    *(
        "",
        "n0",
        "n1",
        "left",
        "label",
        "x",
        "y",
        "n0->n1",
        "n1->n0",
        "relu",
        "softmax",
        "input",
        "generic",
        "decoder",
    ),
    *(
        "classification",
        "adam",
        "F32",
        "F16",
        "é",
        "\x00",
        "\ud800",
        "__metadata__",
        "a" * 10_000,
        "__class__",
    ),
    *(
        [],
        {},
        [0],
        [[]],
        [1, 2],
        [2, 1],
        [0.0] * 5,
        {"": ""},
        [[[[[[]]]]]],
        ["relu"],
        {"kind": "input"},
    ),
)


def places_in(value, before=()):
    """Paths to everything inside a JSON value."""
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, inside in items:
        yield (*before, key)
        yield from places_in(inside, (*before, key))


def resolved(value, place):
    """What holds the place, and under which key."""
    for key in place[:-1]:
        value = value[key]
    return value, place[-1]


def put(holder, key, value, rng):
    holder[key] = rng.choice(ODD_VALUES)


def leave_out(holder, key, value, rng):
    del holder[key]


def add(holder, key, value, rng):
    if isinstance(holder, list):
        holder.insert(
            rng.randrange(len(holder) + 1), copy.deepcopy(rng.choice([value, *ODD_VALUES]))
        )
    else:
        holder[rng.choice(["n7", "x", "extra", str(key) + "_", *map(str, holder)])] = copy.deepcopy(
            value
        )


def rename(holder, key, value, rng):
    if isinstance(holder, dict):
        name = rng.choice([name for name in ODD_VALUES if isinstance(name, str)])
        items = [(name if k == key else k, v) for k, v in holder.items()]
        holder.clear()
        holder.update(items)


def swap(holder, key, value, rng):
    other = rng.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
    holder[key], holder[other] = holder[other], value


def nudge(holder, key, value, rng):
    if isinstance(value, int | float):
        holder[key] = rng.choice(
            [value + 1, value - 1, -value, value * 2, value / 2, value * 10**9]
        )
    elif isinstance(value, str) and "->" in value:
        holder[key] = rng.choice(
            ["->".join(reversed(value.split("->"))), f"{value.split('->')[0]}->n0", value + "0"]
        )


EDITS = (put, put, leave_out, add, rename, swap, nudge, nudge)


def edit_json(value, rng):
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        holder, key = resolved(value, rng.choice(list(places_in(value)) or [()]) or (None,))
        rng.choice(EDITS)(holder, key, holder[key], rng)


def width_of(component):
    return component["layers"][-1]["width"] if "layers" in component else component["width"]


def rows_of(component):
    latent = component.get("latent")
    return 2 * latent["dim"] if latent else component.get("layers", [component])[0]["width"]


def rewired(header, structure, rng):
    """Connections added and removed with their tensors, so that the graph alone is wrong, if anything is."""
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


def edit_bytes(data, rng):
    """Damage at random, mostly to the header: other weights than those that were saved are no damage."""
    length = struct.unpack("<Q", data[:8])[0]
    head, body = bytearray(data[8 : 8 + length]), bytearray(data[8 + length :])
    for _ in range(rng.choice([1, 1, 2, 8])):
        part = head if head and rng.random() < 0.8 else body
        at, count = rng.randrange(len(part) + 1), rng.choice([1, 1, 2, 4, 9, 64])
        some = (
            rng.randbytes(count) if rng.random() < 0.2 else bytes(rng.choices(PRINTABLE, k=count))
        )
        kind = rng.choice(
            ["flip", "flip", "insert", "delete", "overwrite", "overwrite", "repeat", "cut"]
        )
        if kind == "flip" and at < len(part):
            part[at] ^= 1 << rng.randrange(8)
        elif kind == "cut" and rng.random() < 0.3:
            del part[at:]
        else:
            given = {
                "insert": some,
                "overwrite": some,
                "repeat": bytes(part[at : at + count]) * 2,
            }.get(kind, b"")
            part[at : at if kind == "insert" else at + count] = given
    lengths = [0, 1, length - 1, length + 1, len(head) + len(body), 2**40, 2**64 - 1]
    said = (
        rng.choice(lengths) if rng.random() < 0.15 else len(head) if rng.random() < 0.9 else length
    )
    return struct.pack("<Q", max(0, said)) + bytes(head) + bytes(body)


def mutated(data, rng):
    """A valid file with some random damage: to its bytes, its header, its structure or its graph."""
    where = rng.choice(
        ["bytes", "bytes", "header", "structure", "structure", "structure", "graph", "all"]
    )
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


def outcome(path, data):
    """Load and, where that succeeds, hold the result to every rule; the class of what was raised, else None."""
    path.write_bytes(data)
    tracemalloc.reset_peak()
    start = time.perf_counter()
    try:
        loaded = load(path, valp.VALP)
    except ValpError as error:
        assert len(str(error)) < 1_500
        return type(error)
    finally:
        assert time.perf_counter() - start < 10
        assert tracemalloc.get_traced_memory()[1] < 64 * MEGABYTE
    hold_to_the_rules(loaded, path)
    return None


def hold_to_the_rules(loaded, path):
    zoo.assert_valid(loaded, SimpleNamespace(inputs=loaded.inputs, outputs=loaded.outputs))
    valp.check(loaded)
    model = valp.decode(loaded)
    with torch.no_grad():
        predictions = model(
            {name: torch.zeros(2, loaded.component(name).width) for name in loaded.inputs},
            mode="train",
        )
    assert {n: tuple(p.shape) for n, p in predictions.items()} == {
        n: (2, loaded.component(n).width) for n in loaded.outputs
    }
    assert saved_and_loaded(loaded, path) == loaded


def fuzz(path, seed, count):
    rng = random.Random(seed)
    sources = [contents(zoo.member(name), path) for name in zoo.NAMES]
    tracemalloc.start()
    try:
        return [outcome(path, mutated(rng.choice(sources), rng)) for _ in range(count)]
    finally:
        tracemalloc.stop()


def check_fuzzing(path, seed, count):
    outcomes = fuzz(path, seed, count)
    assert set(outcomes) <= {FileFormatError, None}
    assert (
        count / 2 < outcomes.count(FileFormatError) < count
    )  # damage is found, and the rest was held to the rules


@pytest.mark.parametrize("seed", range(10))
def test_damaged_files_are_refused_or_valid(path, seed):
    check_fuzzing(path, seed, 100)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1_000, 1_020))
def test_many_damaged_files_are_refused_or_valid(path, seed):
    check_fuzzing(path, seed, 500)
