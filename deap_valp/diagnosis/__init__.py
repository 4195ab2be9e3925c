"""What a trained VALP shows about its parts: one function per metric (paper IV-B).

``subject`` holds what a metric looks at, ``registry`` knows all metrics, ``measure`` runs them.
``patches`` hides parts of an image. Each further file is a metric or a family of metrics. A new
file in this folder is found by itself.
"""

from importlib import import_module
from pkgutil import iter_modules

from ..genome.diagnosis import Dependency, Diagnosis, Gain, Growth, Slope
from .measure import diagnose, measure
from .patches import PatchIntervention, image_patches, patch_intervention
from .registry import (
    ALL_METRICS,
    DEFAULT_METRICS,
    GROWTH_METRICS,
    METRICS,
    Metric,
    known_metrics,
    metric,
)
from .subject import CAP, EXAMPLES, Subject

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "ALL_METRICS",
    "CAP",
    "DEFAULT_METRICS",
    "EXAMPLES",
    "GROWTH_METRICS",
    "METRICS",
    "Dependency",
    "Diagnosis",
    "Gain",
    "Growth",
    "Metric",
    "PatchIntervention",
    "Slope",
    "Subject",
    "diagnose",
    "image_patches",
    "known_metrics",
    "measure",
    "metric",
    "patch_intervention",
]
