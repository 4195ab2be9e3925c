"""Micro operators, which change the layers inside a sub-network (paper V-A).

The class of the sub-network, its kind, says at which of its layers an operator can act, and makes
the change.
"""

from __future__ import annotations

from collections.abc import Callable

from ..genome import VALP, Draft, Stage, SubNetwork
from ..genome.weights import new_generator
from .operators import operator


def stages(individual: VALP, of: Callable[[SubNetwork], list[str]]) -> list[Stage]:
    """Return the places that all sub-networks offer; ``of`` asks one sub-network for its own."""
    places: list[Stage] = []
    for name in individual.networks:
        places += [Stage(name, stage) for stage in of(individual.component(name))]
    return places


def _deepenable(individual: VALP, gentle: bool) -> list[Stage]:
    return stages(individual, lambda network: network.deep_places(individual.limits, gentle))


@operator(scope="micro", effect="extender", versions=("gentle", "aggressive"), places=_deepenable)
def mutAddLayer(draft: Draft, layer: Stage, gentle: bool) -> None:
    """Add a layer after a layer, or after the latent of a decoder.

    Gentle: the new layer is a relu layer that passes on what it reads. After an activation that is
    never negative it has the same width; otherwise it has twice the width, for the positive and
    the negative part. A place where this exceeds the limit of width is not offered.

    Aggressive: the new layer is random and has the same width, so no other weight has to change.

    A softmax layer always stays the last. So a discrete sub-network offers the layers before its
    softmax; if the softmax is its only layer, it offers that one, and the new layer goes before
    it.

    References:
        Paper V-A, add_layer; Net2Net (Chen et al. 2016) for the identity layer.
    """
    part = draft.part(layer.network)
    deeper = part.component.deepened(part, layer.stage, draft.layout, gentle)
    draft.put(layer.network, deeper, new_generator())


def _removable(individual: VALP, gentle: bool) -> list[Stage]:
    return stages(individual, lambda network: network.spare_places())


@operator(scope="micro", effect="reducer", versions=("aggressive",), places=_removable)
def mutRemoveLayer(draft: Draft, layer: Stage) -> None:
    """Remove a layer; the other layers stay as they are.

    The next layer then reads the layer before the removed one. After the last layer, every
    receiver of the sub-network does. The weights of the reader stay if the two widths are equal;
    otherwise they are random. A softmax layer and a layer that is the only one are not offered.

    References:
        Paper V-A, remove_layer.
    """
    part = draft.part(layer.network)
    draft.put(layer.network, part.component.shortened(part, layer.stage), new_generator())


def _widenable(individual: VALP, gentle: bool) -> list[Stage]:
    return stages(individual, lambda network: network.wide_places(individual.limits))


@operator(scope="micro", effect="extender", versions=("gentle", "aggressive"), places=_widenable)
def mutExtendLayer(draft: Draft, layer: Stage, gentle: bool) -> None:
    """Add units to a layer, up to half its width, or dimensions to the latent of a decoder.

    Gentle: each new unit copies a random unit, and every weight that reads the unit is split at
    random between the two. A new dimension of a latent has weights of zero in both heads, so that
    its KL divergence is zero, and it is read through weights of zero.

    Aggressive: the new units are random.

    A softmax layer is not offered, since one more class changes the probabilities of all others.

    References:
        Paper V-A, extend_layer; Net2Net (Chen et al. 2016).
    """
    part = draft.part(layer.network)
    wider = part.component.widened(part, layer.stage, draft.limits, gentle)
    draft.put(layer.network, wider, new_generator())
