"""An evaluation that notes who evaluates what, in a folder, and that can kill its process."""

import os
import platform
import signal
import time

import deap_valp as valp

ORIGIN = "origin"  # file with the number of the process that searches


def evaluate(individual, problem, notes, processes, deadly):
    """Note it and the host, wait for so many processes, perhaps be killed, and evaluate."""
    (notes / f"process-{os.getpid()}").write_text(platform.node())
    with (notes / "evaluations").open("a") as file:
        file.write(f"{os.getpid()} {individual.seed}\n")
    wait_for(lambda: len(list(notes.glob("process-*"))) >= processes)
    if deadly:
        die_once(notes)
    return valp.evaluate(individual, problem, batches=20, first_batches=40)


def die_once(notes):
    """Be killed, unless this is the origin or another process was."""
    killed = notes / "killed"
    if (notes / ORIGIN).read_text() == str(os.getpid()):
        wait_for(killed.exists)
        return
    try:
        killed.touch(exist_ok=False)
    except FileExistsError:
        return
    time.sleep(0.5)  # in the middle: its word that it began has left this process
    os.kill(os.getpid(), signal.SIGKILL)


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"{condition} did not come true in {seconds} s"
        time.sleep(0.01)
