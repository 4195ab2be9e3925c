"""Writes the tables of the registries into the pages: ``python docs/tables.py``.

A test holds the pages to the registries.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path

import deap_valp as valp
from deap_valp.diagnosis import METRICS
from deap_valp.selection import RULES

DOCS = Path(__file__).parent


def first_line(function: object) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def table(*rows: Iterable[str]) -> str:
    header, *body = [list(row) for row in rows]
    return "\n".join(
        "| " + " | ".join(row) + " |" for row in (header, ["---"] * len(header), *body)
    )


def tables() -> dict[str, str]:
    """Markdown by the marker it stands between."""
    rules = [
        (name, set_, first_line(function))
        for set_, found in RULES.items()
        for name, function in found.items()
    ]
    return {
        "operators": str(valp.operators()),
        "metrics": table(
            ("metric", "what it measures"), *((n, first_line(METRICS[n])) for n in valp.ALL_METRICS)
        ),
        "rules": table(("rule", "rule set", "when, and what it proposes"), *rules),
    }


def with_tables(text: str) -> str:
    """A page with its tables made anew."""
    for name, content in tables().items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if start in text and end in text:
            before, _, rest = text.partition(start)
            text = f"{before}{start}\n{content}\n{end}{rest.partition(end)[2]}"
    return text


if __name__ == "__main__":
    for page in DOCS.glob("*.md"):
        page.write_text(with_tables(page.read_text()))
