"""Images as images: convolutions read them, and every operator keeps what they learned.

Once in grey (digits, enlarged to 16 x 16 pixels), once in colours (patches of two photos). A model
tells what an image shows and draws new ones; what lies between two; and where it looks at.
"""

import os
import random

import numpy as np
from deap import creator
from sklearn.datasets import load_digits, load_sample_images

import deap_valp as valp

BATCHES = 40 if os.environ.get("DEAP_VALP_SMALL") else 1500
SIDE, ROW = 16, 8  # pixels of an image, images of a row in the pictures


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return grey images, which digit each shows, and how much of it is white."""
    bunch = load_digits()
    images = np.kron(bunch.images / 16, np.ones((2, 2))).astype(np.float32)
    return images, bunch.target, images.mean((1, 2))


def patches() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return images in colours, the photo that each is of, and how high up in it."""
    cut = []
    for photo in load_sample_images().images:  # both (427, 640, 3)
        rows, columns = (side // SIDE for side in photo.shape[:2])
        whole = photo[: rows * SIDE, : columns * SIDE].reshape(rows, SIDE, columns, SIDE, 3)
        cut.append(whole.swapaxes(1, 2).reshape(-1, SIDE, SIDE, 3))
    names = np.repeat(["temple", "flower"], rows * columns)
    return np.concatenate(cut), names, np.tile(np.repeat(np.linspace(1, 0, rows), columns), 2)


def draw(name: str, best: valp.VALP, problem: valp.Problem, images: np.ndarray) -> None:
    """Save what matters of an image, samples of some classes, and ways between images."""
    valp.plots.plot_patches(best, problem).savefig(f"images_{name}_patches.png")
    model = valp.decode(best, problem)
    labels = model.classes["label"][:ROW]
    samples = [
        model.sample(ROW, wanted={"label": label}, temperature=0.7)["sample"] for label in labels
    ]
    images = np.random.default_rng(0).permutation(images)
    ends = np.arange(2 * ROW).reshape(ROW, 2, 1)
    ways = [model.interpolate({"image": images[a]}, {"image": images[b]}, ROW) for a, b in ends]
    for title, rows in (("samples", samples), ("ways", [way["sample"] for way in ways])):
        figure = valp.plots.plot_samples(np.concatenate(rows), real=images)
        figure.savefig(f"images_{name}_{title}.png", bbox_inches="tight")


def main() -> None:
    random.seed(1)
    creator.create("FitnessMulti", valp.Fitness, weights=(-1.0, -1.0, -1.0))
    creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
    for name, make in (("grey", digits), ("colours", patches)):
        images, labels, amounts = make()
        outputs = {
            "label": valp.Classification(labels),
            "amount": valp.Regression(amounts),
            "sample": valp.Generation(images, labels=labels, kl_weight=0.1),
        }
        problem = valp.Problem({"image": images}, outputs)
        best = valp.initVALP(creator.Individual, problem)
        best.fitness.values = valp.evaluate(best, problem, first_batches=BATCHES)
        print(f"{best}\ntest scores: {valp.score(best, problem)}")
        draw(name, best, problem, images)
        before = valp.decode(best, problem).predict_proba({"image": images})["label"]
        valp.mutExtendLayer(best, "n0.0")  # more channels
        valp.mutAddLayer(best, "n0.0")  # another layer of kernels
        valp.mutParallelNetwork(best, "image->label")  # another sub-network that reads the image
        after = valp.decode(best, problem).predict_proba({"image": images})["label"]
        print(f"largest change of a probability: {np.abs(after - before).max():.1g}")


if __name__ == "__main__":
    main()
