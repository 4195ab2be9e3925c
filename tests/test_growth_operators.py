"""The operators that ``growth`` brought: parallel paths, joins and forks."""

from __future__ import annotations

import copy
import re

import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.diagnosis import Subject
from deap_valp.errors import PlaceError
from deap_valp.genome import Join, Place, independent_pairs


def loss_of(individual, problem):
    subject = Subject(valp.decode(individual, dtype=torch.float64), problem, {}, 1)
    with torch.no_grad():
        return dict(zip(subject.model.outputs, subject.intact_losses.tolist(), strict=True))


def latents_of(individual, output):
    return {individual.component(name).drawn for name in individual.subgraph(output)}


def test_a_deletion_costs_what_the_diagnosis_said(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    individual.fitness.values = valp.evaluate(
        individual, problem, 20, 20, metrics=["connection_intervention"]
    )
    before = loss_of(individual, problem)
    foretold = individual.evaluation.diagnosis.change_without
    for place in valp.operators()["delete_connection"].places(individual, False):
        changed = copy.deepcopy(individual)
        valp.mutDeleteConnection(changed, place)
        after = loss_of(changed, problem)
        for output in individual.outputs:
            if latents_of(changed, output) != latents_of(individual, output):
                continue  # the loss loses a KL part, which no bias can hold
            said = foretold.get((place, output), 0.0)
            assert after[output] - before[output] == pytest.approx(
                said, abs=1e-5 * (1 + abs(before[output]))
            ), (place, output)


def test_a_fork_changes_its_receiver_alone_and_by_what_the_diagnosis_said(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    individual.fitness.values = valp.evaluate(
        individual, problem, 20, 20, metrics=["connection_intervention"]
    )
    before = loss_of(individual, problem)
    foretold = individual.evaluation.diagnosis.change_without
    for place in valp.operators()["fork_network"].places(individual, False):
        changed = copy.deepcopy(individual)
        valp.mutForkNetwork(changed, place)
        after = loss_of(changed, problem)
        for output in individual.outputs:
            if latents_of(changed, output) != latents_of(individual, output):
                continue
            if output not in individual.outputs_of(place.receiver) | {place.receiver}:
                assert after[output] == pytest.approx(before[output], abs=1e-9), (place, output)
            elif place.receiver == output and individual.receivers(place.network) == sorted(
                individual.outputs
            ):
                said = foretold[f"{place.provider}->{place.network}", output]
                assert after[output] - before[output] == pytest.approx(said, abs=1e-5)


def test_the_folded_bias_keeps_what_its_optimizer_remembers():
    individual, problem = zoo.fan_in(), zoo.mixed_problem()
    individual.fitness.values = valp.evaluate(
        individual, problem, 5, 5, training=valp.Training(carry=True), metrics=valp.GROWTH_METRICS
    )
    place = valp.operators()["delete_connection"].places(individual, False)[0]
    key = individual.entry_bias(place.receiver)
    remembered = individual.evaluation.optimizer_state[key]
    valp.mutDeleteConnection(individual, place)
    assert individual.genome.optimizer_state[key] == remembered


def test_a_join_reads_two_providers_of_different_inputs():
    individual = zoo.fan_in()
    for place in valp.operators()["join_networks"].places(individual, True):
        above = individual.ancestors()
        inputs = []
        for provider in (place.one, place.other):
            inputs.append((above[provider] | {provider}) & set(individual.inputs))
        assert inputs[0] - inputs[1] and inputs[1] - inputs[0]
        joined = copy.deepcopy(individual)
        valp.mutJoinNetworks(joined, str(place))
        (new,) = set(joined.networks) - set(individual.networks)
        assert joined.providers(new) == tuple(sorted((place.one, place.other), key=natural))
        assert joined.receivers(new) == (place.receiver,)


def natural(name):
    return len(name), name


def test_one_input_leaves_nothing_to_join():
    assert independent_pairs(zoo.smallest().graph) == []
    with pytest.raises(PlaceError, match="mutJoinNetworks"):
        valp.mutJoinNetworks(zoo.smallest(), "x*n0->y")


def test_new_paths_receive_gradient(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    for name in ("parallel_network", "join_networks"):
        for place in valp.operators()[name].places(individual, True)[:3]:
            grown = copy.deepcopy(individual)
            valp.operators()[name].apply(grown, place)
            (new,) = set(grown.networks) - set(individual.networks)
            block = valp.Connection(new, place.component)
            assert not grown.weights[block].any()
            trained = valp.evaluate(grown, problem, 5, 5, training=valp.PLAIN).weights
            assert trained[block].any(), place


@pytest.mark.parametrize("text", ["a*b->n3", "a->n1->n3", "n1->n3", "n3.0", "n3"])
def test_a_place_is_read_back_from_its_text(text):
    place = Place.named(text)
    assert place == text and isinstance(place, Join) == ("*" in text)
    again = copy.deepcopy(place)
    assert type(again) is type(place) and again.touched == place.touched
    assert re.fullmatch(r"n3|n3\.0|.*->n3", text) and place.component == "n3"
