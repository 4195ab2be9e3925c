"""Where this process computes, on how many threads, and what it does when memory runs out."""

from __future__ import annotations

import functools
import gc
import itertools
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch

from .errors import EvaluationError

logger = logging.getLogger("deap_valp")

WORKERS_PER_GPU = "DEAP_VALP_WORKERS_PER_GPU"
"""Environment variable: how many processes may compute on one GPU; by default any number."""


def choose(device: str | torch.device) -> torch.device:
    """Turn ``"auto"`` into CUDA where there is one, else the CPU; anything else is taken as it is.

    The processes of a host share its GPUs: each takes one for its life, that with the fewest of
    them.
    """
    if device != "auto":
        return torch.device(device)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index = _slot_of(os.getpid())
    return torch.device("cpu" if index is None else f"cuda:{index}")


@functools.cache
def _slot_of(process: int) -> int | None:
    """The GPU of this process. By its number, since a fork is to take one of its own."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    names = [
        named[i] if i < len(named) and named[i] else str(i)
        for i in range(torch.cuda.device_count())
    ]
    limit = os.environ.get(WORKERS_PER_GPU)
    if limit and not (limit.isdecimal() and int(limit)):
        raise EvaluationError(f"{WORKERS_PER_GPU} needs to be a number from 1 on, got {limit!r}")
    index = take_slot(names, int(limit) if limit else None)
    if index is None:
        logger.warning(
            "every GPU has its %s processes (%s), so this one uses the CPU", limit, WORKERS_PER_GPU
        )
    return index


def take_slot(names: Sequence[str], limit: int | None = None) -> int | None:
    """Take the lowest free slot of these devices, which the system frees when this process ends, however it does.

    Every device has its first slot taken before one has its second.

    Args:
        names: What the devices are called on this host, by all processes that share them.
        limit: Slots of a device; as many as are asked for by default.

    Returns:
        The index of the device, or None where no slot is free.
    """
    from filelock import FileLock, Timeout

    folder = Path(
        tempfile.gettempdir(), f"deap_valp-gpus-{getattr(os, 'getuid', lambda: 'user')()}"
    )
    folder.mkdir(mode=0o700, exist_ok=True)
    for slot in itertools.count() if limit is None else range(limit):
        for index, name in enumerate(names):
            lock = FileLock(folder / f"{name}-{slot}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            _held.append(lock)
            return index
    return None


_held: list[object] = []
"""Locks of slots: one that is forgotten is released."""


def generator(device: torch.device, seed: int) -> torch.Generator | None:
    """A seeded generator on ``device``; none on ``meta``, whose tensors hold no numbers."""
    return None if device.type == "meta" else torch.Generator(device).manual_seed(seed)


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that there was no room for something, on the host or on the device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _NO_ROOM)


_NO_ROOM = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""What torch's allocators and CUDA's libraries say in an exception that has no type of its own."""


def free() -> None:
    """Give back the memory of what nobody holds any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside, and restore the setting after.

    Two threads differ from one in the last bits of a sum, so a result would depend on who computed
    it; and networks of this size gain nothing from a second thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
