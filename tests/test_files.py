"""``save`` and ``load``: what comes back is what was saved."""

from __future__ import annotations

import copy
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
import zoo
from parts import assembled, contents, laid_out, saved_and_loaded
from validity import assert_valid

import deap_valp as valp
from deap_valp.errors import FileFormatError
from deap_valp.genome import Latent, Layout, Limits, Optimizer
from deap_valp.genome.files import KEY, VERSION, load, save


@pytest.fixture
def path(tmp_path):
    return tmp_path / "x.valp"


def changed(individual, **attributes):
    """Return a copy of an individual that has these attributes, whether they are legal or not."""
    individual = copy.deepcopy(individual)
    individual.genome = replace(individual.genome, **attributes)
    return individual


def with_weight(individual, name, tensor):
    return changed(individual, weights={**individual.weights, name: tensor})


def assert_same_predictions(one, other, problem):
    """Compare bit by bit, in every mode, losses included."""
    before = zoo.predictions(one, problem, dtype=torch.float32)
    after = zoo.predictions(other, problem, dtype=torch.float32)
    assert before.keys() == after.keys()
    assert all(torch.equal(before[key], after[key]) for key in before)


# ---- what comes back -----------------------------------------------------------------------------


def test_loaded_equals_saved(zoo_member, path):
    loaded = saved_and_loaded(zoo_member, path)
    assert loaded == zoo_member and type(loaded) is type(zoo_member)
    assert loaded.limits == zoo_member.limits and loaded.layout == zoo_member.layout


def test_loaded_predicts_the_same_bits(zoo_member, problem, path):
    assert_same_predictions(zoo_member, saved_and_loaded(zoo_member, path), problem)


def test_loaded_is_valid_and_owns_its_weights(zoo_member, problem, path):
    loaded = saved_and_loaded(zoo_member, path)
    assert_valid(loaded, problem)
    valp.check(loaded, problem)
    for tensor in loaded.weights.values():
        assert tensor.untyped_storage().nbytes() == 4 * tensor.numel()


def test_every_field_comes_back(zoo_member, path):
    first = zoo_member.outputs[0]
    fields = {
        "limits": Limits(9, 3, 77, 11, (10, 90), (1e-7, 0.3)),
        "layout": Layout((2, 3), (4, 5), (6, 7), ("elu", "tanh")),
        "batch_size": 33,
        "optimizers": {**zoo_member.optimizers, first: Optimizer("rmsprop", 0.1 + 0.2)},
        "trained": True,
    }
    loaded = saved_and_loaded(changed(zoo_member, **fields), path)
    for name, value in fields.items():
        assert getattr(loaded, name) == value, name


def test_numbers_of_numpy_come_back_as_numbers(path):
    limits = Limits(width=np.int64(99), learning_rate=(np.float32(0.5), np.float64(0.75)))
    loaded = saved_and_loaded(changed(zoo.smallest(), limits=limits), path)
    assert loaded.limits == limits
    assert type(loaded.limits.width) is int and type(loaded.limits.learning_rate[0]) is float


def test_ids_of_63_bits_come_back(path):
    individual = zoo.shared_latent()
    latent = Latent(2**63 - 2, 2)
    with zoo.editing(individual) as draft:
        draft.set_component("n0", replace(individual.component("n0"), id=2**63 - 1))
        draft.set_component("n3", replace(individual.component("n3"), id=0, latent=latent))
    loaded = saved_and_loaded(individual, path)
    assert loaded.component("n0").id == 2**63 - 1
    assert loaded.component("n3") == individual.component("n3")
    assert loaded.component("n1").latent.id == loaded.component("n2").latent.id


def test_weights_come_back_bit_by_bit(path):
    odd = torch.tensor([-0.0, 1e-45, torch.finfo(torch.float32).max, 0.1])
    loaded = saved_and_loaded(with_weight(zoo.smallest(), "n0.0.bias", odd), path)
    assert torch.equal(loaded.weights["n0.0.bias"].view(torch.int32), odd.view(torch.int32))


@pytest.mark.parametrize("seed", [2, 3, 4])  # 1 would draw a seed that the first of them has
def test_operators_draw_the_same_on_the_loaded(zoo_member, path, seed):
    loaded = saved_and_loaded(zoo_member, path)
    for individual in (zoo_member, loaded):
        random.seed(seed)
        for _ in range(4):
            valp.mutRandom(individual, operators="all")
    assert loaded.move == zoo_member.move
    assert loaded == zoo_member and loaded.seed == zoo_member.seed


def test_saving_changes_nothing(zoo_member, path):
    before, random_state, torch_state = (
        copy.deepcopy(zoo_member),
        random.getstate(),
        torch.get_rng_state(),
    )
    seed = zoo_member.seed
    save(zoo_member, path)
    assert zoo_member == before and zoo_member.seed == seed
    assert random.getstate() == random_state and torch.equal(torch.get_rng_state(), torch_state)


def test_loaded_weights_are_always_in_the_same_order(zoo_member, path):
    save(zoo_member, path)
    loaded = [load(path, type(zoo_member)) for _ in range(5)]
    assert all(list(one.weights) == sorted(zoo_member.weights) for one in loaded)


def test_loaded_has_a_seed_of_its_own(zoo_member, path):
    save(zoo_member, path)
    random.seed(5)
    first, second = load(path, type(zoo_member)), load(path, type(zoo_member))
    random.seed(5)
    assert [first.seed, second.seed] == [random.getrandbits(63), random.getrandbits(63)]


def test_the_same_individual_gives_the_same_bytes(zoo_member, path):
    save(zoo_member, path)
    first = path.read_bytes()
    save(saved_and_loaded(zoo_member, path), path)
    assert path.read_bytes() == first


def test_unicode_ports(path):
    x = np.random.default_rng(0).normal(size=(60, 2))
    problem = valp.Problem({"größe": x}, {"ответ": valp.Regression(x[:, :1])})
    individual = zoo.build(problem, {"n0": zoo.generic(2)}, "größe->n0 n0->ответ")
    assert saved_and_loaded(individual, path) == individual


def test_what_a_gentle_clone_shares_is_saved_for_both(path):
    individual = zoo.shared_provider()
    valp.mutCloneNetwork(individual, "n0")
    assert individual.weights["n0.0.bias"] is individual.weights["n2.0.bias"]
    assert saved_and_loaded(individual, path) == individual


def test_tensors_that_are_views_are_saved_as_they_read(path):
    wide = torch.randn(4, 8)
    individual = with_weight(zoo.smallest(), "x->n0", wide[:, ::2])
    individual = with_weight(individual, "n0->y", wide[:, :1].t())
    assert saved_and_loaded(individual, path) == individual


@pytest.mark.parametrize("seed", range(2))
def test_round_trip_after_evolution(zoo_name, problem, path, seed):
    random.seed(seed)
    individual, other = zoo.member(zoo_name), zoo.random_valp(problem)
    for step in range(12):
        if step == 5:
            individual.fitness.values = valp.evaluate(
                individual, problem, batches=2, first_batches=3, device="cpu"
            )
        if step % 4 == 3:
            valp.cxExclusiveSubgraph(individual, other)
        valp.mutRandom(individual, operators="all")
    loaded = saved_and_loaded(individual, path)
    assert loaded == individual and loaded.trained == individual.trained
    assert_same_predictions(individual, loaded, problem)
    assert_valid(loaded, problem)


def test_an_evaluated_individual_comes_back_trained(zoo_member, problem, path):
    zoo_member.fitness.values = valp.evaluate(
        zoo_member, problem, batches=2, first_batches=3, device="cpu"
    )
    before = zoo_member.weights
    loaded = saved_and_loaded(zoo_member, path)
    assert zoo_member.weights is before  # saving changes nothing
    assert loaded.trained and not loaded.fitness.valid and loaded.evaluation is None
    assert_same_predictions(zoo_member, loaded, problem)
    zoo_member.genome = zoo_member.inherited()
    assert loaded == zoo_member


def test_a_failed_evaluation_leaves_it_untrained(path):
    individual, problem = zoo.smallest(), zoo.plain_problem()
    individual.fitness.values = valp.Evaluation(
        [valp.PENALTY],
        objectives=problem.objectives,
        seed=individual.seed,
        weights=individual.weights,
        status="failed",
    )
    assert not saved_and_loaded(individual, path).trained


def test_loads_as_a_class_with_another_number_of_objectives(zoo_member, path):
    save(zoo_member, path)
    loaded = load(path, zoo.individual_class((-1.0,) * 7))
    assert loaded == zoo_member and not loaded.fitness.valid and len(loaded.fitness.weights) == 7


ELSEWHERE = """
import sys, torch
import deap_valp as valp
from deap import base, creator
from deap_valp.genome.files import load
creator.create("F", base.Fitness, weights=(-1.0,))
creator.create("I", valp.VALP, fitness=creator.F)
individual = load(sys.argv[1], creator.I)
inputs = {}
for name in individual.inputs:
    inputs[name] = torch.linspace(-1, 1, 3 * individual.component(name).width).view(3, -1)
for name, value in valp.decode(individual)(inputs).items():
    print(name, value.detach().numpy().tobytes().hex())
"""


def test_another_process_predicts_the_same_bits(path):
    individual = zoo.fan_in()
    save(individual, path)
    environment = {**os.environ, "PYTHONPATH": str(Path(valp.__file__).parents[1])}
    command = [sys.executable, "-c", ELSEWHERE, path]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    inputs = {}
    for name in individual.inputs:
        inputs[name] = torch.linspace(-1, 1, 3 * individual.component(name).width).view(3, -1)
    expected = valp.decode(individual)(inputs)
    assert dict(line.split() for line in done.stdout.splitlines()) == {
        name: value.detach().numpy().tobytes().hex() for name, value in expected.items()
    }


def test_safetensors_itself_reads_the_weights(zoo_member, path):
    save(zoo_member, path)
    weights = safetensors.torch.load_file(path)
    assert weights.keys() == zoo_member.weights.keys()
    assert all(torch.equal(weights[key], tensor) for key, tensor in zoo_member.weights.items())
    with safetensors.safe_open(path, "pt") as opened:
        assert json.loads(opened.metadata()[KEY])["version"] == VERSION


def test_a_file_is_little_more_than_its_weights(path):
    individual = zoo.build(zoo.plain_problem(), {"n0": zoo.generic(256, 256)}, "x->n0 n0->y")
    save(individual, path)
    assert 0 < path.stat().st_size - 4 * individual.weight_count < 5_000


VERSION_2 = {
    "version": 2,
    "components": {
        "x": {"kind": "input", "width": 2, "shift": [0.5], "scale": [2.0]},
        "n0": {"kind": "generic", "layers": [{"width": 2, "activation": "relu"}], "id": 5},
        "n1": {
            "kind": "decoder",
            "layers": [{"width": 1, "activation": "tanh"}],
            "id": 6,
            "latent": {"id": 7, "dim": 1},
            "share": 0.5,
        },
        "n2": {"kind": "refiner", "layers": [{"width": 1, "activation": "elu"}], "id": 8},
        "n3": {"kind": "discrete", "layers": [{"width": 2, "activation": "softmax"}], "id": 9},
        "label": {"kind": "classification", "width": 2, "shift": [0.0], "scale": [1.0]},
        "image": {"kind": "generation", "width": 1, "shift": [0.0], "scale": [1.0]},
    },
    "connections": ["x->n0", "n0->n1", "n0->n3", "n1->n2", "n2->image", "n3->label"],
    "optimizers": {
        "label": {"name": "adam", "learning_rate": 0.001, "decay": 0.5},
        "image": {"name": "sgd", "learning_rate": 0.01, "decay": 0.0},
    },
    "batch_size": 200,
    "limits": {
        "networks": 64,
        "layers": 8,
        "width": 256,
        "latent": 64,
        "batch_size": [25, 1600],
        "learning_rate": [1e-05, 0.1],
        "decay": [0.001, 10.0],
    },
    "layout": {
        "layers": [1, 4],
        "width": [8, 96],
        "latent": [4, 32],
        "activations": ["relu", "tanh"],
    },
    "trained": True,
}


@pytest.mark.parametrize("version", [2, 3])
def test_earlier_versions_stay_readable(version, path):
    shapes = {"x->n0": [2, 2], "n0->n1": [2, 2], "n0->n3": [2, 2], "n3->label": [2, 2]}
    shapes |= {"n0.0.bias": [2], "n1.latent.bias": [2], "n3.0.bias": [2], "label.bias": [2]}
    shapes |= {"n1.0.weight": [1, 1], "n1->n2": [1, 1], "n2->image": [1, 1]}
    shapes |= {"n1.0.bias": [1], "n2.0.bias": [1], "image.bias": [1]}
    header, size = laid_out(shapes)
    path.write_bytes(
        assembled(
            header, VERSION_2 | {"version": version}, np.arange(size // 4, dtype="<f4").tobytes()
        )
    )
    loaded = load(path, zoo.individual_class((-1.0, -1.0)))
    assert loaded.trained and loaded.component("n1").share == 0.5
    assert loaded.weights["n0->n1"].tolist() == [[4.0, 5.0], [6.0, 7.0]]
    assert saved_and_loaded(loaded, path) == loaded


# ---- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weight", "message"),
    [
        (torch.tensor([1.0, float("nan"), 1.0, 1.0]), "must be finite, got nan"),
        (torch.tensor([1.0, float("-inf"), 1.0, 1.0]), "must be finite, got -inf"),
        (torch.zeros(4, dtype=torch.float64), "must be torch.float32, got torch.float64"),
        (torch.zeros(4, dtype=torch.bfloat16), "must be torch.float32, got torch.bfloat16"),
        (torch.zeros(5), "expected shape (4,), got (5,)"),
        (torch.tensor(1.0), "must be of 1 to 8 sizes from 1 on, got []"),
        (torch.zeros(0), "must be of 1 to 8 sizes from 1 on, got [0]"),
    ],
)
def test_what_load_would_refuse_is_not_written(path, weight, message):
    before = contents(zoo.deep(), path)
    with pytest.raises(FileFormatError) as caught:
        save(with_weight(zoo.smallest(), "n0.0.bias", weight), path)
    assert "n0.0.bias" in str(caught.value) and message in str(caught.value)
    assert path.read_bytes() == before


def test_other_files_raise_as_open_does(path):
    with pytest.raises(FileNotFoundError):
        load(path, valp.VALP)
    with pytest.raises(FileNotFoundError):
        save(zoo.smallest(), path / "in a folder that is not there")


def test_a_folder_or_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for odd in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(FileFormatError, match="regular file"):
            load(odd, valp.VALP)
