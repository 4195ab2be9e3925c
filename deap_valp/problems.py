"""The built-in problems: images with three objectives.

References:
    Paper VI-A.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from .errors import ProblemError
from .problem import Classification, Generation, Image, Problem, Regression, open_once
from .problem.data import idx
from .problem.data.splits import SPLITS
from .problem.data.storage import cache_folder, made_once, open_array

BINS = 8
"""Bins of the histogram, of equal width on [0, 1]."""

ARRAYS = ("images", "labels", "histograms", "sizes")
"""What the cache holds of each problem, a file each."""

Arrays = dict[str, np.ndarray]

_BUILT_IN: dict[str, Callable[..., Problem]] = {}


def names() -> tuple[str, ...]:
    """Return the names of the built-in problems."""
    return tuple(_BUILT_IN)


def by_name(name: str, **options: Any) -> Problem:
    """Return the built-in problem of this name, for scripts that take the name as an argument.

    Raises:
        ProblemError: There is no such problem.
    """
    if name not in _BUILT_IN:
        raise ProblemError(f"a built-in problem needs a name among {list(_BUILT_IN)}, got {name!r}")
    return _BUILT_IN[name](**options)


def _built_in(build: Callable[..., Problem]) -> Callable[..., Problem]:
    """Register a built-in problem.

    A process opens it once for the same options, and it travels as its name and options.
    """
    signature = inspect.signature(build)

    @functools.wraps(build)
    def opened(**options: Any) -> Problem:
        unknown = [name for name in options if name not in signature.parameters]
        if unknown:
            raise ProblemError(
                f"{build.__name__} takes the options {list(signature.parameters)}, "
                f"got {unknown[0]!r}"
            )
        bound = signature.bind(**options)
        bound.apply_defaults()
        return open_once(f"{__name__}:{build.__name__}", bound.arguments, lambda: build(**options))

    _BUILT_IN[build.__name__] = opened
    return opened


@_built_in
def digits(*, costs: Any = (), normalize: bool = True) -> Problem:
    """Return 8 x 8 images of digits with three outputs: label, histogram and sample.

    These are scikit-learn's 1,797 images, divided by 16; they need no file and open in a second.
    The splits are 70, 15 and 15 % of a fixed random order. The KL part of the sample's loss counts
    a tenth: 64 pixels vary so little that the whole of it would switch every latent off.

    Args:
        costs: Further objectives, as for ``Problem``.
        normalize: Divide each loss by its baseline, as for ``Problem``.
    """
    return _three_objectives("digits", _digits, kl_weight=0.1, costs=costs, normalize=normalize)


@_built_in
def mnist(
    *,
    costs: Any = (),
    normalize: bool = True,
    convolutions: bool = False,
    shift: int = 0,
    flip: bool = False,
    kl_weight: float = 1.0,
    mixture: int = 0,
) -> Problem:
    """Return 28 x 28 images of digits with three outputs: label, histogram and sample.

    This is the problem of the paper's initial experiment. Training has 50,000 images, validation
    the last 10,000 of the training file, and test 10,000.

    Args:
        costs: Further objectives, as for ``Problem``.
        normalize: Divide each loss by its baseline, as for ``Problem``.
        convolutions: Whether convolutional sub-networks can read and paint the images. The paper
            has none.
        shift: Training images are moved at random by up to so many pixels, as for ``Image``.
        flip: Half of the training images are mirrored, as for ``Image``.
        kl_weight: Factor of the KL part of the sample's loss, as for ``Generation``.
        mixture: What samples are drawn from, as for ``Generation``; the paper has 0.

    Raises:
        DataFileError: The data files are missing or damaged.
    """
    make = functools.partial(_idx_arrays, idx.MNIST)
    change = {"convolutions": convolutions, "shift": shift, "flip": flip}
    return _three_objectives(
        "mnist", make, change, kl_weight, mixture, costs=costs, normalize=normalize
    )


@_built_in
def fashion_mnist(
    *,
    costs: Any = (),
    normalize: bool = True,
    convolutions: bool = False,
    shift: int = 0,
    flip: bool = False,
    kl_weight: float = 1.0,
    mixture: int = 0,
) -> Problem:
    """Return 28 x 28 images of clothes with three outputs: label, histogram and sample.

    This is the problem of the paper's main experiment. Training has 50,000 images, validation the
    last 10,000 of the training file, and test 10,000.

    Args:
        costs: Further objectives, as for ``Problem``.
        normalize: Divide each loss by its baseline, as for ``Problem``.
        convolutions: Whether convolutional sub-networks can read and paint the images. The paper
            has none.
        shift: Training images are moved at random by up to so many pixels, as for ``Image``.
        flip: Half of the training images are mirrored, as for ``Image``.
        kl_weight: Factor of the KL part of the sample's loss, as for ``Generation``.
        mixture: What samples are drawn from, as for ``Generation``; the paper has 0.

    Raises:
        DataFileError: The data files are missing or damaged.
    """
    make = functools.partial(_idx_arrays, idx.FASHION)
    change = {"convolutions": convolutions, "shift": shift, "flip": flip}
    return _three_objectives(
        "fashion-mnist", make, change, kl_weight, mixture, costs=costs, normalize=normalize
    )


def _three_objectives(
    folder: str,
    make: Callable[[], Arrays],
    change: Mapping[str, Any] | None = None,
    kl_weight: float = 1.0,
    mixture: int = 0,
    **options: Any,
) -> Problem:
    """Return the problem of the class, the histogram of the pixels, and new images like these."""
    arrays = _cached(folder, make)
    ends = np.cumsum(arrays["sizes"]).tolist()
    starts = [0, *ends[:-1]]
    images = Image(arrays["images"], range=(0, 1), **(change or {}))
    return Problem(
        inputs={"image": images},
        outputs={
            "label": Classification(arrays["labels"]),
            "histogram": Regression(arrays["histograms"], standardize=False),
            "sample": Generation(
                images, labels=arrays["labels"], kl_weight=kl_weight, mixture=mixture
            ),
        },
        splits=dict(zip(SPLITS, map(slice, starts, ends), strict=True)),
        **options,
    )


def histograms(images: np.ndarray) -> np.ndarray:
    """Return the share of each image's pixels in each of 8 equal bins on [0, 1].

    The last bin holds 1 too.

    Args:
        images: Shape (examples, height, width), on [0, 1].

    Returns:
        Shape (examples, 8), float32; each row sums to 1.
    """
    counts = np.empty((len(images), BINS), dtype=np.float32)
    # In pieces: the bin numbers of 70,000 images would take half a gigabyte.
    for start in range(0, len(images), 1000):
        piece = images[start : start + 1000].reshape(-1, images[0].size)
        bins = np.minimum((piece * BINS).astype(np.int8), BINS - 1)
        shares = [(bins == number).mean(1) for number in range(BINS)]
        counts[start : start + 1000] = np.stack(shares, axis=1)
    return counts


# --- Arrays, kept decoded -------------------------------------------------------------------------


def _cached(folder: str, make: Callable[[], Arrays]) -> Arrays:
    """Return arrays of the cache folder, memory-mapped so that processes share them.

    The first process that asks makes them.
    """
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


def _idx_arrays(source: idx.Source) -> Arrays:
    """Return images on [0, 1] and labels, the training rows in a fixed random order."""
    train_images, train_labels, test_images, test_labels = idx.read_source(source)
    images = np.concatenate([train_images, test_images]).astype(np.float32) / np.float32(255)
    labels = np.concatenate([train_labels, test_labels]).astype(np.int64)
    train, test = len(train_images) - source.validation, len(test_images)
    shuffled = np.random.default_rng(0).permutation(train)
    order = np.concatenate([shuffled, np.arange(train, len(images))])
    return _arranged(images, labels, (train, source.validation, test), order)
