"""Where this process computes, and on how many threads."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def choose(device: str | torch.device) -> torch.device:
    """Turn ``"auto"`` into CUDA where there is one, else the CPU; anything else is taken as it is."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(device)


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

    Two threads differ from one in the last bits of a sum, so a result would depend on who computed it; and
    networks of this size gain nothing from a second thread.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
