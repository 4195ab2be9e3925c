"""One task: what travels to the process that runs it, and what comes back.

A task is a function with its arguments. Both directions are bytes, so that whoever carries them
needs neither the function nor the classes of its arguments.
"""

from __future__ import annotations

import pickle
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import DistributedError
from ..training import decided, deciding


@dataclass(frozen=True)
class TaskOutcome:
    """What became of a task: its value, or the exception that it raised.

    Attributes:
        value: What the function returned; None where it raised an exception.
        error: The exception; None where there was none.
        trace: The traceback of the exception, as text, since tracebacks do not pickle.
    """

    value: Any = None
    error: BaseException | None = None
    trace: str = ""


class TasksFailed(DistributedError):
    """The cause of the exception that a map raises when tasks of it failed.

    Attributes:
        results: One entry per task, in order: its result, or the exception that it raised.
    """

    def __init__(self, message: str, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.results = list(results)


def attempt(function: Callable[..., Any], arguments: tuple[Any, ...]) -> TaskOutcome:
    """Call a function here; an exception that it raises becomes part of the outcome."""
    try:
        return TaskOutcome(function(*arguments))
    except Exception as error:
        return TaskOutcome(error=error, trace=traceback.format_exc())


def pack(function: Callable[..., Any], arguments: tuple[Any, ...]) -> bytes:
    """Turn a task into bytes.

    What the engine ``"auto"`` of ``evaluate`` means travels along, so that all workers compute
    alike.

    Raises:
        DistributedError: The function or an argument does not pickle.
    """
    try:
        return pickle.dumps((function, arguments, decided()), pickle.HIGHEST_PROTOCOL)
    except Exception as error:
        raise DistributedError(
            "scoopMap needs a function and arguments that pickle, "
            f"got {function!r} for {arguments!r} ({error}): define functions and creator classes "
            "at module level; lambdas and toolbox.decorate do not pickle"
        ) from error


def perform(payload: bytes) -> bytes:
    """Run a task that ``pack`` made, and return its outcome as bytes for ``unpack``.

    It raises no ``Exception``, since one that left it would end the worker that runs the task.
    """
    outcome = attempt(_call, (payload,))
    try:
        result = pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
        if outcome.error is not None:
            # An exception whose constructor takes other arguments pickles and does not unpickle.
            pickle.loads(result)
        return result
    except Exception as error:
        problem = DistributedError(
            "scoopMap needs results and exceptions that pickle, "
            f"got the {_what_came_back(outcome)}: {error}"
        )
        trace = outcome.trace or traceback.format_exc()
        return pickle.dumps(TaskOutcome(error=problem, trace=trace))


def unpack(result: bytes) -> TaskOutcome:
    """Return the outcome in bytes that ``perform`` made, or the reason why they do not unpickle."""
    opening = attempt(pickle.loads, (result,))
    if opening.error is not None:
        return opening
    outcome: TaskOutcome = opening.value
    return outcome


def _call(payload: bytes) -> Any:
    function, arguments, engine = pickle.loads(payload)
    with deciding(engine):
        return function(*arguments)


def _what_came_back(outcome: TaskOutcome) -> str:
    if outcome.error is not None:
        return f"exception {outcome.error!r}"
    return f"result {type(outcome.value).__name__}"
