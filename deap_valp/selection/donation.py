"""The donation that a rank among peers asks for, which several rule sets and policies propose."""

from __future__ import annotations

from collections.abc import Iterator

from ..variation.crossover import NAME as DONATION
from ..variation.crossover import can_receive
from ..variation.operators import Move
from .view import View, values_of


def donations(view: View, name: str) -> Iterator[Move]:
    """Yield one donation if exactly one output is below the upper half of its ranking, else none.

    The individual receives the exclusive subgraph of that output: the sub-networks from which no
    other output can be reached. The donor is the best peer in that output that has an exclusive
    subgraph, is better than the individual, and fits.
    """
    low = [output for output in view.ranks if not view.upper_half(output)]
    if len(low) != 1:
        return
    (output,) = low
    own = values_of(view.individual)[output]
    better = [peer for peer in view.peers if values_of(peer)[output] < own]
    for donor in sorted(better, key=lambda peer: values_of(peer)[output]):
        if donor.exclusive(output) and can_receive(view.individual, donor, output):
            reason = f"rank {view.ranks[output]} for {output}, in the upper half for all others"
            yield Move(DONATION, "aggressive", output, reason, name, donor=donor)
            return
