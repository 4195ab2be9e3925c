"""The files of the built-in problems, the places where they are found, and the cache."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import os
import shutil
import struct
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from deap_valp import problems
from deap_valp.errors import DataFileError
from deap_valp.problem import problem as problem_module
from deap_valp.problem.data import idx
from deap_valp.problem.data.storage import cache_folder

NOBODY = "http://127.0.0.1:9/"  # no server listens there


@pytest.fixture
def offline(tmp_path, monkeypatch):
    """No network, no files, nothing opened yet, and an empty cache folder (given)."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(idx, "FASHION", replace(idx.FASHION, url=NOBODY))
    monkeypatch.setattr(idx, "SYSTEM_FOLDER", tmp_path / "system")
    monkeypatch.setattr(problem_module, "_OPENED", {})
    monkeypatch.delenv("DEAP_VALP_DATA", raising=False)
    monkeypatch.setenv("DEAP_VALP_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


# --- Files


def idx_file(array: np.ndarray) -> bytes:
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
        files[f"{part}-images-idx3-ubyte.gz"] = idx_file(generator.integers(0, 256, (size, 4, 4)))
        files[f"{part}-labels-idx1-ubyte.gz"] = idx_file(np.arange(size) % 2)
    digests = {name: digest(content) for name, content in files.items()}
    monkeypatch.setattr(idx, "FASHION", replace(idx.FASHION, digests=digests, validation=10))
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
    images = idx.read_idx(small["train-images-idx3-ubyte.gz"], "memory").reshape(60, 16)
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
        "refused",
        NOBODY,
    ):
        assert part in str(caught.value)
    for place in (root, tmp_path / "system", offline):
        assert str(place / "fashion-mnist") in str(caught.value)
    assert not kept(offline)


@pytest.fixture
def server(offline, small, monkeypatch):
    """A server of the small files: ``served`` may be changed, ``asked`` is what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        served, asked = dict(small), []

        def do_GET(self):
            name = self.path.removeprefix("/")
            self.asked.append(name)
            if name not in self.served:
                self.send_error(404)
                return
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.served[name])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as listening:
        url = f"http://127.0.0.1:{listening.server_port}/"
        monkeypatch.setattr(idx, "FASHION", replace(idx.FASHION, url=url))
        threading.Thread(target=listening.serve_forever, daemon=True).start()
        yield Handler
        listening.shutdown()


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and path.suffix != ".lock"]


def test_downloaded_files_are_checked_and_kept(offline, small, server):
    problems.fashion_mnist()
    assert server.asked == list(small)
    assert {name: (offline / "fashion-mnist" / name).read_bytes() for name in small} == small


def test_a_file_that_the_server_lacks_is_named_with_all_places(offline, server):
    server.served.clear()
    with pytest.raises(DataFileError, match=r"needs train-images.*DEAP_VALP_DATA.*404"):
        problems.fashion_mnist()
    assert not kept(offline)


SPOILT = {
    "broken": (lambda zipped: zipped[:-9], "needs to be a complete gzip file"),
    "another": (lambda zipped: idx_file(np.zeros((60, 4, 4))), "another SHA-256"),
}


@pytest.mark.parametrize("spoil, message", SPOILT.values(), ids=SPOILT.keys())
def test_a_wrong_download_is_named_and_not_kept(offline, server, spoil, message):
    name = "train-images-idx3-ubyte.gz"
    server.served[name] = spoil(server.served[name])
    with pytest.raises(DataFileError, match=rf"http.*{name} .*{message}"):
        problems.fashion_mnist()
    assert not kept(offline)


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
    "other images": (lambda content: idx_file(np.zeros((60, 4, 4))), "another SHA-256"),
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
    assert cache_folder() == tmp_path / "xdg" / "deap_valp"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_folder() == tmp_path / "home" / ".cache" / "deap_valp"


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
