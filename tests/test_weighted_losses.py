"""Weights of examples in losses and gradients: by the tape, by autograd, in parts."""

from __future__ import annotations

import foreign
import numpy as np
import pytest
import torch
import zoo
from absent import KINDS, MIXED, ROWS

import deap_valp as valp
from deap_valp.problem.losses import CrossEntropy, OneByOne, SquaredError, weighted
from deap_valp.training import Latents, sub_losses
from deap_valp.training.parts import InParts
from deap_valp.training.tape import Tape

SIZE = 40
each_member = pytest.mark.parametrize("name", MIXED)


def drawn_weights(outputs, size=SIZE, seed=0):
    """Weights of examples, a third of them 0 and 1 on average."""
    found = {}
    generator = torch.Generator().manual_seed(seed)
    for name in outputs:
        weights = torch.rand(size, generator=generator, dtype=torch.float64)
        weights[1:][torch.rand(size - 1, generator=generator) < 0.3] = 0
        found[name] = weights * (size / weights.sum())
    return found


def batch_of(problem, model, size=SIZE, dtype=torch.float64):
    data = problem.split("train", zoo.DEVICE, limit=size)
    features = {name: value.to(dtype) for name, value in data.inputs.items()}
    targets = {
        name: v.to(dtype) if v.is_floating_point() else v for name, v in data.targets.items()
    }
    noise = zoo.noise_for(problem, size)
    return (
        features,
        targets,
        {latent: noise[latent].to(zoo.DEVICE, dtype) for latent in model.latents},
    )


def by_tape(individual, problem, batch, weights, kind=Tape, **options):
    """Losses and gradients of a batch."""
    model = valp.decode(individual, dtype=torch.float64, device=zoo.DEVICE)
    with torch.no_grad():
        size = len(next(iter(batch[0].values())))
        tape = kind(model, problem, size, weighted=weights, **options)
        for _ in range(2):  # memory is used again
            losses = tape.forward(*batch, weights)
            tape.backward()
    return losses, {key: tape.flat.slot(key).gradient.clone() for key in tape.flat.order}


def by_autograd(individual, problem, batch, weights):
    model = valp.decode(individual, dtype=torch.float64, device=zoo.DEVICE)
    features, targets, noise = batch
    latents = Latents("train", noise)
    losses_of = sub_losses(model, problem, weights)
    losses = losses_of(model.run(features, latents), targets, latents, weights)
    losses.sum().backward()
    return losses.detach(), {key: tensor.grad for key, tensor in model.tensors.items()}


def assert_alike(found, expected, atol=1e-10):
    torch.testing.assert_close(found[0], expected[0], atol=1e-11, rtol=1e-9)
    for key, gradient in expected[1].items():
        wanted = torch.zeros_like(found[1][key]) if gradient is None else gradient
        torch.testing.assert_close(found[1][key].view_as(wanted), wanted, atol=atol, rtol=1e-8)


@each_member
@pytest.mark.parametrize("size", [SIZE, 3], ids=["narrow heads", "heads wider than the batch"])
@pytest.mark.parametrize("weighing", [tuple(KINDS), ("image",), ("label", "texture")], ids="+".join)
def test_weighted_losses_and_gradients_are_autograd_s(name, size, weighing):
    individual, problem = zoo.member(name), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual), size)
    weights = drawn_weights(weighing, size, seed=3)
    expected = by_autograd(individual, problem, batch, weights)
    assert_alike(by_tape(individual, problem, batch, weights), expected)
    halves = by_tape(individual, problem, batch, weights, InParts, parts=2)
    torch.testing.assert_close(halves[0], expected[0], atol=1e-11, rtol=1e-9)


@each_member
def test_a_weight_of_0_is_as_good_as_no_example(name):
    individual, problem = zoo.member(name), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual))
    kept = torch.arange(SIZE) % 3 > 0
    share = SIZE / int(kept.sum())
    weights = dict.fromkeys(KINDS, kept.double() * share)
    without = [{key: rows[kept] for key, rows in part.items()} for part in batch]
    expected = by_tape(individual, problem, without, {})
    assert_alike(by_tape(individual, problem, batch, weights), expected)


@each_member
def test_equal_weights_are_no_weights(name):
    individual, problem = zoo.member(name), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual))
    ones = dict.fromkeys(KINDS, torch.ones(SIZE, dtype=torch.float64))
    expected = by_tape(individual, problem, batch, {})
    assert_alike(by_tape(individual, problem, batch, ones), expected)


def test_a_batch_without_a_target_of_any_output_has_no_loss_and_no_gradient():
    individual, problem = zoo.member(MIXED[-1]), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual))
    nothing = dict.fromkeys(KINDS, torch.zeros(SIZE, dtype=torch.float64))
    losses, gradients = by_tape(individual, problem, batch, nothing)
    assert not losses.any() and not any(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("count", [foreign.Count, foreign.QuickCount], ids=lambda kind: kind.kind)
def test_a_kind_that_knows_nothing_of_weights_is_weighted(count):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 5))
    outputs = {"events": count(rng.poisson(np.exp(x[:, :2] / 2))), "copy": foreign.Texture(x)}
    problem = valp.Problem({"x": x}, outputs, splits=(0.5, 0.25, 0.25))
    networks = {"n0": zoo.generic(6, 5), "n1": zoo.decoder(3, 4, 5)}
    individual = zoo.build(problem, networks, "x->n0 n0->events n0->n1 n1->copy")
    batch = batch_of(problem, valp.decode(individual))
    weights = drawn_weights(problem.outputs)
    expected = by_autograd(individual, problem, batch, weights)
    assert_alike(by_tape(individual, problem, batch, weights), expected)
    head, target = torch.randn(7, 2), torch.ones(7, 2)
    each = foreign.deviance(head, target).mean(1)
    found = problem.outputs["events"].weighted_loss(head, target, torch.arange(7.0))
    torch.testing.assert_close(found, each @ torch.arange(7.0) / 7)


def branching(head, target):
    error = (head - target).abs().mean()
    return error if error > 0.5 else error.square()


def margin(head, target):  # torch has no vectorised form of it
    return torch.nn.functional.multi_margin_loss(head, target)


@pytest.mark.parametrize("loss", [SquaredError(), CrossEntropy(), branching, margin])
def test_the_weighted_form_of_a_loss_is_that_of_its_examples(loss):
    head = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(9, 3, dtype=torch.float64)
    if loss is margin or isinstance(loss, CrossEntropy):
        target = torch.arange(9) % 3
    weight = torch.arange(9, dtype=torch.float64)
    each = [loss(head[row : row + 1], target[row : row + 1]) for row in range(9)]
    expected = torch.stack(each) @ weight / 9
    torch.testing.assert_close(weighted(loss)(head, target, weight), expected)
    torch.testing.assert_close(OneByOne(loss)(head, target), torch.stack(each))
