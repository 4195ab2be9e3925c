"""``evolve``: a problem in, a trained model out, for whoever has no pipeline yet."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np
import torch
from deap import base, creator, tools

from ..errors import ValpError
from ..evaluation import evaluate, score
from ..genome import VALP, save
from ..genome.fitness import Fitness
from ..genome.init import initVALP
from ..problem import Problem
from ..search import Entry, Minutes, eaGuided, graded, hillClimbing
from ..search.checkpoint import Checkpoint
from ..search.reporters import Reporters
from ..search.stopping import Until, stops_of
from ..selection import selMutation
from ..training import Predictor, check_engine, decode, export
from ..variation.crossover import cxExclusiveSubgraph

USUAL_MINUTES = 2.0
"""The time where neither ``minutes``, ``steps`` nor ``until`` is given."""


@dataclass(frozen=True, repr=False)
class Evolved:
    """What ``evolve`` found.

    Its methods are functions of this package, called with ``best`` and the problem. The page of the
    search is ``valp.report(found.archive, "search.html", problem=found.problem)``.

    Attributes:
        problem: The problem.
        best: The individual that is best over all outputs together: the incumbent of a hill
            climbing, and of a population the one with the lowest mean of logarithms.
        front: The Pareto front of all individuals evaluated, a ``tools.ParetoFront``.
        population: The last population; ``[best]`` after a hill climbing.
        archive: An ``Entry`` of every individual evaluated.
        logbook: A record of every step.
    """

    problem: Problem
    best: Any
    front: tools.ParetoFront
    population: list[Any]
    archive: list[Entry]
    logbook: tools.Logbook

    def score(self, split: str = "test") -> dict[str, float]:
        """Return the score of every output of ``best`` on a split; lower is better."""
        return score(self.best, self.problem, split)

    def predict(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the predictions of ``best`` for new data.

        Args:
            inputs: Arrays or frames by input name, in the form that the problem was made from.

        Returns:
            By output name, as ``Predictor.predict``.
        """
        return self._model().predict(inputs)

    def predict_proba(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the class probabilities of ``best``, as ``Predictor.predict_proba``."""
        return self._model().predict_proba(inputs)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write ``best`` to a file for ``load``, as ``save`` does."""
        save(self.best, path)

    def export(self, path: str | os.PathLike[str]) -> None:
        """Write ``best`` to a ``.pt2`` or ``.onnx`` file, as ``export`` does."""
        export(self.best, self.problem, path)

    def _model(self) -> Predictor:
        return decode(self.best, self.problem, dtype=torch.float64)

    def __repr__(self) -> str:
        return str(self)

    def __str__(self) -> str:
        values = zip(self.problem.objectives, self.best.fitness.values, strict=True)
        scores = ", ".join(f"{name} {value:.4g}" for name, value in values)
        ended = self.logbook.stopped or "all steps done"
        return (
            f"best (validation): {scores}; {len(self.best.networks)} sub-networks, "
            f"{self.best.weight_count} weights\n"
            f"{len(self.archive)} evaluated, {len(self.front)} in the Pareto front; "
            f"ended by {ended}"
        )


def evolve(
    problem: Problem,
    minutes: float | None = None,
    *,
    steps: int | None = None,
    seed: int | None = None,
    workers: int = 1,
    map: Callable[..., Iterable[Any]] | None = None,
    until: Until = None,
    reporters: Reporters = (),
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    batches: int | None = None,
    first_batches: int | None = None,
    device: str = "auto",
    engine: str = "auto",
    progress: bool = True,
) -> Evolved:
    """Search for a model of a problem, with the defaults of this package throughout.

    It is a hill climbing of one VALP. This is all that it does, to be copied into a pipeline of
    your own::

        creator.create("Fitness", valp.Fitness, weights=problem.weights)
        creator.create("Individual", valp.VALP, fitness=creator.Fitness)

        toolbox = base.Toolbox()
        toolbox.register("individual", valp.initVALP, creator.Individual, problem)
        toolbox.register(
            "evaluate", valp.evaluate, problem=problem, batches=batches, first_batches=first_batches
        )
        toolbox.register("selMutation", valp.selMutation)

        random.seed(seed)
        front, archive = tools.ParetoFront(), []
        best, logbook = valp.hillClimbing(
            toolbox.individual(), toolbox, steps, until=until, halloffame=front, archive=archive
        )

    With ``workers`` or ``map`` it is a population instead, which is evaluated in several
    processes. Then the last part is::

        toolbox.register("population", tools.initRepeat, list, toolbox.individual)
        toolbox.register("mate", valp.cxExclusiveSubgraph)
        toolbox.register("select", tools.selNSGA2)
        toolbox.register("map", map)

        random.seed(seed)
        front, archive, size = tools.ParetoFront(), [], max(6, 2 * workers)
        population, logbook = valp.eaGuided(
            toolbox.population(size), toolbox, size, size, 0.2, 0.8, steps,
            until=until, halloffame=front, archive=archive, verbose=False,
        )

    Ctrl-C returns what there is.

    Args:
        problem: The problem.
        minutes: The time. The search ends after the step in which it is over. The default is 2,
            or no limit where ``steps`` or ``until`` is given.
        steps: The number of candidates; with ``workers`` or ``map``, of generations.
        seed: Is given to ``random.seed``. By default Python's generator stays as it is.
        workers: The number of processes of this host. With more than one, the script needs
            ``if __name__ == "__main__":`` around this call.
        map: Your own map, such as ``scoopMap``, instead of processes that are started here. Name
            the number of its workers as ``workers``.
        until: Further stops, as for ``hillClimbing``.
        reporters: As for ``hillClimbing``.
        checkpoint: As for ``hillClimbing``.
        batches: As for ``evaluate``: number of training steps of a changed model.
        first_batches: As for ``evaluate``: number of training steps of a new model.
        device: As for ``evaluate``.
        engine: As for ``evaluate``.
        progress: Whether to show a progress bar.

    Returns:
        The best individual, the Pareto front, the population, the archive and the logbook.

    Raises:
        ValpError: ``minutes``, ``steps`` or ``workers`` is out of range, or something in
            ``until`` or ``reporters`` is none.
    """
    _check(problem, steps, workers)
    check_engine(engine, "evolve")
    stops = list(stops_of(until))
    if minutes is None and steps is None and not stops:
        minutes = USUAL_MINUTES
    if minutes is not None:
        stops.append(Minutes(minutes))
    toolbox = _toolbox(problem, batches, first_batches, device, engine)
    front, archive = tools.ParetoFront(), list[Entry]()
    options = {
        "halloffame": front,
        "archive": archive,
        "until": stops or None,
        "reporters": reporters,
        "checkpoint": checkpoint,
        "progress": progress,
    }
    if seed is not None:
        random.seed(seed)
    if workers == 1 and map is None:
        best, logbook = hillClimbing(toolbox.individual(), toolbox, steps, **options)
        return Evolved(problem, best, front, [best], archive, logbook)
    size = max(6, 2 * workers)
    with _mapping(workers, map) as over:
        toolbox.register("map", over)
        population, logbook = eaGuided(
            toolbox.population(n=size),
            toolbox,
            size,
            size,
            0.2,
            0.8,
            steps,
            verbose=False,
            **options,
        )
    return Evolved(problem, best_of([*front]), front, population, archive, logbook)


def _check(problem: Problem, steps: int | None, workers: int) -> None:
    if not isinstance(problem, Problem):
        raise ValpError(
            "evolve needs a Problem, as valp.problems.digits() or "
            f"valp.Problem(inputs=..., outputs=...), got {type(problem).__name__}"
        )
    for name, value in (("steps", steps), ("workers", workers)):
        whole = isinstance(value, int) and not isinstance(value, bool)
        if not (whole and value >= 1) and (value is not None or name == "workers"):  # type: ignore
            raise ValpError(f"evolve needs {name} as a whole number from 1 on, got {value!r}")


def _toolbox(
    problem: Problem, batches: int | None, first_batches: int | None, device: str, engine: str
) -> base.Toolbox:
    """Return the toolbox of the docstring of ``evolve``."""
    toolbox = base.Toolbox()
    toolbox.register("individual", initVALP, _individual_class(problem), problem)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register(
        "evaluate",
        evaluate,
        problem=problem,
        batches=batches,
        first_batches=first_batches,
        device=device,
        engine=engine,
    )
    toolbox.register("selMutation", selMutation)
    toolbox.register("mate", cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    return toolbox


def _individual_class(problem: Problem) -> type[VALP]:
    """Return the class of individuals with so many objectives; it is made once in a process."""
    count = len(problem.weights)
    name = f"Evolved{count}"
    if not hasattr(creator, name):
        creator.create(f"{name}Fitness", Fitness, weights=problem.weights)
        creator.create(name, VALP, fitness=getattr(creator, f"{name}Fitness"))
    found: type[VALP] = getattr(creator, name)
    return found


@contextmanager
def _mapping(
    workers: int, map_: Callable[..., Iterable[Any]] | None
) -> Iterator[Callable[..., Iterable[Any]]]:
    """Give the caller's map, or that of processes that end with this context."""
    if map_ is not None:
        yield map_
        return
    pool = ProcessPoolExecutor(
        workers,
        get_context("spawn"),  # a fork of a process that has used torch's threads may hang
        partial(signal.signal, signal.SIGINT, signal.SIG_IGN),  # Ctrl-C is for the search
    )
    try:
        yield pool.map
    finally:
        pool.shutdown(cancel_futures=True)


def best_of(individuals: Sequence[Any]) -> Any:
    """Return the individual with the lowest mean, over the outputs, of what ``graded`` compares."""
    reference = individuals[0]
    outputs = len(reference.outputs)
    return min(individuals, key=lambda other: sum(graded.changes(other, reference)[:outputs]))
