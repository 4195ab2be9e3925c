"""Five lines: from a problem to a model, for who has no pipeline yet.

A problem says what goes in and what is to come out. ``evolve`` does the rest, with the defaults of
the package; its docstring is the DEAP toolbox that it builds, to be copied once you want your own.
The last lines are the same as an estimator of scikit-learn's kind, on a table with two outputs.
"""

import os

import pandas as pd
from sklearn.datasets import load_wine

import deap_valp as valp

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
BUDGET = {"minutes": 0.5}
if SMALL:
    BUDGET = {"steps": 2, "batches": 20, "first_batches": 50}


def main() -> None:
    problem = valp.problems.digits()
    found = valp.evolve(problem, seed=1, reporters=["progress", "csv:five_lines.csv"], **BUDGET)
    print(found)
    print("test scores:", found.score("test"))

    wine = load_wine(as_frame=True)
    table = wine.data.drop(columns="alcohol")
    targets = pd.DataFrame({"cultivar": wine.target, "alcohol": wine.data["alcohol"]})
    estimator = valp.VALPEstimator(**BUDGET, random_state=1).fit(table[::2], targets[::2])
    print(estimator.predict(table[1::2]).head(3))
    print("accuracy and R² on the other half, mean:", estimator.score(table[1::2], targets[1::2]))


if __name__ == "__main__":
    main()
