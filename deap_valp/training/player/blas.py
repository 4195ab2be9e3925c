"""The matrix products of the compiled player: which library computes which.

torch's own library (MKL in its builds for Intel and AMD) is the faster for large products and where
both matrices lie transposed; scipy's (OpenBLAS) is for small ones. The choice depends on the sizes
alone, so that all processes compute alike.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from numba.extending import get_cython_function_address

SMALL = 2**20
"""The size, in multiplications, from which on torch's library is used."""

NARROW = 512
"""The same for the numbers of a result whose first factor lies transposed, as BLAS sees it."""


class Blas:
    """The addresses of the function ``sgemm`` of both libraries.

    Where torch has no such function to call, scipy's computes everything.
    """

    def __init__(self) -> None:
        self.scipy: int = get_cython_function_address("scipy.linalg.cython_blas", "sgemm")
        self.torch = _torch_sgemm() or self.scipy

    def sgemm(self, turn_a: str, rows: int, columns: int, inner: int) -> int:
        """Return the address of the function for a product of this size."""
        if turn_a == "T":
            small = rows * columns <= NARROW
        else:
            small = rows * columns * inner <= SMALL
        return self.scipy if small else self.torch


@functools.cache
def here() -> Blas:
    """Return the libraries of this process."""
    return Blas()


def _torch_sgemm() -> int | None:
    """Return the address of ``sgemm`` in torch's library; None where it has none of this name."""
    for name in ("libtorch_cpu.so", "torch_cpu.dll", "libtorch_cpu.dylib"):
        path = Path(torch.__file__).with_name("lib") / name
        if path.exists():
            function = getattr(ctypes.CDLL(str(path)), "sgemm_", None)
            return ctypes.cast(function, ctypes.c_void_p).value if function else None
    return None


@functools.cache
def _controller() -> Any:
    import scipy.linalg.cython_blas  # noqa: F401 (the controller has to see its library)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


@contextmanager
def one_thread() -> Iterator[None]:
    """Let scipy's library compute on one thread inside the context; torch's follows torch."""
    libraries = [one for one in _controller().lib_controllers if one.user_api == "blas"]
    before = [library.get_num_threads() for library in libraries]
    for library in libraries:
        library.set_num_threads(1)
    try:
        yield
    finally:
        for library, threads in zip(libraries, before, strict=True):
            library.set_num_threads(threads)
