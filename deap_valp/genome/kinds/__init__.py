"""The kinds of sub-network. A kind is a class that says how a sub-network computes and changes.

An instance describes one sub-network and never changes. The tensors of the sub-network belong to
the individual, under the names that ``shapes`` returns. To add a kind, subclass ``SubNetwork`` (or
``Dense``, for a stack of fully connected layers) in any module and give the class a ``kind``. It
registers itself in ``KINDS``, and is then drawn, changed, trained, diagnosed, saved and plotted
like the others. A new file in this folder is found by itself.

References:
    Paper III; the type table of the model.
"""

from importlib import import_module
from pkgutil import iter_modules

from .base import KINDS, Calculator, Latent, Made, Part, SubNetwork, Value, new_id
from .dense import Dense, Wider, made_pair
from .settings import Layout, Limits
from .shipped import LATENT, Decoder, Discrete, Generic, Refiner

# After the kinds for all data, which come first where several are possible.
# isort: split
from .convolutional import Convolutional
from .filters import Filter, by_channel, most_channels
from .painter import Painter

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")

__all__ = [
    "KINDS",
    "LATENT",
    "Calculator",
    "Convolutional",
    "Decoder",
    "Dense",
    "Discrete",
    "Filter",
    "Generic",
    "Latent",
    "Layout",
    "Limits",
    "Made",
    "Painter",
    "Part",
    "Refiner",
    "SubNetwork",
    "Value",
    "Wider",
    "by_channel",
    "made_pair",
    "most_channels",
    "new_id",
]
