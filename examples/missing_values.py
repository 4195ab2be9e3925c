"""A table with holes, and an output of which most examples have no target.

In go means and errors of ten measures of cells, a tenth of the values missing. Out come two numbers
of the largest cells, which all training patients have, and a diagnosis, which 25 of 350 have. The
models are trained on all diagnoses, on the few, and on the 25 patients alone, as one would have to
if all needed all targets: the two numbers are then predicted much worse.
"""

import os
import random

import numpy as np
from deap import base, creator
from sklearn.datasets import load_breast_cancer

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
SEEDS, BATCHES = (1, 60) if SMALL else (5, 1500)

data = load_breast_cancer(as_frame=True)
rng = np.random.default_rng(0)
measured = data.data.filter(regex="^mean|error$")
measured = measured.mask(rng.random(measured.shape) < 0.1)  # NaN; None and masked values do as well
largest = data.data[["worst radius", "worst concavity"]]
names = data.target.map({0: "malignant", 1: "benign"})

order = rng.permutation(len(data.data))
splits = {"train": order[:350], "validation": order[350:450], "test": order[450:]}
diagnosis = names.mask(names.index.isin(splits["train"][25:]))


def problem_of(diagnosis, splits=splits) -> valp.Problem:
    return valp.Problem(
        inputs={"cells": measured},
        outputs={
            "diagnosis": valp.Classification(diagnosis, class_weights="balanced"),
            "largest": valp.Regression(largest),
        },
        splits=splits,
    )


problems = {
    "all diagnoses": problem_of(names),
    "few diagnoses": problem_of(diagnosis),
    "few patients": problem_of(diagnosis, {**splits, "train": splits["train"][:25]}),
}
creator.create("FitnessMulti", valp.Fitness, weights=problems["all diagnoses"].weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, batch_size=25)


def trained(problem: valp.Problem, seed: int) -> valp.VALP:
    random.seed(seed)
    individual = toolbox.individual(problem)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=BATCHES)
    return individual


def main() -> None:
    print(problems["few diagnoses"], end="\n\n")
    for what, problem in problems.items():
        scores = [valp.score(trained(problem, seed), problem) for seed in range(SEEDS)]
        error, square = (np.mean([score[name] for score in scores]) for name in problem.outputs)
        print(f"{what}: wrong diagnoses {error:.3f}, squared error of the largest {square:.3f}")

    model = valp.decode(trained(problem := problems["few diagnoses"], seed=0), problem)
    patients = measured.iloc[splits["test"][:3]]  # they have holes, too
    answer = model.predict_proba({"cells": patients})
    for shares, missing in zip(answer["diagnosis"].tolist(), patients.isna().sum(axis=1)):
        rounded = [round(share, 2) for share in shares]
        named = dict(zip(model.classes["diagnosis"], rounded))
        print(f"a patient with {missing} missing values: {named}")


if __name__ == "__main__":
    main()
