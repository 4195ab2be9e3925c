"""The estimators of scikit-learn's kind: ``VALPClassifier``, ``VALPRegressor``, ``VALPEstimator``.

This module imports scikit-learn, whose base classes they have, so the package imports it only when
one of the three is asked for.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import accuracy_score, r2_score
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from ..errors import ProblemError
from ..problem import Classification, Problem, Regression
from ..problem.checks import common_length
from ..problem.data.missing import is_missing
from ..problem.outputs import OutputKind
from ..training import Predictor, decode, labels_of
from ..training.predictor import Probabilities
from .evolve import Evolved, evolve

logger = logging.getLogger("deap_valp")

FEW = 10
"""So many different whole numbers look like classes."""


class _Evolving(BaseEstimator):
    """What the estimators have in common: the parameters, and the search."""

    def __init__(
        self,
        minutes: float | None = None,
        steps: int | None = None,
        validation_fraction: float = 0.2,
        batches: int | None = None,
        first_batches: int | None = None,
        device: str = "auto",
        engine: str = "auto",
        reporters: Any = (),
        random_state: Any = None,
    ) -> None:
        self.minutes = minutes
        self.steps = steps
        self.validation_fraction = validation_fraction
        self.batches = batches
        self.first_batches = first_batches
        self.device = device
        self.engine = engine
        self.reporters = reporters
        self.random_state = random_state

    def _search(self, inputs: Mapping[str, Any], outputs: Mapping[str, OutputKind]) -> Predictor:
        """Evolve a model and return its predictor. Python's random state stays as it was."""
        dice = check_random_state(self.random_state)
        size = common_length(inputs, outputs)
        labels = [
            np.asarray(kind._target).reshape(size, -1)
            for kind in outputs.values()
            if isinstance(kind, Classification)
        ]
        splits = _splits(size, labels, self.validation_fraction, dice)
        problem = Problem(inputs, outputs, splits=splits, seed=int(dice.randint(2**31)))
        before = random.getstate()
        try:
            self.found_: Evolved = evolve(
                problem,
                self.minutes,
                steps=self.steps,
                seed=int(dice.randint(2**31)),
                batches=self.batches,
                first_batches=self.first_batches,
                device=self.device,
                engine=self.engine,
                reporters=self.reporters,
                progress=False,
            )
        finally:
            random.setstate(before)
        self.n_iter_ = len(self.found_.logbook)
        # In float64, a row gets the same answer in any batch.
        return decode(self.found_.best, problem, dtype=torch.float64)

    def _checked(self, X: Any, y: Any, **options: Any) -> Any:
        """Return both as arrays, as scikit-learn checks them."""
        try:
            return validate_data(self, X, y, multi_output=True, ensure_min_samples=2, **options)
        except ValueError as error:
            words = str(error)
            if "could not convert" in words or "contains NaN" in words:
                raise ValueError(
                    f"{words}\nVALPEstimator takes frames with text and missing values"
                ) from error
            raise

    def __getstate__(self) -> dict[str, Any]:
        """Return what is pickled: all but ``found_``, whose problem is not for other processes."""
        state: dict[str, Any] = dict(super().__getstate__())
        state.pop("found_", None)
        return state


def _splits(
    size: int, labels: list[np.ndarray], fraction: float, dice: np.random.RandomState
) -> dict[str, np.ndarray]:
    """Return the rows of each split: at random, with an example of each label in training.

    One row goes to the test split, which a problem needs and nothing here reads.
    """
    if not 0 < fraction < 1:
        raise ProblemError(f"validation_fraction needs a number between 0 and 1, got {fraction!r}")
    order = dice.permutation(size)
    needed: set[int] = set()
    for column in (column for matrix in labels for column in matrix.T):
        there = order[~is_missing(column)[order]]
        _, first = np.unique(column[there].astype(str), return_index=True)
        needed.update(there[first].tolist())
    free = [row for row in order.tolist() if row not in needed]
    held = min(max(2, round(fraction * size)), len(free), size - 2)
    if held < 2:
        raise ProblemError(
            "fit needs two examples beside one of each class, and two to train on, "
            f"got n_samples = {size}"
        )
    out = free[:held]
    kept = np.setdiff1d(order, out)
    return {"train": kept, "validation": np.array(out[1:]), "test": np.array(out[:1])}


class VALPClassifier(ClassifierMixin, _Evolving):
    """A classifier of one or several outputs, as scikit-learn's, that evolves its model.

    ``y`` of shape (examples,) is one output; of shape (examples, outputs), each column is an output
    of its own, and ``predict_proba`` and ``classes_`` are lists.

    Args:
        minutes: As for ``evolve``: the time of ``fit``, 2 by default.
        steps: As for ``evolve``: the number of candidates.
        validation_fraction: The part of the examples that candidates are compared on.
        batches: As for ``evaluate``.
        first_batches: As for ``evaluate``.
        device: As for ``evaluate``.
        engine: As for ``evaluate``.
        reporters: As for ``hillClimbing``.
        random_state: As everywhere in scikit-learn. With ``steps`` and no ``minutes``, the same
            number gives the same model.

    Attributes:
        classes_: The labels.
        found_: What ``evolve`` returned. It is not pickled.
        predictor_: The trained model.
        n_iter_: The number of records of the search's logbook.
    """

    def fit(self, X: Any, y: Any) -> VALPClassifier:
        """Evolve a model."""
        X, y = self._checked(X, y)
        check_classification_targets(y)
        columns = y.reshape(len(y), -1)
        self._flat = y.ndim == 1
        found = [np.unique(column) for column in columns.T]
        self.classes_ = found[0] if self._flat else found
        outputs = {
            f"y{number}": Classification(columns[:, number])
            for number, classes in enumerate(found)
            if len(classes) > 1  # an output of one class has nothing to learn
        }
        self.predictor_ = self._search({"X": X}, outputs) if outputs else None
        return self

    def predict_proba(self, X: Any) -> Any:
        """Return the probability of each label, (examples, labels); a list for several outputs."""
        check_is_fitted(self, "classes_")
        X = validate_data(self, X, reset=False)
        raw = {} if self.predictor_ is None else self.predictor_.raw({"X": X})
        alone = np.ones((len(X), 1))
        several = [self.classes_] if self._flat else self.classes_
        found = [raw.get(f"y{number}", alone) for number in range(len(several))]
        return found[0] if self._flat else found

    def predict(self, X: Any) -> np.ndarray:
        """Return the likeliest labels, in the shape of ``y``."""
        probabilities = self.predict_proba(X)
        if self._flat:
            return labels_of(np.asarray(self.classes_), probabilities)
        pairs = zip(self.classes_, probabilities, strict=True)
        return np.stack([labels_of(classes, values) for classes, values in pairs], 1)

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the accuracy, the mean over the outputs."""
        predicted, y = self.predict(X), np.asarray(y)
        columns = zip(y.reshape(len(y), -1).T, predicted.reshape(len(y), -1).T, strict=True)
        return float(
            np.mean([accuracy_score(*pair, sample_weight=sample_weight) for pair in columns])
        )

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class VALPRegressor(RegressorMixin, _Evolving):
    """A regressor of one or several numbers, as scikit-learn's, that evolves its model.

    The columns of ``y`` are one output of the model. For an output each, give ``VALPEstimator``
    the columns by name. Parameters and attributes are those of ``VALPClassifier``.
    """

    def fit(self, X: Any, y: Any) -> VALPRegressor:
        """Evolve a model."""
        X, y = self._checked(X, y, y_numeric=True)
        self._flat = y.ndim == 1
        numbers = np.asarray(y, dtype=np.float64).reshape(len(y), -1)
        self._first = numbers[0]
        self.predictor_ = None
        if (numbers != self._first).any():  # a constant has nothing to learn
            self.predictor_ = self._search({"X": X}, {"y": Regression(numbers)})
        return self

    def predict(self, X: Any) -> np.ndarray:
        """Return the numbers, in the shape of ``y``."""
        check_is_fitted(self, "predictor_")
        X = validate_data(self, X, reset=False)
        if self.predictor_ is None:
            numbers = np.repeat(self._first[None], len(X), 0)
        else:
            numbers = self.predictor_.raw({"X": X})["y"]
        return numbers.ravel() if self._flat else numbers

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


class VALPEstimator(_Evolving):
    """One model for several outputs of different kinds, named by the columns of ``y``.

    ``X`` is an array, a frame (columns of categories become one-hot), a ``Table``, ``Series`` or
    ``Image`` around one, or several of these by the name of an input. ``y`` is a frame, or a
    dictionary by the name of an output. A column of floats is a regression, any other column a
    classification; for another choice give the dictionary ``Classification(...)`` or
    ``Regression(...)``. Parameters and attributes are those of ``VALPClassifier``.
    """

    def fit(self, X: Any, y: Any) -> VALPEstimator:
        """Evolve a model.

        Raises:
            ProblemError: ``y`` is neither a frame nor a dictionary, or the data breaks a rule.
        """
        self._frame = hasattr(y, "columns")
        if not self._frame and not isinstance(y, Mapping):
            raise ProblemError(
                "VALPEstimator needs y as a frame or a dictionary of columns, got "
                f"{type(y).__name__}: use VALPClassifier or VALPRegressor"
            )
        columns = list(y.columns) if self._frame else list(y)
        self._columns = {_port(index, column): column for index, column in enumerate(columns)}
        outputs = {name: _kind(column, y[column]) for name, column in self._columns.items()}
        self.predictor_ = self._search(_inputs(X), outputs)
        return self

    def predict(self, X: Any) -> Any:
        """Return labels and numbers by output; a frame where ``y`` was one."""
        check_is_fitted(self, "predictor_")
        found = {
            self._columns[name]: _flattened(values)
            for name, values in self.predictor_.predict(_inputs(X)).items()
        }
        if not self._frame:
            return found
        import pandas as pd

        return pd.DataFrame(found, index=getattr(X, "index", None))

    def predict_proba(self, X: Any) -> dict[str, np.ndarray]:
        """Return the probabilities of each classification output by name.

        Its columns are in the order of the sorted labels, ``predictor_.classes``.
        """
        check_is_fitted(self, "predictor_")
        found = self.predictor_.predict_proba(_inputs(X))
        return Probabilities({self._columns[name]: values for name, values in found.items()})

    def score(self, X: Any, y: Any) -> float:
        """Return the mean, over the outputs, of the accuracy or the coefficient R².

        Rows without a target of an output are left out of its score.
        """
        scores, classes = [], {self._columns[name] for name in self.predictor_.classes}
        for column, predicted in self.predict(X).items():
            real = getattr(y[column], "_target", y[column])
            measure = accuracy_score if column in classes else r2_score
            present = ~is_missing(real)
            known = np.array(np.asarray(real)[present].tolist())
            scores.append(measure(known, np.asarray(predicted)[present]))
        return float(np.mean(scores))


def _inputs(X: Any) -> Mapping[str, Any]:
    return X if isinstance(X, Mapping) else {"X": X}


def _port(index: int, column: Any) -> str:
    """Return the name of the output of a column: its own, where that may be one."""
    allowed = isinstance(column, str) and column.isidentifier() and not column[1:].isdigit()
    return column if allowed else f"column_{index}"


def _kind(name: Any, column: Any) -> OutputKind:
    if isinstance(column, OutputKind):
        return column
    numbers = getattr(getattr(column, "dtype", np.asarray(column).dtype), "kind", "O") == "f"
    if not numbers:
        return Classification(column)
    missing = is_missing(column)
    values = np.unique(np.asarray(column)[~missing])
    if missing.any() and len(values) <= FEW and (values == np.round(values)).all():
        logger.warning(
            "VALPEstimator takes %r for a regression, since missing values have made floats of its "
            "whole numbers: for classes give astype('Int64') of a frame, or {%r: "
            "Classification(...)}",
            name,
            name,
        )
    return Regression(column)


def _flattened(values: np.ndarray) -> np.ndarray:
    return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
