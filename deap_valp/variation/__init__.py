"""The mutation operators and the donation crossover. They change graph and weights, without data.

A mutation operator is one decorated function, which edits a draft at a legal place. The decorator
does what all operators have in common (see ``operators``). A place is a ``Place``, which is a
string with named parts: the name of a sub-network (``"n3"``) or of an output, a ``Connection``
(``"n1->n3"``), a ``Stage``, which is a layer (``"n3.0"``) or the latent of a decoder
(``"n3.latent"``), a ``Join`` (``"n1*n2->n3"``) or a ``Route`` (``"n1->n2->n3"``).

A new file in this folder is found by itself. The names of the operators are exported by
``deap_valp/__init__.py``, where type checkers and editors see them.

References:
    Paper V and Fig. 3.
"""

from importlib import import_module
from pkgutil import iter_modules

# Operators are listed in the order in which they are imported.
# isort: split
from . import macro, micro

# isort: split
from . import hyperparameters

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = ["hyperparameters", "macro", "micro"]
