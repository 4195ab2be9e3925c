"""What a VALP is: components and connections, weights, the rules it keeps, how it is drawn, saved and evaluated."""

from .diagnosis import Dependency, Diagnosis, Gain, Growth, Slope
from .fitness import PENALTY, Evaluation, Fitness
from .ports import OUTPUT_KINDS, Input, Output
from .valp import (
    VALP,
    Component,
    Layout,
    Limits,
    Optimizer,
    build_graph,
    check,
    component_at,
    connection,
    copy_graph,
    ends,
    type_valid,
)

# Drawing and files build VALPs.
# isort: split
from .draw import initVALP
from .files import load, save

__all__ = [
    "OUTPUT_KINDS",
    "PENALTY",
    "VALP",
    "Component",
    "Dependency",
    "Diagnosis",
    "Evaluation",
    "Fitness",
    "Gain",
    "Growth",
    "Input",
    "Layout",
    "Limits",
    "Optimizer",
    "Output",
    "Slope",
    "build_graph",
    "check",
    "component_at",
    "connection",
    "copy_graph",
    "ends",
    "initVALP",
    "load",
    "save",
    "type_valid",
]
