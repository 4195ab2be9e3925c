"""The choice of the next change: rules over a diagnosis, policies, and ``selMutation``."""

from importlib import import_module
from pkgutil import iter_modules

from . import rule_sets
from .beliefs import Beliefs
from .calibration import calibrateThresholds
from .growth import ByGain
from .learned import Learned, Noted, gain_of
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
    "Beliefs",
    "ByGain",
    "ByRules",
    "FixedProbabilities",
    "Learned",
    "Noted",
    "Policy",
    "Situation",
    "Thresholds",
    "View",
    "calibrateThresholds",
    "gain_of",
    "mutGuided",
    "mutRandom",
    "proposal_class",
    "propose",
    "random_move",
    "rank",
    "rule",
    "selMutation",
]

# Every file of the folder adds its rules to the registry.
for _module in iter_modules(rule_sets.__path__):
    import_module(f"{rule_sets.__name__}.{_module.name}")
