"""The pages say what the registries say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"
PAGES = sorted(DOCS.glob("*.md"))


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_the_registries(page, tables):
    assert page.read_text() == tables.with_tables(page.read_text()), "run python docs/tables.py"


def test_every_table_stands_on_a_page(tables):
    text = "".join(page.read_text() for page in PAGES)
    assert all(
        f"<!-- {name} -->" in text and f"<!-- end of {name} -->" in text for name in tables.tables()
    )
