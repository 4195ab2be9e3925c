"""Samples from a mixture of normal distributions, fitted to the latents of training examples."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.training import Model, fit_latents
from deap_valp.training.mixture import RIDGE, Mixture


def clouds(spread: float = 0.3) -> torch.Tensor:
    """A large round cloud at (-3, 0) and a third as many points in a flat one at (3, 1)."""
    noise = torch.randn(4000, 2, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    large = noise[:3000] * spread + torch.tensor([-3.0, 0.0])
    flat = noise[3000:] * torch.tensor([spread, 0.1]) + torch.tensor([3.0, 1.0])
    return torch.cat([large, flat])


def test_one_distribution_has_the_mean_and_the_covariance_of_the_rows():
    rows = clouds()
    mixture = Mixture.fitted(rows, 1)
    torch.testing.assert_close(mixture.means[0], rows.mean(0))
    covariance = torch.cov(rows.t(), correction=0) + RIDGE * torch.eye(2, dtype=rows.dtype)
    torch.testing.assert_close(mixture.roots[0] @ mixture.roots[0].t(), covariance)
    assert mixture.shares.tolist() == [1.0]


def test_two_distributions_find_two_clouds():
    mixture = Mixture.fitted(clouds(), 2)
    order = mixture.means[:, 0].argsort()
    expected = torch.tensor([[-3.0, 0.0], [3.0, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(mixture.means[order], expected, atol=0.03, rtol=0)
    torch.testing.assert_close(
        mixture.shares[order], torch.tensor([0.75, 0.25], dtype=torch.float64), atol=1e-3, rtol=0
    )
    flat = mixture.roots[order[1]].square().sum(1).sqrt()
    torch.testing.assert_close(flat, torch.tensor([0.3, 0.105]).double(), atol=0.02, rtol=0)


@pytest.mark.parametrize("rows", [torch.zeros(5, 2), torch.arange(6.0).view(3, 2)])
def test_rows_that_are_equal_or_few_can_be_fitted(rows):
    mixture = Mixture.fitted(rows, 10)
    assert len(mixture.shares) == min(10, len(rows))
    assert mixture.drawn(20, None, 1.0, torch.zeros(1)).isfinite().all()


def test_draws_have_the_moments_and_a_temperature_of_0_gives_the_means():
    mixture = Mixture.fitted(clouds(), 2)
    generator = torch.Generator().manual_seed(0)
    drawn = mixture.drawn(20_000, generator, 1.0, torch.zeros(1))
    rows = clouds().float()
    torch.testing.assert_close(drawn.mean(0), rows.mean(0), atol=0.05, rtol=0)
    torch.testing.assert_close(torch.cov(drawn.t()), torch.cov(rows.t()), atol=0.1, rtol=0)
    cold = mixture.drawn(50, generator, 0.0, torch.zeros(1))
    assert torch.cdist(cold, mixture.means.float()).min(1).values.max() == 0


# ---- in a model ----------------------------------------------------------------------------------


def problem_of(mixture: int, **settings) -> valp.Problem:
    """Four clouds of points, which a normal latent cannot keep apart and far."""
    rng = np.random.default_rng(0)
    corner = rng.integers(0, 4, 1200)
    points = rng.normal(size=(1200, 2)) * 0.3
    points += 5 * np.stack([corner % 2, corner // 2], 1)
    outputs = {"drawn": valp.Generation(points, mixture=mixture, kl_weight=0.1, **settings)}
    return valp.Problem({"x": points}, outputs)


def trained(problem: valp.Problem, edges: str = "x->n0 n0->n1 n1->drawn", **networks):
    torch.manual_seed(0)
    networks = {
        "n0": zoo.generic(24, activation="relu"),
        "n1": zoo.decoder(2, 24, activation="relu"),
        **networks,
    }
    individual = zoo.build(problem, networks, edges)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=1500)
    return individual


@pytest.fixture(scope="module")
def individual():
    return trained(problem_of(8))


def test_samples_of_a_mixture_are_nearer_to_the_data(individual):
    normal = valp.score(individual, problem_of(0))["drawn"]
    assert valp.score(individual, problem_of(8))["drawn"] < 0.5 * normal


def test_a_problem_without_a_mixture_draws_from_the_normal_distribution(individual):
    assert valp.decode(individual, problem_of(0)).mixture is None
    assert valp.decode(individual).mixture is None


def test_the_model_draws_what_its_score_was_measured_on(individual):
    problem = problem_of(8)
    seen = []  # the trial of the score when the problem is made, then what it measured

    def remember(prediction, target):
        seen.append(prediction)
        return 0.0

    valp.score(individual, problem_of(8, score=remember))
    drawn = valp.decode(individual, problem).generate(
        len(seen[-1]), torch.Generator().manual_seed(0)
    )
    assert torch.equal(drawn["drawn"], seen[-1])


def test_the_mixture_travels_with_the_model(individual):
    model = valp.decode(individual, problem_of(8))
    expected = model.sample(5)["drawn"]
    for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert np.array_equal(other.sample(5)["drawn"], expected)


def test_latents_that_are_drawn_together_are_fitted_together():
    problem = problem_of(8)
    edges = "x->n0 n0->n1 n0->n2 n1->drawn n2->drawn"
    both = trained(problem, edges, n2=zoo.decoder(3, 24, activation="relu"))
    mixture = fit_latents(Model(both, torch.float32, torch.device("cpu")), problem, 500)
    assert mixture is not None and mixture.means.shape == (8, 5)
    assert valp.decode(both, problem).sample(3)["drawn"].shape == (3, 2)


def test_a_clone_of_the_decoder_draws_the_same_latent(individual):
    clone = copy.deepcopy(individual)
    valp.mutCloneNetwork(clone, "n1")
    normal = valp.score(individual, problem_of(0))["drawn"]
    assert valp.score(clone, problem_of(8))["drawn"] < 0.5 * normal
    assert valp.score(clone, problem_of(0))["drawn"] == pytest.approx(normal)


@pytest.mark.parametrize("mixture", [-1, 2.5, "many", None, True])
def test_a_number_of_distributions_that_is_none_is_refused(mixture):
    with pytest.raises(valp.ProblemError, match="needs mixture as a number from 0 on, got"):
        valp.Generation(np.eye(4), mixture=mixture)
