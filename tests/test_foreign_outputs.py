"""Output kinds of a user's own: one class, and everything else in the package works with it."""

from __future__ import annotations

import pickle
import random
import subprocess
import sys

import foreign
import numpy as np
import pytest
import torch
import zoo
from deap import base
from test_training import SIZE, assert_same, by_tape
from validity import assert_valid

import deap_valp as valp
from deap_valp.errors import RegistrationError
from deap_valp.genome.ports import OUTPUT_KINDS, Output
from deap_valp.training.losses import loss_weights
from deap_valp.training.model import Latents

COUNTS = [foreign.Count, foreign.QuickCount]
each_count = pytest.mark.parametrize("count", COUNTS, ids=lambda kind: kind.kind)


def problem_of(count=foreign.Count, generation=foreign.Texture, **options):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(zoo.EXAMPLES, 5))
    rate = np.exp(x[:, :2] @ rng.normal(size=(2, 2)) / 2)
    return valp.Problem(
        {"x": x},
        {
            "events": count(rng.poisson(rate)),
            "image": generation(np.tanh(x @ rng.normal(size=(5, 6))), **options),
        },
        splits=(0.5, 0.25, 0.25),
    )


def hand_made(problem):
    random.seed(2)  # latents draw their noise by their ids
    networks = {"n0": zoo.generic(6, 5), "n1": zoo.decoder(3, 4, 5), "n2": zoo.refiner(4)}
    edges = "x->n0 n0->events n0->n1 n1->n2 n2->image n1->image"
    return zoo.build(problem, networks, edges)


def drawn(problem, seed=1):
    random.seed(seed)
    return zoo.random_valp(problem)


def evaluated(individual, problem, metrics=valp.ALL_METRICS):
    evaluation = valp.evaluate(individual, problem, 20, 60, device="cpu", metrics=metrics)
    individual.fitness.values = evaluation
    return evaluation


@each_count
@pytest.mark.parametrize("seed", range(5))
def test_a_drawn_individual_and_its_mutants_are_valid(count, seed):
    problem = problem_of(count)
    individual = drawn(problem, seed)
    assert_valid(individual, problem)
    for _ in range(10):
        valp.mutRandom(individual, operators="all")
        assert_valid(individual, problem)


@each_count
def test_it_is_trained_scored_and_diagnosed(count):
    problem = problem_of(count)
    individual = drawn(problem)
    evaluation = evaluated(individual, problem)
    assert evaluation.status == "ok"
    for output, losses in evaluation.history.items():
        assert losses[-10:].mean() < losses[:10].mean(), output
    for name, measured in evaluation.diagnosis.measured.items():
        assert outputs_in(measured) <= set(problem.outputs), name
    for name in ("loss_slope", "module_intervention", "dependency"):
        assert outputs_in(evaluation.diagnosis.measured[name]) == set(problem.outputs), name
    assert valp.score(individual, problem)["events"] > 0


def outputs_in(metric):
    """The outputs that a metric speaks of, by output or by (place, output)."""
    return {key[-1] if isinstance(key, tuple) else key for key in metric}


@each_count
def test_its_predictions_are_compared_with_the_targets_that_the_user_gave(count):
    output = problem_of(count).outputs["events"]
    target = output.targets["validation"]
    assert (target == target.round()).all() and target.max() > 1
    assert output.score(target, "validation") == 0
    assert output.score(target + 3, "validation") == pytest.approx(9)
    seen = []
    own = problem_of(lambda given: count(given, score=lambda *pair: seen.append(pair) or 0.0))
    own.outputs["events"].score(target, "validation")
    assert torch.equal(seen[-1][1], target)


@each_count
def test_it_is_searched(count):
    problem = problem_of(count)
    toolbox = toolbox_of(problem)
    best, logbook = valp.hillClimbing(drawn(problem), toolbox, nsteps=3, verbose=False)
    assert len(logbook) == 4 and best.evaluation.ok


def toolbox_of(problem):
    toolbox = base.Toolbox()
    toolbox.register(
        "evaluate", valp.evaluate, problem=problem, batches=10, first_batches=20, device="cpu"
    )
    toolbox.register("selMutation", valp.selMutation)
    toolbox.register("mutate", valp.mutGuided, select=toolbox.selMutation)
    return toolbox


@each_count
def test_it_is_saved_and_loaded(count, tmp_path):
    problem = problem_of(count)
    individual = drawn(problem)
    evaluated(individual, problem)
    valp.save(individual, tmp_path / "valp")
    loaded = valp.load(tmp_path / "valp", type(individual))
    assert loaded.component("events").kind == count.kind
    x = {"x": torch.randn(7, 5)}
    expected, found = (valp.decode(each)(x)["events"] for each in (individual, loaded))
    assert torch.equal(found, expected) and (found > 0).all()


def test_it_travels_to_another_process(tmp_path):
    problem = problem_of(foreign.QuickCount)
    individual = hand_made(problem)
    file = tmp_path / "pickled"
    file.write_bytes(pickle.dumps((individual.outputs, problem)))
    code = (
        "import pathlib, pickle, sys\n"
        "outputs, problem = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())\n"
        "print(problem.outputs['events'].score_name)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(file)],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": ":".join(path for path in sys.path if path)},
    )
    assert done.stdout == "squared error of the rate\n", done.stderr


# ---- its loss ------------------------------------------------------------------------------------


@each_count
@pytest.mark.parametrize("size", [SIZE, 3], ids=["narrow heads", "heads wider than the batch"])
def test_its_loss_and_divergence_have_autograd_s_gradients(count, size, device):
    problem = problem_of(count)
    assert_same(hand_made(problem), problem, size, device)


def test_a_closed_form_and_autograd_train_alike():
    results = []
    for count in COUNTS:
        problem = problem_of(count)
        results.append(by_tape(hand_made(problem), problem, torch.float64, SIZE, "cpu"))
    torch.testing.assert_close(results[1], results[0], atol=1e-12, rtol=1e-10)


def test_a_loss_replaces_the_closed_form_of_the_kind_it_inherits_from():
    closed_form, inherited = foreign.PoissonDeviance, foreign.Count(np.arange(4))
    assert inherited.loss_with_gradient.__name__ == "by_autograd"
    own = foreign.QuickCount(np.arange(4), loss=torch.nn.functional.poisson_nll_loss)
    assert own.loss_with_gradient.__name__ == "by_autograd"
    quick = foreign.QuickCount(np.arange(4))
    assert quick.loss_with_gradient.__func__ is closed_form.with_gradient


def test_the_divergence_of_a_generation_by_another_name_counts():
    losses = {}
    for kind in (valp.Generation, foreign.Texture):
        for kl_weight in (0.0, 0.5, 1.0):
            problem = problem_of(generation=kind, kl_weight=kl_weight)
            individual = hand_made(problem)
            found, gradients = by_tape(individual, problem, torch.float64, SIZE, "cpu")
            loss = found[list(individual.outputs).index("image")].item()
            losses[kind.kind, kl_weight] = loss, gradients["n1.latent.bias"]
    for kl_weight in (0.0, 0.5, 1.0):
        torch.testing.assert_close(
            losses["texture", kl_weight], losses["generation", kl_weight], atol=0, rtol=0
        )
    none, half, whole = (losses["texture", kl_weight][0] for kl_weight in (0.0, 0.5, 1.0))
    assert none < half < whole and half - none == pytest.approx(whole - half)


def test_the_divergence_counts_as_often_as_the_kind_says():
    problem = problem_of(kl_weight=0.3)
    model = valp.decode(hand_made(problem))
    weights = loss_weights(model, problem)
    rows = dict(zip(model.outputs, weights.rows, strict=True))
    assert set(weights.parts[:2]) == {"events", "image"} and weights.parts[2] == "n1"
    assert rows["events"][2] == 0
    assert rows["image"][2] == pytest.approx(problem.loss_scale["image"] * 0.3 / 6)


def test_samples_are_drawn_for_it():
    problem = problem_of()
    model = valp.decode(hand_made(problem))
    assert set(model.generate(5)) == {"image"}
    generated = model.generate(5, torch.Generator().manual_seed(0))["image"]
    noise = model.draw_noise(5, torch.Generator().manual_seed(0))
    features = model.features({"x": torch.randn(5, 5)})
    results = model.run(features, Latents("generate", noise))
    predicted = model.components["image"].predict(results["image"])
    torch.testing.assert_close(generated, predicted)


# ---- what it is called, and what cannot be one ---------------------------------------------------


def largest_miss(prediction, target):
    return (prediction - target).abs().max().item()


def test_scores_have_names():
    names = {name: kind.score_name for name, kind in zoo.mixed_problem().outputs.items()}
    assert names == {
        "label": "error rate",
        "value": "mean squared error",
        "image": "Fréchet distance",
        "texture": "Fréchet distance",
    }
    assert foreign.Count([1]).score_name == "mean squared error"
    assert foreign.Count([1], score=largest_miss).score_name == "largest_miss"
    assert foreign.Count([1], score=lambda *_: 0.0).score_name == "score"


DECLARED = {
    "no identifier": ({"kind": "a b"}, "kind that is an identifier, got 'a b'"),
    "taken": ({"kind": "generation"}, "kind of its own, got 'generation', which is deap_valp"),
    "no set": ({"kind": "odd", "takes": "values"}, "takes as a frozenset .* got 'values'"),
    "features": ({"kind": "odd", "takes": frozenset({"features"})}, "takes as a frozenset of some"),
    "nothing": ({"kind": "odd", "takes": frozenset()}, "takes as a frozenset of some"),
    "draws from values": ({"kind": "odd", "draws_samples": True}, r"\{'samples'\} alone"),
    "no kind": ({"takes": frozenset({"discrete"})}, r"kind of its own to change \['takes'\]"),
    "no kind to predict": ({"predict": staticmethod(abs)}, r"own to change \['predict'\]"),
}


@pytest.mark.parametrize(("members", "message"), DECLARED.values(), ids=DECLARED.keys())
def test_a_kind_that_cannot_be_used_is_refused_where_it_is_declared(members, message):
    known = dict(OUTPUT_KINDS)
    with pytest.raises(RegistrationError, match=f"output kind Odd .*{message}"):
        type("Odd", (valp.Regression,), members)
    assert known == OUTPUT_KINDS


def test_a_subclass_without_a_kind_keeps_that_of_its_base():
    class Lenient(valp.Regression):
        def default_loss(self, head, target):
            return (head - target).abs().mean()

    x = np.random.default_rng(0).normal(size=(zoo.EXAMPLES, 5))
    problem = valp.Problem({"x": x}, {"y": Lenient(x[:, :2])})
    assert problem.outputs["y"].port.kind == "regression"
    assert OUTPUT_KINDS["regression"] is valp.Regression


def test_a_kind_that_this_process_does_not_know_is_named():
    with pytest.raises(RegistrationError, match="got 'elsewhere': import the module that defines"):
        _ = Output("elsewhere", 1).takes
