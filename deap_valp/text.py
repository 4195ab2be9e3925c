"""What several rooms write as text: tables, and where a class is defined."""

from __future__ import annotations

from collections.abc import Sequence


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as lines of aligned columns.

    Args:
        rows: At least one row; all have the same number of cells.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def place_of(cls: type) -> str:
    """Return the module and the name of a class, which tell a second definition from a clash."""
    return f"{cls.__module__}.{cls.__qualname__}"
