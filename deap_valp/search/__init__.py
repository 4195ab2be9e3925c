"""The searches: the paper's hill climbing, and population searches beside DEAP's own."""

from .genealogy import Entry
from .hillclimbing import hillClimbing, majority, objective_names
from .populations import eaAging, eaGuided, eaSteadyState
from .statistics import ObjectiveKey, move_key, statistics

__all__ = [
    "Entry",
    "ObjectiveKey",
    "eaAging",
    "eaGuided",
    "eaSteadyState",
    "hillClimbing",
    "majority",
    "move_key",
    "objective_names",
    "statistics",
]
