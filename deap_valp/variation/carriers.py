"""Sub-networks that gentle insertion puts on a connection, and the blocks into and out of them."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ..genome import MAPS, VALP, Connection, Draft, Structure, SubNetwork, kinds_between
from ..genome.kinds import by_channel, made_pair, most_channels
from ..genome.weights import paired, read_pair, relu_pair


def _carrier_units(individual: VALP, connection: Connection) -> int:
    """Return the number of units of the relu layer of ``_divided_rows``."""
    provider = individual.component(connection.provider)
    signs = 1 if provider.nonnegative else 2
    return min(signs * provider.width, 2 * individual.rows(connection.receiver))


def can_carry(individual: VALP, connection: Connection) -> bool:
    """Return whether a sub-network within the limits can pass on a connection's signal."""
    kinds = _carriers(individual, connection)
    if kinds and kinds[0].takes == {MAPS}:
        provider = individual.component(connection.provider)
        channels = provider.maps.channels * (1 if provider.nonnegative else 2)
        return channels <= most_channels(individual.limits)
    return bool(kinds) and _carrier_units(individual, connection) <= individual.limits.width


def divided(draft: Draft, connection: Connection) -> tuple[SubNetwork, Tensor, Tensor]:
    """Return a sub-network that passes on a connection's signal, and the blocks around it."""
    kind = _carriers(draft, connection)[0]
    if kind.takes == {MAPS}:
        return _divided_maps(draft, connection, kind)
    entering, leaving = _divided_rows(draft, connection)
    return kind.carrier(len(entering)), entering, leaving


def _divided_rows(draft: Draft, connection: Connection) -> tuple[Tensor, Tensor]:
    """Return the weights into and out of a relu layer that together equal a connection's block.

    There are several such layers; this is the one with the fewest units. The weights that are made
    of the block take over its optimizer state.
    """
    provider, receiver = connection.provider, connection.receiver
    block = draft.block(provider, receiver)
    rows, width = block.shape
    if draft.component(provider).nonnegative and width <= 2 * rows:
        return torch.eye(width), block
    if rows <= width:
        entering = relu_pair(block)
        draft.follow(entering, block, paired(0, rows))
        return entering, read_pair(torch.eye(rows))
    leaving = read_pair(block)
    draft.follow(leaving, block, paired(1, width))
    return relu_pair(torch.eye(width)), leaving


def _divided_maps(
    draft: Draft, connection: Connection, kind: type[SubNetwork]
) -> tuple[Any, Tensor, Tensor]:
    """Return a sub-network that passes on maps, and the blocks into it and out of it."""
    provider, block = draft.component(connection.provider), draft.block(*connection.touched)
    component, entering = kind.passing(provider)
    if component.rows == provider.maps.channels:
        return component, entering, block
    made = by_channel(made_pair, provider.maps.channels)(block)
    draft.follow(*made)
    return component, entering, made.new


def _carriers(structure: Structure, connection: Connection) -> list[type[SubNetwork]]:
    """Return the kinds of sub-network that can pass on a connection's signal unchanged."""
    kinds = kinds_between(structure.graph, connection.provider, connection.receiver)
    kernels = structure.block(*connection.touched).dim() > 2
    return [kind for kind in kinds if kind.carries and kernels <= (kind.takes == {MAPS})]
