"""Images as images: convolutions read them, and every operator keeps what they learned.

The digits are enlarged to 16 x 16 pixels. Given as an array of images, they are read by a
convolutional sub-network; given as rows of 256 numbers, by fully connected ones alone.
"""

import os
import random

import numpy as np
import torch
from deap import creator
from sklearn.datasets import load_digits

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
BATCHES = 40 if SMALL else 1500

digits = load_digits()
images = np.kron(digits.images / 16, np.ones((2, 2))).astype(np.float32)  # (1797, 16, 16)


def problem_of(inputs: np.ndarray, target: np.ndarray) -> valp.Problem:
    """Return the problem of telling which digit an image shows, and of drawing new ones."""
    outputs = {
        "label": valp.Classification(digits.target),
        "sample": valp.Generation(target, labels=digits.target, kl_weight=0.1),
    }
    return valp.Problem({"image": inputs}, outputs)


def trained(problem: valp.Problem) -> valp.VALP:
    """Return a trained VALP of the default start."""
    random.seed(1)
    individual = valp.initVALP(creator.Individual, problem)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=BATCHES)
    print(individual)
    print("test scores:", valp.score(individual, problem))
    return individual


def main() -> None:
    creator.create("FitnessMulti", valp.Fitness, weights=(-1.0, -1.0))
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    rows = images.reshape(len(images), -1)
    trained(problem_of(rows, rows))

    problem = problem_of(images, images)
    best = trained(problem)
    test = problem.split("test").inputs
    before = valp.decode(best)(test)["label"]
    valp.mutExtendLayer(best, "n0.0")  # more channels
    valp.mutAddLayer(best, "n0.0")  # another layer of kernels
    valp.mutParallelNetwork(best, "image->label")  # and another sub-network that reads the image
    print(best)
    after = valp.decode(best)(test)["label"]
    print(f"largest change of a probability: {(after - before).abs().max():.1g}")

    model = valp.decode(best)
    drawn = [
        model.generate(8, torch.Generator().manual_seed(0), wanted={"label": digit})["sample"]
        for digit in range(10)
    ]
    figure = valp.plots.plot_samples(torch.cat(drawn).unflatten(1, (16, 16)))
    figure.savefig("images_samples.png", bbox_inches="tight")


if __name__ == "__main__":
    main()
