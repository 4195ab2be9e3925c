"""Scores of generated data: what they must give where the answer is known."""

from __future__ import annotations

import math
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from deap_valp.errors import ProblemError
from deap_valp.problem import scores

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEAP_VALP_CACHE", str(tmp_path))
    return tmp_path


def normal(seed: int, rows: int = 300, width: int = 6) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(rows, width, generator=generator)
        @ torch.randn(width, width, generator=generator)
        + seed
    )


def degenerate(seed: int) -> torch.Tensor:
    """Features of which most never vary, as dead hidden units give."""
    return torch.cat([normal(seed), torch.zeros(300, 40), torch.ones(300, 10)], dim=1)


FEATURES = {
    "normal": normal,
    "degenerate": degenerate,
    "few rows": lambda seed: normal(seed, rows=3, width=20),
}
each_features = pytest.mark.parametrize("features", FEATURES.values(), ids=FEATURES.keys())


# --- Fréchet distance


@each_features
@pytest.mark.parametrize("seed", range(3))
def test_distance_of_identical_sets_is_exactly_zero(features, seed):
    assert scores.frechet_distance(features(seed), features(seed)) == 0


@each_features
def test_distance_does_not_depend_on_the_order_of_the_rows(features):
    assert scores.frechet_distance(features(0), features(0).flip(0)) == 0


@each_features
def test_distance_is_symmetric_and_positive(features):
    there, back = (scores.frechet_distance(features(a), features(b)) for a, b in ((0, 1), (1, 0)))
    assert there == pytest.approx(back, rel=1e-9)
    assert there > 0


def test_distance_of_a_shift_is_its_squared_length():
    shift = torch.tensor([3.0, 4.0, 0, 0, 0, 0]).double()
    assert scores.frechet_distance(normal(0).double(), normal(0).double() + shift) == pytest.approx(
        25, rel=1e-9
    )


def test_distance_of_a_stretch_is_what_the_standard_deviations_differ_by():
    centred = normal(1).double() - normal(1).double().mean(0)
    expected = 4 * centred.var(0).sum().item()  # (3 - 1)^2 times the trace
    assert scores.frechet_distance(centred, 3 * centred) == pytest.approx(expected, rel=1e-9)


def test_distance_agrees_with_the_matrix_root_of_scipy():
    from scipy.linalg import sqrtm

    (mean_a, cov_a), (mean_b, cov_b) = (scores.Gaussian.of(normal(seed)) for seed in (0, 1))
    expected = (
        (mean_a - mean_b).square().sum()
        + cov_a.trace()
        + cov_b.trace()
        - 2 * sqrtm(cov_a @ cov_b).real.trace()
    )
    assert scores.frechet_distance(normal(0), normal(1)) == pytest.approx(expected.item(), rel=1e-8)


def test_distance_needs_equal_widths():
    with pytest.raises(ProblemError, match=r"equal widths, got \(300, 6\) and \(300, 5\)"):
        scores.frechet_distance(normal(0), normal(0, width=5))


# --- Inception Score


@pytest.mark.parametrize("classes", [2, 10])
def test_inception_score_is_the_number_of_classes_where_all_are_covered_with_certainty(classes):
    assert scores.inception_score(torch.eye(classes).repeat(7, 1)) == pytest.approx(
        classes, abs=1e-9
    )


@pytest.mark.parametrize("row", [[1.0, 0, 0], [0.2, 0.3, 0.5]], ids=["certain", "uncertain"])
def test_inception_score_is_one_on_collapse(row):
    assert scores.inception_score(torch.tensor(row).repeat(50, 1)) == pytest.approx(1, abs=1e-9)


def test_inception_score_does_not_depend_on_the_labelling():
    rows = torch.rand(100, 10, generator=torch.Generator().manual_seed(0)).softmax(1)
    assert scores.inception_score(rows[:, torch.randperm(10)]) == pytest.approx(
        scores.inception_score(rows), abs=1e-12
    )


# --- Features


def test_principal_components_keep_all_the_variance_where_it_has_few_directions():
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(500, 3, generator=generator) @ torch.randn(3, 40, generator=generator)
    found = scores.PrincipalComponents.of(data, count=3).features(data)
    assert found.shape == (500, 3)
    assert found.var(0).sum().item() == pytest.approx(data.var(0).sum().item(), rel=1e-5)
    assert found.mean(0).abs().max() < 1e-4


def blobs(seed: int = 0, rows: int = 400) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (rows,), generator=generator)
    return torch.eye(3)[labels] * 4 + torch.randn(rows, 3, generator=generator), labels


@pytest.fixture(scope="module")
def classifier():
    return scores.ReferenceClassifier.trained(blobs(0), blobs(1), 3, steps=100)


def test_reference_classifier_learns(classifier):
    data, labels = blobs(1)
    assert classifier.accuracy > 0.9
    assert (
        classifier.accuracy
        == (classifier.probabilities(data).argmax(1) == labels).double().mean().item()
    )
    assert classifier.features(data).shape == (400, scores.HIDDEN[-1])
    assert torch.allclose(classifier.probabilities(data).sum(1), torch.ones(400))


@pytest.mark.parametrize("setting", [torch.enable_grad, torch.no_grad, torch.inference_mode])
def test_training_the_reference_changes_no_setting_and_no_random_state(classifier, setting):
    torch.manual_seed(3)
    threads, state = torch.get_num_threads(), torch.get_rng_state()
    try:
        torch.set_num_threads(2)
        with setting():
            again = scores.ReferenceClassifier.trained(blobs(0), blobs(1), 3, steps=100)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(a, b) for a, b in zip(again.layers, classifier.layers, strict=True))
    assert not any(layer.requires_grad for layer in again.layers)


def test_reference_is_trained_once_and_then_read(cache, monkeypatch):
    monkeypatch.setattr(scores, "STEPS", 20)
    first = scores.ReferenceClassifier.cached(blobs(0), blobs(1), 3)
    monkeypatch.setattr(scores.ReferenceClassifier, "trained", None)
    second = scores.ReferenceClassifier.cached(blobs(0), blobs(1), 3)
    assert first.accuracy == second.accuracy
    assert all(torch.equal(a, b) for a, b in zip(first.layers, second.layers, strict=True))
    assert [path.suffix for path in (cache / "reference").iterdir() if path.suffix != ".lock"] == [
        ".safetensors"
    ]


@pytest.mark.parametrize("change", ["data", "labels", "validation", "recipe"])
def test_reference_of_other_data_or_another_recipe_is_another(monkeypatch, change):
    training, validation = blobs(0), blobs(1)
    before = scores._fingerprint(training, validation, 3)
    if change == "recipe":
        monkeypatch.setattr(scores, "STEPS", 21)
    else:
        {"data": training[0], "labels": training[1], "validation": validation[0]}[change][-1] += 1
    assert scores._fingerprint(training, validation, 3) != before


def test_several_processes_train_the_reference_once(cache):
    script = (
        "import torch, deap_valp.problem.scores as s\n"
        "x = torch.randn(400, 30, generator=torch.Generator().manual_seed(0))\n"
        "y = (x[:, 0] > 0).long()\n"
        "s.STEPS = 100; train = s._train\n"
        "s._train = lambda *a: (print('trained'), train(*a))[1]\n"
        "s.ReferenceClassifier.cached((x, y), (x, y), 2)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    printed = [process.communicate(timeout=60)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    assert "".join(printed).split() == ["trained"]


def test_scoring_five_thousand_images_is_cheap():
    layers = scores._fresh_layers((784, *scores.HIDDEN, 10), torch.Generator().manual_seed(0))
    reference = scores.ReferenceClassifier(tuple(layer.detach() for layer in layers), 0.0)
    data = torch.rand(5000, 784)
    real = scores.Gaussian.of(reference.features(data))
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        scores.Gaussian.of(reference.features(data)).distance(real)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.4  # 0.04 on an idle core; the rest is for busy ones


def test_mean_and_covariance_are_those_of_numpy():
    mean, covariance = scores.Gaussian.of(normal(2))
    assert mean.dtype == covariance.dtype == torch.float64
    np.testing.assert_allclose(mean, normal(2).double().mean(0))
    np.testing.assert_allclose(covariance, np.cov(normal(2).double().numpy(), rowvar=False))
    assert math.isfinite(scores.frechet_distance(normal(0, rows=1), normal(1)))
