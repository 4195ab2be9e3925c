"""Micro operators: inside a sub-network (paper V-A). Its kind says where they can act, and acts."""

from __future__ import annotations

from collections.abc import Callable

from ..genome import VALP, Draft, Stage, SubNetwork
from ..genome.weights import new_generator
from .operators import operator


def _stages(individual: VALP, of: Callable[[SubNetwork], list[str]]) -> list[Stage]:
    """Return the places that the kinds of the sub-networks offer."""
    places: list[Stage] = []
    for name in individual.networks:
        places += [Stage(name, stage) for stage in of(individual.component(name))]
    return places


def _deepenable(individual: VALP, gentle: bool) -> list[Stage]:
    return _stages(individual, lambda network: network.deep_places(individual.limits, gentle))


@operator(scope="micro", effect="extender", versions=("gentle", "aggressive"), places=_deepenable)
def mutAddLayer(draft: Draft, layer: Stage, gentle: bool) -> None:
    """Add a layer after a layer, or after the latent of a decoder.

    Gentle: a relu layer that passes on what it reads, of the same width after a never negative
    activation, else of twice the width with both signs; not offered where that passes the limit of
    width. Aggressive: a random layer of the same width, so that no other weight has to change. A
    softmax layer stays the last: the place of a discrete sub-network's only layer means the layer
    goes before it, and deeper ones offer the layers before the softmax.

    References:
        Paper V-A, add_layer; Net2Net (Chen et al. 2016) for the identity layer.
    """
    part = draft.part(layer.network)
    deeper = part.component.deepened(part, layer.stage, draft.layout, gentle)
    draft.put(layer.network, deeper, new_generator())


def _removable(individual: VALP, gentle: bool) -> list[Stage]:
    return _stages(individual, lambda network: network.spare_places())


@operator(scope="micro", effect="reducer", versions=("aggressive",), places=_removable)
def mutRemoveLayer(draft: Draft, layer: Stage) -> None:
    """Remove a layer; the other layers stay the same.

    The layer after it (for the last layer: every receiver) reads the layer before it instead,
    through the weights it has where the widths agree and through random ones otherwise. A softmax
    layer and an only layer are not offered.

    References:
        Paper V-A, remove_layer.
    """
    part = draft.part(layer.network)
    draft.put(layer.network, part.component.shortened(part, layer.stage), new_generator())


def _widenable(individual: VALP, gentle: bool) -> list[Stage]:
    return _stages(individual, lambda network: network.wide_places(individual.limits))


@operator(scope="micro", effect="extender", versions=("gentle", "aggressive"), places=_widenable)
def mutExtendLayer(draft: Draft, layer: Stage, gentle: bool) -> None:
    """Add units to a layer, up to half its width, or dimensions to the latent of a decoder.

    Gentle: new units copy randomly chosen ones, and whatever reads them splits its weights between
    the two, element by element at random; new dimensions of a latent have heads of zero (so no KL)
    and are read through zero. Aggressive: new units are random. A softmax layer is not offered: one
    more class changes all the others.

    References:
        Paper V-A, extend_layer; Net2Net (Chen et al. 2016).
    """
    part = draft.part(layer.network)
    wider = part.component.widened(part, layer.stage, draft.limits, gentle)
    draft.put(layer.network, wider, new_generator())
