"""The searches: the paper's hill climbing, and searches over a population that extend DEAP's."""

from .acceptance import Graded, graded, majority
from .genealogy import Entry
from .hillclimbing import hillClimbing
from .populations import eaAging, eaGuided, eaSteadyState
from .progress import Progress, objective_names
from .reporters import reporter
from .statistics import ObjectiveKey, move_key, statistics
from .stopping import Hours, Minutes, Patience, Seconds, Target

__all__ = [
    "Entry",
    "Graded",
    "Hours",
    "Minutes",
    "ObjectiveKey",
    "Patience",
    "Progress",
    "Seconds",
    "Target",
    "eaAging",
    "eaGuided",
    "eaSteadyState",
    "graded",
    "hillClimbing",
    "majority",
    "move_key",
    "objective_names",
    "reporter",
    "statistics",
]
