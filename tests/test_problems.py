"""The built-in problems, and the files that they come from."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import shutil
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deap_valp import problems
from deap_valp.errors import DataFileError, ProblemError
from deap_valp.problem import Problem
from deap_valp.problem import problem as problem_module

DATA = os.environ.get("DEAP_VALP_DATA")
full_data = pytest.mark.skipif(
    not DATA, reason="needs the folder of IDX files that DEAP_VALP_DATA names"
)

SIZES = {
    "digits": (1258, 270, 269),
    "mnist": (50_000, 10_000, 10_000),
    "fashion_mnist": (50_000, 10_000, 10_000),
}
each_name = pytest.mark.parametrize(
    "name",
    [
        "digits",
        pytest.param("mnist", marks=full_data),
        pytest.param("fashion_mnist", marks=full_data),
    ],
)


@pytest.fixture(scope="module")
def decoded(tmp_path_factory):
    """A cache folder for the whole module, so that the big files are decoded once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def built_in(decoded, monkeypatch):
    monkeypatch.setenv("DEAP_VALP_CACHE", str(decoded))
    return problems.by_name


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, no files, nothing opened yet, and an empty cache folder (given)."""

    def refuse(*_, **__):
        raise urllib.error.URLError("no network in tests")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)
    monkeypatch.setattr(problems, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(problem_module, "_OPENED", {})
    monkeypatch.delenv("DEAP_VALP_DATA", raising=False)
    monkeypatch.setenv("DEAP_VALP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- What each problem is


def test_every_built_in_problem_has_a_case_here():
    assert set(problems.names()) == set(SIZES)


@each_name
def test_three_objectives_on_images(built_in, name):
    problem = built_in(name)
    assert problem.objectives == ("label", "histogram", "sample")
    assert (
        tuple(problem.split(split).size for split in ("train", "validation", "test")) == SIZES[name]
    )
    pixels = 64 if name == "digits" else 784
    assert problem.inputs["image"].width == problem.outputs["sample"].port.width == pixels
    assert problem.outputs["label"].classes == tuple(range(10))
    assert problem.outputs["histogram"].port.shift == (0.0,) and problem.outputs[
        "histogram"
    ].port.scale == (1.0,)


@each_name
def test_images_are_fractions_and_the_sample_is_the_image(built_in, name):
    split = built_in(name).split("test")
    image = split.inputs["image"]
    assert split.targets["sample"] is image
    assert image.dtype is torch.float32 and image.min() == 0 and image.max() == 1


@each_name
def test_histograms_are_shares_of_the_pixels(built_in, name):
    for split in (
        built_in(name).split(part, limit=1000) for part in ("train", "validation", "test")
    ):
        shares = split.targets["histogram"]
        assert shares.shape[1] == problems.BINS
        assert torch.allclose(shares.sum(1), torch.ones(len(shares)))
        for image, row in zip(split.inputs["image"][:20], shares, strict=False):
            counts, _ = np.histogram(image.double(), bins=problems.BINS, range=(0, 1))
            assert row.tolist() == pytest.approx((counts / len(image)).tolist(), abs=1e-6)


@each_name
def test_contiguous_training_batches_are_random_ones(built_in, name):
    label = built_in(name).split("train").targets["label"][:1000]
    assert (label.bincount(minlength=10) / 1000 - 0.1).abs().max() < 0.04


@each_name
def test_opened_once_for_the_same_options(built_in, name):
    problem = built_in(name)
    assert built_in(name) is built_in(name, costs=(), normalize=True) is problem
    assert Problem.load(f"deap_valp.problems:{name}") is problem
    other = built_in(name, costs=["weight_count"], normalize=False)
    assert (
        other is not problem and built_in(name, costs=("weight_count",), normalize=False) is other
    )
    assert other.objectives[-1] == "weight_count" and set(other.loss_scale.values()) == {1.0}


@each_name
def test_travels_by_name(built_in, name):
    problem = built_in(name, costs=["weight_count"])
    assert pickle.loads(pickle.dumps(problem)) is problem
    assert len(pickle.dumps(problem)) < 300


def test_another_process_opens_it(built_in, tmp_path):
    (tmp_path / "problem").write_bytes(pickle.dumps(built_in("digits")))
    code = (
        "import pathlib, pickle, sys; print(pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path / "problem")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stdout == f"{built_in('digits')}\n", done.stderr


@each_name
def test_opening_it_again_is_quick_and_maps_the_cache(built_in, decoded, name, monkeypatch):
    built_in(name)
    monkeypatch.setattr(problem_module, "_OPENED", {})
    start = time.perf_counter()
    problem = built_in(name)
    assert (
        time.perf_counter() - start < 3
    )  # 0.02 and 0.25 s on an idle core; the rest is for busy ones
    mapped = np.load(decoded / "arrays-1" / name.replace("_", "-") / "images.npy", mmap_mode="r")
    image = problem.split("validation").inputs["image"]
    assert np.array_equal(image, mapped.reshape(len(mapped), -1)[SIZES[name][0] :][: len(image)])
    assert mapped_file_of(image, "images.npy")


def mapped_file_of(tensor: torch.Tensor, name: str) -> bool:
    """Whether a tensor lies in the mapping of a file of this name."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        first, last = (int(bound, 16) for bound in line.split()[0].split("-"))
        if first <= tensor.data_ptr() < last:
            return line.endswith(name)
    return False


@full_data
def test_validation_is_the_end_of_the_training_file(built_in):
    problem = built_in("fashion_mnist")
    for part, source, first in (("validation", "train", 50_000), ("test", "t10k", 0)):
        images = problems.read_idx(
            Path(DATA, f"fashion-mnist/{source}-images-idx3-ubyte.gz").read_bytes(), source
        )
        marks = problems.read_idx(
            Path(DATA, f"fashion-mnist/{source}-labels-idx1-ubyte.gz").read_bytes(), source
        )
        split = problem.split(part)
        assert np.array_equal(
            split.inputs["image"],
            images[first:].reshape(10_000, 784).astype("f4") / np.float32(255),
        )
        assert np.array_equal(split.targets["label"], marks[first:])


@full_data
def test_losses_of_constants_are_those_of_the_readings(built_in):
    baselines = {
        name: output.baseline for name, output in built_in("fashion_mnist").outputs.items()
    }
    assert baselines == pytest.approx(
        {"label": 2.303, "histogram": 0.00815, "sample": 0.0870}, rel=1e-3
    )


@full_data
def test_reference_classifier_of_clothes_is_good_and_ranks_samples(built_in):
    sample = built_in("fashion_mnist").outputs["sample"]
    real = sample.targets["validation"]
    assert sample.reference.accuracy > 0.87
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1000, 784, generator=generator)
    blurred = 0.5 * real + 0.5 * real.mean(0)
    distances = [
        sample.score(rows, "validation")
        for rows in (real, sample.targets["train"][:5000], blurred, noise)
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert (
        1
        <= sample.inception_score(real.mean(0).expand(100, -1))
        < 1.0001
        < sample.inception_score(real)
    )


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(
        ProblemError, match=r"name among \['digits', 'mnist', 'fashion_mnist'\], got 'cifar'"
    ):
        problems.by_name("cifar")


# --- Files


def idx(array: np.ndarray) -> bytes:
    header = b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return gzip.compress(header + array.astype(np.uint8).tobytes(), compresslevel=1)


def digest(zipped: bytes) -> str:
    return hashlib.sha256(gzip.decompress(zipped)).hexdigest()


@pytest.fixture
def small(monkeypatch):
    """Fashion-MNIST with 60 + 20 tiny images (given as files), 10 of them for validation."""
    generator = np.random.default_rng(0)
    files = {}
    for part, size in (("train", 60), ("t10k", 20)):
        files[f"{part}-images-idx3-ubyte.gz"] = idx(generator.integers(0, 256, (size, 4, 4)))
        files[f"{part}-labels-idx1-ubyte.gz"] = idx(np.arange(size) % 2)
    digests = {name: digest(content) for name, content in files.items()}
    monkeypatch.setattr(
        problems, "FASHION", replace(problems.FASHION, digests=digests, validation=10)
    )
    return files


def put(files: dict[str, bytes], root: Path) -> None:
    (root / "fashion-mnist").mkdir(parents=True)
    for name, content in files.items():
        (root / "fashion-mnist" / name).write_bytes(content)


def place_named(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("DEAP_VALP_DATA", str(tmp_path / "named"))
    return tmp_path / "named"


PLACES = {
    "DEAP_VALP_DATA": place_named,
    "system": lambda tmp_path, _: tmp_path / "system",
    "cache": lambda tmp_path, _: tmp_path / "cache",
}


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES.keys())
def test_files_are_found_in_every_place(offline, small, tmp_path, monkeypatch, place):
    put(small, place(tmp_path, monkeypatch))
    problem = problems.fashion_mnist()
    assert [problem.split(name).size for name in ("train", "validation", "test")] == [50, 10, 20]
    assert sorted(path.stem for path in (offline / "arrays-1" / "fashion-mnist").iterdir()) == [
        "histograms",
        "images",
        "labels",
        "sizes",
    ]


def test_training_rows_are_shuffled_together_with_their_labels(offline, small, tmp_path):
    put(small, tmp_path / "system")
    train = problems.fashion_mnist().split("train")
    images = problems.read_idx(small["train-images-idx3-ubyte.gz"], "memory").reshape(60, 16)
    given = [bytes(image) for image in images]
    order = [
        given.index(bytes(row)) for row in (train.inputs["image"] * 255).round().byte().numpy()
    ]
    assert order != list(range(50)) and sorted(order) == list(range(50))
    assert train.targets["label"].tolist() == [row % 2 for row in order]


def test_decoded_arrays_need_no_files(offline, small, tmp_path, monkeypatch):
    root = place_named(tmp_path, monkeypatch)
    put(small, root)
    before = problems.fashion_mnist()
    for path in (root / "fashion-mnist").iterdir():
        path.unlink()
    monkeypatch.setattr(problem_module, "_OPENED", {})
    after = problems.fashion_mnist()
    assert after is not before
    assert torch.equal(after.split("train").inputs["image"], before.split("train").inputs["image"])


def test_missing_files_are_named_with_all_places(offline, tmp_path, monkeypatch):
    root = place_named(tmp_path, monkeypatch)
    with pytest.raises(DataFileError) as caught:
        problems.fashion_mnist()
    for part in (
        "train-images-idx3-ubyte.gz",
        "DEAP_VALP_DATA",
        "no network in tests",
        problems.FASHION.url,
    ):
        assert part in str(caught.value)
    for place in (root, tmp_path / "system", offline):
        assert str(place / "fashion-mnist") in str(caught.value)
    assert not [path for path in offline.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_downloaded_files_are_checked_and_kept(offline, small, monkeypatch):
    asked = []

    def serve(url, timeout):
        asked.append(url)
        return io.BytesIO(small[url.removeprefix(problems.FASHION.url)])

    monkeypatch.setattr(urllib.request, "urlopen", serve)
    problems.fashion_mnist()
    assert asked == [problems.FASHION.url + name for name in small]
    assert {name: (offline / "fashion-mnist" / name).read_bytes() for name in small} == small


def test_a_broken_download_is_named_and_not_kept(offline, small, monkeypatch):
    monkeypatch.setattr(
        urllib.request, "urlopen", lambda url, timeout: io.BytesIO(small[url.split("/")[-1]][:-9])
    )
    with pytest.raises(
        DataFileError, match=r"http.*train-images-idx3-ubyte.gz needs to be a complete gzip file"
    ):
        problems.fashion_mnist()
    assert not [path for path in offline.rglob("*") if path.is_file() and path.suffix != ".lock"]


BROKEN = {
    "truncated": (lambda content: content[: len(content) // 2], "complete gzip file"),
    "empty": (lambda content: b"", "IDX header"),
    "not zipped": (gzip.decompress, "complete gzip file"),
    "corrupted": (lambda content: content[:40] + b"\0\0\0\0" + content[44:], "complete gzip file"),
    "not IDX": (
        lambda content: gzip.compress(b"something else"),
        r"IDX header of bytes in 1 or 3 .* got '73 6f 6d 65'",
    ),
    "floats": (lambda content: gzip.compress(b"\0\0\x0d\x03" + bytes(12)), "IDX header of bytes"),
    "header cut": (lambda content: gzip.compress(b"\0\0\x08\x03\0\0"), "shape"),
    "pixels cut": (
        lambda content: gzip.compress(gzip.decompress(content)[:-5]),
        r"shape \(60, 4, 4\) says, got 955",
    ),
    "other images": (lambda content: idx(np.zeros((60, 4, 4))), "another SHA-256"),
}


@pytest.mark.parametrize("spoil, message", BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_file_is_named(offline, small, tmp_path, spoil, message):
    name = "train-images-idx3-ubyte.gz"
    put(small | {name: spoil(small[name])}, tmp_path / "system")
    with pytest.raises(DataFileError, match=rf"system/fashion-mnist/{name} .*{message}"):
        problems.fashion_mnist()


# --- The cache folder


def test_an_unwritable_cache_is_replaced_by_a_temporary_one(offline, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DEAP_VALP_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    assert problems.digits().split("test").size == 269
    assert (tmp_path / f"deap_valp-{os.getuid()}" / "arrays-1" / "digits" / "images.npy").is_file()


def remove(path):
    path.unlink()


def cut_short(path):
    os.truncate(path, path.stat().st_size // 2)


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("spoil", [remove, cut_short, empty])
@pytest.mark.parametrize("name", problems.ARRAYS)
def test_a_damaged_cache_is_named_with_the_way_out(offline, monkeypatch, name, spoil):
    problems.digits()
    monkeypatch.setattr(problem_module, "_OPENED", {})  # as in a process that starts later
    folder = offline / "arrays-1" / "digits"
    spoil(folder / f"{name}.npy")
    with pytest.raises(
        DataFileError, match=rf"{folder}.* is damaged .*: delete {folder}, and start again"
    ):
        problems.digits()
    shutil.rmtree(folder)
    assert problems.digits().split("test").size == 269


def test_the_cache_folder_follows_the_environment(tmp_path, monkeypatch):
    monkeypatch.delenv("DEAP_VALP_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert problems.cache_folder() == tmp_path / "xdg" / "deap_valp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert problems.cache_folder() == tmp_path / "home" / ".cache" / "deap_valp"


def test_what_fails_half_way_leaves_nothing(offline, monkeypatch):
    monkeypatch.setattr(problems, "histograms", lambda images: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        problems.digits()
    monkeypatch.undo()
    assert [path.suffix for path in (offline / "arrays-1").iterdir()] == [".lock"]


@pytest.mark.parametrize("processes", [2])
def test_several_processes_make_the_arrays_once(tmp_path, processes):
    code = (
        "import deap_valp.problems as p\n"
        "make = p.histograms\n"
        "p.histograms = lambda images: (print('made'), make(images))[1]\n"
        "p.digits()\n"
    )
    environment = {
        **os.environ,
        "DEAP_VALP_CACHE": str(tmp_path),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=environment
        )
        for _ in range(processes)
    ]
    assert "".join(process.communicate(timeout=60)[0] for process in running).split() == ["made"]
