"""Populations that use their peers: when does donation pay? (docs/experiments/peers.md)

All arms of a problem and seed go on from the same trained population, by NSGA-II, with the same
number of evaluations. They differ in what makes the children: mutations that see no peers,
donations, the rank among peers. The report is in peers_report.py.

usage: python peers_in_populations.py [--problems iris wine] [--starts random] [--seeds 8]
    [--folder peers]

Finished runs stay in the folder: called again, the script goes on from them.
"""

import argparse
import json
import os
import random
import sys
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import process_time

import numpy as np
import torch
from comparison_report import hypervolume
from comparison_runs import open_folder, path_of, run_all, write
from deap import base, tools
from paper_numbers import options_of, rounded, settings_from
from peers_report import report_on
from suite_arms import individual_class
from suite_problems import PROBLEMS, problem_of

import deap_valp as valp
from deap_valp.diagnosis import DEFAULT_METRICS

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
DONATION = "exclusive_subgraph_crossover"
METRICS = {  # that a policy needs
    "growth": DEFAULT_METRICS,
    "principles": ("loss_slope", "module_intervention", "input_intervention", "dependency"),
    "gentle": (),
}
LAYOUT = {"layers": (1, 2), "width": (8, 32)}  # of random sub-networks, so that a run takes seconds


@dataclass(frozen=True)
class Settings:
    """What all runs of a folder share."""

    size: int = 8  # of the population
    generations: int = 5
    first_batches: int = 500
    batches: int = 100
    mating: float = 0.3  # part of the children that mating makes, where an arm mates


SMALLEST = {"size": 4, "generations": 2, "first_batches": 15, "batches": 5}


# ---- arms ----------------------------------------------------------------------------------------


def any_output(host, donor):
    """Donate for a random output, whichever of the two is better at it."""
    return valp.cxExclusiveSubgraph(host, donor, random.choice(host.outputs))


def trained_on(host, donor):
    """Change nothing: a child of this mating only goes on training."""
    return host, donor


@dataclass(frozen=True)
class Arm:
    """What makes children: a policy, whether it sees the peers, and a mating if there is one."""

    policy: str = "growth"
    peers: bool = False
    mate: object = None


ARMS = {
    "mutation": Arm(),
    "training": Arm(mate=trained_on),
    "donation": Arm(mate=valp.cxExclusiveSubgraph),
    "any_output": Arm(mate=any_output),
    "ranked": Arm(peers=True),
    "principles": Arm("principles", peers=True),
    "principles_alone": Arm("principles"),
    "principles_training": Arm("principles", mate=trained_on),
    "gentle": Arm("gentle"),
    "gentle_training": Arm("gentle", mate=trained_on),
    "gentle_donation": Arm("gentle", mate=valp.cxExclusiveSubgraph),
}


def selected(individual, population, arm):
    """The move that an arm's policy chooses, in view of the peers or without."""
    peers = population if arm.peers else None
    return valp.selMutation(individual, peers, policy=arm.policy)


# ---- a run ---------------------------------------------------------------------------------------


def started(settings, problem, start, evaluate):
    """The trained population that all arms of a policy go on from."""
    layout = LAYOUT if start == "random" else {}
    icls = individual_class(problem)
    drawn = [valp.initVALP(icls, problem, start=start, **layout) for _ in range(settings.size)]
    for individual in drawn:
        individual.fitness.values = evaluate(individual)
    return drawn


def searched(settings, problem, arm, population, evaluate, corner):
    """What an arm makes of a population of its own."""
    toolbox, archive = base.Toolbox(), []
    toolbox.register("evaluate", evaluate)
    toolbox.register("selMutation", selected, arm=arm)
    toolbox.register("select", tools.selNSGA2)
    mating = settings.mating if arm.mate else 0.0
    if arm.mate:
        toolbox.register("mate", arm.mate)
    size, front, began = settings.size, tools.ParetoFront(), process_time()
    valp.eaGuided(
        population,
        toolbox,
        mu=size,
        lambda_=size,
        cxpb=mating,
        mutpb=1 - mating,
        ngen=settings.generations,
        halloffame=front,
        archive=archive,
        verbose=False,
    )
    seconds = process_time() - began
    one = min((member for member in population if member.evaluation.ok), key=loss_of)
    tested = np.array([list(valp.score(member, problem).values()) for member in front])
    steps = range(settings.generations + 1)
    return {
        "evaluations": len(archive) - size,
        "hypervolume": rounded([hypervolume(until(archive, step), corner) for step in steps]),
        "front": rounded(hypervolume(tested, corner)),
        "test": {name: rounded(score) for name, score in valp.score(one, problem).items()},
        "weights": one.weight_count,
        "children": told(archive, corner),
        "seconds": round(seconds, 1),
    }


def loss_of(individual):
    """The sum of the normalised validation losses, by which one model is picked."""
    return individual.evaluation.loss


def until(archive, step):
    """The values of all structures that were evaluated until a generation."""
    return np.array([entry.values for entry in archive if entry.step <= step and entry.ok])


def told(archive, corner):
    """By what made a child: how many there were, how many were kept, and what they gained.

    A gain is the fall of an objective from parent to child, as a part of the corner. A donation
    has two: in the output that it was made for, and the mean of the others.
    """
    found = {}
    for outcome in valp.decisions(archive):
        kind = "training" if outcome.move is None else outcome.move.operator
        row = found.setdefault(kind, {"count": 0, "kept": 0, "gains": []})
        row["count"] += 1
        row["kept"] += outcome.accepted
        if outcome.before and not outcome.failed:
            falls = {
                name: (outcome.before[name] - outcome.after[name]) / limit
                for name, limit in zip(outcome.after, corner)
            }
            aimed = falls.pop(outcome.move.place) if kind == DONATION else None
            others = float(np.mean(list(falls.values())))
            row["gains"].append([others] if aimed is None else [aimed, others])
    for row in found.values():
        row["gains"] = rounded(np.mean(row["gains"], axis=0)) if row["gains"] else []
    return found


def run_one(settings, problem_name, start, policy, seed, folder):
    """All arms of a policy on one problem, start and seed, into one file."""
    torch.set_num_threads(1)
    problem = problem_of(problem_name, seed, SMALL)
    evaluate = partial(
        valp.evaluate,
        problem=problem,
        first_batches=settings.first_batches,
        batches=settings.batches,
        metrics=METRICS[policy],
    )
    label, began = f"{problem_name} {start} {seed}", process_time()
    random.seed(f"start {label}")
    population = started(settings, problem, start, evaluate)
    seconds = process_time() - began
    corner = 1.2 * np.median([individual.fitness.values for individual in population], axis=0)
    about = {
        "problem": problem_name,
        "start": start,
        "seed": seed,
        "kinds": {name: kind.kind for name, kind in problem.outputs.items()},
        "sizes": {"test": problem.split("test").size},
        "exclusive": exclusives(population),
        "seconds": round(seconds, 1),
        "arms": {},
    }
    for name in arms_of(policy):
        random.seed(f"search {label}")
        own = deepcopy(population)
        about["arms"][name] = searched(settings, problem, ARMS[name], own, evaluate, corner)
    path = path_of(folder, problem_name, start, policy, seed)
    write(path, json.dumps(about, separators=(",", ":")) + "\n")


def arms_of(policy):
    """The names of the arms whose mutations a policy chooses."""
    return [name for name, arm in ARMS.items() if arm.policy == policy]


def exclusives(population):
    """The part of all outputs of a population that have an exclusive subgraph to donate."""
    found = [bool(one.exclusive(output)) for one in population for output in one.outputs]
    return rounded(np.mean(found))


# ---- the command ---------------------------------------------------------------------------------


def parsed(argv):
    """Command line: which runs where, and the settings of all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = replace(Settings(), **(SMALLEST if SMALL else {}))
    options_of(usual, parser)
    usual_problems = ["iris", "wine", "diabetes", "planted_small", "digits"]
    parser.add_argument(
        "--problems",
        nargs="+",
        choices=PROBLEMS,
        default=["iris"] if SMALL else usual_problems,
        metavar="PROBLEM",
        help=", ".join(PROBLEMS),
    )
    parser.add_argument("--policies", nargs="+", choices=METRICS, default=list(METRICS))
    parser.add_argument("--starts", nargs="+", choices=("random", "shared"), default=["random"])
    parser.add_argument("--seeds", type=int, default=1 if SMALL else 8, help="how many")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("peers"))
    arguments = parser.parse_args(argv)
    return arguments, settings_from(usual, arguments)


def main(argv=None):
    arguments, settings = parsed(argv)
    open_folder(arguments.folder, settings)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the processes to come
    runs = [
        (problem, start, policy, seed)
        for start in arguments.starts
        for seed in range(1, arguments.seeds + 1)
        for problem in arguments.problems
        for policy in arguments.policies
    ]
    failed = run_all(run_one, settings, runs, arguments.folder, arguments.workers)
    print(report_on(arguments.folder, arguments.folder)[0])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
