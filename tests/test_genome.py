"""The VALP: subgraphs, validity, copies, equality, pickling, printing."""

from __future__ import annotations

import copy
import pickle
import random
import sys

import networkx as nx
import pytest
import torch
import zoo
from deap import base, creator, tools
from validity import assert_valid

import deap_valp as valp
from deap_valp.errors import StructureError
from deap_valp.genome import KINDS, Generic, Genome, Layer, build_graph, check


def figure_2():
    """The example of the paper's Fig. 2."""
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    problem = valp.Problem(
        {"i": x}, {"o1": valp.Regression(x[:, :1] * 2), "o2": valp.Regression(x[:, 1:2] + 1)}
    )
    networks = {f"n{k}": zoo.generic(2) for k in range(1, 7)}
    return zoo.build(
        problem, networks, "i->n1 n1->n3 n3->n5 n5->o1 i->n6 n6->n2 n2->n3 n2->n4 n4->o2"
    )


def test_subgraphs_of_the_paper_s_figure_2():
    individual = figure_2()
    assert individual.subgraph("o1") == {"n1", "n2", "n3", "n5", "n6"}
    assert individual.subgraph("o2") == {"n2", "n4", "n6"}
    assert individual.exclusive("o1") == {"n1", "n3", "n5"}
    assert individual.exclusive("o2") == {"n4"}


def test_exclusive_subgraphs_are_those_no_other_output_needs(zoo_member):
    for output in zoo_member.outputs:
        others = [zoo_member.subgraph(other) for other in zoo_member.outputs if other != output]
        expected = {
            n for n in zoo_member.subgraph(output) if not any(n in other for other in others)
        }
        assert zoo_member.exclusive(output) == expected


# ---- copies, equality, pickling ------------------------------------------------------------------


def large():
    """About a million weights."""
    return zoo.build(zoo.plain_problem(), {"n0": zoo.generic(700, 700, 700)}, "x->n0 n0->y")


def test_a_copy_shares_the_genome(zoo_member):
    clone = copy.deepcopy(zoo_member)
    assert clone == zoo_member and clone.seed == zoo_member.seed
    assert clone.genome is zoo_member.genome


def test_a_genome_is_read_only(zoo_member):
    with pytest.raises(TypeError):
        zoo_member.weights["n0.0.bias"] = torch.zeros(1)
    with pytest.raises(TypeError):
        zoo_member.optimizers[zoo_member.outputs[0]] = valp.Optimizer()
    with pytest.raises(nx.NetworkXError, match=r"[Ff]rozen"):
        zoo_member.graph.remove_node("n0")
    with pytest.raises(AttributeError):
        zoo_member.genome.batch_size = 3


def test_a_copy_keeps_what_the_user_added(zoo_member):
    zoo_member.notes = ["mine"]
    clone = copy.deepcopy(zoo_member)
    assert clone.notes == ["mine"] and clone.notes is not zoo_member.notes


def test_a_clone_of_a_million_weights_is_small():
    import tracemalloc

    individual = large()
    assert individual.weight_count > 980_000
    tracemalloc.start()
    clone = copy.deepcopy(individual)
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert size < 100_000 and clone == individual


def test_pickling_keeps_everything(zoo_member):
    zoo_member.fitness.values = valp.evaluate(
        zoo_member, _problem(zoo_member), batches=1, first_batches=1
    )
    copy_ = pickle.loads(pickle.dumps(zoo_member))
    assert copy_ == zoo_member and copy_.seed == zoo_member.seed
    assert copy_.fitness == zoo_member.fitness
    trained = zoo_member.evaluation.weights
    assert all(
        torch.equal(copy_.evaluation.weights[key], tensor) for key, tensor in trained.items()
    )
    assert copy_.order == zoo_member.order and copy_.connections == zoo_member.connections
    check(copy_)


def _problem(individual):
    problems = zoo.mixed_problem(), zoo.plain_problem(), zoo.image_problem()
    inputs = {name: individual.component(name) for name in individual.inputs}
    return next(problem for problem in problems if problem.inputs == inputs)


def test_pickles_hold_tensors_once_and_as_bytes():
    individual = large()
    assert len(pickle.dumps(individual)) < 4.1 * individual.weight_count
    with zoo.editing(individual) as draft:
        for key, tensor in individual.weights.items():
            draft.weights[key] = tensor.repeat(2, *[1] * (tensor.dim() - 1))[: len(tensor)]
    assert (
        len(pickle.dumps(individual)) < 4.1 * individual.weight_count
    )  # views do not carry their buffers


def test_equality_is_a_plain_bool(zoo_member):
    clone = copy.deepcopy(zoo_member)
    assert (clone == zoo_member) is True
    key = next(iter(clone.weights))
    with zoo.editing(clone) as draft:
        draft.weights[key] = clone.weights[key] + 1
    assert (clone == zoo_member) is False
    assert zoo_member != "a VALP"


def test_equality_never_compares_types(zoo_member):
    other = copy.deepcopy(zoo_member)
    other.__class__ = type("Rebuilt", (valp.VALP,), {})
    assert other == zoo_member


def test_equality_sees_hyperparameters(zoo_member):
    for change in (valp.mutChangeBS, valp.mutChangeLR, valp.mutChangeSGD):
        clone = copy.deepcopy(zoo_member)
        change(clone)
        assert clone != zoo_member


def test_deap_s_containers_take_them(zoo_member):
    zoo_member.fitness.values = [0.5] * len(zoo_member.fitness.weights)
    front, best = tools.ParetoFront(), tools.HallOfFame(1)
    for container in (front, best):
        container.update([zoo_member, copy.deepcopy(zoo_member)])
        assert list(container) == [zoo_member]


def test_it_prints_the_graph_in_a_few_lines(zoo_member):
    lines = str(zoo_member).splitlines()
    assert len(lines) == 1 + len(zoo_member.graph)
    assert all(
        any(line.strip().startswith(f"{name}:") for line in lines) for name in zoo_member.graph
    )
    assert f"{zoo_member.weight_count} weights" in repr(zoo_member)


# ---- drafts --------------------------------------------------------------------------------------


def test_a_draft_that_changes_no_component_shares_the_graph(zoo_member):
    draft = valp.Draft(zoo_member.genome)
    draft.batch_size += 1
    assert draft.genome().graph is zoo_member.graph


def test_editing_a_draft_changes_no_genome_before_or_after_it(zoo_member):
    first, narrow, wide = zoo_member.genome, zoo.generic(2), zoo.generic(3)
    draft = valp.Draft(first)
    draft.graph.add_node("z", component=narrow)
    second = draft.genome()
    assert nx.is_frozen(second.graph)
    draft.set_component("z", wide)
    draft.graph.add_edge("z", first.outputs[0])
    third = draft.genome()
    assert "z" not in first.graph and second.component("z") == narrow
    assert not second.graph.succ["z"] and third.component("z") == wide
    assert third.graph.has_edge("z", first.outputs[0])


# ---- validity ------------------------------------------------------------------------------------


def test_every_member_is_valid(zoo_name):
    individual, problem = zoo.member(zoo_name), zoo.problem_of(zoo_name)
    check(individual, problem)
    assert_valid(individual, problem)


def with_edges(individual, add=(), remove=()):
    """The individual with other connections, and blocks that fit."""
    with zoo.editing(individual) as draft:
        draft.graph.remove_edges_from(remove)
        draft.graph.add_edges_from(add)
    if nx.is_directed_acyclic_graph(individual.graph):
        with zoo.editing(individual) as draft:
            draft.weights = {key: torch.zeros(shape) for key, shape in draft.shapes().items()}
    return individual


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            lambda: with_edges(zoo.smallest(), remove=[("n0", "y")]),
            r"n0 \(generic\) has no consumer",
        ),
        (
            lambda: with_edges(zoo.one_discrete(), remove=[("n0", "n1")]),
            r"has no (provider|consumer)",
        ),
        (
            lambda: with_edges(zoo.one_discrete(), add=[("n1", "n0")]),
            r"no recurrence, got the cycle",
        ),
        (
            lambda: with_edges(zoo.one_discrete(), add=[("n0", "y")]),
            r"n0->y: y \(regression\) does not take",
        ),
        (
            lambda: with_edges(zoo.smallest(), add=[("x", "y")]),
            r"x->y: y \(regression\) does not take",
        ),
        (
            lambda: with_edges(zoo.fan_out(), add=[("left", "n3")]),
            r"left->n3: n3 \(decoder\) does not take",
        ),
        (lambda: with_edges(zoo.fan_out(), add=[("n1", "image")]), r"n1->image"),
        (lambda: with_edges(zoo.fan_out(), add=[("label", "n1")]), r"label->n1"),
        (lambda: with_edges(zoo.fan_out(), add=[("n0", "left")]), r"n0->left"),
    ],
)
def test_each_broken_rule_is_named(broken, message):
    with pytest.raises(StructureError, match=message):
        check(broken())


def test_ports_are_the_problem_s():
    with pytest.raises(StructureError, match="exactly the inputs of its problem"):
        check(zoo.smallest(), zoo.mixed_problem())
    individual = zoo.smallest()
    with zoo.editing(individual) as draft:
        draft.graph.add_node("z", component=individual.component("y"))
        draft.graph.add_edge("n0", "z")
    with pytest.raises(StructureError, match="exactly the outputs of its problem"):
        check(individual, zoo.plain_problem())


def test_weights_fit_the_structure():
    individual = zoo.smallest()
    with zoo.editing(individual) as draft:
        draft.weights["n0.0.bias"] = torch.zeros(7)
    with pytest.raises(StructureError, match=r"n0.0.bias: expected shape \(4,\), got \(7,\)"):
        check(individual)
    with zoo.editing(individual) as draft:
        del draft.weights["n0.0.bias"]
    with pytest.raises(StructureError, match=r"wrong or missing: \['n0.0.bias'\]"):
        check(individual)


def test_an_invalid_graph_makes_no_individual():
    problem = zoo.plain_problem()
    graph = build_graph(
        {**problem.inputs, "n0": zoo.generic(3), "y": problem.outputs["y"].port}, [("x", "n0")]
    )
    with pytest.raises(StructureError, match="n0"):
        valp.VALP(Genome(graph, {}, {"y": valp.Optimizer()}))


def test_a_component_is_one_of_ours():
    individual = zoo.smallest()
    with zoo.editing(individual) as draft:
        draft.graph.nodes["n0"]["component"] = "a network"
    with pytest.raises(StructureError, match="a component is an Input, a SubNetwork or an Output"):
        check(individual)


def with_component(individual, name, **changes):
    from dataclasses import replace

    with zoo.editing(individual) as draft:
        draft.graph.nodes[name]["component"] = replace(individual.component(name), **changes)
    return individual


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (
            lambda: with_component(zoo.smallest(), "n0", layers=(Layer(4, "softmax"),)),
            "n0 .generic. needs layers with",
        ),
        (
            lambda: with_component(zoo.smallest(), "n0", layers=(Layer(4, "sin"),)),
            "n0 .generic. needs layers with",
        ),
        (
            lambda: with_component(zoo.one_discrete(), "n0", layers=(Layer(4, "elu"),)),
            "needs softmax as its last activation",
        ),
        (lambda: with_component(zoo.fan_out(), "n3", share=0.0), "a positive share"),
    ],
)
def test_sub_networks_have_the_layers_of_their_kind(broken, message):
    with pytest.raises(StructureError, match=message):
        check(broken())


def test_weights_are_float32():
    individual = zoo.smallest()
    with zoo.editing(individual) as draft:
        draft.weights["y.bias"] = individual.weights["y.bias"].double()
    with pytest.raises(StructureError, match=r"y.bias: weights are float32, got torch.float64"):
        check(individual)


def test_sub_networks_have_their_names():
    with pytest.raises(
        StructureError, match=r"a sub-network is named n0, n1, \.\.\., got .encoder."
    ):
        zoo.build(zoo.plain_problem(), {"encoder": zoo.generic(3)}, "x->encoder encoder->y")


@pytest.mark.parametrize("name", ["adamant", ""])
def test_optimizers_have_known_names(name):
    individual = zoo.smallest()
    with zoo.editing(individual) as draft:
        draft.optimizers["y"] = valp.Optimizer(name)
    with pytest.raises(StructureError, match="SGD algorithm"):
        check(individual)


# ---- initVALP ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bounds", [(2, 2), (3, 3), (3, 6), (10, 10), (30, 30)])
def test_random_valps_are_valid_and_keep_the_bounds(bounds):
    problem = zoo.mixed_problem()
    for seed in range(40):
        random.seed(seed)
        individual = zoo.random_valp(problem, bounds)
        assert_valid(individual, problem)
        assert bounds[0] <= len(individual.networks) <= bounds[1]


def test_every_kind_and_every_number_is_reached():
    problems = zoo.mixed_problem(), zoo.image_problem()
    kinds, numbers = set(), set()
    for seed in range(100):
        random.seed(seed)
        individual = zoo.random_valp(problems[seed % 2])
        kinds |= {individual.component(name).kind for name in individual.networks}
        numbers.add(len(individual.networks))
    assert kinds == set(KINDS) and numbers == {3, 4, 5, 6}


def test_exclusive_subgraphs_are_common():
    problem = zoo.mixed_problem()
    found = {name: 0 for name in problem.outputs}
    for seed in range(200):
        random.seed(seed)
        individual = zoo.random_valp(problem, (6, 6))
        for name in found:
            found[name] += bool(individual.exclusive(name))
    assert min(found.values()) >= 80, found


def test_the_layout_is_kept():
    random.seed(2)
    cls, problem = zoo.individual_class(zoo.mixed_problem().weights), zoo.mixed_problem()
    for _ in range(20):
        individual = valp.initVALP(
            cls,
            problem,
            (4, 8),
            layers=(2, 3),
            width=(5, 7),
            latent=(3, 4),
            activations=("elu",),
            batch_size=64,
            start="random",
        )
        assert individual.batch_size == 64
        components = map(individual.component, individual.networks)
        for component in (one for one in components if isinstance(one, valp.Dense)):
            assert 2 <= len(component.layers) <= 3
            assert all(5 <= layer.width <= 7 for layer in component.layers)
            assert {layer.activation for layer in component.layers} <= {"elu", "softmax"}
            assert component.kind != "decoder" or 3 <= component.latent.dim <= 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"networks": (1, 6)}, "needs networks from 2 on"),
        ({"networks": (3, 2)}, "1 <= low <= high"),
        ({"networks": (3, 65)}, "<= 64"),
        ({"layers": (0, 2)}, "for layers"),
        ({"width": (8, 1000)}, "for width"),
        ({"latent": (4, 2)}, "for latent"),
        ({"activations": ("sin",)}, "activations among"),
        ({"activations": ()}, "activations among"),
        ({"optimizer": "adamant"}, "SGD algorithm"),
        ({"batch_size": 0}, "batch size"),
        ({"learning_rate": float("nan")}, "learning rate"),
    ],
)
def test_bad_bounds_raise(arguments, message):
    problem = zoo.mixed_problem()
    with pytest.raises(StructureError, match=message):
        valp.initVALP(zoo.individual_class(problem.weights), problem, **arguments)


def test_initial_weights_come_from_the_global_seed():
    first, second = [], []
    for found in (first, second):
        random.seed(9)
        found.append(zoo.random_valp(zoo.mixed_problem()))
    assert first == second


def test_initial_signals_neither_vanish_nor_explode():
    problem = zoo.mixed_problem()
    features = problem.split("train").inputs
    for activation in valp.Layout().activations:
        individual = valp.initVALP(
            zoo.individual_class(problem.weights),
            problem,
            (4, 4),
            layers=(4, 4),
            width=(64, 64),
            activations=(activation,),
            start="random",
        )
        model = valp.decode(individual)
        from deap_valp.training.model import Latents

        results = model.run(features, Latents("train", model.draw_noise(len(features["left"]))))
        for output in model.outputs:
            assert 0.02 < float(results[output].detach().std()) < 50, activation


# ---- the class as DEAP makes it ------------------------------------------------------------------


def test_it_works_with_a_plain_deap_fitness():
    creator.create("PlainFitness", base.Fitness, weights=(-1.0,))
    creator.create("PlainIndividual", valp.VALP, fitness=creator.PlainFitness)
    problem = zoo.plain_problem()
    individual = valp.initVALP(creator.PlainIndividual, problem)
    individual.fitness.values = valp.evaluate(individual, problem, batches=2, first_batches=2)
    assert individual.evaluation is None and not individual.trained
    valp.mutGuided(individual)
    assert not individual.trained
    assert pickle.loads(pickle.dumps(individual)) == individual


def test_sizes_are_those_of_the_structure(zoo_member):
    assert (
        zoo_member.weight_count
        == sum(torch.Size(shape).numel() for shape in zoo_member.shapes().values())
        == sum(tensor.numel() for tensor in valp.decode(zoo_member).parameters())
    )
    assert sys.getsizeof(zoo_member) < 200


def test_kinds_are_frozen():
    component = zoo.generic(3)
    with pytest.raises(AttributeError):
        component.layers = ()
    assert isinstance(component, Generic) and hash(component)


def test_a_change_is_a_change_where_random_is_seeded_anew():
    random.seed(7)
    individual = valp.initVALP(zoo.individual_class((-1.0,)), zoo.plain_problem())
    evaluation = valp.evaluate(individual, zoo.plain_problem(), 1, 1)
    individual.fitness.values = evaluation
    random.seed(7)
    for _ in range(1000):  # until the next draw is the seed that it has
        state = random.getstate()
        if random.getrandbits(63) == evaluation.seed:
            break
    else:
        pytest.fail("the seed of the evaluation is not among the draws")
    random.setstate(state)
    individual.become(individual.inherited())
    assert individual.seed != evaluation.seed and individual.evaluation is None
