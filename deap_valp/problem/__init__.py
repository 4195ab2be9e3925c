"""``Problem`` and its output kinds: what a VALP is evolved for."""

from ..genome.ports import OUTPUT_KINDS, Input, Output
from .data.splits import Split
from .outputs import Classification, Generation, OutputKind, Regression
from .problem import COSTS, Problem, open_once, weight_count

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
