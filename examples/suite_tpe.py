"""A rival of suite.py: Optuna's TPE over VALPs that are trained from scratch.

Its genomes are those of the search, as a fixed list of parameters: sub-networks with their layers,
widths and activations, what each of them reads, what each output reads, rate and decay. Nothing is
inherited: every trial draws new weights.
"""

from dataclasses import dataclass, field
from itertools import combinations
from math import inf
from time import process_time

import torch
from suite_arms import individual_class
from suite_rivals import Tried

import deap_valp as valp
from deap_valp.genome import Connection, Genome, Layer, Optimizer, initial_weights, new_id
from deap_valp.genome.init import usual_decay
from deap_valp.genome.kinds import Generic
from deap_valp.genome.structure import build_graph

MOST = 4  # sub-networks
ACTIVATIONS = ("relu", "tanh", "elu", "identity")
BATCH = 64


@dataclass(frozen=True)
class Budget:
    """Training examples, CPU seconds, or both; a search ends by the first that is spent."""

    examples: float = inf
    seconds: float = inf


@dataclass
class Found:
    """The best VALP so far, and what was spent on all trials."""

    best: object = None
    loss: float = inf
    examples: int = 0
    trials: int = 0
    began: float = field(default_factory=process_time)

    def left(self, budget):
        """Whether the budget allows another batch."""
        seconds = process_time() - self.began
        return self.examples + BATCH <= budget.examples and seconds < budget.seconds


def tpe(problem, seed, budget, training=None):
    """The best VALP by validation loss that TPE finds within a budget.

    The sampler has Optuna's defaults. The first trial has the shape of the package's own start. The
    last trial by examples gets the batches that are left, and by seconds comes to its end.
    """
    import optuna  # of the extra peers

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(sampler=optuna.samplers.TPESampler(seed=seed))
    study.enqueue_trial(usual(problem))
    found, training, icls = Found(), dict(training or {}), individual_class(problem)

    def attempt(trial):
        individual = icls(genome_of(trial, problem))
        usual_batches = training.get("first_batches") or first_batches(problem)
        left = int(min(usual_batches, (budget.examples - found.examples) // BATCH))
        given = {**training, "first_batches": left}
        individual.fitness.values = valp.evaluate(individual, problem, metrics=(), **given)
        evaluation = individual.evaluation
        batches = max(map(len, evaluation.history.values()), default=left)
        found.examples += batches * min(BATCH, problem.split("train").size)
        found.trials += 1
        if not evaluation.ok:
            raise optuna.TrialPruned
        if evaluation.loss < found.loss:
            found.best, found.loss = individual, evaluation.loss
        return evaluation.loss

    while found.left(budget) or found.best is None:
        study.optimize(attempt, n_trials=1)
    return Tried([valp.score(found.best, problem)], found.examples)


def first_batches(problem):
    """The usual number of batches of a first session."""
    from deap_valp.evaluation.session import usual_budgets

    return usual_budgets(problem, BATCH)[0]


# ---- a genome by its parameters ------------------------------------------------------------------


def places(problem):
    """All pairs of provider and receiver that a trial may connect, by the name of the parameter."""
    networks = [f"n{index}" for index in range(MOST)]
    pairs = [(source, network) for network in networks for source in problem.inputs]
    pairs += combinations(networks, 2)
    pairs += [(network, output) for output in problem.outputs for network in networks]
    return {f"{provider} to {receiver}": (provider, receiver) for provider, receiver in pairs}


def usual(problem):
    """The parameters of the package's own start: a trunk and a linear path for all outputs."""
    found = {"networks": 2, "rate": 1e-3, "decay": usual_decay(problem)}
    for network, layers, width, name in (("n0", 2, 96, "relu"), ("n1", 1, 16, "identity")):
        found |= {f"{network} layers": layers, f"{network} width": width}
        found[f"{network} activation"] = name
    for name, (provider, receiver) in places(problem).items():
        found[name] = not (provider in ("n0", "n1") and receiver in ("n0", "n1"))
    return found


def genome_of(trial, problem):
    """The genome of a trial, with new weights; heads are zero, as those of the package's start."""
    if any(kind.kind == "generation" for kind in problem.outputs.values()):
        raise ValueError("tpe needs outputs that take values, got one that generates")
    names = [f"n{index}" for index in range(trial.suggest_int("networks", 1, MOST))]
    components = {**problem.inputs, **{name: out.port for name, out in problem.outputs.items()}}
    for name in names:
        depth = trial.suggest_int(f"{name} layers", 1, 3)
        width = trial.suggest_int(f"{name} width", 8, 128, log=True)
        activation = trial.suggest_categorical(f"{name} activation", ACTIVATIONS)
        components[name] = Generic(id=new_id(), layers=(Layer(width, activation),) * depth)
    wanted = [pair for pair in places(problem).items() if known(pair[1], components)]
    edges = [pair for name, pair in wanted if trial.suggest_categorical(name, (True, False))]
    graph = build_graph(components, mended(edges, names, problem))
    weights = initial_weights(graph)
    for output in problem.outputs:
        for provider in graph.pred[output]:
            place = Connection(provider, output)
            weights[place] = torch.zeros_like(weights[place])
    setting = Optimizer(
        "adam",
        trial.suggest_float("rate", 1e-4, 1e-2, log=True),
        trial.suggest_float("decay", 1e-2, 10.0, log=True),
    )
    return Genome(
        graph=graph,
        weights=weights,
        optimizers=dict.fromkeys(problem.outputs, setting),
        batch_size=BATCH,
    )


def known(pair, components):
    """Whether both ends of a place are there."""
    return pair[0] in components and pair[1] in components


def mended(edges, names, problem):
    """Connections of a valid VALP: what reads nothing reads it all, what is not read is read."""
    edges = list(dict.fromkeys(edges))
    for name in names:
        if not any(receiver == name for _, receiver in edges):
            edges += [(source, name) for source in problem.inputs]
    for output in problem.outputs:
        if not any(receiver == output for _, receiver in edges):
            edges.append((names[-1], output))
    for name in names:
        if not any(provider == name for provider, _ in edges):
            edges += [(name, output) for output in problem.outputs]
    unread = [one for one in problem.inputs if not any(provider == one for provider, _ in edges)]
    return edges + [(source, names[0]) for source in unread]
