"""What several rooms write as text: tables, also in HTML, names, and where a class is defined."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from itertools import islice


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


def html_table(rows: Sequence[Sequence[str]]) -> str:
    """Return the rows as a table in HTML, with whatever they hold as plain text.

    Args:
        rows: The first row is the header.
    """
    head, *body = rows
    lines = "".join(_html_row(row, "td") for row in body)
    return f"<table><thead>{_html_row(head, 'th')}</thead><tbody>{lines}</tbody></table>"


def _html_row(cells: Sequence[str], tag: str) -> str:
    return "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells) + "</tr>"


def listed(names: Iterable[object], most: int = 6) -> str:
    """Return the first few of some names or labels, as Python writes them."""
    shown = [repr(name) for name in islice(names, most + 1)]
    return ", ".join(shown[:most]) + (", ..." if len(shown) > most else "")


def place_of(cls: type) -> str:
    """Return the module and the name of a class, which tell a second definition from a clash."""
    return f"{cls.__module__}.{cls.__qualname__}"


def shortened(text: str, most: int = 60) -> str:
    """Return a text of at most ``most`` characters."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
