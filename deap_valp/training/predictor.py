"""Predictions: an individual decoded together with what its problem's data means."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .. import device as devices
from ..arguments import need_type, need_whole
from ..errors import OutputError, ValpError
from ..genome import VALP, check
from ..genome.valp import need_valp, warn_untrained
from ..problem import Preparation, Problem
from ..problem.checks import common_length
from ..text import listed
from .mixture import fit_latents
from .model import Latents, Model
from .walk import walked

BATCH = 2000
"""The number of examples that are computed at the same time by default."""


class Probabilities(dict[str, np.ndarray]):
    """Class probabilities by classification output; any other name raises an ``OutputError``."""

    def __missing__(self, name: str) -> np.ndarray:
        raise OutputError(
            f"predict_proba gives probabilities of Classification outputs, here {list(self)}, "
            f"got {name!r}: predict gives every output"
        )


class Predictor(Model):
    """A decoded VALP that predicts from arrays and frames like those of its problem.

    It pickles and deep-copies without the problem and its data.

    Attributes:
        preparation: How data is read and what outputs mean; None where ``decode`` got no problem.
    """

    def __init__(
        self,
        individual: VALP,
        dtype: torch.dtype,
        device: torch.device,
        preparation: Preparation | None = None,
    ) -> None:
        super().__init__(individual, dtype, device)
        self.preparation = preparation

    @property
    def classes(self) -> dict[str, tuple[Hashable, ...]]:
        """The labels of each classification output, in the order of its probabilities."""
        outputs = self.known("classes").outputs
        return {name: meaning.classes for name, meaning in outputs.items() if meaning.classes}

    def predict(
        self, inputs: Mapping[str, Any], *, batch_size: int = BATCH
    ) -> dict[str, np.ndarray]:
        """Predict every output.

        Columns of frames are found by name, in any order. Missing values and categories that
        training did not have are treated as in the problem's own data.

        Args:
            inputs: Arrays or frames by input name, in the form that the problem was made from.
            batch_size: The number of examples that are computed at the same time.

        Returns:
            By output name. Of a classification: the likeliest label of each example, of shape
            (examples,). Otherwise: numbers in the user's units, in the shape of the target. Of a
            generation, these are reconstructions, with each latent at its mean.

        Raises:
            ValpError: ``decode`` got no problem.
            ProblemError: The data has another form than that of the problem: inputs or columns
                missing or unknown, no numbers, other shapes.
        """
        found, known = self.raw(inputs, batch_size=batch_size), self.known("predict")
        for name, values in found.items():
            if known.outputs[name].classes:
                found[name] = labels_of(known.outputs[name].classes, values)
            else:
                found[name] = self._shaped(name, values)
        return found

    def predict_proba(self, inputs: Mapping[str, Any], *, batch_size: int = BATCH) -> Probabilities:
        """Return the probabilities of each classification output, of shape (examples, classes).

        The columns are in the order of ``classes``; arguments and errors are those of ``predict``.
        Other outputs are not in the result: asking it for one raises an ``OutputError``.
        """
        found = self.raw(inputs, batch_size=batch_size)
        return Probabilities({name: found[name] for name in self.classes})

    def sample(
        self,
        size: int,
        seed: int = 0,
        *,
        wanted: Mapping[str, Hashable] | None = None,
        temperature: float = 1.0,
    ) -> dict[str, np.ndarray]:
        """Return new examples of each generation output, in the user's units and shape.

        Args:
            size: The number of examples.
            seed: The seed of the noise.
            wanted: A label by the name of a classification, for examples that the model itself
                takes for that class; see ``generate``.
            temperature: As for ``generate``.

        Raises:
            ValpError: There is no generation output or no such label, or ``generate`` refuses an
                argument.
        """
        self._need_generation("sample")
        first = next(self.parameters())
        numbers = None if wanted is None else self._numbers(wanted)
        with torch.no_grad(), devices.one_thread():
            generator = devices.generator(first.device, seed)
            found = self.generate(size, generator, wanted=numbers, temperature=temperature)
        return {name: self._shaped(name, _array(values)) for name, values in found.items()}

    def interpolate(
        self, first: Mapping[str, Any], second: Mapping[str, Any], steps: int = 8
    ) -> dict[str, np.ndarray]:
        """Return what lies between two examples, as each generation output draws it.

        Both examples are encoded, and every latent goes from its mean for the one to its mean for
        the other: its direction turns evenly and its length changes evenly. So the ends are the
        reconstructions that ``predict`` gives.

        Args:
            first: One example, as arrays of one row or frames of one row by input name, in the form
                that the problem was made from.
            second: The other example.
            steps: Number of images, or rows, on the way, both ends included.

        Returns:
            By generation output, in the user's units, the steps by the shape of an example.

        Raises:
            ValpError: ``decode`` got no problem, there is no generation output, ``steps`` is below
                2, or there is more than one example.
            ProblemError: The data has another form than that of the problem, as for ``predict``.
        """
        self._need_generation("interpolate")
        need_whole(steps, 2, "interpolate", "steps")
        ends = [self.read(end, "interpolate") for end in (first, second)]
        for which, end in zip(("first", "second"), ends, strict=True):
            size = len(next(iter(end.values())))
            if size != 1:
                raise ValpError(
                    f"interpolate needs one example as {which}, got {size}: images[3:4] is one"
                )
        with torch.no_grad(), devices.one_thread():
            both = {name: torch.cat([end[name] for end in ends]) for name in self.inputs}
            found = walked(self, self._moved(both), steps)
        return {name: self._shaped(name, _array(values)) for name, values in found.items()}

    @torch.no_grad()
    def raw(self, inputs: Mapping[str, Any], *, batch_size: int = BATCH) -> dict[str, np.ndarray]:
        """Return probabilities, and numbers in the user's units, of shape (examples, width).

        Arguments and errors are those of ``predict``.
        """
        features = self.read(inputs)
        need_whole(batch_size, 1, "predict", "batch_size")
        size = len(next(iter(features.values())))
        parts: dict[str, list[np.ndarray]] = {name: [] for name in self.known("raw").outputs}
        with devices.one_thread():
            for start in range(0, size, batch_size):
                batch = {name: rows[start : start + batch_size] for name, rows in features.items()}
                heads = self.heads(batch)
                for name, found in parts.items():
                    found.append(_array(self.components[name].predict(heads[name])))
        return {name: np.concatenate(values) for name, values in parts.items()}

    def read(self, inputs: Mapping[str, Any], who: str = "predict") -> dict[str, Tensor]:
        """Return the features that the network reads, float32 ``(examples, width)`` by input name.

        They are those of the problem's splits bit for bit. Errors are those of ``predict``, in the
        name of ``who``.
        """
        known = self.known(who)
        known.check(inputs, who)
        common_length(inputs, {})
        return {name: reader.features(inputs[name]) for name, reader in known.inputs.items()}

    def heads(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the head of each output from features, with each latent at its mean."""
        results = self.run(self._moved(features), Latents("reconstruct"))
        return {name: results[name] for name in self.outputs}

    def _moved(self, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return features on the model's device and in its precision."""
        first = next(self.parameters())
        return {name: rows.to(first.device, first.dtype) for name, rows in features.items()}

    def _need_generation(self, who: str) -> None:
        """Raise unless there is an output that draws samples."""
        outputs = self.known(who).outputs
        if not any(self.components[name].draws_samples for name in outputs):
            raise ValpError(
                f"{who} needs a Generation output, got a model of {list(outputs)}: predict?"
            )

    def known(self, who: str) -> Preparation:
        """Return the preparation.

        Raises:
            ValpError: ``decode`` got no problem.
        """
        if self.preparation is None:
            raise ValpError(
                f"{who} needs the columns, categories and labels of the problem, which an "
                "individual does not hold: decode(individual, problem)"
            )
        return self.preparation

    def _numbers(self, wanted: Mapping[str, Hashable]) -> dict[str, int]:
        """Return the index of each label among its output's classes."""
        numbers = {}
        for output, label in dict(wanted).items():
            classes = list(self.classes.get(output, ()))
            if label not in classes:
                raise ValpError(f"sample needs a label of {output} among {classes}, got {label!r}")
            numbers[output] = classes.index(label)
        return numbers

    def _shaped(self, name: str, values: np.ndarray) -> np.ndarray:
        shape = self.known("predict").outputs[name].shape_for(values.shape[1:])
        return values.reshape(len(values), *shape)

    def __repr__(self) -> str:
        lines = super().__repr__().splitlines()
        if self.preparation is None:
            return "\n".join(lines)
        notes = {f"  {name}": str(reader) for name, reader in self.preparation.inputs.items()}
        for name, classes in self.classes.items():
            notes[f"  {name}"] = f"one of {listed(classes)}"
        for number, line in enumerate(lines):
            note = notes.get(line.partition(":")[0])
            lines[number] = line if note is None else f"{line}; {note}"
        return "\n".join(lines)


def labels_of(classes: Sequence[Hashable] | np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the likeliest label of each row."""
    labels = np.asarray(classes) if _of_one_type(classes) else np.empty(len(classes), dtype=object)
    if labels.dtype == object:
        labels[:] = list(classes)
    return labels[probabilities.argmax(1)]


def _of_one_type(classes: Sequence[Hashable] | np.ndarray) -> bool:
    """Return whether an array of numpy's holds these labels as they are."""
    if isinstance(classes, np.ndarray):
        return True
    kinds = {type(label) for label in classes}
    return len(kinds) == 1 and issubclass(kinds.pop(), str | bool | int | float | np.generic)


def _array(values: Tensor) -> np.ndarray:
    array: np.ndarray = values.cpu().numpy()
    return array


def decode(
    individual: VALP,
    problem: Problem | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
) -> Predictor:
    """Return the trained network of an individual. It shares no memory with the individual.

    If the individual was never trained, the log of ``deap_valp`` has a warning.

    Args:
        individual: The individual.
        problem: Its problem, which ``predict`` needs to read data and to name labels, and whose
            examples ``sample`` needs if it draws from a mixture (``Generation``). An individual
            holds none of this, nor does its file: after ``load`` give the problem again.
        dtype: The type of the weights.
        device: Where they lie.

    Raises:
        StructureError: ``individual`` is not a VALP, or not one of this problem.
        EvaluationError: The device does not exist.
        ValpError: ``dtype`` is not a floating type, or ``problem`` is no problem.

    >>> model = decode(individual, problem)  # doctest: +SKIP
    >>> model.predict({"image": images})["label"]  # labels  # doctest: +SKIP
    """
    need_valp(individual, "decode")
    if problem is not None:
        need_type(problem, Problem, "decode", "problem as a Problem")
        check(individual, problem)
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise ValpError(f"decode needs dtype as a floating torch.dtype, got {dtype!r}")
    place = devices.choose(device)
    warn_untrained(individual, "decode")
    preparation = None if problem is None else problem.preparation
    model = Predictor(individual, dtype, place, preparation)
    if problem is not None:
        with torch.no_grad(), devices.one_thread():
            model.mixture = fit_latents(model, problem, BATCH)
    return model
