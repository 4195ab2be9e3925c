"""Guided VALP searches beside classic neuroevolution: one harness, equal budgets, paired seeds (docs/comparison.md).

usage: python compare_with_classic_neuroevolution.py [--problem digits] [--seeds 5] [--workers 2] [--folder comparison]

On digits all arms and five seeds take less than ten minutes on two cores. Finished runs stay in the folder: called
again, the script goes on from them. comparison_report.py makes the table and the figures of what is in the folder.
"""

import argparse
import json
import math
import os
import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor, as_completed
from configparser import ConfigParser
from contextlib import suppress
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from functools import partial
from importlib.util import find_spec
from itertools import count
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from comparison_report import report_on, write
from deap import algorithms, base, cma, creator, tools
from torch.nn.utils import parameters_to_vector, vector_to_parameters

import deap_valp as valp
from deap_valp.init import initial_weights
from deap_valp.model import Latents
from deap_valp.training import sub_losses

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
FOR_EVER = sys.maxsize - 1

creator.create("ComparedFitness", valp.Fitness, weights=(-1.0, -1.0, -1.0))
creator.create("Compared", valp.VALP, fitness=creator.ComparedFitness)
creator.create("OneLoss", base.Fitness, weights=(-1.0,))
creator.create("Vector", np.ndarray, fitness=creator.OneLoss)


@dataclass(frozen=True)
class Settings:
    """What all runs of a folder share; ``examples`` and ``seconds`` are the budget of a run, None is no limit."""

    problem: str
    examples: int | None = 2_000_000
    seconds: float | None = None
    cap: float = 60.0  # seconds of an arm that only computes losses, where the examples last longer
    first_batches: int = 600
    batches: int = 150
    population: int = 6
    minibatch: int = 200


LARGE = {"examples": 8_000_000, "cap": 600.0, "first_batches": 3000, "batches": 600}
DEFAULTS = {"digits": {}, "mnist": LARGE, "fashion_mnist": LARGE}
SMALLEST = {"examples": 20_000, "cap": 5.0, "first_batches": 20, "batches": 5, "population": 3, "minibatch": 50}


# ---- one run under its budget ----------------------------------------------------------------------------------------


class BudgetSpent(Exception):
    """The next evaluation would pass the budget."""


class Run:
    """Counts what the evaluations of a search see, writes each of them down, and keeps their front."""

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
        """Write down an evaluation by its validation scores; ``test()``, the same on test, is kept for the front."""
        line = {"examples": self.examples, "seconds": round(perf_counter() - self.began, 3), "values": values}
        print(json.dumps(line), file=self.file, flush=True)
        if values and not any(dominates(other, values) for other, _, _ in self.front):
            self.front = [member for member in self.front if not dominates(values, member[0])]
            self.front.append((values, weights, test))

    def finish(self):
        """The last line: the front by validation, scored on test."""
        front = [{"validation": values, "test": test(), "weights": n} for values, n, test in self.front]
        last = {"objectives": self.problem.objectives, "start": self.start, "spent": self.spent, "front": front}
        print(json.dumps({**last, "cannot": self.cannot}), file=self.file)

    # -- evaluations by training

    def evaluate(self, individual):
        """``valp.evaluate``, counted."""
        inherits = individual.trained or (individual.evaluation is not None and individual.evaluation.ok)
        batches = self.settings.batches if inherits else self.settings.first_batches
        self.charge(batches * min(individual.batch_size, self.data.size))
        evaluation = valp.evaluate(individual, self.problem, self.settings.batches, self.settings.first_batches)
        found = deepcopy(individual)
        found.fitness.values = evaluation
        values = dict(zip(evaluation.objectives, evaluation)) if evaluation.ok else {}
        self.start = self.start or values
        self.note(values, individual.weight_count, partial(valp.score, found, self.problem))
        return evaluation

    def evaluate_from_scratch(self, individual):
        """The same without what its parents learned."""
        if individual.trained:
            individual = deepcopy(individual)
            individual.weights, individual.trained = dict(initial_weights(individual.graph)), False
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
        """Of an output: the head of the constant predictor, and the spread of its target around that."""
        target = self.data.targets[name]
        spread = target.std(0) if target.is_floating_point() else torch.ones(self.problem.outputs[name].port.width)
        return self.problem.outputs[name].constant_head(), spread


def dominates(ours, theirs):
    """Whether these values are nowhere higher, and not the same."""
    return ours != theirs and all(ours[name] <= theirs[name] for name in ours)


# ---- the arms: what searches, on the run's toolbox -------------------------------------------------------------------


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
    algorithms.eaMuPlusLambda(starts, toolbox, mu, mu, cxpb=0.3, mutpb=0.7, ngen=FOR_EVER, verbose=False)


def population(run, toolbox, starts):
    """NSGA-II that sees its population: adaptive operators, donation, inherited weights."""
    toolbox.register("selMutation", valp.selMutation, policy="adaptive")
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    valp.eaGuided(starts, toolbox, len(starts), len(starts), cxpb=0.3, mutpb=0.7, ngen=FOR_EVER, verbose=False)


class Separable(cma.Strategy):
    """DEAP's CMA-ES with a diagonal covariance, since the full one takes half a second a step from 1,400 weights on.

    References:
        Ros & Hansen 2008, A Simple Modification in CMA-ES Achieving Linear Time and Space Complexity.
    """

    def __init__(self, centroid, sigma):
        self.centroid, self.dim, self.sigma, self.update_count = np.array(centroid), len(centroid), sigma, 0
        self.pc, self.ps, self.C = np.zeros(self.dim), np.zeros(self.dim), np.ones(self.dim)
        self.chiN = math.sqrt(self.dim) * (1 - 1 / (4 * self.dim) + 1 / (21 * self.dim**2))
        self.lambda_ = int(4 + 3 * math.log(self.dim))
        self.computeParams({})
        self.ccov1 *= (self.dim + 2) / 3
        self.ccovmu = min(1 - self.ccov1, self.ccovmu * (self.dim + 2) / 3)

    def generate(self, ind_init):
        steps = np.random.standard_normal((self.lambda_, self.dim)) * np.sqrt(self.C)
        return [ind_init(row) for row in self.centroid + self.sigma * steps]

    def update(self, population):
        population.sort(key=lambda individual: individual.fitness, reverse=True)
        steps = (np.array(population[: self.mu]) - self.centroid) / self.sigma
        step = self.weights @ steps
        self.centroid = self.centroid + self.sigma * step
        self.update_count += 1
        self.ps = (1 - self.cs) * self.ps + math.sqrt(self.cs * (2 - self.cs) * self.mueff) * step / np.sqrt(self.C)
        length = np.linalg.norm(self.ps) / self.chiN
        early = math.sqrt(1 - (1 - self.cs) ** (2 * self.update_count))
        moves = float(length / early < 1.4 + 2 / (self.dim + 1))
        self.pc = (1 - self.cc) * self.pc + moves * math.sqrt(self.cc * (2 - self.cc) * self.mueff) * step
        kept = 1 - self.ccov1 - self.ccovmu + (1 - moves) * self.ccov1 * self.cc * (2 - self.cc)
        self.C = kept * self.C + self.ccov1 * self.pc**2 + self.ccovmu * (self.weights @ steps**2)
        self.sigma *= math.exp((length - 1) * self.cs / self.damps)


def cma_es(run, toolbox, starts):
    """Fixed topology, evolved weights: all weights of a narrow VALP by CMA-ES on the sum of its normalised losses."""
    narrow = {"networks": (2, 2), "layers": (1, 1), "width": (8, 8), "latent": (4, 4), "activations": ("tanh",)}
    individual = valp.initVALP(creator.Compared, run.problem, **narrow)
    scales = {key: torch.ones(shape) for key, shape in individual.shapes().items()}
    for name in individual.outputs:
        individual.weights[f"{name}.bias"], spread = run.head_start(name)
        for key in [f"{provider}->{name}" for provider in individual.providers(name)]:
            scales[key] *= spread[:, None]
            individual.weights[key] = individual.weights[key] * spread[:, None]
        scales[f"{name}.bias"] *= spread
    model = valp.decode(individual)
    losses, parameters = sub_losses(model, run.problem), list(model.parameters())
    centre, scale = parameters_to_vector(parameters).detach(), parameters_to_vector(scales.values())
    strategy = Separable(np.zeros(len(centre)), sigma=0.05)
    batch, noise = slice(0), {}

    def place(vector):
        vector_to_parameters(centre + scale * torch.from_numpy(np.array(vector, dtype=np.float32)), parameters)

    def generate():
        nonlocal batch, noise
        if run.due():
            report()
        batch, noise = run.minibatch(), model.draw_noise(run.settings.minibatch)
        return strategy.generate(creator.Vector)

    @torch.no_grad()
    def evaluate(vector):
        run.charge(run.settings.minibatch)
        place(vector)
        latents = Latents("train", noise)
        results = model.run({name: rows[batch] for name, rows in run.data.inputs.items()}, latents)
        targets = {name: rows[batch] for name, rows in run.data.targets.items()}
        return (losses(results, targets, latents).sum().item(),)

    def report():
        place(strategy.centroid)
        found = deepcopy(individual)
        found.weights = model.weights()
        values = valp.score(found, run.problem, "validation")
        run.note(values, found.weight_count, partial(valp.score, found, run.problem))

    run.limit = min(run.limit, run.settings.cap)
    toolbox.register("generate", generate)
    toolbox.register("evaluate", evaluate)
    toolbox.register("update", strategy.update)
    with suppress(BudgetSpent):
        algorithms.eaGenerateUpdate(toolbox, ngen=FOR_EVER, verbose=False)
    report()


def neat(run, toolbox, starts):
    """NEAT by neat-python: one network for all outputs but the images, which such a network cannot draw."""
    import neat as library

    kinds = {name: kind for name, kind in run.problem.outputs.items() if kind.kind != "generation"}
    widths = [kind.port.width for kind in kinds.values()]
    constant, spread = (torch.cat(parts) for parts in zip(*map(run.head_start, kinds)))
    parts = [library.DefaultGenome, library.DefaultReproduction, library.DefaultSpeciesSet, library.DefaultStagnation]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "neat.cfg")
        with path.open("w") as file:
            neat_settings(sum(port.width for port in run.problem.inputs.values()), sum(widths)).write(file)
        config = library.Config(*parts, path)

    def heads(genome, rows):  # as FeedForwardNetwork.activate, for all rows at once; output nodes are linear
        network = library.nn.FeedForwardNetwork.create(genome, config)
        columns = dict(zip(network.input_nodes, torch.cat(list(rows), 1).numpy().T))
        nothing = np.zeros(len(columns[-1]), dtype=np.float32)
        for node, _, _, bias, _, links in network.node_evals:
            pre = sum((np.float32(weight) * columns.get(source, nothing) for source, weight in links), nothing + bias)
            columns[node] = pre if node in network.output_nodes else np.tanh(pre)
        stacked = torch.from_numpy(np.stack([columns.get(node, nothing) for node in network.output_nodes], 1))
        return dict(zip(kinds, (constant + spread * stacked.float()).split(widths, 1)))

    def scores(genome, split="test"):
        found = heads(genome, run.problem.split(split).inputs.values())
        return {name: float(kind.score(kind.port.predict(found[name]), split)) for name, kind in kinds.items()}

    def report(genome):
        run.note(scores(genome, "validation"), sum(genome.size()), partial(scores, genome))

    def evaluate(genomes, config):
        nonlocal best
        batch = run.minibatch()
        for _, genome in genomes:
            run.charge(run.settings.minibatch)
            found = heads(genome, [rows[batch] for rows in run.data.inputs.values()])
            losses = [kind.loss(found[name], run.data.targets[name][batch]) for name, kind in kinds.items()]
            genome.fitness = -sum(run.problem.loss_scale[name] * loss.item() for name, loss in zip(kinds, losses))
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
    """neat-python's, which has no defaults: about six inputs of each output, tanh units, weights and biases evolved."""
    number = {"init_type": "gaussian", "max_value": 30, "min_value": -30}
    still = {**number, "init_mean": 1, "init_stdev": 0, "mutate_rate": 0, "mutate_power": 0, "replace_rate": 0}
    free = {**number, "init_mean": 0, "init_stdev": 0.3, "mutate_rate": 0.8, "mutate_power": 0.2, "replace_rate": 0.02}
    genes = {"weight": free, "bias": free, "response": still, "time_constant": still}
    genome = {f"{gene}_{key}": value for gene, items in genes.items() for key, value in items.items()}
    for key, name in (("activation", "tanh"), ("aggregation", "sum")):
        genome |= {f"{key}_default": name, f"{key}_options": name, f"{key}_mutate_rate": 0}
    genome |= {"num_inputs": inputs, "num_outputs": outputs, "num_hidden": 0, "feed_forward": True}
    genome |= {"initial_connection": f"partial_direct {min(1.0, 6.4 / inputs):.4f}"}
    genome |= {"conn_add_prob": 0.3, "conn_delete_prob": 0.1, "node_add_prob": 0.2, "node_delete_prob": 0.05}
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
            "DefaultStagnation": {"species_fitness_func": "max", "max_stagnation": 15, "species_elitism": 2},
            "DefaultReproduction": {"elitism": 2, "survival_threshold": 0.2, "min_species_size": 1},
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
NOTES = {
    "cma-es": "a fixed VALP of two sub-networks with 8 tanh units each; its weights are all that changes",
    "neat": "one network for label and histogram; it cannot generate images, so a hypervolume is not defined",
}


# ---- the harness -----------------------------------------------------------------------------------------------------


def path_of(folder, arm, seed):
    """The file of a run, which is there when the run is whole."""
    return Path(folder, f"{arm}-{seed}.jsonl")


def run_one(settings, arm, seed, folder):
    """One arm from one seed's starts, into its file."""
    torch.set_num_threads(1)
    problem, toolbox = valp.problems.by_name(settings.problem), base.Toolbox()
    toolbox.register("individual", valp.initVALP, creator.Compared, problem, networks=(3, 6))
    random.seed(f"start {seed}")  # the same starts for every arm
    starts = [toolbox.individual() for _ in range(settings.population)]
    for split in ("validation", "test"):  # what is computed once in a process is not on the clock
        valp.score(starts[0], problem, split)
    random.seed(f"{arm} {seed}")
    np.random.seed(seed)
    torch.manual_seed(seed)
    path = path_of(folder, arm, seed)
    with open(path.with_suffix(".part"), "w") as file:
        run = Run(settings, problem, file)
        toolbox.register("evaluate", run.evaluate)
        with suppress(BudgetSpent):
            ARMS[arm](run, toolbox, starts)
        run.finish()
    os.replace(path.with_suffix(".part"), path)


def run_all(settings, arms, seeds, folder, workers):
    """Run what is not there yet, each run in a process of the pool; the runs that failed, with the reason."""
    missing = [(arm, seed) for seed in seeds for arm in arms if not path_of(folder, arm, seed).exists()]
    failed = {}
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        futures = {pool.submit(run_one, settings, arm, seed, folder): (arm, seed) for arm, seed in missing}
        for done, future in enumerate(as_completed(futures), 1):
            arm, seed = futures[future]
            if error := future.exception():
                failed[arm, seed] = f"{type(error).__name__}: {error}"
            print(f"{done}/{len(missing)} {arm}, seed {seed}: {failed.get((arm, seed), 'done')}", flush=True)
    return failed


def open_folder(folder, settings):
    """Make the folder, or see that its runs are of these settings."""
    folder.mkdir(parents=True, exist_ok=True)
    path, ours = folder / "settings.json", asdict(settings)
    theirs = json.loads(path.read_text()) if path.exists() else ours
    if theirs != ours:
        differ = [
            f"{name} {theirs.get(name)}, asked for {ours[name]}" for name in ours if theirs.get(name) != ours[name]
        ]
        sys.exit(f"{folder} holds runs of other settings ({'; '.join(differ)}): give another --folder")
    write(path, json.dumps(ours, indent=1))


def parsed(argv):
    """Command line: what to run where, and the settings of every run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problem", choices=DEFAULTS, default="digits")
    parser.add_argument("--seeds", type=int, default=2 if SMALL else 5, help="how many, from 1 on")
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=list(ARMS), metavar="ARM", help=", ".join(ARMS))
    parser.add_argument("--examples-budget", type=int, help="training examples that a run may see")
    parser.add_argument("--seconds", type=float, help="wall seconds of a run; without --examples-budget, instead of it")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("comparison"))
    arguments = parser.parse_args(argv)
    settings = replace(Settings(arguments.problem), **(SMALLEST if SMALL else DEFAULTS[arguments.problem]))
    if arguments.examples_budget is not None or arguments.seconds is not None:
        settings = replace(settings, examples=arguments.examples_budget, seconds=arguments.seconds)
    return arguments, settings


def main(argv=None):
    arguments, settings = parsed(argv)
    notes = {arm: about for arm, about in NOTES.items() if arm in arguments.arms}
    if "neat" in arguments.arms and find_spec("neat") is None:
        notes["neat"] = "skipped, since neat-python is not installed: pip install '.[neat]'"
    arms = [arm for arm in arguments.arms if not notes.get(arm, "").startswith("skipped")]
    open_folder(arguments.folder, settings)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")  # of the processes to come, which share the cores
    failed = run_all(settings, arms, range(1, arguments.seeds + 1), arguments.folder, arguments.workers)
    notes |= {f"{arm}, seed {seed}, failed": reason for (arm, seed), reason in failed.items()}
    print(report_on(arguments.folder, list(ARMS), notes))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
