"""An operator of one's own that changes the inside of sub-networks is one function in one file."""

from __future__ import annotations

import copy
import random

import pytest
import torch
import zoo
from validity import assert_valid

import deap_valp as valp
from deap_valp.genome import Made, check
from deap_valp.genome.weights import Selection
from deap_valp.variation import operators
from deap_valp.variation.micro import stages

# ---- the operator --------------------------------------------------------------------------------


def narrowable(individual, gentle):
    def offered(network):
        return [stage for stage in network.unit_places() if network.units_of(stage) > 1]

    return stages(individual, offered)


def taking(dim, units, factors):
    selection = Selection(dim, units, factors)
    return lambda tensor: Made(selection(tensor), tensor, selection)


def mutNarrowLayer(draft, layer):
    """Remove the last half of the units of a layer."""
    part = draft.part(layer.network)
    units = torch.arange((part.component.units_of(layer.stage) + 1) // 2)
    ones = torch.ones(len(units))
    rows, columns = taking(0, units, ones), taking(1, units, ones)
    narrower = part.component.resized(part, layer.stage, len(units), rows, columns)
    draft.put(layer.network, narrower)


@pytest.fixture(autouse=True)
def narrow(monkeypatch):
    monkeypatch.setattr(operators, "_REGISTRY", operators.Operators(operators._REGISTRY))
    declared = valp.operator(
        scope="micro", effect="reducer", versions=("aggressive",), places=narrowable
    )
    return declared(mutNarrowLayer)


def narrowed(individual):
    """Every place, with the individual after a change there."""
    for place in valp.operators()["narrow_layer"].places(individual, False):
        changed = copy.deepcopy(individual)
        valp.Move("narrow_layer", "aggressive", place).apply(changed)
        yield place, changed


# ---- what it does --------------------------------------------------------------------------------


def test_it_narrows_every_layer_that_a_kind_offers_and_no_other(zoo_member, problem):
    for place, changed in narrowed(zoo_member):
        before = zoo_member.component(place.network)
        after = changed.component(place.network)
        assert after.units_of(place.stage) == (before.units_of(place.stage) + 1) // 2
        for other in set(before.unit_places()) - {place.stage}:
            assert after.units_of(other) == before.units_of(other)
        assert_valid(changed, problem)
        check(changed, problem)
        assert changed.move.place == place


def with_unread_units(individual, place):
    """A copy in which nothing reads the units that the operator removes."""
    silent = copy.deepcopy(individual)
    with zoo.editing(silent) as draft:
        part = draft.part(place.network)
        count = part.component.units_of(place.stage)
        units = torch.arange(count)
        read = (units < (count + 1) // 2).float()
        rows, columns = taking(0, units, torch.ones(count)), taking(1, units, read)
        draft.put(place.network, part.component.resized(part, place.stage, count, rows, columns))
    return silent


def test_without_units_that_nothing_reads_every_output_is_the_same(zoo_member, problem):
    for place in valp.operators()["narrow_layer"].places(zoo_member, False):
        silent = with_unread_units(zoo_member, place)
        before = zoo.predictions(silent, problem, torch.float64)
        valp.Move("narrow_layer", "aggressive", place).apply(silent)
        after = zoo.predictions(silent, problem, torch.float64)
        for key, values in before.items():
            torch.testing.assert_close(after[key], values, atol=1e-12, rtol=1e-12)


def test_it_takes_the_optimizers_state_along(zoo_member, problem):
    zoo_member.fitness.values = valp.evaluate(
        zoo_member, problem, 3, 3, training=valp.Training(carry=True)
    )
    state = zoo_member.evaluation.optimizer_state
    assert state
    for _, changed in narrowed(zoo_member):
        assert set(changed.genome.optimizer_state) == set(state)


def test_mut_random_draws_it_and_searches_go_on(zoo_member, problem):
    random.seed(1)
    for _ in range(4):
        valp.mutRandom(zoo_member, operators=["narrow_layer"])
        check(zoo_member, problem)
    assert "narrow_layer" in str(valp.operators())


# ---- wrong operators -----------------------------------------------------------------------------


def deleted(draft, connection):
    del draft.weights[connection]


def reshaped(draft, connection):
    draft.weights[connection] = draft.weights[connection][:, :1].repeat(1, 99)


def doubled(draft, connection):
    draft.weights[connection] = draft.weights[connection].double()


def as_numpy(draft, connection):
    draft.weights[connection] = draft.weights[connection].numpy() * 2


def as_a_list(draft, connection):
    draft.weights[connection] = [[1.0]]


def cut_off(draft, connection):
    draft.graph.remove_node(connection.provider)


def in_place(draft, connection):
    draft.weights[connection].mul_(0)


@pytest.mark.parametrize(
    "edit", [deleted, reshaped, doubled, as_numpy, as_a_list, cut_off, in_place]
)
def test_an_operator_that_spoils_a_valp_is_named_at_once(edit, monkeypatch):
    monkeypatch.setattr(operators, "_REGISTRY", operators.Operators(operators._REGISTRY))

    def mutSpoil(draft, connection):
        edit(draft, connection)

    def all_of(individual, gentle):
        return list(individual.connections)

    make = valp.operator(scope="micro", effect="neutral", versions=("aggressive",), places=all_of)
    spoil = make(mutSpoil)
    problem = zoo.mixed_problem()
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    before = individual.genome
    with pytest.raises(valp.StructureError, match="mutSpoil needs to "):
        spoil(individual)
    assert individual.genome is before and individual.decision is None
