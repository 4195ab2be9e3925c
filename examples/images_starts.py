"""Does a search prefer convolutions? Hill climbing on Fashion-MNIST from a start of each kind.

Both starts stand in one problem, whose images convolutions can read: the default start, which has
them, and one of three fully connected sub-networks. Each step says what was changed and whether it
was accepted; a candidate is accepted for its scores, whatever its training costs.

usage: python images_starts.py [--steps 12] [--batches 300] [--first-batches 1000] [--seed 1]
"""

import argparse
import os
import random
import time

from deap import base, creator

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
NETWORKS = {"convolutional": None, "dense": (3, 3)}  # three have no room for a convolution

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=1 if SMALL else 12)
parser.add_argument("--batches", type=int, default=5 if SMALL else 300)
parser.add_argument("--first-batches", type=int, default=10 if SMALL else 1000)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--starts", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))


def searched(name: str, problem: valp.Problem, arguments: argparse.Namespace) -> valp.VALP:
    """Return the last incumbent of a hill climb from the start of this name."""
    toolbox = base.Toolbox()
    toolbox.register(
        "evaluate",
        valp.evaluate,
        problem=problem,
        batches=arguments.batches,
        first_batches=arguments.first_batches,
    )
    toolbox.register("selMutation", valp.selMutation)
    random.seed(arguments.seed)
    start = valp.initVALP(creator.Individual, problem, networks=NETWORKS[name])
    began = time.process_time()

    def told(progress: valp.Progress) -> None:
        entry = progress.logbook[-1]
        scores = {output: round(entry[output], 4) for output in problem.objectives}
        accepted = "accepted" if entry["accepted"] else "refused"
        seconds = time.process_time() - began
        print(f"{name} {entry['gen']} {seconds:.0f} s {accepted} {entry['move']} {scores}")

    best, _ = valp.hillClimbing(
        start, toolbox, nsteps=arguments.steps, progress=False, reporters=[told]
    )
    return best


def main() -> None:
    arguments = parser.parse_args()
    problem = valp.problems.fashion_mnist(convolutions=True, kl_weight=0.1, mixture=10)
    creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    for name in arguments.starts:
        best = searched(name, problem, arguments)
        print(best, valp.score(best, problem, split="test"), "", sep="\n", flush=True)


if __name__ == "__main__":
    main()
