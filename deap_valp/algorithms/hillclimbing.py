"""The searches of the paper, beside DEAP's own; they know the toolbox and nothing of training.

References:
    Paper VI-C and Fig. 4.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
from deap import base, tools
from tqdm.auto import tqdm

from .fitness import PENALTY
from .genome import VALP, copy_graph
from .operators import Decision, Move
from .problem import Problem


@dataclass(frozen=True)
class Entry:
    """A structure that a search evaluated, without its weights.

    Attributes:
        step: When; 0 is the start.
        graph: Components and connections.
        values: Its objectives.
        weight_count: Number of its weights.
        decision: The move that made it of the incumbent, and what was known then; None for the start.
        accepted: Whether it became the incumbent.
    """

    step: int
    graph: nx.DiGraph
    values: tuple[float, ...]
    weight_count: int
    decision: Decision | None
    accepted: bool

    @property
    def move(self) -> Move | None:
        """The move that made it."""
        return None if self.decision is None else self.decision.move


def majority(candidate: VALP, incumbent: VALP) -> bool:
    """Whether the candidate is strictly lower in more than half of the outputs; a failed one never is.

    With three outputs: in at least two (Fig. 4, ``<``). Costs of the problem do not vote.
    """
    outputs = len(candidate.outputs)
    ours, theirs = candidate.fitness.values[:outputs], incumbent.fitness.values[:outputs]  # type: ignore[attr-defined]
    lower = sum(a < b for a, b in zip(ours, theirs, strict=True))
    return ours[0] < PENALTY and lower >= outputs // 2 + 1


def hillClimbing(
    individual: Any,
    toolbox: base.Toolbox,
    nsteps: int = 60,
    *,
    accept: Callable[[Any, Any], bool] = majority,
    stats: tools.Statistics | None = None,
    halloffame: Any = None,
    archive: list[Entry] | None = None,
    progress: bool = True,
    verbose: bool = False,
) -> tuple[Any, tools.Logbook]:
    """Hill climbing on one VALP (Fig. 4), guided or random by what is registered as ``selMutation``.

    Each step clones the incumbent, changes the clone by the selected move, evaluates it (it inherits the incumbent's
    weights), and makes it the incumbent if it is accepted. A move that was not accepted is barred until the incumbent
    changes. The individual given is not changed; it is evaluated first unless it carries a valid fitness.

    Args:
        individual: Where to start.
        toolbox: ``evaluate``, ``selMutation`` (called with the incumbent and ``barred``), ``clone``.
        nsteps: Number of candidates.
        accept: ``accept(candidate, incumbent)``.
        stats: Compiled over the incumbent, in every record.
        halloffame: Updated with every structure evaluated, accepted or not; a ``tools.ParetoFront`` keeps the front.
        archive: A list to which an ``Entry`` of every structure evaluated is appended.
        progress: Whether to show a bar with the expected end.
        verbose: Whether to print each record.

    Returns:
        The last incumbent, and a logbook of one record a step: ``gen`` (the step), ``nevals``, the objectives of the
        candidate by name, ``move`` (operator, place and reason), ``rule``, ``accepted``.

    References:
        Paper VI-C, Fig. 4, VII-D.
    """
    record = _Record(tools.Logbook(), stats, halloffame, archive, verbose)
    incumbent = toolbox.clone(individual)
    barred: set[tuple[str, str, str]] = set()
    if start_invalid := not incumbent.fitness.valid:
        incumbent.fitness.values = toolbox.evaluate(incumbent)
    record.add(0, int(start_invalid), incumbent, None, True, incumbent)
    for step in tqdm(range(1, nsteps + 1), desc="hill climbing", disable=not progress):
        move = toolbox.selMutation(incumbent, barred=barred)
        candidate = toolbox.clone(incumbent)
        if move is not None:
            move.apply(candidate)
        del candidate.fitness.values
        candidate.fitness.values = toolbox.evaluate(candidate)
        accepted = accept(candidate, incumbent)
        if accepted:
            incumbent = candidate
            barred.clear()
        elif move is not None:
            barred.add(move.key)
        record.add(step, 1, candidate, move, accepted, incumbent)
    return incumbent, record.logbook


@dataclass(frozen=True)
class _Record:
    """Where a search writes down each structure that it evaluates."""

    logbook: tools.Logbook
    stats: tools.Statistics | None
    halloffame: Any
    archive: list[Entry] | None
    verbose: bool

    def add(self, step: int, nevals: int, candidate: Any, move: Move | None, accepted: bool, incumbent: Any) -> None:
        values = tuple(candidate.fitness.values)
        named = dict(zip(objective_names(candidate), values, strict=True))
        compiled = self.stats.compile([incumbent]) if self.stats is not None else {}
        text = str(move) if move is not None else "start" if step == 0 else "nothing to change"
        rule = move.rule if move is not None else ""
        self.logbook.record(gen=step, nevals=nevals, **named, **compiled, move=text, rule=rule, accepted=accepted)
        if self.halloffame is not None:
            self.halloffame.update([candidate])
        if self.archive is not None:
            graph = copy_graph(candidate.graph)
            self.archive.append(Entry(step, graph, values, candidate.weight_count, candidate.decision, accepted))
        if self.verbose:
            print(self.logbook.stream)


def objective_names(individual: Any) -> tuple[str, ...]:
    """Names of the objectives of an evaluated individual; ``objective0``... where its fitness keeps no evaluation."""
    evaluation = getattr(individual.fitness, "evaluation", None)
    if evaluation is not None:
        return tuple(evaluation.objectives)
    return tuple(f"objective{index}" for index in range(len(individual.fitness.values)))


# ---- statistics for DEAP's logbook ---------------------------------------------------------------------------


@dataclass(frozen=True)
class ObjectiveKey:
    """Key for ``tools.Statistics``: one objective of an individual, NaN where its evaluation failed."""

    index: int

    def __call__(self, individual: Any) -> float:
        value: float = individual.fitness.values[self.index]
        return value if value < PENALTY else float("nan")


def move_key(individual: Any) -> str:
    """Key for ``tools.Statistics``: name of the operator that last changed an individual, or ``init``."""
    return individual.move.operator if individual.move is not None else "init"


def _over_successes(function: Callable[[np.ndarray], Any]) -> Callable[[Sequence[float]], float]:
    def compile_(values: Sequence[float]) -> float:
        finite = np.asarray([value for value in values if np.isfinite(value)])
        return float(function(finite)) if len(finite) else float("nan")

    return compile_


def _count(names: Sequence[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in Counter(names).most_common())


def statistics(problem: Problem) -> tools.MultiStatistics:
    """Statistics for the logbook of any DEAP algorithm: a chapter for each objective, and one for the operators.

    Minimum, mean, maximum and standard deviation by objective, over the evaluations that succeeded; by operator, how
    many individuals it changed last.
    """
    chapters = {name: tools.Statistics(ObjectiveKey(index)) for index, name in enumerate(problem.objectives)}
    for chapter in chapters.values():
        for name, function in (("min", np.min), ("avg", np.mean), ("max", np.max), ("std", np.std)):
            chapter.register(name, _over_successes(function))
    operator_chapter = tools.Statistics(move_key)
    operator_chapter.register("applied", _count)
    return tools.MultiStatistics(**chapters, operators=operator_chapter)
