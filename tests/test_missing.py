"""Missing values, and weights of examples and classes: what is absent never matters."""

from __future__ import annotations

import copy
import functools
import math
import random

import foreign
import numpy as np
import pandas as pd
import pytest
import torch
import zoo

import deap_valp as valp
from deap_valp.diagnosis import Subject, measure
from deap_valp.problem.data.missing import is_missing
from deap_valp.problem.data.storage import read_store
from deap_valp.problem.losses import CrossEntropy, OneByOne, SquaredError, weighted
from deap_valp.training import Latents, sub_losses, train
from deap_valp.training.batches import batches_of
from deap_valp.training.parts import InParts
from deap_valp.training.tape import Tape
from deap_valp.training.watch import Watch

SIZE = 40
ROWS = zoo.EXAMPLES
SPLITS = {
    "train": np.arange(ROWS // 2),
    "validation": np.arange(ROWS // 2, 3 * ROWS // 4),
    "test": np.arange(3 * ROWS // 4, ROWS),
}
MIXED = [name for name in zoo.NAMES if zoo.problem_of(name) is zoo.mixed_problem()]
each_member = pytest.mark.parametrize("name", MIXED)


def arrays():
    """Two inputs and four targets, as those of ``zoo.mixed_problem``."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(ROWS, 5)), rng.normal(size=(ROWS, 3))
    targets = {
        "label": (left[:, 0] > 0).astype(int) + (right[:, 0] > 0),
        "value": left[:, :2] * 3 + 1,
        "image": np.tanh(left @ rng.normal(size=(5, 6))),
        "texture": rng.normal(size=(ROWS, 4)),
    }
    return {"left": left, "right": right}, targets


KINDS = {
    "label": valp.Classification,
    "value": valp.Regression,
    "image": valp.Generation,
    "texture": valp.Generation,
}


def problem_of(targets=None, options=None, splits=SPLITS):
    """A problem of these targets, with options by output."""
    inputs, whole = arrays()
    targets, options = {**whole, **(targets or {})}, options or {}
    outputs = {name: kind(targets[name], **options.get(name, {})) for name, kind in KINDS.items()}
    return valp.Problem(inputs, outputs, splits=splits)


def chosen(seed, share=0.3):
    """Some of the examples, at least a few of each split."""
    return np.random.default_rng(seed).random(ROWS) < share


def with_holes(absent, filler=math.nan):
    """The targets, each without other examples: ``absent`` gives them by output."""
    _, targets = arrays()
    for name, rows in absent.items():
        target = targets[name].astype(float)
        target[rows] = filler
        targets[name] = target
    return targets


ABSENT = {name: chosen(seed) for seed, name in enumerate(KINDS)}


@functools.cache
def holed():
    """A problem of which every output lacks other targets."""
    return problem_of(with_holes(ABSENT))


def drawn_weights(outputs, size=SIZE, seed=0):
    """Weights of examples, a third of them 0 and 1 on average."""
    found = {}
    generator = torch.Generator().manual_seed(seed)
    for name in outputs:
        weights = torch.rand(size, generator=generator, dtype=torch.float64)
        weights[1:][torch.rand(size - 1, generator=generator) < 0.3] = 0
        found[name] = weights * (size / weights.sum())
    return found


def batch_of(problem, model, size=SIZE, dtype=torch.float64):
    data = problem.split("train", zoo.DEVICE, limit=size)
    features = {name: value.to(dtype) for name, value in data.inputs.items()}
    targets = {
        name: v.to(dtype) if v.is_floating_point() else v for name, v in data.targets.items()
    }
    noise = zoo.noise_for(problem, size)
    return (
        features,
        targets,
        {latent: noise[latent].to(zoo.DEVICE, dtype) for latent in model.latents},
    )


def by_tape(individual, problem, batch, weights, player=Tape, **options):
    """Losses and gradients of a batch."""
    model = valp.decode(individual, dtype=torch.float64, device=zoo.DEVICE)
    with torch.no_grad():
        size = len(next(iter(batch[0].values())))
        tape = player(model, problem, size, weighted=weights, **options)
        for _ in range(2):  # memory is used again
            losses = tape.forward(*batch, weights)
            tape.backward()
    return losses, {key: tape.flat.slot(key).gradient.clone() for key in tape.flat.order}


def by_autograd(individual, problem, batch, weights):
    model = valp.decode(individual, dtype=torch.float64, device=zoo.DEVICE)
    features, targets, noise = batch
    latents = Latents("train", noise)
    losses_of = sub_losses(model, problem, weights)
    losses = losses_of(model.run(features, latents), targets, latents, weights)
    losses.sum().backward()
    return losses.detach(), {key: tensor.grad for key, tensor in model.tensors.items()}


def assert_alike(found, expected, atol=1e-10):
    torch.testing.assert_close(found[0], expected[0], atol=1e-11, rtol=1e-9)
    for key, gradient in expected[1].items():
        wanted = torch.zeros_like(found[1][key]) if gradient is None else gradient
        torch.testing.assert_close(found[1][key].view_as(wanted), wanted, atol=atol, rtol=1e-8)


# ---- losses and gradients ------------------------------------------------------------------------


@each_member
@pytest.mark.parametrize("size", [SIZE, 3], ids=["narrow heads", "heads wider than the batch"])
@pytest.mark.parametrize("weighing", [tuple(KINDS), ("image",), ("label", "texture")], ids="+".join)
def test_weighted_losses_and_gradients_are_autograd_s(name, size, weighing):
    individual, problem = zoo.member(name), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual), size)
    weights = drawn_weights(weighing, size, seed=3)
    expected = by_autograd(individual, problem, batch, weights)
    assert_alike(by_tape(individual, problem, batch, weights), expected)
    halves = by_tape(individual, problem, batch, weights, InParts, parts=2)
    torch.testing.assert_close(halves[0], expected[0], atol=1e-11, rtol=1e-9)


@each_member
def test_a_weight_of_0_is_as_good_as_no_example(name):
    individual, problem = zoo.member(name), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual))
    kept = torch.arange(SIZE) % 3 > 0
    share = SIZE / int(kept.sum())
    weights = dict.fromkeys(KINDS, kept.double() * share)
    without = [{key: rows[kept] for key, rows in part.items()} for part in batch]
    expected = by_tape(individual, problem, without, {})
    assert_alike(by_tape(individual, problem, batch, weights), expected)


@each_member
def test_equal_weights_are_no_weights(name):
    individual, problem = zoo.member(name), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual))
    ones = dict.fromkeys(KINDS, torch.ones(SIZE, dtype=torch.float64))
    expected = by_tape(individual, problem, batch, {})
    assert_alike(by_tape(individual, problem, batch, ones), expected)


def test_a_batch_without_a_target_of_any_output_has_no_loss_and_no_gradient():
    individual, problem = zoo.member(MIXED[-1]), zoo.mixed_problem()
    batch = batch_of(problem, valp.decode(individual))
    nothing = dict.fromkeys(KINDS, torch.zeros(SIZE, dtype=torch.float64))
    losses, gradients = by_tape(individual, problem, batch, nothing)
    assert not losses.any() and not any(gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("count", [foreign.Count, foreign.QuickCount], ids=lambda kind: kind.kind)
def test_a_kind_that_knows_nothing_of_weights_is_weighted(count):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 5))
    outputs = {"events": count(rng.poisson(np.exp(x[:, :2] / 2))), "copy": foreign.Texture(x)}
    problem = valp.Problem({"x": x}, outputs, splits=(0.5, 0.25, 0.25))
    networks = {"n0": zoo.generic(6, 5), "n1": zoo.decoder(3, 4, 5)}
    individual = zoo.build(problem, networks, "x->n0 n0->events n0->n1 n1->copy")
    batch = batch_of(problem, valp.decode(individual))
    weights = drawn_weights(problem.outputs)
    expected = by_autograd(individual, problem, batch, weights)
    assert_alike(by_tape(individual, problem, batch, weights), expected)
    head, target = torch.randn(7, 2), torch.ones(7, 2)
    each = foreign.deviance(head, target).mean(1)
    found = problem.outputs["events"].weighted_loss(head, target, torch.arange(7.0))
    torch.testing.assert_close(found, each @ torch.arange(7.0) / 7)


def branching(head, target):
    error = (head - target).abs().mean()
    return error if error > 0.5 else error.square()


def margin(head, target):  # torch has no vectorised form of it
    return torch.nn.functional.multi_margin_loss(head, target)


@pytest.mark.parametrize("loss", [SquaredError(), CrossEntropy(), branching, margin])
def test_the_weighted_form_of_a_loss_is_that_of_its_examples(loss):
    head = torch.randn(9, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(9, 3, dtype=torch.float64)
    if loss is margin or isinstance(loss, CrossEntropy):
        target = torch.arange(9) % 3
    weight = torch.arange(9, dtype=torch.float64)
    each = [loss(head[row : row + 1], target[row : row + 1]) for row in range(9)]
    expected = torch.stack(each) @ weight / 9
    torch.testing.assert_close(weighted(loss)(head, target, weight), expected)
    torch.testing.assert_close(OneByOne(loss)(head, target), torch.stack(each))


# ---- problems ------------------------------------------------------------------------------------


def trained(problem, name=MIXED[-1], steps=25, **options):
    individual = zoo.member(name)
    model = valp.decode(individual, device=zoo.DEVICE)
    session = train(
        model, problem, steps, 30, individual.optimizers, 3, training=valp.Training(), **options
    )
    return session.history, session.losses, model.weights()


def assert_equal_runs(one, other):
    assert torch.equal(one[0], other[0]) and np.array_equal(one[1], other[1])
    assert all(torch.equal(tensor, other[2][key]) for key, tensor in one[2].items())


def test_equal_weights_of_all_examples_and_classes_change_no_bit():
    options = {name: {"example_weights": np.full(ROWS, 0.7)} for name in KINDS}
    options["label"]["class_weights"] = {0: 2.0, 1: 2.0, 2: 2}
    weighing, plain = problem_of(options=options), problem_of()
    assert weighing.loss_scale == plain.loss_scale and not weighing.split("train").weights
    assert_equal_runs(trained(weighing), trained(plain))


def test_doubled_weights_change_no_bit():
    weights = np.random.default_rng(5).integers(0, 4, ROWS).astype(float)
    once, twice = (
        problem_of(options={name: {"example_weights": factor * weights} for name in KINDS})
        for factor in (1, 2)
    )
    assert once.loss_scale == twice.loss_scale and len(once.split("train").weights) == 4
    assert_equal_runs(trained(once), trained(twice))


@pytest.mark.parametrize("filler", [math.nan, 1e30, -7.0])
def test_what_stands_where_a_target_is_missing_never_matters(filler):
    weights = {name: {"example_weights": (~rows).astype(int)} for name, rows in ABSENT.items()}
    absent = {name: rows for name, rows in ABSENT.items() if name != "label"}
    targets = with_holes(absent, filler)
    label = targets["label"].astype(object)
    label[ABSENT["label"]] = None if filler < 0 else filler
    problem = problem_of({**targets, "label": label}, weights)
    assert problem.loss_scale == holed().loss_scale
    assert_equal_runs(trained(problem), trained(holed()))


@pytest.mark.parametrize("split", SPLITS)
def test_an_output_is_that_of_a_problem_without_the_examples_that_lack_it(split):
    for name, absent in ABSENT.items():
        splits = {part: rows[~absent[rows]] for part, rows in SPLITS.items()}
        alone, output = problem_of(splits=splits).outputs[name], holed().outputs[name]
        assert output.port.shift == pytest.approx(alone.port.shift, abs=1e-9)
        assert output.port.scale == pytest.approx(alone.port.scale, rel=1e-9)
        assert output.port.width == alone.port.width and output.classes == alone.classes
        assert output.baseline == pytest.approx(alone.baseline, rel=1e-5)
        target, expected = (each.targets[split].sort(0).values for each in (output, alone))
        torch.testing.assert_close(target, expected)
        places = output.present.places[split]
        assert torch.equal(holed().split(split).targets[name][places], output.targets[split])


def test_scores_are_of_examples_with_a_target_and_know_no_weights():
    absent = ABSENT["label"]
    options = {"label": {"class_weights": "balanced", "example_weights": np.arange(ROWS) + 1}}
    problem = problem_of(with_holes(ABSENT), options)
    prediction = torch.rand(len(SPLITS["test"]), 3, generator=torch.Generator().manual_seed(0))
    kept = ~absent[SPLITS["test"]]
    label = arrays()[1]["label"][SPLITS["test"]][kept]
    wrong = (prediction.argmax(1).numpy()[kept] != label).mean()
    assert problem.outputs["label"].score(prediction, "test") == pytest.approx(wrong)
    prediction[~kept] = math.nan
    assert problem.outputs["label"].score(prediction, "test") == pytest.approx(wrong)
    value = torch.from_numpy(arrays()[1]["value"][SPLITS["test"]]).float() + 2
    assert problem.outputs["value"].score(value, "test") == pytest.approx(4, rel=1e-5)


def test_balanced_classes_weigh_the_same_and_ignorance_is_uniform():
    label = np.array(["often"] * 90 + ["rare"] * 10)[np.random.default_rng(0).permutation(100)]
    x, splits = np.arange(100.0), {"train": range(80), "validation": range(80, 90)}
    splits["test"] = range(90, 100)
    rows = label[:80] == "rare"

    def output_of(**options):
        output = valp.Classification(label, **options)
        return valp.Problem({"x": x}, {"y": output}, splits=splits).outputs["y"]

    balanced = output_of(class_weights="balanced")
    weights, rare = balanced.weights["train"], balanced.targets["train"] == 1
    assert float(weights[rare].sum()) == pytest.approx(float(weights[~rare].sum()))
    assert float(weights.mean()) == pytest.approx(1)
    assert balanced.baseline == pytest.approx(math.log(2), rel=1e-5)
    ratio = (~rows).sum() / rows.sum()
    named = output_of(class_weights={"rare": ratio})
    torch.testing.assert_close(named.weights["train"], weights)
    examples = output_of(example_weights=np.where(label == "rare", ratio, 1.0))
    torch.testing.assert_close(examples.weights["train"], weights)
    counted = output_of(example_weights=np.arange(100), class_weights="balanced")
    weights, rare = counted.weights["train"], counted.targets["train"] == 1
    assert float(weights[rare].sum()) == pytest.approx(float(weights[~rare].sum()))


@pytest.mark.parametrize(
    "label",
    [
        np.array([1, None] * 60, object),
        np.array([1.0, math.nan] * 60),
        pd.Series([1, pd.NA] * 60, dtype="Int64"),
        pd.Series(pd.Categorical(["a", None] * 60)),
        np.ma.masked_equal([1, 9] * 60, 9),
        torch.tensor([1.0, math.nan] * 60),
        ["a", None] * 60,
        ["a", math.nan] * 60,
    ],
    ids=["object", "float", "Int64", "category", "masked", "tensor", "list", "strings"],
)
def test_every_form_of_a_missing_label_is_one(label):
    assert is_missing(label).tolist() == [False, True] * 60
    # The first label of each form is the one class; a second one comes in by hand.
    second = "b" if isinstance(label[0], str) else 2
    label = label.clone() if isinstance(label, torch.Tensor) else copy.copy(label)
    if isinstance(label, pd.Series) and hasattr(label, "cat"):
        label = label.cat.add_categories([second])
    for row in range(0, 120, 4):
        label[row] = second
    problem = valp.Problem({"x": np.arange(120.0)}, {"y": valp.Classification(label)})
    kind = problem.outputs["y"]
    assert len(kind.classes) == 2 and sum(map(len, kind.targets.values())) == 60


def test_numbers_with_none_are_numbers():
    target = [0.5, None, 2, 3.5] * 30
    problem = valp.Problem({"x": np.arange(120.0)}, {"y": valp.Regression(target)})
    assert sum(map(len, problem.outputs["y"].targets.values())) == 90
    assert "targets for" in str(problem)


# ---- training and diagnosis ----------------------------------------------------------------------


def test_no_step_waits_for_the_device():
    individual = zoo.member(MIXED[-1])
    for parts in (1, 2):
        model = valp.decode(individual, device="meta")
        history = train(model, holed(), 2, 31, individual.optimizers, 0, parts).history
        assert history.device.type == "meta"


def test_inputs_targets_and_weights_stay_together_in_a_new_order():
    data = holed().split("train")
    plan = batches_of(data, data.size, 0, torch.Generator().manual_seed(0))
    features, targets, weights = next(plan)
    assert not torch.equal(features["left"], data.inputs["left"])
    order = [data.inputs["left"].eq(row).all(1).nonzero().item() for row in features["left"]]
    for name in KINDS:
        assert torch.equal(targets[name], data.targets[name][order])
        assert torch.equal(weights[name], data.weights[name][order])


def test_the_looks_of_a_session_are_at_targets_that_are_there():
    individual = zoo.member(MIXED[-1])
    model = valp.decode(individual)
    data = holed().split("validation")

    class Still:
        weights = torch.zeros(1)
        snapshot = staticmethod(list)

    with torch.no_grad():
        watch = Watch(model, holed(), Still(), parts=3)
        watch.begin()
        seen = watch.losses
        for index, name in enumerate(model.outputs):
            rows = holed().outputs[name].present.places["validation"]
            inputs = {port: value[rows] for port, value in data.inputs.items()}
            targets = {port: value[rows] for port, value in data.targets.items()}
            latents = Latents("reconstruct")
            losses = sub_losses(model, holed())(model.run(inputs, latents), targets, latents)
            assert seen[index] == pytest.approx(losses[index].item(), rel=1e-5)


def test_a_sample_has_a_target_of_each_output_and_weights_of_mean_1():
    absent = {name: np.ones(ROWS, bool) for name in ("label", "value")}
    for rows in SPLITS.values():
        absent["label"][rows[-3:]] = absent["value"][rows[:1]] = False
    absent["label"][SPLITS["train"][:2]] = False
    targets = with_holes(absent)
    targets["value"][SPLITS["train"][1]] = 5.0
    sample = problem_of(targets).split("validation", limit=4)
    assert sample.size == 4 == len(sample.inputs["left"])
    for name in absent:
        assert float(sample.weights[name].sum()) == pytest.approx(4)
    assert problem_of().split("validation", limit=4).weights == {}


@pytest.mark.parametrize("share", [0.3, 0.9])
def test_an_individual_is_evaluated_on_what_is_there(share):
    problem = problem_of(with_holes({name: chosen(9 + i, share) for i, name in enumerate(KINDS)}))
    random.seed(1)
    individual = zoo.random_valp(problem)
    evaluation = valp.evaluate(individual, problem, 20, 60, device="cpu", metrics=valp.ALL_METRICS)
    assert evaluation.status == "ok" and np.isfinite(evaluation).all()
    individual.fitness.values = evaluation
    size = len(problem.outputs["label"].targets["validation"])
    assert evaluation.resolution["label"] == pytest.approx(1 / size)
    assert "nan" not in repr(evaluation.diagnosis.measured)
    valp.mutGuided(individual, select=valp.selMutation)
    assert all(map(math.isfinite, valp.score(individual, problem, device="cpu").values()))


def test_metrics_are_those_of_the_examples_that_have_a_target():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(900, 4))
    y = x[:, :1] * 2 + np.abs(x[:, 1:2])
    rows = {"train": range(400), "validation": range(400, 800), "test": range(800, 900)}
    absent = rng.random(900) < 0.4
    whole = {"x": x, "z": rng.normal(size=(900, 2))}
    problems = [
        valp.Problem(
            whole, {"y": valp.Regression(np.where(absent[:, None], math.nan, y))}, splits=rows
        ),
        valp.Problem(
            whole,
            {"y": valp.Regression(y)},
            splits={name: np.array(part)[~absent[part]] for name, part in rows.items()},
        ),
    ]
    random.seed(4)
    networks = {"n0": zoo.generic(5), "n1": zoo.generic(4), "n2": zoo.generic(3)}
    individual = zoo.build(problems[0], networks, "x->n0 z->n1 n0->n2 n1->n2 n2->y")
    found = []
    for problem in problems:
        subject = Subject(valp.decode(individual), in_units_of(problem, problems[0]), {}, 1)
        found.append(measure(subject, NAMES).measured)
    for name in NAMES:
        assert found[0][name].keys() == found[1][name].keys()
        for key, value in found[0][name].items():
            other = found[1][name][key]
            if name == "growth_potential":
                value, other = value.linear, other.linear
            if value is not None:
                assert value == pytest.approx(other, rel=1e-4, abs=1e-6), (name, key)


NAMES = ["module_intervention", "dependency", "mutual_information", "growth_potential"]


def in_units_of(problem, units):
    """Let a problem have the input units of another."""
    for split in SPLITS:
        data = problem.split(split)
        for port in data.inputs:
            mine, others = problem.inputs[port], units.inputs[port]
            raw = data.inputs[port].double() / torch.tensor(mine.scale) + torch.tensor(mine.shift)
            aligned = (raw - torch.tensor(others.shift)) * torch.tensor(others.scale)
            data.inputs[port] = aligned.float()
    return problem


def test_a_problem_with_holes_and_weights_is_stored_whole():
    options = {"label": {"class_weights": "balanced"}}
    problem = problem_of(with_holes(ABSENT), options)
    copy = valp.Problem.__new__(valp.Problem)
    vars(copy).update(read_store(problem._write(), "here"))
    assert str(copy) == str(problem) and copy.loss_scale == problem.loss_scale
    for name in SPLITS:
        one, other = problem.split(name), copy.split(name)
        assert one.weights.keys() == other.weights.keys() == KINDS.keys()
        for part in ("inputs", "targets", "weights"):
            for key, tensor in getattr(one, part).items():
                assert torch.equal(tensor, getattr(other, part)[key])
    assert copy.outputs["label"].score(torch.eye(3), "test") >= 0


def test_a_problem_without_holes_or_weights_knows_of_none():
    for problem in (zoo.mixed_problem(), zoo.plain_problem()):
        assert not any(problem.split(name).weights for name in SPLITS)
        assert not any(problem.imputed.values())
        assert "missing" not in str(problem) and "targets for" not in str(problem)
