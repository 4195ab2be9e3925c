"""One task: what travels to the process that runs it, and what comes back."""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DistributedError


@dataclass(frozen=True)
class Outcome:
    """What became of a task: its value, or the exception that it raised and where."""

    value: Any = None
    error: BaseException | None = None
    trace: str = ""


class TasksFailed(DistributedError):
    """Why a map ended with an exception: the cause of the exception that it raises.

    Attributes:
        results: One entry per task in order: its result, or the exception that it raised.
    """

    def __init__(self, message: str, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.results = list(results)


def attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    """Call a function; an exception is an outcome too."""
    try:
        return Outcome(function(*arguments))
    except Exception as error:
        return Outcome(error=error, trace=traceback.format_exc())


def packed(function: Callable[..., Any], task: tuple[Any, ...]) -> bytes:
    """Pack a task to send it, or say what about it does not pickle."""
    try:
        return pickle.dumps((function, task), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise DistributedError(
            f"scoopMap needs a function and arguments that pickle, got {function!r} for {task!r} ({error}): define "
            "functions and creator classes at module level; lambdas and toolbox.decorate do not pickle"
        ) from error


def perform(payload: bytes) -> bytes:
    """Run a packed task and pack its outcome. Never raises: that would end a worker, and SCOOP with it."""
    outcome = attempt(_unpack_and_call, (payload,))
    try:
        result = pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
        if outcome.error is not None:
            pickle.loads(
                result
            )  # exceptions with arguments of their own may pickle and not come back
        return result
    except Exception as error:
        what = (
            f"exception {outcome.error!r}"
            if outcome.error is not None
            else f"result {type(outcome.value).__name__}"
        )
        problem = DistributedError(
            f"scoopMap needs results and exceptions that pickle, got the {what}: {error}"
        )
        return pickle.dumps(Outcome(error=problem, trace=outcome.trace or traceback.format_exc()))


def _unpack_and_call(payload: bytes) -> Any:
    function, task = pickle.loads(payload)
    return function(*task)


def opened(result: bytes) -> Outcome:
    """Unpack an outcome; where that fails, the failure is the outcome."""
    opening = attempt(pickle.loads, (result,))
    return opening if opening.error is not None else opening.value
