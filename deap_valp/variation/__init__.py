"""The mutation operators and the donation crossover. They change graph and weights, without data.

A mutation operator is one decorated function, which edits a draft at a legal place. The decorator
does what all operators have in common (see ``operators``). A place is a ``Place``, which is a
string with named parts: the name of a sub-network (``"n3"``) or of an output, a ``Connection``
(``"n1->n3"``), a ``Stage``, which is a layer (``"n3.0"``) or the latent of a decoder
(``"n3.latent"``), a ``Join`` (``"n1*n2->n3"``) or a ``Route`` (``"n1->n2->n3"``).

References:
    Paper V and Fig. 3.
"""

from .macro import (
    mutAddConnection,
    mutCloneNetwork,
    mutDeleteConnection,
    mutDeleteInput,
    mutDeleteNetwork,
    mutForkNetwork,
    mutInsertNetwork,
    mutJoinNetworks,
    mutParallelNetwork,
)
from .micro import mutAddLayer, mutExtendLayer, mutRemoveLayer

# Operators are listed in the order in which they are imported.
# isort: split
from .hyperparameters import mutChangeBS, mutChangeDecay, mutChangeLR, mutChangeSGD

__all__ = [
    "mutAddConnection",
    "mutAddLayer",
    "mutChangeBS",
    "mutChangeDecay",
    "mutChangeLR",
    "mutChangeSGD",
    "mutCloneNetwork",
    "mutDeleteConnection",
    "mutDeleteInput",
    "mutDeleteNetwork",
    "mutExtendLayer",
    "mutForkNetwork",
    "mutInsertNetwork",
    "mutJoinNetworks",
    "mutParallelNetwork",
    "mutRemoveLayer",
]
