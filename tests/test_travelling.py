"""How a problem travels to other processes: as a reference, which each of them opens once."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from small_data import (
    KINDS,
    first_two,
    labels,
    misses,
    problem_of,
    share_wrong,
    size_of,
    table,
    width_of,
)

from deap_valp.errors import ProblemError
from deap_valp.problem import (
    Classification,
    Generation,
    Problem,
)

# --- Travelling


def in_another_process(code: str, *arguments: str) -> subprocess.CompletedProcess:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code, *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


def described(problem: Problem) -> str:
    """What must be the same wherever the problem is opened."""
    split = problem.split("train")
    sums = [
        tensor.double().sum().item() for tensor in (*split.inputs.values(), *split.targets.values())
    ]
    shared = split.targets["y"] is split.inputs["x"] is problem.outputs["y"].targets["train"]
    scored = (
        problem.outputs["y"].score(split.inputs["x"] + 1, "test"),
        problem.outputs["z"].score(torch.eye(3), "test"),
    )
    costs = [cost(problem.outputs["y"].port) for cost in problem.costs.values()]
    prepared = problem.prepare({"x": [[1.0, 2, 3, 4]]})
    return f"{problem} {problem.loss_scale} {prepared} {sums} {shared} {scored} {costs}"


OPEN = """
import pathlib, pickle, sys, test_travelling
text = pathlib.Path(sys.argv[1]).read_bytes()
problem = pickle.loads(text)
assert pickle.loads(text) is problem, "opened twice"
assert len(pickle.dumps(problem)) < 2000
print(test_travelling.described(problem))
"""


def travelling() -> Problem:
    outputs = {
        "y": Generation(features=first_two),
        "z": Classification(labels(), loss=misses, score=share_wrong),
    }
    return Problem({"x": table()}, outputs, costs=[width_of])


def test_another_process_opens_the_same_problem(tmp_path):
    from test_travelling import (
        described,
        travelling,
    )  # by the name that the other process knows them by

    problem, file = travelling(), tmp_path / "problem.pickle"
    problem.split("train", device="meta")  # what is on a device stays there
    file.write_bytes(pickle.dumps(problem))
    there = in_another_process(OPEN, str(file))
    assert there.returncode == 0, there.stderr
    assert there.stdout == described(problem) + "\n"


def test_here_the_reference_is_the_problem_itself():
    problem = travelling()
    assert pickle.loads(pickle.dumps(problem)) is problem
    assert copy.deepcopy(problem) is problem
    assert copy.deepcopy(partial(print, problem=problem)).keywords["problem"] is problem


@pytest.mark.parametrize("kind", KINDS)
def test_the_reference_is_small(kind):
    problem = problem_of(kind)
    assert len(pickle.dumps(problem)) < 2000
    assert len(pickle.dumps([problem] * 50)) < 2000


LEAVE = """
import os, pathlib, pickle, sys, test_travelling
text = pickle.dumps(test_travelling.travelling())
pathlib.Path(sys.argv[1]).write_bytes(text)
child = os.fork()
if not child:
    sys.exit()  # runs the handlers at exit, and must leave the folder to its parent
os.waitpid(child, 0)
path = pickle.loads(text).__reduce__()[1][0]
print(path, os.path.isdir(path))
"""


def test_files_end_with_the_process_that_wrote_them_and_nobody_else(tmp_path):
    file = tmp_path / "problem.pickle"
    done = in_another_process(LEAVE, str(file))
    assert done.returncode == 0, done.stderr
    path, existed = done.stdout.split()
    assert existed == "True" and not Path(path).exists()
    with pytest.raises(
        ProblemError, match=r"written to .* by process \d+ on .* hosts need an importable loader"
    ):
        pickle.loads(file.read_bytes())


def test_nothing_is_left_of_files_that_could_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(np, "save", lambda *_, **__: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        pickle.dumps(problem_of("regression"))
    assert not list(tmp_path.glob("deap_valp*"))


def loaded(width: int = 2, cost=size_of) -> Problem:
    own = Classification(
        labels(), loss=lambda head, target: head.square().mean()
    )  # travels, as nobody pickles it
    return Problem({"x": table(width)}, {"y": own}, normalize=False, costs={"cost": cost})


LOADER = f"{__name__}:loaded"


def test_a_loader_is_called_once_per_arguments():
    problem = Problem.load(LOADER, width=3)
    assert Problem.load(LOADER, width=3) is problem is pickle.loads(pickle.dumps(problem))
    assert Problem.load(LOADER, width=2) is not problem
    assert Problem.load(LOADER, cost=partial(size_of)) is Problem.load(
        LOADER, cost=partial(size_of)
    )
    assert len(pickle.dumps(problem)) < 200


def test_a_loader_travels_by_name(tmp_path):
    file = tmp_path / "problem.pickle"
    file.write_bytes(pickle.dumps(Problem.load("test_travelling:loaded", width=3)))
    code = (
        "import pathlib, pickle, sys\n"
        "print(repr(pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())))"
    )
    there = in_another_process(code, str(file))
    assert there.stdout.strip() == "<Problem x 3 -> y classification 3; 84/18/18 examples>", (
        there.stderr
    )


def not_a_problem() -> int:
    return 3


@pytest.mark.parametrize(
    "loader, message",
    [
        ("no.such.module:f", "importable 'package.module:function', got 'no.such.module:f'"),
        (f"{__name__}:missing", "importable 'package.module:function'"),
        ("just_a_name", "importable 'package.module:function'"),
        (":f", "importable 'package.module:function'"),
        (f"{__name__}:not_a_problem", "needs a function that gives a Problem, got 3"),
    ],
)
def test_a_loader_that_does_not_load_is_named(loader, message):
    with pytest.raises(ProblemError, match=message):
        Problem.load(loader)


@pytest.mark.parametrize(
    "options, named",
    [
        (
            {
                "outputs": {
                    "y": Classification(labels(), loss=lambda head, target: misses(head, target))
                }
            },
            "loss of output 'y'",
        ),
        ({"outputs": {"y": Classification(labels(), score=lambda *_: 0)}}, "score of output 'y'"),
        ({"outputs": {"y": Generation(features=lambda rows: rows)}}, "features of output 'y'"),
        (
            {"outputs": {"y": Generation()}, "costs": {"depth": lambda individual: 1}},
            "cost 'depth'",
        ),
    ],
    ids=["loss", "score", "features", "cost"],
)
def test_a_function_that_cannot_travel_is_named_when_the_problem_does(options, named):
    problem = Problem({"x": table()}, **options)
    with pytest.raises(
        ProblemError, match=f"{named} needs to pickle, got .*lambda.* define it at module level"
    ):
        pickle.dumps(problem)


def test_an_argument_that_cannot_travel_is_named_when_the_problem_does():
    problem = Problem.load(LOADER, cost=lambda individual: 1)
    with pytest.raises(
        ProblemError,
        match=r"the reference of <Problem x 2 .* needs to pickle, got .*'cost': .*lambda",
    ):
        pickle.dumps(problem)
