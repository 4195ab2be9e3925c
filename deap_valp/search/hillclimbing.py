"""Hill climbing on one VALP.

References:
    Paper VI-C and Fig. 4.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from deap import base, tools

from ..arguments import got
from ..errors import ValpError
from ..variation.operators import Move
from .acceptance import graded
from .checkpoint import Checkpoint
from .genealogy import Entry
from .needs import check_individual, check_sizes, check_toolbox
from .progress import objective_names
from .reporters import Reporters
from .run import Run
from .stopping import Until
from .watch import Watch

USUAL_STEPS = 60
"""The number of candidates where neither ``nsteps`` nor ``until`` is given."""


def hillClimbing(
    individual: Any,
    toolbox: base.Toolbox,
    nsteps: int | None = None,
    *,
    accept: Callable[[Any, Any], bool] = graded,
    stats: Any = None,
    halloffame: Any = None,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | str | os.PathLike[str] | None = None,
    progress: bool = True,
    verbose: bool = False,
    until: Until = None,
    reporters: Reporters = (),
) -> tuple[Any, tools.Logbook]:
    """Improve one VALP step by step (Fig. 4); the toolbox's ``selMutation`` chooses the changes.

    The search holds one individual, the incumbent. Each step clones the incumbent, changes the
    clone by the selected move and evaluates it; the clone inherits the incumbent's weights. If the
    clone is accepted, it becomes the incumbent. A move that was not accepted is barred until the
    incumbent changes. The individual given is not changed. It is evaluated first, unless it
    carries a valid fitness.

    Args:
        individual: The start of the search.
        toolbox: A toolbox with ``evaluate``, ``clone`` and ``selMutation``, which is called with
            the incumbent and ``barred``. If it has ``feedback``, that is called with each
            candidate after its evaluation.
        nsteps: Number of candidates. The default is 60, or as many as it takes where ``until`` is
            given.
        accept: ``accept(candidate, incumbent)`` returns whether the candidate becomes the
            incumbent. The default adds up the gains of the outputs and lets none of them lose much
            (``Graded``). The paper's is ``majority``.
        stats: Statistics of the incumbent, compiled for every record.
        halloffame: Updated with every structure evaluated, accepted or not. A
            ``tools.ParetoFront`` keeps the Pareto front.
        archive: A list to which the search appends an ``Entry`` of every structure evaluated.
        checkpoint: The file to save the search in, and to go on from after a kill: a
            ``Checkpoint``, or the path of one.
        progress: Whether to show a progress bar with the expected end.
        verbose: Whether to print a line for each record, the objectives first.
        until: What may end the search earlier: ``Minutes(10)``, ``Patience(20)``,
            ``Target(label=0.05)``, a function of a ``Progress``, or a list, of which any ends it.
        reporters: Who hears of each step: ``"progress"``, ``"csv:run.csv"``,
            ``"tensorboard:folder"``, names of your own (``reporter``), functions of a
            ``Progress``. A reporter that raises does not end the search.

    Returns:
        The last incumbent, and a logbook with one record a step: ``gen`` (the step), ``nevals``,
        the objectives of the candidate by name, ``move`` (operator, place and reason), ``rule``
        and ``accepted``. ``logbook.stopped`` says what ended the search early; Ctrl-C does too,
        unless nothing was evaluated yet.

    Raises:
        ValpError: An argument has the wrong type or size, the toolbox lacks a function, the
            fitness does not minimise each objective, or ``until`` or ``reporters`` has something in
            it that is none. Nothing was evaluated then.
        EvaluationError: The first five evaluations all failed for one reason, which is in the
            message. Later failures end no search.

    References:
        Paper VI-C, Fig. 4, VII-D.
    """
    check_toolbox("hillClimbing", toolbox, ("evaluate", "clone", "selMutation"))
    check_individual("hillClimbing", individual, toolbox)
    if nsteps is None and until is None:
        nsteps = USUAL_STEPS
    check_sizes("hillClimbing", nsteps=nsteps)
    if not callable(accept):
        raise ValpError(f"hillClimbing needs accept as a function of two, got {got(accept)}")
    watch = Watch(until, reporters)
    run = Run(
        "hillClimbing", toolbox, stats, halloffame, archive, verbose, progress, checkpoint, watch
    )
    population, barred = [toolbox.clone(individual)], set[tuple[str, str, str]]()
    with run:
        for step in run.steps(nsteps, population=population, barred=barred):
            incumbent = candidate = population[0]
            move = None
            if step > 0:
                move = toolbox.selMutation(incumbent, barred=barred)
                candidate = _changed(incumbent, move, toolbox)
            evaluated = run.evaluate([candidate], map)
            accepted = step == 0 or accept(candidate, incumbent)
            if accepted:
                population[:] = [candidate]
                barred.clear()
            elif move is not None:
                barred.add(move.key)
            columns = _columns(step, candidate, move, accepted)
            run.record(population, [candidate], evaluated, columns)
    return population[0], run.logbook


def _changed(incumbent: Any, move: Move | None, toolbox: base.Toolbox) -> Any:
    candidate = toolbox.clone(incumbent)
    if move is not None:
        move.apply(candidate)
    del candidate.fitness.values
    return candidate


def _columns(step: int, candidate: Any, move: Move | None, accepted: bool) -> dict[str, Any]:
    """Return what the record of a step says beside ``gen`` and ``nevals``."""
    named = dict(zip(objective_names(candidate), candidate.fitness.values, strict=True))
    text, rule = "nothing to change", ""
    if step == 0:
        text = "start"
    elif move is not None:
        text, rule = str(move), move.rule
    return {**named, "move": text, "rule": rule, "accepted": accepted}
