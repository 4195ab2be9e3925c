"""Guided VALP searches beside classic neuroevolution, with equal budgets and paired seeds.

The results are in docs/comparison.md. Its tests come from scikit-posthocs and its NEAT from
neat-python: pip install '.[peers]'

usage: python compare_with_classic_neuroevolution.py [--problem digits] [--seeds 5] [--workers 2]
[--folder comparison]

On digits all arms and five seeds take some nine minutes on two cores. Finished runs stay in the
folder: called again, the script goes on from them. The searches are in comparison_arms.py;
comparison_report.py makes the table and
the figures.
"""

import argparse
import os
import random
import sys
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from comparison_arms import ARMS, NEEDED, NOTES, BudgetSpent, Run
from comparison_report import report_on
from comparison_runs import named, open_folder, path_of, run_all
from deap import base, creator

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))


@dataclass(frozen=True)
class Settings:
    """What all runs of a folder share.

    ``examples`` and ``seconds`` are the budget of a run. None is no limit.
    """

    problem: str
    examples: int | None = 800_000
    seconds: float | None = None
    cap: float = 60.0  # seconds of an arm that only computes losses, where the examples last longer
    first_batches: int = 300
    batches: int = 100
    population: int = 6
    minibatch: int = 200


LARGE = {"examples": 8_000_000, "cap": 600.0, "first_batches": 3000, "batches": 600}
DEFAULTS = {"digits": {}, "mnist": LARGE, "fashion_mnist": LARGE}
SMALLEST = {
    "examples": 9_000,
    "cap": 5.0,
    "first_batches": 15,
    "batches": 5,
    "population": 2,
    "minibatch": 50,
}


# ---- runs in a folder ----------------------------------------------------------------------------


def run_one(settings, arm, seed, folder):
    """One arm from one seed's starts, into its file."""
    torch.set_num_threads(1)
    problem, toolbox = valp.problems.by_name(settings.problem), base.Toolbox()
    toolbox.register("individual", valp.initVALP, creator.Compared, problem, networks=(3, 6))
    random.seed(f"start {seed}")  # the same starts for every arm
    starts = [toolbox.individual() for _ in range(settings.population)]
    valp.evaluate(starts[0], problem, 1, 1)  # what a process does once is not on the clock
    valp.score(starts[0], problem, "test")
    random.seed(f"{arm} {seed}")
    np.random.seed(seed)
    torch.manual_seed(seed)
    path = path_of(folder, arm, seed)
    with open(path.with_suffix(".part"), "w") as file:
        run = Run(settings, problem, file)
        toolbox.register("evaluate", run.evaluate)
        with suppress(BudgetSpent):
            ARMS[arm](run, toolbox, starts)
        run.finish()
    os.replace(path.with_suffix(".part"), path)


def parsed(argv):
    """Command line: what to run where, and the settings of every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices=DEFAULTS, default="digits")
    parser.add_argument("--seeds", type=int, default=2 if SMALL else 5, help="how many, from 1 on")
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM", help=", ".join(ARMS)
    )
    parser.add_argument("--examples-budget", type=int, help="training examples that a run may see")
    parser.add_argument(
        "--seconds",
        type=float,
        help="wall seconds of a run; without --examples-budget, instead of it",
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("comparison"))
    arguments = parser.parse_args(argv)
    settings = replace(
        Settings(arguments.problem), **(SMALLEST if SMALL else DEFAULTS[arguments.problem])
    )
    if arguments.examples_budget is not None or arguments.seconds is not None:
        settings = replace(settings, examples=arguments.examples_budget, seconds=arguments.seconds)
    return arguments, settings


def main(argv=None):
    arguments, settings = parsed(argv)
    notes = {arm: about for arm, about in NOTES.items() if arm in arguments.arms}
    for arm, (module, package) in NEEDED.items():
        if arm in arguments.arms and find_spec(module) is None:
            notes[arm] = f"skipped, since {package} is not installed: pip install '.[peers]'"
    arms = [arm for arm in arguments.arms if not notes.get(arm, "").startswith("skipped")]
    open_folder(arguments.folder, settings)
    os.environ.update(
        OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"
    )  # of the processes to come, which share the cores
    runs = [(arm, seed) for seed in range(1, arguments.seeds + 1) for arm in arms]
    failed = run_all(run_one, settings, runs, arguments.folder, arguments.workers)
    notes |= {f"{named(run)}, failed": reason for run, reason in failed.items()}
    print(report_on(arguments.folder, list(ARMS), notes))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
