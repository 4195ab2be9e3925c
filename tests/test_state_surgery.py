"""The optimizers' state goes through every operator with the tensors, rows and columns it is of."""

from __future__ import annotations

import copy
import functools
import random

import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.genome.optimizers import OPTIMIZERS
from deap_valp.training import Training

GOING_ON = Training(keep=False, patience=None, carry=True)
ALL = [
    (name, version)
    for name, op in valp.operators().items()
    if op.scope != "crossover"
    for version in op.versions
]


@functools.cache
def trained_once(zoo_name):
    """A member after a few steps of several algorithms, so that moments of each power are there."""
    # Not the seed of the tests: a changed individual could draw the seed that this one has.
    random.seed(zoo_name)
    individual = zoo.member(zoo_name)
    names = ("adam", "sgd", "rmsprop")
    with zoo.editing(individual) as draft:
        draft.optimizers = {
            output: valp.Optimizer(names[index % 3], OPTIMIZERS[names[index % 3]].usual_rate)
            for index, output in enumerate(individual.outputs)
        }
    problem = zoo.problem_of(zoo_name)
    individual.fitness.values = valp.evaluate(individual, problem, 4, 4, training=GOING_ON)
    assert individual.evaluation.ok
    return individual


@pytest.fixture
def trained(zoo_name):
    """A copy of the member."""
    return copy.deepcopy(trained_once(zoo_name))


def after_each(individual, name, version):
    """Yield each place with the genome that the operator makes there."""
    for place in valp.operators()[name].places(individual, version == "gentle"):
        changed = copy.deepcopy(individual)
        valp.Move(name, version, place).apply(changed)
        yield place, changed.genome


def moments(state):
    """The moments of all algorithms, each with the power of the gradient that it is a mean of."""
    for name, block in sorted(state.items()):
        for moment, power in zip(block.moments, OPTIMIZERS[name].powers, strict=True):
            yield f"{name} {power}", moment


def same_state(one, other):
    if {name: block.steps for name, block in one.items()} != {
        name: block.steps for name, block in other.items()
    }:
        return False
    pairs = zip(moments(one), moments(other), strict=True)
    return all(torch.equal(mine, wanted) for (_, mine), (_, wanted) in pairs)


@pytest.mark.parametrize(("name", "version"), ALL)
def test_a_tensor_that_is_bit_equal_to_one_before_keeps_its_state(name, version, trained):
    """Under its old name or another one, in one place or in several."""
    before = trained.inherited()
    for place, after in after_each(trained, name, version):
        for key, tensor in after.weights.items():
            equal = [old for old, was in before.weights.items() if torch.equal(was, tensor)]
            states = [before.optimizer_state[old] for old in equal]
            if states:
                assert any(same_state(after.optimizer_state[key], s) for s in states), (place, key)


@pytest.mark.parametrize(("name", "version"), ALL)
def test_a_state_fits_its_tensor_and_its_algorithm(name, version, trained):
    for place, after in after_each(trained, name, version):
        assert after.optimizer_state.keys() <= after.weights.keys()
        for key, state in after.optimizer_state.items():
            for what, moment in moments(state):
                assert moment.shape == after.weights[key].shape, (place, key)
                assert torch.isfinite(moment).all()
                if what.endswith("2"):
                    assert (moment >= 0).all(), (place, key, what)


# ---- units: rows of what a layer reads by, columns of what it is read by -------------------------


class Grown:
    """A tensor that got further units: values and moments, before and after, units as rows."""

    def __init__(self, key, old, new, past, now):
        self.key, self.old, self.new, self.past, self.now = key, old, new, past, now

    @property
    def moments(self):
        """The power of the gradient, then the moment before and after."""
        return [(what[-1], self.past[what], moment) for what, moment in self.now.items()]


def grown_tensors(before, after, halves=False):
    """Yield every tensor that changed its shape. ``halves`` takes two heads as two tensors."""
    for key, new in after.weights.items():
        old = before.weights.get(key)
        if old is None or old.shape == new.shape:
            continue
        past, now = (dict(moments(g.optimizer_state[key])) for g in (before, after))
        network = key.split(".")[0]
        seeds = key.endswith((".0.weight", ".0.bias")) and is_painter(before, network)
        if seeds and len(old) != len(new):
            positions = len(old) // before.component(network).layers[0].width

            def by_unit(rows, positions=positions):
                return rows.view(positions, -1, *rows.shape[1:]).transpose(0, 1).flatten(1)

            old, new = by_unit(old), by_unit(new)
            past, now = ({what: by_unit(m) for what, m in each.items()} for each in (past, now))
            yield Grown(key, old, new, past, now)
        elif len(old) == len(new):
            by_unit = units_as_rows(before, key)
            old, new = by_unit(old), by_unit(new)
            past, now = ({what: by_unit(m) for what, m in each.items()} for each in (past, now))
            yield Grown(key, old, new, past, now)
        elif not halves:
            yield Grown(key, old, new, past, now)
        else:
            for half in (0, 1):
                parts = [
                    {what: m.chunk(2)[half] for what, m in each.items()} for each in (past, now)
                ]
                yield Grown(key, old.chunk(2)[half], new.chunk(2)[half], *parts)


def is_painter(genome, network):
    """Whether a sub-network's first layer has its channels at each position, one below another."""
    return network in genome.networks and genome.component(network).kind == "painter"


def units_as_rows(genome, key):
    """Return a function that makes rows of a tensor's columns; those of a channel are one row."""
    provider, arrow, _ = key.partition("->")
    maps = genome.component(provider).maps if arrow else None

    def rows(tensor):
        positions = maps.positions if maps and tensor.dim() == 2 else 1
        return tensor.reshape(-1, tensor.shape[-1] // positions).T

    return rows


def copied_unit(tensor, unit):
    """The unit that a new one copies, or that shares what was its weights with the new one."""
    for index, row in enumerate(tensor.old):
        copies = torch.equal(row, unit)
        shares = torch.equal(row - tensor.new[index], unit) and bool(unit.any())
        if copies or shares:
            return index
    raise AssertionError(f"no unit of {tensor.key} is copied")


def test_a_copied_unit_has_the_moments_of_the_one_it_copies(trained):
    before, seen = trained.inherited(), 0
    for place, after in after_each(trained, "extend_layer", "gentle"):
        if place.endswith("latent"):
            continue
        for tensor in grown_tensors(before, after):
            size = len(tensor.old)
            copied = [copied_unit(tensor, unit) for unit in tensor.new[size:]]
            for _, was, moment in tensor.moments:
                assert torch.equal(moment[:size], was)
                assert torch.equal(moment[size:], was[copied]), (place, tensor.key)
                seen += 1
    assert seen


@pytest.mark.parametrize("version", ["gentle", "aggressive"])
def test_a_new_unit_has_no_mean_gradient_but_a_mean_square_of_its_layer(version, trained):
    """Random units, and the new dimensions of a latent, which are zero if gentle."""
    before = trained.inherited()
    for place, after in after_each(trained, "extend_layer", version):
        latent = place.endswith("latent")
        if version == "gentle" and not latent:
            continue
        for tensor in grown_tensors(before, after, halves=latent):
            size = len(tensor.old)
            for power, was, moment in tensor.moments:
                assert torch.equal(moment[:size], was)
                for new in moment[size:]:
                    if power == "1":
                        assert not new.any(), (place, tensor.key)
                    else:
                        assert any(torch.equal(new, row) for row in was), (place, tensor.key)


def pairs_of(before, after):
    """Yield the states of tensors that are twice an old one, the second time with minus signs."""
    for key, new in after.weights.items():
        for old_key, old in before.weights.items():
            for dim in range(old.dim()):
                both = torch.cat([old, -old], dim)
                if new.shape == both.shape and torch.equal(new, both):
                    states = before.optimizer_state[old_key], after.optimizer_state[key]
                    yield dim, *(dict(moments(state)) for state in states)


@pytest.mark.parametrize("name", ["add_layer", "insert_network"])
def test_the_negative_half_of_a_pair_was_pulled_the_other_way(name):
    before, dims = trained_once("fan_in").inherited(), set()
    for _, after in after_each(trained_once("fan_in"), name, "gentle"):
        for dim, past, now in pairs_of(before, after):
            dims.add(dim)
            for what, moment in now.items():
                sign = -1.0 if what.endswith("1") else 1.0
                assert torch.equal(moment, torch.cat([past[what], sign * past[what]], dim))
    assert dims >= {"add_layer": {1}, "insert_network": {0, 1}}[name]


def test_a_softmax_that_is_the_only_layer_hands_its_rows_to_the_new_one():
    individual = trained_once("one_discrete")
    before = individual.inherited()
    (after,) = [g for place, g in after_each(individual, "add_layer", "gentle") if place == "n0.0"]
    assert [dim for dim, _, _ in pairs_of(before, after)] == [0, 0]  # the block and the bias


@pytest.mark.parametrize("name", ["clone_network", "extend_layer"])
def test_after_a_gentle_copy_no_tensor_starts_anew(name, trained):
    for place, after in after_each(trained, name, "gentle"):
        assert after.optimizer_state.keys() == after.weights.keys(), place


def test_after_a_clone_both_have_the_original_s_state(trained):
    before = trained.inherited()
    for place, after in after_each(trained, "clone_network", "gentle"):
        (clone,) = set(after.networks) - set(before.networks)
        for key, tensor in before.weights.items():
            twins = [key]
            if key.split("->")[0] == place or key.split("->")[-1].split(".")[0] == place:
                twins.append("->".join(clone if end == place else end for end in key.split("->")))
                twins[1] = twins[1].replace(f"{place}.", f"{clone}.", 1)
            for twin in twins:
                assert after.weights[twin].shape == tensor.shape
                assert same_state(after.optimizer_state[twin], before.optimizer_state[key])


def test_a_state_of_an_algorithm_that_is_not_registered_is_dropped(monkeypatch):
    individual = copy.deepcopy(trained_once("smallest"))
    valp.mutChangeSGD(individual, individual.outputs[0])
    monkeypatch.delitem(OPTIMIZERS, "adam")
    valp.mutExtendLayer(individual, "n0.0")
    assert individual.genome.optimizer_state["x->n0"] == {}


# ---- training goes on ----------------------------------------------------------------------------

STRUCTURAL = [
    name
    for name, op in valp.operators().items()
    if "gentle" in op.versions and op.scope in ("macro", "micro")
]


@functools.cache
def trained_on_digits(seed):
    problem = valp.problems.digits()
    random.seed(seed)
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    individual.fitness.values = valp.evaluate(
        individual, problem, 300, 300, training=Training(carry=True), metrics=()
    )
    return individual


def first_losses(genome, training):
    """The mean loss of every output over the first 20 batches, which are the same for all."""
    problem = valp.problems.digits()
    individual = zoo.individual_class(problem.weights)(genome, seed=1)
    session = valp.evaluate(individual, problem, 20, 20, training=training, metrics=())
    return torch.tensor([losses.mean() for losses in session.history.values()])


@functools.cache
def unchanged_losses(seed):
    return first_losses(trained_on_digits(seed).inherited(), Training(carry=True))


def jumps(name, seed, training):
    """What a gentle operator does to the losses of the first 20 batches: a factor by output."""
    individual = copy.deepcopy(trained_on_digits(seed))
    random.seed(seed)
    places = valp.operators()[name].places(individual, True)
    if not places:
        pytest.skip("digits has one input")
    valp.Move(name, "gentle", random.choice(places)).apply(individual)
    return first_losses(individual.genome, training) / unchanged_losses(seed)


@pytest.mark.parametrize(("carry", "most"), [(False, 1.08), (True, 1.05)], ids=["anew", "carried"])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", STRUCTURAL)
def test_a_session_after_a_gentle_operator_begins_at_the_loss_before_it(name, seed, carry, most):
    assert jumps(name, seed, Training(carry=carry)).max() < most


def test_with_optimizers_that_start_anew_at_the_full_rate_the_loss_jumps():
    fresh = Training(warmup=0)
    found = [jumps("clone_network", seed, fresh).max() for seed in range(3)]
    assert min(found) > 1.05
