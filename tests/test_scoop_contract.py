"""What the package relies on in SCOOP: two modules list it, and the installed SCOOP has it."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest
import scoop

import deap_valp
from deap_valp.distributed import backend, launcher

PACKAGE = Path(deap_valp.__file__).parent
SCOOP = Path(scoop.__file__).parent
KNOW_SCOOP = (backend, launcher)


def listed(module):
    """The pairs of name and signature in a module's list; the signature is empty for a value."""
    found = re.findall(r"``(scoop(?:\.\w+)+)(\([^`]*\))?``", module.__doc__)
    return [(name, " ".join(signature.split())) for name, signature in found]


RELIED_ON = [(module, *entry) for module in KNOW_SCOOP for entry in listed(module)]


def stored(tree, word):
    """The names that a piece of source stores on ``word``, or declares global."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Global):
            names.update(node.names)
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            names.add(ast.unparse(node))
    return {name.removeprefix(f"{word}.") for name in names}


def source_of(file):
    return ast.parse(file.read_text())


def set_at_run_time(owner):
    """The names that a class, a module or SCOOP itself gets only when its code runs."""
    if inspect.isclass(owner):
        return stored(ast.parse(inspect.getsource(owner)), "self")
    if owner is not scoop:
        return stored(source_of(Path(owner.__file__)), "")
    names = set()
    for file in (SCOOP / "bootstrap/__main__.py", SCOOP / "_comm/scoopzmq.py"):
        names |= stored(source_of(file), "scoop")
    return names


def owner_of(name):
    """The module or class that a dotted name lies in."""
    parts = name.split(".")[:-1]
    if parts[-1][0].isupper():
        return getattr(importlib.import_module(".".join(parts[:-1])), parts[-1])
    return importlib.import_module(".".join(parts))


def check(module, name, signature):
    """Fail where SCOOP has no such name, or one of another signature."""
    file = Path(module.__file__).relative_to(PACKAGE.parent)
    relies = f"{file} relies on {name}{signature}, but SCOOP {version('scoop')} has"
    last = name.rsplit(".", 1)[1]
    try:
        owner = owner_of(name)
    except (AttributeError, ImportError) as error:
        pytest.fail(f"{relies} no such name: {error}")
    if not hasattr(owner, last):
        if signature or last not in set_at_run_time(owner):
            pytest.fail(f"{relies} no such name")
        return
    if signature:
        found = str(inspect.signature(getattr(owner, last)))
        if found != signature:
            pytest.fail(f"{relies} {name}{found}")


@pytest.mark.filterwarnings("ignore:.*invalid escape sequence")
@pytest.mark.parametrize(("module", "name", "signature"), RELIED_ON)
def test_scoop_has_what_the_package_relies_on(module, name, signature):
    check(module, name, signature)


@pytest.mark.parametrize(
    ("name", "signature", "said"),
    [
        ("scoop.gone", "", "no such name"),
        ("scoop.gone.submit", "(func)", "no such name: No module named 'scoop.gone'"),
        ("scoop._types.Gone.id", "", "no such name: module 'scoop._types' has no attribute 'Gone'"),
        ("scoop._types.Future.gone", "", "no such name"),
        ("scoop._types.Future._delete", "(self, now)", "scoop._types.Future._delete(self)"),
    ],
)
def test_what_scoop_lacks_is_named(name, signature, said):
    with pytest.raises(pytest.fail.Exception) as failure:
        check(backend, name, signature)
    message = str(failure.value)
    assert message.startswith(f"deap_valp/distributed/backend.py relies on {name}{signature}, but")
    assert message.endswith(f"has {said}")


def imports(tree):
    """The dotted names that the import statements of a module bring in."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def uses(tree):
    """The names of SCOOP that a module imports, or reads from what it imported."""
    for name in imports(tree):
        if name.startswith("scoop."):
            yield name
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("scoop."):
            yield ast.unparse(node)


@pytest.mark.parametrize("module", KNOW_SCOOP)
def test_each_use_of_scoop_is_in_the_list(module):
    names = {name for name, _ in listed(module)}
    prefixes = {name[: match.start()] for name in names for match in re.finditer(r"\.", name)}
    assert set(uses(source_of(Path(module.__file__)))) <= names | prefixes


def test_two_modules_know_scoop():
    know = set()
    for file in PACKAGE.rglob("*.py"):
        if any(name.split(".")[0] in ("scoop", "zmq") for name in imports(source_of(file))):
            know.add(file)
    assert know == {Path(module.__file__) for module in KNOW_SCOOP}
