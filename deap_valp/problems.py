"""The built-in problems: images with three objectives (paper VI-A), and the files that they come from."""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.client
import inspect
import math
import os
import struct
import urllib.request
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import DataFileError, ProblemError
from .problem import Classification, Generation, Problem, Regression, open_once
from .problem.data.splits import SPLITS
from .problem.data.storage import cache_folder, made_once, open_array

BINS = 8  # of the histogram, equal ones on [0, 1]
ARRAYS = ("images", "labels", "histograms", "sizes")
SYSTEM_FOLDER = Path("/usr/share/datasets")

Arrays = dict[str, np.ndarray]

_BUILT_IN: dict[str, Callable[..., Problem]] = {}


def names() -> tuple[str, ...]:
    """The built-in problems."""
    return tuple(_BUILT_IN)


def by_name(name: str, **options: Any) -> Problem:
    """The built-in problem of this name, for scripts that take it as an argument."""
    if name not in _BUILT_IN:
        raise ProblemError(f"a built-in problem needs a name among {list(_BUILT_IN)}, got {name!r}")
    return _BUILT_IN[name](**options)


def _built_in(build: Callable[..., Problem]) -> Callable[..., Problem]:
    """Register a built-in problem: opened once per process and options, and travelling as its name and options."""
    signature = inspect.signature(build)

    @functools.wraps(build)
    def opened(**options: Any) -> Problem:
        bound = signature.bind(**options)
        bound.apply_defaults()
        return open_once(f"{__name__}:{build.__name__}", bound.arguments, lambda: build(**options))

    _BUILT_IN[build.__name__] = opened
    return opened


@_built_in
def digits(*, costs: Any = (), normalize: bool = True) -> Problem:
    """8 x 8 images of digits (scikit-learn's 1,797, x/16): label, histogram and sample, in a second.

    The splits are 70, 15 and 15 % of a fixed random order. The KL part of the sample's loss counts
    a tenth: 64 pixels vary so little that the whole of it would switch every latent off.
    """
    return _three_objectives("digits", _digits, kl_weight=0.1, costs=costs, normalize=normalize)


@_built_in
def mnist(*, costs: Any = (), normalize: bool = True) -> Problem:
    """28 x 28 images of digits: label, histogram and sample; the paper's initial experiment.

    Train 50,000, validation the last 10,000 of the training file, test 10,000.
    """
    return _three_objectives(
        "mnist", functools.partial(_idx_arrays, MNIST), costs=costs, normalize=normalize
    )


@_built_in
def fashion_mnist(*, costs: Any = (), normalize: bool = True) -> Problem:
    """28 x 28 images of clothes: label, histogram and sample; the paper's main experiment.

    Train 50,000, validation the last 10,000 of the training file, test 10,000.
    """
    return _three_objectives(
        "fashion-mnist", functools.partial(_idx_arrays, FASHION), costs=costs, normalize=normalize
    )


def _three_objectives(
    folder: str, make: Callable[[], Arrays], kl_weight: float = 1.0, **options: Any
) -> Problem:
    """Class, histogram of the pixels, and images like these (paper VI-A), from arrays that are made once and kept."""
    arrays = _cached(folder, make)
    ends = np.cumsum(arrays["sizes"]).tolist()
    return Problem(
        inputs={"image": arrays["images"]},
        outputs={
            "label": Classification(arrays["labels"]),
            "histogram": Regression(arrays["histograms"], standardize=False),
            "sample": Generation(arrays["images"], labels=arrays["labels"], kl_weight=kl_weight),
        },
        splits={
            name: slice(first, last)
            for name, first, last in zip(SPLITS, [0, *ends], ends, strict=False)
        },
        **options,
    )


def histograms(images: np.ndarray) -> np.ndarray:
    """Share of each image's pixels in each of 8 equal bins on [0, 1]; the last bin holds 1 too."""
    counts = np.empty((len(images), BINS), dtype=np.float32)
    for start in range(
        0, len(images), 1000
    ):  # in pieces: 70,000 images of bin numbers would take half a gigabyte
        piece = images[start : start + 1000].reshape(-1, images[0].size)
        bins = np.minimum((piece * BINS).astype(np.int8), BINS - 1)
        counts[start : start + 1000] = np.stack(
            [(bins == number).mean(1) for number in range(BINS)], axis=1
        )
    return counts


# --- Arrays, kept decoded -------------------------------------------------------------------------


def _cached(folder: str, make: Callable[[], Arrays]) -> Arrays:
    """Arrays of the cache folder, memory-mapped so that processes share them; made by the first process that asks."""
    target = cache_folder() / "arrays-1" / folder
    with made_once(target) as making:
        if making:
            arrays = make()
            making.mkdir()
            for name, array in arrays.items():
                np.save(making / name, array, allow_pickle=False)
    return {name: open_array(target / f"{name}.npy") for name in ARRAYS}


def _arranged(
    images: np.ndarray, labels: np.ndarray, sizes: tuple[int, ...], order: np.ndarray
) -> Arrays:
    images = images[order]
    return {
        "images": images,
        "labels": labels[order],
        "histograms": histograms(images),
        "sizes": np.array(sizes),
    }


def _digits() -> Arrays:
    from sklearn.datasets import load_digits

    bunch = load_digits()
    images = (bunch.images / 16).astype(np.float32)
    train, validation = round(0.7 * len(images)), round(0.15 * len(images))
    sizes = (train, validation, len(images) - train - validation)
    return _arranged(images, bunch.target, sizes, np.random.default_rng(0).permutation(len(images)))


def _idx_arrays(source: Source) -> Arrays:
    """Images and labels of the four files, in [0, 1], the training rows in a fixed random order."""
    train_images, train_labels, test_images, test_labels = (
        _idx_file(source, file) for file in source.digests
    )
    images = np.concatenate([train_images, test_images]).astype(np.float32) / np.float32(255)
    labels = np.concatenate([train_labels, test_labels]).astype(np.int64)
    train, test = len(train_images) - source.validation, len(test_images)
    order = np.concatenate(
        [np.random.default_rng(0).permutation(train), np.arange(train, len(images))]
    )
    return _arranged(images, labels, (train, source.validation, test), order)


# --- IDX files ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Source:
    """Four files of images and labels.

    Attributes:
        folder: of the files, in each place where they are looked for.
        url: to download a file from, ending in a slash.
        digests: SHA-256 of each file's content when unzipped (zipping again changes the files, not
            that).
        validation: how many of the last training examples are the validation split.
    """

    folder: str
    url: str
    digests: dict[str, str]
    validation: int = 10_000


MNIST = Source(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
)
FASHION = Source(
    "fashion-mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
)


def _idx_file(source: Source, file: str) -> np.ndarray:
    """The array in one file, wherever that is found, else downloaded.

    Raises:
        DataFileError: it is nowhere, truncated, or not what its name says.
    """
    places = _places(source)
    path = next((place / file for place in places if (place / file).is_file()), places[-1] / file)
    with made_once(path) as making:
        if making:
            making.write_bytes(_downloaded(source, file, places))
    return read_idx(path.read_bytes(), str(path), source.digests[file])


def _places(source: Source) -> list[Path]:
    named = os.environ.get("DEAP_VALP_DATA")
    roots = ([Path(named)] if named else []) + [SYSTEM_FOLDER, cache_folder()]
    return [root / source.folder for root in roots]


def _downloaded(source: Source, file: str, places: list[Path]) -> bytes:
    try:
        with urllib.request.urlopen(source.url + file, timeout=60) as response:
            zipped = response.read()
    except (OSError, http.client.HTTPException) as error:
        looked = ", ".join(map(str, places))
        raise DataFileError(
            f"{source.folder} needs {file}, found neither in {looked} (DEAP_VALP_DATA names the folder that holds "
            f"{source.folder}/) nor at {source.url} ({error})"
        ) from error
    read_idx(zipped, source.url + file, source.digests[file])
    return zipped


def read_idx(zipped: bytes, origin: str, digest: str | None = None) -> np.ndarray:
    """The array of bytes in a zipped IDX file, in the shape that its header says.

    Args:
        origin: of the file, for messages.
        digest: SHA-256 that the content must have.

    Raises:
        DataFileError: the file is truncated, no IDX file of bytes, or of other content.
    """
    try:
        content = gzip.decompress(zipped)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{origin} needs to be a complete gzip file: {error}") from error
    # Magic number: two zeros, 8 for unsigned bytes, the number of dimensions; then each dimension
    # as 4 bytes.
    if content[:3] != b"\0\0\x08" or content[3:4] not in (b"\x01", b"\x03"):
        raise DataFileError(
            f"{origin} needs an IDX header of bytes in 1 or 3 dimensions, got {content[:4].hex(' ')!r}"
        )
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start]) if len(content) >= start else ()
    if not shape or len(content) - start != math.prod(shape):
        raise DataFileError(
            f"{origin} needs as many bytes as its shape {shape} says, got {len(content) - start}"
        )
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise DataFileError(
            f"{origin} is not the file that this problem is made of: its content has another SHA-256"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
