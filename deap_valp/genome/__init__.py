"""The genome of a VALP: its components, connections and weights, its rules, drawing and saving."""

from .activations import ACTIVATIONS, SOFTMAX, Activation, Layer
from .decision import Decision
from .diagnosis import Dependency, Diagnosis, Gain, Growth, Slope
from .fitness import PENALTY, Evaluation, Fitness
from .genome import Draft, Genome, Optimizer, initial_block
from .kinds import (
    KINDS,
    Calculator,
    Convolutional,
    Decoder,
    Dense,
    Discrete,
    Filter,
    Generic,
    Latent,
    Layout,
    Limits,
    Made,
    Painter,
    Part,
    Refiner,
    SubNetwork,
    new_id,
)
from .maps import Convolution, Maps
from .places import Connection, Join, Place, Route, Stage
from .ports import DISCRETE, FEATURES, MAPS, OUTPUT_KINDS, SAMPLES, VALUES, Input, Output
from .rules import check
from .structure import (
    Component,
    Structure,
    build_graph,
    convolution,
    copy_graph,
    independent_pairs,
    mean_effect,
    same_structure,
    type_valid,
    types_fit,
)
from .valp import VALP

# Drawing and files build VALPs.
# isort: split
from .draw import initial_weights, kinds_between
from .files import load, save
from .init import initVALP

__all__ = [
    "ACTIVATIONS",
    "DISCRETE",
    "FEATURES",
    "KINDS",
    "MAPS",
    "OUTPUT_KINDS",
    "PENALTY",
    "SAMPLES",
    "SOFTMAX",
    "VALP",
    "VALUES",
    "Activation",
    "Calculator",
    "Component",
    "Connection",
    "Convolution",
    "Convolutional",
    "Decision",
    "Decoder",
    "Dense",
    "Dependency",
    "Diagnosis",
    "Discrete",
    "Draft",
    "Evaluation",
    "Filter",
    "Fitness",
    "Gain",
    "Generic",
    "Genome",
    "Growth",
    "Input",
    "Join",
    "Latent",
    "Layer",
    "Layout",
    "Limits",
    "Made",
    "Maps",
    "Optimizer",
    "Output",
    "Painter",
    "Part",
    "Place",
    "Refiner",
    "Route",
    "Slope",
    "Stage",
    "Structure",
    "SubNetwork",
    "build_graph",
    "check",
    "convolution",
    "copy_graph",
    "independent_pairs",
    "initVALP",
    "initial_block",
    "initial_weights",
    "kinds_between",
    "load",
    "mean_effect",
    "new_id",
    "same_structure",
    "save",
    "type_valid",
    "types_fit",
]
