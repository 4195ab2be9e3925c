"""Where a process computes: its slot on a GPU, among the processes of a host."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import zoo

import deap_valp
from deap_valp import device as devices
from deap_valp.errors import EvaluationError

HOLDERS = """
import json, os, signal
from deap_valp.device import take_slot

def start(count, names=("0", "1"), limit=None):
    read, write = os.pipe()
    holders = []
    for _ in range(count):
        holders.append(os.fork())
        if not holders[-1]:
            os.write(write, json.dumps([os.getpid(), take_slot(names, limit)]).encode() + b"\\n")
            signal.pause()
    lines = open(read)
    return dict(json.loads(lines.readline()) for _ in range(count))

def kill(*holders):
    for holder in holders:
        os.kill(holder, signal.SIGKILL)
        os.waitpid(holder, 0)

crowd = start(5)
kill(*crowd)
couple = start(2, limit=1)
none = start(1, limit=1)
first, second = couple
kill(second)
heir = start(1, limit=1)
kill(first, *none, *heir)
others = [start(1, names) for names in (["3"], ["1", "3"], ["3"])]
kill(*(holder for one in others for holder in one))
print(json.dumps([list(found.values()) for found in (crowd, couple, none, heir, *others)]))
"""


@pytest.fixture(scope="module")
def took(tmp_path_factory):
    """The devices that processes took, by occasion; all they share is a folder of locks."""
    root, folder = str(Path(deap_valp.__file__).parents[1]), str(tmp_path_factory.mktemp("locks"))
    environment = {**os.environ, "TMPDIR": folder, "PYTHONPATH": root}
    command = [sys.executable, "-c", HOLDERS]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=100, env=environment
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_processes_that_start_at_once_are_spread_evenly(took):
    assert sorted(took[0]) in ([0, 0, 0, 1, 1], [0, 0, 1, 1, 1])


def test_a_killed_process_frees_its_slot_and_a_full_host_has_none(took):
    couple, none, heir = took[1:4]
    assert sorted(couple) == [0, 1] and none == [None] and heir == couple[1:]


def test_devices_that_others_do_not_see_are_no_concern_of_theirs(took):
    assert took[4:] == [[0], [0], [0]]


@pytest.fixture
def gpus(monkeypatch, tmp_path):
    """Pretends that there are two."""
    monkeypatch.setattr(devices.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(devices, "_held", [])
    devices._slot_of.cache_clear()
    yield monkeypatch
    devices._slot_of.cache_clear()


def test_a_process_keeps_its_gpu_and_another_takes_the_next(gpus):
    assert [devices.choose("auto") for _ in range(3)] == [torch.device("cuda:0")] * 3
    assert devices._slot_of(-1) == 1  # as a fork would
    for named in ("cuda:0", "cpu"):
        assert devices.choose(named) == torch.device(named)


def test_gpus_are_known_by_what_the_host_calls_them(gpus, tmp_path):
    gpus.setenv("CUDA_VISIBLE_DEVICES", "5,GPU-7f")
    assert devices.choose("auto") == torch.device("cuda:0")
    assert [path.name for path in tmp_path.glob("*/*")] == ["5-0.lock"]


def test_without_a_free_slot_it_is_the_cpu_and_said(gpus, caplog):
    gpus.setenv(devices.WORKERS_PER_GPU, "1")
    assert [devices._slot_of(-1), devices._slot_of(-2)] == [0, 1] and not caplog.records
    assert [devices.choose("auto") for _ in range(2)] == [torch.device("cpu")] * 2
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "every GPU has its 1 processes (DEAP_VALP_WORKERS_PER_GPU)" in caplog.text


def test_without_a_gpu_nothing_is_locked(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(devices, "take_slot", lambda *arguments: pytest.fail("took a slot"))
    assert devices.choose("auto") == torch.device("cpu")


@pytest.mark.parametrize("limit", ["0", "-1", "two"])
def test_a_limit_that_is_no_number_of_processes_is_refused(gpus, limit):
    gpus.setenv(devices.WORKERS_PER_GPU, limit)
    with pytest.raises(
        EvaluationError, match="DEAP_VALP_WORKERS_PER_GPU needs to be a number from 1 on"
    ):
        devices.choose("auto")


def test_a_device_that_is_no_device_costs_no_evaluation():
    with pytest.raises(RuntimeError, match="valp"):
        deap_valp.evaluate(zoo.smallest(), zoo.plain_problem(), 1, 1, device="valp")
