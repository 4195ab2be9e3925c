"""A pretended GPU: tensors that say they are elsewhere, and compute on the CPU.

They say ``meta``, since torch without CUDA has no other device that tensors may claim. What a GPU
would refuse is refused (tensors of two devices in one operation, a generator of another
device), and what would make the host wait for it is counted. Results are those of the CPU up to the
last bits.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

import deap_valp as valp
from deap_valp import device as devices
from deap_valp.diagnosis.probe import _OF_INPUTS

DEVICE = torch.device("meta")
aten = torch.ops.aten

WAITS = (aten._local_scalar_dense.default, aten.equal.default, aten.nonzero.default)
"""Operations whose result the host needs: a number, a comparison, the length of a result."""


INDEXING = (aten.index.Tensor, aten.index_put_.default)
"""Operations that copy an index from the CPU by themselves."""


class OnGPU(torch.Tensor):
    """A tensor that says it is on the GPU; ``inner`` is the one on the CPU."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor, requires_grad: bool = False) -> OnGPU:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=DEVICE,
            requires_grad=requires_grad,
        )
        made.inner = inner
        return made

    @property
    def data(self) -> torch.Tensor:
        return self.detach()

    @data.setter
    def data(self, other: torch.Tensor) -> None:
        assert self.shape == other.shape and isinstance(other, OnGPU)
        self.inner = other.inner

    def __repr__(self, **_: Any) -> str:  # type: ignore[override]
        return f"OnGPU({self.inner})"

    def new_tensor(self, data: Any, **options: Any) -> OnGPU:  # type: ignore[override]
        return OnGPU(self.inner.new_tensor(data, **options))

    def tolist(self) -> Any:
        return self.cpu().tolist()

    def __getitem__(self, index: Any) -> torch.Tensor:
        # On the real meta device, torch makes an index of a list without its numbers.
        return super().__getitem__(torch.tensor(index) if isinstance(index, list) else index)

    def __matmul__(self, other: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        # torch would take the first dimension away in place, which a wrapper does not see.
        return (self[None] @ other)[0] if self.dim() == 1 < other.dim() else super().matmul(other)

    def numpy(self, *, force: bool = False) -> Any:
        raise TypeError("numpy needs a tensor on the CPU, got one on the pretended GPU")

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        raise RuntimeError(f"{function} on the pretended GPU outside of pretending()")


@dataclass
class Seen:
    """What a pretended GPU saw.

    Attributes:
        waits: The operations for which the host waited, in their order.
        uploads: Numbers of elements that were copied to it, in their order.
    """

    waits: list[str] = field(default_factory=list)
    uploads: list[int] = field(default_factory=list)


class _Mode(TorchDispatchMode):
    def __init__(self, seen: Seen) -> None:
        super().__init__()
        self.seen = seen

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = dict(kwargs or {})
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        there = [tensor for tensor in given if isinstance(tensor, OnGPU)]
        goal = kwargs.get("device")
        if goal is not None and torch.device(goal) == DEVICE:
            kwargs["device"] = torch.device("cpu")
            upload = function is aten._to_copy.default and not there
            return self._wrapped(function, args, kwargs, upload)
        if not there:
            return function(*args, **kwargs)
        if function is aten._to_copy.default and goal is not None:
            return self._waited(function, args, kwargs)
        if function is aten.copy_.default and len(there) == 1:
            if there[0] is args[0]:
                return self._wrapped(function, args, kwargs, True)
            return self._waited(function, args, kwargs)
        strangers = [one for one in given if not isinstance(one, OnGPU) and one.dim() > 0]
        if (
            strangers
            and function in INDEXING
            and all(one.dtype == torch.int64 for one in strangers)
        ):
            return self._wrapped(function, args, kwargs, True)
        if strangers:
            raise RuntimeError(
                f"{function} needs tensors of one device, got the pretended GPU and the CPU"
            )
        if function in WAITS:
            return self._waited(function, args, kwargs)
        return self._wrapped(function, args, kwargs, False)

    def _waited(self, function, args, kwargs):
        self.seen.waits.append(str(function))
        result = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        return tree_map(_outer, result) if function is aten.nonzero.default else result

    def _wrapped(self, function, args, kwargs, upload):
        result = function(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if upload:
            self.seen.uploads.append(result.numel())
        owners = {
            id(one.inner): one for one in tree_leaves((args, kwargs)) if isinstance(one, OnGPU)
        }

        def outer(value):
            # An operation in place gives the tensor that it was given.
            return owners[id(value)] if id(value) in owners else _outer(value)

        return tree_map(outer, result)


def _inner(value):
    return value.inner if isinstance(value, OnGPU) else value


def _outer(value):
    return OnGPU(value) if isinstance(value, torch.Tensor) else value


@contextlib.contextmanager
def pretending(monkeypatch: Any, problem: valp.Problem) -> Iterator[Seen]:
    """Pretend that the device ``meta`` is a GPU, and say what it saw.

    What the problem has there is forgotten before and after, as tensors are pretended ones or not.
    """
    with monkeypatch.context() as patch:
        patch.setattr(
            devices, "generator", lambda device, seed: torch.Generator().manual_seed(seed)
        )
        seen = Seen()
        _forget(problem)
        with _Mode(seen):
            yield seen
        _forget(problem)


def _forget(problem: valp.Problem) -> None:
    for key in [key for key in problem._on_device if key[1] == DEVICE]:
        del problem._on_device[key]
    _OF_INPUTS.pop(problem, None)
