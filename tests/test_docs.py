"""The pages say what the code says: registries, module paths, links, and the README's script."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import zoo
from test_layers import LEVEL

import deap_valp
from deap_valp.diagnosis import METRICS

PACKAGE = Path(deap_valp.__file__).parent
ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
ALL_PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
REFERENCE = (DOCS / "reference.md").read_text()
RUN_PAGES = sorted([*DOCS.glob("tutorials/*.md"), *DOCS.glob("howto/*.md")])
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))
each_page = pytest.mark.parametrize("page", ALL_PAGES, ids=lambda page: page.name)

CODE = re.compile(r"`([^`]+)`")
NAMES = re.compile(r"`([\w/]+\.py)`: ((?:`\w+`(?:, )?)+)")
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([\w-]+))?\)")


@pytest.fixture(scope="module")
def tables():
    spec = importlib.util.spec_from_file_location("tables", DOCS / "tables.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# ---- registries ----------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_tables_are_the_registries(page, tables):
    assert page.read_text() == tables.with_tables(page.read_text()), "run python docs/tables.py"


def test_every_table_stands_on_a_page(tables):
    text = "".join(page.read_text() for page in PAGES)
    assert all(
        f"<!-- {name} -->" in text and f"<!-- end of {name} -->" in text for name in tables.tables()
    )


# ---- paths and names -----------------------------------------------------------------------------


def named_in_code(text):
    """Each path of a Python file that a page names in code."""
    for code in CODE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        for word in code.split():
            if word.endswith(".py") and "/" in word:
                yield word


@each_page
def test_every_file_that_a_page_names_exists(page):
    missing = [
        path
        for path in named_in_code(page.read_text())
        if not (ROOT / path).exists() and not (PACKAGE / path).exists()
    ]
    assert not missing


@each_page
def test_every_name_in_a_table_stands_in_the_module_beside_it(page):
    missing = []
    for path, names in NAMES.findall(page.read_text()):
        module = importlib.import_module(f"deap_valp.{path.removesuffix('.py').replace('/', '.')}")
        missing += [(path, name) for name in CODE.findall(names) if not hasattr(module, name)]
    assert not missing


def test_the_pages_with_names_have_them_where_the_test_looks():
    for page in ("architecture.md", "concepts.md"):
        assert len(NAMES.findall((DOCS / page).read_text())) > 10


def test_architecture_names_every_room_in_its_order():
    text = (DOCS / "architecture.md").read_text()
    table = re.findall(r"^\| `(\w+)/` \|", text, flags=re.MULTILINE)
    assert table == sorted(ROOMS, key=LEVEL.__getitem__)
    picture = re.findall(r'^    (\w+)\["', text, flags=re.MULTILINE)
    assert {*picture, "distributed"} == {*ROOMS}


@each_page
def test_every_link_leads_somewhere(page):
    broken = []
    for target, heading in LINK.findall(page.read_text()):
        if ":" in target:
            continue  # of another site
        file = page.parent / target if target else page
        if not file.exists() or (heading and heading not in headings(file)):
            broken.append((target, heading))
    assert not broken


def headings(page):
    """The anchors of a page's headings."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(), flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", line.lower()).replace(" ", "-") for line in lines}


# ---- the site ------------------------------------------------------------------------------------


def test_every_public_name_stands_in_the_reference():
    listed = set(re.findall(r"^   (?:[\w.]+\.)?(\w+)$", REFERENCE, flags=re.MULTILINE))
    described = set(re.findall(r"^\.\. py:data:: (\w+)$", REFERENCE, flags=re.MULTILINE))
    public = {*deap_valp.__all__, *deap_valp.plots.__all__} - {"plots", "problems"}
    assert listed | described == public | {"by_name", "digits", "fashion_mnist", "mnist", "names"}


def test_every_page_stands_in_a_table_of_contents():
    """Sphinx would refuse to build a page that nobody finds."""
    for index in sorted(DOCS.rglob("index.md")):
        trees = "".join(re.findall(r"```{toctree}\n(.*?)```", index.read_text(), flags=re.DOTALL))
        entries = set(trees.splitlines())
        missing = [
            page.name
            for page in index.parent.glob("*.md")
            if page != index and "*" not in entries and page.stem not in entries
        ]
        assert not missing, f"name them in {index.relative_to(ROOT)}"


@pytest.fixture(scope="module")
def failures_of_pages(tmp_path_factory):
    """What the code of tutorials and how-to guides raised, by page, with the smallest searches."""
    done = subprocess.run(
        [sys.executable, str(DOCS / "outputs.py"), "--small"],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.stem)
def test_the_code_of_a_page_runs(page, failures_of_pages):
    failure = failures_of_pages.get(page.stem, "")
    if "MissingExtraError" in failure:
        pytest.skip(f"{page.name} shows an extra that is not installed")
    assert not failure


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: page.stem)
def test_what_a_page_prints_was_written_into_it(page):
    assert "```text\n```" not in page.read_text(), f"run python docs/outputs.py {page.name}"


# ---- code of the pages ---------------------------------------------------------------------------


def test_the_metric_of_the_page_is_measured():
    text = (DOCS / "diagnosis.md").read_text().partition("## A metric of your own")[2]
    problem, individual = zoo.mixed_problem(), zoo.fan_in()
    individual.fitness.values = deap_valp.evaluate(individual, problem, 5, 5)
    names = {"valp": deap_valp, "problem": problem, "individual": individual}
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert len(blocks) == 2
    try:
        for block in blocks:
            *before, last = block.rstrip().splitlines()
            exec("\n".join(before), names)
            found = eval(last, names)
            assert set(found) >= {("n0", "value"), ("n1", "label")}
            assert all(0 <= share <= 1 for share in found.values())
    finally:
        METRICS.pop("dead_units", None)


# ---- the README ----------------------------------------------------------------------------------


def test_the_script_of_the_readme_runs_as_pasted(tmp_path):
    """With smaller numbers, so that it takes seconds."""
    text = (ROOT / "README.md").read_text()
    [script] = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    for name, value in {"batches": 4, "first_batches": 6, "ngen": 1, "nsteps": 2}.items():
        script, found = re.subn(rf"\b{name}=\d+", f"{name}={value}", script)
        assert found == 1, name
    file = tmp_path / "script.py"
    file.write_text(script)
    done = subprocess.run(
        [sys.executable, str(file)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "'label'" in done.stdout and re.search(r"\[\d \d \d\]", done.stdout)
