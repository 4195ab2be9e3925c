"""What users register in their toolbox: ``scoopMap`` and ``scoopSubmit``."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

from ..arguments import need_type
from ..errors import DistributedError
from . import backend
from .call import Submitted
from .task import TaskOutcome, TasksFailed, attempt, pack

logger = logging.getLogger("deap_valp")


def scoopMap(
    function: Callable[..., Any],
    *iterables: Iterable[Any],
    evaluations: int | None = None,
    progress: bool = True,
    timeout: float | None = None,
) -> list[Any]:
    """Map over the workers that ``python -m deap_valp.scoop`` started; results are in order.

    Each task runs once, unless the worker that has it dies: then it is sent again. This process
    works too. Larger VALPs are started first, so that the last one to finish is a small one.
    Without such workers, and inside a task, the map runs here, one task after the other; the log
    of ``deap_valp`` says once that there are no workers. The results are the same, since an
    evaluation seeds itself from its individual.

    Args:
        function: What to call; it has to pickle.
        iterables: Its arguments, as for ``map``; they have to pickle.
        evaluations: How many tasks the whole run is expected to have. One progress bar, with the
            expected end, then lasts for all calls of this process that name the same number. By
            default each call has a bar of its own.
        progress: Whether to show a bar at all.
        timeout: Seconds that another process may take for a task before the task is sent again, as
            if that process had died: for a task that hangs in a process that still lives. By
            default there is no limit.

    Raises:
        Exception: The first exception, in the order of the tasks, that a task raised. It is raised
            when all the other tasks have ended. Its cause is a ``TasksFailed`` that says how many
            tasks failed, with the traceback, and keeps the other results.
        DistributedError: The function or an argument does not pickle, there is nothing to call or
            to map over, or SCOOP is shutting down.
    """
    _need_function(function, "scoopMap")
    if not iterables:
        raise DistributedError("scoopMap needs a list of arguments for the function, got none")
    for arguments in iterables:
        need_type(arguments, Iterable, "scoopMap", "lists of arguments", DistributedError)
    tasks = list(zip(*iterables, strict=False))
    with _bar(len(tasks), evaluations, progress) as count:
        if _has_workers():
            payloads = [pack(function, task) for task in tasks]
            largest_first = sorted(range(len(tasks)), key=lambda index: -_size(tasks[index]))
            outcomes = backend.map(payloads, largest_first, count, timeout)
        else:
            outcomes = _map_here(function, tasks, count)
    return _values(outcomes)


def scoopSubmit(function: Callable[..., Any], *arguments: Any) -> Submitted:
    """Start one task on SCOOP's workers: register it as ``toolbox.submit`` for ``eaSteadyState``.

    It is used as ``scoop.futures.submit``, but the task of a worker that dies is sent again. This
    process goes on searching, and runs the task only where no worker has begun it for a while.
    Without workers the task runs here, before this function returns.

    Returns:
        A future with ``done()`` and ``result()``.

    Raises:
        DistributedError: The function or an argument does not pickle.
    """
    _need_function(function, "scoopSubmit")
    if _has_workers():
        return backend.submit(pack(function, arguments))
    outcome = attempt(function, arguments)
    return Submitted(lambda seconds: outcome)


def _need_function(function: object, who: str) -> None:
    if not callable(function):
        raise DistributedError(f"{who} needs a function to call, got {function!r:.60}")


def _has_workers() -> bool:
    if not backend.started():
        _say_serial()
    return backend.has_workers()


@functools.cache
def _say_serial() -> None:
    # A warning, since Python shows nothing below it unless asked to.
    logger.warning(
        "scoopMap: SCOOP was not started (python -m deap_valp.scoop -n WORKERS script.py), so it "
        "runs serially"
    )


def _map_here(
    function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], count: Callable[[], Any]
) -> list[TaskOutcome]:
    outcomes = []
    for task in tasks:
        outcomes.append(attempt(function, task))
        count()
    return outcomes


def _size(task: tuple[Any, ...]) -> float:
    """Return what the time of a task grows with: the number of weights of its individual."""
    if not task:
        return 0
    return getattr(task[0], "weight_count", 0)


def _values(outcomes: Sequence[TaskOutcome]) -> list[Any]:
    """Return the values of tasks, or raise the first exception among them."""
    failed = [index for index, outcome in enumerate(outcomes) if outcome.error is not None]
    if not failed:
        return [outcome.value for outcome in outcomes]
    results = [outcome.value if outcome.error is None else outcome.error for outcome in outcomes]
    first = failed[0]
    message = (
        f"{len(failed)} of {len(outcomes)} tasks of scoopMap failed ({failed}); "
        f"task {first}:\n{outcomes[first].trace}"
    )
    raise results[first] from TasksFailed(message, results)


# ---- progress ------------------------------------------------------------------------------------

_bars: dict[int, tqdm[Any]] = {}
"""The bars that last for a whole run, by the expected number of tasks."""


@contextmanager
def _bar(tasks: int, evaluations: int | None, progress: bool) -> Iterator[Callable[[], Any]]:
    """Show a progress bar; the value of the context is a function that counts one ended task."""
    # Results of several workers come in bursts, so the expected end follows the long average.
    style = {"desc": "evaluations", "smoothing": 0.05}
    if not progress:
        yield lambda: None
    elif evaluations is None:
        with tqdm(total=tasks, leave=False, **style) as bar:
            yield bar.update
    else:
        if evaluations not in _bars:
            _bars[evaluations] = tqdm(total=evaluations, **style)
        bar = _bars[evaluations]
        yield bar.update
        if bar.n >= evaluations:
            _bars.pop(evaluations).close()
