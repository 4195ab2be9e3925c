"""The compiled player takes the same steps as the tape of torch, or none at all."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import zoo
from deap import base
from gated import Gated
from residual import Residual

import deap_valp as valp
from deap_valp.distributed import task
from deap_valp.errors import EngineError, EvaluationError, MissingExtraError
from deap_valp.genome import KINDS, Optimizer
from deap_valp.genome.activations import ACTIVATIONS
from deap_valp.genome.optimizers import OPTIMIZERS
from deap_valp.training import PLAIN, Training, engine, train

pytest.importorskip("numba", reason="the compiled player needs numba: pip install '.[compiled]'")
session = pytest.importorskip("deap_valp.training.player.session")

LOOKING = Training(look=5)
SETTINGS = {"looking": LOOKING, "plain": PLAIN}


def one_algorithm(name, decay=0.0):
    """Each output is trained with this algorithm, and with a rate of its own."""
    return lambda outputs: {
        output: Optimizer(name, OPTIMIZERS[name].usual_rate / (1 + index), decay)
        for index, output in enumerate(outputs)
    }


def several_algorithms(*names, decay=0.0):
    return lambda outputs: {
        output: Optimizer(names[index % len(names)], 1e-3 * (1 + index), decay)
        for index, output in enumerate(outputs)
    }


def trained(name, individual, problem, batches=12, optimizers=None, parts=1, **options):
    """A session by an engine, and the weights that it leaves."""
    model = valp.decode(individual)
    optimizers = (optimizers or one_algorithm("adam"))(model.outputs)
    options = {"training": LOOKING, **options}
    session = train(model, problem, batches, 20, optimizers, 7, parts, engine=name, **options)
    return session, model.weights()


def assert_same_steps(individual, problem, tolerance=2e-5, **options):
    ours, theirs = (trained(name, individual, problem, **options) for name in ("compiled", "torch"))
    (found, weights), (wanted, wanted_weights) = ours, theirs
    assert (found.engine, wanted.engine) == ("compiled", "torch")
    close = {"atol": tolerance, "rtol": tolerance}
    torch.testing.assert_close(found.history, wanted.history, **close)
    torch.testing.assert_close(weights, wanted_weights, **close)
    assert found.kept == wanted.kept
    if wanted.losses is not None:
        np.testing.assert_allclose(found.losses, wanted.losses, rtol=tolerance)
    assert found.state.keys() == wanted.state.keys()
    for key, by_algorithm in wanted.state.items():
        for algorithm, block in by_algorithm.items():
            block_found = found.state[key][algorithm]
            assert block_found.steps == block.steps
            torch.testing.assert_close(block_found.moments, block.moments, **close)


@pytest.fixture(params=[name for name in zoo.NAMES if name not in zoo.IMAGES])
def zoo_name(request):
    """The members for which the player has operations."""
    return request.param


@pytest.mark.parametrize("name", zoo.IMAGES)
def test_convolutions_are_left_to_torch(name):
    individual, problem = zoo.member(name), zoo.problem_of(name)
    session, _ = trained("auto", individual, problem)
    assert session.engine == "torch"
    with pytest.raises(valp.EngineError, match="no operation for the stage Convolve"):
        trained("compiled", individual, problem)


@pytest.mark.parametrize("setting", SETTINGS)
def test_every_member_of_the_zoo_is_trained_alike(setting, zoo_member, problem):
    assert_same_steps(zoo_member, problem, training=SETTINGS[setting])


@pytest.mark.parametrize("seed", range(3))
def test_random_valps_after_operators_are_trained_alike(seed):
    random.seed(seed)
    individual = zoo.random_valp(zoo.mixed_problem())
    for _ in range(10):
        valp.mutRandom(individual, operators="all")
    assert_same_steps(individual, zoo.mixed_problem())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_algorithm_takes_the_same_steps(name):
    assert_same_steps(zoo.fan_in(), zoo.mixed_problem(), optimizers=one_algorithm(name))


@pytest.mark.parametrize("names", [("adam", "sgd"), ("nadam", "adagrad", "rmsprop", "adamw")])
def test_algorithms_that_differ_by_output_and_weight_decay(names):
    optimizers = several_algorithms(*names, decay=0.1)
    assert_same_steps(zoo.fan_out(), zoo.mixed_problem(), optimizers=optimizers)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_has_an_operation(name):
    networks = {"n0": zoo.generic(6, 5, activation=name), "n1": zoo.generic(4, activation=name)}
    individual = zoo.build(zoo.plain_problem(), networks, "x->n0 x->n1 n0->n1 n1->y n0->y")
    assert_same_steps(individual, zoo.plain_problem())


@pytest.mark.parametrize("parts", [2, 3])
def test_micro_batches(parts, zoo_member, problem):
    assert_same_steps(zoo_member, problem, parts=parts, batches=6)


def test_the_state_of_the_last_session_is_carried_on():
    individual, problem = zoo.fan_in(), zoo.mixed_problem()
    session, _ = trained("torch", individual, problem)
    assert_same_steps(individual, problem, state=session.state)


def test_sessions_end_early_alike():
    individual, problem = zoo.fan_out(), zoo.mixed_problem()

    def steep(outputs):
        return {output: Optimizer("sgd", 0.3) for output in outputs}

    options = {"training": Training(look=1, patience=2), "batches": 60, "optimizers": steep}
    session, _ = trained("torch", individual, problem, **options)
    assert len(session.history) < 60
    assert_same_steps(individual, problem, **options)


def holes():
    """A problem whose outputs lack some labels, and whose examples do not all weigh the same."""
    rng, size = np.random.default_rng(0), zoo.EXAMPLES
    left, right = rng.normal(size=(size, 5)), rng.normal(size=(size, 3))
    label = np.array([*"abc"], dtype=object)[rng.integers(0, 3, size)]
    value, image = left[:, :2].copy(), np.tanh(left @ rng.normal(size=(5, 6)))
    label[rng.random(size) < 0.3], value[rng.random(size) < 0.3] = None, np.nan
    image[rng.random(size) < 0.3] = np.nan
    return valp.Problem(
        {"left": left, "right": right},
        {
            "label": valp.Classification(label, class_weights="balanced"),
            "value": valp.Regression(value, example_weights=rng.random(size)),
            "image": valp.Generation(image),
            "texture": valp.Generation(rng.normal(size=(size, 4))),
        },
        splits=(0.5, 0.25, 0.25),
    )


@pytest.mark.parametrize("name", ["fan_in", "shared_latent", "nested_decoder"])
@pytest.mark.parametrize("parts", [1, 3])
def test_missing_labels_and_weights_of_examples(name, parts):
    assert_same_steps(zoo.member(name), holes(), parts=parts)


@pytest.mark.parametrize("classes", [2, 30])
def test_heads_that_are_wider_than_the_batch(classes):
    """A wide head lies transposed in memory, as that of an image does."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(zoo.EXAMPLES, 4))
    outputs = {
        "label": valp.Classification(np.arange(zoo.EXAMPLES) % classes),
        "row": valp.Regression(rng.normal(size=(zoo.EXAMPLES, 50))),
    }
    problem = valp.Problem({"x": x}, outputs, splits=(0.5, 0.25, 0.25))
    networks = {"n0": zoo.generic(6, 5), "n1": zoo.generic(60)}
    individual = zoo.build(problem, networks, "x->n0 n0->n1 n1->label n0->label n1->row n0->row")
    assert_same_steps(individual, problem)


def test_blocks_that_are_cut_short_are_the_same(monkeypatch):
    """Long blocks would hold too many copies of the examples, and too much noise."""
    monkeypatch.setattr(session, "HELD", 100)
    assert_same_steps(zoo.fan_in(), zoo.mixed_problem(), training=PLAIN)
    assert_same_steps(zoo.fan_in(), zoo.mixed_problem(), training=Training(look=9))


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("setting", SETTINGS)
def test_300_steps_are_alike(optimizer, setting, zoo_member, problem):
    assert_same_steps(
        zoo_member,
        problem,
        tolerance=1e-3,
        batches=300,
        optimizers=one_algorithm(optimizer, decay=0.01),
        training=SETTINGS[setting],
    )


# ---- what goes to torch --------------------------------------------------------------------------


def absolute_error(head, target):
    return (head - target).abs().mean()


def with_own_loss():
    x = np.random.default_rng(1).normal(size=(zoo.EXAMPLES, 4))
    outputs = {"y": valp.Regression(x[:, :1] ** 2, loss=absolute_error)}
    return zoo.smallest(), valp.Problem({"x": x}, outputs, splits=(0.5, 0.25, 0.25))


def with_own_kind(network):
    problem = zoo.plain_problem()
    return zoo.build(problem, {"n0": network, "n1": zoo.generic(3)}, "x->n0 n0->n1 n1->y"), problem


@pytest.fixture
def unknown(request, monkeypatch):
    """An individual and a problem of which a part is unknown to the compiled player."""
    monkeypatch.setitem(KINDS, "gated", Gated)
    if request.param == "loss":
        return with_own_loss()
    if request.param == "kind":
        return with_own_kind(Gated(1, 4))
    individual, problem = zoo.fan_out(), zoo.mixed_problem()
    if request.param == "activation":
        own = ACTIVATIONS["elu"]._replace(operation="")
        monkeypatch.setitem(ACTIVATIONS, "elu", own)
    else:
        own = OPTIMIZERS["adam"]._replace(operation="")
        monkeypatch.setitem(OPTIMIZERS, "adam", own)
    return individual, problem


each_unknown = pytest.mark.parametrize(
    "unknown", ["loss", "kind", "activation", "algorithm"], indirect=True
)


@each_unknown
def test_torch_trains_the_whole_of_what_has_an_unknown_part(unknown):
    individual, problem = unknown
    assert trained("auto", individual, problem)[0].engine == "torch"
    found = valp.evaluate(individual, problem, 5, 5, engine="auto")
    wanted = valp.evaluate(individual, problem, 5, 5, engine="torch")
    assert found.ok and found.engine == wanted.engine == "torch"
    assert all(torch.equal(found.weights[key], tensor) for key, tensor in wanted.weights.items())


@each_unknown
def test_asked_to_compile_an_unknown_part_it_raises(unknown):
    with pytest.raises(EngineError, match="no operation for"):
        valp.evaluate(*unknown, 5, 5, engine="compiled")


def test_a_kind_of_one_s_own_is_compiled_where_its_operations_are_known(monkeypatch):
    monkeypatch.setitem(KINDS, "residual", Residual)
    assert_same_steps(*with_own_kind(Residual(1, 5, 3)))


def test_other_numbers_and_devices_are_refused():
    problem = zoo.plain_problem()
    for options in ({"dtype": torch.float64}, {"device": "meta"}):
        model = valp.decode(zoo.smallest(), **options)
        optimizers = one_algorithm("adam")(model.outputs)
        with pytest.raises(EngineError, match="has no operation for"), torch.no_grad():
            train(model, problem, 2, 20, optimizers, 7, engine="compiled")


def test_a_session_that_diverges_fails_with_either_engine():
    individual = zoo.fan_out()
    with zoo.editing(individual) as draft:
        draft.optimizers = {output: Optimizer("adam", 1e30) for output in individual.outputs}
    found = [
        valp.evaluate(individual, zoo.mixed_problem(), 9, 9, engine=name).status
        for name in ("compiled", "torch")
    ]
    assert found[0].startswith("the loss of") and found[0] == found[1]


# ---- the choice ----------------------------------------------------------------------------------


def test_auto_takes_the_compiled_player_and_says_so_once(caplog):
    engine._say_once.cache_clear()
    with caplog.at_level(logging.INFO, "deap_valp"):
        for _ in range(2):
            found = valp.evaluate(zoo.fan_in(), zoo.mixed_problem(), 3, 3)
    assert found.engine == "compiled"
    assert caplog.text.count("engine='auto' trains with the compiled player") == 1


def test_without_numba_auto_is_torch(monkeypatch):
    monkeypatch.setattr(engine, "has_numba", lambda: False)
    assert valp.evaluate(zoo.fan_in(), zoo.mixed_problem(), 3, 3).engine == "torch"
    with pytest.raises(MissingExtraError, match="compiled"):
        valp.evaluate(zoo.fan_in(), zoo.mixed_problem(), 3, 3, engine="compiled")


def test_an_engine_that_does_not_exist_is_named():
    for call in (
        lambda: valp.evaluate(zoo.fan_in(), zoo.mixed_problem(), engine="jax"),
        lambda: valp.evolve(zoo.plain_problem(), steps=1, engine="jax"),
    ):
        with pytest.raises(EvaluationError, match=r"engine as one of .*, got 'jax'"):
            call()


def engine_used(individual, name="auto"):
    return valp.evaluate(individual, zoo.mixed_problem(), 2, 2, engine=name).engine


@pytest.mark.parametrize("origin", ["torch", "compiled"])
def test_what_auto_means_travels_with_a_task(origin):
    with engine.deciding(origin):
        payload = task.pack(engine_used, (zoo.fan_in(),))
    assert task.unpack(task.perform(payload)).value == origin


def test_a_worker_that_lacks_the_engine_says_so(monkeypatch):
    payload = task.pack(engine_used, (zoo.fan_in(),))
    monkeypatch.setattr(engine, "has_numba", lambda: False)
    outcome = task.unpack(task.perform(payload))
    assert isinstance(outcome.error, MissingExtraError) and "numba" in str(outcome.error)


class Interrupted(BaseException):
    pass


def test_a_resumed_search_goes_on_with_the_engine_it_began_with(tmp_path):
    used, problem = [], zoo.mixed_problem()

    def climb(stop):
        def evaluate(individual):
            if len(used) == stop:
                raise Interrupted
            found = valp.evaluate(individual, problem, 3, 3)
            used.append(found.engine)
            return found

        toolbox = base.Toolbox()
        toolbox.register("evaluate", evaluate)
        toolbox.register("selMutation", valp.selMutation, policy="gentle")
        random.seed(3)
        checkpoint = valp.Checkpoint(tmp_path / "c")
        valp.hillClimbing(zoo.fan_out(), toolbox, 4, checkpoint=checkpoint, progress=False)

    with engine.deciding("torch"), contextlib.suppress(Interrupted):
        climb(2)
    climb(None)  # in a process where "auto" means the compiled player
    assert len(used) > 2 and set(used) == {"torch"}


def evaluated_digest(name):
    random.seed(0)  # of the ids and the seed
    found = valp.evaluate(zoo.member(name), zoo.problem_of(name), 20, 20, engine="compiled")
    hashed = hashlib.sha256()
    for array in [*found.weights.values(), *found.history.values()]:
        hashed.update(np.asarray(array).tobytes())
    return hashed.hexdigest()


def test_two_processes_compute_bit_for_bit_the_same():
    script = "import sys, test_player as t; print(t.evaluated_digest(sys.argv[1]))"
    command = [sys.executable, "-c", script, "shared_latent"]
    folder = Path(__file__).parent
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout.split()[-1] == evaluated_digest("shared_latent")
