"""What populations cost: memory, pickles and time, printed as Markdown tables.

    python tests/benchmarks/populations.py [memory] [carried] [times] [--problem fashion_mnist]
    [--individuals 200] [--sizes 1000 10000]

All parts by default, each in a process of its own. ``memory`` evaluates individuals by two batches,
with all that an evaluation measures by default, and compares what the process then holds of each
with the bytes of its weights; the same for their children, when the parents are gone (Linux).
``carried`` does so where the optimizers continue from their state. ``times`` selects, clones and
changes populations whose members share a few evaluated genomes, but have seeds and values of their
own.
"""

# ruff: noqa: E402 (the path comes first, so that the script runs from anywhere)

from __future__ import annotations

import argparse
import copy
import ctypes
import gc
import pickle
import random
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
from deap import creator, tools

import deap_valp as valp

PARTS = ("memory", "carried", "times")
BASES = 20
"""Evaluated individuals that the members of a timed population are made from."""


def resident() -> int:
    """Return the bytes that this process holds, without those that it has freed.

    The C library keeps up to some 200 MB of what evaluations have freed for the next one.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def tensor_bytes() -> int:
    """Return the bytes of all tensors of this process, memory that several share once."""
    gc.collect()
    tensors = [found for found in gc.get_objects() if type(found) is torch.Tensor]
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def weight_bytes(individuals: Sequence[Any]) -> int:
    return sum(4 * individual.weight_count for individual in individuals)


def drawn(problem: valp.Problem, count: int) -> list[Any]:
    return [valp.initVALP(creator.Individual, problem) for _ in range(count)]


def evaluated(individuals: list[Any], evaluate: Callable[[Any], Any]) -> list[Any]:
    for individual in individuals:
        individual.fitness.values = evaluate(individual)
    return individuals


def children(population: Sequence[Any]) -> list[Any]:
    """One mutated clone of each."""
    made = [copy.deepcopy(parent) for parent in population]
    for child in made:
        valp.mutGuided(child)
        del child.fitness.values
    return made


# ---- memory --------------------------------------------------------------------------------------


def memory(options: argparse.Namespace) -> Iterator[str]:
    """Bytes of individuals with the default training, and of the parts of one."""
    yield from held(options, valp.Training())
    yield from of_one(options)


def carried(options: argparse.Namespace) -> Iterator[str]:
    """Bytes of individuals whose optimizers continue from their state."""
    yield from held(options, valp.Training(carry=True))


def held(options: argparse.Namespace, training: valp.Training) -> Iterator[str]:
    """Bytes of each individual, as a multiple of those of its weights."""
    problem = valp.problems.by_name(options.problem)
    evaluate = partial(valp.evaluate, problem=problem, batches=2, first_batches=2)
    evaluate.keywords["training"] = training
    evaluated(drawn(problem, 2), evaluate)  # what is made once is made now
    before = resident(), tensor_bytes()
    yield "| population | weights, kB each | tensors | resident | pickled | pickled MB |"
    yield "|---|---|---|---|---|---|"
    population = drawn(problem, options.individuals)
    yield measured("drawn", population, *before)
    evaluated(population, evaluate)
    yield measured("evaluated", population, *before)
    population = children(population)
    yield measured("a child of each, parents gone", population, *before)
    evaluated(population, evaluate)
    yield measured("the children evaluated", population, *before)


def measured(name: str, population: list[Any], resident_before: int, tensors_before: int) -> str:
    assert all(individual.fitness is not None for individual in population)  # as DEAP looks at it
    weights = weight_bytes(population)
    tensors, held_ = tensor_bytes() - tensors_before, resident() - resident_before
    pickled = len(pickle.dumps(population, pickle.HIGHEST_PROTOCOL))
    multiples = [f"{part / weights:.2f}" for part in (tensors, held_, pickled)]
    each = weights / len(population) / 1000
    return f"| {name} | {each:.0f} | {' | '.join(multiples)} | {pickled / 1e6:.0f} |"


def of_one(options: argparse.Namespace) -> Iterator[str]:
    """Bytes of the parts of one evaluation."""
    problem = valp.problems.by_name(options.problem)
    evaluate = partial(valp.evaluate, problem=problem, first_batches=2)
    [individual] = evaluated(drawn(problem, 1), evaluate)
    evaluation, weights = individual.evaluation, weight_bytes([individual])
    parts = {
        "weights": evaluation.weights,
        "diagnosis": evaluation.diagnosis,
        "history of 1,000 batches": torch.zeros(1000, len(problem.outputs)).numpy(),
        "graph": individual.graph,
    }
    yield "\n| part of an individual | pickled, as a multiple of the weights |\n|---|---|"
    for name, part in parts.items():
        size = len(pickle.dumps(part, pickle.HIGHEST_PROTOCOL))
        yield f"| {name} | {size / weights:.2f} |"


# ---- times ---------------------------------------------------------------------------------------


def population_of(bases: Sequence[Any], size: int) -> list[Any]:
    """Individuals with seeds and values of their own, which share genomes."""
    members = []
    for number in range(size):
        base = bases[number % len(bases)]
        member = copy.deepcopy(base)
        member.become(base.inherited())
        values = [random.random() for _ in base.evaluation]
        evaluation = base.evaluation.with_values(values)
        evaluation.seed = member.seed
        member.fitness.values = evaluation
        members.append(member)
    return members


def times(options: argparse.Namespace) -> Iterator[str]:
    """Microseconds of the processor for each member, by the size of the population."""
    problem = valp.problems.by_name(options.problem)
    evaluate = partial(valp.evaluate, problem=problem, batches=2, first_batches=2)
    bases = evaluated(drawn(problem, BASES), partial(evaluate, metrics=valp.ALL_METRICS))
    populations = [population_of(bases, size) for size in options.sizes]
    yield f"| microseconds for each of | {' | '.join(f'{size:,}' for size in options.sizes)} |"
    yield f"|---|{'---|' * len(options.sizes)}"
    for name, work in works().items():
        cells = []
        for population in populations:
            began = time.process_time()
            done = work(population)
            cells.append(f"{1e6 * (time.process_time() - began) / done:,.0f}")
        yield f"| {name} | {' | '.join(cells)} |"


def works() -> dict[str, Callable[[list[Any]], int]]:
    """What is timed, by name; each says for how many individuals it worked."""
    chosen: dict[str, Callable[[list[Any]], int]] = {
        "clone": lambda members: len([copy.deepcopy(member) for member in members]),
        "pickle": lambda members: len(pickle.dumps(members[:BASES])) and BASES,
        "selNSGA2 of half": lambda members: (
            len(tools.selNSGA2(members, len(members) // 2)) and len(members)
        ),
        "selNSGA2 of half, nd='log'": lambda members: (
            len(tools.selNSGA2(members, len(members) // 2, nd="log")) and len(members)
        ),
        "HallOfFame(10).update": hall_of_fame,
        "donation": donations,
    }
    for policy in ("growth", "guidelines", "principles", "adaptive"):
        chosen[f"selMutation, {policy}"] = partial(selections, policy=policy)
    return chosen


def hall_of_fame(members: list[Any]) -> int:
    tools.HallOfFame(10).update(members)
    return len(members)


def donations(members: list[Any], pairs: int = 100) -> int:
    for _ in range(pairs):
        host, donor = random.sample(members, 2)
        valp.cxExclusiveSubgraph(copy.deepcopy(host), copy.deepcopy(donor))
    return pairs


def selections(members: list[Any], policy: str, count: int = 50) -> int:
    for member in members[:count]:
        valp.selMutation(member, members, policy=policy)
    return count


# ---- script --------------------------------------------------------------------------------------


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; all by default"
    )
    parser.add_argument("--problem", default="fashion_mnist", help="a built-in one")
    parser.add_argument("--individuals", type=int, default=200, help="whose memory is measured")
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 10_000])
    options = parser.parse_args(arguments)
    if not set(options.parts) <= set(PARTS):
        parser.error(f"parts are {', '.join(PARTS)}, got {options.parts}")
    return options


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables."""
    options = parse(arguments)
    if len(options.parts) != 1:
        given = [f"--problem={options.problem}", f"--individuals={options.individuals}"]
        given += ["--sizes", *map(str, options.sizes)]
        for part in options.parts or PARTS:
            subprocess.run([sys.executable, __file__, part, *given], check=True)
        return
    torch.set_num_threads(1)
    problem = valp.problems.by_name(options.problem)
    creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    random.seed(1)
    [part] = options.parts
    print(f"\n{part}\n", flush=True)
    for line in globals()[part](options):
        print(line, flush=True)


if __name__ == "__main__":
    main()
