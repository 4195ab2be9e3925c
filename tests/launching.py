"""Python processes of their own, for tests of what launchers start."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import deap_valp as valp

ROOT = Path(valp.__file__).parents[1]
SCRIPTS = Path(__file__).parent / "scripts"
PLAIN, OURS = "scoop", "deap_valp.scoop"


def start(*arguments, within=(), **environment):
    """A Python process in a session of its own, with its output in a file.

    Orphans would hold a pipe open. ``within`` is a command that runs the one after it.
    """
    paths = (str(ROOT), os.environ.get("PYTHONPATH", ""))
    out = tempfile.NamedTemporaryFile("w+")  # noqa: SIM115
    process = subprocess.Popen(
        [*within, sys.executable, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), **environment},
    )
    process.out = out
    return process


def finish(process, timeout=150):
    """Exit status and output; nothing of it lives on."""
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        status = "timeout"
    leftover = remain(process.pid)
    if leftover:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    output = Path(process.out.name).read_text()
    process.out.close()
    return SimpleNamespace(status=status, output=output, leftover=leftover)


def remain(group, patience=10):
    """Whether processes of a group are still there after a while."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return True


def run(*arguments, **environment):
    return finish(start(*arguments, **environment))


def wait_until(condition, process=None, patience=100):
    """Wait for a condition, as long as the process lives that is to make it true."""
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s"
        assert process is None or process.poll() is None, Path(process.out.name).read_text()
        time.sleep(0.02)


# ---- what scripts/resume.py leaves in its folder -------------------------------------------------


def digest_of(folder):
    """What the search found, in short."""
    return (folder / "digest").read_text()


def evaluated(folder):
    """How many evaluations have ended so far."""
    calls = folder / "calls"
    if not calls.exists():
        return 0
    return len(calls.read_text().split())
