"""The search on many problems, beside models per output and a hand-made network (docs/suite.md).

usage: python suite.py [--problems tables planted digits] [--arms start search] [--seeds 5]
    [--folder suite]

Finished runs stay in the folder: called again, the script goes on from them. The problems are in
suite_problems.py, the rivals in suite_rivals.py; suite_report.py makes the table.
"""

import argparse
import json
import os
import random
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from comparison_runs import named, open_folder, path_of, run_all, write
from deap import base, creator
from suite_problems import GROUPS, PROBLEMS, problem_of
from suite_report import report_on
from suite_rivals import RIVALS

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
ARMS = ("start", "search")


@dataclass(frozen=True)
class Settings:
    """What all runs of a folder share.

    ``start``, ``training`` and ``selection`` are arguments of ``initVALP``, ``evaluate`` and
    ``selMutation``; where they are empty, the package's defaults are judged.
    """

    steps: int = 12
    small: bool = False  # fewer rows and patience, to see that it runs
    start: dict = field(default_factory=dict)
    training: dict = field(default_factory=dict)
    selection: dict = field(default_factory=dict)


SMALLEST = {"steps": 2, "small": True, "training": {"batches": 5, "first_batches": 15}}


# ---- a run ---------------------------------------------------------------------------------------


def individual_class(problem):
    """The class of individuals with this problem's objectives."""
    name = f"Suite{len(problem.weights)}"
    if not hasattr(creator, name):
        creator.create(f"{name}Fitness", valp.Fitness, weights=problem.weights)
        creator.create(name, valp.VALP, fitness=getattr(creator, f"{name}Fitness"))
    return getattr(creator, name)


def toolbox_of(settings, problem, arm):
    """What the defaults set up; an arm that is neither start nor search names a policy."""
    selection = settings.selection if arm in ARMS else {**settings.selection, "policy": arm}
    toolbox = base.Toolbox()
    toolbox.register(
        "individual", valp.initVALP, individual_class(problem), problem, **settings.start
    )
    toolbox.register("evaluate", valp.evaluate, problem=problem, **settings.training)
    toolbox.register("selMutation", valp.selMutation, **selection)
    return toolbox


def searched(settings, problem, arm, label):
    """What an arm of ours ends with: test scores, and what the way was like."""
    toolbox = toolbox_of(settings, problem, arm)
    random.seed(f"start {label}")  # the same start for every arm
    start = toolbox.individual()
    random.seed(f"{arm} {label}")
    began = perf_counter()
    steps = 0 if arm == "start" else settings.steps
    best, logbook = valp.hillClimbing(start, toolbox, nsteps=steps, progress=False)
    seconds = perf_counter() - began
    if not best.evaluation.ok:
        raise RuntimeError(f"the evaluation failed: {best.evaluation.status}")
    scores = valp.score(best, problem)
    accepted = sum(record["accepted"] for record in logbook[1:])
    return {
        "test": [scores],
        "seconds": seconds,
        "accepted": accepted,
        "weights": best.weight_count,
    }


def run_one(settings, problem_name, arm, seed, folder):
    """One arm on one problem and seed, into its file."""
    torch.set_num_threads(1)
    problem = problem_of(problem_name, seed, settings.small)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if arm in RIVALS:
        began = perf_counter()
        scores = RIVALS[arm](problem, seed, settings.small)
        found = {"test": scores, "seconds": (perf_counter() - began) / len(scores)}
    else:
        found = searched(settings, problem, arm, f"{problem_name} {seed}")
    kinds = {name: kind.kind for name, kind in problem.outputs.items()}
    sizes = {split: problem.split(split).size for split in ("train", "validation", "test")}
    about = {"problem": problem_name, "arm": arm, "seed": seed, "kinds": kinds, "sizes": sizes}
    write(path_of(folder, problem_name, arm, seed), json.dumps({**about, **found}) + "\n")


# ---- the command ---------------------------------------------------------------------------------


def parsed(argv):
    """Command line: what to run where, and the settings of every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = [*GROUPS, *PROBLEMS]
    default = ["iris", "planted_small", "digits"] if SMALL else ["tables", "planted", "digits"]
    parser.add_argument(
        "--problems", nargs="+", choices=names, default=default, metavar="PROBLEM", help=str(names)
    )
    parser.add_argument(
        "--arms", nargs="+", default=list(ARMS), help="start, search, or the name of a policy"
    )
    parser.add_argument("--rivals", nargs="*", choices=RIVALS, default=list(RIVALS))
    parser.add_argument("--seeds", type=int, default=1 if SMALL else 5, help="how many, from 1 on")
    parser.add_argument("--steps", type=int, help="of a search")
    for name, function in (
        ("start", "initVALP"),
        ("training", "evaluate"),
        ("selection", "selMutation"),
    ):
        parser.add_argument(
            f"--{name}", type=json.loads, default={}, help=f"arguments of {function}, as JSON"
        )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("suite"))
    arguments = parser.parse_args(argv)
    settings = replace(Settings(), **(SMALLEST if SMALL else {}))
    given = {name: getattr(arguments, name) for name in ("steps", "start", "training", "selection")}
    return arguments, replace(settings, **{name: value for name, value in given.items() if value})


def main(argv=None):
    arguments, settings = parsed(argv)
    chosen = [name for problem in arguments.problems for name in GROUPS.get(problem, [problem])]
    open_folder(arguments.folder, settings)
    os.environ.update(
        OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1"
    )  # of the processes to come, which share the cores
    seeds, arms = range(1, arguments.seeds + 1), [*arguments.rivals, *arguments.arms]
    runs = [(name, arm, seed) for name in dict.fromkeys(chosen) for seed in seeds for arm in arms]
    failed = run_all(run_one, settings, runs, arguments.folder, arguments.workers)
    print(
        report_on(
            arguments.folder, {f"{named(run)}, failed": reason for run, reason in failed.items()}
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
