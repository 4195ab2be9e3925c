"""Heterogeneous multi-network models (VALPs) as DEAP individuals, trained in PyTorch.

An implementation of *Redefining Neural Architecture Search of Heterogeneous Multi-Network Models by
Characterizing Variation Operators and Model Components* (Garciarena, Santana, Mendiburu; arXiv
2106.08972).
"""

from typing import TYPE_CHECKING, Any

from . import plots, problems
from .diagnosis import (
    ALL_METRICS,
    DEFAULT_METRICS,
    GROWTH_METRICS,
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
    MissingExtraError,
    PlaceError,
    ProblemError,
    RegistrationError,
    StructureError,
    ValpError,
)
from .evaluation import evaluate, score
from .genome import (
    VALP,
    Connection,
    Convolution,
    Convolutional,
    Decision,
    Dense,
    Draft,
    Filter,
    Genome,
    Join,
    Layer,
    Layout,
    Limits,
    Maps,
    Optimizer,
    Painter,
    Part,
    Place,
    Route,
    Stage,
    SubNetwork,
    check,
)
from .genome.files import load, save
from .genome.fitness import PENALTY, Evaluation, Fitness
from .genome.init import initVALP
from .page import report
from .problem import (
    Classification,
    Generation,
    Image,
    Input,
    InputKind,
    Output,
    Problem,
    Regression,
    Series,
    Table,
)
from .ready import Evolved, evolve
from .search import (
    Entry,
    Graded,
    Hours,
    Minutes,
    ObjectiveKey,
    Patience,
    Progress,
    Seconds,
    Target,
    eaAging,
    eaGuided,
    eaSteadyState,
    graded,
    hillClimbing,
    majority,
    move_key,
    reporter,
    statistics,
)
from .search.checkpoint import Checkpoint
from .search.decisions import Decisions, Outcome, Payoff, decisions, payoff
from .search.genealogy import genealogy
from .selection import (
    Adaptive,
    AtRandom,
    Bandit,
    ByGain,
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
from .training import PLAIN, Model, Predictor, Training, decode, export
from .variation.crossover import cxExclusiveSubgraph
from .variation.hyperparameters import (
    mutChangeBS,
    mutChangeDecay,
    mutChangeLR,
    mutChangeSGD,
)
from .variation.macro import (
    mutAddConnection,
    mutCloneNetwork,
    mutDeleteConnection,
    mutDeleteInput,
    mutDeleteNetwork,
    mutForkNetwork,
    mutInsertNetwork,
    mutJoinNetworks,
    mutParallelNetwork,
)
from .variation.micro import (
    mutAddLayer,
    mutExtendLayer,
    mutRemoveLayer,
)
from .variation.operators import Move, operator, operators

if TYPE_CHECKING:
    from .ready.estimators import VALPClassifier, VALPEstimator, VALPRegressor

__version__ = "0.1.0"

__all__ = [
    "ALL_METRICS",
    "DEFAULT_METRICS",
    "GROWTH_METRICS",
    "PENALTY",
    "PLAIN",
    "VALP",
    "Adaptive",
    "AtRandom",
    "Bandit",
    "ByGain",
    "ByRules",
    "Checkpoint",
    "Classification",
    "Connection",
    "Convolution",
    "Convolutional",
    "DataFileError",
    "Decision",
    "Decisions",
    "Dense",
    "Dependency",
    "Diagnosis",
    "DistributedError",
    "Draft",
    "Entry",
    "Evaluation",
    "EvaluationError",
    "Evolved",
    "FileFormatError",
    "Filter",
    "Fitness",
    "FixedProbabilities",
    "Gain",
    "Generation",
    "Genome",
    "Graded",
    "Growth",
    "Hours",
    "Image",
    "Input",
    "InputKind",
    "Join",
    "Layer",
    "Layout",
    "Limits",
    "Maps",
    "Minutes",
    "MissingExtraError",
    "Model",
    "Move",
    "ObjectiveKey",
    "Optimizer",
    "Outcome",
    "Output",
    "Painter",
    "Part",
    "Patience",
    "Payoff",
    "Place",
    "PlaceError",
    "Predictor",
    "Problem",
    "ProblemError",
    "Progress",
    "RegistrationError",
    "Regression",
    "Route",
    "Seconds",
    "Series",
    "Situation",
    "Slope",
    "Stage",
    "StructureError",
    "SubNetwork",
    "Table",
    "Target",
    "Thresholds",
    "Training",
    "VALPClassifier",
    "VALPEstimator",
    "VALPRegressor",
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
    "evolve",
    "export",
    "genealogy",
    "graded",
    "hillClimbing",
    "initVALP",
    "load",
    "majority",
    "metric",
    "move_key",
    "mutAddConnection",
    "mutAddLayer",
    "mutChangeBS",
    "mutChangeDecay",
    "mutChangeLR",
    "mutChangeSGD",
    "mutCloneNetwork",
    "mutDeleteConnection",
    "mutDeleteInput",
    "mutDeleteNetwork",
    "mutExtendLayer",
    "mutForkNetwork",
    "mutGuided",
    "mutInsertNetwork",
    "mutJoinNetworks",
    "mutParallelNetwork",
    "mutRandom",
    "mutRemoveLayer",
    "operator",
    "operators",
    "payoff",
    "plots",
    "problems",
    "rank",
    "report",
    "reporter",
    "rule",
    "save",
    "scoopMap",
    "scoopSubmit",
    "score",
    "selMutation",
    "statistics",
]


def __getattr__(name: str) -> Any:
    """Import the estimators when they are asked for: their base classes are scikit-learn's."""
    if name in ("VALPClassifier", "VALPEstimator", "VALPRegressor"):
        from .ready import estimators

        return getattr(estimators, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
