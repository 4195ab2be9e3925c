"""Reporters: they show or write down a search while it runs.

A reporter is a callable that gets the ``Progress`` after every step. If it has a method ``close``,
that is called when the search ends. To add one, decorate what makes it with ``reporter``.
"""

from __future__ import annotations

import csv
import itertools
import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeVar

from deap import tools
from tqdm.auto import tqdm

from ..errors import RegistrationError, ValpError
from .progress import Progress

logger = logging.getLogger("deap_valp")

Reporter = Callable[[Progress], Any]
Reporters = str | Reporter | Iterable[str | Reporter]
"""What the searches take as ``reporters``: names and reporters, or one of them."""

Maker = TypeVar("Maker", bound=Callable[[str], Reporter])

REPORTERS: dict[str, Callable[[str], Reporter]] = {}
"""What makes a reporter, by name. It gets the text after the colon: ``run.csv`` of ``csv:run.csv``.
"""


def reporter(name: str) -> Callable[[Maker], Maker]:
    """Register a class or function that makes a reporter, under a name.

    >>> @reporter("shout")
    ... class Shout:
    ...     def __init__(self, text):  # what stands after the colon of "shout:text"
    ...         self.text = text
    ...
    ...     def __call__(self, progress):  # after every step
    ...         print(self.text, progress.step)

    Args:
        name: The name, without a colon.

    Raises:
        RegistrationError: The name is empty, has a colon, or is taken by another module.
    """
    if not isinstance(name, str) or not name or ":" in name:
        raise RegistrationError(f"reporter needs a name without a colon, got {name!r}")

    def register(make: Maker) -> Maker:
        known = REPORTERS.get(name)
        if known is not None and known.__module__ != make.__module__:
            raise RegistrationError(
                f"reporter needs a name that is not registered, got {name!r}: "
                f"{known.__module__} has it already"
            )
        REPORTERS[name] = make
        return make

    return register


def reporters_of(reporters: Reporters) -> list[Reporter]:
    """Return what a user gave as ``reporters`` as a list of reporters.

    Raises:
        RegistrationError: A name is not registered, or something is neither a name nor callable.
        ValpError: A reporter cannot be made of the text after its name.
    """
    if isinstance(reporters, str) or callable(reporters):
        reporters = [reporters]
    if not isinstance(reporters, Iterable):
        raise RegistrationError(_rule(reporters))
    return [_made(given) for given in reporters]


def _made(given: Any) -> Reporter:
    if isinstance(given, str):
        name, _, text = given.partition(":")
        if name in REPORTERS:
            return REPORTERS[name](text)
    elif callable(given) and not isinstance(given, type):
        made: Reporter = given
        return made
    raise RegistrationError(_rule(given))


def _rule(got: Any) -> str:
    return (
        f"reporters needs names among {sorted(REPORTERS)} (with a text after a colon, as in "
        f"'csv:run.csv') and functions of a Progress, got {got!r}"
    )


# ---- the built-in ones ---------------------------------------------------------------------------


@reporter("progress")
class Line:
    """Prints a line to the standard error stream after every step."""

    def __init__(self, text: str = "") -> None:
        if text:
            raise ValpError(f"the reporter 'progress' takes nothing after a colon, got {text!r}")

    def __call__(self, progress: Progress) -> None:
        """Print the line, without harm to a progress bar."""
        tqdm.write(line_of(progress), file=sys.stderr)


def line_of(progress: Progress) -> str:
    """Return the line of a step: where the search is, and the lowest values so far."""
    step = str(progress.step)
    if progress.last is not None:
        step += f"/{progress.last}"
    parts = [
        f"{progress.search} {step}",
        f"{progress.evaluations} evaluations",
        f"{progress.seconds:.1f} s",
        *(f"{name} {value:.4g}" for name, value in progress.lowest.items()),
    ]
    return "  ".join(parts)


@reporter("csv")
class CsvFile:
    """Writes the logbook to a file, a row for each step.

    A chapter of the logbook becomes columns such as ``label.min``. The file always holds the whole
    logbook: a search that goes on from a saved step replaces it. A search that begins (or begins
    anew, killed before it saved a step) keeps a file that is there under a name with a number,
    ``run.1.csv``, and the log says so.

    Args:
        path: The file. Missing folders are made.
    """

    def __init__(self, path: str) -> None:
        if not path:
            raise ValpError("the reporter 'csv' needs a file, as in 'csv:run.csv'")
        self.path = Path(path).absolute()
        self._columns: list[str] = []

    def __call__(self, progress: Progress) -> None:
        """Write the last record; all records where the file is new or a column is."""
        logbook = progress.logbook
        if len(logbook) == 1:
            self._columns = []
            _keep_old(self.path)
        if any(name not in self._columns for name in record_of(logbook, len(logbook) - 1)):
            self._rewrite(logbook)
        else:
            self._write("a", logbook, len(logbook) - 1)

    def _rewrite(self, logbook: tools.Logbook) -> None:
        for index in range(len(logbook)):
            new = record_of(logbook, index)
            self._columns += [name for name in new if name not in self._columns]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._write("w", logbook, 0)

    def _write(self, mode: str, logbook: tools.Logbook, first: int) -> None:
        with self.path.open(mode, newline="") as stream:
            writer = csv.DictWriter(stream, self._columns)
            if mode == "w":
                writer.writeheader()
            for index in range(first, len(logbook)):
                writer.writerow(record_of(logbook, index))


def _keep_old(path: Path) -> None:
    """Give a file that another search has left a name that is free."""
    if not path.is_file():
        return
    numbered = (path.with_stem(f"{path.stem}.{number}") for number in itertools.count(1))
    old = next(name for name in numbered if not name.exists())
    path.rename(old)
    logger.warning("%s is of an earlier search, and is kept as %s", path, old.name)


@reporter("tensorboard")
class TensorBoard:
    """Writes the numbers of the logbook to a folder for TensorBoard.

    They are the columns of the logbook, the lowest value of each objective so far (``lowest/``),
    and the seconds. A search that goes on from a checkpoint hides the steps that it repeats.

    Args:
        folder: The folder. Missing folders are made.

    Raises:
        ValpError: The package ``tensorboard`` is not installed, or no folder is named.
    """

    def __init__(self, folder: str) -> None:
        if not folder:
            raise ValpError("the reporter 'tensorboard' needs a folder, as in 'tensorboard:runs'")
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValpError(
                "the reporter 'tensorboard' needs the package tensorboard: "
                "pip install 'deap_valp[tensorboard]'"
            ) from error
        self._make, self._folder = SummaryWriter, str(Path(folder).absolute())
        self._writer: Any = None

    def __call__(self, progress: Progress) -> None:
        """Write the numbers of the last step."""
        if self._writer is None:
            self._writer = self._make(self._folder, purge_step=progress.step)
        record = record_of(progress.logbook, len(progress.logbook) - 1)
        lowest = {f"lowest/{name}": value for name, value in progress.lowest.items()}
        for name, value in {**record, **lowest, "seconds": progress.seconds}.items():
            if isinstance(value, int | float) and name != "gen":
                self._writer.add_scalar(name.replace(".", "/"), value, progress.step)
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()
            self._writer = None


def record_of(logbook: tools.Logbook, index: int) -> dict[str, Any]:
    """Return a record of a logbook with its chapters, such as ``label.min``."""
    record = dict(logbook[index])
    for name, chapter in logbook.chapters.items():
        if index < len(chapter):
            own = {key: value for key, value in chapter[index].items() if key not in record}
            record.update({f"{name}.{key}": value for key, value in own.items()})
    return record
