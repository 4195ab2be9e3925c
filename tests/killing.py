"""Searches that kill themselves with SIGKILL and go on in another process: for test_checkpoint.

    python killing.py FOLDER SEED SEARCH...

prints for each search, as JSON: what it left in the end (a digest), how often it was killed, and
how many evaluations were finished in all. A point is a line of the code that searches, saves and
trains, drawn at random.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from pathlib import Path

import torch
import zoo
from deap import algorithms, base, tools
from digests import digest, random_state

import deap_valp as valp

PACKAGE = Path(valp.__file__).parent
MODULES = (
    "atomic.py",
    "genome/files.py",
    "evaluation/session.py",
    "search/*.py",
    "selection/select.py",
)
FOUND = {module: [str(path) for path in PACKAGE.glob(module)] for module in MODULES}
assert all(FOUND.values()), f"killing.py names modules that are not there: {FOUND}"
KILLED_IN = {__file__}.union(*FOUND.values())


def evaluate(individual, log):
    """Evaluate, and write down that it is finished."""
    evaluation = valp.evaluate(individual, zoo.mixed_problem(), batches=3, first_batches=3)
    with open(log, "a") as stream:
        stream.write(f"{individual.seed} {evaluation.sessions}\n")
    return evaluation


def make_toolbox(folder, policy="guidelines"):
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, zoo.mixed_problem(), networks=(3, 4))
    toolbox.register("population", tools.initRepeat, list, toolbox.individual)
    toolbox.register("evaluate", evaluate, log=f"{folder}/evaluations.log")
    toolbox.register("selMutation", valp.selMutation, policy=policy)
    toolbox.register("mutate", valp.mutGuided, select=toolbox.selMutation)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    if isinstance(policy, valp.Bandit):
        toolbox.register("feedback", policy.feedback)
    return toolbox


def hill_climbing(folder, checkpoint, options):
    toolbox = make_toolbox(folder)
    start = toolbox.individual()
    return valp.hillClimbing(
        start, toolbox, nsteps=6, progress=False, checkpoint=checkpoint, **options
    )


def guided(folder, checkpoint, options):
    bandit, history = valp.Bandit(), tools.History()
    toolbox = make_toolbox(folder, bandit)
    toolbox.decorate("mutate", history.decorator)
    toolbox.decorate("mate", history.decorator)
    population = toolbox.population(3)
    history.update(population)
    if checkpoint is not None:
        checkpoint.also.append(history)
    result = valp.eaGuided(
        population, toolbox, 3, 3, 0.4, 0.6, ngen=3, verbose=False, checkpoint=checkpoint, **options
    )
    return *result, bandit.rewards, history.genealogy_tree


def aging(folder, checkpoint, options):
    toolbox = make_toolbox(folder, "adaptive")
    options = {"lambda_": 2, "verbose": False, "checkpoint": checkpoint, **options}
    return valp.eaAging(toolbox.population(3), toolbox, ngen=5, **options)


def steady(folder, checkpoint, options, workers=1):
    toolbox = make_toolbox(folder)
    options = {"workers": workers, "verbose": False, "checkpoint": checkpoint, **options}
    return valp.eaSteadyState(toolbox.population(3), toolbox, nevals=6, **options)


def steady_of_two(folder, checkpoint, options):
    return steady(folder, checkpoint, options, workers=2)


def own_loop(folder, checkpoint, options):
    """DEAP's loop, written out, with a checkpoint."""
    toolbox = make_toolbox(folder)
    state = {
        "population": toolbox.population(3),
        "generation": 0,
        "halloffame": options["halloffame"],
        "logbook": tools.Logbook(),
    }
    if checkpoint is not None:
        toolbox.register("map", checkpoint.map, map)
        state = checkpoint.load(**state)
    population, halloffame, logbook = state["population"], state["halloffame"], state["logbook"]
    options["halloffame"] = halloffame
    for generation in range(state["generation"], 4):
        offspring = algorithms.varOr(population, toolbox, 3, 0.3, 0.7) if generation else population
        invalid = [individual for individual in offspring if not individual.fitness.valid]
        for individual, values in zip(invalid, toolbox.map(toolbox.evaluate, invalid), strict=True):
            individual.fitness.values = values
        halloffame.update(offspring)
        if generation:
            population = toolbox.select(population + offspring, 3)
        logbook.record(gen=generation, nevals=len(invalid), **options["stats"].compile(population))
        if checkpoint is not None:
            checkpoint.save(
                population=population,
                generation=generation + 1,
                halloffame=halloffame,
                logbook=logbook,
            )
    return population, logbook


SEARCHES = {f.__name__: f for f in (hill_climbing, guided, aging, steady, steady_of_two, own_loop)}


def outcome(search, folder, checkpoint=None) -> str:
    """Digest of all that a search leaves."""
    options = {
        "stats": valp.statistics(zoo.mixed_problem()),
        "halloffame": tools.ParetoFront(),
        "archive": [],
    }
    left = SEARCHES[search](folder, checkpoint, options)
    return digest(list(left), options["halloffame"], options["archive"], random_state())


# ---- killing -------------------------------------------------------------------------------------


class Countdown:
    """Counts the lines that run, and kills the process at one of them."""

    def __init__(self, last: float) -> None:
        self.last, self.lines = last, 0

    def __call__(self, frame, event, argument):
        return self.line if frame.f_code.co_filename in KILLED_IN else None

    def line(self, frame, event, argument):
        self.lines += event == "line"
        if self.lines > self.last:
            os.kill(os.getpid(), signal.SIGKILL)
        return self.line


def attempt(search, folder, seed, last=float("inf"), every=1) -> bool:
    """Run, or go on with, a search in a process of its own; whether it came to its end."""
    child = os.fork()
    if child:
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status not in (0, -signal.SIGKILL):
            sys.exit(f"{search} failed: see above")
        return status == 0
    try:
        random.seed(seed)
        countdown = Countdown(last)
        sys.settrace(countdown)
        left = outcome(search, folder, valp.Checkpoint(Path(folder, "run.checkpoint"), every=every))
        sys.settrace(None)
        Path(folder, "left.json").write_text(json.dumps({"digest": left, "lines": countdown.lines}))
        os._exit(0)
    except BaseException:
        sys.excepthook(*sys.exc_info())
        os._exit(1)


def killed(search, folder, seed) -> dict:
    """Kill a search again and again until it has come to its end."""
    dice = random.Random(f"{search} {seed}")
    folder.mkdir()
    kills = 0
    while True:
        begun = Path(folder, "run.checkpoint").exists()  # from then on, what was seeded is in it
        if attempt(
            search, folder, 100 + kills if begun else 1, dice.randint(1, 5000), 1 + seed % 2
        ):
            break
        kills += 1
    left = json.loads(Path(folder, "left.json").read_text())
    return {"kills": kills, "evaluations": finished(folder), **left}


def finished(folder) -> int:
    """How many evaluations were finished in all."""
    return Path(folder, "evaluations.log").read_text().count("\n")


def main() -> None:
    folder, seed, *searches = sys.argv[1:]
    torch.set_num_threads(1)  # threads do not survive a fork
    random.seed(0)
    # The forks inherit what the first evaluation of a process costs.
    evaluate(zoo.random_valp(zoo.mixed_problem()), log=os.devnull)
    for search in searches:
        found = killed(search, Path(folder, f"{search}-{seed}"), int(seed))
        print(json.dumps({"search": search, **found}), flush=True)


if __name__ == "__main__":
    main()
