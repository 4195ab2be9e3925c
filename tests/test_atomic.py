"""A file that is written atomically: readers see its old content or all of the new one."""

from __future__ import annotations

import os
import threading

import pytest
import zoo

from deap_valp import atomic
from deap_valp.genome.files import load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.valp"


def fail(error):
    def failing(*_):
        raise error

    return failing


@pytest.mark.parametrize("step", ["fsync", "replace"])
@pytest.mark.parametrize(
    "error", [OSError("disk full"), KeyboardInterrupt()], ids=lambda error: type(error).__name__
)
def test_a_failed_write_leaves_the_old_file_alone(path, monkeypatch, step, error):
    save(zoo.smallest(), path)
    before = path.read_bytes()
    monkeypatch.setattr(atomic.os, step, fail(error))
    with pytest.raises(type(error)):
        save(zoo.deep(), path)
    assert os.listdir(path.parent) == [path.name] and path.read_bytes() == before


def test_a_failed_first_write_leaves_nothing(path, monkeypatch):
    monkeypatch.setattr(atomic.os, "replace", fail(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        save(zoo.smallest(), path)
    assert os.listdir(path.parent) == []


def test_saving_leaves_the_file_alone_in_its_folder(zoo_member, path):
    save(zoo_member, path)
    save(zoo_member, path)
    assert os.listdir(path.parent) == [path.name]


def test_a_file_has_the_permissions_of_any_other(path):
    save(zoo.smallest(), path)
    other = path.with_name("other")
    other.touch()
    assert path.stat().st_mode == other.stat().st_mode


def test_a_reader_sees_one_whole_file_or_another(path):
    pair = zoo.smallest(), zoo.deep()
    save(pair[0], path)
    done = threading.Event()

    def write():
        for turn in range(60):
            save(pair[turn % 2], path)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen = [load(path, type(pair[0]))]
    while not done.is_set():
        seen.append(load(path, type(pair[0])))
    writer.join()
    assert all(individual in pair for individual in seen)
