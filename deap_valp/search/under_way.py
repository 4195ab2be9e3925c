"""Evaluations that run at the same time, of which the first to finish is taken."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

from .run import Run


@dataclass
class _Here:
    """The future of a toolbox without ``submit``: it evaluates when its result is asked for."""

    evaluate: Any
    individual: Any

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self.evaluate(self.individual)


@dataclass
class UnderWay:
    """The candidates that are still to be evaluated, in the order in which they were made."""

    run: Run
    workers: int
    candidates: list[Any] = field(default_factory=list)
    _futures: dict[int, Any] = field(default_factory=dict)

    def evaluate(self, individuals: Sequence[Any]) -> list[Any]:
        """Evaluate the individuals without a valid fitness, wait for all, and return them."""
        invalid = [individual for individual in individuals if not individual.fitness.valid]
        self.candidates += invalid
        while self.candidates:
            self.take()
        return invalid

    def take(self) -> Any:
        """Remove and return the candidate that finishes first, with its fitness.

        Where several have finished, this is the one that was made first.
        """
        checkpoint, found = self.run.checkpoint, None
        if checkpoint is not None:
            found = checkpoint.first_finished(self.candidates)
        index, evaluation = found or self.run.explained(self._first_done, self.candidates)
        candidate = self.candidates.pop(index)
        self._futures.pop(id(candidate), None)
        if checkpoint is not None and found is None:
            checkpoint.keep(candidate, evaluation)
        self.run.assign(candidate, evaluation)
        if self.run.step > 0 or not self.candidates:
            self.run.stop_where_all_fail()
        return candidate

    def cancel(self) -> None:
        """Cancel what is under way, and wait a second at most for what cannot be cancelled."""
        submitted = list(self._futures.values())
        self._futures.clear()
        for future in submitted:
            if hasattr(future, "cancel"):
                future.cancel()
        futures.wait([future for future in submitted if isinstance(future, futures.Future)], 1.0)

    def _first_done(self) -> tuple[int, Any]:
        """Return the index of the first finished candidate, and its evaluation."""
        submit, evaluate = getattr(self.run.toolbox, "submit", _Here), self.run.toolbox.evaluate
        if self.run.checkpoint is not None:
            evaluate = self.run.checkpoint.bound(evaluate)
        for candidate in self.candidates:
            if id(candidate) not in self._futures and len(self._futures) < self.workers:
                self._futures[id(candidate)] = submit(evaluate, candidate)
        submitted = {
            i: self._futures[id(c)] for i, c in enumerate(self.candidates) if id(c) in self._futures
        }
        while not any(future.done() for future in submitted.values()):
            _wait(list(submitted.values()))
        return next(
            (index, future.result()) for index, future in submitted.items() if future.done()
        )


def _wait(under_way: Sequence[Any], seconds: float = 0.02) -> None:
    """Wait until a future is done, or for a moment if these futures have no common wait."""
    if all(isinstance(future, futures.Future) for future in under_way):
        futures.wait(under_way, return_when=futures.FIRST_COMPLETED)
    else:
        # The futures of dask and SCOOP come here. SCOOP's take in results when they are asked
        # whether they are done, which the caller does next.
        time.sleep(seconds)
