"""Checkpoints that are damaged, of another search, or on a full disk."""

from __future__ import annotations

import errno
import logging
import os
import pickle
import random
import shutil

import pytest
import zoo
from deap import tools
from searching import SEARCHES, search, toolbox_of_searches

import deap_valp as valp
from deap_valp.errors import FileFormatError, ValpError


@pytest.fixture
def toolbox():
    return toolbox_of_searches()


# ---- files that are not what they should be ------------------------------------------------------


def cut(length):
    return lambda data: data[:length]


def flipped(data):
    return data[:-100] + bytes([data[-100] ^ 1]) + data[-99:]


class Boom:
    """Its pickle runs code."""

    def __reduce__(self):
        return os.system, ("false",)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut(0), "is not a checkpoint"),
        (cut(9), "is not a checkpoint"),
        (cut(25), "is damaged"),
        (cut(-1), "is damaged"),
        (lambda data: data + b"x", "is damaged"),
        (flipped, "is damaged"),
        (lambda data: b"x" * 99, "is not a checkpoint"),
        (
            lambda data: pickle.dumps({"population": [], "generation": 3, "rndstate": None}),
            "is not a checkpoint",
        ),
        (lambda data: pickle.dumps(Boom()), "is not a checkpoint"),
        (lambda data: data[:21] + b"\0\7" + data[23:], "has format 7, this deap_valp reads 2"),
    ],
)
def test_a_file_that_is_not_whole_is_named_with_the_way_out(
    damage, message, toolbox, tmp_path, monkeypatch
):
    path = tmp_path / "c"
    random.seed(3)
    whole = search("hillClimbing", toolbox, path)
    data = damage(path.read_bytes())
    path.write_bytes(data)
    monkeypatch.setattr(os, "system", lambda command: pytest.fail("ran what a foreign file says"))
    with pytest.raises(FileFormatError) as refused:
        search("hillClimbing", toolbox, path)
    assert f"{path} {message}" in str(refused.value)
    # A file of something else may be dear to the user.
    assert (f"delete {path}" in str(refused.value)) == ("not a checkpoint" not in message)
    assert path.read_bytes() == data  # nothing is lost by trying
    assert f"mv {path}.previous {path}" in str(refused.value)
    shutil.move(f"{path}.previous", path)
    assert search("hillClimbing", toolbox, path) == whole
    path.unlink()
    random.seed(3)
    assert search("hillClimbing", toolbox, path) == whole


def test_without_an_earlier_state_none_is_offered(tmp_path):
    (tmp_path / "c").write_bytes(b"")
    with pytest.raises(FileFormatError, match=r"give another path$"):
        valp.Checkpoint(tmp_path / "c").load()


def test_the_previous_state_of_an_earlier_run_is_not_offered(toolbox, tmp_path):
    search("hillClimbing", toolbox, tmp_path / "c")
    (tmp_path / "c").unlink()
    valp.Checkpoint(tmp_path / "c").load(population=[])
    assert not (tmp_path / "c.previous").exists()


def test_what_its_classes_need_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(
        zoo, "Gone", type("Gone", (), {"__module__": "zoo", "__qualname__": "Gone"}), raising=False
    )
    valp.Checkpoint(tmp_path / "c").save(thing=zoo.Gone())
    monkeypatch.delattr(zoo, "Gone")
    with pytest.raises(
        FileFormatError, match=r"does not load here.*Gone.*import what its objects are made of"
    ):
        valp.Checkpoint(tmp_path / "c").load()


def test_a_state_that_does_not_pickle_is_named(toolbox, tmp_path):
    with pytest.raises(ValpError, match="needs a state that pickles"):
        search(
            "hillClimbing",
            toolbox,
            tmp_path / "c",
            halloffame=tools.ParetoFront(lambda a, b: a == b),
        )


def test_a_checkpoint_of_another_search_is_refused(toolbox, tmp_path):
    search("hillClimbing", toolbox, tmp_path / "c")
    with pytest.raises(FileFormatError, match="is a checkpoint of hillClimbing, got eaAging"):
        search("eaAging", toolbox, tmp_path / "c")
    valp.Checkpoint(tmp_path / "own").load(population=[])
    with pytest.raises(FileFormatError, match="is a checkpoint of another loop, got eaAging"):
        search("eaAging", toolbox, tmp_path / "own")


def test_what_was_not_saved_cannot_be_gone_on_with(toolbox, tmp_path):
    search("eaAging", toolbox, tmp_path / "c", halloffame=None)
    with pytest.raises(FileFormatError, match=r"saved without \['halloffame'\]"):
        search("eaAging", toolbox, tmp_path / "c")
    toolbox.register("feedback", valp.Bandit().feedback)
    with pytest.raises(FileFormatError, match="saved with 0 further objects"):
        search("eaAging", toolbox, tmp_path / "c", halloffame=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"every": 0}, "every to be 1 or more"), ({"also": [3]}, "lists, sets, dicts or objects")],
)
def test_wrong_options_are_named(options, message, tmp_path):
    with pytest.raises(ValpError, match=message):
        valp.Checkpoint(tmp_path / "c", **options)


# ---- a full disk ---------------------------------------------------------------------------------


@pytest.fixture
def disk(monkeypatch):
    """The bytes that are left on it; what does not fit is written in part."""
    left = {"bytes": float("inf")}

    class Stream:
        def __init__(self, stream):
            self.stream = stream

        def write(self, data):
            room = min(len(data), left["bytes"])
            self.stream.write(data[: int(room)])
            left["bytes"] -= room
            if room < len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def __getattr__(self, name):
            return getattr(self.stream, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.stream.close()

    monkeypatch.setattr(
        "deap_valp.atomic.open",
        lambda *arguments: Stream(open(*arguments)),  # noqa: SIM115
        raising=False,
    )
    return left


@pytest.mark.parametrize("name", SEARCHES)
def test_a_full_disk_costs_the_checkpoint_and_not_the_run(name, toolbox, disk, tmp_path, caplog):
    random.seed(3)
    whole = search(name, toolbox)
    random.seed(3)
    search(name, toolbox, tmp_path / "room")
    disk["bytes"] = 1.5 * (tmp_path / "room").stat().st_size
    random.seed(3)
    with caplog.at_level(logging.WARNING, logger="deap_valp"):
        assert search(name, toolbox, tmp_path / "c") == whole
    said = [record.getMessage() for record in caplog.records]
    assert any("a state could not be written" in text and "No space left" in text for text in said)
    assert not list(tmp_path.rglob("*.partial"))
    assert valp.Checkpoint(tmp_path / "c").load()["search"] == name  # the last whole one
    disk["bytes"] = float("inf")
    assert search(name, toolbox, tmp_path / "c") == whole


def test_a_disk_that_is_full_from_the_start_ends_it(toolbox, disk, tmp_path):
    disk["bytes"] = 1000
    with pytest.raises(OSError, match="No space left"):
        search("hillClimbing", toolbox, tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_folders_are_made_and_a_wrong_one_is_told_at_the_start(toolbox, tmp_path):
    search("hillClimbing", toolbox, tmp_path / "runs" / "today" / "c")
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        search("hillClimbing", toolbox, tmp_path / "file" / "c")


def test_a_file_system_without_links_costs_the_previous_state_alone(toolbox, tmp_path, monkeypatch):
    def refuse(*paths):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    search("hillClimbing", toolbox, tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
