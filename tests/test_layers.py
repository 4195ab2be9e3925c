"""Who may import whom: the rooms of the package, and what importing it costs."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

import deap_valp

PACKAGE = Path(deap_valp.__file__).parent

# A module imports only from the rows above its own, for types too. A module that becomes a folder
# keeps its row.
LEVELS = (
    {"errors", "text", "atomic"},
    {"arguments"},
    {"device"},
    {"genome"},
    {"problem"},
    {"problems"},
    {"variation"},
    {"training"},
    {"diagnosis"},
    {"evaluation"},
    {"selection"},
    {"search"},
    {"ready"},
    {"distributed"},
    {"plots"},
    {"page"},
    {"scoop"},
    {"__init__"},
)
LEVEL = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}

# Imported where they are used, so that a worker stays small and a script starts soon.
HEAVY = {
    "bokeh",
    "llvmlite",
    "matplotlib",
    "numba",
    "pandas",
    "pooch",
    "scikit_posthocs",
    "scipy",
    "seaborn",
    "sklearn",
    "statsmodels",
}

# Imported on demand by the package itself: the estimators have base classes of scikit-learn's.
# The compiled player is made of numba's functions.
PLAYER = ("blas", "descent", "kernel", "memory", "numbers", "operations")
ON_DEMAND = {
    "ready/estimators.py": {"sklearn"},
    **{f"training/player/{name}.py": {"llvmlite", "numba"} for name in PLAYER},
}

MODULES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
ROOMS = {module.parts[0].removesuffix(".py") for module in MODULES}
each_module = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.as_posix())


def room_of(module: Path) -> str:
    """Return the room that a file belongs to: its folder, or itself at the top."""
    return module.parts[0].removesuffix(".py")


def imported(node: ast.AST, module: Path) -> list[str]:
    """Return the dotted names that an import statement may bring in; none for another node."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        package = ".".join((PACKAGE.name, *module.parent.parts))
        source = resolve_name("." * node.level + (node.module or ""), package)
        return [f"{source}.{alias.name}" for alias in node.names]
    return []


FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
FOR_TYPES = ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def nodes(node: ast.AST, at_import: bool) -> Iterator[ast.AST]:
    """Yield all nodes, or those that run when the module is imported."""
    for child in ast.iter_child_nodes(node):
        if at_import and isinstance(child, FUNCTIONS):
            continue
        if at_import and isinstance(child, ast.If) and ast.unparse(child.test) in FOR_TYPES:
            child = ast.Module(body=child.orelse, type_ignores=[])
        yield child
        yield from nodes(child, at_import)


def imports_of(module: Path, at_import: bool = False) -> Iterator[tuple[int, str]]:
    """Yield line and dotted name of every import of a module, or of those made at its import."""
    for node in nodes(ast.parse((PACKAGE / module).read_text()), at_import):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield from ((node.lineno, name) for name in imported(node, module))


def rooms_imported(module: Path) -> Iterator[tuple[int, str]]:
    """Yield line and room of every import from the package, in functions and for types too."""
    for line, name in imports_of(module):
        package, *inside = name.split(".")
        if package == PACKAGE.name:
            # What the package itself offers comes from its __init__, which imports everything.
            yield line, inside[0] if inside and inside[0] in ROOMS | LEVEL.keys() else "__init__"


@each_module
def test_every_module_has_a_level(module):
    assert room_of(module) in LEVEL, (
        f"deap_valp/{module.as_posix()} stands on no level: "
        f"add {room_of(module)!r} to LEVELS in {Path(__file__).name}"
    )


@each_module
def test_imports_go_strictly_downwards(module):
    room = room_of(module)
    if room not in LEVEL:
        pytest.skip(f"{room!r} stands on no level, which fails the test above")
    upward = {
        f"line {line} imports {other} (level {LEVEL[other]})"
        for line, other in rooms_imported(module)
        if other != room and other in LEVEL and LEVEL[other] >= LEVEL[room]
    }
    assert not upward, (
        f"deap_valp/{module.as_posix()} is on level {LEVEL[room]}, but {'; '.join(sorted(upward))}"
    )


@each_module
def test_heavy_libraries_are_imported_inside_functions(module):
    heavy = [
        f"line {line} imports {name}"
        for line, name in imports_of(module, at_import=True)
        if name.split(".")[0] in HEAVY - ON_DEMAND.get(module.as_posix(), set())
    ]
    assert not heavy, (
        f"deap_valp/{module.as_posix()}: {'; '.join(heavy)} when the module is imported"
    )


@pytest.fixture(scope="module")
def fresh_import(tmp_path_factory):
    """Return what a fresh interpreter holds after importing the package."""
    script = (
        "import json, sys\n"
        "from deap import creator\n"
        "before = set(vars(creator))\n"
        "import deap_valp\n"
        "created = sorted(set(vars(creator)) - before)\n"
        "print(json.dumps({'created': created, 'modules': sorted(sys.modules)}))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONPATH": str(PACKAGE.parent)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_importing_creates_no_creator_class(fresh_import):
    assert fresh_import["created"] == []


def test_importing_loads_no_heavy_library(fresh_import):
    heavy = HEAVY | {"zmq"}  # SCOOP's sockets, which only its launcher needs
    assert heavy.isdisjoint(fresh_import["modules"]), heavy.intersection(fresh_import["modules"])
