"""The SGD algorithms and what they remember: torch's own steps, sessions that go on, decay."""

from __future__ import annotations

import copy
import functools
import itertools
import pickle
import random
from dataclasses import replace

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.genome import Place
from deap_valp.genome.optimizers import OPTIMIZERS, Stretch
from deap_valp.training import PLAIN, Latents, Training, batch_starts, sub_losses, train

SIZE = 40
NAMESAKES = {
    "adam": lambda parameters: torch.optim.Adam(parameters, 1e-3, betas=(0.9, 0.99)),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, 1e-3, betas=(0.9, 0.99)),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 1e-3, momentum=0.9),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, 1e-3),
    "adagrad": lambda parameters: torch.optim.Adagrad(parameters, 1e-3),
    "nadam": lambda parameters: torch.optim.NAdam(parameters, 1e-3, betas=(0.9, 0.99)),
}
each_algorithm = pytest.mark.parametrize("name", list(OPTIMIZERS))


def numbers(size, seed):
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


class Buffers:
    """A row of weights cut into stretches, and the memory of one algorithm."""

    def __init__(self, name, value, cuts):
        self.algorithm = OPTIMIZERS[name]
        self.value, self.gradient = value.clone(), torch.zeros_like(value)
        self.moments = [torch.zeros_like(value) for _ in self.algorithm.powers]
        self.parts = [slice(start, stop) for start, stop in itertools.pairwise(cuts)]
        self.begin([0] * len(self.parts))

    def begin(self, steps):
        buffers = (self.value, self.gradient, *self.moments)
        stretches = []
        for part, count in zip(self.parts, steps, strict=True):
            value, gradient, *moments = (buffer[part] for buffer in buffers)
            stretches.append(Stretch(value, gradient, moments, count))
        self.move = self.algorithm.make(stretches)

    def step(self, gradient, rate=1e-3):
        self.gradient.copy_(gradient)
        self.move(rate)


@each_algorithm
def test_from_a_fresh_state_an_algorithm_takes_the_steps_of_torch_s(name):
    parameter = torch.nn.Parameter(numbers(50, 0))
    optimizer, ours = NAMESAKES[name]([parameter]), Buffers(name, parameter.detach(), [0, 7, 8, 50])
    for index in range(50):
        parameter.grad = numbers(50, 1 + index) * 10.0 ** (index % 3 - 1)
        optimizer.step()
        ours.step(parameter.grad)
        torch.testing.assert_close(ours.value, parameter.detach(), atol=1e-6, rtol=1e-6)


@each_algorithm
def test_steps_go_on_where_they_stopped_and_a_fresh_part_starts_on_its_own(name):
    """The first ten numbers come from earlier, the others are new."""
    old, new = Buffers(name, numbers(10, 0), [0, 10]), Buffers(name, numbers(5, 1), [0, 5])
    for index in range(20):
        old.step(numbers(10, 2 + index))
    both = Buffers(name, torch.cat([old.value, new.value]), [0, 10, 15])
    for buffer, moment in zip(both.moments, old.moments, strict=True):
        buffer[:10] = moment
    both.begin([20, 0])
    for index in range(20):
        gradient = numbers(15, 100 + index)
        both.step(gradient)
        old.step(gradient[:10])
        new.step(gradient[10:])
    torch.testing.assert_close(both.value, torch.cat([old.value, new.value]), atol=1e-7, rtol=1e-6)


# ---- sessions ------------------------------------------------------------------------------------


def session(
    individual, problem, optimizers, batches, weights=None, size=SIZE, warmup=0, state=None
):
    """A session from these weights, and the weights it leaves."""
    model = valp.decode(individual)
    for key, tensor in (weights or {}).items():
        model.tensors[key].data.copy_(tensor)
    training = replace(PLAIN, warmup=warmup)
    found = train(model, problem, batches, size, optimizers, seed=0, training=training, state=state)
    return found.history, found.state, model.weights()


def settings(individual, names=("adam",), factors=(1.0,)):
    """An optimizer for each output, names and factors of the usual rate in turn."""
    found = {}
    for index, output in enumerate(individual.outputs):
        name, factor = names[index % len(names)], factors[index % len(factors)]
        found[output] = valp.Optimizer(name, factor * OPTIMIZERS[name].usual_rate)
    return found


@functools.cache
def three_values():
    """One input, three regressions."""
    x = np.random.default_rng(2).normal(size=(zoo.EXAMPLES, 4))
    targets = {"a": x[:, :1] ** 2, "b": x[:, 1:2] * x[:, 2:3], "c": np.tanh(x)}
    outputs = {name: valp.Regression(target) for name, target in targets.items()}
    return valp.Problem({"x": x}, outputs, splits=(0.5, 0.25, 0.25))


def without_noise():
    """Three outputs and no latent: n0 reaches them all, n1 and n2 one each."""
    problem = three_values()
    networks = {"n0": zoo.generic(6, 5), "n1": zoo.generic(4), "n2": zoo.generic(5)}
    return zoo.build(problem, networks, "x->n0 n0->n1 n0->n2 n1->a n2->b n2->c n0->c"), problem


MIXTURES = {
    **{name: {"names": (name,)} for name in OPTIMIZERS},
    "rates differ": {"factors": (1.0, 0.3, 2.0)},
    "algorithms differ": {"names": ("adam", "sgd", "rmsprop")},
    "both differ": {"names": ("nadam", "nadam", "adagrad"), "factors": (1.0, 0.3, 2.0)},
}
each_mixture = pytest.mark.parametrize("mixture", MIXTURES.values(), ids=MIXTURES)


@each_mixture
def test_sessions_that_hand_on_their_state_end_where_one_does(mixture):
    """Every batch is the whole training split, so that all sessions see the same."""
    individual, problem = without_noise()
    optimizers, size = settings(individual, **mixture), problem.split("train").size
    history, state, weights = session(individual, problem, optimizers, 12, size=size, warmup=8)
    parts, later, now = [], None, None
    for batches in (5, 1, 6):
        part, later, now = session(
            individual, problem, optimizers, batches, now, size, state=later, warmup=8
        )
        parts.append(part)
    torch.testing.assert_close(torch.cat(parts), history, atol=1e-6, rtol=1e-5)
    for key, tensor in weights.items():
        torch.testing.assert_close(now[key], tensor, atol=1e-6, rtol=1e-5)
        assert later[key].keys() == state[key].keys()
        for name, block in state[key].items():
            assert later[key][name].steps == block.steps == 12
            for moment, wanted in zip(later[key][name].moments, block.moments, strict=True):
                torch.testing.assert_close(moment, wanted, atol=1e-6, rtol=1e-3)


@each_algorithm
def test_state_is_a_value_of_the_tensor_s_shape_with_memory_of_its_own(name, zoo_member, problem):
    optimizers = settings(zoo_member, (name,))
    _, state, weights = session(zoo_member, problem, optimizers, 3)
    assert state.keys() == zoo_member.weights.keys()
    for key, blocks in state.items():
        (block,) = blocks.values()
        assert block.steps == 3 and len(block.moments) == len(OPTIMIZERS[name].powers)
        for moment in block.moments:
            assert moment.shape == zoo_member.weights[key].shape
            assert (
                moment.is_contiguous() and moment.untyped_storage().nbytes() == 4 * moment.numel()
            )
    before = pickle.dumps(state)
    session(zoo_member, problem, optimizers, 3, weights, state=state)
    assert pickle.dumps(state) == before


def test_what_is_not_in_the_state_starts_fresh_and_another_algorithm_s_is_dropped():
    individual, problem = without_noise()
    optimizers = settings(individual)
    _, state, weights = session(individual, problem, optimizers, 5)
    known = {key: blocks for key, blocks in state.items() if key != "n2->b"}
    _, later, _ = session(individual, problem, optimizers, 2, weights, state=known)
    assert {key: later[key]["adam"].steps for key in later} == dict.fromkeys(later, 7) | {
        "n2->b": 2
    }
    _, other, _ = session(
        individual, problem, settings(individual, ("nadam",)), 2, weights, state=state
    )
    assert {name for blocks in other.values() for name in blocks} == {"nadam"}
    assert {block.steps for blocks in other.values() for block in blocks.values()} == {2}


def test_the_state_of_an_exclusive_part_does_not_depend_on_its_rate():
    individual, problem = without_noise()
    states = []
    for factor in (0.1, 1.0, 10.0):
        optimizers = settings(individual) | {"a": valp.Optimizer("adam", factor * 1e-3)}
        states.append(session(individual, problem, optimizers, 1)[1])
    for key in ("n0->n1", "n1->a", "a.bias", "n2->b"):
        for other in states[1:]:
            for moment, wanted in zip(
                other[key]["adam"].moments, states[0][key]["adam"].moments, strict=True
            ):
                torch.testing.assert_close(moment, wanted, atol=0, rtol=1e-5)


@pytest.mark.parametrize("micro_batches", [1, 2])
@each_mixture
def test_going_on_waits_for_no_device(mixture, micro_batches):
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    model, optimizers = valp.decode(individual, device="meta"), settings(individual, **mixture)
    optimizers = {name: replace(one, decay=0.1) for name, one in optimizers.items()}
    state = None
    for _ in range(2):
        state = train(model, problem, 2, 51, optimizers, 0, micro_batches, state=state).state
    assert all(
        m.device.type == "meta"
        for blocks in state.values()
        for block in blocks.values()
        for m in block.moments
    )


def test_a_fresh_tensor_s_rate_rises_over_the_warm_up():
    """The first step of two is half as long, then it is the whole."""
    individual, problem = without_noise()
    optimizers = settings(individual, ("sgd",))
    _, _, plain = session(individual, problem, optimizers, 1)
    _, state, weights = session(individual, problem, optimizers, 1, warmup=2)
    for key, tensor in individual.weights.items():
        torch.testing.assert_close(
            weights[key] - tensor, (plain[key] - tensor) / 2, atol=1e-7, rtol=1e-5
        )
    known = {key: blocks for key, blocks in state.items() if key != "n2->b"}
    _, _, cold = session(individual, problem, optimizers, 1, weights, state=known)
    _, _, later = session(individual, problem, optimizers, 1, weights, state=known, warmup=2)
    for key, tensor in weights.items():
        part = 0.5 if key == "n2->b" else 1.0
        torch.testing.assert_close(
            later[key] - tensor, part * (cold[key] - tensor), atol=1e-7, rtol=1e-5
        )


# ---- the pull of an output -----------------------------------------------------------------------


def gradients(individual, problem):
    """By output and key, the gradient of the output's own loss on the first batch."""
    data = problem.split("train")
    batch = slice(start := batch_starts(data.size, SIZE, 1, seed=0)[0], start + SIZE)
    model = valp.decode(individual)
    latents = Latents("train", model.draw_noise(SIZE, torch.Generator().manual_seed(0)))
    results = model.run({name: rows[batch] for name, rows in data.inputs.items()}, latents)
    losses = sub_losses(model, problem)(
        results, {name: rows[batch] for name, rows in data.targets.items()}, latents
    )
    found = {}
    for output, loss in zip(model.outputs, losses, strict=True):
        tensors = torch.autograd.grad(
            loss, list(model.tensors.values()), retain_graph=True, allow_unused=True
        )
        found[output] = {
            key: torch.zeros_like(individual.weights[key]) if gradient is None else gradient
            for key, gradient in zip(model.tensors, tensors, strict=True)
        }
    return found


def owner(key):
    return Place.named(key).component


def reached(individual, key):
    return [o for o in individual.outputs if owner(key) in {*individual.subgraph(o), o}]


def test_each_output_pulls_by_its_own_loss_times_its_rate(zoo_member, problem, monkeypatch):
    monkeypatch.setitem(OPTIMIZERS, "sgd", OPTIMIZERS["sgd"]._replace(clip=None))
    optimizers = {o: valp.Optimizer("sgd", 1e-4 * k) for k, o in enumerate(zoo_member.outputs)}
    own = gradients(zoo_member, problem)
    _, _, weights = session(zoo_member, problem, optimizers, 1)
    for key, tensor in zoo_member.weights.items():
        pull = sum(
            optimizer.learning_rate * own[output][key] for output, optimizer in optimizers.items()
        )
        torch.testing.assert_close(tensor - weights[key], pull, atol=2e-7, rtol=1e-3)


@each_algorithm
def test_an_output_with_rate_0_rests_and_disturbs_no_other(name, monkeypatch):
    """Whatever its loss is: it goes on as if the loss were not there."""
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    optimizers = settings(individual, (name,)) | {"label": valp.Optimizer(name, 0.0)}
    _, _, weights = session(individual, problem, optimizers, 5)
    monkeypatch.setitem(problem.loss_scale, "label", 1000.0)
    _, _, others = session(individual, problem, optimizers, 5)
    for key, tensor in weights.items():
        assert torch.equal(tensor, others[key])
        assert torch.equal(tensor, individual.weights[key]) == (
            reached(individual, key) == ["label"]
        )


def test_without_any_rate_nothing_moves(zoo_member, problem):
    optimizers = {output: valp.Optimizer("adam", 0.0) for output in zoo_member.outputs}
    history, state, weights = session(zoo_member, problem, optimizers, 3)
    assert torch.isfinite(history).all() and not state
    assert all(torch.equal(tensor, weights[key]) for key, tensor in zoo_member.weights.items())


def test_where_algorithms_differ_a_shared_weight_moves_by_the_mean_of_their_steps():
    individual, problem = without_noise()
    optimizers = {
        "a": valp.Optimizer("adam"),
        "b": valp.Optimizer("rmsprop"),
        "c": valp.Optimizer("rmsprop"),
    }
    _, _, weights = session(individual, problem, optimizers, 1)
    still = {output: valp.Optimizer("adam", 0.0) for output in optimizers}
    _, _, of_a = session(individual, problem, still | {"a": optimizers["a"]}, 1)
    _, _, of_others = session(individual, problem, optimizers | {"a": still["a"]}, 1)
    for key, tensor in individual.weights.items():
        votes = len(reached(individual, key)), "a" in reached(individual, key)
        part = votes[1] / votes[0]
        wanted = tensor + part * (of_a[key] - tensor) + (1 - part) * (of_others[key] - tensor)
        torch.testing.assert_close(weights[key], wanted, atol=1e-7, rtol=1e-5)


def test_a_long_gradient_of_plain_sgd_is_shortened(monkeypatch):
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    monkeypatch.setitem(OPTIMIZERS, "sgd", OPTIMIZERS["sgd"]._replace(clip=1e-3))
    _, _, weights = session(individual, problem, settings(individual, ("sgd",)), 1)
    moved = torch.cat(
        [(tensor - weights[key]).flatten() for key, tensor in individual.weights.items()]
    )
    torch.testing.assert_close(
        moved.norm(), torch.tensor(1e-3 * OPTIMIZERS["sgd"].usual_rate), atol=0, rtol=1e-2
    )


# ---- decay ---------------------------------------------------------------------------------------


@each_mixture
def test_weights_shrink_by_rate_times_decay_and_biases_do_not(mixture):
    zoo_member, problem = zoo.fan_out(), zoo.mixed_problem()
    optimizers = settings(zoo_member, **mixture)
    decay = {output: float(1 + index) for index, output in enumerate(zoo_member.outputs)}
    _, _, plain = session(zoo_member, problem, optimizers, 1)
    shrinking = {name: replace(one, decay=decay[name]) for name, one in optimizers.items()}
    _, _, weights = session(zoo_member, problem, shrinking, 1)
    for key, tensor in zoo_member.weights.items():
        lost = [
            decay[output] * optimizers[output].learning_rate for output in reached(zoo_member, key)
        ]
        shrunk = 0.0 if key.endswith("bias") else sum(lost) / len(lost)
        torch.testing.assert_close(plain[key] - weights[key], shrunk * tensor, atol=3e-6, rtol=2e-3)


# ---- change_sgd ----------------------------------------------------------------------------------


def changed_to(individual, output, name):
    """The individual after ``change_sgd`` gave an output this algorithm."""
    for _ in range(200):
        changed = copy.deepcopy(individual)
        valp.mutChangeSGD(changed, output)
        if changed.optimizers[output].name == name:
            return changed
    raise AssertionError(f"{name} was never drawn")


@each_algorithm
def test_weights_shrink_at_the_same_pace_under_another_algorithm(name):
    individual = zoo.fan_out()
    first = "adagrad" if name == "adam" else "adam"
    with zoo.editing(individual) as draft:
        draft.optimizers = dict.fromkeys(
            draft.outputs, valp.Optimizer(first, OPTIMIZERS[first].usual_rate, decay=0.5)
        )
    now = changed_to(individual, "label", name).optimizers["label"]
    assert now.learning_rate == pytest.approx(OPTIMIZERS[name].usual_rate)
    assert now.learning_rate * now.decay == pytest.approx(0.5 * OPTIMIZERS[first].usual_rate)


def test_without_decay_another_algorithm_brings_none_and_limits_hold():
    individual = zoo.fan_out()
    assert changed_to(individual, "label", "adagrad").optimizers["label"].decay == 0
    with zoo.editing(individual) as draft:
        draft.optimizers = dict.fromkeys(draft.outputs, valp.Optimizer("adagrad", 1e-2, decay=9.0))
    assert changed_to(individual, "label", "adam").optimizers["label"].decay == 10.0


def validation_losses(individual):
    problem = valp.problems.digits()
    data, latents = problem.split("validation"), Latents("reconstruct")
    model = valp.decode(individual)
    results = model.run(data.inputs, latents)
    return sub_losses(model, problem)(results, data.targets, latents).detach()


@pytest.mark.parametrize("start", ["shared", "random"])
def test_plain_sgd_takes_a_trained_model_on(start):
    problem, training = valp.problems.digits(), Training(keep=False, average=0.0, patience=None)
    random.seed(1)
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem, start=start)
    individual.fitness.values = valp.evaluate(individual, problem, 500, 500, training=training)
    before = validation_losses(individual)
    for output in individual.outputs:
        changed = changed_to(individual, output, "sgd")
        changed.fitness.values = valp.evaluate(changed, problem, 100, 100, training=training)
        assert (validation_losses(changed) / before).max() < 1.2, output
