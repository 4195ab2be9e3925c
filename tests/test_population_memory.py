"""What a population holds and pickles: the tensors that something can still need, each once."""

from __future__ import annotations

import copy
import gc
import pickle
import random
import weakref
from dataclasses import replace
from functools import partial

import pytest
import torch
import zoo
from deap import base, tools
from digests import digest

import deap_valp as valp
from deap_valp.selection.view import Thresholds, View


def evaluated(individual, problem, **options):
    individual.fitness.values = valp.evaluate(individual, problem, 2, 2, **options)
    return individual


def large():
    """About 50,000 weights, beside which a graph and a diagnosis are small."""
    problem = zoo.plain_problem()
    return zoo.build(problem, {"n0": zoo.generic(150, 150, 150)}, "x->n0 n0->y"), problem


def bytes_of(tensors):
    """The bytes of tensors that are in memory, memory that several share once."""
    storages = [tensor.untyped_storage() for tensor in tensors]
    return sum({storage.data_ptr(): storage.nbytes() for storage in storages}.values())


def tensors_in_memory():
    gc.collect()
    return [found for found in gc.get_objects() if type(found) is torch.Tensor]


def test_at_a_look_at_the_fitness_the_tensors_from_before_the_training_are_free(
    zoo_member, problem
):
    own = {key: tensor.clone() for key, tensor in zoo_member.weights.items()}
    zoo_member.genome = replace(zoo_member.genome, weights=own)
    before = [weakref.ref(tensor) for tensor in own.values()]
    own.clear()
    evaluated(zoo_member, problem)
    assert zoo_member.fitness.valid
    gc.collect()
    assert not any(tensor() is not None for tensor in before)
    assert zoo_member.weights is zoo_member.evaluation.weights


def test_a_clone_from_before_keeps_the_weights_from_before(zoo_member, problem):
    before = copy.deepcopy(zoo_member)
    known = {key: tensor.clone() for key, tensor in zoo_member.weights.items()}
    evaluated(zoo_member, problem)
    assert zoo_member.fitness.valid and not before.trained
    assert all(torch.equal(before.weights[key], known[key]) for key in known)
    assert valp.evaluate(before, problem, 2, 2) == zoo_member.evaluation


@pytest.mark.parametrize("looks", [True, False])
def test_it_does_not_matter_when_somebody_looks(looks, zoo_member, problem):
    """Children and further training are the same, whether or not the tensors were taken over."""
    evaluated(zoo_member, problem)
    if looks:
        assert zoo_member.fitness.valid
    random.seed(5)
    child = copy.copy(zoo_member)
    valp.mutCloneNetwork(child)
    assert child.genome == _reference(problem, zoo_member).genome
    again = valp.evaluate(zoo_member, problem, 2, 2)
    assert again.sessions == 2 and zoo_member.age(zoo_member.networks[0]) == 1


def _reference(problem, individual):
    """The child again, of an individual that went through a pickle."""
    random.seed(5)
    child = pickle.loads(pickle.dumps(individual))
    valp.mutCloneNetwork(child)
    return child


CARRYING = valp.Training(carry=True)


@pytest.mark.parametrize(
    ("training", "most"), [(valp.PLAIN, 1.2), (valp.Training(), 1.2), (CARRYING, 3.2)]
)
def test_a_population_holds_and_pickles_what_training_needs(training, most):
    """The weights, and where optimizers continue, Adam's two moments of each weight."""
    individual, problem = large()
    before = bytes_of(tensors_in_memory())
    population = [copy.deepcopy(individual) for _ in range(4)]
    for one in population:
        valp.mutExtendLayer(one)
        evaluated(one, problem, training=training)
        assert one.fitness.valid
    weights = sum(4 * one.weight_count for one in population)
    assert bytes_of(tensors_in_memory()) - before < most * weights
    assert len(pickle.dumps(population)) < most * weights


def test_a_pickle_holds_the_tensors_that_are_shared_once_and_so_does_who_reads_it(problem):
    individual, problem = large()
    evaluated(individual, problem, training=CARRYING)
    fame = tools.HallOfFame(1)
    fame.update([individual])
    alone = len(pickle.dumps(individual))
    together = pickle.dumps([individual, copy.deepcopy(individual), fame])
    assert len(together) < 1.1 * alone
    one, other, fame = pickle.loads(together)
    assert one.weights is other.weights is fame[0].weights is one.evaluation.weights
    assert one.genome.optimizer_state is fame[0].evaluation.optimizer_state


def test_a_child_travels_without_its_parents_evaluation(zoo_member, problem):
    evaluated(zoo_member, problem)
    child = copy.deepcopy(zoo_member)
    valp.mutChangeBS(child)
    del child.fitness.values
    clone, read = copy.deepcopy(child), pickle.loads(pickle.dumps(child))
    for there in (clone, read):
        assert there.fitness.evaluation is None and child.fitness.evaluation is not None
        assert there == child and there.trained
    for one in (child, clone, read):
        evaluated(one, problem)
    assert digest(child) == digest(clone) == digest(read)


def test_values_that_nobody_deleted_keep_the_evaluation_that_they_came_from(zoo_member, problem):
    evaluated(zoo_member, problem)
    valp.mutChangeBS(zoo_member)
    there = pickle.loads(pickle.dumps(zoo_member))
    assert there.fitness.evaluation == zoo_member.fitness.evaluation
    assert there.evaluation is None


def test_without_its_state_an_individual_is_smaller_and_otherwise_the_same():
    individual, problem = large()
    evaluated(individual, problem, training=CARRYING)
    kept = individual.without_state()
    assert not vars(kept)["_genome"].optimizer_state  # before anybody looks, too
    assert kept == individual and kept.fitness == individual.fitness
    assert kept.evaluation.diagnosis is individual.evaluation.diagnosis
    assert len(pickle.dumps(kept)) < 1.2 * 4 * individual.weight_count
    assert individual.evaluation.optimizer_state and not kept.inherited().optimizer_state
    valp.mutChangeBS(individual)
    assert (
        individual.genome.optimizer_state and not individual.without_state().genome.optimizer_state
    )


def test_a_session_that_does_not_continue_leaves_no_state(zoo_member, problem):
    evaluated(zoo_member, problem, training=valp.Training())
    assert not zoo_member.evaluation.optimizer_state


# ---- large populations ---------------------------------------------------------------------------


def crowd(count):
    """Individuals with seeds and values of their own."""
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    evaluated(individual, problem, metrics=valp.ALL_METRICS)
    members = []
    for _ in range(count):
        member = copy.deepcopy(individual)
        member.become(individual.inherited())
        evaluation = individual.evaluation.with_values(
            [random.randrange(4) for _ in individual.evaluation]
        )
        evaluation.seed = member.seed
        member.fitness.values = evaluation
        members.append(member)
    return members


def test_ranks_are_those_of_every_pair():
    random.seed(1)
    members = crowd(12)
    values = [member.evaluation.named for member in members]
    found = valp.rank(members)
    for own, ranks in zip(values, found, strict=True):
        assert ranks == {
            name: 1 + sum(other[name] < own[name] for other in values)
            for name in members[0].outputs
        }
    for member, ranks in zip(members, found, strict=True):
        view = View(member, member.evaluation.diagnosis, Thresholds(), members)
        assert view.ranks == ranks


@pytest.mark.parametrize("size", [20, 80])
def test_a_selection_compares_with_each_peer_a_few_times(size, monkeypatch):
    """The work of one choice grows with the population, not with its square."""
    random.seed(1)
    members, looks = crowd(size), []
    named = valp.Evaluation.named.fget

    def counted(evaluation):
        looks.append(1)
        return named(evaluation)

    monkeypatch.setattr(valp.Evaluation, "named", property(counted))
    for member in members[:5]:
        valp.selMutation(member, members, policy="principles")
    assert 5 * size / 2 < len(looks) < 5 * size * 4


def test_an_archive_is_read_once():
    class Counted(list):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    toolbox = base.Toolbox()
    evaluate = partial(valp.evaluate, problem=zoo.plain_problem(), batches=1, first_batches=1)
    toolbox.register("evaluate", evaluate)
    toolbox.register("selMutation", valp.selMutation, policy="gentle")
    archive = Counted()
    valp.hillClimbing(zoo.smallest(), toolbox, 4, archive=archive, progress=False, verbose=False)
    assert len(archive) == 5 and archive.passes == 1
