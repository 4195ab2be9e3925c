"""Searches with a population, whose mutations see the population.

References:
    Paper IV-B 5, IV-E (relative performance, donation). Real et al. 2019, Regularized Evolution for
    Image Classifier Architecture Search.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from concurrent import futures
from dataclasses import dataclass, field
from math import ceil
from typing import Any

from deap import base, tools

from ..errors import ValpError
from ..selection import mutGuided
from ..variation.operators import Move
from .checkpoint import Checkpoint
from .genealogy import Entry
from .run import Run


def eaGuided(
    population: list[Any],
    toolbox: base.Toolbox,
    mu: int,
    lambda_: int,
    cxpb: float,
    mutpb: float,
    ngen: int,
    stats: Any = None,
    halloffame: Any = None,
    verbose: bool = __debug__,
    *,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
) -> tuple[list[Any], tools.Logbook]:
    """DEAP's ``eaMuPlusLambda``, except that the choice of a mutation sees the population.

    So it can compare its individuals and choose a donation. A child is mated (``cxpb``; the first
    of the two is kept), mutated (``mutpb``) or its parent itself. The population evolves in place.

    Args:
        population: Evaluated first where a fitness is not valid.
        toolbox: ``evaluate``, ``selMutation`` (called with the individual and the population),
            ``mate``, ``select``, ``clone``, ``map``; ``feedback``, where there is one, is called
            with each child once it is evaluated. Where ``mutate`` was registered with
            ``select=...``, as for ``mutGuided``, it is used with that choice, so that what it is
            decorated with (``tools.History``) takes part.
        mu: Number of individuals selected for the next generation.
        lambda_: Number of children in each generation.
        cxpb: Probability that a child is made by mating.
        mutpb: Probability that it is made by mutation.
        ngen: Number of generations.
        stats: Compiled over the population, in every record.
        halloffame: Updated with all children.
        verbose: Whether to print each record.
        archive: A list to which an ``Entry`` of every individual evaluated is appended.
        checkpoint: Where to save, and to go on from after a kill.
        progress: Whether to show a bar with the expected end.

    Returns:
        The population, and a logbook of one record a generation: ``gen``, ``nevals``, and what
        ``stats`` adds.

    Raises:
        ValpError: The probabilities are not between 0 and 1 together.
    """
    _check_probabilities("eaGuided", cxpb, mutpb)
    run = Run("eaGuided", toolbox, stats, halloffame, archive, verbose, progress, checkpoint)
    run.logbook.header = ["gen", "nevals", *(stats.fields if stats is not None else ())]
    for gen in run.steps(ngen, population=population):
        children = (
            [_child(population, toolbox, cxpb, mutpb) for _ in range(lambda_)]
            if gen
            else list(population)
        )
        evaluated = run.evaluate(children)
        if gen:
            population[:] = toolbox.select(population + children, mu)
        run.record(population, children, evaluated)
    return population, run.logbook


def eaAging(
    population: list[Any],
    toolbox: base.Toolbox,
    ngen: int,
    stats: Any = None,
    halloffame: Any = None,
    verbose: bool = __debug__,
    *,
    lambda_: int = 1,
    sample_size: int | None = None,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
) -> tuple[list[Any], tools.Logbook]:
    """Regularized evolution: the best of a sample is mutated, its child enters, and the oldest individual dies.

    Nothing survives by its values alone, so a lucky evaluation does not stay for ever;
    ``halloffame`` keeps the best. The population evolves in place and stands in order of age, the
    oldest first. What is not named here is as in ``eaGuided``.

    Args:
        population: In order of age.
        toolbox: As for ``eaGuided``, without ``mate``. ``select`` is called with a sample and 1.
        ngen: Number of generations.
        stats: Compiled over the population, in every record.
        halloffame: Updated with all children.
        verbose: Whether to print each record.
        lambda_: Children in each generation, evaluated side by side by ``toolbox.map``; the
            method's own is 1.
        sample_size: Drawn for each child, with replacement; by default a quarter of the population,
            as in the method's largest experiment.
        archive: As for ``eaGuided``.
        checkpoint: As for ``eaGuided``.
        progress: As for ``eaGuided``.

    Raises:
        ValpError: ``lambda_`` or ``sample_size`` is not positive.

    References:
        Real et al. 2019, Algorithm 1.
    """
    size = max(2, len(population) // 4) if sample_size is None else sample_size
    for name, value in (("lambda_", lambda_), ("sample_size", size)):
        if value < 1:
            raise ValpError(f"eaAging needs {name} to be 1 or more, got {value}")
    run = Run("eaAging", toolbox, stats, halloffame, archive, verbose, progress, checkpoint)
    run.logbook.header = ["gen", "nevals", *(stats.fields if stats is not None else ())]
    for gen in run.steps(ngen, ceil(len(population) / lambda_), population=population):
        children = (
            [_aging_child(population, toolbox, size) for _ in range(lambda_)]
            if gen
            else list(population)
        )
        evaluated = run.evaluate(children)
        if gen:
            population[:] = [*population, *children][lambda_:]
        run.record(population, children, evaluated)
    return population, run.logbook


def eaSteadyState(
    population: list[Any],
    toolbox: base.Toolbox,
    nevals: int,
    stats: Any = None,
    halloffame: Any = None,
    verbose: bool = __debug__,
    *,
    cxpb: float = 0.3,
    workers: int = 1,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = False,
) -> tuple[list[Any], tools.Logbook]:
    """``eaGuided`` without generations: a worker that finishes gets the next candidate at once.

    Each candidate is compared with the population as soon as it is evaluated, and
    ``toolbox.select`` leaves out one of them all. The population evolves in place. What is not
    named here is as in ``eaGuided``.

    With ``workers=1`` the same ``random.seed`` gives the same search. With more, the order in which
    they finish takes part; a checkpoint keeps that order, so that a killed run goes on from the
    same population all the same.

    Args:
        population: Evaluated first where a fitness is not valid.
        toolbox: As for ``eaGuided``, and ``submit(evaluate, individual)``, which returns a future
            with ``done()`` and ``result()``, as do ``scoopSubmit``, the executors of
            ``concurrent.futures`` and the client of dask. Without it, evaluations run here. ``map``
            is not used.
        nevals: Number of candidates, after the population.
        stats: Compiled over the population, in every record.
        halloffame: Updated with all candidates.
        verbose: Whether to print each record.
        cxpb: Probability that a candidate is made by mating; otherwise it is mutated.
        workers: Number of evaluations under way at a time.
        archive: As for ``eaGuided``.
        checkpoint: As for ``eaGuided``.
        progress: As for ``eaGuided``.

    Returns:
        The population, and a logbook of one record a candidate.

    Raises:
        ValpError: ``cxpb`` is not between 0 and 1, or ``workers`` is not positive.
    """
    _check_probabilities("eaSteadyState", cxpb, 1 - cxpb)
    if workers < 1:
        raise ValpError(f"eaSteadyState needs workers to be 1 or more, got {workers}")
    run = Run("eaSteadyState", toolbox, stats, halloffame, archive, verbose, progress, checkpoint)
    run.logbook.header = ["gen", "nevals", *(stats.fields if stats is not None else ())]
    mu, under_way = len(population), _UnderWay(run, workers)
    for count in run.steps(nevals, mu, population=population, candidates=under_way.candidates):
        if count:
            while len(under_way.candidates) < min(workers, nevals - count + 1):
                under_way.candidates.append(_child(population, toolbox, cxpb, 1 - cxpb))
            candidates = evaluated = [under_way.take()]
            population[:] = toolbox.select(population + candidates, mu)
        else:
            candidates, evaluated = list(population), under_way.evaluate(population)
        run.record(population, candidates, evaluated)
    return population, run.logbook


# ---- children ------------------------------------------------------------------------------------


def _check_probabilities(search: str, cxpb: float, mutpb: float) -> None:
    if not (0 <= cxpb <= 1 and 0 <= mutpb <= 1 and cxpb + mutpb <= 1 + 1e-9):
        raise ValpError(
            f"{search} needs cxpb and mutpb from 0 on, together at most 1, got {cxpb} and {mutpb}"
        )


def _child(population: Sequence[Any], toolbox: base.Toolbox, cxpb: float, mutpb: float) -> Any:
    """Draws as DEAP's ``varOr`` does."""
    choice = random.random()
    if choice < cxpb:
        host, donor = random.sample(population, 2)
        return _mated(host, donor, toolbox)
    if choice < cxpb + mutpb:
        return _mutated(random.choice(population), population, toolbox)
    return random.choice(population)


def _aging_child(population: Sequence[Any], toolbox: base.Toolbox, sample_size: int) -> Any:
    [parent] = toolbox.select(random.choices(population, k=sample_size), 1)
    return _mutated(parent, population, toolbox)


def _mated(host: Any, donor: Any, toolbox: base.Toolbox) -> Any:
    child = toolbox.mate(toolbox.clone(host), toolbox.clone(donor))[0]
    del child.fitness.values
    return child


def _mutated(parent: Any, population: Sequence[Any], toolbox: base.Toolbox) -> Any:

    def select(individual: Any) -> Move | None:
        move: Move | None = toolbox.selMutation(individual, population)
        return move

    takes_select = "select" in getattr(getattr(toolbox, "mutate", None), "keywords", {})
    mutate: Any = toolbox.mutate if takes_select else mutGuided
    child = mutate(toolbox.clone(parent), select=select)[0]
    del child.fitness.values
    return child


# ---- evaluations under way -----------------------------------------------------------------------


@dataclass
class _Here:
    """The future of a toolbox without ``submit``: evaluated when its result is asked for."""

    evaluate: Any
    individual: Any

    def done(self) -> bool:
        return True

    def result(self) -> Any:
        return self.evaluate(self.individual)


@dataclass
class _UnderWay:
    """Candidates whose evaluation has not been taken yet, in the order in which they were made."""

    run: Run
    workers: int
    candidates: list[Any] = field(default_factory=list)
    _futures: dict[int, Any] = field(default_factory=dict)

    def evaluate(self, individuals: Sequence[Any]) -> list[Any]:
        """Evaluate those without a fitness, and wait for all of them."""
        invalid = [individual for individual in individuals if not individual.fitness.valid]
        self.candidates += invalid
        while self.candidates:
            self.take()
        return invalid

    def take(self) -> Any:
        """Take out the candidate that is finished first, with its fitness; of several, that which was made first."""
        checkpoint = self.run.checkpoint
        found = checkpoint.first_finished(self.candidates) if checkpoint is not None else None
        index, evaluation = found or self._first_done()
        candidate = self.candidates.pop(index)
        self._futures.pop(id(candidate), None)
        if checkpoint is not None and found is None:
            checkpoint.keep(candidate, evaluation)
        self.run.assign(candidate, evaluation)
        return candidate

    def _first_done(self) -> tuple[int, Any]:
        submit = getattr(self.run.toolbox, "submit", _Here)
        for candidate in self.candidates:
            if id(candidate) not in self._futures and len(self._futures) < self.workers:
                self._futures[id(candidate)] = submit(self.run.toolbox.evaluate, candidate)
        submitted = {
            i: self._futures[id(c)] for i, c in enumerate(self.candidates) if id(c) in self._futures
        }
        while not any(future.done() for future in submitted.values()):
            _wait(list(submitted.values()))
        return next(
            (index, future.result()) for index, future in submitted.items() if future.done()
        )


def _wait(under_way: Sequence[Any], seconds: float = 0.02) -> None:
    """Wait until one is done, or where that cannot be waited for, a moment."""
    if all(isinstance(future, futures.Future) for future in under_way):
        futures.wait(under_way, return_when=futures.FIRST_COMPLETED)
    else:
        time.sleep(
            seconds
        )  # dask's has no common wait; SCOOP's takes in results when it is asked whether it is done
