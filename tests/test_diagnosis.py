"""The metrics: exact where the answer is known."""

from __future__ import annotations

import copy
import pickle
import random
import re

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.diagnosis import CAP, METRICS, Subject, measure
from deap_valp.diagnosis.loss_slope import fit_slope
from deap_valp.diagnosis.mutual_information import cells_of
from deap_valp.diagnosis.subject import loss_ratio
from deap_valp.errors import EvaluationError, RegistrationError


def relevance(individual, problem):
    model = valp.decode(individual, device=zoo.DEVICE)
    return measure(
        Subject(model, problem, {}, individual.seed), ["module_intervention"]
    ).relevance, model


def test_relevance_is_given_for_every_output_that_is_reached(zoo_member, problem):
    found, _ = relevance(zoo_member, problem)
    assert set(found) == {(n, o) for n in zoo_member.networks for o in zoo_member.outputs_of(n)}
    assert all(0 <= value <= CAP for value in found.values())


def test_weights_are_restored_bit_for_bit(zoo_member, problem):
    _, model = relevance(zoo_member, problem)
    assert all(
        torch.equal(model.weights()[key].cpu(), tensor)
        for key, tensor in zoo_member.weights.items()
    )


def test_what_no_receiver_reads_has_relevance_exactly_one(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    for network in individual.networks:
        deaf = copy.deepcopy(individual)
        for receiver in deaf.receivers(network):
            with zoo.editing(deaf) as draft:
                draft.connect(network, receiver, torch.zeros_like(deaf.block(network, receiver)))
        found, _ = relevance(deaf, problem)
        assert all(found[network, output] == 1.0 for output in deaf.outputs_of(network)), network


def test_the_only_path_is_relevant():
    problem = zoo.mixed_problem()
    individual = zoo.fan_out()
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=600)
    found = individual.evaluation.diagnosis.relevance
    assert found["n2", "value"] > 1.2 and found["n0", "value"] > 1.2


def test_only_what_lies_behind_is_computed_again(monkeypatch):
    from deap_valp.training.model import Model

    individual, problem, orders = zoo.fan_out(), zoo.mixed_problem(), []
    run = Model.run
    monkeypatch.setattr(
        Model,
        "run",
        lambda self, known, latents, order=None: (
            orders.append(order) or run(self, known, latents, order)
        ),
    )
    relevance(individual, problem)
    intact, *changed = orders
    assert intact is None and len(changed) == len(individual.networks)
    assert ("n2", "value") in changed and ("n1", "label") in changed


def test_a_generation_output_is_measured_in_reconstruction():
    """Under ``generate`` nothing upstream of the latent could matter."""
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    problem = valp.Problem({"x": x}, {"image": valp.Generation(x)})
    individual = zoo.build(
        problem, {"n0": zoo.generic(12), "n1": zoo.decoder(6, 12)}, "x->n0 n0->n1 n1->image"
    )
    with zoo.editing(individual) as draft:
        draft.optimizers["image"] = valp.Optimizer("adam", 1e-2)
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=800)
    assert individual.evaluation.diagnosis.relevance["n0", "image"] > 1.2


@pytest.mark.parametrize("slope", [-1e-3, -2e-5, 0.0, 1e-4])
@pytest.mark.parametrize("seed", range(5))
def test_a_synthetic_slope_is_recovered_within_its_standard_error(slope, seed):
    rng = np.random.default_rng(seed)
    steps = 1000
    found = fit_slope(1 + slope * np.arange(steps) + 0.1 * rng.normal(size=steps))
    assert abs(found.slope - slope) < 4 * found.error
    assert found.error == pytest.approx(0.1 / np.sqrt(steps**3 / 12), rel=0.1)


def test_an_exact_line_has_no_error():
    found = fit_slope(np.linspace(3, 1, 101))
    assert found.slope == pytest.approx(-0.02) and found.error < 1e-12


@pytest.mark.parametrize("losses", [[], [1.0], [1.0, 2.0]])
def test_of_too_few_steps_nothing_is_known(losses):
    found = fit_slope(np.asarray(losses))
    assert found.slope == 0 and found.error == float("inf")
    assert valp.Thresholds().state(found) == "stuck"


@pytest.mark.parametrize(
    ("output", "before", "after", "expected"),
    [
        ("label", 0.8, 0.8, 1.0),
        ("label", 0.8, 0.4, 2.0),
        ("label", 0.8, 0.0, 80.0),
        ("label", 0.0, 0.0, 1.0),
        ("value", 0.5, 1.0, 2.0),
        ("value", 0.0, 0.0, 1.0),
        ("value", 0.0, 1.0, CAP),
        ("value", 1.0, float("inf"), CAP),
        ("value", 1.0, float("nan"), CAP),
    ],
)
def test_relevance_of_a_change(output, before, after, expected):
    assert loss_ratio(zoo.mixed_problem(), output, before, after, 100) == pytest.approx(expected)


def test_diagnosing_again_gives_the_same(zoo_member, problem):
    zoo_member.fitness.values = valp.evaluate(zoo_member, problem, first_batches=10)
    again = valp.diagnose(zoo_member, problem, metrics=valp.DEFAULT_METRICS)
    assert str(again) == str(zoo_member.evaluation.diagnosis)


def test_it_prints_a_row_for_each_sub_network(zoo_member, problem):
    zoo_member.fitness.values = valp.evaluate(zoo_member, problem, first_batches=10)
    text = str(zoo_member.evaluation.diagnosis)
    assert (
        all(f"module_intervention {name}" in text for name in zoo_member.networks)
        and "loss_slope" in text
    )


def test_only_what_was_evaluated_can_be_diagnosed():
    with pytest.raises(EvaluationError, match="a successful evaluation of its own, got none"):
        valp.diagnose(zoo.smallest(), zoo.plain_problem())


def test_an_unknown_metric_is_named():
    individual = zoo.smallest()
    individual.fitness.values = valp.evaluate(individual, zoo.plain_problem(), first_batches=3)
    with pytest.raises(RegistrationError, match=r"metrics among \['loss_slope'.*got \['mood'\]"):
        valp.diagnose(individual, zoo.plain_problem(), metrics=["mood"])


# ---- input intervention, dependency, mutual information ------------------------------------------


def subject_of(individual, problem, **options):
    return Subject(
        valp.decode(individual, device=zoo.DEVICE), problem, {}, individual.seed, **options
    )


def test_a_permuted_input_that_nothing_reads_is_exactly_irrelevant(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    for name in individual.inputs:
        deaf = copy.deepcopy(individual)
        for receiver in deaf.receivers(name):
            with zoo.editing(deaf) as draft:
                draft.connect(name, receiver, torch.zeros_like(deaf.block(name, receiver)))
        found = measure(subject_of(deaf, problem), ["input_intervention"]).input_relevance
        assert all(found[name, output] == 1.0 for output in deaf.outputs_of(name))


def test_every_input_is_measured_for_what_it_reaches(zoo_member, problem):
    found = measure(subject_of(zoo_member, problem), ["input_intervention"]).input_relevance
    assert set(found) == {(i, o) for i in zoo_member.inputs for o in zoo_member.outputs_of(i)}


def test_features_are_told_apart():
    """The target is the first two columns; permuting the others changes nothing."""
    x = torch.randn(600, 6, generator=torch.Generator().manual_seed(0))
    problem = valp.Problem({"x": x}, {"y": valp.Regression(x[:, :2] * 3)})
    individual = zoo.build(problem, {"n0": zoo.generic(6, activation="identity")}, "x->n0 n0->y")
    first = torch.eye(6)
    first[2:] = 0
    with zoo.editing(individual) as draft:
        draft.connect("x", "n0", first)
    features = {"x": {"used": [0, 1], "unused": range(2, 6)}}
    found = measure(
        subject_of(individual, problem, features=features), ["input_intervention"]
    ).input_relevance
    assert found["x[unused]", "y"] == 1.0
    assert found["x[used]", "y"] != 1.0 and found["x", "y"] != 1.0
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=5)
    assert ("x[used]", "y") in valp.diagnose(individual, problem, features=features).input_relevance
    with pytest.raises(valp.ProblemError, match=r"inputs among \['x'\], got 'z'"):
        valp.diagnose(individual, problem, features={"z": {"all": [0]}})
    with pytest.raises(
        valp.ProblemError, match=r"'far' of input x needs columns from 0 to 5, got \[6\]"
    ):
        valp.diagnose(individual, problem, features={"x": {"far": [0, 6]}})


@pytest.fixture(scope="module")
def planted():
    """n0 passes the signal on, n1 hides it."""
    x = torch.randn(2000, 5, generator=torch.Generator().manual_seed(0))
    label = (x[:, 0] > 0).long()
    problem = valp.Problem(
        {"x": x}, {"y": valp.Regression(x[:, :1]), "c": valp.Classification(label)}
    )
    edges = "x->n0 x->n1 n0->y n1->y n0->c n1->c n0->n2 n2->y"
    networks = {
        "n0": zoo.generic(3, activation="identity"),
        "n1": zoo.generic(3),
        "n2": zoo.generic(2),
    }
    individual = zoo.build(problem, networks, edges)
    signal, hidden = torch.zeros(3, 5), torch.zeros(3, 5)
    signal[:, 0] = torch.tensor([1.0, -2.0, 0.5])
    hidden[:, 3] = 1
    with zoo.editing(individual) as draft:
        draft.connect("x", "n0", signal)
        draft.connect("x", "n1", hidden)
    return individual, problem


@pytest.mark.parametrize("scale", [1e-25, 1e25])
def test_the_scale_of_a_result_tells_nothing(scale):
    values = torch.randn(500, 6, generator=torch.Generator().manual_seed(0))
    assert np.array_equal(cells_of(values * scale, 2), cells_of(values, 2))


@pytest.mark.parametrize(
    ("metric", "much", "little"), [("dependency", 0.5, 0.05), ("mutual_information", 0.4, 0.05)]
)
def test_a_planted_linear_signal_is_found(metric, much, little, planted):
    found = measure(subject_of(*planted), [metric]).measured[metric]
    for output in ("y", "c"):
        assert found["n0", output].own > much and found["n1", output].own < little
        assert found["n1", output].gain < 0
    assert found["n2", "y"].providers == found["n0", "y"].own


def test_dependency_is_given_for_every_output_that_is_reached(zoo_member, problem):
    diagnosis = measure(subject_of(zoo_member, problem), ["dependency", "mutual_information"])
    pairs = {(n, o) for n in zoo_member.networks for o in zoo_member.outputs_of(n)}
    assert set(diagnosis.dependency) == pairs == set(diagnosis.measured["mutual_information"])
    for values in diagnosis.measured.values():
        assert all(value.own >= 0 and value.providers >= 0 for value in values.values())
    assert all(value.own <= 1 and value.providers <= 1 for value in diagnosis.dependency.values())


# ---- the registry --------------------------------------------------------------------------------


@pytest.fixture
def foreign():
    """A metric that the package does not ship, registered for the length of a test."""
    shipped = dict(METRICS)

    @valp.metric
    def head_norm(subject):
        norms = {}
        for output in subject.model.outputs:
            norms[output] = float(subject.model.tensors_of(output)[f"{output}.bias"].norm())
        return norms

    yield "head_norm"
    METRICS.clear()
    METRICS.update(shipped)


@pytest.fixture(params=[*METRICS, "head_norm"])
def any_metric(request, foreign):
    return request.param


def trained(individual, problem, **options):
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=5, **options)
    assert individual.evaluation.ok, individual.evaluation.status
    return individual


def test_the_list_of_all_metrics_follows_the_registry(foreign):
    assert foreign in valp.ALL_METRICS and set(valp.ALL_METRICS) == set(METRICS)
    assert valp.ALL_METRICS[: len(valp.DEFAULT_METRICS)] == valp.DEFAULT_METRICS
    assert foreign in pickle.loads(pickle.dumps(valp.ALL_METRICS))
    assert (
        foreign
        in valp.diagnose(trained(zoo.smallest(), zoo.plain_problem()), zoo.plain_problem()).measured
    )


def test_a_name_belongs_to_one_module(foreign):
    def head_norm(subject):
        return {}

    head_norm.__module__ = "elsewhere"
    with pytest.raises(RegistrationError, match=f"got 'head_norm': {__name__} has it already"):
        valp.metric(head_norm)


def test_every_metric_tells_of_outputs_by_component_or_connection(any_metric, zoo_member, problem):
    """The contract: keys are outputs, or pairs of a place and an output that it reaches."""
    found = measure(subject_of(zoo_member, problem), [any_metric]).measured[any_metric]
    for key in found:
        output = key[-1] if isinstance(key, tuple) else key
        assert output in zoo_member.outputs
        if isinstance(key, tuple):
            place, _ = key
            names = re.split(r"->|\*", place)
            assert all(name in zoo_member.graph for name in names), place
            assert output in zoo_member.outputs_of(names[-1]) | {names[-1]}


def test_every_metric_leaves_the_model_as_it_was(any_metric, zoo_member, problem):
    subject = subject_of(zoo_member, problem)
    before, drawn = subject.model.weights(), (random.getstate(), torch.get_rng_state().tolist())
    measure(subject, [any_metric])
    after = subject.model.weights()
    assert drawn == (random.getstate(), torch.get_rng_state().tolist())
    assert all(torch.equal(after[key], tensor) for key, tensor in before.items())
    assert all(p.requires_grad and p.grad is None for p in subject.model.parameters())


def test_every_metric_gives_the_same_again(any_metric, zoo_member, problem):
    first = measure(subject_of(zoo_member, problem), [any_metric])
    random.random(), torch.rand(1)
    again = measure(subject_of(zoo_member, problem), [any_metric])
    assert first == again and str(first) == str(again)


def test_every_metric_is_carried_by_an_evaluation(any_metric, zoo_member, problem):
    trained(zoo_member, problem, metrics=(any_metric,))
    diagnosis = zoo_member.evaluation.diagnosis
    assert pickle.loads(pickle.dumps(diagnosis)) == diagnosis
    found = diagnosis.measured[any_metric]
    assert (any_metric in str(diagnosis)) is bool(found)
    one_input = any_metric in ("pair_potential", "input_removal") and len(problem.inputs) == 1
    assert found or one_input
