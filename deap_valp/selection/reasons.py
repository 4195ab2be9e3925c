"""The reasons that rules give, in words and numbers."""

from __future__ import annotations

from collections.abc import Sequence

from .view import View


def slope_reason(view: View, output: str) -> str:
    """Say how the loss of an output falls."""
    slope = view.diagnosis.slopes[output]
    return f"loss of {output} {view.state(output)} (slope {slope} per batch)"


def relevance_reason(view: View, network: str, outputs: Sequence[str]) -> str:
    """Say how little outputs lose without a sub-network, and the limit of what is relevant."""
    values = ", ".join(f"{view.relevance(network, output):.2f}" for output in outputs)
    limits = sorted({view.limit(output) for output in outputs})
    return f"(relevance {values} <= {', '.join(f'{limit:.2f}' for limit in limits)})"
