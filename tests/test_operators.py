"""The contract of every registered operator, over the registry, the zoo and seeds.

A new operator is tested without being named here.
"""

from __future__ import annotations

import copy
import pickle
import random
from dataclasses import replace

import pytest
import torch
import zoo
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from validity import assert_valid

import deap_valp as valp
from deap_valp.errors import PlaceError, RegistrationError
from deap_valp.genome import Connection, same_structure
from deap_valp.variation.operators import moves

ALL = [  # a donation needs a donor and has tests of its own
    (name, version)
    for name, op in valp.operators().items()
    if op.scope != "crossover"
    for version in op.versions
]
GENTLE = [(name, version) for name, version in ALL if version == "gentle"]
BOTH = pytest.mark.parametrize(("name", "version"), ALL)


def places_of(name, version, individual):
    return valp.operators()[name].places(individual, version == "gentle")


def apply(name, version, individual, place=None):
    op = valp.operators()[name]
    keyword = {"gentle": version == "gentle"} if len(op.versions) == 2 else {}
    return op.apply(individual, place, **keyword)


def each_place(name, version, individual):
    """A fresh clone for every place."""
    for place in places_of(name, version, individual):
        yield place, copy.deepcopy(individual)


def size(individual):
    """Components, connections, tensors and their elements without blocks: what an extender adds."""
    own = [key for name in individual.networks for key in individual.tensors_of(name).values()]
    return (
        len(individual.networks)
        + individual.graph.number_of_edges()
        + sum(1 + tensor.numel() for tensor in own)
    )


def untouched_keys(name, place, individual):
    """Tensors that an operator at this place has no business with."""
    if valp.operators()[name].scope == "hyperparameter":
        return set(individual.weights)
    if name == "fork_network":
        return set(individual.weights) - {Connection(place.network, place.receiver)}
    if name == "delete_connection":  # what it added on average goes into the bias
        return set(individual.weights) - {place, individual.entry_bias(place.receiver)}
    if name == "delete_input":
        touched = set()
        for provider in individual.fed_by(place):
            if provider != place:
                touched |= set(individual.keys_of(provider))
            for receiver in individual.receivers(provider):
                touched |= {Connection(provider, receiver), individual.entry_bias(receiver)}
        return set(individual.weights) - touched
    if "->" in place:
        return set(individual.weights) - {place}
    if name == "delete_input":  # what it added on average goes into the biases of those that stay
        fed = individual.fed_by(place)
        readers = {receiver for one in fed for receiver in individual.receivers(one)}
        return set(individual.weights) - {individual.entry_bias(reader) for reader in readers}
    network = place.split(".")[0]
    touched = set(individual.keys_of(network))
    touched |= {Connection(network, receiver) for receiver in individual.receivers(network)}
    return set(individual.weights) - touched


@BOTH
def test_every_place_gives_a_valid_valp_in_place(name, version, zoo_member, problem):
    for place, individual in each_place(name, version, zoo_member):
        seed, graph_before = individual.seed, copy.deepcopy(individual)
        (returned,) = apply(name, version, individual, place)
        assert returned is individual
        assert_valid(individual, problem)
        assert individual.seed != seed
        assert individual != graph_before
        assert individual.move.key == (name, version, place)


@BOTH
def test_untouched_blocks_stay_bit_equal(name, version, zoo_member):
    for place, individual in each_place(name, version, zoo_member):
        apply(name, version, individual, place)
        for key in untouched_keys(name, place, zoo_member):
            if key in individual.weights:
                assert torch.equal(individual.weights[key], zoo_member.weights[key]), (place, key)
            else:
                assert valp.operators()[name].effect == "reducer", (place, key)


@BOTH
def test_a_clone_of_the_parent_does_not_change(name, version, zoo_member):
    for place, individual in each_place(name, version, zoo_member):
        clone, values = (
            copy.deepcopy(individual),
            {k: v.clone() for k, v in individual.weights.items()},
        )
        apply(name, version, individual, place)
        assert clone == zoo_member
        assert all(torch.equal(clone.weights[key], value) for key, value in values.items())


@pytest.mark.parametrize(("name", "version"), GENTLE)
@pytest.mark.parametrize("dtype", zoo.DTYPES, ids=str)
def test_gentle_leaves_every_output_and_loss_unchanged(name, version, dtype, zoo_member, problem):
    before = zoo.predictions(zoo_member, problem, dtype)
    for place, individual in each_place(name, version, zoo_member):
        apply(name, version, individual, place)
        difference = zoo.largest_difference(before, zoo.predictions(individual, problem, dtype))
        assert difference <= zoo.DTYPES[dtype], place


@BOTH
def test_effect_on_size_is_the_declared_one(name, version, zoo_member):
    effect = valp.operators()[name].effect
    for place, individual in each_place(name, version, zoo_member):
        apply(name, version, individual, place)
        grown = size(individual) - size(zoo_member)
        if (
            name == "delete_network"
        ):  # one component less, though a bypass may need more connections
            grown = len(individual.networks) - len(zoo_member.networks)
        if name == "remove_layer":
            continue  # the receivers' blocks may grow; the layers themselves are counted below
        assert (grown > 0, grown < 0) == (effect == "extender", effect == "reducer"), (place, grown)


ALWAYS_HEAVIER = {"clone_network", "add_connection", "extend_layer"}


@BOTH
def test_weight_count_follows_where_the_paper_says_so(name, version, zoo_member):
    for place, individual in each_place(name, version, zoo_member):
        apply(name, version, individual, place)
        more = individual.weight_count - zoo_member.weight_count
        if name in ALWAYS_HEAVIER or (name, version) in {
            ("insert_network", "gentle"),
            ("add_layer", "gentle"),
        }:
            assert more > 0, place
        if name == "delete_connection":
            assert more < 0, place


def test_remove_layer_removes_one_layer(zoo_member):
    for place, individual in each_place("remove_layer", "aggressive", zoo_member):
        network = place.split(".")[0]
        apply("remove_layer", "aggressive", individual, place)
        assert (
            len(individual.component(network).layers)
            == len(zoo_member.component(network).layers) - 1
        )


@BOTH
def test_results_pickle_and_train(name, version, zoo_member, problem):
    for place, individual in list(each_place(name, version, zoo_member))[:2]:
        apply(name, version, individual, place)
        assert pickle.loads(pickle.dumps(individual)) == individual
        evaluation = valp.evaluate(individual, problem, batches=3, first_batches=3)
        assert evaluation.ok, evaluation.status


@BOTH
def test_an_illegal_place_raises_and_changes_nothing(name, version, zoo_member):
    before, seed, state = copy.deepcopy(zoo_member), zoo_member.seed, random.getstate()
    with pytest.raises(PlaceError, match="nowhere"):
        apply(name, version, zoo_member, "nowhere")
    assert zoo_member == before and zoo_member.seed == seed and random.getstate() == state


@BOTH
def test_nothing_is_drawn_where_no_place_exists(name, version, monkeypatch, zoo_member):
    op = valp.operators()[name]
    monkeypatch.setitem(valp.operators.__globals__["_REGISTRY"], name, _without_places(op))
    before, seed, state = copy.deepcopy(zoo_member), zoo_member.seed, random.getstate()
    assert apply(name, version, zoo_member) == (zoo_member,)
    assert zoo_member == before and zoo_member.seed == seed and random.getstate() == state


def _without_places(op):
    return replace(op, legal=lambda individual, gentle: [])


@BOTH
def test_an_edit_that_raises_changes_nothing(name, version, monkeypatch, zoo_member):
    if not places_of(name, version, zoo_member):
        pytest.skip("no place in this member")
    before, seed = copy.deepcopy(zoo_member), zoo_member.seed
    broken = RuntimeError("in the middle")

    def fail(draft, *arguments):
        draft.weights.clear()
        draft.graph.clear()
        raise broken

    registry = valp.operators.__globals__["_REGISTRY"]
    monkeypatch.setitem(registry, name, replace(registry[name], edit=fail))
    with pytest.raises(RuntimeError, match="in the middle"):
        apply(name, version, zoo_member)
    assert zoo_member == before and zoo_member.seed == seed


@BOTH
def test_the_same_seed_draws_the_same(name, version, zoo_member):
    results = []
    for _ in range(2):
        random.seed(5)
        individual = copy.deepcopy(zoo_member)
        apply(name, version, individual)
        results.append(individual)
    assert results[0] == results[1] and results[0].seed == results[1].seed


@BOTH
def test_operators_take_over_trained_weights(name, version, zoo_member, problem):
    zoo_member.fitness.values = valp.evaluate(zoo_member, problem, batches=2, first_batches=2)
    trained = zoo_member.evaluation.weights
    for place, individual in list(each_place(name, version, zoo_member))[:2]:
        untouched = untouched_keys(name, place, individual)
        apply(name, version, individual, place)
        assert individual.trained and individual.evaluation is None
        for key in untouched & set(individual.weights):
            assert torch.equal(individual.weights[key], trained[key])


def test_gentle_copies_learn_different_things(zoo_name, problem):
    individual = zoo.member(zoo_name)
    for network in individual.networks:
        cloned = copy.deepcopy(individual)
        valp.mutCloneNetwork(cloned, network)
        twin = next(n for n in cloned.networks if n not in individual.networks)
        weights = valp.evaluate(cloned, problem, batches=30, first_batches=30).weights
        entry = cloned.entry_bias(network)
        assert not torch.equal(weights[entry], weights[entry.replace(network, twin, 1)]), network


def test_zero_blocks_receive_gradient(zoo_name, problem):
    individual = zoo.member(zoo_name)
    for place in places_of("add_connection", "gentle", individual):
        grown = copy.deepcopy(individual)
        valp.mutAddConnection(grown, place)
        assert not grown.weights[place].any()
        assert valp.evaluate(grown, problem, batches=5, first_batches=5).weights[place].any(), place


def test_new_latent_dimensions_receive_gradient(zoo_name, problem):
    individual = zoo.member(zoo_name)
    for place in [
        p for p in places_of("extend_layer", "gentle", individual) if p.endswith("latent")
    ]:
        grown = copy.deepcopy(individual)
        valp.mutExtendLayer(grown, place)
        network = place.split(".")[0]
        old = individual.component(network).latent.dim
        weights = valp.evaluate(grown, problem, batches=5, first_batches=5).weights
        assert weights[f"{network}.0.weight"][:, old:].any(), place


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**9), name=st.sampled_from(zoo.NAMES), steps=st.integers(1, 12))
def test_any_sequence_of_operators_keeps_every_rule(seed, name, steps):
    random.seed(seed)
    individual, problem = zoo.member(name), zoo.problem_of(name)
    for _ in range(steps):
        valp.mutRandom(individual, operators="all")
        assert_valid(individual, problem)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**9), name=st.sampled_from(zoo.NAMES))
def test_gentle_sequences_leave_every_output_unchanged(seed, name):
    random.seed(seed)
    individual, problem = zoo.member(name), zoo.problem_of(name)
    before = zoo.predictions(individual, problem)
    for _ in range(8):
        op, _, places = random.choice([move for move in moves(individual) if move[1]])
        apply(op.name, "gentle", individual, random.choice(places))
    assert zoo.largest_difference(before, zoo.predictions(individual, problem)) <= 1e-9


@pytest.mark.parametrize(
    "name", [name for name in zoo.NAMES if zoo.problem_of(name) is zoo.mixed_problem()]
)
def test_fifty_gentle_operators_then_training_goes_on_where_it_was(name):
    individual, problem = zoo.member(name), zoo.problem_of(name)
    with zoo.editing(individual) as draft:
        draft.optimizers = dict.fromkeys(individual.outputs, valp.Optimizer("adam", 3e-3))
    individual.fitness.values = valp.evaluate(individual, problem, first_batches=300)
    last = {output: losses[-50:] for output, losses in individual.evaluation.history.items()}
    individual.genome = individual.inherited()
    before = zoo.predictions(individual, problem)
    for _ in range(50):  # hyperparameters apart, whose change is meant to change training
        structural = [m for m in moves(individual) if m[1] and m[0].scope in ("macro", "micro")]
        op, _, places = random.choice(structural)
        apply(op.name, "gentle", individual, random.choice(places))
    assert zoo.largest_difference(before, zoo.predictions(individual, problem)) <= 1e-9
    evaluation = valp.evaluate(individual, problem, batches=100)
    assert evaluation.ok
    for output, losses in last.items():
        noise = 5 * losses.std() + 0.05 * losses.mean()
        assert abs(evaluation.history[output][0] - losses.mean()) < noise, output
    assert all(torch.isfinite(tensor).all() for tensor in evaluation.weights.values())


def run_applications(valps: range, applications: int) -> None:
    """Random operators over random VALPs: valid after each, untouched blocks bit-equal."""
    problem = zoo.mixed_problem()
    for index in valps:
        random.seed(index)
        individual = zoo.random_valp(problem)
        with zoo.editing(individual) as draft:
            draft.limits = valp.Limits(networks=10, layers=4, width=64)  # many rather than large
        with zoo.editing(individual) as draft:
            draft.layout = valp.Layout(layers=(1, 3), width=(4, 16), latent=(2, 6))
        for _ in range(applications // len(valps)):
            before = copy.deepcopy(individual)
            valp.mutRandom(individual, operators="all")
            assert_valid(individual, problem)
            if individual.seed != before.seed:
                for key in untouched_keys(individual.move.operator, individual.move.place, before):
                    after = individual.weights.get(key)
                    assert after is None or torch.equal(after, before.weights[key]), (
                        individual.move,
                        key,
                    )


def test_random_applications_over_random_valps():
    run_applications(range(100), applications=2_000)


@pytest.mark.slow
@pytest.mark.parametrize("part", range(10))
def test_a_hundred_thousand_random_applications(part):
    run_applications(range(100 * part, 100 * (part + 1)), applications=10_000)


# ---- the registry --------------------------------------------------------------------------------


def test_the_table_has_the_paper_s_operators():
    assert set(valp.operators()) >= {
        *(
            "add_layer",
            "remove_layer",
            "extend_layer",
            "add_connection",
            "delete_connection",
            "insert_network",
        ),
        *("delete_network", "clone_network", "change_lr", "change_sgd", "change_bs"),
    }
    assert not [
        name
        for name, op in valp.operators().items()
        if op.effect == "reducer" and "gentle" in op.versions
    ]


def test_the_table_prints_every_operator():
    table = str(valp.operators())
    assert all(f"| {name} |" in table for name in valp.operators())


@BOTH
def test_operators_pickle_by_name(name, version):
    apply_ = valp.operators()[name].apply
    assert pickle.loads(pickle.dumps(apply_)) is apply_


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        ({"scope": "mega"}, "a scope among"),
        ({"effect": "magic"}, "an effect among"),
        ({"versions": ("rude",)}, "versions among"),
        ({"versions": ()}, "versions among"),
        ({"versions": ("gentle", "aggressive")}, "needs the parameters"),
    ],
)
def test_a_wrong_declaration_is_refused(declaration, message):
    def mutNothing(individual, place):
        """Nothing."""

    right = {
        "scope": "macro",
        "effect": "neutral",
        "versions": ("gentle",),
        "places": lambda i, g: [],
    }
    with pytest.raises(RegistrationError, match=message):
        valp.operator(**{**right, **declaration})(mutNothing)


def test_a_name_is_taken_once():
    def mutAddConnection(individual, place):
        """Another one."""

    with pytest.raises(RegistrationError, match="registered already"):
        valp.operator(
            scope="macro", effect="neutral", versions=("gentle",), places=lambda i, g: []
        )(mutAddConnection)


# ---- limits --------------------------------------------------------------------------------------


def test_no_operator_passes_a_limit():
    limits = valp.Limits(
        networks=6, layers=3, width=12, latent=4, batch_size=(40, 100), learning_rate=(5e-4, 2e-3)
    )
    for seed in range(10):
        random.seed(seed)
        individual = zoo.fan_out()
        with zoo.editing(individual) as draft:
            draft.limits = limits
        with zoo.editing(individual) as draft:
            draft.layout = valp.Layout(layers=(1, 3), width=(3, 8), latent=(2, 4))
        for _ in range(60):
            valp.mutRandom(individual, operators="all")
        components = [individual.component(name) for name in individual.networks]
        assert len(components) <= limits.networks
        layers = [c.layers for c in components if isinstance(c, valp.Dense)]
        assert max(map(len, layers)) <= limits.layers
        assert max(layer.width for some in layers for layer in some) <= limits.width
        assert (
            max((c.latent.dim for c in components if c.kind == "decoder"), default=0)
            <= limits.latent
        )
        assert 40 <= individual.batch_size <= 100
        assert all(
            5e-4 * 0.999 <= o.learning_rate <= 2e-3 * 1.001 for o in individual.optimizers.values()
        )


def test_structure_apart_from_hyperparameters(zoo_member):
    for name, op in valp.operators("hyperparameter").items():
        changed = copy.deepcopy(zoo_member)
        apply(name, op.versions[0], changed)
        assert same_structure(changed.graph, zoo_member.graph)
        assert changed.weights == zoo_member.weights or all(
            torch.equal(changed.weights[key], zoo_member.weights[key]) for key in zoo_member.weights
        )


def test_every_operator_is_exported():
    missing = [
        op.apply.__name__
        for op in valp.operators().values()
        if op.apply.__module__.startswith("deap_valp.")
        if op.apply.__name__.startswith("mut")  # the donation's is called by cxExclusiveSubgraph
        if not hasattr(valp, op.apply.__name__)
    ]
    assert not missing, f"export {missing} in deap_valp/__init__.py"
