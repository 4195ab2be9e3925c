"""How a VALP is measured: ``evaluate`` trains, scores and diagnoses it; ``score`` makes the final report."""

from .evaluate import evaluate, score, score_model

__all__ = ["evaluate", "score", "score_model"]
