"""The benchmarks of several processes run; what they print is for people."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

WORKERS = Path(__file__).parent / "benchmarks" / "workers.py"


@pytest.mark.parametrize(
    ("parts", "rows"),
    [
        (["parts"], ["build", "train", "score", "diagnose", "send"]),
        pytest.param(
            ["hourly", "memory", "travel"], ["1", "2", "import torch", "4"], marks=pytest.mark.slow
        ),
    ],
)
def test_the_benchmark_of_workers_prints_its_tables(parts, rows):
    command = [
        sys.executable,
        str(WORKERS),
        *parts,
        "--problem=digits",
        "--evaluations=4",
        "--batches=4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert all(f"\n| {row} | " in done.stdout for row in rows), done.stdout
