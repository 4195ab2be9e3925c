"""Exported files: they run without the package and give what the decoded model gives."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo
from foreign import Count
from gated import Gated  # a kind of sub-network with a function of its own
from photos import drawing, in_order, patches, photo_problem
from test_predictions import DATA, PROBLEM, individual

import deap_valp as valp
from deap_valp.training import exporting

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="needs the extra 'export'",
)
FORMATS = [".pt2", pytest.param(".onnx", marks=needs_onnx)]
each_format = pytest.mark.parametrize("suffix", FORMATS)

WITHOUT_THE_PACKAGE = """
import json, sys
sys.modules["deap_valp"] = None  # an import of it raises
import numpy as np
path, data, out = sys.argv[1:]
inputs = dict(np.load(data))
if path.endswith(".onnx"):
    import onnxruntime
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [port.name for port in session.get_outputs()]
    assert [port.name for port in session.get_inputs()] == list(inputs)
    found = dict(zip(names, session.run(None, inputs)))
    text = session.get_modelmeta().custom_metadata_map["deap_valp"]
    assert "torch" not in sys.modules
else:
    import torch
    extra = {"deap_valp.json": ""}
    model = torch.export.load(path, extra_files=extra).module()
    results = model({name: torch.from_numpy(values) for name, values in inputs.items()})
    found = {name: values.numpy() for name, values in results.items()}
    text = extra["deap_valp.json"]
np.savez(out, **found)
open(out + ".json", "w").write(text)
"""


def by_the_file_alone(path, inputs, folder):
    """Results and metadata of a file, from a process that cannot import the package."""
    np.savez(folder / "inputs.npz", **inputs)
    out = folder / "found.npz"
    code = [sys.executable, "-W", "ignore", "-c", WITHOUT_THE_PACKAGE]
    subprocess.run([*code, str(path), folder / "inputs.npz", str(out)], check=True, timeout=200)
    return dict(np.load(out)), json.loads((folder / "found.npz.json").read_text())


def numeric(table, description):
    """What a user does outside the file, as the page says: categories become their numbers."""
    page = Path(__file__).parent.parent / "docs" / "predictions.md"
    block = r"```python\n(import numpy\n\n\ndef numbers_of.*?)```"
    (code,) = re.findall(block, page.read_text(), re.DOTALL)
    names: dict = {}
    exec(code, names)
    return names["numbers_of"](table, description)


def arrays_of(description):
    """The user's data as the file takes it, in the order of its inputs."""
    found = {}
    for name, port in description["inputs"].items():
        values = numeric(DATA[name], port) if port["categories"] else np.asarray(DATA[name])
        found[name] = values.astype(port["dtype"])
    return found


def unseen_categories():
    table = DATA["table"].copy()
    table.loc[3, "colour"] = "violet"
    return table


@each_format
def test_a_file_alone_gives_the_predictions(suffix, tmp_path, monkeypatch):
    """With holes, categories never seen, series, images, labels of any type."""
    monkeypatch.setitem(DATA, "table", unseen_categories())
    path = tmp_path / f"best{suffix}"
    valp.export(individual(), PROBLEM, path)
    model = valp.decode(individual(), PROBLEM)
    description = exporting.metadata_of(model)
    found, written = by_the_file_alone(path, arrays_of(description), tmp_path)
    assert written == description
    expected, chances = model.predict(DATA), model.predict_proba(DATA)
    assert list(found) == list(expected)
    for name, values in found.items():
        wanted = chances.get(name, expected[name])
        assert values.shape == wanted.shape and values.dtype == np.float32
        np.testing.assert_allclose(values, wanted, rtol=1e-4, atol=1e-4 * np.abs(wanted).max())
        assert list(values.shape[1:]) == written["outputs"][name]["shape"][1:]
    species = np.array(written["outputs"]["species"]["classes"])[found["species"].argmax(1)]
    assert species.tolist() == expected["species"].tolist()
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_the_metadata_names_columns_categories_and_classes():
    found = exporting.metadata_of(valp.decode(individual(), PROBLEM))
    assert json.loads(json.dumps(found)) == found
    assert found["inputs"]["table"] == {
        "kind": "table",
        "dtype": "float64",
        "shape": ["examples", 5],
        "columns": ["length", "time", "colour", "flag", "count"],
        "categories": {"colour": ["blue", "green", "red"]},
        "missing": "NaN",
    }
    assert found["inputs"]["scan"]["shape"] == ["examples", 4, 5]
    assert found["inputs"]["scan"]["dtype"] == "float32"
    assert found["outputs"]["species"]["classes"] == ["cat", "dog"]
    assert "('a', 1)" in found["outputs"]["mark"]["classes"]  # JSON has no tuples
    assert found["outputs"]["picture"]["shape"] == ["examples", 4, 5]


def compared(member, problem, path, monkeypatch):
    """Export; return the outputs that were compared with the decoded model, and how often."""
    calls = []
    compare = exporting._compare

    def watched(run, whole, problem, examples):
        calls.append(list(problem.outputs))
        compare(run, whole, problem, examples)

    monkeypatch.setattr(exporting, "_compare", watched)
    valp.export(member, problem, path)
    assert path.stat().st_size > 0
    return calls


def test_every_zoo_member_is_exported(zoo_member, problem, tmp_path, monkeypatch):
    found = compared(zoo_member, problem, tmp_path / "it.pt2", monkeypatch)
    assert found == [list(problem.outputs)]


@needs_onnx
@pytest.mark.slow
def test_every_zoo_member_becomes_onnx(zoo_member, problem, tmp_path, monkeypatch):
    found = compared(zoo_member, problem, tmp_path / "it.onnx", monkeypatch)
    assert found == [list(problem.outputs)]


@each_format
def test_a_file_alone_convolves_and_paints(suffix, tmp_path):
    """In colours, which come first in the arrays."""
    problem, member = photo_problem(planes=True), drawing(planes=True)
    path, patch = tmp_path / f"it{suffix}", in_order(patches()[0][::50], planes=True)
    valp.export(member, problem, path)
    found, written = by_the_file_alone(path, {"patch": patch.astype(np.float32)}, tmp_path)
    assert written["inputs"]["patch"]["shape"] == ["examples", *patch.shape[1:]]
    assert found["sample"].shape == patch.shape
    model = valp.decode(member, problem)
    expected = model.predict({"patch": patch}) | model.predict_proba({"patch": patch})
    assert found.keys() == expected.keys()
    for name, values in found.items():
        largest = np.abs(expected[name]).max()
        np.testing.assert_allclose(values, expected[name], rtol=1e-4, atol=1e-4 * largest)


def own_kinds():
    x = np.random.default_rng(0).normal(size=(zoo.EXAMPLES, 5))
    events = np.random.default_rng(1).poisson(np.exp(x[:, :2] / 2))
    return valp.Problem({"x": x}, {"events": Count(events)}, splits=(0.5, 0.25, 0.25))


@pytest.mark.parametrize(
    "suffix", [".pt2", pytest.param(".onnx", marks=[needs_onnx, pytest.mark.slow])]
)
def test_kinds_of_ones_own_are_exported(suffix, tmp_path, monkeypatch):
    problem = own_kinds()
    networks = {"n0": Gated(1, units=4)}
    member = zoo.build(problem, networks, "x->n0 n0->events")
    assert compared(member, problem, tmp_path / f"it{suffix}", monkeypatch)


@each_format
def test_an_input_that_nothing_reads_stays_an_argument(suffix, tmp_path):
    rng = np.random.default_rng(0)
    inputs = {"x": rng.normal(size=(100, 3)), "unread": rng.normal(size=(100, 2))}
    problem = valp.Problem(inputs, {"add": valp.Regression(inputs["x"][:, 0])})
    member = zoo.build(problem, {"n0": zoo.generic(4)}, "x->n0 n0->add")
    path = tmp_path / f"it{suffix}"
    valp.export(member, problem, path)
    if suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, inputs)
    else:
        model = torch.export.load(path).module()
        found = model({name: torch.from_numpy(x) for name, x in inputs.items()})["add"].numpy()
    expected = valp.decode(member, problem).predict(inputs)["add"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-5)


# ---- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["it.pt", "it", "it.ONNX"])
def test_another_ending_is_refused(name, tmp_path):
    with pytest.raises(valp.ValpError, match=r"ends in \.pt2 or \.onnx"):
        valp.export(zoo.smallest(), zoo.plain_problem(), tmp_path / name)


def test_a_wrong_problem_is_refused(tmp_path):
    with pytest.raises(valp.StructureError):
        valp.export(zoo.smallest(), zoo.mixed_problem(), tmp_path / "it.pt2")
    with pytest.raises(valp.ValpError, match="problem as a Problem"):
        valp.export(zoo.smallest(), None, tmp_path / "it.pt2")


def test_a_file_that_computes_something_else_is_not_written(tmp_path, monkeypatch):
    path = tmp_path / "it.pt2"
    path.write_bytes(b"as it was")
    monkeypatch.setattr(exporting.Reader, "forward", lambda self, x: x.float() * 1.5)
    with pytest.raises(valp.ValpError, match=r"output 'y' off by .* on the validation split"):
        valp.export(zoo.smallest(), zoo.plain_problem(), path)
    assert path.read_bytes() == b"as it was" and len(list(tmp_path.iterdir())) == 1


def test_without_the_extra_the_error_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(valp.MissingExtraError, match=r"pip install 'deap_valp\[export\]'"):
        valp.export(zoo.smallest(), zoo.plain_problem(), tmp_path / "it.onnx")


def test_a_network_that_cannot_be_traced_is_an_error_of_the_package(tmp_path, monkeypatch):
    def branching(self, features):
        if next(iter(features.values())).sum().item() > 0:
            raise AssertionError
        return {}

    monkeypatch.setattr(valp.Predictor, "heads", branching)
    with pytest.raises(valp.ValpError, match=r"torch\.export can trace"):
        valp.export(zoo.smallest(), zoo.plain_problem(), tmp_path / "it.pt2")


def test_nothing_of_torch_s_is_said(tmp_path, recwarn, caplog):
    threads = torch.get_num_threads()
    valp.export(zoo.smallest(), zoo.plain_problem(), tmp_path / "it.pt2")
    assert not recwarn.list and torch.get_num_threads() == threads
    said = [record.name for record in caplog.records if record.levelname != "DEBUG"]
    assert set(said) <= {"deap_valp"}  # it was never trained, which is said once
