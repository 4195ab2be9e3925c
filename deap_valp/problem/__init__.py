"""``Problem`` and its output kinds: what a VALP is evolved for."""

from ..genome.ports import OUTPUT_KINDS, Input, Output
from .checks import COSTS, weight_count
from .data.splits import Split
from .generation import Generation
from .outputs import Classification, OutputKind, Regression
from .problem import Problem, open_once

__all__ = [
    "COSTS",
    "OUTPUT_KINDS",
    "Classification",
    "Generation",
    "Input",
    "Output",
    "OutputKind",
    "Problem",
    "Regression",
    "Split",
    "open_once",
    "weight_count",
]
