"""The page of results: one HTML file with everything that a search found."""

from .report import report

__all__ = ["report"]
