"""What a search needs of its arguments, checked before the first training."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Any

from deap import base, tools

from ..arguments import got, is_number, need_type, need_whole
from ..errors import ValpError
from ..evaluation import evaluate
from ..genome import VALP
from ..problem import Problem

_EXAMPLES = {
    "evaluate": "deap_valp.evaluate, problem=problem",
    "selMutation": "deap_valp.selMutation",
    "mate": "deap_valp.cxExclusiveSubgraph",
    "select": "deap.tools.selNSGA2",
    "map": "map",
    "clone": "copy.deepcopy",
}

STEPS = ("nsteps", "ngen", "nevals")
"""The parameters that may be None, where a search goes on until a stop ends it."""


def check_toolbox(search: str, toolbox: Any, aliases: Iterable[str]) -> None:
    """Raise unless the toolbox is one, and has these functions."""
    need_type(toolbox, base.Toolbox, search, "toolbox as a deap.base.Toolbox")
    for alias in aliases:
        if not callable(getattr(toolbox, alias, None)):
            raise ValpError(
                f"{search} needs a toolbox with {alias}, and this one has none: "
                f'toolbox.register("{alias}", {_EXAMPLES[alias]})'
            )


def check_population(search: str, population: Any, toolbox: Any, least: int = 1) -> None:
    """Raise unless the population is a list of VALPs that this toolbox can evaluate."""
    need_type(population, list, search, "population as a list of individuals")
    if len(population) < least:
        raise ValpError(
            f"{search} needs a population of at least {least}, got {len(population)} individuals"
        )
    for individual in population:
        check_individual(search, individual, toolbox)


def check_individual(search: str, individual: Any, toolbox: Any) -> None:
    """Raise unless an individual is a VALP whose fitness minimises what the toolbox evaluates."""
    need_type(individual, VALP, search, "individuals that are VALPs, as initVALP makes them")
    fitness = getattr(individual, "fitness", None)
    if not isinstance(fitness, base.Fitness):
        raise ValpError(
            f"{search} needs individuals with a fitness, got {type(individual).__name__} without: "
            "creator.create('Individual', deap_valp.VALP, fitness=creator.FitnessMulti)"
        )
    weights, objectives = fitness.weights, known_objectives(toolbox)
    if objectives is None:
        return
    if len(weights) != len(objectives):
        raise ValpError(
            f"{search} needs a fitness with a weight for each of the {len(objectives)} objectives "
            f"{list(objectives)}, got {tuple(weights)}: use weights=problem.weights"
        )
    if not all(weight < 0 for weight in weights):
        raise ValpError(
            f"{search} needs negative weights, as all objectives of a problem are minimised, "
            f"got {tuple(weights)}: use weights=problem.weights"
        )


def known_objectives(toolbox: Any) -> tuple[str, ...] | None:
    """Return the names of the objectives where the toolbox evaluates by ``evaluate`` itself.

    An ``evaluate`` of one's own may have other objectives, which nobody knows before it ran.
    """
    problem = problem_of(toolbox)
    if problem is None or getattr(toolbox.evaluate, "func", None) is not evaluate:
        return None
    return problem.objectives


def problem_of(toolbox: Any) -> Problem | None:
    """Return the problem that the toolbox's ``evaluate``, whichever it is, is registered with."""
    keywords = getattr(getattr(toolbox, "evaluate", None), "keywords", {})
    problem = keywords.get("problem")
    return problem if isinstance(problem, Problem) else None


def check_sizes(search: str, least: int = 0, **sizes: Any) -> None:
    """Raise unless all sizes are whole numbers from ``least`` on; a number of steps may be None."""
    for name, value in sizes.items():
        if value is not None or name not in STEPS:
            need_whole(value, least, search, name)


def check_probabilities(search: str, cxpb: Any, mutpb: Any) -> None:
    """Raise unless two probabilities are from 0 on and together at most 1."""
    fits = is_number(cxpb) and is_number(mutpb) and cxpb >= 0 and mutpb >= 0
    if not fits or cxpb + mutpb > 1 + 1e-9:
        raise ValpError(
            f"{search} needs cxpb and mutpb from 0 on and together at most 1, "
            f"got {got(cxpb)} and {got(mutpb)}"
        )


def check_records(search: str, stats: Any, halloffame: Any, archive: Any) -> None:
    """Raise unless the objects that a search fills can be filled."""
    if stats is not None and not callable(getattr(stats, "compile", None)):
        raise ValpError(f"{search} needs stats as tools.Statistics or None, got {got(stats)}")
    columns = {"gen", "nevals", "move", "rule", "accepted", "self"}
    fields = getattr(stats, "fields", ())
    taken = sorted(columns.intersection(fields))
    if taken:
        raise ValpError(
            f"{search} needs stats without the names of its own columns ({sorted(columns)}), "
            f"got {taken}"
        )
    if halloffame is not None and not callable(getattr(halloffame, "update", None)):
        raise ValpError(
            f"{search} needs halloffame as a tools.HallOfFame or None, got {got(halloffame)}"
        )
    if archive is not None and (
        not isinstance(archive, list) or isinstance(archive, tools.Logbook)
    ):
        raise ValpError(f"{search} needs archive as a list or None, got {got(archive)}")


def explain_pickling(error: Exception, search: str, task: Sequence[tuple[str, Any]]) -> None:
    """Raise a ``ValpError`` if an evaluation failed because something does not pickle.

    Args:
        error: What the map raised.
        search: The name of the search.
        task: What went through the map, with the names of its parts.
    """
    if not isinstance(error, pickle.PicklingError) and "pickle" not in str(error).lower():
        return
    for name, part in task:
        try:
            pickle.dumps(part)
        except Exception as fault:
            raise ValpError(
                f"{search} needs {name} to pickle, as this toolbox.map (or submit) sends it to "
                f"other processes: define functions and classes at the top of a module and not as "
                f"a lambda or in a function; got {fault}"
            ) from error
