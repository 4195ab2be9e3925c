"""The searches: the paper's hill climbing, and searches over a population that extend DEAP's."""

from .acceptance import Graded, graded, majority
from .genealogy import Entry
from .hillclimbing import hillClimbing, objective_names
from .populations import eaAging, eaGuided, eaSteadyState
from .statistics import ObjectiveKey, move_key, statistics

__all__ = [
    "Entry",
    "Graded",
    "ObjectiveKey",
    "eaAging",
    "eaGuided",
    "eaSteadyState",
    "graded",
    "hillClimbing",
    "majority",
    "move_key",
    "objective_names",
    "statistics",
]
