"""The kinds of an input: ``Table``, ``Series`` and ``Image`` say what its numbers are.

What they are decides how they become features, the numbers that a model reads. A kind that is not
declared is guessed from shape and values.
"""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Iterable
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from ..arguments import is_whole
from ..errors import ProblemError
from ..genome.maps import maps_of
from .data.arrays import Encoding, Standard, bounds_of, is_frame, shape_of
from .data.augmentation import Augmentation
from .data.missing import Imputation
from .data.source import Source, largest_of, standard_of
from .data.splits import Rows

logger = logging.getLogger("deap_valp")

FAR = 100.0
"""Features this far from 0 are reported: they rule the first layers of a model."""

USUAL_RANGES = (1.0, 255.0)
"""What the values of images usually go up to, from 0 on."""

MANY = 20
"""So many images do not all lie in the lowest tenth of their range; a few may just be dark."""

LONGEST_SIDE = 4
"""The sides of an image differ at most by this factor where its kind is guessed."""


class InputKind:
    """What the numbers of an input are, around the user's values.

    Args:
        values: An array (numpy, torch) or a frame, one row per example.

    Attributes:
        kind: The name of the kind, for texts.
        holes: Whether values may be missing.
        guessed: Whether the problem has guessed the kind of a bare array.
    """

    kind: ClassVar[str]
    holes: ClassVar[bool] = True

    def __init__(self, values: Any) -> None:
        if isinstance(values, InputKind):
            raise ProblemError(
                f"{type(self).__name__} needs an array or a frame, got a {type(values).__name__}"
            )
        self.values = values
        self.guessed = False

    def source(self, port: str, encoding: Encoding, rows: Rows) -> Source:
        """Return the numbers of the values, which stay in a file where they are one."""
        mapped = isinstance(self.values, np.memmap)
        return Source(encoding.matrix(port, self.values), rows, mapped=mapped)

    def around(self, values: Any) -> InputKind:
        """Return the same kind around other values."""
        other = copy.copy(self)
        other.values = values
        return other

    def encoding(self, port: str, training: slice | np.ndarray) -> Encoding:
        """Return how the values become a matrix of numbers.

        Raises:
            ProblemError: The values have another form than the kind asks for.
        """
        return Encoding.of(port, self.values, training, self.holes)

    def imputation(self, port: str, encoding: Encoding, source: Source) -> Imputation:
        """Return what stands in for missing values."""
        return Imputation.of(port, encoding, source.matrix.shape[1], source.pieces())

    def units(
        self, port: str, encoding: Encoding, source: Source, wish: bool | None
    ) -> tuple[Standard, dict[str, Tensor]]:
        """Return how the numbers are scaled, and those of each split in training units.

        Values far from what the kind expects are reported to the log of ``deap_valp``.

        Args:
            port: The name of the input or output, for the log.
            encoding: How the values became the matrix.
            source: The numbers, with what is missing filled.
            wish: The problem's ``standardize`` for this port; None stands for the kind's own rule.
        """
        standard = self.standard(encoding, source, wish)
        features = source.features(standard)
        self.report(port, encoding, standard, features["train"])
        return standard, features

    def augmentation(self, port: str, encoding: Encoding) -> Augmentation | None:
        """Return how training examples are changed in every batch; None if they are not."""
        return None

    def report(self, port: str, encoding: Encoding, standard: Standard, features: Tensor) -> None:
        """Report to the log what is odd about features of this kind."""
        concern = self.concern(encoding, standard, features)
        if concern:
            logger.warning("%r %s", port, concern)

    def standard(self, encoding: Encoding, source: Source, wish: bool | None) -> Standard:
        """Return how the numbers are scaled, from the training rows."""
        raise NotImplementedError

    def concern(self, encoding: Encoding, standard: Standard, features: Tensor) -> str | None:
        """Return what is odd about features of this kind, in words; None where nothing is."""
        smallest, largest = torch.aminmax(features)
        if max(-smallest, largest) <= FAR:
            return None
        width = math.prod(encoding.shape)
        # Rare categories and indicators are far from their mean, as they should be.
        numbers = {first: name for name, first, count in encoding.places(width) if count is None}
        tops = largest_of(features, list(numbers)) if numbers else torch.zeros(1)
        top = tops.max().item()
        if top <= FAR:
            return None
        column = list(numbers.values())[int(tops.argmax())]
        if standard == Standard():
            return (
                f"is a {type(self).__name__} that is not standardised, and has values up to "
                f"{top:.3g} in column {column!r}: models train badly on numbers far from 0"
            )
        return (
            f"has values {top:.0f} standard deviations from the mean in column {column!r}: such "
            "values rule a model; take logarithms, or clip them"
        )

    def text(self, encoding: Encoding, standard: Standard) -> str:
        """Return what the input is, in words."""
        raise NotImplementedError


class _Standardised(InputKind):
    """A kind that is standardised by default.

    Args:
        values: As for every kind.
        standardize: True, False, or None for what the problem says.
    """

    def __init__(self, values: Any, *, standardize: bool | None = None) -> None:
        super().__init__(values)
        if standardize not in (None, True, False):
            raise ProblemError(
                f"{type(self).__name__} needs standardize to be True, False or None, "
                f"got {standardize!r}"
            )
        self.standardize = standardize

    def standard(self, encoding: Encoding, source: Source, wish: bool | None) -> Standard:
        """Return mean 0 and deviation 1, or nothing where the user does not want it."""
        wanted = wish if self.standardize is None else self.standardize
        return Standard() if wanted is False else self.standardised(encoding, source)

    def standardised(self, encoding: Encoding, source: Source) -> Standard:
        """Return mean and standard deviation of what is standardised together."""
        return standard_of(source.pieces)

    def text(self, encoding: Encoding, standard: Standard) -> str:
        """Return what the input is, and whether it is standardised."""
        done = "not standardised" if standard == Standard() else "standardised"
        return f"{self._what(encoding)}, {done}"

    def _what(self, encoding: Encoding) -> str:
        raise NotImplementedError


class Table(_Standardised):
    """Columns of numbers and categories, each with a meaning of its own.

    Each column is standardised by its mean and deviation over the training split; a column of
    categories of a frame becomes one feature for each category. Values may be missing.

    Args:
        values: An array ``(examples, columns)``, one of numbers ``(examples,)``, or a frame.
        standardize: True, False, or None for what the problem says.
    """

    kind = "table"

    def encoding(self, port: str, training: slice | np.ndarray) -> Encoding:
        """Return the columns, with the categories of the training rows."""
        encoding = super().encoding(port, training)
        if len(encoding.shape) > 1:
            raise ProblemError(
                f"port {port!r} needs a Table of (examples, columns), got examples of shape "
                f"{encoding.shape}: Series or Image?"
            )
        return encoding

    def _what(self, encoding: Encoding) -> str:
        count = math.prod(encoding.shape)
        text = f"a table of {count} column{'s' if count > 1 else ''}"
        if not encoding.categorical:
            return text
        sizes = {name: len(of) for name, of in encoding.columns if of is not None}
        shown = [f"{name} ({size})" for name, size in list(sizes.items())[:6]]
        if len(sizes) > 6:
            shown.append("...")
        numbers = count - len(sizes)
        plural = "s" if numbers != 1 else ""
        return f"{text} ({numbers} number{plural}; categories: {', '.join(shown)})"


class Series(_Standardised):
    """Numbers over steps of time (or of anything else), in one or several channels.

    A channel is what one sensor measures: it is standardised as a whole, by one mean and one
    deviation over all steps, so that the course within a channel stays what it is. Values may be
    missing; one becomes the mean of its channel.

    Args:
        values: An array ``(examples, steps, channels)``; ``(examples, steps)`` has one channel.
        standardize: True, False, or None for what the problem says.
    """

    kind = "series"

    def encoding(self, port: str, training: slice | np.ndarray) -> Encoding:
        """Return the shape, which must be that of a series of numbers."""
        encoding = super().encoding(port, training)
        if len(encoding.shape) not in (1, 2) or encoding.categorical:
            got = "columns of categories" if encoding.categorical else "none"
            if len(encoding.shape) not in (1, 2):
                got = f"examples of shape {encoding.shape}"
            raise ProblemError(
                f"port {port!r} needs a Series of numbers (examples, steps, channels) or "
                f"(examples, steps), got {got}"
            )
        return encoding

    def imputation(self, port: str, encoding: Encoding, source: Source) -> Imputation:
        """Return what stands in for missing values: the mean of their channel."""
        width, channels = source.matrix.shape[1], self._channels(encoding)
        return Imputation.of_channels(port, channels, width, source.pieces())

    def standardised(self, encoding: Encoding, source: Source) -> Standard:
        """Return mean and deviation of each channel, then those of the indicators."""
        width, channels = math.prod(encoding.shape), self._channels(encoding)
        channel = standard_of(
            lambda: (rows[:, :width].reshape(-1, channels) for rows in source.pieces())
        )
        rest = standard_of(lambda: (rows[:, width:] for rows in source.pieces()))
        steps = width // channels
        return Standard(channel.shift * steps + rest.shift, channel.spread * steps + rest.spread)

    def _channels(self, encoding: Encoding) -> int:
        return encoding.shape[1] if len(encoding.shape) == 2 else 1

    def _what(self, encoding: Encoding) -> str:
        channels = self._channels(encoding)
        counted = f"{channels} channel{'s' if channels > 1 else ''}"
        return f"a series of {encoding.shape[0]} steps of {counted}"


class Image(InputKind):
    """Pixels, which all have the same range: it is scaled to 0 to 1, and not standardised.

    Args:
        values: An array ``(examples, height, width)``, ``(examples, height, width, channels)`` or
            ``(examples, channels, height, width)``; volumes have one axis more.
        range: The values that become 0 and 1. By default (0, 255) for bytes, and (0, 1) or
            (0, 255) for other numbers, whichever the training split fits; if it fits neither, it is
            scaled by its own smallest and largest value, and the log says so.
        convolutions: Whether convolutional sub-networks can read the images, or paint them where
            they are a target.
        shift: Each training image is moved by up to so many pixels in each direction, another way
            in every batch. What moves in at the border is 0.
        flip: Half of the training images are mirrored, left to right, others in every batch. A
            generation output of the very same images moves with them; other targets stay.
    """

    kind = "image"
    holes = False

    def __init__(
        self,
        values: Any,
        *,
        range: tuple[float, float] | None = None,
        convolutions: bool = True,
        shift: int = 0,
        flip: bool = False,
    ) -> None:
        super().__init__(values)
        self.range = None if range is None else _checked_range(range)
        if not is_whole(shift) or shift < 0 or not isinstance(flip, bool):
            raise ProblemError(
                f"Image needs shift as a number of pixels and flip as True or False, got {shift!r} "
                f"and {flip!r}"
            )
        self.convolutions, self.shift, self.flip = bool(convolutions), shift, flip

    def augmentation(self, port: str, encoding: Encoding) -> Augmentation | None:
        """Return how training images are moved and mirrored; None if they are not.

        Raises:
            ProblemError: They are no images of rows, columns and a few colours.
        """
        if not self.shift and not self.flip:
            return None
        maps = maps_of(encoding.shape, smallest=1)
        if maps is None:
            raise ProblemError(
                f"port {port!r} needs images of (height, width) with up to 4 channels to shift or "
                f"flip them, got examples of shape {encoding.shape}"
            )
        return Augmentation(maps, self.shift, self.flip)

    def encoding(self, port: str, training: slice | np.ndarray) -> Encoding:
        """Return the shape, which must be that of images."""
        if is_frame(self.values):
            raise ProblemError(f"port {port!r} needs an Image as an array, got a frame")
        encoding = super().encoding(port, training)
        if len(encoding.shape) < 2:
            raise ProblemError(
                f"port {port!r} needs an Image of (examples, height, width) or of (examples, "
                f"height, width, channels), got examples of shape {encoding.shape}: reshape them, "
                "or declare a Table"
            )
        return encoding

    def imputation(self, port: str, encoding: Encoding, source: Source) -> Imputation:
        """Return that nothing is missing."""
        return Imputation()

    def standard(self, encoding: Encoding, source: Source, wish: bool | None) -> Standard:
        """Return the range as shift and spread; mean and deviation of each pixel if wished for."""
        if wish:
            return standard_of(source.pieces)
        low, high = self.range or range_of(source.pieces())
        return Standard((low,), (high - low,))

    def concern(self, encoding: Encoding, standard: Standard, features: Tensor) -> str | None:
        """Return that values are far outside the range, or that the range is an unusual one."""
        if len(standard.shift) > 1:
            return super().concern(encoding, standard, features)
        (low,), (spread,) = standard.shift, standard.spread
        smallest, largest = (bound.item() * spread + low for bound in torch.aminmax(features))
        if smallest < low - spread / 2 or largest > low + 1.5 * spread:
            return (
                f"is an Image of values from {low:g} to {low + spread:g}, and has values from "
                f"{smallest:.6g} to {largest:.6g}: is range=(low, high) right?"
            )
        dark = 10 if len(features) >= MANY else 100
        if smallest < largest < low + spread / dark:
            return (
                f"is an Image of values from {low:g} to {low + spread:g}, and has values from "
                f"{smallest:.6g} to {largest:.6g} only: were they scaled already?"
            )
        if self.range is None and (low < 0 or low + spread > USUAL_RANGES[-1]):
            return (
                f"is {'taken for ' if self.guessed else ''}an Image, which has values on 0 to 1 or "
                f"on 0 to 255, and has values from {smallest:.6g} to {largest:.6g}, which become 0 "
                "and 1: say Image(values, range=(low, high)), or declare a Series or a Table"
            )
        return None

    def text(self, encoding: Encoding, standard: Standard) -> str:
        """Return what the input is, with its range."""
        sides = " x ".join(map(str, encoding.shape))
        if len(standard.shift) > 1:
            return f"an image of {sides}, standardised"
        low, high = standard.shift[0], standard.shift[0] + standard.spread[0]
        return f"an image of {sides}, values from {low:g} to {high:g}"


def _checked_range(given: Any) -> tuple[float, float]:
    try:
        low, high = (float(bound) for bound in given)
    except (TypeError, ValueError) as error:
        raise ProblemError(f"Image needs range as two numbers, got {given!r}") from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise ProblemError(f"Image needs a range of a smaller and a larger number, got {given!r}")
    return low, high


def range_of(pieces: Iterable[np.ndarray]) -> tuple[float, float]:
    """Return the range of images: a usual one where the values fill half of it, else their own."""
    bounds = [(float(piece.min()), float(piece.max())) for piece in pieces]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    if low >= 0 and high <= 1:
        return 0.0, 1.0
    if low >= 0 and USUAL_RANGES[-1] / 2 < high <= USUAL_RANGES[-1]:
        return 0.0, USUAL_RANGES[-1]
    if 0 <= low <= high / 2:
        return 0.0, high
    return low, high if high > low else low + 1


def image_shape(kind: InputKind, encoding: Encoding) -> tuple[int, ...]:
    """Return the shape of an example that convolutions can read; empty if it is none."""
    if not isinstance(kind, Image) or not kind.convolutions or maps_of(encoding.shape) is None:
        return ()
    return encoding.shape


# --- Guesses --------------------------------------------------------------------------------------


def kind_of(port: str, data: Any) -> InputKind:
    """Return the kind of an input: the declared one, or a guess for a bare array or frame.

    Frames and arrays of one or two dimensions are tables. Arrays of three dimensions are images
    where their values are on 0 to 255 and their sides alike, or where they are square, and else
    series. Arrays of more dimensions are images.
    """
    if isinstance(data, InputKind):
        return data
    kind = _guess(port, data)(data)
    kind.guessed = True
    return kind


def _guess(port: str, data: Any) -> type[InputKind]:
    if is_frame(data):
        return Table
    shape = shape_of(port, data)
    if len(shape) <= 2:
        return Table
    if len(shape) > 3:
        return Image
    low, high = bounds_of(port, data)
    smaller, larger = sorted(shape[1:])
    in_range = low >= 0 and high <= USUAL_RANGES[-1]
    if in_range and larger <= LONGEST_SIDE * smaller:
        return Image
    square = smaller == larger >= 8
    return Image if square else Series
