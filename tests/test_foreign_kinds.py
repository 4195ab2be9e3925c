"""A sub-network kind, an activation and a metric of a user's own: all that ours go through."""

from __future__ import annotations

import copy
import pickle
import random

import pytest
import torch
import zoo
from gated import Gated
from residual import Residual
from test_training import assert_same
from validity import TAKES, assert_valid

import deap_valp as valp
from deap_valp import plots
from deap_valp.diagnosis import ALL_METRICS
from deap_valp.genome import ACTIVATIONS, KINDS, Activation, check
from deap_valp.training.tape import Tape
from deap_valp.variation.operators import moves

FOREIGN = {"residual": Residual, "gated": Gated}
EVERY = {**KINDS, **FOREIGN}

every_kind = pytest.mark.parametrize("kind", EVERY)


@pytest.fixture(autouse=True)
def known(monkeypatch):
    for name, kind in FOREIGN.items():
        monkeypatch.setitem(KINDS, name, kind)


def drawn(kind):
    return EVERY[kind].draw(valp.Layout(layers=(1, 3), width=(2, 5), latent=(2, 3)))


def problem_of(kind):
    """A problem with something for the kind to read."""
    return zoo.image_problem() if "maps" in EVERY[kind].given else zoo.mixed_problem()


def built(kind):
    """Three of a kind among others, with whatever its types let it read and be read by."""
    random.seed(kind)
    problem = problem_of(kind)
    networks = {"n0": zoo.generic(5), "n1": zoo.decoder(2, 4), "n2": zoo.refiner(3)}
    edges = ["left->n0", "right->n0", "n0->n1", "n1->n2", "n2->image", "n2->texture"]
    edges += ["n0->value", "n0->label"]
    providers = {"left": problem.inputs["left"], "n0": networks["n0"], "n1": networks["n1"]}
    receivers = {"label": "classification", "value": "regression", "image": "generation"}
    taken, given = EVERY[kind].takes, EVERY[kind].gives
    for name in ("n3", "n4", "n5"):
        networks[name] = drawn(kind)
        edges += [f"{one}->{name}" for one, read in providers.items() if read.given & taken]
        edges += [f"{name}->{output}" for output, of in receivers.items() if given in TAKES[of]]
    if EVERY[kind].given & taken:
        edges.append("n3->n4")
    return zoo.build(problem, networks, " ".join(edges))


def residual(units=4, steps=2):
    return Residual(random.getrandbits(63), units, steps)


@pytest.fixture
def individual():
    networks = {
        "n0": residual(5),
        "n1": residual(3, 1),
        "n2": zoo.decoder(2, 4),
        "n3": zoo.generic(3),
    }
    edges = (
        "left->n0 right->n0 n0->n1 right->n1 n0->label n1->label n1->value n0->n2 n2->image "
        "n2->texture n1->n3 n3->value"
    )
    return zoo.build(zoo.mixed_problem(), networks, edges)


def places(individual):
    for op, gentle, found in moves(individual):
        yield from ((op.name, gentle, place) for place in found)


# ---- every kind, shipped or foreign --------------------------------------------------------------


@pytest.mark.parametrize("problem", [zoo.mixed_problem, zoo.image_problem])
def test_they_are_drawn(problem):
    problem = problem()
    drawn = [zoo.random_valp(problem, (4, 6)) for _ in range(60)]
    kinds = {one.component(name).kind for one in drawn for name in one.networks}
    images = {"convolutional", "painter"} if problem is zoo.image_problem() else set()
    assert kinds == set(KINDS) - {"convolutional", "painter"} | images
    for one in drawn:
        assert_valid(one, problem)


@every_kind
def test_every_operator_at_every_place_keeps_it_valid(kind):
    individual, count = built(kind), 0
    assert_valid(individual, problem_of(kind))
    for name, gentle, place in places(individual):
        changed = copy.deepcopy(individual)
        valp.Move(name, "gentle" if gentle else "aggressive", place).apply(changed)
        check(changed, problem_of(kind))
        assert_valid(changed, problem_of(kind))
        assert changed.move.place == place
        count += 1
    assert count > 60


@every_kind
def test_gentle_operators_leave_every_output_unchanged(kind):
    individual = built(kind)
    before = zoo.predictions(individual, problem_of(kind), dtype=torch.float64)
    for name, gentle, place in places(individual):
        if gentle:
            changed = copy.deepcopy(individual)
            valp.Move(name, "gentle", place).apply(changed)
            after = zoo.predictions(changed, problem_of(kind), dtype=torch.float64)
            for key, values in before.items():
                torch.testing.assert_close(after[key], values, atol=1e-9, rtol=1e-9)


@every_kind
def test_the_tape_computes_what_autograd_does(kind):
    assert_same(built(kind), problem_of(kind))


@every_kind
def test_it_is_trained_diagnosed_saved_donated_and_plotted(kind, tmp_path):
    problem, individual = problem_of(kind), built(kind)
    individual.fitness.values = valp.evaluate(
        individual, problem, first_batches=60, metrics=ALL_METRICS
    )
    assert individual.evaluation.ok, individual.evaluation.status
    reached = min(individual.outputs_of("n3"))
    assert ("n3", reached) in individual.evaluation.diagnosis.relevance
    valp.save(individual, tmp_path / "one.valp")
    loaded = valp.load(tmp_path / "one.valp", type(individual))
    assert loaded.genome == individual.inherited()
    assert pickle.loads(pickle.dumps(individual)) == individual
    host = zoo.fan_out() if problem is zoo.mixed_problem() else zoo.images()
    valp.cxExclusiveSubgraph(host, individual)
    check(host, problem)
    assert kind in str(individual)
    assert plots.plot_valp(individual)
    assert valp.selMutation(individual) is not None


def test_many_random_operators_in_a_row():
    random.seed(3)
    for _ in range(20):
        individual = zoo.random_valp(zoo.mixed_problem(), (4, 6))
        for _ in range(100):
            valp.mutRandom(individual, operators="all")
            check(individual, zoo.mixed_problem())
            if len(individual.networks) > 12:
                break


# ---- ways to compute -----------------------------------------------------------------------------


def skip_before_activation(self, pre, calculator):
    return calculator.add(pre, calculator.activate(pre, valp.Layer(self.units, "tanh")))


def two_activations(self, pre, calculator):
    first = calculator.activate(pre, valp.Layer(self.units, "tanh"))
    return calculator.add(first, calculator.activate(pre, valp.Layer(self.units, "sigmoid")))


def activated_and_dense(self, pre, calculator):
    first = calculator.activate(pre, valp.Layer(self.units, "tanh"))
    return calculator.add(first, calculator.dense(pre, "step0"))


def result_activated_again(self, pre, calculator):
    hidden = calculator.activate(pre, valp.Layer(self.units, "tanh"))
    again = calculator.activate(hidden, valp.Layer(self.units, "sigmoid"))
    return calculator.add(again, calculator.dense(hidden, "step0"))


def twice_the_same(self, pre, calculator):
    return calculator.add(pre, pre)


def an_unused_activation(self, pre, calculator):
    calculator.activate(pre, valp.Layer(self.units, "tanh"))
    return calculator.dense(pre, "step0")


def a_function_of_two(self, pre, calculator):
    first = calculator.activate(pre, valp.Layer(self.units, "tanh"))
    product = calculator.apply(torch.mul, first, calculator.dense(pre, "step0"))
    return calculator.add(product, first)


def a_function_of_one_twice(self, pre, calculator):
    return calculator.apply(torch.mul, pre, pre)


def a_function_that_ignores(self, pre, calculator):
    hidden = calculator.dense(pre, "step0")
    return calculator.apply(lambda first, second: 2 * first, pre, hidden)


def a_function_between(self, pre, calculator):
    return calculator.activate(calculator.apply(torch.sin, pre), valp.Layer(self.units, "tanh"))


@pytest.mark.parametrize(
    "compute",
    [
        a_function_of_two,
        a_function_of_one_twice,
        a_function_that_ignores,
        a_function_between,
        skip_before_activation,
        two_activations,
        activated_and_dense,
        result_activated_again,
        twice_the_same,
        an_unused_activation,
    ],
)
def test_a_signal_may_be_read_in_any_way_and_number(individual, compute, monkeypatch):
    monkeypatch.setattr(Residual, "compute", compute)
    assert_same(individual, zoo.mixed_problem())


def test_a_function_that_mixes_examples_is_refused(individual, monkeypatch):
    def compute(self, pre, calculator):
        return calculator.apply(lambda rows: rows.mean(0), pre)

    monkeypatch.setattr(Residual, "compute", compute)
    with pytest.raises(valp.StructureError, match=r"apply needs a function .* in n0"):
        Tape(valp.decode(individual), zoo.mixed_problem(), 10)


@pytest.mark.parametrize("first", ["draw", "activate"])
def test_what_a_latent_is_drawn_from_may_be_read_again(individual, first, monkeypatch):
    def compute(self, pre, calculator):
        heads = calculator.activate(pre, valp.Layer(2 * self.latent.dim, "tanh"))
        if first == "activate":
            calculator.activate(heads, valp.Layer(2 * self.latent.dim, "tanh"))
        drawn = calculator.draw(heads, self.latent)
        if first == "draw":
            calculator.activate(heads, valp.Layer(2 * self.latent.dim, "tanh"))
        return self._pass_layers(drawn, calculator)

    monkeypatch.setattr(type(individual.component("n2")), "compute", compute)
    assert_same(individual, zoo.mixed_problem())


# ---- what is refused, and what else may be one's own ---------------------------------------------


def test_an_activation_of_ones_own_is_drawn_trained_and_saved(monkeypatch, tmp_path):
    monkeypatch.setitem(ACTIVATIONS, "sine", Activation(torch.sin, False, 1.0))
    problem = zoo.mixed_problem()
    individual = valp.initVALP(
        zoo.individual_class(problem.weights), problem, activations=("sine",), start="random"
    )
    assert "sine" in str(individual)
    assert_same(individual, problem)
    valp.save(individual, tmp_path / "one.valp")
    assert valp.load(tmp_path / "one.valp", type(individual)) == individual


def declare(**changed):
    """Define a kind like ``Residual`` in which this differs."""
    return type("Mine", (Residual,), {"kind": "mine", **changed})


@pytest.mark.parametrize(
    ("changed", "match"),
    [
        ({"kind": "generic"}, "kind of its own, got 'generic', which is deap_valp"),
        ({"gives": "value"}, "needs gives as one of .*, got 'value'"),
        ({"takes": frozenset({"value"})}, "needs takes as a frozenset of some of"),
        ({"takes": {"values"}}, "needs takes as a frozenset"),
    ],
)
def test_a_kind_that_cannot_be_is_refused(changed, match):
    before = dict(KINDS)
    with pytest.raises(valp.RegistrationError, match=match):
        declare(**changed)
    assert before == KINDS


def test_a_kind_without_its_methods_is_refused():
    before = dict(KINDS)
    with pytest.raises(valp.RegistrationError, match=r"needs definitions of .*'compute', 'draw'"):
        type("Mine", (valp.SubNetwork,), {"kind": "mine"})
    assert before == KINDS


def test_a_kind_may_be_defined_again():
    first = declare()
    try:
        assert KINDS["mine"] is first
        assert declare() is KINDS["mine"] is not first
    finally:
        del KINDS["mine"]
