"""The rivals of suite.py that get what our search spent on the same problem and seed.

Each is called with the problem, the seed, what the search's run says that it spent, and the
settings of the folder.
"""

from functools import partial

from suite_gromo import grown
from suite_rivals import TUNED, tuned
from suite_tpe import Budget, tpe


def tuned_network(problem, seed, spent, settings):
    """The hand-made network, tuned in the search's seconds."""
    return tuned(problem, seed, spent["seconds"])


def by_examples(problem, seed, spent, settings, times=1):
    """TPE over genomes, with the search's training examples or a multiple of them."""
    return tpe(problem, seed, Budget(examples=times * spent["examples"]), settings.training)


def by_seconds(problem, seed, spent, settings):
    """TPE over genomes, with the search's seconds."""
    return tpe(problem, seed, Budget(seconds=spent["seconds"]), settings.training)


def growing(problem, seed, spent, settings, times=1):
    """gromo's growing networks, with the search's seconds or a multiple of them."""
    return grown(problem, seed, times * spent["seconds"])


BUDGETED = {
    TUNED: tuned_network,
    "tpe_examples": by_examples,
    "tpe_seconds": by_seconds,
    "tpe_examples_5": partial(by_examples, times=5),
    "gromo": growing,
    "gromo_5": partial(growing, times=5),
}
"""By name. The first four need Optuna, the last two gromo."""
