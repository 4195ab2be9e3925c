"""Weights that get lost: what the log says of an individual without those it was measured with."""

from __future__ import annotations

import logging

import pytest
import zoo
from deap import base, creator
from quick_searches import PROBLEM, climb, trained_by

import deap_valp as valp
from deap_valp.genome import fitness as fitnesses
from deap_valp.genome import valp as genomes


@pytest.fixture
def said(caplog):
    """What is said once in a process is said again in this test."""
    caplog.set_level(logging.WARNING, logger="deap_valp")
    fitnesses._say_bare_tuple.cache_clear()
    genomes._say_plain_fitness.cache_clear()
    genomes._say_weights.cache_clear()
    genomes._say_untrained.cache_clear()
    genomes._say_lost_weights.cache_clear()
    return lambda: [record.getMessage() for record in caplog.records]


def trained(individual=None):
    individual = individual or zoo.random_valp(PROBLEM)
    return individual, valp.evaluate(individual, PROBLEM, batches=2, first_batches=2)


def test_a_bare_tuple_is_said_once(said, tmp_path):
    individual, evaluation = trained()
    for _ in range(2):
        individual.fitness.values = tuple(evaluation)
    [text] = said()
    assert "with_values" in text and "lost" in text
    valp.score(individual, PROBLEM)
    valp.decode(individual)
    valp.save(individual, tmp_path / "lost.valp")
    assert [line.split(":")[0] for line in said()[1:]] == ["score", "decode", "save"]
    assert all("not the weights that they were measured with" in line for line in said()[1:])


def test_an_untrained_valp_is_said_by_score_decode_and_save(said, tmp_path):
    for individual in (zoo.random_valp(PROBLEM), zoo.random_valp(PROBLEM)):  # each is said once
        valp.score(individual, PROBLEM)
        valp.decode(individual)
        valp.save(individual, tmp_path / "fresh.valp")
    assert len(said()) == 3 and all("was never trained" in line for line in said())


def test_what_was_trained_says_nothing(said, tmp_path):
    individual, evaluation = trained()
    individual.fitness.values = evaluation
    assert individual.trained
    valp.score(individual, PROBLEM)
    valp.save(individual, tmp_path / "best.valp")
    valp.decode(valp.load(tmp_path / "best.valp", type(individual)))
    valp.mutAddLayer(individual)
    valp.decode(individual)
    valp.diagnose(trained_individual(), PROBLEM)
    climb(box=trained_by(), nsteps=1)
    assert said() == []


def trained_individual():
    individual, evaluation = trained()
    individual.fitness.values = evaluation
    return individual


def test_a_plain_fitness_and_other_weights_are_said_once(said):
    creator.create("BadPlain", base.Fitness, weights=PROBLEM.weights)
    creator.create("BadPlainValp", valp.VALP, fitness=creator.BadPlain)
    for _ in range(2):
        valp.initVALP(creator.BadPlainValp, PROBLEM)
        valp.initVALP(zoo.individual_class((-1.0,)), PROBLEM)
    plain, weights = said()
    assert "deap.base.Fitness" in plain and "(-1.0,)" in weights and "'label'" in weights


def test_values_of_ones_own_keep_the_weights():
    individual = zoo.individual_class((-1.0,) * 5)(zoo.random_valp(PROBLEM).genome)
    _, evaluation = trained(individual)
    named = {**evaluation.named, "size": float(len(individual))}
    individual.fitness.values = evaluation.with_values(named)
    kept = individual.evaluation
    assert kept.named == named and individual.fitness.values == tuple(named.values())
    assert individual.trained and individual.weights is kept.weights
    assert all(kept.weights[key] is evaluation.weights[key] for key in evaluation.weights)
    for field in ("history", "diagnosis", "losses", "seed", "sessions", "status", "resolution"):
        assert getattr(kept, field) == getattr(evaluation, field)
    doubled = evaluation.with_values([2 * value for value in evaluation])
    assert doubled.objectives == evaluation.objectives and doubled.resolution == {}
