"""Checkpoints: a killed search goes on from where it was, with the same result.

Two things are saved. The *state* is everything that changes during a search, with the states of
the random generators, as it is between two steps. It is one file, which is replaced as a whole.
The *finished evaluations* since that state are small files beside it, one for each. The process
that computes an evaluation writes its file at once.

A killed search loads the state and repeats what came after it. The repetition makes the same
choices, because all chance comes from the saved random states. It takes little time, because the
finished evaluations are read instead of computed.
"""

from __future__ import annotations

import logging
import os
import pickle
import random
import shutil
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..arguments import is_whole, need_path, need_type
from ..atomic import write_atomically
from ..errors import FileFormatError, ValpError
from ..training import Decided, decided

logger = logging.getLogger("deap_valp")

VERSION = 2
"""The version of the file format."""

_MAGIC = b"deap_valp checkpoint\n"
_HEADER = struct.Struct(">21sHQI")  # magic, version, length and CRC-32 of the pickle that follows

Key = tuple[int, int]
Map = Callable[..., Iterable[Any]]


class Checkpoint:
    """The file from which a killed search goes on.

    The searches of this package take it as ``checkpoint``. If the file exists, they go on from it;
    otherwise they start anew and write it. Arguments that name a size (``ngen``, ``lambda_``, ...)
    may differ from those of the killed search. A finished search leaves its file. Called again, it
    returns at once, or goes on where ``ngen`` is larger.

    A checkpoint and the files beside it are pickles, and loading a pickle can run any code. Load
    only your own.

    If the first state cannot be written (the disk is full), ``save`` raises ``OSError``. If a
    later one cannot, the search goes on, with a warning in the log of ``deap_valp``, and the last
    complete state stays. The state before the last is kept as ``<path>.previous``, in case the
    file is damaged from outside. Finished evaluations are in the folder ``<path>.evaluations``.

    Args:
        path: The file. Missing folders are made.
        every: Number of generations between two states. In a search without generations, as many
            candidates as the population has members count as one. A larger number saves the time
            of writing states, and needs more space for the evaluations between two states.
        also: Further objects of yours that change during the search, such as a
            ``tools.History``. They are saved with each state and restored in place. The object
            whose method is the toolbox's ``feedback`` is saved without being named here.

    Raises:
        ValpError: ``every`` is below 1, or an object in ``also`` cannot be restored in place.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 1, also: Iterable[Any] = ()
    ) -> None:
        need_path(path, "a Checkpoint")
        if not is_whole(every) or every < 1:
            raise ValpError(f"a Checkpoint needs every to be 1 or more, got {every!r}")
        self.path = Path(path).absolute()  # workers may have another working directory
        self.every = every
        self.also = list(also)
        for target in self.also:
            if not isinstance(target, list | set | dict) and not hasattr(target, "__dict__"):
                raise ValpError(
                    "a Checkpoint needs lists, sets, dicts or objects with a __dict__ as also, "
                    f"got {target!r}"
                )
        self._folder = self.path.with_name(self.path.name + ".evaluations")
        self._previous = self.path.with_name(self.path.name + ".previous")
        self._finished: dict[Key, Any] = {}
        self._kept = 0
        self._engine = decided()

    def load(self, **start: Any) -> dict[str, Any]:
        """Return the saved state. If there is none, save ``start`` as the state and return it.

        The random generators of ``random``, numpy and torch are set to their saved states. These
        are in the state too, that of ``random`` as ``rndstate``.

        Raises:
            FileFormatError: The file is not a checkpoint, or it is damaged. The message says what
                to do.
        """
        self._engine = decided()
        if not self.path.exists():
            self.save(**start)
            return start
        state = self._unpickled(self.path)
        random.setstate(state["rndstate"])
        np.random.set_state(state["numpy_rndstate"])
        torch.set_rng_state(torch.from_numpy(state["torch_rndstate"]))
        self._engine = state["engine"]
        self._read_finished()
        return state

    def save(self, **state: Any) -> None:
        """Write a state, with the states of the random generators.

        The finished evaluations kept so far are deleted, since the state contains their results.

        Args:
            state: The objects of the state, under names of your choice.

        Raises:
            OSError: The state cannot be written, and there is no earlier one.
            ValpError: An object of the state does not pickle.
        """
        state = {
            "rndstate": random.getstate(),
            "numpy_rndstate": np.random.get_state(),
            "torch_rndstate": torch.get_rng_state().numpy(),
            "engine": self._engine,
            **state,
        }
        data = _packed(state, self.path)
        with _tolerating(self.path, "a state", strict=not self.path.exists()):
            self._replace(data)
            shutil.rmtree(self._folder, ignore_errors=True)
            self._finished.clear()

    def map(
        self, map_: Map, evaluate: Callable[[Any], Any], individuals: Sequence[Any]
    ) -> list[Any]:
        """Evaluate individuals through ``map_``, except those that a killed run had finished.

        Each result is written to a file by the process that computes it. If that process does not
        see the folder, the result is written here after ``map_`` returns, so any map will do.

        For a loop of your own: ``toolbox.register("map", checkpoint.map, valp.scoopMap)``.

        Returns:
            The results in the order of the individuals.
        """
        with _tolerating(self._folder, "finished evaluations"):
            self._folder.mkdir(parents=True, exist_ok=True)
        missing = [
            individual for individual in individuals if key_of(individual) not in self._finished
        ]
        results = (
            list(map_(Keeping(self.bound(evaluate), self._folder), missing)) if missing else []
        )
        for individual, result in zip(missing, results, strict=True):
            if not _file(self._folder, key_of(individual)).exists():
                _keep(self._folder, key_of(individual), result)
        fresh = iter(results)
        in_order = []
        for key in map(key_of, individuals):
            if key in self._finished:
                in_order.append(self._finished[key])
            else:
                in_order.append(next(fresh))
        return in_order

    def bound(self, evaluate: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """Return an evaluation whose engine ``"auto"`` means what it meant when the search began.

        So a search that is resumed goes on with the same engine, in all of its processes.
        """
        return Decided(evaluate, self._engine)

    def keep(self, individual: Any, result: Any) -> None:
        """Write the result of an evaluation that did not come from ``map``, and its turn."""
        with _tolerating(self._folder, "finished evaluations"):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._kept += 1
        _keep(self._folder, key_of(individual), result, self._kept)

    def first_finished(self, individuals: Sequence[Any]) -> tuple[int, Any] | None:
        """Return the index and the result of the individual that finished first in the killed run.

        Return None if the killed run had finished none of these individuals.
        """
        keys = [key_of(individual) for individual in individuals]
        for key, result in self._finished.items():
            if key in keys:
                return keys.index(key), result
        return None

    def _replace(self, data: bytes) -> None:
        """Put a new state in the place of the last, which becomes the previous one."""
        self._folder.mkdir(parents=True, exist_ok=True)
        # If the process is killed, these two are deleted with the folder at the next save.
        fresh, old = self._folder / "state", self._folder / "previous"
        write_atomically(fresh, data)
        with suppress(OSError):  # not every file system has hard links
            old.unlink(missing_ok=True)
            if self.path.exists():
                os.link(self.path, old)
                os.replace(old, self._previous)
            else:
                self._previous.unlink(missing_ok=True)  # the file of an earlier run
        os.replace(fresh, self.path)

    def _unpickled(self, path: Path) -> dict[str, Any]:
        """Return the object in a file that this class wrote."""
        data = path.read_bytes()
        back = ""
        if self._previous.exists():
            back = f", or go back by one state: mv {self._previous} {path}"
        if not data.startswith(_MAGIC):  # it may be a model of the user's, so nothing says delete
            raise FileFormatError(
                f"{path} is not a checkpoint of deap_valp: give another path{back}"
            )
        way_out = f"delete {path} to start over{back}"
        head = data[: _HEADER.size].ljust(_HEADER.size, b"\0")
        _, version, length, checksum = _HEADER.unpack(head)
        body = memoryview(data)[_HEADER.size :]
        if len(data) < _HEADER.size or len(body) != length or zlib.crc32(body) != checksum:
            raise FileFormatError(
                f"{path} is damaged: its {len(data)} bytes do not match its header: {way_out}"
            )
        if version != VERSION:
            raise FileFormatError(
                f"{path} has format {version}, this deap_valp reads {VERSION}: {way_out}"
            )
        try:
            return pickle.loads(body)
        except Exception as error:
            raise FileFormatError(
                f"{path} does not load here ({type(error).__name__}: {error}): import what its "
                f"objects are made of and use the version of deap_valp that wrote it, or {way_out}"
            ) from error

    def _read_finished(self) -> None:
        """Read the finished evaluations, in the order in which they were kept."""
        found = {}
        for file in self._folder.glob("*.evaluation"):
            number, seed, sessions = map(int, file.stem.split("-"))
            # The evaluation of a damaged file is repeated.
            with suppress(FileFormatError, OSError):
                found[number, seed, sessions] = self._unpickled(file)
        self._finished = {
            (seed, sessions): found[number, seed, sessions]
            for number, seed, sessions in sorted(found)
        }
        self._kept = max((number for number, _, _ in found), default=0)


@dataclass(frozen=True)
class Keeping:
    """An evaluation that also writes its result to a folder, on hosts that see the folder.

    It pickles if the evaluation does.
    """

    evaluate: Callable[[Any], Any]
    folder: Path

    def __call__(self, individual: Any) -> Any:
        """Return the result of the evaluation, after writing it."""
        key = key_of(individual)
        result = self.evaluate(individual)
        if self.folder.is_dir():
            _keep(self.folder, key, result)
        return result


def checkpoint_of(given: Any, search: str) -> Checkpoint | None:
    """Return what a user gave as ``checkpoint``: a path is that of a ``Checkpoint``.

    Raises:
        ValpError: It is something else.
    """
    if isinstance(given, str | os.PathLike):
        return Checkpoint(given)
    if given is not None:
        need_type(given, Checkpoint, search, "checkpoint as a Checkpoint or its path")
    checkpoint: Checkpoint | None = given
    return checkpoint


def key_of(individual: Any) -> Key:
    """Return the key of an evaluation.

    It is the seed of the individual and the number of its training sessions since it was changed.
    """
    sessions = 0
    if individual.evaluation is not None:
        sessions = individual.evaluation.sessions
    return individual.seed, sessions


def restore(target: Any, saved: Any) -> None:
    """Change an object of the caller, in place, so that it equals its saved copy."""
    if target is saved or target is None:
        return
    if isinstance(target, list):
        target[:] = saved
    elif isinstance(target, set | dict):
        target.clear()
        target.update(saved)
    if hasattr(target, "__dict__"):
        target.__dict__.clear()
        target.__dict__.update(saved.__dict__)


def _packed(value: Any, path: Path) -> bytes:
    """Return the bytes of a file with this value: header and pickle."""
    try:
        body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickling calls foreign code, which may raise anything
        raise ValpError(
            f"{path} needs a state that pickles, got {type(error).__name__}: {error} "
            "(functions and classes at module level do, lambdas do not)"
        ) from error
    return _HEADER.pack(_MAGIC, VERSION, len(body), zlib.crc32(body)) + body


def _file(folder: Path, key: Key, number: int = 0) -> Path:
    """Return the file of a finished evaluation; the number says where it is in their order."""
    return folder / f"{number}-{key[0]}-{key[1]}.evaluation"


def _keep(folder: Path, key: Key, result: Any, number: int = 0) -> None:
    data = _packed(result, folder)
    with _tolerating(folder, "a finished evaluation"):
        write_atomically(_file(folder, key, number), data)


@contextmanager
def _tolerating(path: Path, what: str, strict: bool = False) -> Iterator[None]:
    """Log an ``OSError`` as a warning, so that the search goes on; if ``strict``, raise it."""
    try:
        yield
    except OSError as error:
        if strict:
            raise
        logger.warning(
            "%s: %s could not be written (%s); the search goes on, the last state stays",
            path,
            what,
            error,
        )
