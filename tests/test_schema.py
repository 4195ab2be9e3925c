"""Kinds of sub-network with fields of their own: what is saved comes back, and is checked."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
import pytest
import zoo
from parts import assembled, contents, saved_and_loaded, taken_apart

import deap_valp as valp
from deap_valp.errors import FileFormatError
from deap_valp.genome import KINDS, Generic, Layer
from deap_valp.genome.files import load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.valp"


@dataclass(frozen=True)
class Gate:
    width: int
    open: bool
    rate: float


@dataclass(frozen=True)
class Foreign(Generic):
    """A kind with fields of every type that a kind may have."""

    kernel: tuple[int, int]
    padding: int
    gates: tuple[Gate, ...]
    note: str
    axis: Annotated[int, msgspec.Meta(ge=-1, le=1)] = 0

    kind = "foreign"


del KINDS["foreign"]  # a test that wants it adds it


@pytest.fixture
def foreign(monkeypatch):
    monkeypatch.setitem(KINDS, "foreign", Foreign)
    gates = (Gate(3, True, -0.5), Gate(1, False, 1e30))
    network = Foreign(5, (Layer(4, "relu"),), (5, 3), 0, gates, "größe", axis=-1)
    return zoo.build(zoo.plain_problem(), {"n0": network}, "x->n0 n0->y")


def test_a_kind_defined_elsewhere_comes_back(foreign, path):
    loaded = saved_and_loaded(foreign, path)
    assert loaded == foreign and loaded.component("n0") == foreign.component("n0")
    assert type(loaded.component("n0")) is Foreign


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("kernel", [5], "`array` of length 2 - at `$.kernel`"),
        ("kernel", [5, -3], "`int` >= 1 - at `$.kernel[1]`"),
        ("padding", 2**20 + 1, "`int` <= 1048576 - at `$.padding`"),
        ("padding", None, "`int`, got `null` - at `$.padding`"),
        ("gates", [{"width": 3, "open": True}], "missing required field `rate` - at `$.gates[0]`"),
        ("gates", [{"width": 0, "open": True, "rate": 0}], "`int` >= 1 - at `$.gates[0].width`"),
        ("gates", [{"width": 1, "open": 1, "rate": 0}], "`bool`, got `int` - at `$.gates[0].open`"),
        ("gates", [{"width": 1, "open": True, "rate": 1e39}], "`float` <= 3.4028"),
        ("note", 3, "`str`, got `int` - at `$.note`"),
        ("axis", 2, "`int` <= 1 - at `$.axis`"),
    ],
)
def test_the_fields_of_a_kind_defined_elsewhere_are_checked(foreign, path, field, value, message):
    header, structure, body = taken_apart(contents(foreign, path))
    structure["components"]["n0"][field] = value
    path.write_bytes(assembled(header, structure, body))
    with pytest.raises(FileFormatError) as caught:
        load(path, valp.VALP)
    assert "component 'n0': " in str(caught.value) and message in str(caught.value)


def test_a_kind_that_is_not_registered_is_refused(foreign, path, monkeypatch):
    save(foreign, path)
    monkeypatch.delitem(KINDS, "foreign")
    with pytest.raises(FileFormatError, match=r"kind of component 'n0' must be .* got 'foreign'"):
        load(path, valp.VALP)


def test_a_field_that_json_cannot_hold_is_not_written(foreign, path):
    network = replace(foreign.component("n0"), note=object())
    foreign.graph.nodes["n0"]["component"] = network
    with pytest.raises(FileFormatError, match="holds numbers, texts and tuples of them, got"):
        save(foreign, path)
    assert not path.exists()
