"""Files that are something else, folders that are not there, models of another problem."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import zoo
from test_checkpoint_problem import LABELS, made

import deap_valp as valp

OTHER_MODELS = {
    "seed": ({"seed": 1}, r"exactly the inputs .* got 'x' with a mean of -?0\.\d+ in place 0"),
    "columns": ({"columns": "abc"}, "got 'x' with the width 4, where the problem has 3"),
    "classes": ({"labels": LABELS[[0, 1, 1]]}, "got 'taste' with the width 3, .* has 2"),
    "labels": (
        {"labels": np.array(["dry", "fair", "strong"])},
        "exactly the outputs .* got 'taste' with other class labels than those of the problem",
    ),
}


@pytest.fixture(scope="module")
def individual():
    return zoo.random_valp(made())


@pytest.mark.parametrize("changes, message", OTHER_MODELS.values(), ids=OTHER_MODELS.keys())
@pytest.mark.parametrize("use", [valp.check, valp.decode, valp.score, valp.evaluate])
def test_a_loaded_model_of_another_problem_is_told_what_differs(
    changes, message, use, individual, tmp_path
):
    valp.save(individual, tmp_path / "best.valp")
    loaded = valp.load(tmp_path / "best.valp", type(individual))
    valp.check(loaded, made())
    with pytest.raises(valp.ValpError, match=message) as refused:
        use(loaded, made(**changes))
    assert "same data" in str(refused.value) and "pickle.dumps(decode(" in str(refused.value)


def test_a_file_without_labels_fits_any(individual, tmp_path):
    bare = zoo.random_valp(made())
    with zoo.editing(bare) as draft:
        port = draft.graph.nodes["taste"]["component"]
        draft.graph.nodes["taste"]["component"] = type(port)(port.kind, port.width)
    valp.check(bare, made())


@pytest.mark.parametrize(
    "data",
    [b"a,b\n1,2\n" * 9, b"PK\x03\x04" + b"\x00\xff" * 50, b"deap_valp checkpoint\n" + b"x" * 50],
    ids=["csv", "pt2", "checkpoint"],
)
def test_a_file_of_something_else_is_said_to_be_none_of_save(data, individual, tmp_path):
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(valp.FileFormatError, match=r"valp\.save wrote no such file .*\.pt2 is for"):
        valp.load(tmp_path / "file", type(individual))


def never(*arguments, **options):
    raise AssertionError("work was done, although the folder is not there")


@pytest.mark.parametrize("name", ["save", "export", "report"])
def test_a_folder_that_is_not_there_is_named_before_any_work(
    name, individual, tmp_path, monkeypatch
):
    works = {"genome.files": "_serialized", "training.exporting": "decode", "page.report": "_page"}
    for module, work in works.items():
        monkeypatch.setattr(sys.modules[f"deap_valp.{module}"], work, never)
    path = tmp_path / "nofolder" / "file.pt2"
    arguments = {"save": (individual,), "export": (individual, made()), "report": ([individual],)}
    message = f"{name} needs a folder that exists, got a path in '{path.parent}'"
    with pytest.raises(FileNotFoundError, match=message):
        getattr(valp, name)(*arguments[name], path)
