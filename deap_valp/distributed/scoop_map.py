"""What users call: ``scoopMap`` and ``scoopSubmit``."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

from .call import Call, Submitted
from .pool import pool
from .task import Outcome, TasksFailed, attempt, packed

logger = logging.getLogger("deap_valp")


def scoopMap(
    function: Callable[..., Any],
    *iterables: Iterable[Any],
    evaluations: int | None = None,
    progress: bool = True,
    timeout: float | None = None,
) -> list[Any]:
    """Map over the workers that ``python -m deap_valp.scoop`` started; results in order.

    Each task runs once, unless the worker that has it dies: then it is sent again. This process
    works too. Larger VALPs are started first, for a shorter end. Without such workers, and inside a
    task, it runs here, one after the other; the first is said once in the log of ``deap_valp``. The
    results are the same, since an evaluation seeds itself from its individual.

    Args:
        function: What to call; picklable.
        iterables: Its arguments, as for ``map``.
        evaluations: Number expected in the whole run; then one progress bar, with the expected end,
            lasts for all calls of this process that name the same number. By default each call has
            a bar of its own.
        progress: Whether to show a bar at all.
        timeout: Seconds that another process may take for a task before it is sent again, as if
            that process had died: for what hangs and yet can be reached. By default there is no
            limit.

    Raises:
        Exception: The first one, in order, that a task raised, when all the others have ended. Its
            cause is a ``TasksFailed`` that says how many failed, with the traceback, and keeps the
            other results.
        DistributedError: The function or an argument does not pickle, or SCOOP is shutting down.
    """
    tasks = list(zip(*iterables, strict=False))
    with _bar(len(tasks), evaluations, progress) as advance:
        return _results(
            _shared(function, tasks, advance, timeout)
            if _has_workers()
            else _serially(function, tasks, advance)
        )


def scoopSubmit(function: Callable[..., Any], *arguments: Any) -> Submitted:
    """Start one task on SCOOP's workers: ``toolbox.submit`` for ``eaSteadyState``.

    As ``scoop.futures.submit``, but the task of a worker that dies is sent again. This process
    searches meanwhile, and takes a task only where no worker has begun it for a while. Without
    workers the task runs here, at once.

    Raises:
        DistributedError: The function or an argument does not pickle.
    """
    if not _has_workers():
        return Submitted(outcome=attempt(function, arguments))
    return Submitted(Call(pool(), [packed(function, arguments)], lambda: None))


def scoop_started() -> bool:
    """Whether this process was started by SCOOP's launcher or ours."""
    import scoop

    return bool(getattr(scoop, "IS_RUNNING", False))


def _has_workers() -> bool:
    """Whether there are workers to share tasks with: what a task maps runs where the task does."""
    import scoop

    if not scoop_started():
        _say_serial()
        return False
    return bool(scoop.IS_ORIGIN and scoop.SIZE > 1 and not pool().working)


@functools.cache
def _say_serial() -> None:
    # A warning, since Python shows nothing below it unless asked to.
    logger.warning(
        "scoopMap: SCOOP was not started (python -m deap_valp.scoop -n WORKERS script.py), so it runs serially"
    )


def _serially(
    function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], advance: Callable[[], Any]
) -> list[Outcome]:
    outcomes = []
    for task in tasks:
        outcomes.append(attempt(function, task))
        advance()
    return outcomes


def _results(outcomes: Sequence[Outcome]) -> list[Any]:
    failed = [index for index, outcome in enumerate(outcomes) if outcome.error is not None]
    results = [outcome.value if outcome.error is None else outcome.error for outcome in outcomes]
    if not failed:
        return results
    first = outcomes[failed[0]]
    message = f"{len(failed)} of {len(outcomes)} tasks of scoopMap failed ({failed}); task {failed[0]}:\n{first.trace}"
    raise results[failed[0]] from TasksFailed(message, results)


def _shared(
    function: Callable[..., Any],
    tasks: Sequence[tuple[Any, ...]],
    advance: Callable[[], Any],
    timeout: float | None,
) -> list[Outcome]:
    payloads = [packed(function, task) for task in tasks]
    largest_first = sorted(range(len(tasks)), key=lambda index: -_size(tasks[index]))
    outcomes = Call(pool(), payloads, advance, timeout).run(largest_first)
    return [outcomes[index] for index in range(len(tasks))]


def _size(task: tuple[Any, ...]) -> float:
    """What the time of a task grows with: the weights of its individual."""
    return getattr(task[0], "weight_count", 0) if task else 0


# ---- progress ------------------------------------------------------------------------------------

_bars: dict[int, tqdm[Any]] = {}


@contextmanager
def _bar(tasks: int, evaluations: int | None, progress: bool) -> Iterator[Callable[[], Any]]:
    """Gives the function that counts one finished task."""
    if not progress:
        yield lambda: None
    elif evaluations is None:
        # Results of several workers come in bursts: the expected end is to follow the average.
        with tqdm(total=tasks, desc="evaluations", leave=False, smoothing=0.05) as bar:
            yield bar.update
    else:
        if evaluations not in _bars:
            _bars[evaluations] = tqdm(total=evaluations, desc="evaluations", smoothing=0.05)
        bar = _bars[evaluations]
        yield bar.update
        if bar.n >= evaluations:
            _bars.pop(evaluations).close()
