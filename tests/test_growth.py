"""Growth potential and connection intervention: what is lacking, and what harms."""

from __future__ import annotations

import copy

import networkx as nx
import numpy as np
import pytest
import torch
import zoo
from validity import gives, takes

import deap_valp as valp
from deap_valp.diagnosis import Subject, measure
from deap_valp.diagnosis.probe import RANK, WIDTH
from deap_valp.diagnosis.steps import connection_step, network_step
from deap_valp.genome import Connection, mean_effect

NOTHING = 0.04  # a share that sampling alone can give to a probe of five columns


def subject_of(individual, problem, dtype=torch.float32):
    model = valp.decode(individual, dtype=dtype, device=zoo.DEVICE)
    return Subject(model, problem, {}, individual.seed)


def trained(individual, problem, batches):
    for output in individual.outputs:
        with zoo.editing(individual) as draft:
            draft.optimizers[output] = valp.Optimizer("adam", 1e-2)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=batches)
    assert individual.evaluation.ok, individual.evaluation.status
    return individual


def inputs_of(size, names, width=5):
    rng = np.random.default_rng(0)
    return {name: rng.normal(size=(size, width)) for name in names}


# ---- what is lacking -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def lacking():
    """Output y needs inputs a and b and reads a alone; d is pure noise."""
    x = inputs_of(3000, "abd")
    noise = 0.1 * np.random.default_rng(1).normal(size=(3000, 1))
    problem = valp.Problem(
        x,
        {
            "y": valp.Regression(x["a"][:, :1] + x["b"][:, :1] + noise),
            "z": valp.Classification(x["b"][:, 1] > 0),
        },
    )
    networks = {
        "n0": zoo.generic(6, activation="identity"),
        "n1": zoo.generic(20),
        "n2": zoo.discrete(4),
    }
    edges = "a->n0 n0->y b->n1 d->n1 n1->z d->n2 n2->z"
    return trained(zoo.build(problem, networks, edges), problem, 800), problem


@pytest.fixture(scope="module")
def growth(lacking):
    return measure(subject_of(*lacking), ["growth_potential"]).growth


def test_a_trained_connection_has_nothing_to_gain(growth):
    assert abs(growth["a->n0", "y"].linear.share) < NOTHING
    assert abs(growth["n0->y", "y"].linear.share) < NOTHING


def test_a_planted_missing_input_has_the_largest_gain(growth):
    linear = {key[0]: found.linear for key, found in growth.items() if key[1] == "y"}
    known = {place: gain for place, gain in linear.items() if gain is not None}
    assert max(known, key=lambda place: known[place].share) == "b->n0"
    assert known["b->n0"].share > 0.8 and known["b->n0"].gain > 0
    assert growth["b->y", "y"].linear is None, "an input feeds no output"
    assert growth["b->y", "y"].nonlinear.share > 0.8, "but a sub-network in between may"


def test_pure_noise_has_no_gain(growth):
    for (place, output), found in growth.items():
        if place.startswith("d->"):
            gains = [gain.share for gain in found if gain is not None]
            assert max(gains) < NOTHING, (place, output, found)


@pytest.mark.parametrize("provider", ["b", "n1"])
def test_permuting_the_examples_of_a_provider_kills_its_gain(lacking, provider):
    subject = subject_of(*lacking)
    for results, _ in subject.gradients.values():
        order = torch.randperm(len(results[provider]), generator=torch.Generator().manual_seed(0))
        results[provider] = results[provider][order]
    intact = measure(subject_of(*lacking), ["growth_potential"]).growth
    permuted = measure(subject, ["growth_potential"]).growth
    through = {
        key: found
        for key, found in permuted.items()
        if Connection.parse(key[0]).provider == provider
    }
    assert max(intact[key].share for key in through) > 0.3
    assert max(found.share for found in through.values()) < NOTHING


def test_a_curve_is_seen_by_the_nonlinear_probe_alone():
    x = inputs_of(3000, "a")
    problem = valp.Problem(x, {"y": valp.Regression(np.abs(x["a"][:, :1]))})
    individual = zoo.build(problem, {"n0": zoo.generic(3, activation="identity")}, "a->n0 n0->y")
    trained(individual, problem, 300)
    found = measure(subject_of(individual, problem), ["growth_potential"]).growth
    assert found["a->n0", "y"].linear.share < NOTHING and found["a->y", "y"].nonlinear.share > 0.5


@pytest.mark.parametrize("width", [2, 5, 20])
def test_a_product_of_two_inputs_is_seen_by_the_pair_and_by_no_single_provider(width):
    x = inputs_of(3000, "abc", width)
    problem = valp.Problem(x, {"y": valp.Regression(x["a"][:, :1] * x["b"][:, 1:2])})
    networks = {name: zoo.generic(5, activation="identity") for name in ("n0", "n1", "n2")}
    individual = zoo.build(problem, networks, "a->n0 b->n1 c->n2 n0->y n1->y n2->y")
    trained(individual, problem, 300)
    diagnosis = measure(subject_of(individual, problem), ["growth_potential", "pair_potential"])
    assert max(found.share for found in diagnosis.growth.values()) < NOTHING
    shares = {place: gain.share for (place, _), gain in diagnosis.pair_growth.items()}
    assert shares["a*b->y"] > 0.6
    # Five units of twenty columns hold little of the two that matter.
    assert width > 5 or shares["n0*n1->y"] > 0.3
    assert shares["a*c->y"] < NOTHING and shares["b*c->y"] < NOTHING


# ---- the definitions -----------------------------------------------------------------------------


def wide():
    """A provider and a receiver of more directions than a probe reads and predicts."""
    problem = wide_problem()
    return zoo.build(
        problem,
        {"n0": zoo.generic(RANK + 9, 7), "n1": zoo.generic(3)},
        "x->n0 x->n1 n1->n0 n0->y n0->c n1->c",
    )


def wide_problem():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, WIDTH + 30)) @ rng.normal(size=(WIDTH + 30, WIDTH + 30))
    return valp.Problem(
        {"x": x}, {"y": valp.Regression(x[:, :2]), "c": valp.Classification(x[:, 3] > 0)}
    )


def shifted_loss(subject, receiver, output, shift):
    """The validation loss of an output where the receiver reads ``shift`` (examples, rows) more."""
    changed = copy.copy(subject.model)
    key = changed.entry_bias[receiver]
    changed.tensors = {**changed.tensors, key: changed.tensors[key] + shift}
    losses = subject.losses(changed, changed.behind(receiver))
    return float(losses[changed.outputs.index(output)])


@pytest.mark.parametrize("name", [*zoo.NAMES, "wide"])
@torch.no_grad()
def test_a_step_along_the_prediction_lowers_the_loss_by_the_gain_to_first_order(name):
    individual = wide() if name == "wide" else zoo.member(name)
    problem = wide_problem() if name == "wide" else zoo.problem_of(name)
    subject = subject_of(individual, problem, torch.float64)
    growth = measure(subject, ["growth_potential"]).growth
    assert growth
    for (place, output), found in list(growth.items())[:: max(1, len(growth) // 12)]:
        provider, receiver = place.split("->")
        result = subject.intact[provider]
        if found.linear is not None:
            step = connection_step(subject, provider, (receiver, output))
            assert step.block.shape[0] == individual.rows(receiver)
            shift = result @ step.block.T + step.bias
            check_first_order(subject, receiver, output, shift, found.linear)
        if found.nonlinear is not None:
            new = network_step(subject, provider, (receiver, output))
            units = torch.relu(result @ new.read.T + new.read_bias)
            shift = units @ new.block.T + new.bias
            check_first_order(subject, receiver, output, shift, found.nonlinear)


def check_first_order(subject, receiver, output, shift, gain):
    size = 1e-5 / max(float(shift.abs().max()), 1e-9)
    ahead, back = (shifted_loss(subject, receiver, output, sign * size * shift) for sign in (1, -1))
    scale = float(shift.square().sum(1).mean().sqrt())
    assert (back - ahead) / (2 * size) == pytest.approx(gain.gain, rel=1e-4, abs=1e-7 * scale)


def may_join(individual, provider, receiver):
    """Whether the type table lets a connection be, and whether there is no cycle."""
    graph = individual.graph
    reads_input = provider in individual.inputs
    if (reads_input and receiver in individual.outputs) or provider == receiver:
        return False
    given = "features" if reads_input else gives(individual.component(provider))
    taken = takes(individual.component(receiver))
    if taken == {"maps"} and individual.component(provider).maps:
        given = "maps"
    return given in taken and not nx.has_path(graph, receiver, provider)


def test_the_linear_gain_is_of_every_pair_that_may_be_joined(zoo_member, problem):
    found = measure(subject_of(zoo_member, problem), ["growth_potential"]).growth
    expected = set()
    for provider in (*zoo_member.inputs, *zoo_member.networks):
        for receiver in (*zoo_member.networks, *zoo_member.outputs):
            if may_join(zoo_member, provider, receiver):
                place = Connection(provider, receiver)
                reached = zoo_member.outputs_of(receiver) | {receiver}
                expected |= {(place, output) for output in reached & set(zoo_member.outputs)}
    assert {key for key, growth in found.items() if growth.linear is not None} == expected
    assert all(growth.share <= 1 and np.isfinite(growth.share) for growth in found.values())


def test_shares_are_the_part_that_is_explained(lacking):
    """The share again, from the predictions themselves."""
    subject = subject_of(*lacking, torch.float64)
    found = measure(subject, ["growth_potential"]).growth["b->n0", "y"].linear
    step = connection_step(subject, "b", ("n0", "y"))
    prediction = subject.intact["b"] @ step.block.T + step.bias
    gradient = subject.gradients["validation"][1]["n0", "y"]
    centred = gradient - subject.gradients["train"][1]["n0", "y"].mean(0)
    missed = (centred - prediction).square().sum() / centred.square().sum()
    assert found.share == pytest.approx(1 - float(missed), abs=1e-9)
    assert found.gain == pytest.approx(float((prediction * gradient).sum(1).mean()), abs=1e-9)


def test_a_loss_of_the_user_s_own_is_looked_at_too():
    x = inputs_of(800, "ab")
    target = valp.Regression(x["b"][:, :1], loss=torch.nn.functional.smooth_l1_loss)
    problem = valp.Problem(x, {"y": target})
    networks = {"n0": zoo.generic(4), "n1": zoo.generic(2)}
    individual = zoo.build(problem, networks, "a->n0 n0->y b->n1 n1->y")
    with zoo.editing(individual) as draft:
        draft.connect("b", "n1", torch.zeros_like(individual.block("b", "n1")))
    found = measure(subject_of(individual, problem), ["growth_potential"]).growth
    assert found["b->n0", "y"].share > found["a->n0", "y"].share


# ---- what harms ----------------------------------------------------------------------------------


def test_a_connection_that_carries_nothing_changes_nothing(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    for provider, receiver in individual.graph.edges:
        deaf = copy.deepcopy(individual)
        with zoo.editing(deaf) as draft:
            draft.connect(provider, receiver, torch.zeros_like(deaf.block(provider, receiver)))
        found = measure(subject_of(deaf, problem), ["connection_intervention"]).change_without
        changes = [v for (place, _), v in found.items() if place == Connection(provider, receiver)]
        assert changes and all(change == 0 for change in changes)


def test_it_is_the_loss_after_deleting_and_folding_the_mean_into_the_bias(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    subject = subject_of(individual, problem)
    found = measure(subject, ["connection_intervention"]).change_without
    assert set(found) == {
        (place, output)
        for place in individual.connections
        for output in (individual.outputs_of(place.component) | {place.component})
        & set(individual.outputs)
    }
    for provider, receiver in individual.graph.edges:
        folded = copy.deepcopy(individual)
        bias, block = folded.entry_bias(receiver), folded.block(provider, receiver)
        ends = [folded.component(end) for end in (provider, receiver)]
        mean = mean_effect(*ends, block, subject.intact[provider].mean(0).detach().cpu())
        with zoo.editing(folded) as draft:
            draft.weights[bias] = folded.weights[bias] + mean
        with zoo.editing(folded) as draft:
            draft.connect(provider, receiver, torch.zeros_like(block))
        changes = subject_of(folded, problem).intact_losses - subject.intact_losses
        for output, change in zip(subject.model.outputs, changes.tolist(), strict=True):
            got = found.get((Connection(provider, receiver), output), 0.0)
            assert got == pytest.approx(change, abs=1e-4 * (1 + abs(change)))


def test_it_is_the_loss_after_the_input_was_deleted(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    metrics = ["connection_intervention", "input_removal"]
    individual.fitness.values = valp.evaluate(individual, problem, 20, 20, metrics=metrics)
    diagnosis, before = individual.evaluation.diagnosis, intact_losses(individual, problem)
    for name in valp.operators()["delete_input"].places(individual, False):
        changed = copy.deepcopy(individual)
        valp.mutDeleteInput(changed, name)
        assert not changed.receivers(name)
        for output, loss in intact_losses(changed, problem).items():
            change = diagnosis.change_without_input.get((name, output), 0.0)
            assert loss - before[output] == pytest.approx(change, abs=1e-4 * (1 + abs(change)))


def intact_losses(individual, problem):
    subject = subject_of(individual, problem)
    return dict(zip(subject.model.outputs, subject.intact_losses.tolist(), strict=True))


def test_sub_networks_of_the_deleted_input_alone_go_with_it():
    x = inputs_of(100, "ad")
    problem = valp.Problem(x, {"y": valp.Regression(x["a"][:, :1])})
    networks = {name: zoo.generic(4) for name in ("n0", "n1", "n2", "n3")}
    individual = zoo.build(problem, networks, "a->n0 d->n1 n1->n2 n0->n3 n2->n3 n3->y n1->y")
    assert set(valp.operators()["delete_input"].places(individual, False)) == {"a", "d"}
    valp.mutDeleteInput(individual, "d")
    assert individual.connections == ("a->n0", "n0->n3", "n3->y")
    assert not valp.operators()["delete_input"].places(individual, False)  # y depends on a alone


def test_an_output_is_better_without_noise_and_worse_without_what_it_needs():
    x = inputs_of(600, "ad")
    problem = valp.Problem(x, {"y": valp.Regression(x["a"][:, :1])})
    individual = zoo.build(
        problem, {"n0": zoo.generic(4, activation="identity")}, "a->n0 d->n0 n0->y"
    )
    trained(individual, problem, 200)
    individual.genome = individual.inherited()
    with zoo.editing(individual) as draft:
        draft.connect("d", "n0", torch.full_like(individual.block("d", "n0"), 0.2))
    found = measure(subject_of(individual, problem), ["connection_intervention"]).change_without
    assert found["d->n0", "y"] < 0 < found["a->n0", "y"]


@pytest.mark.parametrize("scale", [0.0, 1e-30, 1e8, 1e25, float("nan")])
def test_a_ruined_model_gives_finite_numbers(scale, zoo_member, problem):
    """A diagnosis that raised would fail the evaluation, whose scores may still be finite."""
    subject = subject_of(zoo_member, problem)
    with torch.no_grad():
        for tensor in subject.model.tensors.values():
            tensor.mul_(scale)
    found = measure(subject, valp.GROWTH_METRICS)
    gains = [gain for growth in found.growth.values() for gain in growth if gain is not None]
    gains += found.pair_growth.values()
    assert gains and np.isfinite(np.array(gains)).all()
    assert all(gain.share < 1.001 for gain in gains)
    assert np.isfinite(list(found.change_without.values())).all()
    assert np.isfinite(list(found.change_without_input.values())).all()


# ---- reading them --------------------------------------------------------------------------------


def test_a_diagnosis_prints_the_largest_gains_in_plain_numbers(lacking):
    text = str(valp.diagnose(*lacking, metrics=["growth_potential", "connection_intervention"]))
    lines = [line.split() for line in text.splitlines() if line.startswith("growth_potential")]
    assert lines[0][1] in ("b->n0", "b->y") and lines[0][-1].endswith("%")
    assert len(lines) <= 8 and "connection_intervention n0->y" in text
