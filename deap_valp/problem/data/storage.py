"""Where data is kept: the cache folder, files made once for all processes, and stored problems.

A stored problem is a folder in the temporary directory, through which a problem travels to other
processes of this host.
"""

from __future__ import annotations

import atexit
import os
import pickle
import shutil
import socket
import tempfile
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...arguments import got, need_path, need_type
from ...errors import DataFileError, ProblemError

# --- The cache folder -----------------------------------------------------------------------------


def cache_folder() -> Path:
    """Return ``$DEAP_VALP_CACHE``, else the user's cache folder of ``deap_valp``.

    It is created if missing. On Linux the latter is ``$XDG_CACHE_HOME/deap_valp``, else
    ``~/.cache/deap_valp``. Where the folder cannot be written, the result is a folder of this
    user's in the temporary directory, so that the processes on this host still share it.
    """
    import platformdirs

    named = os.environ.get("DEAP_VALP_CACHE")
    folder = Path(named or platformdirs.user_cache_dir("deap_valp", appauthor=False))
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return _temporary_cache()
    return folder if os.access(folder, os.W_OK | os.X_OK) else _temporary_cache()


def _temporary_cache() -> Path:
    user = getattr(os, "getuid", lambda: "user")()
    folder = Path(tempfile.gettempdir(), f"deap_valp-{user}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid not in (user, 0):  # somebody else's folder: nothing in it is trusted
        return Path(tempfile.mkdtemp(prefix="deap_valp-"))
    return folder


@contextmanager
def made_once(target: Path) -> Iterator[Path | None]:
    """Let one process at a time make ``target``, a file or a folder.

    The block gets a temporary path to make it at, or None where the target exists already. What is
    at the temporary path when the block ends is renamed to ``target``, so no process ever sees half
    of it, and a block that raises leaves nothing.
    """
    from filelock import FileLock

    if target.exists():
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{target}.lock"):
        if target.exists():
            yield None
            return
        with tempfile.TemporaryDirectory(prefix=".making-", dir=target.parent) as folder:
            yield Path(folder, target.name)
            Path(folder, target.name).rename(target)


def open_array(path: Path) -> np.ndarray:
    """Open a ``.npy`` file as a memory-mapped array, so that processes share its pages.

    The mapping is copy-on-write, since torch asks for writable memory.

    Raises:
        DataFileError: The file is missing, truncated or no ``.npy`` file.
    """
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)
    except (FileNotFoundError, ValueError, EOFError) as error:
        raise DataFileError(
            f"{path} is damaged ({error}): delete {path.parent}, and start again"
        ) from error


# --- Arrays of a user's ---------------------------------------------------------------------------


def open_arrays(folder: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Open every ``.npy`` file of a folder as a memory-mapped array, by the name of the file.

    ``Problem`` keeps what it makes of them in files too, in the temporary directory (``TMPDIR``),
    so that training never holds the whole in memory.

    Raises:
        DataFileError: The folder has no such file, or one is damaged.
    """
    need_path(folder, "open_arrays", ProblemError)
    paths = sorted(Path(folder).glob("*.npy"))
    if not paths:
        raise DataFileError(f"open_arrays needs a folder of .npy files, got {os.fspath(folder)!r}")
    found = {}
    for path in paths:
        try:
            found[path.stem] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DataFileError(f"open_arrays needs .npy files, got {path}: {error}") from error
    return found


def write_arrays(dataset: Any, folder: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Write a data set of dictionaries to a folder, a ``.npy`` file for each key, and open it.

    Args:
        dataset: What has ``len(dataset)`` and ``dataset[index]``, such as a map-style ``Dataset``
            of torch's. Each example is a mapping of numbers, arrays or tensors, with the keys,
            shapes and types of the first one.
        folder: The folder, which is made if missing. Files of the same names are replaced once all
            examples are written; where one fails, they stay as they were.

    Raises:
        ProblemError: There is no such data set, or an example has other keys or shapes than the
            first.
    """
    need_path(folder, "write_arrays", ProblemError)
    if not (hasattr(dataset, "__len__") and hasattr(dataset, "__getitem__")):
        raise ProblemError(
            "write_arrays needs dataset as what has len(dataset) and dataset[index], "
            f"got {got(dataset)}"
        )
    Path(folder).mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".writing-", dir=folder) as partial:
        _write_examples(dataset, Path(partial))
        for path in Path(partial).iterdir():
            path.replace(Path(folder, path.name))
    return open_arrays(folder)


def _write_examples(dataset: Any, folder: Path) -> None:
    """Write the examples of a data set to ``.npy`` files of a folder."""
    size, files = len(dataset), dict[str, np.memmap]()
    for index in range(size):
        given = dataset[index]
        need_type(given, Mapping, "write_arrays", "examples as mappings", ProblemError)
        example = {name: np.asarray(value) for name, value in given.items()}
        if not files:
            for name, value in example.items():
                path, shape = folder / f"{name}.npy", (size, *value.shape)
                files[name] = np.lib.format.open_memmap(path, "w+", value.dtype, shape)
        if example.keys() != files.keys():
            raise ProblemError(
                f"write_arrays needs examples of {list(files)}, got {list(example)} at {index}"
            )
        for name, value in example.items():
            if value.shape != files[name].shape[1:]:
                raise ProblemError(
                    f"write_arrays needs {name!r} of shape {files[name].shape[1:]} in every "
                    f"example, got {value.shape} at {index}"
                )
            files[name][index] = value
    for file in files.values():
        file.flush()


_FEATURES: dict[int, Path] = {}
"""The folder of feature files of this process, by its id: a forked child makes its own."""


def feature_file() -> Path:
    """Return the path of a new file in the temporary directory, removed when this process ends."""
    folder = _FEATURES.get(os.getpid())
    if folder is None:
        folder = Path(tempfile.mkdtemp(prefix="deap_valp-features-"))
        _FEATURES[os.getpid()] = folder
        atexit.register(_remove, folder, os.getpid())
    handle, name = tempfile.mkstemp(suffix=".npy", dir=folder)
    os.close(handle)
    return Path(name)


_FILES: dict[int, tuple[weakref.ref[Tensor], Path]] = {}
"""The file of each tensor that is a mapping of a feature file, by the tensor's id."""


def remember_file(tensor: Tensor, path: Path) -> None:
    """Note the file that a tensor maps: a stored problem shares it, and it goes with the tensor."""
    key, owner = id(tensor), os.getpid()

    def forget(_: Any) -> None:
        _FILES.pop(key, None)
        if os.getpid() == owner:  # in a forked child, the file is the parent's
            with suppress(OSError):
                path.unlink()

    _FILES[key] = weakref.ref(tensor, forget), path


def _write_tensor(tensor: Tensor, target: Path) -> None:
    """Write a tensor to a ``.npy`` file; one that maps a file is that file under another name."""
    known = _FILES.get(id(tensor))
    if known is not None and known[0]() is tensor:
        with suppress(OSError):  # the file is gone, or the system has no links
            os.link(known[1], target)
            return
    np.save(target, tensor.numpy(), allow_pickle=False)


# --- Stored problems ------------------------------------------------------------------------------


class _StorePickler(pickle.Pickler):
    """Writes each tensor to a file of its own; a tensor that is met twice is written once."""

    def __init__(self, folder: Path):
        self._stream = (folder / "state.pickle").open("wb")
        super().__init__(self._stream)
        self._folder, self._names = folder, dict[int, str]()

    def persistent_id(self, value: Any) -> str | None:
        if not isinstance(value, Tensor):
            return None
        if id(value) not in self._names:
            self._names[id(value)] = f"{len(self._names)}.npy"
            _write_tensor(value, self._folder / self._names[id(value)])
        return self._names[id(value)]

    def dump(self, value: Any) -> None:
        with self._stream:
            super().dump(value)


class _StoreUnpickler(pickle.Unpickler):
    """Reads what ``_StorePickler`` wrote, each tensor memory-mapped from its file."""

    def __init__(self, stream: Any, folder: Path):
        super().__init__(stream)
        self._folder, self._tensors = folder, dict[str, Tensor]()

    def persistent_load(self, name: str) -> Tensor:
        if name not in self._tensors:
            self._tensors[name] = torch.from_numpy(open_array(self._folder / name))
        return self._tensors[name]


def write_store(state: dict[str, Any]) -> str:
    """Write an object's state to a new folder and return its path.

    The folder is removed when this process ends.
    """
    folder = Path(tempfile.mkdtemp(prefix="deap_valp-problem-", suffix=".partial"))
    finished = folder.with_suffix("")
    atexit.register(_remove, finished, os.getpid())
    try:
        _StorePickler(folder).dump(state)
        folder.rename(finished)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return str(finished)


def read_store(path: str, origin: str) -> dict[str, Any]:
    """Return the state in a folder of ``write_store``, its tensors memory-mapped.

    Args:
        path: The folder.
        origin: The process that wrote it, in words, for the message.

    Raises:
        ProblemError: The folder is not here: this is another host, or the process that wrote it has
            ended.
    """
    try:
        with Path(path, "state.pickle").open("rb") as stream:
            return _StoreUnpickler(stream, Path(path)).load()
    except FileNotFoundError as error:
        raise ProblemError(
            f"this problem was written to {path} by {origin} and can be opened on that host only, "
            f"while that process runs; {this_process()} does not find it. Several hosts need an "
            "importable loader: Problem.load('package.module:function')"
        ) from error


def this_process() -> str:
    """Return which process this is, in words."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked child inherits the handler, and must leave the folder alone
        shutil.rmtree(folder, ignore_errors=True)


def refuse_unpicklable(owner: str, value: Any) -> None:
    """Raise where a value of the user's does not pickle, naming whose it is."""
    try:
        pickle.dumps(value)
    except Exception as error:
        raise ProblemError(
            f"{owner} needs to pickle, got {value!r} ({error}): define it at module level"
        ) from error
