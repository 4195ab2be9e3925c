"""The searches that compare_with_classic_neuroevolution.py runs, and the budget of each."""

import json
import math
import random
import sys
import tempfile
from configparser import ConfigParser
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from functools import partial
from itertools import count
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from deap import algorithms, creator, tools
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import deap_valp as valp
from deap_valp.genome import initial_weights
from deap_valp.training import sub_losses
from deap_valp.training.model import Latents

FOR_EVER = sys.maxsize - 1

creator.create("ComparedFitness", valp.Fitness, weights=(-1.0, -1.0, -1.0))
creator.create("Compared", valp.VALP, fitness=creator.ComparedFitness)


# ---- one run under its budget --------------------------------------------------------------------


class BudgetSpent(Exception):
    """The next evaluation would pass the budget."""


class Run:
    """Counts and records what the evaluations of a search see, and keeps their front."""

    def __init__(self, settings, problem, file):
        self.settings, self.problem, self.file = settings, problem, file
        self.data = problem.split("train")
        self.limit = math.inf if settings.seconds is None else settings.seconds
        self.examples, self.reported, self.spent, self.front, self.start = 0, 0.0, "", [], None
        self.cannot = {}
        self.began = perf_counter()

    @property
    def progress(self):
        """Share of the budget that is used up."""
        examples = 0.0 if self.settings.examples is None else self.examples / self.settings.examples
        return max(examples, (perf_counter() - self.began) / self.limit)

    def charge(self, examples):
        """Count examples that are about to be seen."""
        if self.settings.examples is not None and self.examples + examples > self.settings.examples:
            self.spent = "examples"
        elif perf_counter() - self.began >= self.limit:
            self.spent = "seconds"
        if self.spent:
            raise BudgetSpent
        self.examples += examples

    def note(self, values, weights, test):
        """Record an evaluation by its validation scores.

        ``test()`` returns the test scores, which are kept for the front.
        """
        line = {
            "examples": self.examples,
            "seconds": round(perf_counter() - self.began, 3),
            "values": values,
        }
        print(json.dumps(line), file=self.file, flush=True)
        if values and not any(dominates(other, values) for other, _, _ in self.front):
            self.front = [member for member in self.front if not dominates(values, member[0])]
            self.front.append((values, weights, test))

    def finish(self):
        """The last line: the front by validation, scored on test."""
        if not self.front:
            raise RuntimeError("no evaluation came to an end within the budget: give the runs more")
        front = [
            {"validation": values, "test": test(), "weights": n} for values, n, test in self.front
        ]
        last = {
            "objectives": self.problem.objectives,
            "start": self.start,
            "spent": self.spent,
            "front": front,
        }
        print(json.dumps({**last, "cannot": self.cannot}), file=self.file)

    # -- evaluations by training

    def evaluate(self, individual):
        """``valp.evaluate``, counted."""
        batches = self.settings.batches if individual.trained else self.settings.first_batches
        self.charge(batches * min(individual.batch_size, self.data.size))
        evaluation = valp.evaluate(
            individual, self.problem, self.settings.batches, self.settings.first_batches
        )
        found = deepcopy(individual)
        found.fitness.values = evaluation
        values = dict(zip(evaluation.objectives, evaluation)) if evaluation.ok else {}
        self.start = self.start or values
        self.note(values, individual.weight_count, partial(valp.score, found, self.problem))
        return evaluation

    def evaluate_from_scratch(self, individual):
        """The same without what its parents learned."""
        if individual.trained or individual.evaluation is not None:
            individual = deepcopy(individual)
            individual.fitness = creator.ComparedFitness()
            weights = initial_weights(individual.graph)
            individual.genome = replace(individual.genome, weights=weights, trained=False)
        return self.evaluate(individual)

    # -- evaluations by a loss alone

    def minibatch(self):
        """The examples on which one generation is compared."""
        start = random.randrange(self.data.size - self.settings.minibatch + 1)
        return slice(start, start + self.settings.minibatch)

    def due(self):
        """Whether to score: forty times in a run."""
        if self.progress < self.reported:
            return False
        self.reported = self.progress + 1 / 40
        return True

    def head_start(self, name):
        """Return an output's constant prediction, and the spread of its target around that."""
        target = self.data.targets[name]
        spread = (
            target.std(0)
            if target.is_floating_point()
            else torch.ones(self.problem.outputs[name].port.width)
        )
        return self.problem.outputs[name].constant_head(), spread


def dominates(ours, theirs):
    """Whether these values are nowhere higher, and not the same."""
    return ours != theirs and all(ours[name] <= theirs[name] for name in ours)


# ---- the arms: what searches, on the run's toolbox -----------------------------------------------


def climbing(policy, **options):
    """Hill climbing from the first start; ``policy`` chooses the operators."""

    def search(run, toolbox, starts):
        toolbox.register("selMutation", valp.selMutation, policy=policy)
        valp.hillClimbing(starts[0], toolbox, nsteps=FOR_EVER, progress=False, **options)

    return search


def random_search(run, toolbox, starts):
    """Random VALPs, each trained from scratch."""
    for index in count():
        toolbox.evaluate(starts[index] if index < len(starts) else toolbox.individual())


def aging(run, toolbox, starts):
    """Regularized evolution with random operators; children inherit weights."""
    toolbox.register("selMutation", valp.selMutation, policy="random")
    toolbox.register("select", tools.selNSGA2)
    valp.eaAging(starts, toolbox, ngen=FOR_EVER, verbose=False)


def nsga2(run, toolbox, starts):
    """DEAP's NSGA-II with random operators, each candidate from scratch, as EvoFlow does."""
    toolbox.register("evaluate", run.evaluate_from_scratch)
    toolbox.register("mutate", valp.mutRandom)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    mu = len(starts)
    algorithms.eaMuPlusLambda(
        starts, toolbox, mu, mu, cxpb=0.3, mutpb=0.7, ngen=FOR_EVER, verbose=False
    )


def population(run, toolbox, starts):
    """NSGA-II that sees its population: adaptive operators, donation, inherited weights."""
    toolbox.register("selMutation", valp.selMutation, policy="adaptive")
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    valp.eaGuided(
        starts, toolbox, len(starts), len(starts), cxpb=0.3, mutpb=0.7, ngen=FOR_EVER, verbose=False
    )


def cma_es(run, toolbox, starts):
    """Change the weights of a narrow VALP by pycma, for the lowest sum of normalised losses.

    The covariance is diagonal: a step of a full one takes half a second from 1,400 weights on.
    """
    import cma

    narrow = {
        "networks": (2, 2),
        "layers": (1, 1),
        "width": (8, 8),
        "latent": (4, 4),
        "activations": ("tanh",),
    }
    individual = valp.initVALP(creator.Compared, run.problem, **narrow)
    scales = {key: torch.ones(shape) for key, shape in individual.shapes().items()}
    draft = valp.Draft(individual.genome)
    for name in individual.outputs:
        draft.weights[f"{name}.bias"], spread = run.head_start(name)
        for key in [valp.Connection(provider, name) for provider in individual.providers(name)]:
            scales[key] *= spread[:, None]
            draft.weights[key] = draft.weights[key] * spread[:, None]
        scales[f"{name}.bias"] *= spread
    individual.become(draft.genome())
    model = valp.decode(individual)
    losses, parameters = sub_losses(model, run.problem), list(model.parameters())
    centre, scale = parameters_to_vector(parameters).detach(), parameters_to_vector(scales.values())
    options = {"CMA_diagonal": True, "seed": random.getrandbits(31), "verbose": -9}
    strategy = cma.CMAEvolutionStrategy(np.zeros(len(centre)), 0.05, options)
    batch, noise = slice(0), {}

    def place(vector):
        vector_to_parameters(
            centre + scale * torch.from_numpy(np.array(vector, dtype=np.float32)), parameters
        )

    @torch.no_grad()
    def evaluate(vector):
        run.charge(run.settings.minibatch)
        place(vector)
        latents = Latents("train", noise)
        results = model.run({name: rows[batch] for name, rows in run.data.inputs.items()}, latents)
        targets = {name: rows[batch] for name, rows in run.data.targets.items()}
        return losses(results, targets, latents).sum().item()

    def report():
        place(strategy.mean)
        found = deepcopy(individual)
        found.become(replace(found.genome, weights=model.weights()))
        values = valp.score(found, run.problem, "validation")
        run.note(values, found.weight_count, partial(valp.score, found, run.problem))

    run.limit = min(run.limit, run.settings.cap)
    with suppress(BudgetSpent):
        while True:
            if run.due():
                report()
            batch, noise = run.minibatch(), model.draw_noise(run.settings.minibatch)
            vectors = strategy.ask()
            strategy.tell(vectors, [evaluate(vector) for vector in vectors])
    report()


def neat(run, toolbox, starts):
    """NEAT by neat-python: one network for all outputs but the images, which it cannot draw."""
    import neat as library

    kinds = {name: kind for name, kind in run.problem.outputs.items() if kind.kind != "generation"}
    widths = [kind.port.width for kind in kinds.values()]
    constant, spread = (torch.cat(parts) for parts in zip(*map(run.head_start, kinds)))
    parts = [
        library.DefaultGenome,
        library.DefaultReproduction,
        library.DefaultSpeciesSet,
        library.DefaultStagnation,
    ]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "neat.cfg")
        with path.open("w") as file:
            neat_settings(
                sum(port.width for port in run.problem.inputs.values()), sum(widths)
            ).write(file)
        config = library.Config(*parts, path)

    def heads(
        genome, rows
    ):  # as FeedForwardNetwork.activate, for all rows at once; output nodes are linear
        network = library.nn.FeedForwardNetwork.create(genome, config)
        columns = dict(zip(network.input_nodes, torch.cat(list(rows), 1).numpy().T))
        nothing = np.zeros(len(columns[-1]), dtype=np.float32)
        for node, _, _, bias, _, links in network.node_evals:
            pre = sum(
                (np.float32(weight) * columns.get(source, nothing) for source, weight in links),
                nothing + bias,
            )
            columns[node] = pre if node in network.output_nodes else np.tanh(pre)
        stacked = torch.from_numpy(
            np.stack([columns.get(node, nothing) for node in network.output_nodes], 1)
        )
        return dict(zip(kinds, (constant + spread * stacked.float()).split(widths, 1)))

    def scores(genome, split="test"):
        found = heads(genome, run.problem.split(split).inputs.values())
        return {
            name: float(kind.score(kind.port.predict(found[name]), split))
            for name, kind in kinds.items()
        }

    def report(genome):
        run.note(scores(genome, "validation"), sum(genome.size()), partial(scores, genome))

    def evaluate(genomes, config):
        nonlocal best
        batch = run.minibatch()
        for _, genome in genomes:
            run.charge(run.settings.minibatch)
            found = heads(genome, [rows[batch] for rows in run.data.inputs.values()])
            losses = [
                kind.loss(found[name], run.data.targets[name][batch])
                for name, kind in kinds.items()
            ]
            genome.fitness = -sum(
                run.problem.loss_scale[name] * loss.item() for name, loss in zip(kinds, losses)
            )
        best = max((genome for _, genome in genomes), key=lambda genome: genome.fitness)
        if run.due():
            report(best)

    run.limit, best = min(run.limit, run.settings.cap), None
    run.cannot = dict.fromkeys(run.problem.outputs.keys() - kinds.keys(), "cannot generate")
    with suppress(BudgetSpent):
        library.Population(config).run(evaluate)
    if best is not None:
        report(best)


def neat_settings(inputs, outputs):
    """neat-python's, which has no defaults: a tenth of the direct connections, tanh units."""
    number = {"init_type": "gaussian", "max_value": 30, "min_value": -30}
    still = {
        **number,
        "init_mean": 1,
        "init_stdev": 0,
        "mutate_rate": 0,
        "mutate_power": 0,
        "replace_rate": 0,
    }
    free = {
        **number,
        "init_mean": 0,
        "init_stdev": 0.3,
        "mutate_rate": 0.8,
        "mutate_power": 0.2,
        "replace_rate": 0.02,
    }
    genes = {"weight": free, "bias": free, "response": still, "time_constant": still}
    genome = {
        f"{gene}_{key}": value for gene, items in genes.items() for key, value in items.items()
    }
    for key, name in (("activation", "tanh"), ("aggregation", "sum")):
        genome |= {f"{key}_default": name, f"{key}_options": name, f"{key}_mutate_rate": 0}
    genome |= {"num_inputs": inputs, "num_outputs": outputs, "num_hidden": 0, "feed_forward": True}
    genome |= {"initial_connection": "partial_direct 0.1"}
    genome |= {
        "conn_add_prob": 0.3,
        "conn_delete_prob": 0.1,
        "node_add_prob": 0.2,
        "node_delete_prob": 0.05,
    }
    genome |= {"single_structural_mutation": False, "structural_mutation_surer": "default"}
    genome |= {"compatibility_disjoint_coefficient": 1, "compatibility_weight_coefficient": 0.5}
    genome |= {"enabled_default": True, "enabled_mutate_rate": 0.01}
    genome |= {"enabled_rate_to_true_add": 0, "enabled_rate_to_false_add": 0}
    search = {"fitness_criterion": "max", "fitness_threshold": 0, "no_fitness_termination": False}
    parser = ConfigParser()
    parser.read_dict(
        {
            "NEAT": {**search, "pop_size": 50, "reset_on_extinction": True},
            "DefaultGenome": genome,
            "DefaultSpeciesSet": {"compatibility_threshold": 3},
            "DefaultStagnation": {
                "species_fitness_func": "max",
                "max_stagnation": 15,
                "species_elitism": 2,
            },
            "DefaultReproduction": {"elitism": 1, "survival_threshold": 0.2, "min_species_size": 1},
        }
    )
    return parser


ARMS = {
    "retrain": climbing("retrain", accept=lambda candidate, incumbent: True),
    "guidelines": climbing("guidelines"),
    "adaptive": climbing("adaptive"),
    "population": population,
    "gentle": climbing("gentle"),
    "random_climbing": climbing("random"),
    "random_search": random_search,
    "aging": aging,
    "nsga2": nsga2,
    "cma-es": cma_es,
    "neat": neat,
}
NEEDED = {"cma-es": ("cma", "pycma"), "neat": ("neat", "neat-python")}  # module and package
NOTES = {
    "cma-es": "a fixed VALP of two sub-networks with 8 tanh units each; only its weights change",
    "neat": "one network for label and histogram; it draws no images, so it has no hypervolume",
}
