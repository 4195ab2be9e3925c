"""What is ready for whoever has no pipeline of their own: one call, and scikit-learn's estimators.

The estimators are in ``estimators``, which is imported on demand, since it imports scikit-learn.
"""

from .evolve import Evolved, evolve

__all__ = ["Evolved", "evolve"]
