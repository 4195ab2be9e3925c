"""What several processes make of a generation, what they take, and the parts of an evaluation.

    python tests/benchmarks/workers.py [hourly] [memory] [travel] [parts] [--evaluations 40]
    [--batches 200]

All of these by default. ``hourly`` evaluates one generation of VALPs of three to six sub-networks
on Fashion-MNIST with one process and with two, under ``python -m deap_valp.scoop``; ``memory``
looks at the processes of the latter while they train (Linux); ``travel`` returns evaluations with 3
MB of weights; ``parts`` takes evaluations of 20-unit VALPs apart. The time that processes take to
start is left out.
"""

# ruff: noqa: E402 (the path comes first, so that the script runs from anywhere)

from __future__ import annotations

import argparse
import functools
import json
import os
import pickle
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT)]

import torch
from deap import creator

import deap_valp as valp
from deap_valp.distributed import scoop_started
from deap_valp.training import train

PARTS = ("hourly", "memory", "travel", "parts")
MEGABYTE = 2**20
SENT = 3_000_000  # bytes of weights of an evaluation that travels

creator.create("FitnessMulti", valp.Fitness, weights=(-1.0,) * 3)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)


def generation(options: argparse.Namespace, **settings: Any) -> list[Any]:
    """The same individuals for the same options."""
    random.seed(1)
    problem = valp.problems.by_name(options.problem)
    make = functools.partial(
        valp.initVALP, creator.Individual, problem, networks=(3, 6), **settings
    )
    return [make() for _ in range(options.evaluations)]


# ---- inside SCOOP --------------------------------------------------------------------------------


def evaluate(individual: Any, problem: str, batches: int) -> int:
    """Evaluate, and say who did."""
    valp.evaluate(individual, valp.problems.by_name(problem), batches, batches)
    return os.getpid()


@functools.cache
def heavy() -> Any:
    """An evaluation of ``SENT`` bytes of weights in 40 tensors."""
    weights = {f"n{i}.0.weight": torch.randn(SENT // 160, 1) for i in range(40)}
    return valp.Evaluation([0.0], objectives=["y"], seed=0, weights=weights)


def carry(_: int) -> tuple[int, Any]:
    """An evaluation that costs nothing but its way."""
    return os.getpid(), heavy()


def inside(options: argparse.Namespace) -> dict[str, Any]:
    """What the origin finds, once all processes are there and have opened the data."""
    known: set[int] = set()
    some = generation(
        argparse.Namespace(problem=options.problem, evaluations=2 * options.processes)
    )
    work = functools.partial(evaluate, problem=options.problem)
    while len(known) < options.processes:
        known |= set(valp.scoopMap(functools.partial(work, batches=2), some, progress=False))
    if options.inside == "travel":
        valp.scoopMap(carry, range(4), progress=False)
        start = perf_counter()
        carried = [
            pid for pid, _ in valp.scoopMap(carry, range(options.evaluations), progress=False)
        ]
        return {
            "seconds": perf_counter() - start,
            "travelled": sum(pid != os.getpid() for pid in carried),
        }
    individuals = generation(options)
    print("begin", flush=True)
    start = perf_counter()
    valp.scoopMap(functools.partial(work, batches=options.batches), individuals, progress=False)
    return {"seconds": perf_counter() - start}


def launch(options: argparse.Namespace, part: str, processes: int) -> subprocess.Popen[str]:
    """Run this script under SCOOP."""
    arguments = [
        f"--{name}={getattr(options, name)}" for name in ("problem", "evaluations", "batches")
    ]
    launcher = [sys.executable, "-m", "deap_valp.scoop", "-q", "-n", str(processes)]
    return subprocess.Popen(
        [
            *launcher,
            str(Path(__file__).resolve()),
            *arguments,
            f"--processes={processes}",
            f"--inside={part}",
        ],
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
        },
    )


def found(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What it printed last."""
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{process.args!r} failed with {process.returncode}:\n{output}")
    return json.loads(output.splitlines()[-1])


# ---- memory --------------------------------------------------------------------------------------


def workers_of(launched: int) -> Iterator[int]:
    """The origin and its workers."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            if os.getpgid(int(folder.name)) == launched and words[1:4] == [
                "-m",
                "deap_valp.scoop",
                "--worker",
            ]:
                yield int(folder.name)
        except OSError:
            continue


def memory_of(pid: int) -> dict[str, float]:
    """Return megabytes: the proportional share of all, of data files, resident of those."""
    pages = {"pss": 0, "data pss": 0, "data rss": 0}
    data = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if re.match(r"[0-9a-f]+-[0-9a-f]+ ", line):
            data = line.endswith(".npy")
        elif line.startswith("Pss:"):
            pages["pss"] += int(line.split()[1])
            pages["data pss"] += data * int(line.split()[1])
        elif line.startswith("Rss:"):
            pages["data rss"] += data * int(line.split()[1])
    return {name: kilobytes / 1024 for name, kilobytes in pages.items()}


def watch(process: subprocess.Popen[str]) -> dict[int, dict[str, float]]:
    """By process, its memory when it had most beside the data; looked at while it trains."""
    largest: dict[int, dict[str, float]] = {}
    assert process.stdout is not None and process.stdout.readline().strip() == "begin"
    while process.poll() is None:
        for pid in workers_of(process.pid):
            try:
                memory = memory_of(pid)
            except OSError:
                continue
            if own(memory) > own(largest.get(pid, {"pss": -1, "data pss": 0})):
                largest[pid] = memory
        time.sleep(0.5)
    return largest


def own(memory: dict[str, float]) -> float:
    return memory["pss"] - memory["data pss"]


def of_imports(modules: str) -> float:
    """Proportional share of a fresh process that imports these."""
    code = f"import {modules}; print(open('/proc/self/smaps_rollup').read())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return int(re.search(r"^Pss:\s+(\d+)", done.stdout, re.MULTILINE)[1]) / 1024


# ---- the parts of an evaluation ------------------------------------------------------------------


def taken_apart(individual: Any, problem: valp.Problem, batches: int) -> dict[str, float]:
    """Seconds of each part of an evaluation and of its way to a worker and back."""
    start = perf_counter()
    model = valp.decode(individual)
    train(model, problem, 0, individual.batch_size, individual.optimizers, seed=0)
    build = perf_counter() - start
    evaluation = valp.evaluate(individual, problem, batches, batches)
    start = perf_counter()
    pickle.loads(pickle.dumps(evaluation, pickle.HIGHEST_PROTOCOL))
    individual.fitness.values = evaluation
    pickle.loads(pickle.dumps(individual, pickle.HIGHEST_PROTOCOL))
    send = perf_counter() - start
    score, diagnose = (evaluation.seconds[part] for part in ("score", "diagnose"))
    return {
        "build": build,
        "train": evaluation.seconds["train"] - build,
        "score": score,
        "diagnose": diagnose,
        "send": send,
    }


# ---- tables --------------------------------------------------------------------------------------


def hourly(options: argparse.Namespace) -> Iterator[str]:
    """Evaluations an hour by number of processes."""
    yield "| processes | seconds | evaluations an hour | ratio |\n|---|---|---|---|"
    seconds = [found(launch(options, "hourly", processes))["seconds"] for processes in (1, 2)]
    for processes, taken in enumerate(seconds, start=1):
        rate = 3600 * options.evaluations / taken
        yield f"| {processes} | {taken:.1f} | {rate:,.0f} | {seconds[0] / taken:.2f} |"


def memory(options: argparse.Namespace) -> Iterator[str]:
    """Megabytes of each process while it trains."""
    yield "| process | PSS, MB | of it data files | data files resident | the rest |"
    yield "|---|---|---|---|---|"
    process = launch(options, "memory", 2)
    for number, one in enumerate(watch(process).values(), start=1):
        row = (one["pss"], one["data pss"], one["data rss"], own(one))
        yield f"| {number} | {' | '.join(f'{megabytes:.0f}' for megabytes in row)} |"
    found(process)
    for modules in ("torch", "deap_valp"):
        yield f"| import {modules} | {of_imports(modules):.0f} | | | |"


def travel(options: argparse.Namespace) -> Iterator[str]:
    """Megabytes a second of results."""
    yield "| results | from another process | MB each | seconds | MB/s travelling |"
    yield "|---|---|---|---|---|"
    size = len(pickle.dumps(heavy(), pickle.HIGHEST_PROTOCOL)) / MEGABYTE
    done = found(launch(options, "travel", 2))
    rate = done["travelled"] * size / done["seconds"]
    sent, seconds = done["travelled"], done["seconds"]
    yield f"| {options.evaluations} | {sent} | {size:.1f} | {seconds:.2f} | {rate:.0f} |"


def parts(options: argparse.Namespace) -> Iterator[str]:
    """Milliseconds and share of the parts of an evaluation of 1,000 batches, medians over VALPs."""
    problem = valp.problems.by_name(options.problem)
    individuals = generation(options, width=(20, 20))[: max(1, options.evaluations // 4)]
    taken_apart(individuals[0], problem, 2)  # the first one reads the data
    rows = [taken_apart(individual, problem, 5 * options.batches) for individual in individuals]
    yield f"| part of {5 * options.batches} batches | ms | share |\n|---|---|---|"
    total = statistics.median(sum(row.values()) for row in rows)
    for name in rows[0]:
        share = statistics.median(row[name] / sum(row.values()) for row in rows)
        milliseconds = 1000 * statistics.median(row[name] for row in rows)
        yield f"| {name} | {milliseconds:.0f} | {share:.1%} |"
    yield f"| together | {1000 * total:.0f} | |"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument("--evaluations", type=int, default=40, help="in the generation")
    parser.add_argument(
        "--batches", type=int, default=200, help="of an evaluation; parts: five times as many"
    )
    parser.add_argument("--problem", default="fashion_mnist", help="a built-in one")
    parser.add_argument("--processes", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if not set(options.parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}, got {options.parts}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    options = parse(arguments)
    if scoop_started():
        print(json.dumps(inside(options)), flush=True)
        return
    torch.set_num_threads(1)
    for part in options.parts or PARTS:
        print(f"\n{part}\n", flush=True)
        for line in globals()[part](options):
            print(line, flush=True)


if __name__ == "__main__":
    main()
