"""The donation crossover."""

from __future__ import annotations

import copy
import random

import pytest
import torch
import zoo
from deap import algorithms, base, tools
from validity import assert_valid

import deap_valp as valp
from deap_valp.errors import PlaceError, StructureError


def random_pair(seed, steps=0):
    """Two individuals of one problem; with steps, of one ancestor and separate histories."""
    random.seed(seed)
    first = zoo.random_valp(zoo.mixed_problem())
    second = copy.deepcopy(first) if steps else zoo.random_valp(zoo.mixed_problem())
    for individual in (first, second):
        for _ in range(steps):
            valp.mutRandom(individual, operators="all")
    return first, second


PAIRS = pytest.mark.parametrize("steps", [0, 3, 20])


def heads(individual):
    """What every output gives in every mode, the noise depending on the latent alone."""
    seen = zoo.predictions(individual, zoo.mixed_problem(), torch.float32)
    return {key: value for key, value in seen.items() if "losses" not in key}


@PAIRS
@pytest.mark.parametrize("output", list(zoo.mixed_problem().outputs))
def test_other_outputs_stay_bit_equal_and_the_rest_is_valid(steps, output):
    donated = 0
    for seed in range(12):
        host, donor = random_pair(seed, steps)
        before, seed_before, donor_before = heads(host), host.seed, copy.deepcopy(donor)
        given = donor.exclusive(output)
        returned = valp.cxExclusiveSubgraph(host, donor, output, reciprocal=False)
        assert returned[0] is host and returned[1] is donor
        assert_valid(host, zoo.mixed_problem())
        assert donor == donor_before and donor.seed == donor_before.seed
        after = heads(host)
        others = [key for key in before if not key.endswith(f" {output}")]
        assert all(torch.equal(before[key], after[key]) for key in others)
        if host.seed != seed_before:
            donated += 1
            assert given and len(host.exclusive(output)) >= len(given)
        else:
            assert all(torch.equal(before[key], after[key]) for key in before)
    assert donated, "nothing was donated in any pair"


@PAIRS
def test_both_receive_each_from_the_other_as_it_was(steps):
    for seed in range(15):
        host, donor = random_pair(seed, steps)
        one_way, other_way = copy.deepcopy((host, donor)), copy.deepcopy((donor, host))
        state = random.getstate()
        valp.cxExclusiveSubgraph(host, donor, "image")
        random.setstate(state)
        valp.cxExclusiveSubgraph(*one_way, "image", reciprocal=False)
        valp.cxExclusiveSubgraph(*other_way, "image", reciprocal=False)
        assert zoo_shape(host) == zoo_shape(one_way[0]) and zoo_shape(donor) == zoo_shape(
            other_way[0]
        )


def zoo_shape(individual):
    return sorted(map(str, individual.shapes().items()))


def test_the_donated_part_brings_its_weights():
    problem = zoo.mixed_problem()
    host, donor = zoo.fan_out(), zoo.fan_out()
    donor.fitness.values = valp.evaluate(donor, problem, first_batches=20)
    valp.cxExclusiveSubgraph(host, donor, "value", reciprocal=False)
    (network,) = host.exclusive("value")
    trained = donor.evaluation.weights
    assert torch.equal(host.weights[f"{network}->value"], trained["n2->value"])
    assert torch.equal(host.weights["value.bias"], trained["value.bias"])
    assert host.trained and host.move.place == "value"


def test_homologous_components_are_read_through_the_donor_s_blocks():
    problem = zoo.mixed_problem()
    host = zoo.fan_out()
    donor = copy.deepcopy(host)
    donor.fitness.values = valp.evaluate(donor, problem, first_batches=20)
    valp.cxExclusiveSubgraph(host, donor, "image", reciprocal=False)
    (network,) = host.exclusive("image")
    assert host.providers(network) == ("n0",)
    assert torch.equal(host.block("n0", network), donor.evaluation.weights["n0->n3"])


def test_nothing_changes_where_nothing_can_be_donated():
    host, donor = zoo.fan_out(), zoo.shared_provider()
    before, state = copy.deepcopy(host), random.getstate()
    valp.cxExclusiveSubgraph(
        host, donor, "label", reciprocal=False
    )  # the donor's label has no exclusive subgraph
    assert host == before and host.seed == before.seed and random.getstate() == state


def test_nothing_changes_where_the_limit_would_be_passed():
    host, donor = zoo.fan_out(), zoo.fan_in()
    with zoo.editing(host) as draft:
        draft.limits = valp.Limits(networks=len(host.networks))
    before = copy.deepcopy(host)
    donor_of_two = copy.deepcopy(donor)
    valp.mutCloneNetwork(donor_of_two, "n5")
    given = donor_of_two.exclusive("label") | donor_of_two.exclusive("value")
    valp.cxExclusiveSubgraph(host, donor_of_two, "value", reciprocal=False)
    assert len(host.networks) <= host.limits.networks and (given or host == before)


def test_the_output_with_the_largest_ratio_receives():
    problem = zoo.mixed_problem()
    host, donor = zoo.fan_out(), zoo.fan_out()
    for individual, values in ((host, (0.5, 9.0, 1.0, 1.0)), (donor, (0.4, 0.1, 1.0, 1.0))):
        evaluation = valp.evaluate(individual, problem, first_batches=1)
        kept = {k: v for k, v in evaluation.__dict__.items()}
        individual.fitness.values = valp.Evaluation(values, **kept)
    valp.cxExclusiveSubgraph(host, donor, reciprocal=False)
    assert host.move.place == "value"


def test_an_unknown_output_raises_and_changes_nothing():
    host, donor = random_pair(0)
    before = copy.deepcopy(host), copy.deepcopy(donor)
    with pytest.raises(PlaceError, match="needs an output of the individuals"):
        valp.cxExclusiveSubgraph(host, donor, "sound")
    assert (host, donor) == before


def test_individuals_of_different_problems_are_refused():
    with pytest.raises(StructureError, match="two VALPs of one problem"):
        valp.cxExclusiveSubgraph(zoo.fan_out(), zoo.smallest())


@pytest.mark.parametrize(
    "vary", [algorithms.varAnd, lambda p, t, cxpb, mutpb: algorithms.varOr(p, t, 12, cxpb, mutpb)]
)
def test_it_works_in_deap_s_variations(vary):
    problem = zoo.mixed_problem()
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, problem)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("mutate", valp.mutRandom)
    population = toolbox.population(12)
    for individual in population:
        individual.fitness.values = valp.evaluate(individual, problem, batches=1, first_batches=1)
    for _ in range(5):
        population = vary(population, toolbox, 0.4, 0.4)
        for individual in population:
            assert_valid(individual, problem)
    assert any(i.move and i.move.operator == "exclusive_subgraph_crossover" for i in population)


def test_ids_stay_unique_in_an_individual():
    for seed in range(10):
        host, donor = random_pair(seed, steps=5)
        valp.cxExclusiveSubgraph(host, donor)
        for individual in (host, donor):
            ids = [individual.component(name).id for name in individual.networks]
            assert len(set(ids)) == len(ids)
