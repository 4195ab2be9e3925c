"""Individuals with a synthetic diagnosis, and what the rules propose for them."""

from __future__ import annotations

import zoo

import deap_valp as valp
from deap_valp.diagnosis import Diagnosis, Slope
from deap_valp.selection import (
    View,
    propose,
)

STEEP, MODERATE, STUCK = Slope(-1e-3, 1e-6), Slope(-1e-5, 1e-6), Slope(1e-4, 1e-6)


def diagnosed(individual, slopes=MODERATE, relevance=None, default=2.0):
    """The individual with an evaluation that carries this diagnosis."""
    relevance = relevance or {}
    found = {
        (network, output): relevance.get((network, output), default)
        for network in individual.networks
        for output in individual.outputs_of(network)
    }
    by_output = slopes if isinstance(slopes, dict) else dict.fromkeys(individual.outputs, slopes)
    individual.fitness.values = valp.Evaluation(
        [1.0] * len(individual.outputs),
        objectives=individual.outputs,
        seed=individual.seed,
        weights=individual.weights,
        diagnosis=Diagnosis(
            {
                "loss_slope": by_output,
                "module_intervention": found,
                "input_intervention": {},
                "dependency": {},
            }
        ),
    )
    return individual


def proposals(individual, thresholds=valp.Thresholds(), rule_set="guidelines"):  # noqa: B008
    return propose(View(individual, individual.evaluation.diagnosis, thresholds), rule_set)


def keys(moves, rule=None):
    return {move.key for move in moves if rule in (None, move.rule)}


def slopes_of(individual, **named):
    return {output: named.get(output, MODERATE) for output in individual.outputs}


def two_outputs():
    """n0 feeds n1 (label) and n2 (value); every connection of n0 is a choice."""
    networks = {"n0": zoo.generic(4), "n1": zoo.generic(3), "n2": zoo.generic(3)}
    edges = (
        "left->n0 right->n0 left->n1 n0->n1 n0->n2 right->n2 n1->label n2->value n3->image "
        "n4->texture"
    )
    networks |= {"n3": zoo.decoder(2, 3), "n4": zoo.decoder(2, 3), "n5": zoo.generic(3)}
    return zoo.build(zoo.mixed_problem(), networks, f"{edges} left->n5 n5->n3 n5->n4")


def with_metrics(individual, **measured):
    """More metrics in the diagnosis that it has."""
    evaluation = individual.evaluation
    diagnosis = Diagnosis({**evaluation.diagnosis.measured, **measured})
    rest = {key: value for key, value in evaluation.__dict__.items() if key != "diagnosis"}
    individual.fitness.values = valp.Evaluation(evaluation, diagnosis=diagnosis, **rest)
    return individual


def scored(individual, **values):
    """The individual with these objectives, 1 where none is named."""
    evaluation = individual.evaluation
    rest = dict(evaluation.__dict__)
    individual.fitness.values = valp.Evaluation(
        [values.get(o, 1.0) for o in evaluation.objectives], **rest
    )
    return individual
