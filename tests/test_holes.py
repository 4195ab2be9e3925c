"""Tables with holes: what stands where a value is missing, and the indicators that say so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import deap_valp as valp


def frame(size=200):
    rng = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "whole": rng.normal(size=size),
            "holed": rng.normal(5, 2, size=size),
            "colour": pd.Series(rng.choice(["red", "blue"], size)),
            "count": pd.Series(rng.integers(0, 9, size), dtype="Int64"),
        }
    )
    table.loc[::5, "holed"] = np.nan
    table.loc[::7, "colour"] = None
    table.loc[3::9, "count"] = pd.NA
    return table


def of_frame(table, **options):
    y = valp.Regression(np.arange(float(len(table))))
    return valp.Problem({"x": table}, {"y": y}, splits=ORDER, **options)


ORDER = {"train": slice(0, 120), "validation": slice(120, 160), "test": slice(160, 200)}


def test_holes_become_means_and_indicators_of_the_training_split():
    table = frame()
    problem = of_frame(table)
    features = problem.prepare({"x": table})["x"]
    assert features.shape == (200, 5 + 3) and features.isfinite().all()
    mean = table["holed"][:120].mean()
    assert features[0, 1].item() == pytest.approx(mean, rel=1e-6)
    assert features[:, 2:4].sum(1).tolist() == table["colour"].notna().astype(float).tolist()
    for column, name in zip(range(5, 8), ("holed", "colour", "count"), strict=True):
        assert features[:, column].tolist() == table[name].isna().astype(float).tolist()
    assert int(table.isna().sum().sum()) == problem.imputed["x"]
    text = (
        f"input x: 8 features, {problem.imputed['x']} missing values imputed, 3 features that say"
    )
    assert text in str(problem)
    standard = problem.split("validation").inputs["x"]
    port = problem.inputs["x"]
    again = (features[120:160] - torch.tensor(port.shift)) * torch.tensor(port.scale)
    torch.testing.assert_close(standard, again, atol=1e-5, rtol=1e-4)
    hole = table["holed"][120:160].isna().tolist()
    torch.testing.assert_close(standard[hole, 1], torch.zeros(sum(hole)), atol=1e-6, rtol=0)


def test_a_column_without_holes_in_training_gets_no_indicator():
    table = frame()
    later = table.copy()
    later.loc[150:, ["whole"]] = np.nan
    problem, plain = of_frame(later), of_frame(table)
    assert problem.inputs["x"].width == plain.inputs["x"].width
    features = plain.prepare({"x": later})["x"]
    assert features[170, 0].item() == pytest.approx(table["whole"][:120].mean(), abs=1e-6)
    torch.testing.assert_close(features, problem.prepare({"x": later})["x"])
    assert plain.prepare({"x": frame().head(1).assign(colour=None)})["x"].isfinite().all()


@pytest.mark.parametrize("standardize", [True, False])
@pytest.mark.parametrize(
    "form", [np.asarray, np.ma.masked_invalid, torch.tensor], ids=lambda form: form.__name__
)
def test_arrays_are_imputed_as_frames_are(form, standardize):
    table = frame()[["whole", "holed"]]
    from_frame = of_frame(table, standardize=standardize)
    from_array = of_frame(form(table.to_numpy()), standardize=standardize)
    for name in ORDER:
        one, other = (each.split(name).inputs["x"] for each in (from_frame, from_array))
        torch.testing.assert_close(one, other)
    new = {"x": form(table.to_numpy()[:9])}
    expected = from_frame.prepare({"x": table[:9]})["x"]
    torch.testing.assert_close(from_array.prepare(new)["x"], expected)


def test_a_row_with_holes_is_no_target_of_generation():
    table = frame()[["whole", "holed"]].to_numpy()
    problem = valp.Problem({"x": table}, {"y": valp.Generation()}, splits=ORDER)
    assert problem.outputs["y"].port.width == 2 and problem.inputs["x"].width == 3
    complete = ~np.isnan(table[:120]).any(1)
    assert len(problem.outputs["y"].targets["train"]) == complete.sum()
    weights = problem.split("train").weights["y"]
    assert torch.equal(weights > 0, torch.from_numpy(complete))
    assert problem.outputs["y"].score(torch.zeros(10, 2), "test") > 0
