"""Plots: numbers first, then drawing.

``<name>_data`` gives the numbers, ``plot_<name>`` draws them. A plot of one panel takes ``ax`` and
returns it, one of several takes ``axes``, one axes for each panel, and returns all of them; without
any, it makes a figure that fits. Legends stand to the right of the last axes: make a figure of your
own with ``layout="constrained"``.
"""

from .decisions import decisions_data, plot_decisions
from .diagnosis import (
    dependency_data,
    losses_data,
    plot_dependency,
    plot_diagnosis,
    plot_losses,
    plot_relevance,
    plot_slopes,
    relevance_data,
    slopes_data,
)
from .genealogy import genealogy_data, plot_genealogy
from .graph import plot_valp, valp_data
from .pareto import pareto_data, plot_pareto
from .samples import plot_samples, samples_data
from .search import generations_data, plot_search, search_data

__all__ = [
    "decisions_data",
    "dependency_data",
    "genealogy_data",
    "generations_data",
    "losses_data",
    "pareto_data",
    "plot_decisions",
    "plot_dependency",
    "plot_diagnosis",
    "plot_genealogy",
    "plot_losses",
    "plot_pareto",
    "plot_relevance",
    "plot_samples",
    "plot_search",
    "plot_slopes",
    "plot_valp",
    "relevance_data",
    "samples_data",
    "search_data",
    "slopes_data",
    "valp_data",
]
