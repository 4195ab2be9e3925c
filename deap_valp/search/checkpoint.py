"""Checkpoints: a killed search goes on from where it was, with the same result.

Two things are kept. The *state* is what a search is made of between two of its steps, random states
included; it is one file, replaced as a whole. *Finished evaluations* since that state lie beside
it, one small file each, written where they were computed as soon as they end. A killed search takes
up the state and does again what came after it, which is the same since all chance comes from the
random states; evaluations, which take the time, are looked up.
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

from ..atomic import write_atomically
from ..errors import FileFormatError, ValpError

logger = logging.getLogger("deap_valp")

VERSION = 1
"""Of the format."""

_MAGIC = b"deap_valp checkpoint\n"
_HEADER = struct.Struct(">21sHQI")  # magic, version, length and CRC-32 of the pickle that follows

Key = tuple[int, int]
Map = Callable[..., Iterable[Any]]


class Checkpoint:
    """The file from which a killed search goes on.

    Our searches take it as ``checkpoint``: where the file exists they go on from it, else they
    start and write it.
    Arguments of a search that name a size (``ngen``, ``lambda_``, ...) may differ from those of the
    killed one. A search that has ended leaves its file, and called again returns at once, or goes
    on to a larger ``ngen``.

    A checkpoint is a pickle, and so are the files beside it: loading one runs what it says. Load
    your own only.

    Where a file cannot be written (a full disk), the first state raises ``OSError``; later on the
    search goes on with a warning in the log of ``deap_valp``, and the last whole state stays. So
    does the one before it, as ``<path>.previous``, against damage from outside. Finished
    evaluations lie in the folder ``<path>.evaluations``.

    Args:
        path: The file; folders that are missing are made.
        every: Generations from one state to the next; of a search without generations, as many
            candidates as the population has count as one. Evaluations in between are kept too, so
            this only weighs the time that a state takes against the space of the evaluations.
        also: Further objects of yours that change during the search, as a ``tools.History``: saved
            with each state and restored in place. A bandit whose method is the toolbox's
            ``feedback`` is among them by itself.
    """

    def __init__(
        self, path: str | os.PathLike[str], every: int = 1, also: Iterable[Any] = ()
    ) -> None:
        if every < 1:
            raise ValpError(f"a Checkpoint needs every to be 1 or more, got {every}")
        self.path = Path(path).absolute()  # workers may have another working directory
        self.every = every
        self.also = list(also)
        for target in self.also:
            if not isinstance(target, list | set | dict) and not hasattr(target, "__dict__"):
                raise ValpError(
                    f"also needs lists, sets, dicts or objects with a __dict__, got {target!r}"
                )
        self._folder = self.path.with_name(self.path.name + ".evaluations")
        self._previous = self.path.with_name(self.path.name + ".previous")
        self._finished: dict[Key, Any] = {}
        self._kept = 0

    def load(self, **start: Any) -> dict[str, Any]:
        """The last state that was saved, or ``start`` where none was, which is then saved.

        Sets the random states of ``random``, numpy and torch to the saved ones; the state has them
        too, the first as ``rndstate``.

        Raises:
            FileFormatError: The file is not a checkpoint, or is damaged; the message says what to
                do.
        """
        if not self.path.exists():
            self.save(**start)
            return start
        state = self._unpickled(self.path)
        random.setstate(state["rndstate"])
        np.random.set_state(state["numpy_rndstate"])
        torch.set_rng_state(torch.from_numpy(state["torch_rndstate"]))
        self._read_finished()
        return state

    def save(self, **state: Any) -> None:
        """Write a state under names of your choice, the random states with it; evaluations kept so far are in it.

        Raises:
            OSError: It cannot be written, and there is no earlier state.
            ValpError: Something in it does not pickle.
        """
        state = {
            "rndstate": random.getstate(),
            "numpy_rndstate": np.random.get_state(),
            "torch_rndstate": torch.get_rng_state().numpy(),
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
        """``map_(evaluate, individuals)`` that keeps each result and repeats none that a killed run had finished.

        For a loop of your own: ``toolbox.register("map", checkpoint.map, valp.scoopMap)``. Each
        result is written
        where it is computed, and here where that host does not see the folder, so any map will do.
        """
        with _tolerating(self._folder, "finished evaluations"):
            self._folder.mkdir(parents=True, exist_ok=True)
        missing = [
            individual for individual in individuals if key_of(individual) not in self._finished
        ]
        results = list(map_(Keeping(evaluate, self._folder), missing)) if missing else []
        for individual, result in zip(missing, results, strict=True):
            if not _file(self._folder, key_of(individual)).exists():
                _keep(self._folder, key_of(individual), result)
        fresh = iter(results)
        keys = map(key_of, individuals)
        return [self._finished[key] if key in self._finished else next(fresh) for key in keys]

    def keep(self, individual: Any, result: Any) -> None:
        """Keep the result of an evaluation that did not come from ``map``; their order is kept as well."""
        with _tolerating(self._folder, "finished evaluations"):
            self._folder.mkdir(parents=True, exist_ok=True)
        self._kept += 1
        _keep(self._folder, key_of(individual), result, self._kept)

    def first_finished(self, individuals: Sequence[Any]) -> tuple[int, Any] | None:
        """Of these individuals the one that ended first in the killed run: its index, and its result."""
        keys = [key_of(individual) for individual in individuals]
        return next(
            ((keys.index(key), result) for key, result in self._finished.items() if key in keys),
            None,
        )

    def _replace(self, data: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh, old = (
            self._folder / "state",
            self._folder / "previous",
        )  # if killed, they go with the folder
        write_atomically(fresh, data)
        with suppress(OSError):  # not every file system has hard links
            old.unlink(missing_ok=True)
            if self.path.exists():
                os.link(self.path, old)
                os.replace(old, self._previous)
            else:
                self._previous.unlink(missing_ok=True)  # an earlier run's
        os.replace(fresh, self.path)

    def _unpickled(self, path: Path) -> dict[str, Any]:
        """What a file of ours holds."""
        data = path.read_bytes()
        way_out = f"delete {path} to start over"
        if self._previous.exists():
            way_out += f", or go back by one state: mv {self._previous} {path}"
        if not data.startswith(_MAGIC):
            raise FileFormatError(
                f"{path} is not a checkpoint of deap_valp: give another path, or {way_out}"
            )
        _, version, length, checksum = _HEADER.unpack(
            data[: _HEADER.size].ljust(_HEADER.size, b"\0")
        )
        body = memoryview(data)[_HEADER.size :]
        if len(data) < _HEADER.size or len(body) != length or zlib.crc32(body) != checksum:
            raise FileFormatError(f"{path} is damaged, it has {len(data)} bytes: {way_out}")
        if version != VERSION:
            raise FileFormatError(
                f"{path} has format {version}, this deap_valp reads {VERSION}: {way_out}"
            )
        try:
            return pickle.loads(body)
        except Exception as error:
            raise FileFormatError(
                f"{path} does not load here ({type(error).__name__}: {error}): import what its objects are made of "
                f"and use the version of deap_valp that wrote it, or {way_out}"
            ) from error

    def _read_finished(self) -> None:
        found = {}
        for file in self._folder.glob("*.evaluation"):
            number, seed, sessions = map(int, file.stem.split("-"))
            with suppress(FileFormatError, OSError):  # damaged: that evaluation is repeated
                found[number, seed, sessions] = self._unpickled(file)
        self._finished = {
            (seed, sessions): found[number, seed, sessions]
            for number, seed, sessions in sorted(found)
        }
        self._kept = max((number for number, _, _ in found), default=0)


@dataclass(frozen=True)
class Keeping:
    """An evaluation that writes its result to a folder, on hosts that see it; picklable where the function is."""

    evaluate: Callable[[Any], Any]
    folder: Path

    def __call__(self, individual: Any) -> Any:
        key = key_of(individual)
        result = self.evaluate(individual)
        if self.folder.is_dir():
            _keep(self.folder, key, result)
        return result


def key_of(individual: Any) -> Key:
    """What names an evaluation: the individual, and how often it was trained since it was changed."""
    return individual.seed, 0 if individual.evaluation is None else individual.evaluation.sessions


def restore(target: Any, saved: Any) -> None:
    """Make an object of the caller's equal to its saved copy, in place."""
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
    try:
        body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    except Exception as error:  # pickle raises whatever it likes
        raise ValpError(
            f"{path} needs a state that pickles, got {type(error).__name__}: {error} (functions and classes at module "
            "level do, lambdas do not)"
        ) from error
    return _HEADER.pack(_MAGIC, VERSION, len(body), zlib.crc32(body)) + body


def _file(folder: Path, key: Key, number: int = 0) -> Path:
    return folder / f"{number}-{key[0]}-{key[1]}.evaluation"


def _keep(folder: Path, key: Key, result: Any, number: int = 0) -> None:
    data = _packed(result, folder)
    with _tolerating(folder, "a finished evaluation"):
        write_atomically(_file(folder, key, number), data)


@contextmanager
def _tolerating(path: Path, what: str, strict: bool = False) -> Iterator[None]:
    """A search does not end because it cannot be saved, unless it is ``strict``: it says so and goes on."""
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
