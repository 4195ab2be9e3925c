"""A small problem in colours: patches of the two photos that come with scikit-learn."""

from __future__ import annotations

import functools

import numpy as np
import zoo
from sklearn.datasets import load_sample_images

import deap_valp as valp

NAMES = ("temple", "flower")
SIDE = 12


@functools.cache
def patches() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return patches (examples, 12, 12, 3) as bytes, the photo of each, and its height in it."""
    cut = []
    for photo in load_sample_images().images:
        rows, columns = photo.shape[0] // (2 * SIDE), photo.shape[1] // (2 * SIDE)
        coarse = photo[: rows * 2 * SIDE : 2, : columns * 2 * SIDE : 2]
        cut.append(coarse.reshape(rows, SIDE, columns, SIDE, 3).swapaxes(1, 2))
    rows, columns = cut[0].shape[:2]
    heights = np.tile(np.repeat(np.linspace(1, 0, rows), columns), len(NAMES))
    images = np.concatenate(cut).reshape(-1, SIDE, SIDE, 3)
    return images, np.repeat(NAMES, rows * columns), heights


def in_order(images: np.ndarray, planes: bool) -> np.ndarray:
    """Return images with their colours first (``planes``) or last."""
    return np.ascontiguousarray(images.transpose(0, 3, 1, 2)) if planes else images


@functools.cache
def photo_problem(planes: bool = False) -> valp.Problem:
    """Return the problem: which photo a patch is of, how high it lies there, and new patches."""
    images, photos, heights = patches()
    return valp.Problem(
        {"patch": valp.Image(in_order(images, planes), shift=1, flip=True)},
        {
            "photo": valp.Classification(photos),
            "height": valp.Regression(heights),
            "sample": valp.Generation(kl_weight=0.1),
        },
    )


def drawing(planes: bool = False) -> valp.VALP:
    """Return a VALP that reads the patches by convolutions alone and paints new ones."""
    networks = {
        "n0": zoo.convolutional((SIDE, SIDE), (8, 5, 2, "relu"), (6, 3, 1, "tanh")),
        "n1": zoo.generic(12, activation="relu"),
        "n2": zoo.painter(3, (SIDE, SIDE), (6, 3, 1, "relu"), (4, 3, 2, "relu")),
    }
    edges = "patch->n0 n0->n1 n1->photo n1->height n1->n2 n2->sample"
    return zoo.build(photo_problem(planes), networks, edges)
