"""The training engine: the same losses and gradients as autograd, over the zoo; no synchronisation; batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.model import Latents
from deap_valp.networks import ACTIVATIONS, Layer
from deap_valp.optimizers import OPTIMIZERS
from deap_valp.training import batch_starts, sub_losses, train
from deap_valp.training.tape import Tape

SIZE = 40


def batch_of(problem, model, dtype):
    data = problem.split("train", limit=SIZE)
    features = {name: value.to(dtype) for name, value in data.inputs.items()}
    targets = {name: v.to(dtype) if v.is_floating_point() else v for name, v in data.targets.items()}
    noise = zoo.noise_for(problem, SIZE)
    return features, targets, {latent: noise[latent].to(dtype) for latent in model.latents}


def by_autograd(individual, problem, dtype=torch.float64):
    model = valp.decode(individual, dtype=dtype)
    features, targets, noise = batch_of(problem, model, dtype)
    latents = Latents("train", noise)
    losses = sub_losses(model, problem)(model.run(features, latents), targets, latents)
    losses.sum().backward()
    return losses.detach(), {key: tensor.grad for key, tensor in model.tensors.items()}


def by_tape(individual, problem, dtype=torch.float64, steps=1):
    model = valp.decode(individual, dtype=dtype)
    features, targets, noise = batch_of(problem, model, dtype)
    with torch.no_grad():
        tape = Tape(model, problem, SIZE)
        for _ in range(steps):  # memory is used again, so a second pass must not see the first
            losses = tape.forward(features, targets, noise)
            tape.backward()
    return losses, {key: tape.flat.slot(key).gradient.view_as(tensor) for key, tensor in model.tensors.items()}


def assert_same(individual, problem, steps=1):
    (expected, wanted), (losses, found) = by_autograd(individual, problem), by_tape(individual, problem, steps=steps)
    torch.testing.assert_close(losses, expected, atol=1e-12, rtol=1e-10)
    for key, gradient in wanted.items():
        gradient = torch.zeros_like(found[key]) if gradient is None else gradient
        torch.testing.assert_close(
            found[key], gradient, atol=1e-10, rtol=1e-8, msg=lambda text, key=key: f"{key}: {text}"
        )


@pytest.mark.parametrize("steps", [1, 2])
def test_losses_and_gradients_are_autograd_s(steps, zoo_member, problem):
    assert_same(zoo_member, problem, steps)


@pytest.mark.parametrize("seed", range(8))
def test_they_are_for_random_valps_after_operators_too(seed):
    import random

    random.seed(seed)
    individual = zoo.random_valp(zoo.mixed_problem(), (3, 10))
    for _ in range(5):
        valp.mutRandom(individual, operators="all")
    assert_same(individual, zoo.mixed_problem())


def test_clamped_log_variances_get_no_gradient():
    individual = zoo.fan_out()
    individual.weights["n3.latent.bias"] = torch.tensor([0.0, 0.0, 50.0, -50.0])
    assert_same(individual, zoo.mixed_problem())


def own_loss(head, target):
    return (head - target).abs().mean()


def test_a_user_s_loss_takes_part():
    x = np.random.default_rng(1).normal(size=(160, 4))
    problem = valp.Problem({"x": x}, {"y": valp.Regression(x[:, :1] ** 2, loss=own_loss)}, splits=(0.5, 0.25, 0.25))
    assert_same(zoo.build(problem, {"n0": zoo.generic(4, 3)}, "x->n0 n0->y"), problem)


@pytest.mark.parametrize("name", [*ACTIVATIONS, "softmax"])
def test_each_activation_has_autograd_s_derivative(name):
    layer = Layer(7, name)
    pre = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    gradient = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    result = layer.activate(pre)
    (wanted,) = torch.autograd.grad(result, pre, gradient)
    out = torch.empty_like(pre)
    with torch.no_grad():
        layer.backward(gradient.clone(), pre, result, out)
    torch.testing.assert_close(out, wanted, atol=1e-12, rtol=1e-12)


def test_an_activation_without_a_derivative_is_left_to_autograd(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "tanh", ACTIVATIONS["tanh"]._replace(backward=None))
    assert_same(zoo.fan_in(), zoo.mixed_problem())


def plain_loop(individual, problem, batches, seed):
    """The same training written plainly: autograd and torch.optim, parameter by parameter."""
    from deap_valp import device as devices

    model, data = valp.decode(individual), problem.split("train")
    losses_of, optimizer = sub_losses(model, problem), torch.optim.Adam(model.parameters())
    generator, history = devices.generator(torch.device("cpu"), seed), []
    for start in batch_starts(data.size, individual.batch_size, batches, seed):
        batch = slice(start, start + individual.batch_size)
        latents = Latents("train", model.draw_noise(individual.batch_size, generator))
        results = model.run({name: rows[batch] for name, rows in data.inputs.items()}, latents)
        losses = losses_of(results, {name: rows[batch] for name, rows in data.targets.items()}, latents)
        history.append(losses.detach())
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
    return torch.stack(history)


def test_training_gives_the_losses_of_a_plain_loop(zoo_member, problem):
    model = valp.decode(zoo_member)
    history = train(model, problem, 20, zoo_member.batch_size, zoo_member.optimizers, seed=3)
    expected = plain_loop(zoo_member, problem, 20, seed=3)
    torch.testing.assert_close(history, expected, atol=1e-4, rtol=1e-3)


def test_the_same_seed_trains_bit_for_bit_the_same(zoo_member, problem, device):
    runs = []
    for _ in range(2):
        model = valp.decode(zoo_member, device=device)
        runs.append((train(model, problem, 10, 50, zoo_member.optimizers, seed=3), model.weights()))
    assert torch.equal(runs[0][0], runs[1][0])
    assert all(torch.equal(tensor, runs[1][1][key]) for key, tensor in runs[0][1].items())


def settings(individual, name, same):
    rates = [OPTIMIZERS[name].usual_rate * (1 if same else 1 + index) for index in range(len(individual.outputs))]
    return {o: valp.Optimizer(name, rate) for o, rate in zip(individual.outputs, rates, strict=True)}


@pytest.mark.parametrize("same", [True, False], ids=["joint", "separate"])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_no_step_waits_for_the_device(name, same, zoo_member, problem):
    """Meta tensors hold no numbers: reading one, copying one to the host or mixing devices raises."""
    model = valp.decode(zoo_member, device="meta")
    history = train(model, problem, 2, 50, settings(zoo_member, name, same), seed=0)
    assert history.device.type == "meta" and history.shape == (2, len(zoo_member.outputs))


@pytest.mark.parametrize("same", [True, False], ids=["joint", "separate"])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_algorithm_trains_on_the_device(name, same, device):
    individual, problem = zoo.fan_in(), zoo.mixed_problem()
    model = valp.decode(individual, device=device)
    history = train(model, problem, 20, 50, settings(individual, name, same), seed=0)
    assert torch.isfinite(history).all() and history.device.type == torch.device(device).type


def test_changing_one_rate_slightly_changes_training_slightly():
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    weights = []
    for rate in (1e-3, 1.001e-3, 2e-3):
        optimizers = dict.fromkeys(individual.outputs, valp.Optimizer("adam", 1.01e-3))
        optimizers["label"] = valp.Optimizer("adam", rate)
        model = valp.decode(individual)
        train(model, problem, 20, 50, optimizers, seed=0)
        weights.append(torch.cat([tensor.reshape(-1) for tensor in model.weights().values()]))
    slight, large = ((weights[0] - other).norm() for other in weights[1:])
    assert 0 < slight < large / 20


def test_a_shared_weight_moves_by_the_mean_of_its_outputs_updates():
    """The first step of SGD: each output proposes its rate times the gradient of the summed losses."""
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    optimizers = {o: valp.Optimizer("sgd", 1e-3 * (1 + k)) for k, o in enumerate(individual.outputs)}
    data = problem.split("train")
    batch = slice(start := batch_starts(data.size, SIZE, 1, seed=0)[0], start + SIZE)
    model = valp.decode(individual)
    latents = Latents("train", model.draw_noise(SIZE, torch.Generator().manual_seed(0)))
    results = model.run({name: rows[batch] for name, rows in data.inputs.items()}, latents)
    losses = sub_losses(model, problem)(results, {name: rows[batch] for name, rows in data.targets.items()}, latents)
    losses.sum().backward()
    trained = valp.decode(individual)
    train(trained, problem, 1, SIZE, optimizers, seed=0)
    rates = {output: optimizer.learning_rate for output, optimizer in optimizers.items()}
    for key, rate in {"left->n0": sum(rates.values()) / 4, "n2->value": rates["value"]}.items():
        moved = trained.tensors[key] - individual.weights[key]
        torch.testing.assert_close(moved.detach(), -rate * model.tensors[key].grad, atol=1e-6, rtol=1e-3)


# ---- batches -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "batch_size"), [(1000, 100), (1000, 130), (1000, 600), (1000, 1000), (7, 1)])
def test_batches_stay_inside_and_an_epoch_covers_nearly_all(size, batch_size):
    per_epoch = size // batch_size
    starts = batch_starts(size, batch_size, 50 * per_epoch, seed=1)
    assert len(starts) == 50 * per_epoch
    assert all(0 <= start <= size - batch_size for start in starts)
    covered = {row for start in starts for row in range(start, start + batch_size)}
    assert len(covered) > 0.98 * size  # the rows at either end come least often
    assert (
        starts
        == batch_starts(size, batch_size, 50 * per_epoch, seed=1)
        != batch_starts(size, batch_size, 50 * per_epoch, seed=2)
        or size == batch_size
    )


def test_a_batch_is_at_most_the_training_split():
    problem = zoo.plain_problem()
    history = train(valp.decode(zoo.smallest()), problem, 3, 10_000, zoo.smallest().optimizers, seed=0)
    assert torch.isfinite(history).all()
