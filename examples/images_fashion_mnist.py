"""Fashion-MNIST or MNIST as images: train the default start, then look at what it draws.

The learning rate falls in the end, and the last sessions see the images as they are, neither moved
nor mirrored. The weights are saved after each session; run the same command again to go on.

usage: python images_fashion_mnist.py [--problem mnist] [--dense] [--sessions 34] [--folder ...]
"""

import argparse
import json
import os
import random
import time
from dataclasses import replace
from pathlib import Path

from deap import creator

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
BATCHES = 10 if SMALL else 1500  # of a session: three epochs of 100 examples a batch
PHASES = [(0.53, 1e-3, True), (0.82, 3e-4, True), (0.94, 1e-4, True), (1.0, 1e-4, False)]
"""Up to which share of the sessions, at which learning rate, whether images are moved."""

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--problem", default="fashion_mnist", choices=["fashion_mnist", "mnist"])
parser.add_argument("--dense", action="store_true", help="without convolutions")
parser.add_argument("--folder", type=Path, default=Path("images_runs"))
parser.add_argument("--sessions", type=int, default=2 if SMALL else 34)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--mixture", type=int, default=10, help="0: samples are drawn from N(0, I)")
parser.add_argument("--kl-weight", type=float, default=0.1)


def problems_of(arguments: argparse.Namespace) -> dict[bool, valp.Problem]:
    """Return the problem with images that are moved (True) and as they are (False)."""
    make = getattr(valp.problems, arguments.problem)
    settings = {"kl_weight": arguments.kl_weight, "mixture": arguments.mixture}
    if arguments.dense:
        still = make(**settings)
        return {True: still, False: still}
    moves = {"shift": 1, "flip": arguments.problem == "fashion_mnist"}
    return {
        True: make(convolutions=True, **moves, **settings),
        False: make(convolutions=True, **settings),
    }


def trained(arguments: argparse.Namespace, problems: dict[bool, valp.Problem]) -> valp.VALP:
    """Return the trained individual; what an earlier call has done is read from the folder."""
    path, log = arguments.folder / "best.valp", arguments.folder / "sessions.json"
    done = json.loads(log.read_text()) if log.exists() else []
    random.seed(arguments.seed)
    if done:
        individual = valp.load(path, creator.Individual)
    else:
        individual = valp.initVALP(creator.Individual, problems[False], batch_size=100)
        print(individual)
    training = valp.Training(patience=None, average=0.995, look=500)
    while len(done) < arguments.sessions:
        share = (len(done) + 0.5) / arguments.sessions
        _, rate, moved = next(phase for phase in PHASES if share < phase[0])
        genome = individual.inherited()
        rates = {name: replace(of, learning_rate=rate) for name, of in genome.optimizers.items()}
        individual.become(replace(genome, optimizers=rates))
        began = time.process_time()
        individual.fitness.values = valp.evaluate(
            individual, problems[moved], BATCHES, BATCHES, metrics=(), training=training
        )
        done.append({"rate": rate, "moved": moved, "seconds": time.process_time() - began})
        done[-1] |= dict(zip(problems[False].objectives, individual.fitness.values, strict=True))
        print(len(done), done[-1], flush=True)
        valp.save(individual, path)
        log.write_text(json.dumps(done, indent=1))
    print(f"{sum(one['seconds'] for one in done):.0f} seconds of one thread")
    return individual


def main() -> None:
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    problems = problems_of(arguments)
    creator.create("FitnessMulti", valp.Fitness, weights=problems[False].weights)
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    best = trained(arguments, problems)
    print("test scores:", valp.score(best, problems[False], split="test"))
    samples = valp.decode(best, problems[False]).sample(64)["sample"]
    real = problems[False].split("test").targets["sample"]
    figure = valp.plots.plot_samples(samples, real=real)
    figure.savefig(arguments.folder / "samples.png", dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
