"""The choice of the next change: rules over a diagnosis, policies, and ``selMutation``."""

from .calibration import calibrateThresholds
from .growth import ByGain
from .policies import (
    CLASSES,
    POLICIES,
    Adaptive,
    AtRandom,
    Bandit,
    ByRules,
    FixedProbabilities,
    Policy,
    Situation,
    proposal_class,
    propose,
    random_move,
)
from .rules import RULES, rule
from .select import mutGuided, mutRandom, selMutation
from .view import AllThresholds, Thresholds, View, rank

__all__ = [
    "CLASSES",
    "POLICIES",
    "RULES",
    "Adaptive",
    "AllThresholds",
    "AtRandom",
    "Bandit",
    "ByGain",
    "ByRules",
    "FixedProbabilities",
    "Policy",
    "Situation",
    "Thresholds",
    "View",
    "calibrateThresholds",
    "mutGuided",
    "mutRandom",
    "proposal_class",
    "propose",
    "random_move",
    "rank",
    "rule",
    "selMutation",
]
