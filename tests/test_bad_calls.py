"""Every public function, called with the wrong type, value, order or state, says what it needs.

Data and problems are in ``test_bad_input``, operators and selection in ``test_bad_moves``, searches
and fitnesses in ``test_bad_searches``, plots in ``test_bad_plots``.
"""

from __future__ import annotations

import inspect

import numpy as np
import pytest
import torch
import zoo
from deap import base, creator
from plotting import evaluated
from test_bad_moves import BAD as BAD_MOVES
from test_bad_moves import fresh

import deap_valp as valp

PROBLEM, OTHER = zoo.mixed_problem(), zoo.plain_problem()
CLASS = zoo.individual_class(PROBLEM.weights)


class Listed(list):
    """What ``creator.create("Individual", list, ...)`` makes."""

    fitness = base.Fitness


def changed():
    """An individual that was changed after its evaluation."""
    individual = base.Toolbox().clone(evaluated())
    return valp.mutAddLayer(individual)[0]


def images():
    return {name: value for name, value in PROBLEM.split("test").inputs.items()}


BAD = {
    # initVALP
    "initVALP: networks=4": (
        lambda: valp.initVALP(CLASS, PROBLEM, networks=4),
        r"initVALP needs a pair .* for networks, .* <= 64 .*, got 4: \(4, 4\)\?",
    ),
    "initVALP: networks=(5, 3)": (
        lambda: valp.initVALP(CLASS, PROBLEM, networks=(5, 3)),
        r"for networks, .*got \(5, 3\)$",
    ),
    "initVALP: swapped arguments": (
        lambda: valp.initVALP(PROBLEM, CLASS),
        "initVALP needs icls as a class made of VALP.*got Problem",
    ),
    "initVALP: a class of lists": (
        lambda: valp.initVALP(Listed, PROBLEM),  # type: ignore[type-var]
        "initVALP needs icls as a class made of VALP, .*got the class Listed",
    ),
    "initVALP: arrays for a problem": (
        lambda: valp.initVALP(CLASS, np.zeros((3, 3))),
        "initVALP needs problem as a Problem, got ndarray",
    ),
    "initVALP: activations='relu'": (
        lambda: valp.initVALP(CLASS, PROBLEM, activations="relu"),
        "initVALP needs activations .*got 'relu'",
    ),
    "initVALP: an unknown optimizer": (
        lambda: valp.initVALP(CLASS, PROBLEM, optimizer="adamw2"),
        "SGD algorithm among .*got 'adamw2'",
    ),
    "initVALP: batch_size=64.0": (
        lambda: valp.initVALP(CLASS, PROBLEM, batch_size=64.0),
        "batch size .*got 64.0",
    ),
    "initVALP: learning_rate='fast'": (
        lambda: valp.initVALP(CLASS, PROBLEM, learning_rate="fast"),
        "finite learning rate from 0 on, got 'fast'",
    ),
    "initVALP: decay=-1": (
        lambda: valp.initVALP(CLASS, PROBLEM, decay=-1),
        "finite weight decay from 0 on, got -1",
    ),
    "initVALP: limits=(1, 2)": (
        lambda: valp.initVALP(CLASS, PROBLEM, limits=(1, 2)),
        r"initVALP needs limits as Limits or None, got \(1, 2\)",
    ),
    "VALP: a graph for a genome": (
        lambda: valp.VALP(fresh().graph),
        "VALP needs a Genome, as initVALP and load make it, got DiGraph",
    ),
    # evaluate, score, diagnose
    "evaluate: swapped arguments": (
        lambda: valp.evaluate(PROBLEM, fresh()),
        "evaluate needs individual as a VALP.*got Problem",
    ),
    "evaluate: an individual made of a list": (
        lambda: valp.evaluate(Listed([1, 2]), PROBLEM),
        "evaluate needs individual as a VALP.*got Listed",
    ),
    "evaluate: no problem": (
        lambda: valp.evaluate(fresh(), None),
        "evaluate needs problem as a Problem, got None",
    ),
    "evaluate: of another problem": (
        lambda: valp.evaluate(fresh(), OTHER),
        "a VALP has exactly the inputs of its problem",
    ),
    "evaluate: batches=1e1": (
        lambda: valp.evaluate(fresh(), PROBLEM, batches=1e1),
        "evaluate needs batches as a whole number from 1 on, .*got 10.0",
    ),
    "evaluate: first_batches=0": (
        lambda: valp.evaluate(fresh(), PROBLEM, first_batches=0),
        "evaluate needs first_batches .*got 0",
    ),
    "evaluate: device='gpu'": (
        lambda: valp.evaluate(fresh(), PROBLEM, device="gpu"),
        "needs device as 'auto', 'cpu' or .*got 'gpu'",
    ),
    "evaluate: device=None": (
        lambda: valp.evaluate(fresh(), PROBLEM, device=None),
        "needs device as 'auto', 'cpu' or .*got None",
    ),
    "evaluate: an unknown metric": (
        lambda: valp.evaluate(fresh(), PROBLEM, metrics=["slope"]),
        r"metrics among .*got \['slope'\]",
    ),
    "evaluate: metrics=None": (
        lambda: valp.evaluate(fresh(), PROBLEM, metrics=None),
        "metrics among .*got None",
    ),
    "evaluate: training=False": (
        lambda: valp.evaluate(fresh(), PROBLEM, training=False),
        "evaluate needs training as a Training, got False",
    ),
    "Training: average='0.9'": (
        lambda: valp.Training(average="0.9"),
        "Training needs average from 0 on and below 1, got '0.9'",
    ),
    "score: an unknown split": (
        lambda: valp.score(evaluated(), PROBLEM, split="val"),
        r"a split needs a name among .*got 'val'",
    ),
    "score: swapped arguments": (
        lambda: valp.score(PROBLEM, evaluated()),
        "score needs individual as a VALP.*got Problem",
    ),
    "score: a population": (
        lambda: valp.score([evaluated()], PROBLEM),
        "score needs individual as a VALP.*got list",
    ),
    "diagnose: never evaluated": (
        lambda: valp.diagnose(fresh(), PROBLEM),
        "diagnose needs an individual with a successful evaluation of its own, got none",
    ),
    "diagnose: changed since": (
        lambda: valp.diagnose(changed(), PROBLEM),
        "diagnose needs an individual with a successful evaluation of its own, got none",
    ),
    "diagnose: swapped arguments": (
        lambda: valp.diagnose(PROBLEM, evaluated()),
        "diagnose needs individual as a VALP.*got Problem",
    ),
    "diagnose: of another problem": (
        lambda: valp.diagnose(evaluated(), OTHER),
        "a VALP has exactly the inputs of its problem",
    ),
    "diagnose: features of an unknown input": (
        lambda: valp.diagnose(evaluated(), PROBLEM, features={"x": {"all": [0]}}),
        r"features needs inputs among \['left', 'right'\], got 'x'",
    ),
    # decode, save, load, check
    "decode: a problem": (
        lambda: valp.decode(PROBLEM),
        "decode needs individual as a VALP.*got Problem",
    ),
    "decode: device='gpu'": (
        lambda: valp.decode(evaluated(), device="gpu"),
        "needs device as 'auto', 'cpu' or .*got 'gpu'",
    ),
    "decode: dtype='float'": (
        lambda: valp.decode(evaluated(), dtype="float"),
        "decode needs dtype as a floating torch.dtype, got 'float'",
    ),
    "decode: called with a tensor": (
        lambda: valp.decode(evaluated())(torch.zeros(3, 5)),
        r"needs the inputs \['left', 'right'\] as a mapping, got Tensor",
    ),
    "decode: inputs of two lengths": (
        lambda: valp.decode(evaluated())({"left": torch.zeros(3, 5), "right": torch.zeros(2, 3)}),
        "same number of examples .*got left 3, right 2",
    ),
    "decode: an unknown mode": (
        lambda: valp.decode(evaluated())(images(), mode="predict"),
        "runs in the modes .*got 'predict'",
    ),
    "decode: generate(2.5)": (
        lambda: valp.decode(evaluated()).generate(2.5),
        "generate needs size as a whole number from 1 on, got 2.5",
    ),
    "decode: dtype in the place of the problem": (
        lambda: valp.decode(evaluated(), torch.float64),
        "decode needs problem as a Problem, got dtype",
    ),
    "decode: predict without a problem": (
        lambda: valp.decode(evaluated()).predict(images()),
        r"predict needs the columns, .* of the problem.*decode\(individual, problem\)",
    ),
    "export: swapped arguments": (
        lambda: valp.export(PROBLEM, evaluated(), "it.pt2"),
        "export needs problem as a Problem, got Zoo4",
    ),
    "export: no individual": (
        lambda: valp.export(CLASS, PROBLEM, "it.pt2"),
        "export needs individual as a VALP.*got the class Zoo4",
    ),
    "export: no path": (
        lambda: valp.export(evaluated(), PROBLEM, 3),
        "export needs path as a path of a file, got 3",
    ),
    "export: another ending": (
        lambda: valp.export(evaluated(), PROBLEM, "it.txt"),
        r"export needs a path that ends in .pt2 or .onnx, got '.txt'",
    ),
    "open_arrays: no path": (
        lambda: valp.open_arrays(3),
        "open_arrays needs path as a path of a file, got 3",
    ),
    "open_arrays: no folder": (
        lambda: valp.open_arrays("nowhere"),
        "open_arrays needs a folder of .npy files, got 'nowhere'",
    ),
    "write_arrays: swapped arguments": (
        lambda: valp.write_arrays("folder", [{"x": 1}]),
        "write_arrays needs path as a path of a file, got list",
    ),
    "write_arrays: no data set": (
        lambda: valp.write_arrays(3, "folder"),
        "write_arrays needs dataset as what has .*got 3",
    ),
    "write_arrays: no dictionaries": (
        lambda: valp.write_arrays([1, 2], "."),
        "write_arrays needs examples as mappings, got 1",
    ),
    "save: swapped arguments": (
        lambda: valp.save("model.valp", evaluated()),
        "save needs individual as a VALP.*got 'model.valp'",
    ),
    "load: swapped arguments": (
        lambda: valp.load(CLASS, "model.valp"),
        "load needs path as a path of a file, got the class Zoo4",
    ),
    "load: no class": (
        lambda: valp.load(__file__, evaluated()),
        "load needs icls as a class made of VALP.*got Zoo4",
    ),
    "load: another file": (lambda: valp.load(__file__, CLASS), "header"),
    "check: a list": (lambda: valp.check([1]), "check needs individual as a VALP.*got list"),
    "check: swapped arguments": (
        lambda: valp.check(PROBLEM, fresh()),
        "check needs individual as a VALP.*got Problem",
    ),
    # Evaluation
    "Evaluation: two values, one name": (
        lambda: valp.Evaluation([1, 2], objectives=["a"], seed=1, weights={}),
        r"an Evaluation needs a name for each value, got 2 values and the names \['a'\]",
    ),
    "Evaluation.with_values: NaN": (
        lambda: evaluated().evaluation.with_values([float("nan")] * 4),
        "with_values needs finite numbers, got nan for 'label'",
    ),
    "Evaluation.with_values: another number": (
        lambda: evaluated().evaluation.with_values([1.0, 2.0]),
        r"with_values needs 4 values, .*or a mapping by name, got .*2.0",
    ),
    "Evaluation.with_values: a word": (
        lambda: evaluated().evaluation.with_values({"label": "low"}),
        "with_values needs finite numbers, got 'low' for 'label'",
    ),
    "Evaluation.with_values: one number": (
        lambda: evaluated().evaluation.with_values(0.5),
        r"with_values needs 4 values, .*got 0.5",
    ),
    # problems
    "problems.by_name: unknown": (
        lambda: valp.problems.by_name("mnist2"),
        "a built-in problem needs a name among .*got 'mnist2'",
    ),
    "problems.digits: an unknown option": (
        lambda: valp.problems.by_name("digits", size=3),
        "digits takes the options .*got 'size'",
    ),
    "Problem.load: a problem": (
        lambda: valp.Problem.load("test_bad_calls:PROBLEM"),
        "Problem.load needs a function that gives a Problem, got <Problem .* as 'test_bad_calls",
    ),
    "Problem.load: a function": (
        lambda: valp.Problem.load(zoo.mixed_problem),
        "Problem.load needs an importable 'package.module:function', got <func",
    ),
    "Problem.split: a number": (lambda: PROBLEM.split(0), "a split needs a name among .*got 0"),
    "Problem.split: limit=2.5": (
        lambda: PROBLEM.split("test", limit=2.5),
        "limit of at least one example, got 2.5",
    ),
    # scoop
    "scoopMap: swapped arguments": (
        lambda: valp.scoopMap([1, 2], len),
        r"scoopMap needs a function to call, got \[1, 2\]",
    ),
    "scoopMap: no list": (lambda: valp.scoopMap(len), "scoopMap needs a list of arguments"),
    "scoopMap: a number": (
        lambda: valp.scoopMap(len, 3),
        "scoopMap needs lists of arguments, got 3",
    ),
    "scoopSubmit: a list": (
        lambda: valp.scoopSubmit([fresh()]),
        "scoopSubmit needs a function to call, got",
    ),
}


@pytest.mark.parametrize("attempt, message", BAD.values(), ids=BAD.keys())
def test_a_wrong_argument_is_named(attempt, message):
    with pytest.raises(valp.ValpError, match=message):
        attempt()


def test_cuda_without_a_gpu_is_refused_before_training():
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    for function in (valp.evaluate, valp.score, valp.diagnose):
        with pytest.raises(valp.EvaluationError, match=r"needs device as .*got 'cuda'"):
            function(evaluated(), PROBLEM, device="cuda")


def test_every_public_function_was_tried():
    functions = {
        name
        for name in valp.__all__
        if inspect.isroutine(getattr(valp, name)) and not inspect.isclass(getattr(valp, name))
    }
    elsewhere = {"hillClimbing", "eaGuided", "eaAging", "eaSteadyState"}  # test_bad_searches
    elsewhere |= {"evolve", "reporter", "report"}  # test_ready, test_reporters, test_page
    elsewhere |= {"operator"}  # test_operators
    elsewhere |= {"image_patches", "patch_intervention"}  # test_bad_plots
    harmless = {"move_key"}
    tried = {name.partition(":")[0] for name in {**BAD, **BAD_MOVES}}
    assert functions - elsewhere - harmless <= tried


def test_creator_class_of_a_list_is_named():
    creator.create("BadListed", list, fitness=zoo.individual_class((-1.0,)))
    with pytest.raises(valp.StructureError, match="initVALP needs icls as a class made of VALP"):
        valp.initVALP(creator.BadListed, PROBLEM)
