"""A checkpoint goes on with its own problem alone, and a wrong one leaves it as it was."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import zoo
from deap import base
from quick_searches import quick

import deap_valp as valp
from deap_valp.errors import FileFormatError
from deap_valp.problem.identity import digest_of_labels, identity_of

LABELS = np.array(["mild", "fair", "strong"])


def mean_error(prediction, target):
    return float((prediction - target).abs().mean())


def made(labels=LABELS, score=None, columns="abcd", data=0, **options):
    values = np.random.default_rng(data).normal(size=(120, 4))[:, : len(columns)]
    return valp.Problem(
        inputs={"x": pd.DataFrame(values, columns=list(columns))},
        outputs={
            "taste": valp.Classification(labels[np.arange(120) % 3]),
            "price": valp.Regression(values[:, 0], score=score),
        },
        **options,
    )


OTHERS = {
    "score": (lambda: made(score=mean_error), "score of price: .* then, mean_error now"),
    "classes": (
        lambda: made(labels=np.array(["dry", "fair", "strong"])),
        "classes of taste: 'fair', 'mild', 'strong' then, 'dry', 'fair', 'strong' now",
    ),
    "columns": (lambda: made(columns="abce"), "columns of x: 'a' .* then, 'a' .* now"),
    "costs": (
        lambda: made(costs=("weight_count",)),
        "objectives: taste, price then, taste, price, weight_count now",
    ),
    "seed": (lambda: made(seed=1), r"units of x: .*examples of test: 18 \(\w+\) then, 18 \(\w+\)"),
    "splits": (lambda: made(splits=(0.5, 0.25, 0.25)), r"examples of train: 84 \(\w+\) then, 60"),
    "data": (lambda: made(data=1), "examples of validation"),
    "data in fixed units": (
        lambda: made(data=1, standardize=False),
        "examples of validation",
    ),
}


def climb(problem, path, steps, evaluate=valp.evaluate, **options):
    random.seed(1)
    toolbox = base.Toolbox()
    if evaluate is valp.evaluate:
        options = {"batches": 2, "first_batches": 2, **options}
    toolbox.register("evaluate", evaluate, problem=problem, **options)
    toolbox.register("selMutation", valp.selMutation, policy="gentle")
    start = zoo.random_valp(problem)
    checkpoint = valp.Checkpoint(path)
    return valp.hillClimbing(start, toolbox, steps, checkpoint=checkpoint, progress=False)


def interrupted(individual, problem, seen):
    """An evaluation that is killed at the third individual."""
    seen.append(individual)
    if len(seen) == 3:
        raise SystemExit
    return quick(individual, problem)


@pytest.mark.parametrize("other, message", OTHERS.values(), ids=OTHERS.keys())
def test_another_problem_is_refused_before_anything_is_evaluated(other, message, tmp_path):
    path = tmp_path / "c"
    climb(made(), path, 2, quick)
    data = path.read_bytes()
    seen = []
    with pytest.raises(FileFormatError, match=f"{path} was saved with another problem.*{message}"):
        climb(other(), path, 4, interrupted, seen=seen)
    assert not seen
    assert path.read_bytes() == data


def test_a_wrong_resume_leaves_the_checkpoint_as_it_was(tmp_path):
    whole, path = tmp_path / "whole", tmp_path / "c"
    _, expected = climb(made(), whole, 4, quick)
    with pytest.raises(SystemExit):
        climb(made(), path, 4, interrupted, seen=[])
    with pytest.raises(FileFormatError, match="give the problem that it had"):
        climb(made(costs=("weight_count",)), path, 4)
    _, logbook = climb(made(), path, 4, quick)
    assert [*logbook] == [*expected]


def test_the_same_problem_made_again_goes_on(tmp_path):
    climb(made(), tmp_path / "c", 1)
    _, logbook = climb(made(), tmp_path / "c", 2)
    assert len(logbook) == 3


def test_the_identity_is_the_same_in_every_process():
    here = identity_of(zoo.mixed_problem())
    code = "import zoo; from deap_valp.problem.identity import identity_of; "
    code += "print(identity_of(zoo.mixed_problem()))"
    folder = zoo.__file__.rpartition("/")[0]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=folder
    )
    assert done.stdout.strip() == str(here)


def test_labels_that_are_equal_have_one_digest():
    assert (
        digest_of_labels([0, 1]) == digest_of_labels([0.0, True]) == digest_of_labels(np.arange(2))
    )
    different = [[0, 1], [1, 0], ["0", "1"], [0, 1, 2], ["a\nb"], ["a", "b"], [(0, 1)], [None]]
    assert len({digest_of_labels(labels) for labels in different}) == len(different)
