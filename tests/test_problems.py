"""The built-in problems."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from deap_valp import problems
from deap_valp.errors import ProblemError
from deap_valp.problem import Problem
from deap_valp.problem import problem as problem_module
from deap_valp.problem.data import idx

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
        images = idx.read_idx(
            Path(DATA, f"fashion-mnist/{source}-images-idx3-ubyte.gz").read_bytes(), source
        )
        marks = idx.read_idx(
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
