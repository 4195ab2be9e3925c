"""The population searches, and the genealogy of what they evaluate."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import pytest
import zoo
from deap import algorithms, base, tools
from digests import digest, random_state
from validity import assert_valid

import deap_valp as valp
from deap_valp.genome.fitness import PENALTY

PROBLEM = zoo.mixed_problem()


def quick(individual):
    """An evaluation without training: the values follow from the individual alone."""
    sessions = 0 if individual.evaluation is None else individual.evaluation.sessions
    dice = random.Random(individual.seed + sessions)
    return valp.Evaluation(
        [dice.random() for _ in PROBLEM.objectives],
        objectives=PROBLEM.objectives,
        seed=individual.seed,
        weights=individual.weights,
        sessions=sessions + 1,
    )


@pytest.fixture
def toolbox():
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, PROBLEM)
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register(
        "evaluate",
        valp.evaluate,
        problem=PROBLEM,
        batches=3,
        first_batches=5,
        metrics=valp.ALL_METRICS,
    )
    toolbox.register("selMutation", valp.selMutation, policy="principles")
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    toolbox.register("map", map)
    return toolbox


def guided(population, toolbox, **options):
    return valp.eaGuided(population, toolbox, 6, 6, 0.3, 0.6, 3, verbose=False, **options)


def aging(population, toolbox, **options):
    return valp.eaAging(population, toolbox, 8, verbose=False, **options)


def steady(population, toolbox, **options):
    return valp.eaSteadyState(population, toolbox, 10, verbose=False, **options)


SEARCHES = pytest.mark.parametrize("search", [guided, aging, steady])


@SEARCHES
def test_they_return_a_population_and_a_logbook(search, toolbox):
    front, best, archive = tools.ParetoFront(), tools.HallOfFame(2), []
    stats = valp.statistics(PROBLEM)
    start = toolbox.population(6)
    population, logbook = search(start, toolbox, stats=stats, halloffame=front, archive=archive)
    assert population is start and len(population) == 6
    best.update(population)
    for individual in population:
        assert_valid(individual, PROBLEM)
        assert individual.fitness.valid and all(np.isfinite(individual.fitness.values))
    assert sum(logbook.select("nevals")) == len(archive) >= 6
    assert logbook.select("gen") == list(range(len(logbook)))
    assert set(logbook.chapters) == {*PROBLEM.objectives, "operators"}
    assert len(front) >= 1 and any(individual.trained for individual in population)


@SEARCHES
def test_the_same_seed_gives_the_same_search(search, toolbox):
    results = []
    for _ in range(2):
        random.seed(4)
        population, logbook = search(toolbox.population(6), toolbox)
        results.append((population, [dict(record) for record in logbook]))
    assert results[0] == results[1]


@pytest.fixture
def quick_toolbox(toolbox):
    toolbox.register("evaluate", quick)
    toolbox.register("selMutation", valp.selMutation, policy="gentle")
    return toolbox


@SEARCHES
@pytest.mark.parametrize(
    "select",
    [
        tools.selNSGA2,
        tools.selSPEA2,
        tools.selBest,
        partial(tools.selTournament, tournsize=2),
        partial(
            tools.selNSGA3, ref_points=tools.uniform_reference_points(len(PROBLEM.objectives), 2)
        ),
        tools.selLexicase,
    ],
    ids=lambda select: getattr(select, "func", select).__name__,
)
def test_any_selection_of_deap_will_do(search, select, quick_toolbox):
    np.random.seed(1)  # of NSGA-III
    quick_toolbox.register("select", select)
    population, _ = search(quick_toolbox.population(6), quick_toolbox)
    assert len(population) == 6 and all(individual.fitness.valid for individual in population)


def hill_climbing(population, toolbox, **options):
    return valp.hillClimbing(population[0], toolbox, 6, progress=False, **options)


@pytest.mark.parametrize("search", [hill_climbing, guided, aging, steady])
def test_feedback_hears_of_every_candidate_once_it_is_evaluated(search, quick_toolbox):
    heard, archive = [], []
    quick_toolbox.register(
        "feedback", lambda i: heard.append((i.seed, tuple(i.fitness.values), i.decision))
    )
    search(quick_toolbox.population(6), quick_toolbox, archive=archive)
    assert heard == [
        (entry.seed, entry.values, entry.decision) for entry in archive if entry.step > 0
    ]
    assert all(
        decision.before and decision.objectives == PROBLEM.objectives
        for _, _, decision in heard
        if decision
    )


@SEARCHES
def test_a_bandit_learns(search, quick_toolbox):
    bandit = valp.Bandit()
    quick_toolbox.register("selMutation", valp.selMutation, policy=bandit)
    quick_toolbox.register("feedback", bandit.feedback)
    search(quick_toolbox.population(6), quick_toolbox)
    assert sum(bandit.counts.values()) > 0


@SEARCHES
def test_the_choice_of_a_mutation_sees_the_population(search, quick_toolbox):
    seen, start = [], quick_toolbox.population(6)

    def select(individual, population):
        assert individual.fitness.valid and all(peer.fitness.valid for peer in population)
        seen.append(population is start and individual in population)
        return valp.selMutation(individual, population, policy="gentle")

    quick_toolbox.register("selMutation", select)
    search(start, quick_toolbox)
    assert seen and all(seen)


@SEARCHES
def test_a_selection_may_choose_a_donation(search, quick_toolbox):
    archive = []

    def select(individual, population):
        donors = [p for p in population if p.seed != individual.seed and p.exclusive("image")]
        donor = random.choice(donors) if donors else None
        return donor and valp.Move(
            "exclusive_subgraph_crossover", "aggressive", "image", rule="test", donor=donor
        )

    quick_toolbox.register("selMutation", select)
    quick_toolbox.register("mate", lambda host, donor: (host, donor))
    search(quick_toolbox.population(6), quick_toolbox, archive=archive)
    donated = [entry for entry in archive if entry.move is not None]
    assert donated and all(
        entry.move.rule == "test" and entry.move.donor is None for entry in donated
    )
    assert all(
        len(entry.parents) == 2 and entry.parents == entry.decision.parents for entry in donated
    )


@SEARCHES
def test_history_follows_the_operators(search, quick_toolbox):
    history = tools.History()
    quick_toolbox.register("mutate", valp.mutGuided, select=quick_toolbox.selMutation)
    quick_toolbox.decorate("mutate", history.decorator)
    quick_toolbox.decorate("mate", history.decorator)
    population = quick_toolbox.population(6)
    history.update(population)
    population, _ = search(population, quick_toolbox)
    assert len(history.genealogy_history) > 12
    for individual in population:
        line = history.getGenealogy(individual)
        assert set(line) <= set(history.genealogy_history) and min(line) <= 6


@SEARCHES
def test_a_failed_evaluation_costs_one_candidate(search, quick_toolbox):
    def evaluate(individual):
        if individual.seed % 3 == 0:
            failed = [PENALTY] * len(PROBLEM.objectives)
            options = {
                "objectives": PROBLEM.objectives,
                "seed": individual.seed,
                "weights": individual.weights,
            }
            return valp.Evaluation(failed, **options, status="exploded")
        return quick(individual)

    quick_toolbox.register("evaluate", evaluate)
    population, _ = search(
        quick_toolbox.population(6), quick_toolbox, stats=valp.statistics(PROBLEM)
    )
    assert len(population) == 6 and all(np.isfinite(i.fitness.values).all() for i in population)


# ---- one by one ----------------------------------------------------------------------------------


def test_guided_is_deap_s_mu_plus_lambda_where_the_choice_ignores_the_population(quick_toolbox):
    left = []
    quick_toolbox.register("mutate", valp.mutGuided, select=quick_toolbox.selMutation)
    for search in (valp.eaGuided, algorithms.eaMuPlusLambda):
        random.seed(5)
        front = tools.ParetoFront()
        options = {"stats": valp.statistics(PROBLEM), "halloffame": front, "verbose": False}
        population, logbook = search(
            quick_toolbox.population(5), quick_toolbox, 5, 7, 0.4, 0.4, 4, **options
        )
        for individual in (*population, *front):
            individual.decision = None  # ours keeps one of matings too
        left.append(digest(population, logbook, front, random_state()))
    assert left[0] == left[1]


@pytest.mark.parametrize("lambda_", [1, 2, 5])
def test_aging_keeps_the_youngest_in_order_of_age(lambda_, quick_toolbox):
    start, archive = quick_toolbox.population(4), []
    seeds = [individual.seed for individual in start]
    population, _ = valp.eaAging(
        start, quick_toolbox, 5, lambda_=lambda_, archive=archive, verbose=False
    )
    born = seeds + [entry.seed for entry in archive if entry.step > 0]
    assert [individual.seed for individual in population] == born[-4:]
    assert len(born) == 4 + 5 * lambda_ and all(entry.accepted for entry in archive[-4:])


def test_aging_mutates_the_best_of_a_sample(quick_toolbox):
    samples, archive = [], []

    def select(sample, k):
        samples.append((len(sample), max(sample, key=lambda i: i.fitness).seed))
        return tools.selBest(sample, k)

    quick_toolbox.register("select", select)
    valp.eaAging(
        quick_toolbox.population(6), quick_toolbox, 5, sample_size=3, archive=archive, verbose=False
    )
    assert [size for size, _ in samples] == [3] * 5
    assert [best for _, best in samples] == [
        entry.parents[0] for entry in archive if entry.step > 0
    ]


class Workers:
    """An executor of which that task ends first that was submitted last."""

    def __init__(self):
        self.running, self.most = [], 0

    def submit(self, function, individual):
        future = Future(self, function, individual)
        self.running.append(future)
        self.most = max(self.most, len(self.running))
        return future


class Future:
    def __init__(self, workers, function, individual):
        self.workers, self.call = workers, lambda: function(individual)

    def done(self):
        return self is self.workers.running[-1]

    def result(self):
        self.workers.running.remove(self)
        return self.call()


def test_steady_state_has_no_barrier(quick_toolbox):
    workers, evaluated = Workers(), []
    population = quick_toolbox.population(4)
    for individual in population:
        individual.fitness.values = quick(individual)

    def evaluate(individual):
        evaluated.append(len(workers.running))
        return quick(individual)

    quick_toolbox.register("submit", workers.submit)
    quick_toolbox.register("evaluate", evaluate)
    _, logbook = valp.eaSteadyState(population, quick_toolbox, 9, workers=3, verbose=False)
    # Two slow ones run on while the third worker takes one candidate after the other, and end last.
    assert workers.most == 3 and evaluated == [2] * 7 + [1, 0]
    assert logbook.select("nevals") == [0] + [1] * 9


def test_no_more_than_the_workers_are_under_way_at_the_start_either(quick_toolbox):
    workers = Workers()
    quick_toolbox.register("submit", workers.submit)
    quick_toolbox.register("evaluate", quick)
    population, _ = valp.eaSteadyState(
        quick_toolbox.population(4), quick_toolbox, 2, workers=3, verbose=False
    )
    assert workers.most == 3 and len(population) == 4


def test_steady_state_runs_on_an_executor(toolbox):
    with ThreadPoolExecutor(2) as pool:
        toolbox.register("submit", pool.submit)
        population, logbook = valp.eaSteadyState(
            toolbox.population(4), toolbox, 6, verbose=False, workers=2
        )
    assert len(population) == 4 and logbook.select("nevals") == [4] + [1] * 6


def test_only_individuals_without_a_fitness_are_mapped(toolbox):
    seen = []
    toolbox.register(
        "map", lambda f, individuals: [seen.append(i.fitness.valid) or f(i) for i in individuals]
    )
    guided(toolbox.population(6), toolbox)
    assert seen and not any(seen)


@SEARCHES
def test_islands_can_exchange_individuals(search, quick_toolbox):
    islands = [quick_toolbox.population(6) for _ in range(2)]
    for _ in range(2):
        islands = [search(island, quick_toolbox)[0] for island in islands]
        best = [tools.selBest(island, 1)[0].seed for island in islands]
        tools.migRing(islands, 1, tools.selBest)
        assert all(
            seed in {i.seed for i in island}
            for seed, island in zip(reversed(best), islands, strict=True)
        )
    assert all(len(island) == 6 and all(i.fitness.valid for i in island) for island in islands)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p, t: valp.eaGuided(p, t, 4, 4, 0.7, 0.6, 1), "together at most 1"),
        (
            lambda p, t: valp.eaAging(p, t, 1, sample_size=0),
            "sample_size as a whole number from 1 on",
        ),
        (
            lambda p, t: valp.eaSteadyState(p, t, 1, workers=0),
            "workers as a whole number from 1 on",
        ),
        (lambda p, t: valp.eaSteadyState(p, t, 1, cxpb=1.5), "together at most 1"),
    ],
)
def test_arguments_that_make_no_sense_are_named(call, message, toolbox):
    with pytest.raises(valp.ValpError, match=message):
        call(toolbox.population(2), toolbox)
