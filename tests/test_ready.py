"""Five lines: ``evolve``, and the estimators of scikit-learn's kind."""

from __future__ import annotations

import inspect
import logging
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
from sklearn.utils.estimator_checks import estimator_checks_generator

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
            "samples": valp.Generation(values, labels=values[:, 2] > 0),
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
    assert set(found.score()) == {"sign", "sum", "samples"} == set(found.score("validation"))
    assert found.score("validation")["sign"] == pytest.approx(found.best.fitness.values[0])
    answer = found.predict({"x": rows()[:7]})
    assert set(answer["sign"]) <= {"high", "low"} and answer["sum"].shape == (7,)
    assert answer["samples"].shape == (7, 4)  # it has classes, and predicts none
    assert "3 evaluated" in str(found) and "all steps done" in str(found)


def test_what_was_found_is_saved_exported_and_printed(problem, tmp_path):
    found = valp.evolve(problem, steps=1, seed=1, progress=False, **QUICK)
    probabilities = found.predict_proba({"x": rows()[:7]})["sign"]
    assert probabilities.shape == (7, 2) and np.allclose(probabilities.sum(1), 1)
    found.save(tmp_path / "best.valp")
    loaded = valp.load(tmp_path / "best.valp", type(found.best))
    assert valp.score(loaded, problem) == found.score()
    found.export(tmp_path / "best.pt2")
    assert (tmp_path / "best.pt2").stat().st_size > 0
    assert repr(found) == str(found) and len(repr(found)) < 300


@pytest.mark.parametrize(
    "function",
    [
        lambda found, problem: valp.decode(found, problem),
        lambda found, problem: valp.score(found, problem),
        lambda found, problem: valp.save(found, "best.valp"),
        lambda found, problem: valp.export(found, problem, "best.pt2"),
        lambda found, problem: valp.report(found, "page.html"),
    ],
)
def test_a_function_that_got_what_was_found_says_where_the_individual_is(function, problem):
    found = valp.evolve(problem, steps=1, seed=1, progress=False, **QUICK)
    with pytest.raises(valp.ValpError, match=r"got Evolved, whose \.best is an individual"):
        function(found, problem)


def test_a_path_is_a_checkpoint(problem, tmp_path):
    path = str(tmp_path / "run.checkpoint")
    for steps in (1, 2):
        found = valp.evolve(problem, steps=steps, progress=False, checkpoint=path, **QUICK)
    assert len(found.logbook) == 3


def test_predictions_are_those_of_the_decoded_model(problem):
    found = valp.evolve(problem, steps=1, seed=1, progress=False, **QUICK)
    x = rows()[:9]
    answer, model = found.predict({"x": x}), valp.decode(found.best)(problem.prepare({"x": x}))
    assert np.allclose(answer["sum"], model["sum"][:, 0].detach().numpy(), atol=1e-4)
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
    "check_regressor_data_not_an_array",
    "check_classifier_data_not_an_array",
    "check_estimators_dtypes",
    "check_estimators_nan_inf",
    "check_pipeline_consistency",
}


def checks():
    """scikit-learn's checks, as its ``parametrize_with_checks`` gives them, with our marks."""
    for estimator in ESTIMATORS:
        for given, check in estimator_checks_generator(estimator):
            name = getattr(check, "func", check).__name__
            marks = [pytest.mark.slow] if name in HEAVY else []
            yield pytest.param(given, check, id=f"{type(given).__name__}-{name}", marks=marks)


@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_scikit_learns_own_checks(estimator, check):
    before = random.getstate()
    check(estimator)
    assert random.getstate() == before  # fit leaves Python's generator alone


def quick(make, **options):
    return make(**{"steps": 1, "batches": 30, "first_batches": 300, "random_state": 0, **options})


def test_a_frame_of_outputs_of_different_kinds():
    table, targets = frame()
    estimator = quick(valp.VALPEstimator).fit(table, targets)
    assert {type(kind) for kind in estimator.found_.problem.outputs.values()} == {
        valp.Classification,
        valp.Regression,
    }
    predicted = estimator.predict(table)
    assert list(predicted) == ["sign", "sum"] and predicted.index.equals(table.index)
    assert estimator.score(table, targets) > 0.8
    probabilities = estimator.predict_proba(table)
    chances = probabilities["sign"]
    assert chances.shape == (len(table), 2) and np.allclose(chances.sum(1), 1)
    with pytest.raises(valp.OutputError, match=r"here \['sign'\], got 'sum'"):
        probabilities["sum"]


def test_a_dictionary_of_outputs_and_of_inputs():
    table, targets = frame()
    inputs = {"first": table[["a", "b"]], "second": table[["c", "d", "colour"]]}
    outputs = {
        "sign": targets["sign"].to_numpy(),
        "both": valp.Regression(table[["a", "b"]].to_numpy()),
        "count": valp.Regression(np.arange(len(table))),
    }
    estimator = quick(valp.VALPEstimator, first_batches=20).fit(inputs, outputs)
    predicted = estimator.predict(inputs)
    assert {name: values.shape for name, values in predicted.items()} == {
        "sign": (120,),
        "both": (120, 2),
        "count": (120,),
    }
    assert isinstance(estimator.score(inputs, {**outputs, "both": table[["a", "b"]]}), float)


def test_columns_may_have_any_name():
    values = rows()
    targets = pd.DataFrame({7: values[:, 0], "a sign": values[:, 1] > 0})
    estimator = quick(valp.VALPEstimator, first_batches=20).fit(values, targets)
    assert list(estimator.predict(values)) == [7, "a sign"]
    assert isinstance(estimator.score(values, targets), float)


def test_score_leaves_out_what_has_no_target():
    table, targets = frame()
    absent = np.arange(len(table)) % 5 == 0
    estimator = quick(valp.VALPEstimator).fit(table, targets.mask(np.stack([absent, absent], 1)))
    complete = targets[~absent]
    holes = np.stack([absent, absent], 1)
    for holed in (targets.mask(holes), targets.astype(object).mask(holes, None)):
        expected = estimator.score(table[~absent], complete)
        assert np.isclose(estimator.score(table, holed), expected)
    whole = pd.Series(rows()[:, 0] > 0, dtype="Int64").mask(absent)
    estimator = quick(valp.VALPEstimator).fit(table, {"sign": whole})
    assert estimator.score(table, {"sign": whole}) > 0.8


def test_whole_numbers_with_holes_are_a_regression_with_a_warning(caplog):
    signs = (rows()[:, 0] > 0).astype(float)
    signs[3] = np.nan
    with caplog.at_level(logging.WARNING, "deap_valp"):
        quick(valp.VALPEstimator, first_batches=2).fit(rows(), {"sign": signs})
        quick(valp.VALPEstimator, first_batches=2).fit(rows(), {"sign": signs + 0.5})
        whole = {"sign": pd.Series(signs).astype("Int64")}
        classifier = quick(valp.VALPEstimator, first_batches=2).fit(rows(), whole)
    (record,) = caplog.records
    assert "takes 'sign' for a regression" in record.getMessage()
    assert classifier.predictor_.classes == {"sign": (0, 1)}


@pytest.mark.parametrize("make", [valp.VALPClassifier, valp.VALPRegressor])
def test_text_and_holes_are_for_the_third_estimator(make):
    table, targets = frame()
    for X in (table, table[["a"]].mask(table["a"] > 1)):
        with pytest.raises(ValueError, match="VALPEstimator takes frames with text and missing"):
            quick(make).fit(X, targets["sum"] > 0)


def test_an_array_of_outputs_has_no_names():
    with pytest.raises(valp.ProblemError, match="VALPRegressor"):
        quick(valp.VALPEstimator).fit(rows(), rows()[:, :2])


def test_several_outputs_of_one_kind():
    values = rows()
    labels = np.stack([values[:, 0] > 0, values[:, 1] > 0, np.zeros(120, bool)], 1).astype(int)
    classifier = quick(valp.VALPClassifier).fit(values, labels)
    assert classifier.predict(values).shape == (120, 3)
    assert [p.shape for p in classifier.predict_proba(values)] == [(120, 2), (120, 2), (120, 1)]
    assert classifier.score(values, labels) > 0.8
    regressor = quick(valp.VALPRegressor).fit(values, values[:, :2])
    assert regressor.predict(values).shape == (120, 2) and regressor.score(values, values[:, :2])


def test_they_take_part_in_pipelines_and_searches():
    values = rows()
    search = GridSearchCV(
        make_pipeline(StandardScaler(), quick(valp.VALPRegressor)),
        {"valpregressor__first_batches": [2, 200]},
        cv=2,
    ).fit(values, values[:, 0])
    assert search.best_params_ == {"valpregressor__first_batches": 200}


def test_a_fitted_estimator_pickles_without_its_problem():
    """So a file of it opens in other processes, where the files of the problem are gone."""
    values = rows()
    estimator = quick(valp.VALPRegressor, first_batches=5).fit(values, values[:, 0])
    data = pickle.dumps(estimator)
    assert b"_open_store" not in data
    assert np.array_equal(pickle.loads(data).predict(values), estimator.predict(values))


@pytest.mark.parametrize("fraction", [0, 1, -0.5])
def test_a_wrong_fraction_is_refused(fraction):
    with pytest.raises(valp.ProblemError, match="validation_fraction"):
        quick(valp.VALPRegressor, validation_fraction=fraction).fit(rows(), rows()[:, 0])
