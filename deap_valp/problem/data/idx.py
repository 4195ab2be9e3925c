"""The files of MNIST and Fashion-MNIST: where they are found, downloaded and read.

The format is IDX, gzipped: a header with the shape of the array, then its bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataFileError
from .storage import cache_folder, made_once

SYSTEM_FOLDER = Path("/usr/share/datasets")
"""Where the packages of the system put data sets."""


@dataclass(frozen=True)
class Source:
    """Four files: images and labels for training, images and labels for testing.

    Attributes:
        folder: Name of the folder that holds the files, in each place where they are looked for.
        url: Where a file is downloaded from; it ends in a slash.
        digests: SHA-256 of each file's content when unzipped. Zipping a file again changes the
            file, but not its content.
        validation: How many of the last training examples are the validation split.
    """

    folder: str
    url: str
    digests: dict[str, str]
    validation: int = 10_000


MNIST = Source(
    "mnist",
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    {
        "train-images-idx3-ubyte.gz": (
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
        ),
        "train-labels-idx1-ubyte.gz": (
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
        ),
    },
)
FASHION = Source(
    "fashion-mnist",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    {
        "train-images-idx3-ubyte.gz": (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
        ),
        "train-labels-idx1-ubyte.gz": (
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
        ),
        "t10k-images-idx3-ubyte.gz": (
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
        ),
        "t10k-labels-idx1-ubyte.gz": (
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
        ),
    },
)


def read_source(source: Source) -> list[np.ndarray]:
    """Return the arrays of the four files.

    Each file is read in the first place that has it, or else downloaded to the last place. The
    places are the folder that ``DEAP_VALP_DATA`` names, ``SYSTEM_FOLDER`` and the cache folder.

    Raises:
        DataFileError: A file is in none of these places and cannot be downloaded, or it is
            truncated, or its content is not what its name says.
    """
    return [_read_file(source, file) for file in source.digests]


def _read_file(source: Source, file: str) -> np.ndarray:
    places = _places(source)
    path = next((place / file for place in places if (place / file).is_file()), places[-1] / file)
    with made_once(path) as making:
        if making:
            _download(source, file, making)
    return read_idx(path.read_bytes(), str(path), source.digests[file])


def _places(source: Source) -> list[Path]:
    roots = [SYSTEM_FOLDER, cache_folder()]
    named = os.environ.get("DEAP_VALP_DATA")
    if named:
        roots.insert(0, Path(named))
    return [root / source.folder for root in roots]


def _download(source: Source, file: str, path: Path) -> None:
    """Download a file to a path and check it there.

    Of pooch, the downloader alone: its registry checks the zipped file, where ours checks the
    content, and its cache has no lock, where several workers ask at the same time.
    """
    import pooch

    url = source.url + file
    try:
        pooch.HTTPDownloader(timeout=60)(url, str(path), None)
    except OSError as error:  # requests' exceptions are of this family
        looked = ", ".join(map(str, _places(source)))
        raise DataFileError(
            f"{source.folder} needs {file}, found neither in {looked} (DEAP_VALP_DATA names the "
            f"folder that holds {source.folder}/) nor at {source.url} ({error})"
        ) from error
    read_idx(path.read_bytes(), url, source.digests[file])


def read_idx(zipped: bytes, origin: str, digest: str | None = None) -> np.ndarray:
    """Return the array of bytes in a zipped IDX file, in the shape that its header says.

    Args:
        zipped: The content of the file.
        origin: Where the file is from, for messages.
        digest: SHA-256 that the unzipped content must have; None for no check.

    Raises:
        DataFileError: The file is truncated, no IDX file of bytes, or has other content.
    """
    try:
        content = gzip.decompress(zipped)
    except (OSError, EOFError, zlib.error) as error:
        raise DataFileError(f"{origin} needs to be a complete gzip file: {error}") from error
    # Magic number: two zeros, 8 for unsigned bytes, the number of dimensions; then each dimension
    # as 4 bytes.
    if content[:3] != b"\0\0\x08" or content[3:4] not in (b"\x01", b"\x03"):
        raise DataFileError(
            f"{origin} needs an IDX header of bytes in 1 or 3 dimensions, "
            f"got {content[:4].hex(' ')!r}"
        )
    start = 4 + 4 * content[3]
    shape = struct.unpack(f">{content[3]}I", content[4:start]) if len(content) >= start else ()
    if not shape or len(content) - start != math.prod(shape):
        raise DataFileError(
            f"{origin} needs as many bytes as its shape {shape} says, got {len(content) - start}"
        )
    if digest is not None and hashlib.sha256(content).hexdigest() != digest:
        raise DataFileError(
            f"{origin} is not the file that this problem is made of: its content has another "
            "SHA-256"
        )
    return np.frombuffer(content, dtype=np.uint8, offset=start).reshape(shape)
