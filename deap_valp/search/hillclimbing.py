"""Hill climbing on one VALP.

References:
    Paper VI-C and Fig. 4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deap import base, tools

from ..variation.operators import Move
from .acceptance import graded
from .checkpoint import Checkpoint
from .genealogy import Entry
from .run import Run


def hillClimbing(
    individual: Any,
    toolbox: base.Toolbox,
    nsteps: int = 60,
    *,
    accept: Callable[[Any, Any], bool] = graded,
    stats: Any = None,
    halloffame: Any = None,
    archive: list[Entry] | None = None,
    checkpoint: Checkpoint | None = None,
    progress: bool = True,
    verbose: bool = False,
) -> tuple[Any, tools.Logbook]:
    """Hill climbing on one VALP (Fig. 4), guided or random by what is registered as ``selMutation``.

    Each step clones the incumbent, changes the clone by the selected move, evaluates it (it
    inherits the incumbent's weights), and makes it the incumbent if it is accepted. A move that was
    not accepted is barred until the incumbent changes. The individual given is not changed; it is
    evaluated first unless it carries a valid fitness.

    Args:
        individual: Where to start.
        toolbox: ``evaluate``, ``selMutation`` (called with the incumbent and ``barred``),
            ``clone``; ``feedback``, where there is one, is called with each candidate once it is
            evaluated.
        nsteps: Number of candidates.
        accept: ``accept(candidate, incumbent)``. The default adds up what the outputs gain and
            lets none of them lose much (``Graded``); ``majority`` is the paper's.
        stats: Compiled over the incumbent, in every record.
        halloffame: Updated with every structure evaluated, accepted or not; a ``tools.ParetoFront``
            keeps the front.
        archive: A list to which an ``Entry`` of every structure evaluated is appended.
        checkpoint: Where to save, and to go on from after a kill.
        progress: Whether to show a bar with the expected end.
        verbose: Whether to print each record.

    Returns:
        The last incumbent, and a logbook of one record a step: ``gen`` (the step), ``nevals``, the
        objectives of the candidate by name, ``move`` (operator, place and reason), ``rule``,
        ``accepted``.

    References:
        Paper VI-C, Fig. 4, VII-D.
    """
    run = Run("hillClimbing", toolbox, stats, halloffame, archive, verbose, progress, checkpoint)
    population, barred = [toolbox.clone(individual)], set[tuple[str, str, str]]()
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
        run.record(population, [candidate], evaluated, **_columns(step, candidate, move, accepted))
    return population[0], run.logbook


def _changed(incumbent: Any, move: Move | None, toolbox: base.Toolbox) -> Any:
    candidate = toolbox.clone(incumbent)
    if move is not None:
        move.apply(candidate)
    del candidate.fitness.values
    return candidate


def _columns(step: int, candidate: Any, move: Move | None, accepted: bool) -> dict[str, Any]:
    named = dict(zip(objective_names(candidate), candidate.fitness.values, strict=True))
    text = str(move) if move is not None else "start" if step == 0 else "nothing to change"
    return {
        **named,
        "move": text,
        "rule": move.rule if move is not None else "",
        "accepted": accepted,
    }


def objective_names(individual: Any) -> tuple[str, ...]:
    """Names of the objectives of an evaluated individual; ``objective0``... where its fitness keeps no evaluation."""
    evaluation = getattr(individual.fitness, "evaluation", None)
    if evaluation is not None:
        return tuple(evaluation.objectives)
    return tuple(f"objective{index}" for index in range(len(individual.fitness.values)))
