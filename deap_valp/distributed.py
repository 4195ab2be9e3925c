"""``scoopMap``: the evaluations of a generation over SCOOP's workers, or here where SCOOP was not started."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from tqdm.auto import tqdm

logger = logging.getLogger("deap_valp")

_bars: dict[int, tqdm[Any]] = {}


def scoop_started() -> bool:
    """Whether this process was started by ``python -m scoop``."""
    import scoop

    return bool(getattr(scoop, "IS_RUNNING", False))


def scoopMap(
    function: Callable[..., Any],
    *iterables: Iterable[Any],
    evaluations: int | None = None,
    progress: bool = True,
) -> list[Any]:
    """Map over the workers that ``python -m scoop`` started; results in order.

    Without ``-m scoop`` it runs here, one after the other, and says so once in the log of ``deap_valp``. The results
    are the same, since an evaluation seeds itself from its individual.

    Args:
        function: What to call; picklable.
        iterables: Its arguments, as for ``map``.
        evaluations: Number expected in the whole run; then one progress bar, with the expected end, lasts for all
            calls. By default each call has a bar of its own.
        progress: Whether to show a bar at all.
    """
    tasks = list(zip(*iterables, strict=False))
    results = []
    with _bar(len(tasks), evaluations, progress) as advance:
        for result in _results(function, tasks):
            results.append(result)
            advance()
    return results


def _results(function: Callable[..., Any], tasks: list[tuple[Any, ...]]) -> Iterator[Any]:
    if scoop_started():
        from scoop import futures

        return iter(futures.map(function, *zip(*tasks, strict=True))) if tasks else iter(())
    _say_serial()
    return (function(*task) for task in tasks)


_said: list[str] = []


def _say_serial() -> None:
    if not _said:
        _said.append("serial")
        logger.info("scoopMap: SCOOP was not started (python -m scoop -n WORKERS script.py), so it runs serially")


@contextmanager
def _bar(tasks: int, evaluations: int | None, progress: bool) -> Iterator[Callable[[], Any]]:
    """Gives the function that counts one finished task."""
    if not progress:
        yield lambda: None
    elif evaluations is None:
        with tqdm(total=tasks, desc="evaluations", leave=False) as bar:
            yield bar.update
    else:
        bar = _bars.setdefault(evaluations, tqdm(total=evaluations, desc="evaluations"))
        yield bar.update
        if bar.n >= evaluations:
            _bars.pop(evaluations).close()
