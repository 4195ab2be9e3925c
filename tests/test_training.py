"""The training engine: the losses and gradients of autograd over the zoo; batches; no waiting."""

from __future__ import annotations

import copy
import itertools
import random
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp import device as devices
from deap_valp.genome import ACTIVATIONS, Generic, Layer, Place
from deap_valp.genome.optimizers import OPTIMIZERS, SQUARE
from deap_valp.problem.outputs import OUTPUT_KINDS
from deap_valp.training import batch_starts, sub_losses, train
from deap_valp.training.model import Latents
from deap_valp.training.parts import InParts
from deap_valp.training.tape import Tape

SIZE = 40


def batch_of(problem, model, dtype, size, device):
    data = problem.split("train", device, limit=size)
    features = {name: value.to(dtype) for name, value in data.inputs.items()}
    targets = {
        name: v.to(dtype) if v.is_floating_point() else v for name, v in data.targets.items()
    }
    noise = zoo.noise_for(problem, size)
    return features, targets, {latent: noise[latent].to(device, dtype) for latent in model.latents}


def by_autograd(individual, problem, dtype, size, device):
    model = valp.decode(individual, dtype=dtype, device=device)
    features, targets, noise = batch_of(problem, model, dtype, size, device)
    latents = Latents("train", noise)
    losses = sub_losses(model, problem)(model.run(features, latents), targets, latents)
    losses.sum().backward()
    return losses.detach(), {key: tensor.grad for key, tensor in model.tensors.items()}


def by_tape(individual, problem, dtype, size, device, steps=1):
    model = valp.decode(individual, dtype=dtype, device=device)
    features, targets, noise = batch_of(problem, model, dtype, size, device)
    with torch.no_grad():
        tape = Tape(model, problem, size)
        for _ in range(steps):  # memory is used again, so a second pass must not see the first
            losses = tape.forward(features, targets, noise)
            tape.backward()
    return losses, {
        key: tape.flat.slot(key).gradient.view_as(tensor) for key, tensor in model.tensors.items()
    }


def assert_same(individual, problem, size=SIZE, device="cpu", steps=1):
    expected, wanted = by_autograd(individual, problem, torch.float64, size, device)
    losses, found = by_tape(individual, problem, torch.float64, size, device, steps)
    torch.testing.assert_close(losses, expected, atol=1e-12, rtol=1e-10)
    for key, gradient in wanted.items():
        gradient = torch.zeros_like(found[key]) if gradient is None else gradient
        scale = max(1.0, float(gradient.abs().max()))
        torch.testing.assert_close(
            found[key] / scale,
            gradient / scale,
            atol=1e-10,
            rtol=0,
            msg=lambda text, key=key: f"{key}: {text}",
        )


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("size", [SIZE, 3], ids=["narrow heads", "heads wider than the batch"])
def test_losses_and_gradients_are_autograd_s(size, steps, zoo_member, problem, device):
    assert_same(zoo_member, problem, size, device, steps)


def test_losses_are_autograd_s_to_the_rounding_of_float32(zoo_member, problem, device):
    expected, _ = by_autograd(zoo_member, problem, torch.float32, SIZE, device)
    losses, _ = by_tape(zoo_member, problem, torch.float32, SIZE, device)
    torch.testing.assert_close(losses, expected, atol=1e-6, rtol=2e-6)


@pytest.mark.parametrize("seed", range(8))
def test_they_are_for_random_valps_after_operators_too(seed):
    random.seed(seed)
    individual = zoo.random_valp(zoo.mixed_problem(), (3, 10))
    for _ in range(5):
        valp.mutRandom(individual, operators="all")
    assert_same(individual, zoo.mixed_problem())


def test_clamped_log_variances_get_no_gradient():
    individual = zoo.fan_out()
    with zoo.editing(individual) as draft:
        draft.weights["n3.latent.bias"] = torch.tensor([0.0, 0.0, 50.0, -50.0])
    assert_same(individual, zoo.mixed_problem())


def absolute_error(head, target):
    return (head.view(-1) - target.view(-1)).abs().mean()  # a view: heads come contiguous


def margin(head, target):
    return torch.nn.functional.multi_margin_loss(head, target)


@pytest.fixture
def huber():
    """A kind of its own, whose loss nobody knows in closed form; registered while a test runs."""

    class Huber(valp.Regression):
        kind = "huber"

        def default_loss(self, head, target):
            return torch.nn.functional.huber_loss(head, target)

    yield Huber
    del OUTPUT_KINDS["huber"]


@pytest.mark.parametrize("size", [SIZE, 3])
def test_users_losses_take_part_beside_the_divergence(size, huber, device):
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(zoo.EXAMPLES, 5)), rng.normal(size=(zoo.EXAMPLES, 3))
    outputs = {
        "label": valp.Classification((left[:, 0] > 0).astype(int) + (right[:, 0] > 0), loss=margin),
        "value": huber(left[:, :2]),
        "image": valp.Generation(left, loss=absolute_error, loss_weight=2.0, kl_weight=0.3),
        "texture": valp.Generation(rng.normal(size=(zoo.EXAMPLES, 4))),
    }
    problem = valp.Problem({"left": left, "right": right}, outputs, splits=(0.5, 0.25, 0.25))
    networks = {"n0": zoo.generic(6, 5), "n1": zoo.decoder(3, 4, 5), "n2": zoo.refiner(4)}
    edges = "left->n0 right->n0 n0->label n0->value n0->n1 n1->image n1->n2 n2->texture"
    assert_same(zoo.build(problem, networks, edges), problem, size, device)


@pytest.mark.parametrize("name", [*ACTIVATIONS, "softmax"])
def test_each_activation_has_autograd_s_derivative(name):
    layer = Layer(7, name)
    pre = torch.randn(
        5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)
    ).requires_grad_()
    gradient = torch.randn(5, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    result = layer.activate(pre)
    (wanted,) = torch.autograd.grad(result, pre, gradient)
    with torch.no_grad():
        layer.backward(gradient, pre, result, gradient)  # over what it reads, as training does
    torch.testing.assert_close(gradient, wanted, atol=1e-12, rtol=1e-12)


def test_an_activation_without_a_derivative_is_left_to_autograd(monkeypatch):
    monkeypatch.setitem(ACTIVATIONS, "tanh", ACTIVATIONS["tanh"]._replace(backward=None))
    assert_same(zoo.fan_in(), zoo.mixed_problem())


@dataclass(frozen=True)
class Twice(Generic):
    """A kind that computes in its own way; it says how once, and has no derivative."""

    def compute(self, pre, calculator):
        again = calculator.activate(calculator.activate(pre, self.layers[0]), self.layers[0])
        return self._pass_layers(again, calculator)


def test_a_new_kind_is_trained_without_a_derivative_of_its_own():
    network = Twice(1, zoo.layers(5, 4))
    problem = zoo.plain_problem()
    assert_same(
        zoo.build(problem, {"n0": network, "n1": zoo.generic(3)}, "x->n0 n0->n1 n1->y n0->y"),
        problem,
    )


@pytest.mark.parametrize(("size", "parts"), [(SIZE, 2), (SIZE + 1, 2), (SIZE, 3), (1, 2)])
def test_a_batch_in_parts_has_the_losses_and_gradient_of_the_whole(
    size, parts, zoo_member, problem, device
):
    wanted, gradients = by_tape(zoo_member, problem, torch.float64, size, device)
    model = valp.decode(zoo_member, dtype=torch.float64, device=device)
    features, targets, noise = batch_of(problem, model, torch.float64, size, device)
    with torch.no_grad():
        tape = InParts(model, problem, size, parts)
        for _ in range(2):
            losses = tape.forward(features, targets, noise)
            tape.backward()
    torch.testing.assert_close(losses, wanted, atol=1e-12, rtol=1e-10)
    for key, tensor in model.tensors.items():
        found = tape.flat.slot(key).gradient.view_as(tensor)
        torch.testing.assert_close(found, gradients[key], atol=1e-12, rtol=1e-9)


def test_training_in_parts_takes_the_same_steps(zoo_member, problem, device):
    runs = []
    for parts in (1, 2):
        model = valp.decode(zoo_member, device=device)
        runs.append(
            (
                train(model, problem, 20, 51, zoo_member.optimizers, 3, parts).history,
                model.weights(),
            )
        )
    torch.testing.assert_close(runs[1][0], runs[0][0], atol=1e-5, rtol=1e-4)
    for key, tensor in runs[0][1].items():
        torch.testing.assert_close(runs[1][1][key], tensor, atol=1e-4, rtol=1e-3)


def test_in_parts_no_step_waits_for_the_device(zoo_member, problem):
    model = valp.decode(zoo_member, device="meta")
    assert (
        train(model, problem, 2, 51, zoo_member.optimizers, 0, micro_batches=2).history.device.type
        == "meta"
    )


def plain_loop(individual, problem, batches, seed, device):
    """The same training written plainly: autograd and torch.optim, parameter by parameter."""
    model, data = valp.decode(individual, device=device), problem.split("train", device)
    losses_of = sub_losses(model, problem)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, SQUARE))
    generator, history = devices.generator(torch.device(device), seed), []
    for start in batch_starts(data.size, individual.batch_size, batches, seed):
        batch = slice(start, start + individual.batch_size)
        latents = Latents("train", model.draw_noise(individual.batch_size, generator))
        results = model.run({name: rows[batch] for name, rows in data.inputs.items()}, latents)
        losses = losses_of(
            results, {name: rows[batch] for name, rows in data.targets.items()}, latents
        )
        history.append(losses.detach())
        optimizer.zero_grad()
        losses.sum().backward()
        optimizer.step()
    return torch.stack(history)


def test_training_gives_the_losses_of_a_plain_loop(zoo_member, problem, device):
    model = valp.decode(zoo_member, device=device)
    history, *_ = train(model, problem, 20, zoo_member.batch_size, zoo_member.optimizers, seed=3)
    expected = plain_loop(zoo_member, problem, 20, 3, device)
    torch.testing.assert_close(history, expected, atol=1e-4, rtol=1e-3)


def test_the_same_seed_trains_bit_for_bit_the_same(zoo_member, problem, device):
    runs = []
    for _ in range(2):
        model = valp.decode(zoo_member, device=device)
        runs.append(
            (train(model, problem, 10, 50, zoo_member.optimizers, seed=3).history, model.weights())
        )
    assert torch.equal(runs[0][0], runs[1][0])
    assert all(torch.equal(tensor, runs[1][1][key]) for key, tensor in runs[0][1].items())


def test_training_leaves_the_individual_s_tensors_alone(zoo_member, problem):
    before, tensors = copy.deepcopy(zoo_member), dict(zoo_member.weights)
    values = {key: tensor.clone() for key, tensor in tensors.items()}
    model = valp.decode(zoo_member)
    train(model, problem, 5, 50, zoo_member.optimizers, seed=0)
    assert zoo_member == before and all(
        zoo_member.weights[key] is tensor for key, tensor in tensors.items()
    )
    for key, tensor in model.weights().items():
        assert torch.equal(tensors[key], values[key]), key
        assert not torch.equal(tensor, values[key]), f"{key} was not trained"
        assert tensor.is_contiguous() and tensor.untyped_storage().nbytes() == 4 * tensor.numel(), (
            key
        )


def settings(individual, name, same):
    rates = [
        OPTIMIZERS[name].usual_rate * (1 if same else 1 + index)
        for index in range(len(individual.outputs))
    ]
    return {
        o: valp.Optimizer(name, rate) for o, rate in zip(individual.outputs, rates, strict=True)
    }


@pytest.mark.parametrize("same", [True, False], ids=["joint", "separate"])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_no_step_waits_for_the_device(name, same, zoo_member, problem):
    """A meta tensor holds no numbers: to read or copy one, or to mix devices, raises an error."""
    model = valp.decode(zoo_member, device="meta")
    history, *_ = train(model, problem, 2, 50, settings(zoo_member, name, same), seed=0)
    assert history.device.type == "meta" and history.shape == (2, len(zoo_member.outputs))


@pytest.mark.parametrize("same", [True, False], ids=["joint", "separate"])
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_every_algorithm_trains_on_the_device(name, same, device):
    individual, problem = zoo.fan_in(), zoo.mixed_problem()
    model = valp.decode(individual, device=device)
    history, *_ = train(model, problem, 20, 50, settings(individual, name, same), seed=0)
    assert torch.isfinite(history).all() and history.device.type == torch.device(device).type


def trained(individual, problem, optimizers, batches=20, device="cpu"):
    model = valp.decode(individual, device=device)
    train(model, problem, batches, 50, optimizers, seed=0)
    return model.weights()


def distance(one, other):
    return torch.cat([(tensor - other[key]).reshape(-1) for key, tensor in one.items()]).norm()


@pytest.mark.parametrize(
    "others", [1.0, 3.0], ids=["where all rates are equal", "where they differ"]
)
@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_changing_one_rate_slightly_changes_training_slightly(name, others, device):
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    usual, weights = OPTIMIZERS[name].usual_rate, []
    for change in (1.0, 1.0001, 2.0):
        optimizers = dict.fromkeys(individual.outputs, valp.Optimizer(name, others * usual))
        optimizers["label"] = valp.Optimizer(name, change * usual)
        weights.append(trained(individual, problem, optimizers, device=device))
    slightly, much = (distance(weights[0], other) for other in weights[1:])
    assert slightly < 0.01 * much and much > 0.01


@pytest.mark.parametrize("name", list(OPTIMIZERS))
def test_with_a_rate_of_0_an_exclusive_subgraph_stays_bit_equal(name, zoo_member, problem, device):
    for output in zoo_member.outputs:
        optimizers = settings(zoo_member, name, same=True) | {output: valp.Optimizer(name, 0.0)}
        weights = trained(zoo_member, problem, optimizers, batches=3, device=device)
        still = {*zoo_member.exclusive(output), output}
        for key, tensor in zoo_member.weights.items():
            owner = Place.named(key).component
            assert torch.equal(tensor, weights[key]) == (owner in still), (output, key)


def test_algorithms_that_differ_each_train_the_weights_of_their_output_alone(monkeypatch):
    """On an exclusive subgraph, training is that of its own algorithm; the first step shows it."""
    unclipped = OPTIMIZERS["sgd"]._replace(clip=None)  # clipping is of the whole gradient
    monkeypatch.setitem(OPTIMIZERS, "sgd", unclipped)
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    optimizers = {
        o: valp.Optimizer(name, 1e-3)
        for o, name in zip(individual.outputs, OPTIMIZERS, strict=False)
    }
    mixed = trained(individual, problem, optimizers, batches=1)
    for output, optimizer in optimizers.items():
        alone = trained(
            individual, problem, dict.fromkeys(individual.outputs, optimizer), batches=1
        )
        for key in (key for key in mixed if Place.named(key).component == output):
            torch.testing.assert_close(mixed[key], alone[key], atol=1e-7, rtol=1e-6)


def test_the_pull_of_an_output_on_a_shared_weight_is_its_rate(monkeypatch):
    """The first step of SGD: each output pulls with its own loss's gradient, times its rate."""
    unclipped = OPTIMIZERS["sgd"]._replace(clip=None)
    monkeypatch.setitem(OPTIMIZERS, "sgd", unclipped)
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    optimizers = {
        o: valp.Optimizer("sgd", 1e-3 * (1 + k)) for k, o in enumerate(individual.outputs)
    }
    data = problem.split("train")
    batch = slice(start := batch_starts(data.size, SIZE, 1, seed=0)[0], start + SIZE)
    model = valp.decode(individual)
    latents = Latents("train", model.draw_noise(SIZE, torch.Generator().manual_seed(0)))
    results = model.run({name: rows[batch] for name, rows in data.inputs.items()}, latents)
    losses = sub_losses(model, problem)(
        results, {name: rows[batch] for name, rows in data.targets.items()}, latents
    )
    rates = {output: optimizer.learning_rate for output, optimizer in optimizers.items()}
    (losses * losses.new_tensor([rates[output] for output in model.outputs])).sum().backward()
    moved_model = valp.decode(individual)
    train(moved_model, problem, 1, SIZE, optimizers, seed=0)
    for key in ("left->n0", "n2->value"):
        moved = moved_model.tensors[key] - individual.weights[key]
        torch.testing.assert_close(moved.detach(), -model.tensors[key].grad, atol=1e-6, rtol=1e-3)


# ---- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "batch_size"), [(1000, 100), (1000, 130), (1000, 600), (1000, 1000), (7, 1)]
)
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


def test_batches_of_an_epoch_have_no_row_in_common_and_leave_out_less_than_two_batches():
    for seed in range(20):
        epoch = sorted(batch_starts(1000, 30, 1000 // 30 - 1, seed))
        assert all(later - start >= 30 for start, later in itertools.pairwise(epoch))
        assert 1000 - 30 * len(epoch) < 2 * 30


def test_a_batch_is_at_most_the_training_split():
    problem = zoo.plain_problem()
    history, *_ = train(
        valp.decode(zoo.smallest()), problem, 3, 10_000, zoo.smallest().optimizers, seed=0
    )
    assert torch.isfinite(history).all()
