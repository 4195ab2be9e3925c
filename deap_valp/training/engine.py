"""Engines: what takes the steps of a session, torch or the compiled player."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from ..errors import EngineError, EvaluationError, MissingExtraError
from .course import Course, Taker, TorchSteps

logger = logging.getLogger("deap_valp")

AUTO, TORCH, COMPILED = "auto", "torch", "compiled"
ENGINES = (AUTO, TORCH, COMPILED)

_decided: list[str] = []


def check_engine(engine: str, caller: str) -> None:
    """Raise if there is no such engine, or if it cannot run in this process.

    Raises:
        EvaluationError: There is no engine of this name.
        MissingExtraError: The engine needs numba, which is not installed.
    """
    if engine not in ENGINES:
        raise EvaluationError(f"{caller} needs engine as one of {list(ENGINES)}, got {engine!r}")
    if engine == COMPILED and not has_numba():
        raise MissingExtraError(
            f"{caller} needs numba for engine={engine!r}: pip install 'deap_valp[compiled]'"
        )


@functools.cache
def has_numba() -> bool:
    """Return whether the compiled player can run in this process."""
    try:
        import numba  # noqa: F401 (one that does not fit this numpy raises here)
    except ImportError:
        return False
    return True


def decided() -> str:
    """Return the engine that ``"auto"`` tries first: here, or where this task came from."""
    if _decided:
        return _decided[-1]
    return COMPILED if has_numba() else TORCH


@contextmanager
def deciding(engine: str) -> Iterator[None]:
    """Let ``"auto"`` try this engine first inside the context, whatever is installed here."""
    _decided.append(engine)
    try:
        yield
    finally:
        _decided.pop()


@dataclass(frozen=True)
class Decided:
    """A function that is called with ``"auto"`` decided. It pickles if the function does."""

    function: Callable[..., Any]
    engine: str

    def __call__(self, *arguments: Any) -> Any:
        """Return what the function returns."""
        with deciding(self.engine):
            return self.function(*arguments)


def taker(engine: str, course: Course) -> Taker:
    """Return the object that takes the steps of a session.

    The compiled player takes a session as a whole or not at all. It can if everything is on the
    CPU in 32 bits and it has an operation for every stage, loss, activation and SGD algorithm.
    With ``"auto"``, torch takes the others.

    Raises:
        EngineError: The engine is ``"compiled"``, and it cannot.
        MissingExtraError: It is, or ``"auto"`` means it where the task comes from, and numba is
            not installed.
    """
    check_engine(engine, "train")
    if engine == TORCH:
        return TorchSteps(course)
    if engine == AUTO and decided() == TORCH:
        why = "as where its task or checkpoint comes from"
        if not has_numba():
            why = "since numba is not installed"
        _say_once(f"torch, {why}")
        return TorchSteps(course)
    if not has_numba():
        raise MissingExtraError(
            "this process needs numba, because engine='auto' means 'compiled' where its task or "
            "its checkpoint comes from: pip install 'deap_valp[compiled]' here, or use "
            "engine='torch' there"
        )
    from .player.program import Unknown
    from .player.session import CompiledSteps

    try:
        found = CompiledSteps(course)
    except Unknown as reason:
        if engine == COMPILED:
            raise EngineError(
                f"engine='compiled' has no operation for {reason}: "
                "use engine='auto' or engine='torch'"
            ) from reason
        _say_once(f"torch, since the compiled player has no operation for {reason}")
        return TorchSteps(course)
    if engine == AUTO:
        _say_once("the compiled player")
    return found


@functools.cache
def _say_once(what: str) -> None:
    logger.info("engine='auto' trains with %s", what)
