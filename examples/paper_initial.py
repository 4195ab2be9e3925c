"""The paper's initial experiment: what every operator does to trained random VALPs (VI-B, VII-A).

Random VALPs are trained and diagnosed. Every macro operator of the paper is applied to clones of
each, in every version, at some places drawn at random; the clones go on training, and so does one
that is not changed. The results are in docs/experiments/initial.md.

usage: python paper_initial.py [--valps 30] [--problem fashion_mnist] [--folder paper_initial]

The paper's sizes: --problem mnist --valps 100 --first-batches 20000 --batches 5000 --places 1000

Finished VALPs stay in the folder: called again, the script goes on from them.
paper_initial_report.py makes tables and figures.
"""

import argparse
import json
import os
import random
import sys
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from time import process_time

import torch
from comparison_runs import open_folder, path_of, run_all, write
from deap import creator
from paper_initial_report import report_on
from paper_numbers import OPERATORS, options_of, rounded, settings_from

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
METRICS = ("loss_slope", "module_intervention", "input_intervention", "dependency")


@dataclass(frozen=True)
class Settings:
    """What all VALPs of a folder share."""

    problem: str = "fashion_mnist"
    networks: int = 6
    first_batches: int = 1200
    batches: int = 150  # of a clone
    window: int = 400  # the last batches of the first training, to which slopes are fitted
    places: int = 4  # of an operator, at most


SMALLEST = {"problem": "digits", "first_batches": 20, "batches": 4, "window": 10, "places": 1}


def individual_class(problem):
    """The class of individuals, which is created once in a process."""
    if not hasattr(creator, "PaperInitial"):
        creator.create("PaperInitialFitness", valp.Fitness, weights=problem.weights)
        creator.create("PaperInitial", valp.VALP, fitness=creator.PaperInitialFitness)
    return creator.PaperInitial


def run_one(settings, name, seed, folder):
    """One VALP and all its clones, into its file."""
    torch.set_num_threads(1)
    began = process_time()
    problem = valp.problems.by_name(settings.problem)
    random.seed(f"{name} {seed}")
    sizes = (settings.networks, settings.networks)
    parent = valp.initVALP(individual_class(problem), problem, sizes, start="random")
    parent.fitness.values = valp.evaluate(
        parent,
        problem,
        batches=settings.window,  # what slopes are fitted to; the session has the first batches
        first_batches=settings.first_batches,
        metrics=METRICS,
        training=valp.PLAIN,
    )
    evaluation = parent.evaluation
    if not evaluation.ok:
        raise RuntimeError(f"the evaluation failed: {evaluation.status}")
    found = {
        "seed": seed,
        "objectives": list(problem.objectives),
        "before": rounded(evaluation),
        "weights": parent.weight_count,
        "loss": {o: rounded(h[-settings.window :].mean()) for o, h in evaluation.history.items()},
        **measured(evaluation.diagnosis),
        "clones": [clone(settings, problem, parent, move) for move in chosen(settings, parent)],
        "seconds": round(process_time() - began, 1),
    }
    write(path_of(folder, name, seed), json.dumps(found, separators=(",", ":")) + "\n")


def measured(diagnosis):
    """The metrics as JSON takes them: by output, or by "component output"."""
    gains = {key: value.gain for key, value in diagnosis.dependency.items()}
    by_pair = {
        "relevance": diagnosis.relevance,
        "input_relevance": diagnosis.input_relevance,
        "dependency": gains,
    }
    told = {
        name: {" ".join(key): rounded(value) for key, value in values.items()}
        for name, values in by_pair.items()
    }
    return {"slope": {o: rounded(slope) for o, slope in diagnosis.slopes.items()}, **told}


def chosen(settings, parent):
    """No move at all, then the moves; both versions of an operator get the same places."""
    moves = [None]
    for name in OPERATORS:
        operator = valp.operators()[name]
        legal = {
            version: operator.places(parent, version == "gentle") for version in operator.versions
        }
        places = sorted(set().union(*legal.values()))
        for place in random.sample(places, min(settings.places, len(places))):
            moves += [
                valp.Move(name, version, place) for version in legal if place in legal[version]
            ]
    return moves


def clone(settings, problem, parent, move):
    """The move with the objectives of a clone after it, and after some more training."""
    child = deepcopy(parent)
    if move is not None:
        move.apply(child)
    del child.fitness.values
    evaluation = valp.evaluate(
        child, problem, batches=settings.batches, metrics=(), training=valp.PLAIN
    )
    key = ("retrain", "", "") if move is None else move.key
    return [*key, *rounded(evaluation)]


# ---- the command ---------------------------------------------------------------------------------


def parsed(argv):
    """Command line: how many VALPs where, and the settings of all of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    usual = replace(Settings(), **(SMALLEST if SMALL else {}))
    options_of(usual, parser)
    parser.add_argument("--valps", type=int, default=2 if SMALL else 30, help="how many")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("paper_initial"))
    arguments = parser.parse_args(argv)
    return arguments, settings_from(usual, arguments)


def main(argv=None):
    arguments, settings = parsed(argv)
    open_folder(arguments.folder, settings)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the processes to come
    runs = [("valp", seed) for seed in range(1, arguments.valps + 1)]
    failed = run_all(run_one, settings, runs, arguments.folder, arguments.workers)
    print(report_on(arguments.folder, arguments.folder)[0])
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
