"""The search on many problems, beside models per output and a hand-made network (docs/suite.md).

usage: python suite.py [--problems tables planted digits] [--arms start search] [--seeds 5]
    [--folder suite]

Finished runs stay in the folder: called again, the script goes on from them. The problems are in
suite_problems.py, the rivals in suite_rivals.py; suite_report.py makes the table.
"""

import argparse
import json
import math
import os
import random
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time

import networkx as nx
import numpy as np
import torch
from comparison_runs import named, open_folder, path_of, run_all, write
from deap import base
from suite_arms import ARMS, arm_of, individual_class
from suite_budgets import BUDGETED
from suite_problems import GROUPS, PROBLEMS, problem_of
from suite_report import report_on
from suite_rivals import RIVALS

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))


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


def toolbox_of(problem, arm):
    """What the defaults set up, but for what the arm does otherwise."""
    toolbox = base.Toolbox()
    toolbox.register("individual", valp.initVALP, individual_class(problem), problem, **arm.start)
    toolbox.register("evaluate", valp.evaluate, problem=problem, **arm.training)
    toolbox.register("selMutation", valp.selMutation, **arm.selection)
    return toolbox


def searched(settings, problem, name, label):
    """What an arm of ours ends with: test scores, and what the way was like."""
    arm = arm_of(name, settings)
    toolbox = toolbox_of(problem, arm)
    random.seed(f"start {label}")  # the same start for every arm that draws it alike
    start = toolbox.individual()
    random.seed(f"{name} {label}")
    began, archive = process_time(), []
    steps = settings.steps if arm.searches else 0
    best, logbook = valp.hillClimbing(
        start, toolbox, nsteps=steps, accept=arm.accept, archive=archive, progress=False
    )
    seconds = process_time() - began
    if not best.evaluation.ok:
        raise RuntimeError(f"the evaluation failed: {best.evaluation.status}")
    return {
        "test": [valp.score(best, problem)],
        "validation": [list(entry.values) for entry in archive if entry.ok],
        "reads": reads(best),
        "moves": [row for row in map(told, valp.decisions(archive)) if row] if steps else [],
        "seconds": seconds,
        "examples": sum(entry.batches for entry in archive) * examples_of(start, problem),
        "accepted": sum(record["accepted"] for record in logbook[1:]),
        "weights": best.weight_count,
    }


def examples_of(individual, problem):
    """The number of examples in a batch."""
    return min(individual.batch_size, problem.split("train").size)


def reads(individual):
    """By output, the inputs from which a path leads to it."""
    graph = nx.DiGraph((edge.provider, edge.receiver) for edge in individual.connections)
    found = {}
    for output in individual.outputs:
        before = nx.ancestors(graph, output) if output in graph else set()
        found[output] = [name for name in individual.inputs if name in before]
    return found


def told(outcome):
    """A decision that a move made: what moved, what it promised, and what came of it."""
    if outcome.move is None:
        return None
    numbers = outcome.predicted, outcome.achieved
    known = [None if math.isnan(number) else number for number in numbers]
    return [outcome.move.operator, outcome.accepted, *known]


def run_one(settings, problem_name, arm, seed, folder):
    """One arm on one problem and seed, into its file."""
    torch.set_num_threads(1)
    problem = problem_of(problem_name, seed, settings.small)
    np.random.seed(seed)
    torch.manual_seed(seed)
    if arm in RIVALS or arm in BUDGETED:
        began = process_time()
        if arm in RIVALS:
            tried = RIVALS[arm](problem, seed, settings.small)
        else:
            spent = spent_by_search(arm, folder, problem_name, seed)
            tried = BUDGETED[arm](problem, seed, spent, settings)
        seconds = (process_time() - began) / len(tried.draws)
        found = {"test": tried.draws, "seconds": seconds, "examples": tried.examples}
    else:
        found = searched(settings, problem, arm, f"{problem_name} {seed}")
    kinds = {name: kind.kind for name, kind in problem.outputs.items()}
    sizes = {split: problem.split(split).size for split in ("train", "validation", "test")}
    about = {"problem": problem_name, "arm": arm, "seed": seed, "kinds": kinds, "sizes": sizes}
    write(path_of(folder, problem_name, arm, seed), json.dumps({**about, **found}) + "\n")


def spent_by_search(arm, folder, problem_name, seed):
    """The run of our search on this problem and seed, whose budget an arm gets."""
    path = path_of(folder, problem_name, "search", seed)
    if not path.exists():
        raise RuntimeError(f"{arm} gets the budget of the arm search, which has no run here")
    return json.loads(path.read_text())


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
        "--arms",
        nargs="+",
        default=["start", "search"],
        help=f"{list(ARMS)}, or the name of a policy",
    )
    parser.add_argument(
        "--rivals",
        nargs="*",
        choices=[*RIVALS, *BUDGETED],
        default=list(RIVALS),
        help=f"{', '.join(BUDGETED)} need the arm search, and optuna or gromo",
    )
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
    failed = {}
    for waits in (False, True):  # for what our searches spend
        some = [run for run in runs if (run[1] in BUDGETED) == waits]
        failed |= run_all(run_one, settings, some, arguments.folder, arguments.workers)
    print(
        report_on(
            arguments.folder, {f"{named(run)}, failed": reason for run, reason in failed.items()}
        )
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
