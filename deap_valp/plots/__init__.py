"""Plots: numbers first, then drawing.

``<name>_data`` gives the numbers. ``plot_<name>`` draws them and returns the matplotlib ``Figure``
that they stand in, so ``plot_valp(best).savefig("valp.png")`` saves it; its panels are
``figure.axes``. A plot of one panel takes ``ax``, one that may have several takes ``axes``: one for
each panel. Without them it makes a figure that fits. Legends stand to the right of the last panel:
make a figure of your own with ``layout="constrained"``. In a notebook end the line with a
semicolon, or the figure shows twice.

To add a plot, write one file with the two functions and name them here.
"""

from .decisions import decisions_data, plot_decisions
from .dependency import dependency_data, plot_dependency
from .diagnosis import plot_diagnosis
from .genealogy import genealogy_data, plot_genealogy
from .graph import plot_valp, valp_data
from .losses import losses_data, plot_losses
from .metric import metric_data, plot_metric
from .pareto import pareto_data, plot_pareto
from .patches import patches_data, plot_patches
from .relevance import plot_relevance, relevance_data
from .samples import plot_samples, samples_data
from .search import generations_data, plot_search, search_data
from .slopes import plot_slopes, slopes_data
from .svg import valp_svg

__all__ = [
    "decisions_data",
    "dependency_data",
    "genealogy_data",
    "generations_data",
    "losses_data",
    "metric_data",
    "pareto_data",
    "patches_data",
    "plot_decisions",
    "plot_dependency",
    "plot_diagnosis",
    "plot_genealogy",
    "plot_losses",
    "plot_metric",
    "plot_pareto",
    "plot_patches",
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
    "valp_svg",
]
