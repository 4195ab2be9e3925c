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
    """Turn ``"auto"`` into a GPU where this process finds one, and into the CPU elsewhere.

    The processes of a host share its GPUs: each process takes one for as long as it lives, the one
    that the fewest processes have taken. Any other device is returned as it is.

    Raises:
        EvaluationError: There is no such device here, or ``DEAP_VALP_WORKERS_PER_GPU`` is no number
            from 1 on.
    """
    if device != "auto":
        return _usable(device)
    if not torch.cuda.is_available():
        return torch.device("cpu")
    index = _slot_of(os.getpid())
    if index is None:
        return torch.device("cpu")
    return torch.device(f"cuda:{index}")


def _usable(device: str | torch.device) -> torch.device:
    """Return the device of this name, if this process can put a tensor there."""
    try:
        found = torch.device(device)
        if found.type != "cuda":
            torch.empty(0, device=found)
        elif not torch.cuda.is_available() or (found.index or 0) >= torch.cuda.device_count():
            raise RuntimeError(f"torch sees no {found}")
    # torch raises a TypeError, a RuntimeError or an AssertionError, and its builds differ.
    except Exception as error:
        names = [f"cuda:{index}" for index in range(torch.cuda.device_count())]
        here = ", ".join(names) if names else "no GPU"
        raise EvaluationError(
            f"deap_valp needs device as 'auto', 'cpu' or a device of torch that is here ({here}), "
            f"got {device!r}"
        ) from error
    return found


@functools.cache
def _slot_of(process: int) -> int | None:
    """Return the index of the GPU that a process takes; None where each has its full number.

    The argument is the number of this process: a fork, which has another, takes a GPU of its own.
    """
    limit = _workers_per_gpu()
    index = take_slot(_gpu_names(), limit)
    if index is None:
        logger.warning(
            "every GPU has its %s processes (%s), so this one uses the CPU", limit, WORKERS_PER_GPU
        )
    return index


def _workers_per_gpu() -> int | None:
    limit = os.environ.get(WORKERS_PER_GPU)
    if not limit:
        return None
    if not limit.isdecimal() or int(limit) == 0:
        raise EvaluationError(f"{WORKERS_PER_GPU} needs to be a number from 1 on, got {limit!r}")
    return int(limit)


def _gpu_names() -> list[str]:
    """Return what all processes of the host call the GPUs that this process sees."""
    names = [str(index) for index in range(torch.cuda.device_count())]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    for index, name in enumerate(visible[: len(names)]):
        names[index] = name or names[index]
    return names


def take_slot(names: Sequence[str], limit: int | None = None) -> int | None:
    """Take the lowest free slot of some devices for as long as this process lives.

    A slot is a locked file in the temporary directory, which the system unlocks when this process
    ends, however it ends. The first slots of all devices are taken before the second of any.

    Args:
        names: What all processes that share the devices call them.
        limit: How many slots a device has; by default as many as are asked for.

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
"""The locks of slots; a lock is released when nothing refers to it any more."""


def generator(device: torch.device, seed: int) -> torch.Generator | None:
    """Return a seeded generator on a device; None on ``meta``, whose tensors hold no numbers."""
    if device.type == "meta":
        return None
    return torch.Generator(device).manual_seed(seed)


def out_of_memory(error: Exception) -> bool:
    """Whether an exception says that memory ran out, on the host or on the device."""
    if isinstance(error, (MemoryError, torch.cuda.OutOfMemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(said in str(error) for said in _NO_ROOM)


_NO_ROOM = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")
"""What torch's allocators and CUDA's libraries say in a ``RuntimeError`` of no special type."""


def free() -> None:
    """Give back the memory of objects and tensors that nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread inside the context, and restore the setting after it.

    With two threads the last bits of a sum differ, so a result would depend on the process that
    computed it. Networks of this size gain nothing from a second thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
