"""``initVALP``, which makes a VALP to start a search from.

References:
    Paper VI-C (random_VALP).
"""

from __future__ import annotations

import random
from typing import TypeVar

from ..arguments import got, is_whole, need_type
from ..errors import StructureError
from .activations import ACTIVATIONS
from .draw import initial_weights, least_networks, random_graph
from .genome import Genome, Optimizer
from .kinds import Layout, Limits
from .ports import Ports, need_ports
from .start import shared_start
from .valp import VALP, need_class, say_weights

Individual = TypeVar("Individual", bound=VALP)

STARTS = ("shared", "random")

_RANDOM_NETWORKS = (3, 6)
"""The least and largest number of sub-networks in the paper's experiment."""


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
    """Return a new valid VALP for a problem.

    There are two ways to make one.

    ``start="shared"`` gives the VALP that trains best (docs/training.md). One sub-network of two
    relu layers, the trunk, and one without an activation, the linear path, read every input, and
    every output that takes values reads both. Every output that takes samples gets an encoder and
    a decoder. The weights are random, but the heads of the outputs that take values are zero.

    ``start="random"`` is the paper's way. The VALP is built from the outputs towards the inputs.
    Each component that needs a provider gets an input, an existing sub-network or a new one, as
    far as the number of sub-networks allows. Most outputs get a sub-network of their own, so that
    exclusive subgraphs are common, which can be donated.

    Args:
        icls: The class of the individual, made by ``creator.create``.
        problem: The problem, which has the inputs and outputs.
        networks: The least and largest number of sub-networks. The number is drawn uniformly
            between them. The default is 3 to 6 for a random start, and as many as the description
            above names for a shared one. A shared start with a larger number gets further random
            sub-networks, each for one output. A number that is too small for a shared start gives
            a random one.
        layers: The least and largest number of layers of a random sub-network.
        width: The least and largest number of units of a random layer.
        latent: The least and largest number of dimensions of a random decoder's latent.
        activations: The hidden activations to draw from (names in ``activations.ACTIVATIONS``).
        batch_size: The number of examples in a training batch. The default is 64, and 200 if there
            are more than 20,000 training examples or the start is random.
        optimizer: The SGD algorithm of every output.
        learning_rate: The learning rate of every output.
        limits: The sizes up to which operators may let the VALP grow; ``Limits()`` by default.
        start: ``"shared"`` or ``"random"``.
        decay: The weight decay of every output. The default is 1,000 divided by the number of
            training examples, but at most 3; for a random start it is 0.

    Raises:
        StructureError: ``icls`` is not a class of VALPs, ``problem`` is not a problem, a bound
            is not a range of positive numbers or exceeds a limit, ``networks`` starts below the
            number that the problem's outputs need, or an activation or the start is unknown.

    References:
        Paper VI-C, random_VALP.
    """
    need_class(icls, "initVALP")
    need_ports(problem, "initVALP")
    need_type(limits, (Limits, type(None)), "initVALP", "limits as Limits or None", StructureError)
    limits = limits or Limits()
    layout = Layout(layers, width, latent, _names_of(activations))
    if start not in STARTS:
        raise StructureError(f"initVALP needs a start among {list(STARTS)}, got {start!r}")
    if networks is None and start == "random":
        networks = _usual_networks(problem)
    _check_bounds(problem, networks, layout, limits)
    count = None if networks is None else random.randint(*networks)
    drawn = shared_start(problem, count, layout) if start == "shared" else None
    if drawn is None:
        count = count or random.randint(*_usual_networks(problem))
        graph = random_graph(problem, count, layout)
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
    individual = icls(genome)
    say_weights(individual, problem)
    return individual


def _usual_networks(problem: Ports) -> tuple[int, int]:
    """Return the least and largest number of sub-networks of a random start."""
    low, high = _RANDOM_NETWORKS
    low = max(low, least_networks(problem))
    return low, max(low, high)


def _names_of(activations: object) -> tuple[str, ...]:
    """Return names as a tuple; a string is no sequence of names."""
    if isinstance(activations, str) or not isinstance(activations, tuple | list | set | frozenset):
        raise StructureError(
            f"initVALP needs activations as a tuple of names among {list(ACTIVATIONS)}, "
            f"got {got(activations)}"
        )
    return tuple(activations)


def usual_decay(problem: Ports) -> float:
    """Return the weight decay that suits the number of training examples.

    With fewer examples a network overfits more. A decay of 3 was best on tables of 100 to 400
    rows, and 0.3 on artificial problems of 3,000 rows (docs/training.md).
    """
    return min(3.0, 1000 / problem.training_size)


def _usual_batch_size(problem: Ports, start: str) -> int:
    return 200 if start == "random" or problem.training_size > 20_000 else 64


def _check_bounds(
    problem: Ports, networks: tuple[int, int] | None, layout: Layout, limits: Limits
) -> None:
    """Raise ``StructureError`` where an argument of ``initVALP`` is out of range or unknown."""
    bounds = [
        ("layers", layout.layers, limits.layers),
        ("width", layout.width, limits.width),
        ("latent", layout.latent, limits.latent),
    ]
    if networks is not None:
        bounds.append(("networks", networks, limits.networks))
    for name, pair, top in bounds:
        if not _is_range(pair, top):
            wanted = f": ({pair}, {pair})?" if is_whole(pair) else ""
            raise StructureError(
                f"initVALP needs a pair (low, high) for {name}, 1 <= low <= high <= {top} (the "
                f"limit), got {pair!r}{wanted}"
            )
    least = least_networks(problem)
    if networks is not None and networks[0] < least:
        raise StructureError(
            f"initVALP needs networks from {least} on for the outputs of {problem!r}, "
            f"got {networks}"
        )
    unknown = [name for name in layout.activations if name not in ACTIVATIONS]
    if unknown or not layout.activations:
        raise StructureError(
            f"initVALP needs activations among {list(ACTIVATIONS)}, got {unknown or '()'}"
        )


def _is_range(pair: object, top: int) -> bool:
    """Return whether ``pair`` is two whole numbers from 1 to ``top``, the smaller one first."""
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        return False
    low, high = pair
    return is_whole(low) and is_whole(high) and 1 <= low <= high <= top
