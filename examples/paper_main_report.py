"""Tables and figures of the paper's main experiment (docs/experiments/main.md).

usage: python paper_main_report.py [runs] [--folder paper_main_report]

``runs`` is a folder of paper_main.py, or a file that keeps its runs; by default the file with the
published ones. ``--publish`` writes that file, and the page and its figures beside it.
"""

from pathlib import Path

import moocore
import numpy as np
from comparison_report import hypervolume, paired, vargha_delaney
from comparison_runs import write
from paper_figures import draw_combined, draw_counts, draw_differences
from paper_numbers import interval, read_runs, report_command, table, told, verdict

RIVALS = ("random", "guidelines")
TURN = 1 / 3  # of all steps: the paper's step 20 of 60, where the guided search overtakes
FAILED = np.inf


# ---- what the runs found -------------------------------------------------------------------------


def by_arm(runs):
    """By arm and pair the run, with its values as an array (steps + 1, objectives)."""
    found = {}
    for run in runs:
        width = len(run["objectives"])
        rows = [[FAILED] * width if row is None else row for row in run["values"]]
        found.setdefault(run["arm"], {})[run["seed"]] = {**run, "values": np.array(rows)}
    return found


def whole_pairs(found, arms=RIVALS):
    """The pairs that have a run of each of these arms."""
    seeds = [set(found.get(arm, {})) for arm in arms]
    return sorted(set.intersection(*seeds))


def shares(structures):
    """How many points of the front of all structures each arm has.

    Args:
        structures: By arm an array (structures, objectives).
    """
    points = np.concatenate(list(structures.values()))
    owners = np.repeat(list(structures), [len(some) for some in structures.values()])
    known = np.isfinite(points).all(axis=1)
    points, owners = points[known], owners[known]
    if not len(points):
        return dict.fromkeys(structures, 0)
    kept = moocore.is_nondominated(points, keep_weakly=True)
    return {arm: int((kept & (owners == arm)).sum()) for arm in structures}


def front_counts(found, pairs):
    """Points of each arm in the front of the runs of these pairs, by step.

    The shared start counts for nobody.
    """
    steps = min(len(found[arm][seed]["values"]) for arm in RIVALS for seed in pairs) - 1
    counts = {arm: [] for arm in RIVALS}
    for step in range(1, steps + 1):
        structures = {
            arm: np.concatenate([found[arm][seed]["values"][1 : step + 1] for seed in pairs])
            for arm in RIVALS
        }
        for arm, count in shares(structures).items():
            counts[arm].append(count)
    return {arm: np.array(some) for arm, some in counts.items()}


def reference_of(found):
    """The corner of the hypervolumes: 1.2 times the median start of the paper's arms."""
    starts = [run["values"][0] for run in found["random"].values()]
    return 1.2 * np.median(starts, axis=0)


def volumes(found, reference):
    """By arm and pair the hypervolume of all structures until each step."""
    grown = {}
    for arm, runs in found.items():
        grown[arm] = {}
        for seed, run in runs.items():
            values = np.where(np.isfinite(run["values"]), run["values"], np.nan)
            ends = range(1, len(values) + 1)
            grown[arm][seed] = np.array([hypervolume(values[:end], reference) for end in ends])
    return grown


# ---- the claims of the paper ---------------------------------------------------------------------


def claims(found, pairs, counts, together, grown):
    """Every claim of VII-D about the two rivals: a number, its interval, and the verdict."""
    steps = len(together["random"])
    turn = max(1, round(steps * TURN))
    gaps = np.array([counts[s]["guidelines"] - counts[s]["random"] for s in pairs])
    ends = [(counts[s]["guidelines"][-1], counts[s]["random"][-1]) for s in pairs]
    finals = [grown["guidelines"][s][-1] - grown["random"][s][-1] for s in pairs]

    def top(some):
        ours, theirs = zip(*some)
        return float(np.percentile(ours, 90) - np.percentile(theirs, 90))

    def share(some, until):
        structures = {
            arm: np.concatenate([found[arm][seed]["values"][1 : until + 1] for seed in some])
            for arm in RIVALS
        }
        numbers = shares(structures)
        return numbers["guidelines"] / max(1, sum(numbers.values())) - 0.5

    early, late = list(gaps[:, :turn].mean(axis=1)), list(gaps[:, turn:].mean(axis=1))
    until = max(1, turn * 17 // 20)
    numbers = {
        f"Fig. 8: until step {turn} random has more points in a pair's front": (
            interval(early, np.mean),
            -1,
        ),
        f"Fig. 8: after step {turn} guided has more points in a pair's front": (
            interval(late, np.mean),
            1,
        ),
        "Fig. 8: the best guided pairs have more points (90th percentile, last step)": (
            interval(ends, top),
            1,
        ),
        f"Fig. 9: at step {until} random has most of the front of all runs": (
            interval(pairs, lambda some: share(some, until)),
            -1,
        ),
        "Fig. 9: at the last step guided has most of the front of all runs": (
            interval(pairs, lambda some: share(some, steps)),
            1,
        ),
        "guided is better in the long term (hypervolume, last step)": (
            interval(finals, np.mean),
            1,
        ),
    }
    return {name: [*bounds, verdict(bounds, sign)] for name, (bounds, sign) in numbers.items()}


def lone_dominator(together):
    """The first step at which one guided VALP is the front of all runs; None where at none."""
    alone = (together["guidelines"] == 1) & (together["random"] == 0)
    return int(np.argmax(alone)) + 1 if alone.any() else None


# ---- arm against arm -----------------------------------------------------------------------------


def against(found, grown, arm, control):
    """Paired numbers of an arm against another: hypervolume and every test score.

    Score: the geometric mean of the ratios, below 1 where the arm is better.
    """
    pairs = whole_pairs(found, (arm, control))
    objectives = found[arm][pairs[0]]["objectives"] if pairs else []
    rows = {}
    for name in objectives:
        ours, theirs = ({s: found[one][s]["test"][name] for s in pairs} for one in (arm, control))
        logs = [np.log(max(ours[s], 1e-9) / max(theirs[s], 1e-9)) for s in pairs]
        ratio = [float(np.exp(bound)) for bound in interval(logs, np.mean)]
        rows[name] = compared(ours, theirs, ratio)
    if pairs:
        ours, theirs = ({s: -grown[one][s][-1] for s in pairs} for one in (arm, control))
        rows["hypervolume"] = compared(
            ours, theirs, interval([theirs[s] - ours[s] for s in pairs], np.mean)
        )
    return rows


def compared(ours, theirs, effect):
    """Wins, losses and their p, the probability of being better, and the effect."""
    wins, losses, p = paired(ours, theirs)
    better = vargha_delaney(list(ours.values()), list(theirs.values()))
    return {"wins": wins, "losses": losses, "p": p, "a12": better, "effect": effect}


def analyse(runs):
    """All numbers of the tables."""
    found = by_arm(runs)
    pairs = whole_pairs(found)
    if not pairs:
        return None
    grown = volumes(found, reference_of(found))
    counts = {seed: front_counts(found, [seed]) for seed in pairs}
    together = front_counts(found, pairs)
    medians = {}
    for arm, some in found.items():
        tests = [[run["test"][name] for name in run["objectives"]] for run in some.values()]
        about = {
            "runs": len(some),
            "test": np.median(tests, axis=0),
            "hypervolume": np.median([grown[arm][seed][-1] for seed in some]),
            "weights": np.median([run["weights"][1] for run in some.values()]),
            "accepted": np.median([len(run["accepted"]) - 1 for run in some.values()]),
            "seconds": np.median([run["seconds"] for run in some.values()]),
        }
        medians[arm] = about
    differences = {}
    for arm in found:
        shared = whole_pairs(found, (arm, "random"))
        if arm != "random" and shared:
            gaps = np.array([grown[arm][s] - grown["random"][s] for s in shared])
            differences[arm] = np.array([interval(list(column), np.mean) for column in gaps.T])
    comparisons = [(arm, "random") for arm in found if arm != "random"]
    comparisons += [("guidelines", other) for other in ("gentle", "retrain") if other in found]
    comparisons += [("today", other) for other in ("guidelines", "retrain") if "today" in found]
    return {
        "objectives": runs[0]["objectives"],
        "pairs": len(pairs),
        "counts": {arm: np.array([counts[s][arm] for s in pairs]) for arm in RIVALS},
        "together": together,
        "lone dominator": lone_dominator(together),
        "claims": claims(found, pairs, counts, together, grown),
        "arms": medians,
        "differences": differences,
        "against": {pair: against(found, grown, *pair) for pair in comparisons},
        "seconds": sum(run["seconds"] for run in runs),
    }


# ---- tables --------------------------------------------------------------------------------------


def tables(analysis):
    """The tables in Markdown, by name."""
    objectives = analysis["objectives"]
    claimed = [
        [name, told(bounds), answer] for name, (*bounds, answer) in analysis["claims"].items()
    ]
    arms = [
        [arm, one["runs"], *(f"{value:.4g}" for value in one["test"]), *used(one)]
        for arm, one in analysis["arms"].items()
    ]
    names = [*objectives, "hypervolume"]
    effects = [
        [f"{arm} against {other}", *(effect(rows.get(name)) for name in names)]
        for (arm, other), rows in analysis["against"].items()
    ]
    evolution = []
    for arm, rows in analysis["differences"].items():
        steps = sorted({*range(0, len(rows), max(1, (len(rows) - 1) // 6)), len(rows) - 1})
        evolution.append([f"{arm} - random", *(told(rows[step], 3) for step in steps)])
    found = {
        "claims": table(["claim", "difference", "verdict"], claimed),
        "arms": table(
            ["arm", "runs", *objectives, "hypervolume", "accepted", "weights", "CPU seconds"], arms
        ),
        "against": table(["arms", *names], effects),
    }
    if evolution:
        head = ["hypervolume", *(f"step {step}" for step in steps)]
        found["evolution"] = table(head, evolution)
    return found


def used(one):
    """What an arm ends with beside its scores, and what it took."""
    accepted, weights, seconds = (one[name] for name in ("accepted", "weights", "seconds"))
    return [f"{one['hypervolume']:.3f}", f"{accepted:.0f}", f"{weights:,.0f}", f"{seconds:.0f}"]


def effect(row):
    """An effect with its interval, the pairs won and lost, and A12."""
    if row is None:
        return ""
    return f"{told(row['effect'])}, {row['wins']}:{row['losses']}, A12 {row['a12']:.2f}"


def report_on(source, folder):
    """Write main.md and the figures of the finished runs; gives the text and the tables."""
    settings, runs = read_runs(source)
    analysis = analyse(runs)
    if analysis is None:
        return "no pair is finished", {}
    made, folder = tables(analysis), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    lone = analysis["lone dominator"]
    alone = "at no step" if lone is None else f"first at step {lone}"
    counts = f"{analysis['pairs']} pairs, {analysis['seconds']:,.0f} CPU seconds; {settings}"
    parts = [counts, *(f"{name}:\n\n{text}" for name, text in made.items())]
    text = "\n\n".join([*parts, f"One guided VALP is the whole front of all runs: {alone}."]) + "\n"
    write(folder / "main.md", text)
    draw_counts(analysis["counts"], folder)
    draw_combined(analysis["together"], folder)
    draw_differences(analysis["differences"], folder)
    return f"{text}\nTables and figures are in {folder.resolve()}", made


if __name__ == "__main__":
    report_command(__doc__.splitlines()[0], report_on, "main")
