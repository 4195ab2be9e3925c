"""``initVALP``: a VALP to start from.

References:
    Paper VI-C (random_VALP).
"""

from __future__ import annotations

import random
from typing import TypeVar

from ..errors import StructureError
from .activations import ACTIVATIONS
from .draw import initial_weights, least_networks, random_graph
from .genome import Genome, Optimizer
from .kinds import Layout, Limits
from .ports import Ports
from .start import shared_start
from .valp import VALP

Individual = TypeVar("Individual", bound=VALP)

STARTS = ("shared", "random")

_RANDOM_NETWORKS = (3, 6)
"""The paper's number of sub-networks."""


def initVALP(
    icls: type[Individual],
    problem: Ports,
    networks: tuple[int, int] | None = None,
    layers: tuple[int, int] = (1, 4),
    width: tuple[int, int] = (8, 96),
    latent: tuple[int, int] = (4, 32),
    activations: tuple[str, ...] = Layout().activations,
    batch_size: int | None = None,
    optimizer: str = "adam",
    learning_rate: float = 1e-3,
    limits: Limits | None = None,
    *,
    start: str = "shared",
    decay: float | None = None,
) -> Individual:
    """Return a new valid VALP for ``problem``.

    The start is one of two.

    ``"shared"``: a trunk of two relu layers and a linear path, which read every input and serve
    every output that takes values, and a decoder behind an encoder for every output that takes
    samples. Weights are random, heads of values zero. It trains best; see docs/starts.md.

    ``"random"``: the paper's. It is built from the outputs towards the inputs: each component in
    need of a provider reads an input, an existing sub-network or a new one, as the number still to
    come allows. An output mostly gets a sub-network of its own, so that exclusive subgraphs, which
    can be donated, are common.

    Args:
        icls: The individual's class, made by ``creator.create``.
        problem: What the inputs and outputs are.
        networks: Least and largest number of sub-networks; the number is drawn uniformly and met
            exactly. By default 3 to 6 for a random start, and as many as it takes for a shared one.
            Further ones of a shared start are random, and each serves one output; a number that is
            too small for a shared start gives a random one.
        layers: Least and largest number of layers of a sub-network, where one is drawn.
        width: Least and largest number of units of a layer, where one is drawn.
        latent: Least and largest number of dimensions of a decoder's latent, where one is drawn.
        activations: Hidden activations to draw from (names in ``activations.ACTIVATIONS``).
        batch_size: Examples of a training batch; by default 64, and 200 where there are more than
            20,000 training examples or the start is random.
        optimizer: SGD algorithm of every output.
        learning_rate: Learning rate of every output.
        limits: How far operators may let it grow; ``Limits()`` by default.
        start: ``"shared"`` or ``"random"``.
        decay: Weight decay of every output. By default 1,000 divided by the number of training
            examples, at most 3; none for a random start.

    Raises:
        StructureError: A bound is not a range of positive numbers, passes a limit, or ``networks``
            starts below what the problem's outputs need; an activation or a start is unknown.

    References:
        Paper VI-C, random_VALP.
    """
    limits = limits or Limits()
    layout = Layout(layers, width, latent, tuple(activations))
    if start not in STARTS:
        raise StructureError(f"initVALP needs a start among {list(STARTS)}, got {start!r}")
    count = None
    if networks is None and start == "random":
        networks = (max(_RANDOM_NETWORKS[0], least_networks(problem)), _RANDOM_NETWORKS[1])
    _check_bounds(problem, networks, layout, limits)
    if networks is not None:
        count = random.randint(*networks)
    drawn = shared_start(problem, count, layout) if start == "shared" else None
    if drawn is None:
        graph = random_graph(problem, count or random.randint(*_RANDOM_NETWORKS), layout)
        weights = initial_weights(graph)
    else:
        graph, weights = drawn
    if decay is None:
        decay = usual_decay(problem) if start == "shared" else 0.0
    setting = Optimizer(optimizer, learning_rate, decay)
    genome = Genome(
        graph=graph,
        weights=weights,
        optimizers=dict.fromkeys(problem.outputs, setting),
        batch_size=_usual_batch_size(problem, start) if batch_size is None else batch_size,
        limits=limits,
        layout=layout,
    )
    return icls(genome)


def usual_decay(problem: Ports) -> float:
    """Return the weight decay that suits the number of training examples.

    The fewer there are, the more a large network learns by heart: 3 was best on tables of 100 to
    400 rows, 0.3 on planted problems of 3,000 (docs/starts.md).
    """
    return min(3.0, 1000 / problem.training_size)


def _usual_batch_size(problem: Ports, start: str) -> int:
    return 200 if start == "random" or problem.training_size > 20_000 else 64


def _check_bounds(
    problem: Ports, networks: tuple[int, int] | None, layout: Layout, limits: Limits
) -> None:
    bounds = [
        ("layers", layout.layers, limits.layers),
        ("width", layout.width, limits.width),
        ("latent", layout.latent, limits.latent),
    ]
    if networks is not None:
        bounds.append(("networks", networks, limits.networks))
    for name, pair, top in bounds:
        if not _is_range(pair, top):
            raise StructureError(
                f"initVALP needs 1 <= low <= high <= {top} (the limit) for {name}, got {pair!r}"
            )
    least = least_networks(problem)
    if networks is not None and networks[0] < least:
        raise StructureError(
            f"initVALP needs networks from {least} on for the outputs of {problem!r}, got {networks}"
        )
    unknown = sorted(set(layout.activations) - set(ACTIVATIONS))
    if unknown or not layout.activations:
        raise StructureError(
            f"initVALP needs activations among {list(ACTIVATIONS)}, got {unknown or '()'}"
        )


def _is_range(pair: object, top: int) -> bool:
    """Return whether something is two whole numbers, the smaller one first, from 1 to ``top``."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return False
    low, high = pair
    return isinstance(low, int) and isinstance(high, int) and 1 <= low <= high <= top
