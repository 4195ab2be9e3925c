"""Data in files that need not fit into memory: the same bits as from arrays in memory."""

from __future__ import annotations

import gc
import os
import pickle
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
import torch
import zoo
from small_data import rng

import deap_valp as valp
from deap_valp.problem import problem as problem_module
from deap_valp.problem.data import storage
from deap_valp.problem.data.splits import SPLITS

SIZE = 9000  # more than are read together


def holed(data):
    return np.where(rng(2).random(data.shape) < 0.1, np.nan, data)


ARRAYS = {
    "table": rng().normal(3, 2, (SIZE, 5)),
    "holed": holed(rng(1).normal(50, 2, (SIZE, 4))),
    "column": rng(2).normal(size=SIZE).astype(np.float32),
    "series": holed(rng(3).normal(500, 9, (SIZE, 4, 2))),
    "bytes": rng(4).integers(0, 256, (SIZE, 4, 4), dtype=np.uint8),
    "pixels": rng(5).random((SIZE, 4, 4)).astype(np.float32),
}
KINDS = {
    "table": valp.Table,
    "holed": valp.Table,
    "column": valp.Table,
    "series": valp.Series,
    "bytes": valp.Image,
    "pixels": valp.Image,
}
each_splits = pytest.mark.parametrize(
    "splits",
    [
        (0.8, 0.1, 0.1),
        {"train": slice(7000), "validation": slice(7000, 8000), "test": slice(8000, None)},
    ],
    ids=["fractions", "slices"],
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("arrays")
    for name, array in ARRAYS.items():
        np.save(path / f"{name}.npy", array)
    np.save(path / "label.npy", np.arange(SIZE) % 3)
    return path


def problem_of(arrays, splits=(0.8, 0.1, 0.1), names=tuple(KINDS)):
    inputs = {name: KINDS[name](arrays[name]) for name in names}
    outputs = {
        "label": valp.Classification(np.arange(SIZE) % 3),
        "value": valp.Regression(arrays["table"]),
        "image": valp.Generation(valp.Image(arrays["pixels"])),
    }
    return valp.Problem(inputs, outputs, splits=splits)


def is_mapped(tensor):
    """Whether a tensor's memory is that of a file."""
    address = tensor.data_ptr()
    with open("/proc/self/maps") as stream:
        for line in stream:
            span, _, _, _, inode, *_ = line.split()
            first, last = (int(end, 16) for end in span.split("-"))
            if first <= address < last:
                return inode != "0"
    return False


@each_splits
def test_features_and_targets_are_those_of_arrays_in_memory(folder, splits):
    ours, theirs = problem_of(valp.open_arrays(folder), splits), problem_of(ARRAYS, splits)
    assert ours.inputs == theirs.inputs and str(ours) == str(theirs)
    for split in SPLITS:
        one, other = ours.split(split), theirs.split(split)
        for name in KINDS:
            assert torch.equal(one.inputs[name], other.inputs[name]), name
        for name in ours.outputs:
            assert torch.equal(one.targets[name], other.targets[name]), name
    assert {name: kind.baseline for name, kind in ours.outputs.items()} == {
        name: kind.baseline for name, kind in theirs.outputs.items()
    }


@pytest.mark.skipif(not os.path.exists("/proc/self/maps"), reason="needs Linux")
@each_splits
def test_tensors_are_mappings_of_files(folder, splits):
    data = problem_of(valp.open_arrays(folder), splits).split("train")
    for name, features in data.inputs.items():
        assert is_mapped(features), name
    assert is_mapped(data.targets["value"]) and is_mapped(data.targets["image"])
    assert data.targets["value"] is data.inputs["table"]
    in_memory = problem_of(ARRAYS, splits).split("train").inputs["table"]
    assert not is_mapped(in_memory)


def test_training_gives_the_same_bits(folder):
    names = ("table", "series")
    results = []
    for arrays in (valp.open_arrays(folder), ARRAYS):
        problem = valp.Problem(
            {name: KINDS[name](arrays[name]) for name in names},
            {
                "label": valp.Classification(ARRAYS["column"] > 0),
                "same": valp.Regression(arrays["table"]),
            },
        )
        individual = zoo.build(
            problem, {"n0": zoo.generic(5)}, "table->n0 series->n0 n0->label n0->same"
        )
        individual.seed = 7
        evaluation = valp.evaluate(individual, problem, first_batches=30, device="cpu")
        results.append((tuple(evaluation), evaluation.weights))
    (ours, our_weights), (theirs, their_weights) = results
    assert ours == theirs
    assert all(torch.equal(our_weights[key], their_weights[key]) for key in our_weights)


def test_a_problem_that_travels_shares_its_files(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "_FEATURES", {})
    monkeypatch.setattr(storage.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(problem_module, "_OPENED", {})
    problem = problem_of(valp.open_arrays(folder), names=("table",))
    expected = problem.split("test").inputs["table"].clone()
    reference = pickle.dumps(problem)
    features = {path.stat().st_ino for path in tmp_path.glob("deap_valp-features-*/*.npy")}
    stored = {path.stat().st_ino for path in tmp_path.glob("deap_valp-problem-*/*.npy")}
    # Of the table and the image, a file for each split; that of the equal target is gone.
    assert len(features) == 6 and features <= stored
    problem_module._OPENED.clear()  # as in another process
    opened = pickle.loads(reference)
    assert opened is not problem and torch.equal(opened.split("test").inputs["table"], expected)
    del problem
    gc.collect()
    assert not list(tmp_path.glob("deap_valp-features-*/*.npy"))
    assert opened.split("train").inputs["table"].isfinite().all()


def test_nothing_large_is_allocated(tmp_path):
    """40 MB in a file become features in a file, and a few batches are read: see the peak."""
    np.save(tmp_path / "x.npy", rng().random((100_000, 100), dtype=np.float32) + 3)
    label = valp.Classification(np.arange(100_000) % 2)
    mapped = valp.open_arrays(tmp_path)["x"]
    peaks = []
    for x in (mapped, np.array(mapped)):
        tracemalloc.start()
        problem = valp.Problem({"x": valp.Table(x)}, {"y": label})
        next(iter(problem.split("train").inputs["x"].split(1000))).sum()
        peaks.append(tracemalloc.get_traced_memory()[1] / 2**20)
        tracemalloc.stop()
    assert peaks[0] < 32 < peaks[1], peaks


LIMITED = """
import resource, sys
import numpy as np
import deap_valp as valp
from deap import creator

arrays = valp.open_arrays(sys.argv[1])
if sys.argv[2] == "memory":
    load = np.array
else:
    load = lambda array: array
with open("/proc/self/status") as stream:
    used = next(int(line.split()[1]) for line in stream if line.startswith("VmData")) * 1024
resource.setrlimit(resource.RLIMIT_DATA, (used + 200 * 2**20, -1))  # what is no file's
problem = valp.Problem(
    {"x": valp.Table(load(arrays["x"]))}, {"y": valp.Classification(arrays["y"])}
)
creator.create("Fit", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.Fit)
individual = valp.initVALP(creator.Individual, problem)
evaluation = valp.evaluate(individual, problem, batches=50, first_batches=50, device="cpu")
print("error", evaluation[0], evaluation.status)
"""


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
@pytest.mark.parametrize("where", ["files", "memory"])
def test_more_data_than_a_process_may_allocate(tmp_path, where):
    """400 MB for a process that may take 200 MB more than it has: in files it trains."""
    y = np.arange(100_000) % 2
    x = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", np.float32, (100_000, 1000))
    for start in range(0, 100_000, 10_000):
        rows = slice(start, start + 10_000)
        x[rows] = rng(start).random((10_000, 1000), dtype=np.float32) + y[rows, None] * 0.05
    x.flush()
    np.save(tmp_path / "y.npy", y)
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, tmp_path, where],
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
        env={**os.environ, "TMPDIR": str(tmp_path), "OMP_NUM_THREADS": "1"},
    )
    if where == "memory":
        assert done.returncode != 0 and "MemoryError" in done.stderr, done.stderr
    else:
        assert done.returncode == 0 and "error 0.0" in done.stdout, done.stdout + done.stderr
        assert not list(tmp_path.glob("deap_valp-features-*"))  # removed in the end


# ---- folders -------------------------------------------------------------------------------------


class Dataset(torch.utils.data.Dataset):
    def __len__(self):
        return 50

    def __getitem__(self, index):
        return {
            "scan": torch.full((2, 3), index, dtype=torch.uint8),
            "size": float(index),
            "label": index % 3,
        }


def test_a_data_set_of_dictionaries_becomes_a_folder(tmp_path):
    arrays = valp.write_arrays(Dataset(), tmp_path / "new")
    assert set(arrays) == {"scan", "size", "label"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "scan.npy",
        "size.npy",
        "label.npy",
    }
    assert arrays["scan"].shape == (50, 2, 3) and arrays["scan"].dtype == np.uint8
    assert arrays["size"].tolist() == list(range(50)) and arrays["label"][4] == 1
    assert all(isinstance(array, np.memmap) for array in arrays.values())
    problem = valp.Problem(
        {"scan": valp.Image(arrays["scan"])}, {"label": valp.Classification(arrays["label"])}
    )
    assert problem.split("train").size == 35


class Uneven(Dataset):
    def __getitem__(self, index):
        found = super().__getitem__(index)
        if index == 7:
            found["scan"] = found["scan"][:1]
        return found


class Lacking(Dataset):
    def __getitem__(self, index):
        found = super().__getitem__(index)
        if index == 9:
            del found["size"]
        return found


@pytest.mark.parametrize(
    "dataset, message",
    [
        (Uneven(), r"'scan' of shape \(2, 3\) in every example, got \(1, 3\) at 7"),
        (Lacking(), r"examples of \['scan', 'size', 'label'\], got \['scan', 'label'\] at 9"),
    ],
    ids=["shapes", "keys"],
)
def test_examples_that_differ_are_refused(tmp_path, dataset, message):
    with pytest.raises(valp.ProblemError, match=message):
        valp.write_arrays(dataset, tmp_path)


def test_a_folder_without_arrays_is_refused(tmp_path):
    with pytest.raises(valp.DataFileError, match=r"folder of \.npy files"):
        valp.open_arrays(tmp_path)
    (tmp_path / "x.npy").write_bytes(b"no array")
    with pytest.raises(valp.DataFileError, match=r"got .*x\.npy"):
        valp.open_arrays(tmp_path)


def test_files_of_features_are_in_the_temporary_directory(folder, monkeypatch, tmp_path):
    monkeypatch.setattr(storage, "_FEATURES", {})
    monkeypatch.setattr(storage.tempfile, "tempdir", str(tmp_path))
    problem = problem_of(valp.open_arrays(folder), names=("table",))
    (made,) = tmp_path.iterdir()
    assert len(list(made.glob("*.npy"))) >= 3 and problem.split("train").size == 7200


def test_a_data_set_that_fails_leaves_the_files_as_they_were(tmp_path):
    valp.write_arrays([{"x": index} for index in range(3)], tmp_path)
    with pytest.raises(valp.ProblemError, match="at 1"):
        valp.write_arrays([{"x": 7}, {"y": 8}], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["x.npy"]
    assert valp.open_arrays(tmp_path)["x"].tolist() == [0, 1, 2]
