"""Evaluation: ``evaluate`` trains, scores and diagnoses a VALP; ``score`` only scores it."""

from .scoring import score, score_model
from .session import evaluate

__all__ = ["evaluate", "score", "score_model"]
