"""Five lines: ``evolve``, and the estimators of scikit-learn's kind."""

from __future__ import annotations

import inspect
import pickle
import random
import textwrap

import numpy as np
import pandas as pd
import pytest
from deap import base, creator, tools
from digests import digest
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import deap_valp as valp

QUICK = {"batches": 4, "first_batches": 8}


def rows(size=120):
    return np.random.default_rng(0).normal(size=(size, 4))


def frame(size=120):
    """A table with a column of categories, and two outputs of different kinds."""
    values = rows(size)
    table = pd.DataFrame(values, columns=["a", "b", "c", "d"])
    table["colour"] = np.array(["red", "blue"])[(values[:, 2] > 0).astype(int)]
    sign = np.where(values[:, 0] > 0, "high", "low")
    return table, pd.DataFrame({"sign": sign, "sum": values[:, 1] + 3 * values[:, 3]})


@pytest.fixture(scope="module")
def problem():
    values = rows()
    return valp.Problem(
        inputs={"x": values},
        outputs={
            "sign": valp.Classification(np.where(values[:, 0] > 0, "high", "low")),
            "sum": valp.Regression(values[:, 1] + values[:, 3]),
        },
    )


# ---- evolve --------------------------------------------------------------------------------------


def blocks():
    """The two pieces of code in the docstring of ``evolve``."""
    found, lines = [], []
    for line in inspect.getdoc(valp.evolve).splitlines():
        if line.startswith("    ") or (lines and not line):
            lines.append(line)
        elif lines:
            found.append(textwrap.dedent("\n".join(lines)))
            lines = []
    return [code for code in found if "toolbox" in code]


def copied(problem, population):
    """What the code of the docstring leaves, run as a user would who copied it."""
    hill, crowd = blocks()
    names = {
        **{"valp": valp, "base": base, "creator": creator, "tools": tools, "random": random},
        **{"problem": problem, "steps": 3, "seed": 5, "until": None, "map": map, "workers": 1},
        **QUICK,
    }
    if population:
        common, _ = hill.split("random.seed(seed)")
        hill = common + crowd
    try:
        exec(hill, names)
    finally:
        for name in ("Fitness", "Individual"):
            if hasattr(creator, name):
                delattr(creator, name)
    return names


@pytest.mark.parametrize("population", [False, True], ids=["hill climbing", "population"])
def test_the_docstring_is_what_it_does(population, problem):
    names = copied(problem, population)
    options = {"map": map} if population else {}
    found = valp.evolve(problem, steps=3, seed=5, progress=False, **options, **QUICK)
    expected = [list(names["front"]), names["archive"], names["logbook"]]

    def comparable(parts):
        return [digest(*map(tuple, (i.fitness.values for i in parts[0]))), digest(*parts[1:])]

    assert comparable([list(found.front), found.archive, found.logbook]) == comparable(expected)
    if population:
        assert [i.weights.keys() for i in found.population] == [
            i.weights.keys() for i in names["population"]
        ]
    else:
        assert found.best == names["best"]


def test_it_returns_all_that_one_needs(problem):
    found = valp.evolve(problem, steps=2, seed=1, progress=False, **QUICK)
    assert found.best.fitness.valid and len(found.front) >= 1 and len(found.archive) == 3
    assert set(found.score()) == {"sign", "sum"} == set(found.score("validation"))
    assert found.score("validation")["sign"] == pytest.approx(found.best.fitness.values[0])
    answer = found.predict({"x": rows()[:7]})
    assert set(answer["sign"]) <= {"high", "low"} and answer["sum"].shape == (7, 1)
    assert "3 evaluated" in str(found) and "all steps done" in str(found)


def test_predictions_are_those_of_the_decoded_model(problem):
    found = valp.evolve(problem, steps=1, seed=1, progress=False, **QUICK)
    x = rows()[:9]
    answer, model = found.predict({"x": x}), valp.decode(found.best)(problem.prepare({"x": x}))
    assert np.allclose(answer["sum"], model["sum"].detach().numpy(), atol=1e-4)
    labels = [problem.outputs["sign"].classes[index] for index in model["sign"].argmax(1)]
    assert list(answer["sign"]) == labels


def test_minutes_are_the_default_and_a_stop_takes_their_place(problem, monkeypatch):
    from deap_valp.search import watch

    now = iter(range(0, 100000, 50))
    monkeypatch.setattr(watch, "clock", lambda: float(next(now)))
    found = valp.evolve(problem, progress=False, **QUICK)
    assert found.logbook.stopped == "Minutes(minutes=2.0)" and len(found.logbook) == 3
    found = valp.evolve(problem, until=valp.Patience(1), progress=False, **QUICK)
    assert found.logbook.stopped == "Patience(steps=1, of=None, least=0.0)"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"problem": "digits"}, "needs a Problem"),
        ({"steps": 0}, "steps"),
        ({"steps": True}, "steps"),
        ({"workers": 0}, "workers"),
        ({"workers": None}, "workers"),
        ({"minutes": -1}, "Minutes"),
        ({"until": "now"}, "until"),
        ({"reporters": ["nobody"]}, "reporters"),
    ],
)
def test_wrong_arguments_are_refused(options, message, problem):
    with pytest.raises(valp.ValpError, match=message):
        valp.evolve(**{"problem": problem, "progress": False, **options})


@pytest.mark.slow
def test_processes_give_what_a_map_gives(problem):
    options = {"steps": 1, "seed": 2, "workers": 2, "progress": False, **QUICK}
    ours, theirs = valp.evolve(problem, **options), valp.evolve(problem, map=map, **options)
    assert [entry.values for entry in ours.archive] == [entry.values for entry in theirs.archive]


# ---- the estimators ------------------------------------------------------------------------------

# Skipped by scikit-learn itself: check_array_api_input (SCIPY_ARRAY_API is not set). Checks of
# example weights, sparse and missing values, several labels at once and transformers do not apply.
ESTIMATORS = [
    make(steps=1, batches=4, first_batches=60, random_state=0)
    for make in (valp.VALPClassifier, valp.VALPRegressor)
]

HEAVY = {
    "check_classifiers_train",
    "check_regressors_train",
    "check_classifiers_classes",
    "check_fit_idempotent",
    "check_methods_subset_invariance",
    "check_supervised_y_2d",
    "check_classifiers_multilabel_output_format_predict",
    "check_readonly_memmap_input",
    "check_regressors_int",
}


def named(estimator, check):
    function = getattr(check, "func", check)
    return estimator, check, function.__name__


def run_check(estimator, check):
    random_state = random.getstate()
    check(estimator)
    assert random.getstate() == random_state  # fit leaves Python's generator alone


@parametrize_with_checks(ESTIMATORS)
def test_scikit_learns_own_checks(estimator, check, request):
    name = getattr(check, "func", check).__name__
    if name in HEAVY and "slow" not in request.config.option.markexpr.replace("not slow", ""):
        pytest.skip("one of the checks that take seconds: pytest -m slow")
    run_check(estimator, check)
