"""Train what the policy ``learned`` predicts by, and judge it on problems that it has not seen.

usage: python learn_policy.py [--problems wine digits] [--seeds 4] [--judge] [--folder learned]

Short searches by other policies leave records: what was known of a move, and what came of it. The
weights that are fitted to them are written into the folder as learned.json. With ``--judge`` each
problem is then searched with weights fitted to the other problems alone. Finished runs stay in the
folder: called again, the script goes on from them. ``DEAP_VALP_SMALL=1`` shows that all of it runs.
"""

import argparse
import json
import os
import random
import sys
from dataclasses import dataclass, field
from pathlib import Path
from time import process_time

import numpy as np
import torch
from comparison_report import markdown
from comparison_runs import named, open_folder, path_of, run_all, write
from suite import toolbox_of
from suite_arms import Arm
from suite_problems import PROBLEMS, problem_of
from suite_report import OURS, logarithms, paired, read_folder

import deap_valp as valp
from deap_valp.selection import POLICIES, Beliefs, Noted, gain_of

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
TEACHERS = ("growth", "gentle", "random")
LEARNER = "learned"
PLANTED = ("planted_small", "product_small", "planted_wide")
DEFAULT = [*PLANTED, "wine", "breast_cancer", "diabetes", "digits"]


@dataclass(frozen=True)
class Settings:
    """What all runs of a folder share."""

    steps: int = 12
    small: bool = False
    training: dict = field(default_factory=dict)  # of evaluate


SMALLEST = Settings(4, True, {"batches": 5, "first_batches": 15})


# ---- a run ---------------------------------------------------------------------------------------


def run_one(settings, problem_name, arm, seed, folder):
    """One search by a teacher or by what was learned elsewhere, into its file."""
    torch.set_num_threads(1)
    problem = problem_of(problem_name, seed, settings.small)
    np.random.seed(seed)
    torch.manual_seed(seed)
    policy, records = policy_of(arm, problem_name, folder), []
    toolbox = toolbox_of(problem, Arm(training=settings.training, selection={"policy": policy}))

    def feedback(candidate):
        """Keep the features of the move and its gain, and let the learner know."""
        decision = candidate.decision
        if decision is not None and decision.move.features:
            records.append([dict(decision.move.features), gain_of(decision, candidate.evaluation)])
        if arm == LEARNER:
            policy.feedback(candidate)

    toolbox.register("feedback", feedback)
    label = f"{problem_name} {seed}"
    random.seed(f"start {label}")  # the same start for every arm
    start = toolbox.individual()
    random.seed(f"{arm} {label}")
    began = process_time()
    best, logbook = valp.hillClimbing(start, toolbox, nsteps=settings.steps, progress=False)
    found = {
        "problem": problem_name,
        "arm": arm,
        "seed": seed,
        "kinds": {name: kind.kind for name, kind in problem.outputs.items()},
        "sizes": {name: problem.split(name).size for name in ("train", "validation", "test")},
        "seconds": process_time() - began,
        "accepted": sum(record["accepted"] for record in logbook[1:]),
        "weights": best.weight_count,
        "test": [valp.score(best, problem)],
        "records": records,
    }
    write(path_of(folder, problem_name, arm, seed), json.dumps(found) + "\n")


def policy_of(arm, problem_name, folder):
    """A teacher whose moves get features, or a learner that has not seen the problem."""
    if arm in TEACHERS:
        return Noted(POLICIES[arm]())
    return valp.Learned(Beliefs.load(without(folder, problem_name)))


# ---- what is learned -----------------------------------------------------------------------------


def without(folder, problem_name):
    """The file of what the other problems teach."""
    return Path(folder, f"without_{problem_name}.json")


def learn(folder, left_out=None):
    """Fit weights to the teachers' records of all problems but one, and say to how many."""
    records = []
    for path in sorted(Path(folder).glob("*.jsonl")):
        run = json.loads(path.read_text())
        if run["problem"] != left_out and run["arm"] in TEACHERS:
            records += run["records"]
    return Beliefs.fitted(records), len(records)


def judged(folder):
    """The tables of the learner against every teacher, over all pairs and problem by problem."""
    logs = logarithms(read_folder(folder))
    ours, teachers = logs[LEARNER], {arm: logs[arm] for arm in TEACHERS}
    rows = [[f"{LEARNER} against", "pairs", "wins", "losses", "ratio", "p by Holm"]]
    for arm, one in paired({OURS: ours, **teachers}).items():
        counts = [str(one[name]) for name in ("pairs", "wins", "losses")]
        rows.append([arm, *counts, f"{one['ratio']:.2f}", f"{one['holm']:.2g}"])
    shown = [["problem", "seeds", *(f"{LEARNER} / {arm}" for arm in TEACHERS)]]
    for problem in dict.fromkeys(place[0] for place in ours):
        places = [place for place in ours if place[0] == problem]
        cells = [str(len({seed for _, _, seed in places}))]
        for theirs in teachers.values():
            gaps = [ours[place] - theirs[place] for place in places if place in theirs]
            cells.append(f"{np.exp(np.mean(gaps)):.2f}")
        shown.append([problem, *cells])
    return f"{markdown(rows)}\n\n{markdown(shown)}"


# ---- the command ---------------------------------------------------------------------------------


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    problems = ["planted_small", "wine"] if SMALL else DEFAULT
    parser.add_argument("--problems", nargs="+", choices=list(PROBLEMS), default=problems)
    parser.add_argument("--seeds", type=int, default=1 if SMALL else 4, help="from 1 on")
    parser.add_argument("--judge", action="store_true", default=SMALL)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("learned"))
    arguments = parser.parse_args(argv)
    settings, folder = SMALLEST if SMALL else Settings(), arguments.folder
    open_folder(folder, settings)
    os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1")

    def runs(arms):
        seeds = range(1, arguments.seeds + 1)
        some = [(name, arm, seed) for seed in seeds for name in arguments.problems for arm in arms]
        return run_all(run_one, settings, some, folder, arguments.workers)

    failed = runs(TEACHERS)
    beliefs, count = learn(folder)
    beliefs.save(folder / "learned.json")
    print(f"{len(beliefs.names)} weights, fitted to {count} moves: {folder / 'learned.json'}")
    if arguments.judge:
        for name in arguments.problems:
            learn(folder, name)[0].save(without(folder, name))
        failed |= runs([LEARNER])
        print(judged(folder))
    for run, reason in failed.items():
        print(f"{named(run)} failed: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
