"""The exceptions of the package. ``except valp.ValpError`` catches all of them."""

from __future__ import annotations


class ValpError(Exception):
    """The base class of every exception that the package raises on purpose."""


class ProblemError(ValpError, ValueError):
    """The data or the description of a problem breaks a rule."""


class DataFileError(ProblemError):
    """A data file of a built-in problem is missing or truncated, or holds something else."""


class StructureError(ValpError, ValueError):
    """A VALP, or what one is to be made of, breaks a rule (paper III)."""


class PlaceError(ValpError, ValueError):
    """An operator does not offer the place, or the version, that it was asked for on this VALP."""


class RegistrationError(ValpError, TypeError):
    """A registry cannot use a declaration, or does not have the name that it was asked for.

    There are registries of operators, metrics, output kinds, rule sets and policies.
    """


class OutputError(ValpError, KeyError):
    """An output was asked for what only outputs of another kind have."""

    __str__ = Exception.__str__  # a KeyError would show the message in quotes


class EvaluationError(ValpError, RuntimeError):
    """An evaluation is missing, failed, lacks what was asked of it, or cannot be made as asked."""


class EngineError(EvaluationError):
    """The engine that was asked for cannot train a VALP. The message says why."""


class FileFormatError(ValpError, ValueError):
    """A saved VALP or a checkpoint is malformed, or has a version that cannot be read."""


class DistributedError(ValpError, RuntimeError):
    """SCOOP cannot do the work, for instance because a function does not pickle."""


class MissingExtraError(ValpError, ImportError):
    """An optional package is not installed. The message names the extra that brings it."""
