"""The mutation operators, one decorated function each; they know graph and weights, never training.

An operator is only called with a legal place, and the decorator does the rest (see ``operators``).
Places are
strings: the name of a sub-network (``"n3"``), of a connection (``"n1->n3"``), of a layer
(``"n3.0"``) or of the
latent of a decoder (``"n3.latent"``), or of an output.

References:
    Paper V and Fig. 3.
"""

from .macro import (
    mutAddConnection,
    mutCloneNetwork,
    mutDeleteConnection,
    mutDeleteNetwork,
    mutInsertNetwork,
)
from .micro import mutAddLayer, mutExtendLayer, mutRemoveLayer

# Operators are listed in the order in which they are imported.
# isort: split
from .hyperparameters import mutChangeBS, mutChangeLR, mutChangeSGD

__all__ = [
    "mutAddConnection",
    "mutAddLayer",
    "mutChangeBS",
    "mutChangeLR",
    "mutChangeSGD",
    "mutCloneNetwork",
    "mutDeleteConnection",
    "mutDeleteNetwork",
    "mutExtendLayer",
    "mutInsertNetwork",
    "mutRemoveLayer",
]
