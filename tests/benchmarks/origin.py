"""What the origin of a run with many workers has to do, and where it and SCOOP's broker saturate.

    python tests/benchmarks/origin.py [load] [workers] [--problem fashion_mnist]
    [--processes 2 4 8] [--seconds 0.05] [--tasks 200]

Both parts by default. ``load`` measures what one evaluation costs the origin: the bytes of a task
and of its result, and the milliseconds to make a child, to pack it, and to take in the result.
``workers`` runs stand-in evaluations under ``python -m deap_valp.scoop``: they sleep, and return an
evaluation of real size. It prints the tasks a second, beside those that the number of processes
allows, and the CPU time of the origin and of the broker for each task (Linux).
"""

# ruff: noqa: E402 (the path comes first, so that the script runs from anywhere)

from __future__ import annotations

import argparse
import copy
import functools
import json
import os
import pickle
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import torch
from deap import creator

import deap_valp as valp
from deap_valp.distributed import scoop_started
from deap_valp.distributed.task import TaskOutcome, pack, unpack

PARTS = ("load", "workers")

creator.create("FitnessMulti", valp.Fitness, weights=(-1.0,) * 3)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)


def milliseconds(work: Callable[[], Any], repeats: int = 15) -> float:
    """Median CPU time."""
    times = []
    for _ in range(repeats):
        began = time.process_time()
        work()
        times.append(1000 * (time.process_time() - began))
    return statistics.median(times)


# ---- load ----------------------------------------------------------------------------------------


def child_of(parent: Any) -> Any:
    child = copy.deepcopy(parent)
    valp.mutGuided(child)
    del child.fitness.values
    return child


def load(options: argparse.Namespace) -> Iterator[str]:
    """What one evaluation costs the origin, for individuals of the shared start."""
    problem = valp.problems.by_name(options.problem)
    random.seed(1)
    yield "| training | weights, kB | task, kB | result, kB | child, ms | pack, ms | take in, ms |"
    yield "|---|---|---|---|---|---|---|"
    for name, training in (("default", valp.Training()), ("carry", valp.Training(carry=True))):
        evaluate = partial(valp.evaluate, problem=problem, batches=20, training=training)
        parent = valp.initVALP(creator.Individual, problem)
        parent.fitness.values = evaluate(parent, first_batches=20)
        child = child_of(parent)
        task = pack(evaluate, (child,))
        outcome = TaskOutcome(evaluate(child))
        result = pickle.dumps(outcome, pickle.HIGHEST_PROTOCOL)
        take_in = functools.partial(assign, copy.deepcopy(child), result)
        sizes = [4 * child.weight_count, len(task), len(result)]
        times = [
            milliseconds(partial(child_of, parent)),
            milliseconds(partial(pack, evaluate, (child,))),
            milliseconds(take_in),
        ]
        cells = [f"{size / 1000:,.0f}" for size in sizes] + [f"{one:.1f}" for one in times]
        yield f"| {name} | {' | '.join(cells)} |"


def assign(individual: Any, result: bytes) -> None:
    individual.fitness.values = unpack(result).value


# ---- workers -------------------------------------------------------------------------------------


@functools.cache
def stand_in(kilobytes: int) -> Any:
    """An evaluation with so many kilobytes of weights in 40 tensors."""
    weights = {f"n{i}.0.weight": torch.zeros(kilobytes * 1000 // 160, 1) for i in range(40)}
    return valp.Evaluation([0.0] * 3, objectives=["a", "b", "c"], seed=0, weights=weights)


def sleep(task: Any, seconds: float, kilobytes: int) -> tuple[int, Any]:
    """Take the time of an evaluation, but not the processor."""
    time.sleep(seconds)
    return os.getpid(), stand_in(kilobytes)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def brokers() -> list[int]:
    """Return the other processes of this group that are neither workers nor the origin."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            same = os.getpgid(int(folder.name)) == os.getpgid(0)
        except OSError:
            continue
        if same and "--worker" not in words and int(folder.name) != os.getpid():
            found.append(int(folder.name))
    return found


def sockets() -> int:
    """Return the number of sockets that this process has open."""
    links = []
    for entry in Path("/proc/self/fd").iterdir():
        try:
            links.append(os.readlink(entry))
        except OSError:
            continue
    return sum(link.startswith("socket:") for link in links)


def inside(options: argparse.Namespace) -> dict[str, Any]:
    """What the origin finds, once all processes are there."""
    [processes] = options.processes
    work = partial(sleep, kilobytes=options.kilobytes)
    known: set[int] = set()
    while len(known) < processes:
        warm = valp.scoopMap(partial(work, seconds=0.05), range(4 * processes), progress=False)
        known |= {pid for pid, _ in warm}
    others = brokers()
    before = time.process_time(), {pid: cpu_of(pid) for pid in others}
    began = time.perf_counter()
    tasks = [stand_in(options.kilobytes)] * options.tasks
    valp.scoopMap(partial(work, seconds=options.seconds), tasks, progress=False)
    return {
        "seconds": time.perf_counter() - began,
        "origin": time.process_time() - before[0],
        "broker": sum(cpu_of(pid) - before[1][pid] for pid in others),
        "sockets": sockets(),
    }


def workers(options: argparse.Namespace) -> Iterator[str]:
    """Tasks a second of stand-ins, by the number of processes."""
    yield "| processes | kB each way | tasks/s | tasks/s at most | origin, ms a task | broker, ms a"
    yield " task | sockets of the origin |\n|---|---|---|---|---|---|---|"
    for kilobytes in options.kilobytes:
        for processes in options.processes:
            done = launch(options, processes, kilobytes)
            rate = options.tasks / done["seconds"]
            most = processes / options.seconds
            origin, broker = (1000 * done[who] / options.tasks for who in ("origin", "broker"))
            cells = [f"{rate:.0f}", f"{most:.0f}", f"{origin:.1f}", f"{broker:.1f}"]
            yield f"| {processes} | {kilobytes} | {' | '.join(cells)} | {done['sockets']} |"


def launch(options: argparse.Namespace, processes: int, kilobytes: int) -> dict[str, Any]:
    """Run this script under SCOOP, and return what it found."""
    arguments = [f"--seconds={options.seconds}", f"--tasks={options.tasks}"]
    arguments += [f"--kilobytes={kilobytes}", f"--processes={processes}"]
    command = [sys.executable, "-m", "deap_valp.scoop", "-q", "-n", str(processes)]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [*command, str(Path(__file__).resolve()), *arguments],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


# ---- script --------------------------------------------------------------------------------------


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument("--problem", default="fashion_mnist", help="a built-in one, for load")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4, 8])
    parser.add_argument("--kilobytes", type=int, nargs="+", default=[1, 600], help="each way")
    parser.add_argument("--seconds", type=float, default=0.05, help="of a stand-in")
    parser.add_argument("--tasks", type=int, default=200)
    options = parser.parse_args(arguments)
    if not set(options.parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}, got {options.parts}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    options = parse(arguments)
    if scoop_started():
        [options.kilobytes] = options.kilobytes
        print(json.dumps(inside(options)), flush=True)
        return
    torch.set_num_threads(1)
    for part in options.parts or PARTS:
        print(f"\n{part}\n", flush=True)
        for line in globals()[part](options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
