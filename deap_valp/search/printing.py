"""What ``verbose=True`` prints: one line a step that fits a terminal, the objectives first."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

WIDTH = 100
"""The largest number of columns of a line. What does not fit is in the logbook."""

_CELL = 10  # columns of a number


def printed(record: Mapping[str, Any], statistics: Mapping[str, Any]) -> tuple[str, str]:
    """Return the header and the line of a step, each at most ``WIDTH`` columns wide.

    The order is: step, evaluations, numbers of the search itself (the objectives of a candidate),
    lowest and mean value of each chapter of the statistics, other statistics, and texts.

    Args:
        record: What the search itself records.
        statistics: What the ``stats`` of the caller compiled.
    """
    numbers: dict[str, Any] = {}
    texts: dict[str, str] = {}
    for name, value in {**statistics, **record}.items():
        if isinstance(value, Mapping):
            _add_chapter(name, value, numbers, texts)
        elif isinstance(value, str | bool) or not isinstance(value, Real):
            texts[name] = str(value)
        else:
            numbers[name] = value
    first = [name for name in ("gen", "nevals") if name in numbers]
    objectives = [name for name in record if name in numbers and name not in first]
    rest = [name for name in numbers if name not in record]
    cells = [(name, f"{numbers[name]:.4g}") for name in (*first, *objectives, *rest)]
    cells += [(name, texts[name]) for name in sorted(texts, key=lambda name: name != "accepted")]
    header, line = "", ""
    for name, text in cells:
        width = max(len(name), _CELL if name not in first else 0)
        header, line = f"{header}{name:<{width}}  ", f"{line}{text:<{width}}  "
    return _cut(header), _cut(line)


def _add_chapter(
    name: str, chapter: Mapping[str, Any], numbers: dict[str, Any], texts: dict[str, str]
) -> None:
    """Add what is printed of a chapter: its lowest and mean value, or else its first entry."""
    shown = [field for field in ("min", "avg") if field in chapter] or list(chapter)[:1]
    for field in shown:
        value = chapter[field]
        if isinstance(value, Real):
            numbers[f"{name} {field}"] = value
        else:
            texts[name] = str(value)


def _cut(line: str) -> str:
    line = line.rstrip()
    if len(line) <= WIDTH:
        return line
    return line[: WIDTH - 3] + "..."
