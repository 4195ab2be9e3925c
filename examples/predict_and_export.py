"""From a trained model to predictions, and to a file that runs without this package.

In go two measures of young penguins, a table with a column of categories and with holes, and their
weights of ten days, a series. Out come the species and the age; then the same from one file.
"""

import json
import os
import random
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from deap import base, creator

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
BATCHES = 100 if SMALL else 1500

rng = np.random.default_rng(0)
kind = rng.integers(0, 3, 600)
age = rng.uniform(5, 60, 600)  # days
home = np.where(rng.random(600) < 0.7, kind, rng.integers(0, 3, 600))
island = np.array(["Biscoe", "Dream", "Torgersen"])[home]
table = pd.DataFrame({"bill": 20 + 4 * kind + rng.normal(size=600), "island": island})
table = table.mask(rng.random(table.shape) < 0.05)
weights = 300 + 20 * (age + np.arange(10)[:, None] - 10).T[:, :, None]
weights = weights + 40 * rng.normal(size=weights.shape)  # (600, 10 days, 1), in grams

problem = valp.Problem(
    inputs={"measures": valp.Table(table), "weights": valp.Series(weights)},
    outputs={
        "species": valp.Classification(np.array(["Adelie", "Chinstrap", "Gentoo"])[kind]),
        "age": valp.Regression(age),
    },
)
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, problem)
toolbox.register("evaluate", valp.evaluate, problem=problem, first_batches=BATCHES)


def numbers_of(frame: pd.DataFrame, about: dict) -> np.ndarray:
    """Return a frame as numbers: NaN is a hole, -1 a category that training never had."""
    columns = []
    for name in about["columns"]:
        column = frame[name]
        if name in about["categories"]:
            codes = {category: code for code, category in enumerate(about["categories"][name])}
            numbers = [codes.get(value, -1) for value in column]
            column = np.where(column.isna(), np.nan, numbers)
        columns.append(np.asarray(column, dtype="float64"))
    return np.stack(columns, 1)


def main() -> None:
    random.seed(1)
    print(problem, end="\n\n")
    best = toolbox.individual()
    best.fitness.values = toolbox.evaluate(best)

    model = valp.decode(best, problem)
    new = {"measures": table[["island", "bill"]][:3], "weights": weights[:3]}  # found by name
    found, chances = model.predict(new), model.predict_proba(new)["species"]
    for row in range(3):
        print(f"{found['species'][row]} ({chances[row].max():.2f}), {found['age'][row]:.0f} days")
    print(f"truly {kind[:3]}, {age[:3].round()}\n")

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "penguins.pt2")
        valp.export(best, problem, path)  # penguins.onnx is for onnxruntime
        extra = {"deap_valp.json": ""}
        alone = torch.export.load(path, extra_files=extra).module()
        about = json.loads(extra["deap_valp.json"])
    numbers = torch.from_numpy(numbers_of(table[:3], about["inputs"]["measures"]))
    results = alone({"measures": numbers, "weights": torch.from_numpy(weights[:3])})
    classes = np.array(about["outputs"]["species"]["classes"])
    print("From the file:", classes[results["species"].argmax(1)], results["age"].round().tolist())


if __name__ == "__main__":
    main()
