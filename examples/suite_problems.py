"""The problems of suite.py: tables that ship with scikit-learn, planted truths, images.

A seed gives a table another split, and a planted problem other rows.
"""

from functools import partial

import numpy as np
from sklearn import datasets

import deap_valp as valp

SPLITS = (0.6, 0.2, 0.2)


# ---- tables --------------------------------------------------------------------------------------


def columns_of(bunch):
    """The columns of a scikit-learn table by name."""
    return dict(zip(bunch.feature_names, np.asarray(bunch.data).T, strict=True))


def side_by_side(columns, names):
    """Some columns as one array of rows."""
    return np.stack([columns[name] for name in names], 1)


def numbers(columns, name):
    """A column as a regression target."""
    return valp.Regression(columns[name][:, None])


def iris(seed):
    """Species and the width of the petals, from their length and the sepals."""
    bunch = datasets.load_iris()
    columns = columns_of(bunch)
    sepal = side_by_side(columns, ["sepal length (cm)", "sepal width (cm)"])
    petal = side_by_side(columns, ["petal length (cm)"])
    outputs = {
        "species": valp.Classification(bunch.target),
        "width": numbers(columns, "petal width (cm)"),
    }
    return valp.Problem({"sepal": sepal, "petal": petal}, outputs, splits=SPLITS, seed=seed)


def wine(seed):
    """Cultivar, alcohol and proline, from chemistry, optics and an input of pure noise."""
    bunch = datasets.load_wine()
    columns = columns_of(bunch)
    optics = ["color_intensity", "hue", "od280/od315_of_diluted_wines"]
    chemistry = [name for name in columns if name not in (*optics, "alcohol", "proline")]
    inputs = {
        "chemistry": side_by_side(columns, chemistry),
        "optics": side_by_side(columns, optics),
    }
    inputs["noise"] = np.random.default_rng(seed).normal(size=(len(bunch.target), 8))
    outputs = {"cultivar": valp.Classification(bunch.target)}
    outputs |= {name: numbers(columns, name) for name in ("alcohol", "proline")}
    return valp.Problem(inputs, outputs, splits=SPLITS, seed=seed)


def breast_cancer(seed):
    """Diagnosis and two of the worst values, from the means and their errors."""
    bunch = datasets.load_breast_cancer()
    columns = columns_of(bunch)
    inputs = {
        "mean": side_by_side(columns, [name for name in columns if name.startswith("mean")]),
        "error": side_by_side(columns, [name for name in columns if name.endswith("error")]),
    }
    outputs = {"diagnosis": valp.Classification(bunch.target)}
    outputs |= {name: numbers(columns, f"worst {name}") for name in ("area", "smoothness")}
    return valp.Problem(inputs, outputs, splits=SPLITS, seed=seed)


def diabetes(seed):
    """Progress of the disease, also as a class, and glucose, from the person and the serum."""
    bunch = datasets.load_diabetes(scaled=False)
    columns = columns_of(bunch)
    inputs = {
        "person": side_by_side(columns, ["age", "sex", "bmi", "bp"]),
        "serum": side_by_side(columns, ["s1", "s2", "s3", "s4", "s5"]),
    }
    outputs = {
        "progress": valp.Regression(bunch.target[:, None]),
        "fast": valp.Classification((bunch.target > np.median(bunch.target)).astype(int)),
        "glucose": numbers(columns, "s6"),
    }
    return valp.Problem(inputs, outputs, splits=SPLITS, seed=seed)


def linnerud(seed):
    """Weight, waist and pulse of twenty people, from their exercises."""
    bunch = datasets.load_linnerud()
    inputs = {"strength": bunch.data[:, :2], "jumps": bunch.data[:, 2:]}
    columns = dict(zip(bunch.target_names, bunch.target.T, strict=True))
    outputs = {name.lower(): numbers(columns, name) for name in columns}
    return valp.Problem(inputs, outputs, splits=SPLITS, seed=seed)


# ---- planted truths ------------------------------------------------------------------------------


def drawn(seed, rows, names):
    """Standard normal inputs of five columns each."""
    rng = np.random.default_rng(seed)
    return {name: rng.normal(size=(rows, 5)).astype(np.float32) for name in names}


def planted(seed, rows):
    """Four inputs, D of them noise: a sine and a product, a class, and two curves of one input."""
    inputs = drawn(seed, rows, "ABCD")
    a, b, c, _ = inputs.values()
    outputs = {
        "u": valp.Regression((np.sin(2 * a[:, 0]) + a[:, 1] * b[:, 0])[:, None]),
        "v": valp.Classification((b[:, 1] + c[:, 0] * c[:, 1] > 0).astype(int)),
        "w": valp.Regression(np.stack([a[:, 2] ** 2 - 1, np.tanh(3 * c[:, 2])], 1)),
    }
    return valp.Problem(inputs, outputs, splits=SPLITS, seed=seed)


def planted_wide(seed, rows):
    """Five inputs, E of them noise, and four outputs, two of which share a hidden factor."""
    inputs = drawn(seed, rows, "ABCDE")
    a, b, c, d, _ = inputs.values()
    factor = np.tanh(a[:, 0] + b[:, 0] * b[:, 1])
    outputs = {
        "shared": valp.Regression((2 * factor + np.sin(2 * c[:, 0]))[:, None]),
        "product": valp.Regression((c[:, 1] * d[:, 1])[:, None]),
        "class": valp.Classification(np.digitize(factor + d[:, 0], [-0.7, 0.7])),
        "curve": valp.Regression(np.stack([np.abs(a[:, 2]), np.cos(2 * d[:, 2])], 1)),
    }
    return valp.Problem(inputs, outputs, splits=SPLITS, seed=seed)


def planted_product(seed, rows):
    """Three inputs, C of them noise: a product across two inputs, and the sign of another."""
    inputs = drawn(seed, rows, "ABC")
    a, b, _ = inputs.values()
    outputs = {
        "product": valp.Regression((a[:, 0] * b[:, 0])[:, None]),
        "sign": valp.Classification((a[:, 1] * b[:, 1] > 0).astype(int)),
    }
    return valp.Problem(inputs, outputs, splits=SPLITS, seed=seed)


# ---- images --------------------------------------------------------------------------------------


def images(seed, name):
    """A built-in problem, whose splits are fixed."""
    return valp.problems.by_name(name)


# ---- all of them ---------------------------------------------------------------------------------

TABLES = {
    "iris": iris,
    "wine": wine,
    "breast_cancer": breast_cancer,
    "diabetes": diabetes,
    "linnerud": linnerud,
}
PLANTED = {
    "planted_small": partial(planted, rows=600),
    "planted_large": partial(planted, rows=5000),
    "planted_wide": partial(planted_wide, rows=4000),
    "product_small": partial(planted_product, rows=600),
    "product_large": partial(planted_product, rows=5000),
}
IMAGES = {name: partial(images, name=name) for name in ("digits", "mnist", "fashion_mnist")}
GROUPS = {"tables": TABLES, "planted": PLANTED, "images": IMAGES}
PROBLEMS = {**TABLES, **PLANTED, **IMAGES}


def problem_of(name, seed, small=False):
    """A problem by its name; small, a planted one has 200 rows."""
    build = PROBLEMS[name]
    return build(seed, rows=200) if small and name in PLANTED else build(seed)
