"""The SGD algorithms that an output may be trained with. One entry adds one.

References:
    Paper V-C, change_sgd.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import optim


class Algorithm(NamedTuple):
    """An SGD algorithm: how to make it, its usual learning rate, and whether torch has it in one fused kernel."""

    make: Callable[..., optim.Optimizer]
    usual_rate: float
    fused: bool
    options: dict[str, Any]


OPTIMIZERS: dict[str, Algorithm] = {
    "adam": Algorithm(optim.Adam, 1e-3, True, {}),
    "adamw": Algorithm(optim.AdamW, 1e-3, True, {}),
    "sgd": Algorithm(optim.SGD, 1e-2, True, {"momentum": 0.9}),
    "rmsprop": Algorithm(optim.RMSprop, 1e-3, False, {}),
    "adagrad": Algorithm(optim.Adagrad, 1e-2, True, {}),
    "nadam": Algorithm(optim.NAdam, 1e-3, False, {}),
}


def make_optimizer(
    name: str, learning_rate: float, parameter: torch.nn.Parameter
) -> optim.Optimizer:
    """An optimizer of one flat parameter that needs no host synchronisation in ``step``."""
    algorithm = OPTIMIZERS[name]
    options = dict(algorithm.options)
    if algorithm.fused and parameter.device.type in ("cpu", "cuda"):
        options["fused"] = name != "adagrad" or parameter.device.type == "cpu"
    elif parameter.device.type == "cuda":
        options["capturable"] = True
    return algorithm.make([parameter], lr=learning_rate, **options)
