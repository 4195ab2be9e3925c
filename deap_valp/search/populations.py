"""Searches over a population whose mutations are chosen with the population in view.

So a policy can compare an individual with its peers and can propose a donation, in which an
individual receives a part of another one.

References:
    Paper IV-B 5, IV-E (relative performance, donation). Real et al. 2019, Regularized Evolution for
    Image Classifier Architecture Search.
"""

from __future__ import annotations

import math
import os
import random
from collections.abc import Sequence
from typing import Any

from deap import base, tools

from ..selection import mutGuided
from ..variation.operators import Move
from .checkpoint import Checkpoint
from .genealogy import Entry
from .needs import check_population, check_probabilities, check_sizes, check_toolbox
from .reporters import Reporters
from .run import Run
from .stopping import Until
from .under_way import UnderWay
from .watch import Watch


def eaGuided(
    population: list[Any],
    toolbox: base.Toolbox,
    mu: int,
    lambda_: int,
    cxpb: float,
    mutpb: float,
    ngen: int | None,
    stats: Any = None,
    halloffame: Any = None,
    verbose: bool = __debug__,
    *,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: bool = False,
    until: Until = None,
    reporters: Reporters = (),
) -> tuple[list[Any], tools.Logbook]:
    """Evolve a population as DEAP's ``eaMuPlusLambda`` does, with mutations chosen in its view.

    A child comes from mating with probability ``cxpb`` (of the two children, the first is kept),
    from mutation with probability ``mutpb``, and is otherwise its parent itself. The list
    ``population`` is changed in place.

    Args:
        population: The individuals to start from. Those without a valid fitness are evaluated
            first.
        toolbox: A toolbox with ``evaluate``, ``mate``, ``select``, ``clone``, ``map`` and
            ``selMutation``, which is called with the individual and the population. If it has
            ``feedback``, that is called with each child after its evaluation. If it has a
            ``mutate`` registered with ``select=...``, as ``mutGuided`` is, mutations go through
            it, so that its decorators (those of ``tools.History``) take part.
        mu: Number of individuals selected for the next generation.
        lambda_: Number of children in each generation.
        cxpb: Probability that a child is made by mating.
        mutpb: Probability that a child is made by mutation.
        ngen: Number of generations; None for as many as it takes until a stop ends the search.
        stats: Statistics of the population, compiled for every record.
        halloffame: Updated with all children.
        verbose: Whether to print a line for each record, the objectives first.
        archive: A list to which the search appends an ``Entry`` of every individual evaluated.
        checkpoint: The file to save the search in, and to go on from after a kill: a
            ``Checkpoint``, or the path of one.
        progress: Whether to show a progress bar with the expected end.
        until: What may end the search earlier: ``Minutes(10)``, ``Patience(20)``,
            ``Target(label=0.05)``, a function of a ``Progress``, or a list, of which any ends it.
        reporters: Who hears of each step: ``"progress"``, ``"csv:run.csv"``,
            ``"tensorboard:folder"``, names of your own (``reporter``), functions of a
            ``Progress``. A reporter that raises does not end the search.

    Returns:
        The population, and a logbook with one record a generation: ``gen``, ``nevals`` and the
        columns of ``stats``; without ``stats``, the lowest value of each objective in the
        population, NaN where all members failed. ``logbook.stopped`` says what ended the search
        early. Ctrl-C does too, unless nothing was evaluated yet; in step 0 some members then have
        no valid fitness.

    Raises:
        ValpError: An argument has the wrong type or size, the toolbox lacks a function, a fitness
            does not minimise each objective, a probability is not between 0 and 1, their sum is
            above 1, ``until`` or ``reporters`` has something in it that is none, or neither
            ``ngen`` nor ``until`` is given. Nothing was evaluated then.
        EvaluationError: All evaluations failed for one reason, which is in the message, and they
            were at least the first five. Later failures end no search.
    """
    check_probabilities("eaGuided", cxpb, mutpb)
    aliases = ["evaluate", "clone", "map", "select", *_makers(cxpb, mutpb)]
    check_toolbox("eaGuided", toolbox, aliases)
    check_population("eaGuided", population, toolbox, least=2 if cxpb > 0 else 1)
    check_sizes("eaGuided", 1, mu=mu, lambda_=lambda_)
    check_sizes("eaGuided", ngen=ngen)
    watch = Watch(until, reporters)
    run = Run("eaGuided", toolbox, stats, halloffame, archive, verbose, progress, checkpoint, watch)
    run.logbook.header = ["gen", "nevals", *(stats.fields if stats is not None else ())]
    with run:
        for gen in run.steps(ngen, population=population):
            children = list(population)
            if gen:
                children = [_child(population, toolbox, cxpb, mutpb) for _ in range(lambda_)]
            evaluated = run.evaluate(children)
            if gen:
                population[:] = toolbox.select(population + children, mu)
            run.record(population, children, evaluated)
    return population, run.logbook


def eaAging(
    population: list[Any],
    toolbox: base.Toolbox,
    ngen: int | None,
    stats: Any = None,
    halloffame: Any = None,
    verbose: bool = __debug__,
    *,
    lambda_: int = 1,
    sample_size: int | None = None,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: bool = False,
    until: Until = None,
    reporters: Reporters = (),
) -> tuple[list[Any], tools.Logbook]:
    """Evolve a population by age: mutate the best of a sample, add the child, drop the oldest.

    This is regularized evolution. No individual survives by its values alone, so one that was
    lucky in its evaluation does not stay for ever; ``halloffame`` keeps the best. The list
    ``population`` is changed in place and stays in the order of age, the oldest first. Everything
    else is as in ``eaGuided``.

    Args:
        population: The individuals to start from, the oldest first.
        toolbox: A toolbox as for ``eaGuided``, without ``mate``. ``select`` is called with a
            sample and 1.
        ngen: Number of generations; None for as many as it takes until a stop ends the search.
        stats: Statistics of the population, compiled for every record.
        halloffame: Updated with all children.
        verbose: Whether to print a line for each record, the objectives first.
        lambda_: Number of children in each generation; ``toolbox.map`` evaluates them together.
            The published method has 1.
        sample_size: Number of individuals drawn for each child, with replacement. The default is a
            quarter of the population, as in the largest published experiment.
        archive: As for ``eaGuided``.
        checkpoint: As for ``eaGuided``.
        progress: As for ``eaGuided``.
        until: As for ``eaGuided``.
        reporters: As for ``eaGuided``.

    Returns:
        The population, and a logbook as for ``eaGuided``.

    Raises:
        ValpError: As for ``eaGuided``, or ``lambda_`` or ``sample_size`` is not positive.
        EvaluationError: As for ``eaGuided``.

    References:
        Real et al. 2019, Algorithm 1.
    """
    check_toolbox("eaAging", toolbox, ("evaluate", "clone", "map", "select", "selMutation"))
    check_population("eaAging", population, toolbox)
    size = max(2, len(population) // 4) if sample_size is None else sample_size
    check_sizes("eaAging", 1, lambda_=lambda_, sample_size=size)
    check_sizes("eaAging", ngen=ngen)
    watch = Watch(until, reporters)
    run = Run("eaAging", toolbox, stats, halloffame, archive, verbose, progress, checkpoint, watch)
    run.logbook.header = ["gen", "nevals", *(stats.fields if stats is not None else ())]
    with run:
        for gen in run.steps(ngen, math.ceil(len(population) / lambda_), population=population):
            children = list(population)
            if gen:
                children = [_aging_child(population, toolbox, size) for _ in range(lambda_)]
            evaluated = run.evaluate(children)
            if gen:
                population[:] = [*population, *children][lambda_:]
            run.record(population, children, evaluated)
    return population, run.logbook


def eaSteadyState(
    population: list[Any],
    toolbox: base.Toolbox,
    nevals: int | None,
    stats: Any = None,
    halloffame: Any = None,
    verbose: bool = __debug__,
    *,
    cxpb: float = 0.3,
    workers: int = 1,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: bool = False,
    until: Until = None,
    reporters: Reporters = (),
) -> tuple[list[Any], tools.Logbook]:
    """Evolve a population without generations: a free worker gets the next candidate at once.

    As soon as a candidate is evaluated, it joins the population, and ``toolbox.select`` leaves out
    one individual. The list ``population`` is changed in place. Everything else is as in
    ``eaGuided``.

    When the search ends early, evaluations that are under way are cancelled; what has begun is
    waited for a second at most, and its result is dropped.

    With ``workers=1`` the same ``random.seed`` gives the same search. With more workers, the
    result also depends on the order in which they finish. A checkpoint keeps that order, so a
    killed run still goes on from the same population.

    Args:
        population: The individuals to start from. Those without a valid fitness are evaluated
            first.
        toolbox: A toolbox as for ``eaGuided``; ``map`` is not used. If it has
            ``submit(evaluate, individual)``, evaluations run there. ``submit`` returns a future
            with ``done()`` and ``result()``, as ``scoopSubmit``, the executors of
            ``concurrent.futures`` and the client of dask do. Otherwise evaluations run in this
            process.
        nevals: Number of candidates, beside the population at the start; None for as many as it
            takes until a stop ends the search.
        stats: Statistics of the population, compiled for every record.
        halloffame: Updated with all candidates.
        verbose: Whether to print a line for each record, the objectives first.
        cxpb: Probability that a candidate is made by mating; otherwise it is mutated.
        workers: Number of evaluations that run at the same time.
        archive: As for ``eaGuided``.
        checkpoint: As for ``eaGuided``.
        progress: As for ``eaGuided``.
        until: As for ``eaGuided``.
        reporters: As for ``eaGuided``.

    Returns:
        The population, and a logbook with one record a candidate.

    Raises:
        ValpError: As for ``eaGuided``, or ``workers`` is not positive.
        EvaluationError: As for ``eaGuided``.
    """
    check_probabilities("eaSteadyState", cxpb, 0.0)
    check_toolbox(
        "eaSteadyState", toolbox, ("evaluate", "clone", "select", *_makers(cxpb, 1 - cxpb))
    )
    check_population("eaSteadyState", population, toolbox, least=2 if cxpb > 0 else 1)
    check_sizes("eaSteadyState", nevals=nevals)
    check_sizes("eaSteadyState", 1, workers=workers)
    watch = Watch(until, reporters)
    run = Run(
        "eaSteadyState", toolbox, stats, halloffame, archive, verbose, progress, checkpoint, watch
    )
    run.logbook.header = ["gen", "nevals", *(stats.fields if stats is not None else ())]
    mu, under_way = len(population), UnderWay(run, workers)
    run.at_end.append(under_way.cancel)
    most = math.inf if nevals is None else nevals
    with run:
        for count in run.steps(nevals, mu, population=population, candidates=under_way.candidates):
            if count:
                while len(under_way.candidates) < min(workers, most - count + 1):
                    under_way.candidates.append(_child(population, toolbox, cxpb, 1 - cxpb))
                candidates = evaluated = [under_way.take()]
                population[:] = toolbox.select(population + candidates, mu)
            else:
                candidates, evaluated = list(population), under_way.evaluate(population)
            run.record(population, candidates, evaluated)
    return population, run.logbook


# ---- children ------------------------------------------------------------------------------------


def _makers(cxpb: float, mutpb: float) -> list[str]:
    """Return the functions of a toolbox that make children."""
    needed = {"mate": cxpb, "selMutation": mutpb}
    return [alias for alias, probability in needed.items() if probability > 0]


def _child(population: Sequence[Any], toolbox: base.Toolbox, cxpb: float, mutpb: float) -> Any:
    """Return one child, made by the same random draws as in DEAP's ``varOr``."""
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
    """Return a mutated clone of the parent; ``selMutation`` is given the population."""

    def select(individual: Any) -> Move | None:
        move: Move | None = toolbox.selMutation(individual, population)
        return move

    takes_select = "select" in getattr(getattr(toolbox, "mutate", None), "keywords", {})
    mutate: Any = toolbox.mutate if takes_select else mutGuided
    child = mutate(toolbox.clone(parent), select=select)[0]
    del child.fitness.values
    return child
