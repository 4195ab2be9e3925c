"""Maps and convolutions: what only they have, beside the contracts that every kind keeps."""

from __future__ import annotations

import copy
import random

import numpy as np
import pytest
import torch
import zoo
from test_training import assert_same
from torch.nn import functional

import deap_valp as valp
from deap_valp.genome import Connection, Convolutional, Filter, Generic, check
from deap_valp.genome.maps import Convolution, Maps, maps_of


def numbers(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


# ---- maps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "maps"),
    [
        ((28, 28), Maps(28, 28, 1)),
        ((32, 30, 3), Maps(32, 30, 3)),
        ((3, 32, 30), Maps(32, 30, 3, planes=True)),
        ((8, 8), None),
        ((40, 6), None),
        ((20, 20, 20), None),
        ((784,), None),
        ((2, 3, 20, 20), None),
    ],
)
def test_an_image_is_an_array_of_rows_columns_and_few_colours(shape, maps):
    assert maps_of(shape) == maps


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_a_convolution_is_pytorch_s(planes, stride):
    images, kernels = numbers(4, 3, 12, 13), numbers(5, 3, 3, 3, seed=1)
    flat = images.flatten(1) if planes else images.permute(0, 2, 3, 1).flatten(1)
    by = Convolution(Maps(12, 13, 3, planes), (12, 13), 5, 3, stride)
    found = by(flat, kernels.permute(0, 2, 3, 1), numbers(5))
    expected = functional.conv2d(images, kernels, numbers(5), stride, 1)
    torch.testing.assert_close(by.result.images(found), expected)
    assert found.shape[1] == by.result.columns


def test_maps_of_another_size_are_read_by_their_mean_over_what_a_position_covers():
    by = Convolution(Maps(4, 4, 1), (2, 2), 1, 1, 1)
    flat = torch.arange(16.0)[None]
    assert by(flat, torch.ones(1, 1, 1, 1)).tolist() == [[2.5, 4.5, 10.5, 12.5]]
    larger = Convolution(Maps(1, 1, 1), (2, 2), 1, 1, 1)
    assert larger(torch.tensor([[3.0]]), torch.ones(1, 1, 1, 1)).tolist() == [[3.0] * 4]


def test_input_and_problem_know_the_shape_of_images_in_either_order_of_colours():
    images = np.random.default_rng(0).integers(0, 255, (40, 12, 14, 3), dtype=np.uint8)
    target = {"y": valp.Classification(np.arange(40) % 2)}
    problem = valp.Problem({"x": images, "z": images.transpose(0, 3, 1, 2)}, target)
    assert problem.inputs["x"].maps == Maps(12, 14, 3)
    assert problem.inputs["z"].maps == Maps(12, 14, 3, planes=True)
    rows = problem.split("train").inputs
    seen = [problem.inputs[name].maps.images(rows[name]) for name in ("x", "z")]
    torch.testing.assert_close(*seen)


# ---- drawing and types ---------------------------------------------------------------------------


def test_small_images_and_tables_draw_no_convolutions():
    for problem in (valp.problems.digits(), zoo.mixed_problem()):
        for start in ("shared", "random"):
            for _ in range(10):
                individual = valp.initVALP(
                    zoo.individual_class(problem.weights), problem, start=start
                )
                kinds = {individual.component(name).kind for name in individual.networks}
                assert "convolutional" not in kinds


def test_images_can_be_kept_from_convolutions():
    images = np.random.default_rng(0).random((40, 12, 14))
    target = valp.Classification(np.arange(40) % 2)
    problem = valp.Problem(
        {"x": valp.Image(images, convolutions=False)}, {"y": target, "z": valp.Generation()}
    )
    assert problem.inputs["x"].maps is None and problem.outputs["z"].port.maps is None
    for start in ("shared", "random"):
        individual = valp.initVALP(zoo.individual_class(problem.weights), problem, start=start)
        kinds = {individual.component(name).kind for name in individual.networks}
        assert not kinds & {"convolutional", "painter"}


def test_the_shared_start_reads_images_by_convolutions():
    problem = zoo.image_problem()
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem)
    check(individual, problem)
    (found,) = [name for name in individual.networks if reads_maps(individual, name)]
    assert individual.component(found).size == (14, 12)
    assert individual.providers(found) == ("left", "right")
    assert all(found in individual.subgraph(output) for output in individual.outputs)
    assert max(individual.component(found).maps[:2]) <= 8


def reads_maps(individual, name):
    return isinstance(individual.component(name), Convolutional)


@pytest.mark.parametrize("count", range(2, 9))
def test_the_shared_start_meets_the_number_of_sub_networks(count):
    problem = zoo.image_problem()
    cls = zoo.individual_class(problem.weights)
    individual = valp.initVALP(cls, problem, networks=(count, count))
    check(individual, problem)
    assert len(individual.networks) == count


def test_a_dense_result_is_no_maps():
    individual = zoo.images()
    with pytest.raises(valp.PlaceError, match="n3->n0"):
        valp.mutAddConnection(individual, "n3->n0")
    with zoo.editing(individual) as draft:
        draft.graph.add_edge("n3", "n0")
    with pytest.raises(valp.StructureError, match=r"n0 .convolutional. does not take what n3"):
        check(individual)


def test_a_dense_valp_of_images_gets_convolutions_by_gentle_operators():
    problem = zoo.image_problem()
    networks = {"n0": zoo.generic(5), "n1": zoo.decoder(2, 4)}
    edges = "left->n0 right->n0 n0->label n0->value n0->n1 n1->image n1->texture"
    individual = zoo.build(problem, networks, edges)
    before = zoo.predictions(individual, problem)
    valp.mutParallelNetwork(individual, "left->label")
    (name,) = [name for name in individual.networks if reads_maps(individual, name)]
    assert individual.component(name).size == (12, 13)
    after = zoo.predictions(individual, problem)
    for key, values in before.items():
        torch.testing.assert_close(after[key], values, atol=1e-9, rtol=1e-9)


# ---- surgery -------------------------------------------------------------------------------------


def test_a_removed_layer_leaves_its_stride_so_the_maps_keep_their_size():
    individual = zoo.images()
    for stage in ("0", "1"):
        changed = copy.deepcopy(individual)
        before = changed.component("n1").maps
        valp.mutRemoveLayer(changed, f"n1.{stage}")
        after = changed.component("n1").maps
        assert (after.height, after.width) == (before.height, before.width)
        assert len(changed.component("n1").layers) == 1


@pytest.mark.parametrize("receiver", ["n1", "n2"])
def test_gentle_insertion_between_maps_inserts_kernels_that_pass_them_on(receiver):
    individual = zoo.images()
    before = zoo.predictions(individual, zoo.image_problem())
    valp.mutInsertNetwork(individual, f"n0->{receiver}", gentle=True)
    new = individual.networks[-1]
    assert reads_maps(individual, new)
    assert individual.component(new).size == individual.component("n0").maps[:2]
    after = zoo.predictions(individual, zoo.image_problem())
    for key, values in before.items():
        torch.testing.assert_close(after[key], values, atol=1e-9, rtol=1e-9)


def test_channels_keep_a_quarter_of_the_limit_of_width():
    individual = zoo.images()
    random.seed(0)
    with zoo.editing(individual) as draft:
        draft.limits = valp.Limits(width=20)
    for _ in range(40):
        for stage in individual.component("n0").wide_places(individual.limits):
            valp.mutExtendLayer(individual, f"n0.{stage}")
    assert [layer.width for layer in individual.component("n0").layers] == [5, 5]
    offered = valp.operators()["extend_layer"].places(individual, True)
    assert not [place for place in offered if place.network == "n0"]


@pytest.mark.parametrize("stage", ["0", "1"])
def test_the_optimizer_s_memory_of_a_channel_goes_to_the_channels_made_of_it(stage):
    problem, individual = zoo.image_problem(), zoo.images()
    individual.fitness.values = valp.evaluate(
        individual, problem, first_batches=5, training=valp.Training(carry=True)
    )
    kept = individual.evaluation.optimizer_state
    valp.mutExtendLayer(individual, f"n0.{stage}", gentle=True)
    state = individual.genome.optimizer_state
    assert state.keys() == kept.keys()
    for key, by_algorithm in state.items():
        for block in by_algorithm.values():
            assert all(m.shape == individual.weights[key].shape for m in block.moments)
    reader = "n0->n1" if stage == "1" else "n0.1.weight"
    old, new = (states[reader]["adam"].moments[0] for states in (kept, state))
    assert torch.equal(new[..., : old.shape[-1]], old)


def test_a_dense_and_a_convolutional_valp_donate_to_each_other():
    problem = zoo.image_problem()
    dense = zoo.build(
        problem,
        {"n0": zoo.generic(5), "n1": zoo.generic(4), "n2": zoo.decoder(2, 4)},
        "left->n0 right->n0 n0->n1 n1->label n0->value n0->n2 n2->image n2->texture",
    )
    images = zoo.build(
        problem,
        {
            "n0": zoo.convolutional((12, 13), (3, 5, 2, "relu")),
            "n1": zoo.convolutional((6, 7), (2, 3, 1, "relu")),
            "n2": zoo.generic(5),
            "n3": zoo.decoder(2, 4),
        },
        "left->n0 right->n2 n0->n1 n1->label n0->value n2->value n2->n3 n3->image n3->texture",
    )
    valp.cxExclusiveSubgraph(dense, images, "label")
    for individual in (dense, images):
        check(individual, problem)
    assert any(reads_maps(dense, name) for name in dense.exclusive("label"))
    (read,) = dense.providers(next(iter(dense.exclusive("label"))))
    assert read in problem.inputs
    assert isinstance(images.component(next(iter(images.exclusive("label")))), Generic)


def test_deletion_changes_the_loss_as_connection_intervention_said():
    problem, individual = zoo.image_problem(), zoo.images()
    individual.fitness.values = valp.evaluate(
        individual, problem, first_batches=30, metrics=["connection_intervention"]
    )
    diagnosis = individual.evaluation.diagnosis
    before = losses(individual)
    place = Connection("n0", "n1")
    valp.mutDeleteConnection(individual, place)
    change = losses(individual) - before
    for output, found in zip(individual.outputs, change.tolist(), strict=True):
        if (place, output) in diagnosis.change_without:
            assert found == pytest.approx(diagnosis.change_without[place, output], abs=1e-5)


def losses(individual):
    from deap_valp.diagnosis import Subject

    model = valp.decode(individual)
    with torch.no_grad():
        return Subject(model, zoo.image_problem(), {}, 0).intact_losses


# ---- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("component", "message"),
    [
        (Convolutional(1, (Filter(2, "relu", 4),), (12, 12)), "odd kernels from 1 to 31"),
        (Convolutional(1, (Filter(2, "relu", 3, 0),), (12, 12)), "strides from 1 on"),
        (Convolutional(1, (Filter(2, "relu"),), (0, 12)), "a size from 1 to 1024"),
        (Convolutional(1, (), (12, 12)), "needs layers"),
        (Convolutional(1, (Filter(2, "softmax"),), (12, 12)), "activations among"),
    ],
)
def test_a_fault_is_named(component, message):
    assert message in component.fault()


@pytest.mark.parametrize("batch", [1, 7])
def test_gradients_are_autograd_s_for_any_batch(batch):
    assert_same(zoo.images(), zoo.image_problem(), batch)
