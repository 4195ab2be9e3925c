"""The shared start: what it is, and that training begins well from it."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.genome import check, init
from deap_valp.genome.start import LINEAR_PATH, TRUNK


def shared(problem, **options):
    random.seed(4)
    return valp.initVALP(zoo.individual_class(problem.weights), problem, **options)


def table_problem(rows=300, noise=0.0):
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(rows, 4)), rng.normal(size=(rows, 3))
    target = x @ rng.normal(size=(4, 2)) + noise * rng.normal(size=(rows, 2))
    outputs = {"a": valp.Regression(target), "b": valp.Classification(y[:, 0] > 0)}
    return valp.Problem({"x": x, "y": y}, outputs)


@pytest.mark.parametrize("start", ["shared", "random"])
def test_a_random_graph_has_all_the_sub_networks_that_the_outputs_need(start, monkeypatch):
    monkeypatch.setattr(init, "least_networks", lambda problem: 8)
    monkeypatch.setattr(init, "shared_start", lambda *arguments: None)  # as where no kind fits
    individual = shared(zoo.mixed_problem(), start=start)
    assert len(individual.networks) == 8


@pytest.fixture(params=["mixed", "plain", "tables"])
def problem(request):
    makers = {"mixed": zoo.mixed_problem, "plain": zoo.plain_problem, "tables": table_problem}
    return makers[request.param]()


def test_every_output_of_values_reads_trunk_and_linear_path_which_read_every_input(problem):
    individual = shared(problem)
    check(individual, problem)
    layers = {name: individual.component(name).layers for name in individual.networks}
    for output in individual.outputs:
        if "values" not in individual.component(output).takes:
            continue
        providers = individual.providers(output)
        assert {layers[name] for name in providers} == {TRUNK, LINEAR_PATH}
        for name in providers:
            assert set(individual.providers(name)) == set(problem.inputs)


def test_heads_of_values_are_zero_so_each_begins_as_a_constant(problem):
    individual = shared(problem)
    model = valp.decode(individual)
    rows = problem.split("train").inputs
    users = {name: rows[name] / model.components[name].features(torch.ones(1)) for name in rows}
    predicted = model({name: torch.nan_to_num(users[name]) for name in rows})
    for output in individual.outputs:
        if "values" in individual.component(output).takes:
            constant = predicted[output][:1].expand_as(predicted[output])
            assert torch.equal(predicted[output], constant)


@pytest.mark.parametrize("count", range(2, 9))
def test_the_number_of_sub_networks_is_met(count, problem):
    if count < 2:
        pytest.skip("too few for samples")
    individual = shared(problem, networks=(count, count))
    check(individual, problem)
    assert len(individual.networks) == count


def test_further_sub_networks_are_exclusive():
    individual = shared(table_problem(), networks=(6, 6))
    exclusive = [individual.exclusive(output) for output in individual.outputs]
    assert sum(map(len, exclusive)) == 4


def test_decay_falls_with_the_rows_and_a_random_start_has_none():
    few, many = shared(table_problem(60)), shared(table_problem(3000))
    assert few.optimizers["a"].decay == 3.0
    assert many.optimizers["a"].decay == pytest.approx(1000 / 2100, rel=0.01)
    assert shared(table_problem(60), start="random").optimizers["a"].decay == 0
    assert shared(table_problem(60), decay=0.5).optimizers["a"].decay == 0.5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"start": "best"}, r"needs a start among .*, got 'best'"),
        ({"networks": 4}, "for networks, .* got 4"),
        ({"networks": (1, 2, 3)}, "for networks"),
        ({"decay": -1.0}, "weight decay from 0 on"),
    ],
)
def test_wrong_arguments_are_named(arguments, message):
    with pytest.raises(valp.StructureError, match=message):
        shared(zoo.mixed_problem(), **arguments)


def test_trained_by_the_defaults_it_learns_what_is_linear():
    problem = table_problem(400, noise=0.1)
    individual = shared(problem)
    individual.fitness.values = valp.evaluate(individual, problem)
    scores = valp.score(individual, problem)
    assert scores["a"] < 0.02 and scores["b"] < 0.1
