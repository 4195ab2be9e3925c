"""The paper's main experiment: guided against random hill climbing, in pairs (VI-C, VII-D).

Every arm of a pair starts from the same random VALP. The arms of the paper are ``guidelines`` and
``random``, with its training and its acceptance; the others say what the comparison leaves open.
The results are in docs/experiments/main.md.

usage: python paper_main.py [--pairs 15] [--problem digits] [--folder paper_main]

The paper's sizes: --problem fashion_mnist --pairs 30 --first-batches 5000 --steps 60 --batches 1000

Finished runs stay in the folder: called again, the script goes on from them. paper_main_report.py
makes tables and figures.
"""

import argparse
import json
import os
import random
import sys
from collections import Counter
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import process_time

import torch
from comparison_runs import open_folder, path_of, run_all, write
from deap import base, creator
from paper_main_report import report_on
from paper_numbers import OPERATORS, options_of, rounded, settings_from

import deap_valp as valp
from deap_valp.diagnosis import DEFAULT_METRICS
from deap_valp.genome.init import usual_decay

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))


@dataclass(frozen=True)
class Settings:
    """What all runs of a folder share."""

    problem: str = "digits"
    first_batches: int = 300
    steps: int = 60
    batches: int = 50  # of a step


SMALLEST = {"problem": "digits", "first_batches": 15, "steps": 3, "batches": 5}


# ---- arms ----------------------------------------------------------------------------------------


class Guidelines(valp.ByRules):
    """The paper's rules; where none proposes anything, a gentle one of the paper's operators."""

    def fallback(self, situation):
        return valp.AtRandom(OPERATORS, gentle_only=True)(situation)


@dataclass(frozen=True)
class Arm:
    """A policy, the metrics that it needs, and whether the rest is the paper's or today's."""

    policy: object
    metrics: tuple = ()
    paper: bool = True  # training and acceptance
    carry: bool = False  # the paper's training, but the optimizers go on from their state
    normalize: bool = True  # losses in units of the best constant prediction
    calibrate: bool = False  # thresholds from random VALPs of this problem

    @property
    def training(self):
        """How a session of this arm trains."""
        if self.paper:
            return replace(valp.PLAIN, carry=self.carry)
        return valp.Training(carry=True, warmup=20)  # carrying pays in sessions of 50 batches


GUIDED = ("loss_slope", "module_intervention")  # the metrics that the guidelines need
ARMS = {
    "guidelines": Arm(Guidelines(), GUIDED),
    "random": Arm(valp.AtRandom(OPERATORS)),
    "gentle": Arm(valp.AtRandom(OPERATORS, gentle_only=True)),
    "today": Arm("growth", DEFAULT_METRICS, paper=False),
    "retrain": Arm("retrain"),  # only goes on training
}


def individual_class(problem):
    """The class of individuals, which is created once in a process."""
    if not hasattr(creator, "PaperMain"):
        creator.create("PaperMainFitness", valp.Fitness, weights=problem.weights)
        creator.create("PaperMain", valp.VALP, fitness=creator.PaperMainFitness)
    return creator.PaperMain


def drawn(problem, decay=0.0):
    """A random VALP of the sizes of this experiment."""
    return valp.initVALP(individual_class(problem), problem, (3, 6), start="random", decay=decay)


def calibrated(settings, problem, count=12):
    """Thresholds from random VALPs that were trained like the starts, the same in every run."""
    random.seed("calibrate")
    evaluations = [
        valp.evaluate(
            drawn(problem),
            problem,
            first_batches=settings.first_batches,
            metrics=GUIDED,
            training=valp.PLAIN,
        )
        for _ in range(count)
    ]
    return valp.calibrateThresholds(evaluations)


def searched(settings, problem, arm, seed):
    """The start and the end of a run of an arm, and the archive of what it evaluated."""
    toolbox = base.Toolbox()
    train = partial(
        valp.evaluate,
        problem=problem,
        batches=settings.batches,
        first_batches=settings.first_batches,
        metrics=arm.metrics,
    )
    policy = deepcopy(arm.policy)
    if arm.calibrate:
        policy = replace(policy, thresholds=calibrated(settings, problem))
    toolbox.register("evaluate", train, training=arm.training)
    toolbox.register("selMutation", valp.selMutation, policy=policy)
    random.seed(f"start {seed}")  # the same VALP for every arm
    start = drawn(problem, 0.0 if arm.paper else usual_decay(problem))
    archive = []
    random.seed(f"search {seed}")
    best, _ = valp.hillClimbing(
        start,
        toolbox,
        nsteps=settings.steps,
        accept=valp.majority if arm.paper else valp.graded,
        archive=archive,
        progress=False,
    )
    return best, archive


def run_one(settings, name, seed, folder):
    """One arm of one pair, into its file."""
    run_arm(settings, name, ARMS[name], seed, folder)


def run_arm(settings, name, arm, seed, folder):
    """One run of an arm, into its file."""
    torch.set_num_threads(1)
    problem = valp.problems.by_name(settings.problem, normalize=arm.normalize)
    began = process_time()
    best, archive = searched(settings, problem, arm, seed)
    seconds = process_time() - began
    if not best.evaluation.ok:
        raise RuntimeError(f"the evaluation failed: {best.evaluation.status}")
    decided = valp.decisions(archive)
    applied, accepted = Counter(map(rule_of, decided)), Counter()
    accepted.update(rule_of(outcome) for outcome in decided if outcome.accepted)
    found = {
        "arm": name,
        "seed": seed,
        "objectives": list(problem.objectives),
        "values": [rounded(entry.values) if entry.ok else None for entry in archive],
        "accepted": [entry.step for entry in archive if entry.accepted],
        "test": {output: rounded(score) for output, score in valp.score(best, problem).items()},
        "weights": [archive[0].weight_count, best.weight_count],
        "rules": {rule: [count, accepted[rule]] for rule, count in sorted(applied.items())},
        "seconds": round(seconds, 1),
    }
    write(path_of(folder, name, seed), json.dumps(found, separators=(",", ":")) + "\n")


def rule_of(outcome):
    """What a decision was made by: the operator where it was drawn, otherwise the rule."""
    if outcome.move is None:
        return "no change"
    drawn = outcome.move.rule in ("random", "fallback")
    return f"{outcome.move.version} {outcome.move.operator}" if drawn else outcome.move.rule


# ---- the command ---------------------------------------------------------------------------------


def parsed(argv, about, name, arms):
    """Command line: which runs where, and the settings of all of them."""
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    usual = replace(Settings(), **(SMALLEST if SMALL else {}))
    options_of(usual, parser)
    parser.add_argument("--pairs", type=int, default=2 if SMALL else 15, help="how many")
    parser.add_argument(
        "--arms", nargs="+", choices=arms, default=list(arms), metavar="ARM", help=", ".join(arms)
    )
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path(name))
    arguments = parser.parse_args(argv)
    return arguments, settings_from(usual, arguments)


def main(argv=None, about=__doc__, name="paper_main", arms=ARMS, run=run_one, tell=report_on):
    """Do the missing runs of an experiment with these arms, and report."""
    arguments, settings = parsed(argv, about, name, arms)
    open_folder(arguments.folder, settings)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the processes to come
    runs = [(arm, seed) for seed in range(1, arguments.pairs + 1) for arm in arguments.arms]
    failed = run_all(run, settings, runs, arguments.folder, arguments.workers)
    print(tell(arguments.folder, arguments.folder)[0])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
