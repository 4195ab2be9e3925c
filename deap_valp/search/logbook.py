"""The logbook of a search: DEAP's, with a table for notebooks."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

from deap import tools

from ..text import html_table

SHOWN = 60
"""The number of records that a notebook shows at most: the first ten, and the last ones."""

_FIRST = 10


class Logbook(tools.Logbook):
    """DEAP's ``Logbook``, which a notebook shows as a table with all columns and chapters."""

    def _repr_html_(self) -> str:
        rows = [{**record, **self._statistics(index)} for index, record in enumerate(self)]
        columns = dict.fromkeys(name for row in rows for name in row)
        shown = [[_text(row.get(name)) for name in columns] for row in rows]
        if len(shown) > SHOWN:
            gap = ["..."] * len(columns)
            shown = [*shown[:_FIRST], gap, *shown[_FIRST - SHOWN :]]
        return html_table([list(columns), *shown])

    def _statistics(self, index: int) -> Mapping[str, Any]:
        """Return what the chapters have of a record, by chapter and name."""
        found = {}
        for name, chapter in self.chapters.items():
            for part, value in chapter[index].items() if index < len(chapter) else ():
                if part not in self[index]:
                    found[f"{name} {part}"] = value
        return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool | int):
        return str(value)
    if isinstance(value, Real):
        return f"{float(value):.4g}"
    return str(value)
