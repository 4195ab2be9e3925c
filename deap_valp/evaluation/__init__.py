"""How a VALP is measured: ``evaluate`` trains, scores and diagnoses it; ``score`` reports."""

from .scoring import score, score_model
from .session import evaluate

__all__ = ["evaluate", "score", "score_model"]
