"""``Problem`` and its output kinds: what a VALP is evolved for."""

from ..genome.ports import OUTPUT_KINDS, Input, Output
from .checks import COSTS, weight_count
from .classification import Classification
from .data.splits import Split
from .data.storage import open_arrays, write_arrays
from .generation import Generation
from .inputs import Image, InputKind, Series, Table
from .outputs import OutputKind
from .preparation import InputPreparation, Meaning, Preparation
from .problem import Problem, open_once
from .regression import Regression

__all__ = [
    "COSTS",
    "OUTPUT_KINDS",
    "Classification",
    "Generation",
    "Image",
    "Input",
    "InputKind",
    "InputPreparation",
    "Meaning",
    "Output",
    "OutputKind",
    "Preparation",
    "Problem",
    "Regression",
    "Series",
    "Split",
    "Table",
    "open_arrays",
    "open_once",
    "weight_count",
    "write_arrays",
]
