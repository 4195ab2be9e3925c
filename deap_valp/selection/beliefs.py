"""What is believed of moves: a Bayesian linear prediction of the gain, and its file.

References:
    MacKay 1992, Bayesian interpolation (the fit, scikit-learn's ``BayesianRidge``); Chapelle and Li
    2011, An empirical evaluation of Thompson sampling (the draws).
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..arguments import got
from ..atomic import write_atomically
from ..errors import FileFormatError, RegistrationError

FORMAT = "deap_valp beliefs 1"
"""The first entry of a file."""

MOST = 1000
"""The largest number of features that a file may have."""

_LARGEST = 1e30
_DIGITS = 5
_FEWEST = 10
_ALWAYS = ""  # the name of the feature that is 1 for every move

Record = tuple[Mapping[str, float], float]
"""The features of a move, and what came of it."""


@dataclass(frozen=True, eq=False)
class Beliefs:
    """A normal distribution of the weights by which features predict the gain of a move.

    A value: ``updated`` returns other beliefs. A feature that has no weight is left out.

    Attributes:
        names: The names of the features, the empty name for the constant.
        mean: The expected weights, shape (features,).
        factor: The lower triangle L of the covariance L Lᵀ, shape (features, features).
        noise: The variance of a gain about its prediction.
    """

    names: tuple[str, ...]
    mean: np.ndarray
    factor: np.ndarray
    noise: float

    @classmethod
    def fitted(cls, records: Iterable[Record]) -> Beliefs:
        """Fit weights to records, by scikit-learn's ``BayesianRidge``; no number is to be chosen.

        Raises:
            RegistrationError: There are fewer than ten records.
        """
        from sklearn.linear_model import BayesianRidge

        known = list(records)
        if len(known) < _FEWEST:
            raise RegistrationError(
                f"Beliefs.fitted needs at least {_FEWEST} records of (features, gain), "
                f"got {len(known)}"
            )
        names = tuple(sorted({name for features, _ in known for name in features}))
        rows = np.array([[found.get(name, 0.0) for name in names] for found, _ in known])
        gains = np.array([gain for _, gain in known])
        centre, scale = rows.mean(0), rows.std(0)
        scale[scale == 0] = 1.0
        model = BayesianRidge().fit((rows - centre) / scale, gains)
        # from weights of standardised features to weights of the features and a constant
        back = np.zeros((len(names) + 1, len(names) + 1))
        back[0, 0], back[0, 1:] = 1.0, -centre / scale
        back[1:, 1:] = np.diag(1 / scale)
        covariance = np.zeros_like(back)
        covariance[0, 0] = 1 / (model.alpha_ * len(known))
        covariance[1:, 1:] = model.sigma_
        mean = back @ np.array([model.intercept_, *model.coef_])
        factor = _factor(back @ covariance @ back.T)
        return cls((_ALWAYS, *names), mean, factor, float(1 / model.alpha_))

    def row(self, features: Mapping[str, float]) -> np.ndarray:
        """Return the features in the order of the names."""
        return np.array([1.0 if n == _ALWAYS else features.get(n, 0.0) for n in self.names])

    def predicted(self, features: Mapping[str, float]) -> tuple[float, float]:
        """Return the expected gain of a move, and the standard deviation of this expectation."""
        row = self.row(features)
        return float(row @ self.mean), float(np.linalg.norm(row @ self.factor))

    def drawn(self, spread: float = 1.0) -> np.ndarray:
        """Draw weights, from ``random``; their deviations are multiplied by ``spread``."""
        noise = np.array([random.gauss(0.0, 1.0) for _ in self.names])
        return self.mean + spread * (self.factor @ noise)

    def widened(self, times: float) -> Beliefs:
        """Return the same expectation with so many times the standard deviations."""
        return Beliefs(self.names, self.mean, times * self.factor, self.noise)

    def updated(self, features: Mapping[str, float], gain: float) -> Beliefs:
        """Return what is believed after one more move whose gain is known (Bayes' rule)."""
        row = self.row(features)
        covariance = self.factor @ self.factor.T
        towards = covariance @ row
        share = towards / (self.noise + row @ towards)
        mean = self.mean + share * (gain - row @ self.mean)
        return Beliefs(self.names, mean, _factor(covariance - np.outer(share, towards)), self.noise)

    # ---- the file --------------------------------------------------------------------------------

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a JSON file, of five digits a number."""
        lower = [list(map(_short, row[: n + 1])) for n, row in enumerate(self.factor)]
        content = {
            "format": FORMAT,
            "names": self.names,
            "noise": _short(self.noise),
            "mean": list(map(_short, self.mean)),
            "factor": lower,
        }
        write_atomically(path, json.dumps(content, separators=(",", ":")).encode())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Beliefs:
        """Read what ``save`` wrote; nothing in the file is run.

        Raises:
            FileFormatError: The file is another one, or its numbers do not fit together.
        """
        try:
            content = json.loads(Path(path).read_bytes())
        except (ValueError, RecursionError) as error:
            raise FileFormatError(f"{path} is no JSON: {error}") from None
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise FileFormatError(f"{path} needs the format {FORMAT!r}, got {got(content)}")
        names, lower = _names(content.get("names"), path), content.get("factor")
        count = len(names)
        if not isinstance(lower, list) or len(lower) != count:
            raise FileFormatError(f"{path} needs a row of the factor for each of {count} names")
        factor = np.zeros((count, count))
        for n, row in enumerate(lower):
            factor[n, : n + 1] = _numbers(row, n + 1, path)
        mean = _numbers(content.get("mean"), count, path)
        (noise,) = _numbers([content.get("noise")], 1, path)
        if noise <= 0:
            raise FileFormatError(f"{path} needs a noise above 0, got {noise}")
        return cls(names, mean, factor, float(noise))


def _factor(covariance: np.ndarray) -> np.ndarray:
    """Return the lower triangle of a covariance that rounding may have left slightly indefinite."""
    least = 1e-12 * max(float(np.trace(covariance)), 1e-12)
    return np.linalg.cholesky((covariance + covariance.T) / 2 + least * np.eye(len(covariance)))


def _short(number: float) -> float:
    return float(f"{float(number):.{_DIGITS}g}")


def _names(found: Any, path: Any) -> tuple[str, ...]:
    """Return a list of different texts as a tuple."""
    if isinstance(found, list) and 0 < len(found) <= MOST:
        if all(isinstance(name, str) for name in found) and len(set(found)) == len(found):
            return tuple(found)
    raise FileFormatError(f"{path} needs names as at most {MOST} different texts, got {got(found)}")


def _numbers(found: Any, count: int, path: Any) -> np.ndarray:
    """Return a list of so many finite numbers as an array."""
    if not isinstance(found, list) or len(found) != count:
        raise FileFormatError(f"{path} needs {count} numbers in a list, got {got(found)}")
    for number in found:
        whole = isinstance(number, int | float) and not isinstance(number, bool)
        if not whole or not -_LARGEST < number < _LARGEST:
            raise FileFormatError(f"{path} needs finite numbers, got {got(number)}")
    return np.array(found, dtype=float)
