"""The exceptions of the package: one family, so that ``except valp.ValpError`` catches them all."""

from __future__ import annotations


class ValpError(Exception):
    """Base of every exception that the package raises on purpose."""


class ProblemError(ValpError, ValueError):
    """The data or the description of a problem breaks a rule."""


class DataFileError(ProblemError):
    """A data file of a built-in problem is missing, truncated or not what its name says."""


class StructureError(ValpError, ValueError):
    """A graph is not a valid VALP (paper III)."""


class PlaceError(ValpError, ValueError):
    """An operator was asked to act at a place, or in a version, that it does not offer for this VALP."""


class RegistrationError(ValpError, TypeError):
    """An operator, a rule, a metric or an output kind was declared in a way that cannot be used."""


class EvaluationError(ValpError, RuntimeError):
    """Something needs an evaluation that the individual does not have, or that failed."""


class FileFormatError(ValpError, ValueError):
    """A saved VALP or checkpoint is malformed."""


class DistributedError(ValpError, RuntimeError):
    """Work could not be distributed as asked."""
