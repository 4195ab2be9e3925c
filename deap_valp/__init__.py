"""Heterogeneous multi-network models (VALPs) as DEAP individuals, trained in PyTorch.

An implementation of *Redefining Neural Architecture Search of Heterogeneous Multi-Network Models by
Characterizing Variation Operators and Model Components* (Garciarena, Santana, Mendiburu; arXiv
2106.08972).
"""

from . import plots, problems
from .diagnosis import (
    ALL_METRICS,
    DEFAULT_METRICS,
    Dependency,
    Diagnosis,
    Gain,
    Growth,
    Slope,
    diagnose,
    metric,
)
from .distributed import scoopMap, scoopSubmit
from .errors import (
    DataFileError,
    DistributedError,
    EvaluationError,
    FileFormatError,
    PlaceError,
    ProblemError,
    RegistrationError,
    StructureError,
    ValpError,
)
from .evaluation.evaluate import evaluate, score
from .genome import VALP, Layout, Limits, Optimizer, check
from .genome.draw import initVALP
from .genome.files import load, save
from .genome.fitness import PENALTY, Evaluation, Fitness
from .problem import (
    Classification,
    Generation,
    Input,
    Output,
    Problem,
    Regression,
)
from .search import (
    Entry,
    ObjectiveKey,
    eaAging,
    eaGuided,
    eaSteadyState,
    hillClimbing,
    majority,
    move_key,
    statistics,
)
from .search.checkpoint import Checkpoint
from .search.decisions import Decisions, Outcome, Payoff, decisions, payoff
from .search.genealogy import genealogy
from .selection import (
    Adaptive,
    AtRandom,
    Bandit,
    ByRules,
    FixedProbabilities,
    Situation,
    Thresholds,
    calibrateThresholds,
    mutGuided,
    mutRandom,
    rank,
    rule,
    selMutation,
)
from .training.model import Model, decode
from .variation import (
    mutAddConnection,
    mutAddLayer,
    mutChangeBS,
    mutChangeLR,
    mutChangeSGD,
    mutCloneNetwork,
    mutDeleteConnection,
    mutDeleteNetwork,
    mutExtendLayer,
    mutInsertNetwork,
    mutRemoveLayer,
)
from .variation.crossover import cxExclusiveSubgraph
from .variation.operators import Move, operator, operators

__version__ = "0.1.0"

__all__ = [
    "ALL_METRICS",
    "DEFAULT_METRICS",
    "PENALTY",
    "VALP",
    "Adaptive",
    "AtRandom",
    "Bandit",
    "ByRules",
    "Checkpoint",
    "Classification",
    "DataFileError",
    "Decision",
    "Decisions",
    "Dependency",
    "Diagnosis",
    "DistributedError",
    "Entry",
    "Evaluation",
    "EvaluationError",
    "FileFormatError",
    "Fitness",
    "FixedProbabilities",
    "Gain",
    "Generation",
    "Growth",
    "Input",
    "Layout",
    "Limits",
    "Model",
    "Move",
    "ObjectiveKey",
    "Optimizer",
    "Outcome",
    "Output",
    "Payoff",
    "PlaceError",
    "Problem",
    "ProblemError",
    "RegistrationError",
    "Regression",
    "Situation",
    "Slope",
    "StructureError",
    "Thresholds",
    "ValpError",
    "calibrateThresholds",
    "check",
    "cxExclusiveSubgraph",
    "decisions",
    "decode",
    "diagnose",
    "eaAging",
    "eaGuided",
    "eaSteadyState",
    "evaluate",
    "genealogy",
    "hillClimbing",
    "initVALP",
    "load",
    "majority",
    "metric",
    "move_key",
    "mutAddConnection",
    "mutAddLayer",
    "mutChangeBS",
    "mutChangeLR",
    "mutChangeSGD",
    "mutCloneNetwork",
    "mutDeleteConnection",
    "mutDeleteNetwork",
    "mutExtendLayer",
    "mutGuided",
    "mutInsertNetwork",
    "mutRandom",
    "mutRemoveLayer",
    "operator",
    "operators",
    "payoff",
    "plots",
    "problems",
    "rank",
    "rule",
    "save",
    "scoopMap",
    "scoopSubmit",
    "score",
    "selMutation",
    "statistics",
]
