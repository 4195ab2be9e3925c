"""The searches: hill climbing, and DEAP's own algorithms unmodified."""

from __future__ import annotations

import random

import numpy as np
import pytest
import zoo
from deap import algorithms, base, tools
from validity import assert_valid

import deap_valp as valp
from deap_valp.genome.fitness import PENALTY


def make_toolbox(problem, policy="guidelines", evaluate=None):
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, problem)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register(
        "evaluate", evaluate or valp.evaluate, problem=problem, batches=5, first_batches=10
    )
    toolbox.register("selMutation", valp.selMutation, policy=policy)
    toolbox.register("mutate", valp.mutGuided, select=toolbox.selMutation)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("map", map)
    return toolbox


@pytest.fixture
def toolbox():
    return make_toolbox(zoo.mixed_problem())


@pytest.mark.parametrize("policy", ["guidelines", "random", "gentle"])
def test_hill_climbing_evaluates_every_step_once(policy):
    toolbox = make_toolbox(zoo.mixed_problem(), policy)
    archive, front = [], tools.ParetoFront()
    best, logbook = valp.hillClimbing(
        toolbox.individual(), toolbox, nsteps=6, halloffame=front, archive=archive, progress=False
    )
    assert logbook.select("gen") == list(range(7)) and sum(logbook.select("nevals")) == 7
    assert len(archive) == 7 and archive[0].move is None
    accepted = [entry for entry in archive if entry.accepted]
    assert accepted[-1].values == tuple(best.fitness.values)
    for entry, record in zip(archive, logbook, strict=True):
        assert tuple(record[name] for name in zoo.mixed_problem().objectives) == entry.values
        assert record["accepted"] == entry.accepted
        assert entry.move is None or record["move"] == str(entry.move)
    nondominated = [
        e.values for e in archive if not any(_dominates(o.values, e.values) for o in archive)
    ]
    assert {tuple(i.fitness.values) for i in front} == set(nondominated)


def _dominates(a, b):
    return all(x <= y for x, y in zip(a, b, strict=True)) and a != b


def test_the_same_seed_gives_the_same_search(toolbox):
    results = []
    for _ in range(2):
        random.seed(4)
        best, logbook = valp.hillClimbing(toolbox.individual(), toolbox, nsteps=4, progress=False)
        results.append((best, [dict(record) for record in logbook]))
    assert results[0] == results[1]


def test_the_start_is_not_changed_and_a_valid_fitness_is_kept(toolbox):
    start = toolbox.individual()
    start.fitness.values = toolbox.evaluate(start)
    before, values = toolbox.clone(start), start.fitness.values
    _, logbook = valp.hillClimbing(start, toolbox, nsteps=1, progress=False)
    assert start == before and start.fitness.values == values
    assert logbook[0]["nevals"] == 0


def test_accepted_by_majority_means_lower_in_more_than_half_of_the_outputs(toolbox):
    archive = []
    valp.hillClimbing(
        toolbox.individual(),
        toolbox,
        nsteps=8,
        accept=valp.majority,
        archive=archive,
        progress=False,
    )
    incumbent = archive[0].values
    for entry in archive[1:]:
        lower = sum(a < b for a, b in zip(entry.values, incumbent, strict=True))
        assert entry.accepted == (lower >= 3)  # four outputs
        incumbent = entry.values if entry.accepted else incumbent


def with_values(problem, values):
    individual = zoo.random_valp(problem)
    individual.fitness.values = valp.Evaluation(
        values,
        objectives=problem.objectives,
        seed=individual.seed,
        weights=individual.weights,
        status="ok" if max(values) < PENALTY else "the loss is nan",
    )
    return individual


GRADED = {
    "a clear gain in all": ((0.1, 0.1, 0.1, 0.1), (0.2, 0.2, 0.2, 0.2), True),
    "a gain in one, nothing else": ((0.1, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2), True),
    "crumbs": ((0.1999, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2), False),
    "equal": ((0.2, 0.2, 0.2, 0.2), (0.2, 0.2, 0.2, 0.2), False),
    "one traded away": ((0.01, 0.01, 0.01, 0.23), (0.2, 0.2, 0.2, 0.2), False),
    "a little worse in one": ((0.1, 0.1, 0.1, 0.205), (0.2, 0.2, 0.2, 0.2), True),
    "failed": ((PENALTY,) * 4, (0.2,) * 4, False),
    "from a failed one": ((0.2,) * 4, (PENALTY,) * 4, True),
    "down to zero": ((0.2, 0.2, 0.2, 0.0), (0.2, 0.2, 0.2, 0.2), True),
}


@pytest.mark.parametrize(("candidate", "incumbent", "accepted"), GRADED.values(), ids=GRADED)
def test_graded(candidate, incumbent, accepted):
    problem = zoo.mixed_problem()
    ours, theirs = with_values(problem, candidate), with_values(problem, incumbent)
    assert valp.graded(ours, theirs) is accepted


def test_graded_sees_in_the_loss_what_an_error_rate_hides():
    problem = zoo.mixed_problem()
    ours, theirs = (with_values(problem, (0.25, 1.0, 1.0, 1.0)) for _ in range(2))
    for individual, loss in ((ours, 0.3), (theirs, 0.5)):
        evaluation = individual.fitness.evaluation
        evaluation.resolution = {"label": 0.025}
        evaluation.losses = dict.fromkeys(individual.outputs, 1.0) | {"label": loss}
    assert valp.graded(ours, theirs) and not valp.graded(theirs, ours)


def test_a_cost_counts_a_part_of_an_output():
    problem = zoo.plain_problem()
    cheap = valp.Evaluation((1.0, 90.0), objectives=("y", "size"), seed=1, weights={})
    dear = valp.Evaluation((1.0, 100.0), objectives=("y", "size"), seed=2, weights={})
    one, other = zoo.smallest(), zoo.smallest()
    assert problem.objectives == ("y",)
    for individual, evaluation in ((one, cheap), (other, dear)):
        individual.seed = evaluation.seed
        individual.fitness = type("Two", (valp.Fitness,), {"weights": (-1.0, -1.0)})()
        individual.fitness.values = evaluation
    assert valp.graded(one, other) and not valp.graded(other, one)
    assert not valp.Graded(costs=0)(one, other)


@pytest.mark.parametrize(
    ("candidate", "incumbent", "accepted"),
    [
        ((0.1, 0.1, 0.1, 9.0), (0.2, 0.2, 0.2, 0.2), True),
        ((0.1, 0.1, 9.0, 9.0), (0.2, 0.2, 0.2, 0.2), False),
        ((0.2, 0.2, 0.1, 0.1), (0.2, 0.2, 0.2, 0.2), False),
        ((PENALTY,) * 4, (0.2,) * 4, False),
        ((0.2,) * 4, (PENALTY,) * 4, True),
        ((PENALTY,) * 4, (PENALTY,) * 4, False),
    ],
)
def test_majority(candidate, incumbent, accepted):
    problem = zoo.mixed_problem()
    assert (
        valp.majority(with_values(problem, candidate), with_values(problem, incumbent)) is accepted
    )


def test_moves_that_did_not_improve_are_barred_until_the_incumbent_changes(toolbox):
    barred_at, accept_at = [], {3}

    def select(individual, barred):
        barred_at.append(set(barred))
        return valp.selMutation(individual, barred=barred)

    steps = iter(range(1, 10))
    toolbox.register("selMutation", select)
    valp.hillClimbing(
        toolbox.individual(),
        toolbox,
        nsteps=5,
        accept=lambda c, i: next(steps) in accept_at,
        progress=False,
    )
    assert [len(barred) for barred in barred_at[:4]] == [0, 1, 2, 0]


def test_a_failing_evaluation_costs_one_step(toolbox):
    calls = []

    def evaluate(individual):
        calls.append(individual)
        if len(calls) == 2:
            individual = toolbox.clone(individual)
            key = next(iter(individual.weights))
            with zoo.editing(individual) as draft:
                draft.weights[key] = individual.weights[key] * float("nan")
        return valp.evaluate(individual, zoo.mixed_problem(), batches=3, first_batches=3)

    toolbox.register("evaluate", evaluate)
    best, logbook = valp.hillClimbing(toolbox.individual(), toolbox, nsteps=3, progress=False)
    assert logbook[1]["label"] == PENALTY and not logbook[1]["accepted"]
    assert len(calls) == 4 and best.fitness.values[0] < PENALTY


def test_weights_are_inherited_along_the_search(toolbox):
    best, _ = valp.hillClimbing(
        toolbox.individual(), toolbox, nsteps=2, progress=False, accept=lambda c, i: True
    )
    assert best.trained and len(best.evaluation.history["label"]) == 5


# ---- DEAP's own, unmodified ----------------------------------------------------------------------


def ea_simple(population, toolbox, **options):
    toolbox.register("select", tools.selTournament, tournsize=2)
    return algorithms.eaSimple(
        population, toolbox, cxpb=0.3, mutpb=0.7, ngen=2, verbose=False, **options
    )


def ea_mu_plus_lambda(population, toolbox, **options):
    return algorithms.eaMuPlusLambda(
        population, toolbox, 4, 4, 0.3, 0.7, ngen=2, verbose=False, **options
    )


def ea_mu_comma_lambda(population, toolbox, **options):
    return algorithms.eaMuCommaLambda(
        population, toolbox, 4, 4, 0.3, 0.7, ngen=2, verbose=False, **options
    )


@pytest.mark.parametrize("algorithm", [ea_simple, ea_mu_plus_lambda, ea_mu_comma_lambda])
@pytest.mark.parametrize("mapping", [map, valp.scoopMap], ids=["map", "scoopMap"])
def test_deap_s_algorithms_run_unmodified(algorithm, mapping, toolbox):
    problem = zoo.mixed_problem()
    toolbox.register("map", mapping)
    front, stats = tools.ParetoFront(), valp.statistics(problem)
    population, logbook = algorithm(toolbox.population(4), toolbox, stats=stats, halloffame=front)
    assert len(population) == 4 and len(front) >= 1
    for individual in population:
        assert_valid(individual, problem)
        assert len(individual.fitness.values) == 4 and all(np.isfinite(individual.fitness.values))
        assert individual.evaluation is not None
    for name in problem.objectives:
        assert all(
            lowest <= mean
            for lowest, mean in zip(*logbook.chapters[name].select("min", "avg"), strict=True)
        )
    assert "init" in logbook.chapters["operators"].select("applied")[0]
    assert any(individual.trained for individual in population)


def test_history_and_hall_of_fame_share_weights(toolbox):
    history, best = tools.History(), tools.HallOfFame(3)
    toolbox.decorate("mutate", history.decorator)
    population = toolbox.population(3)
    history.update(population)
    for individual in population:
        individual.fitness.values = toolbox.evaluate(individual)
    best.update(population)
    assert best[0].evaluation is next(i for i in population if i == best[0]).evaluation
    assert len(history.genealogy_history) == 3


def test_statistics_leave_failures_out():
    problem = zoo.mixed_problem()
    population = [with_values(problem, (0.5, 1.0, 2.0, 3.0)), with_values(problem, (PENALTY,) * 4)]
    compiled = valp.statistics(problem).compile(population)
    assert compiled["label"] == {"min": 0.5, "avg": 0.5, "max": 0.5, "std": 0.0}
    assert compiled["operators"]["applied"] == "init 2"


def test_the_length_of_an_individual_is_the_number_of_its_sub_networks():
    individual = zoo.fan_out()
    assert len(individual) == len(individual.networks) > 0
    assert tools.Statistics(len).compile([individual]) == {}
