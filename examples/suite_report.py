"""The table of what suite.py left in a folder (docs/suite.md).

usage: python suite_report.py [folder]
"""

import json
import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from comparison_report import hypervolume, markdown
from comparison_runs import write
from scipy.stats import spearmanr, wilcoxon
from suite_problems import GROUPS
from suite_rivals import RIVALS, TUNED

MODELS = ("linear", "mlp", "boosting")
BEST = "best of three"
BASES = ("linear", "hand_made", TUNED, BEST)
SMALLEST = 1e-12  # of a squared error: a planted truth without noise may be met exactly


# ---- what the runs found -------------------------------------------------------------------------


def read_folder(folder):
    """The finished runs by arm, problem and seed."""
    found = defaultdict(dict)
    for path in sorted(Path(folder).glob("*.jsonl")):
        run = json.loads(path.read_text())
        found[run["arm"]][run["problem"], run["seed"]] = run
    return dict(found)


def log_score(run, output):
    """Logarithm of the test score of an output, the mean over the run's draws.

    An error rate counts half an example more: the logarithm of none would outweigh all others.
    """
    more = 0.5 / run["sizes"]["test"] if run["kinds"][output] == "classification" else SMALLEST
    return float(np.mean([math.log(scores[output] + more) for scores in run["test"]]))


def logarithms(found):
    """By arm the logarithm of the score at each (problem, output, seed).

    The best of the three models is an arm too.
    """
    logs = {}
    for arm, runs in found.items():
        logs[arm] = {}
        for (problem, seed), run in runs.items():
            for output in run["test"][0]:
                logs[arm][problem, output, seed] = log_score(run, output)
    if all(model in logs for model in MODELS):
        places = set.intersection(*(set(logs[model]) for model in MODELS))
        logs[BEST] = {place: min(logs[model][place] for model in MODELS) for place in places}
    return logs


def ratio(ours, theirs, problems):
    """Geometric mean over these problems' outputs of our score over theirs, and how many they are.

    Only what both have counts; the seeds of an output are averaged first.
    """
    by_output = defaultdict(list)
    for place in ours.keys() & theirs.keys():
        if place[0] in problems:
            by_output[place[:2]].append(ours[place] - theirs[place])
    if not by_output:
        return None, 0
    return math.exp(np.mean([np.mean(some) for some in by_output.values()])), len(by_output)


def analyse(found):
    """All numbers of the table."""
    logs = logarithms(found)
    problems = sorted(
        {problem for runs in found.values() for problem, _ in runs}, key=list(known()).index
    )
    groups = {name: [one for one in some if one in problems] for name, some in GROUPS.items()}
    groups = {name: some for name, some in groups.items() if some}
    groups["all"] = problems
    return {
        "ratios": {
            arm: {name: against(logs, arm, some) for name, some in groups.items()} for arm in logs
        },
        "outputs": by_output(logs),
        "paired": paired(logs),
        "hypervolumes": hypervolumes(found),
        "promises": promises(found),
        "seconds": {arm: medians(runs, "seconds") for arm, runs in found.items()},
        "examples": {arm: medians(runs, "examples") for arm, runs in found.items()},
        "seeds": {arm: len({seed for _, seed in runs}) for arm, runs in found.items()},
    }


def known():
    """The names of all problems."""
    return [name for group in GROUPS.values() for name in group]


def against(logs, arm, problems):
    """The ratios of an arm to each base, with the number of outputs."""
    return {
        base: ratio(logs[arm], logs[base], problems)
        for base in BASES
        if base in logs and base != arm
    }


def by_output(logs):
    """By problem and output, the geometric mean of each arm's scores over the seeds."""
    table = defaultdict(dict)
    for arm, places in logs.items():
        some = defaultdict(list)
        for (problem, output, _), value in places.items():
            some[f"{problem} {output}"].append(value)
        for name, values in some.items():
            table[name][arm] = math.exp(np.mean(values))
    return dict(sorted(table.items()))


def medians(runs, what):
    """By problem the median over the seeds of what was spent, where it is known."""
    some = defaultdict(list)
    for (problem, _), run in runs.items():
        if run.get(what) is not None:
            some[problem].append(run[what])
    return {problem: float(np.median(values)) for problem, values in some.items()}


# ---- our arms beside the default -----------------------------------------------------------------

OURS = "search"


def paired(logs):
    """By arm, our default against it over the pairs (problem, seed) that both have.

    A pair is won by the lower mean logarithm over the outputs. With the geometric mean of the
    ratios and the p of Wilcoxon's signed ranks, by Holm for as many arms as there are.
    """
    ours, found = means_of(logs.get(OURS, {})), {}
    for arm in logs:
        theirs = means_of(logs[arm])
        gaps = np.array([ours[pair] - theirs[pair] for pair in ours.keys() & theirs.keys()])
        if arm != OURS and len(gaps):
            p = float(wilcoxon(gaps).pvalue) if gaps.any() else 1.0
            wins, losses = int((gaps < 0).sum()), int((gaps > 0).sum())
            ratio = math.exp(gaps.mean())
            found[arm] = {
                "pairs": len(gaps),
                "wins": wins,
                "losses": losses,
                "ratio": ratio,
                "p": p,
            }
    worst = 0.0
    for rank, arm in enumerate(sorted(found, key=lambda arm: found[arm]["p"])):
        worst = max(worst, min(1.0, found[arm]["p"] * (len(found) - rank)))
        found[arm]["holm"] = worst
    return found


def means_of(places):
    """By (problem, seed), the mean over the outputs."""
    some = defaultdict(list)
    for (problem, _, seed), value in places.items():
        some[problem, seed].append(value)
    return {pair: float(np.mean(values)) for pair, values in some.items()}


def hypervolumes(found):
    """By problem and arm, the median over the seeds of what all structures of a run dominate.

    The numbers are those of validation, as shares of the box up to 1.2 times the median of what the
    default's starts have.
    """
    table = defaultdict(dict)
    for problem in {problem for problem, _ in found.get(OURS, {})}:
        runs = [run for (name, _), run in found[OURS].items() if name == problem]
        corner = 1.2 * np.median([run["validation"][0] for run in runs], axis=0)
        for arm, some in found.items():
            volumes = {
                seed: hypervolume(np.array(run["validation"]), corner)
                for (name, seed), run in some.items()
                if name == problem and "validation" in run
            }
            if volumes:
                table[problem][arm] = volumes
    return dict(table)


def promises(found):
    """By arm the rank correlation of promised and achieved falls of the loss, and their number."""
    ranked = {}
    for arm, runs in found.items():
        moves = [move for run in runs.values() for move in run.get("moves", [])]
        known = np.array([move[2:] for move in moves if None not in move[2:]], dtype=float)
        if len(known) > 2:
            ranked[arm] = float(spearmanr(*known.T).statistic), len(known)
    return ranked


# ---- the table -----------------------------------------------------------------------------------


def table(analysis, notes):
    """The analysis as Markdown: ours first."""
    ratios = analysis["ratios"]
    rivals = [name for name in (*RIVALS, BEST) if name in ratios]
    arms = [*(name for name in ratios if name not in rivals), *rivals]
    columns = [
        (group, base) for group in next(iter(ratios.values())) for base in BASES if base in ratios
    ]
    head = ["arm", "seeds", *(f"{group} / {base}" for group, base in columns)]
    lines = [head]
    for arm in arms:
        cells = [cell(*ratios[arm][group].get(base, (None, 0))) for group, base in columns]
        lines.append([arm, str(analysis["seeds"].get(arm, "")), *cells])
    scores = [["output", *arms]]
    for name, row in analysis["outputs"].items():
        scores.append([name, *(number(row.get(arm)) for arm in arms)])
    parts = ["Test scores over another's, geometric mean over outputs (how many):"]
    parts += [markdown(lines), "Test scores, geometric mean over seeds:", markdown(scores)]
    parts += beside(analysis)
    parts += ["CPU seconds of a run, on one thread, median over seeds:"]
    parts += [spent(analysis["seconds"], arms)]
    parts += ["Training examples of a run, median over seeds:", spent(analysis["examples"], arms)]
    parts += ["\n".join(f"- {name}: {reason}" for name, reason in notes.items())]
    return "\n\n".join(parts).rstrip() + "\n"


def spent(by_arm, arms):
    """The table of what the arms spent, by problem."""
    some = [arm for arm in arms if by_arm.get(arm)]
    rows = [["problem", *some]]
    for name in known():
        if any(name in by_arm[arm] for arm in some):
            rows.append([name, *(number(by_arm[arm].get(name)) for arm in some)])
    return markdown(rows)


def beside(analysis):
    """The tables of our default against the other arms."""
    parts = []
    if analysis["paired"]:
        rows = [[f"{OURS} against", "pairs", "wins", "losses", "ratio", "p", "p by Holm"]]
        for arm, one in analysis["paired"].items():
            counts = [str(one[name]) for name in ("pairs", "wins", "losses")]
            rows.append([arm, *counts, *(f"{one[name]:.3g}" for name in ("ratio", "p", "holm"))])
        parts += ["The default against each arm, by mean logarithms of the test scores:"]
        parts += [markdown(rows)]
    if analysis["hypervolumes"]:
        arms = list(dict.fromkeys(arm for row in analysis["hypervolumes"].values() for arm in row))
        rows = [["problem", *arms]]
        for problem, row in analysis["hypervolumes"].items():
            medians = [
                number(np.median(list(row[arm].values())) if arm in row else None) for arm in arms
            ]
            rows.append([problem, *medians])
        parts += ["Hypervolume of all structures of a run, median over seeds:", markdown(rows)]
    for arm, (correlation, count) in analysis["promises"].items():
        parts += [f"{arm}: rank correlation of promise and fall {correlation:.2f} ({count} moves)."]
    return parts


def cell(value, outputs):
    """A ratio with the number of outputs behind it."""
    return "" if value is None else f"{value:.3f} ({outputs})"


def number(value):
    """A number, where there is one."""
    return "" if value is None else f"{value:.3g}"


def report_on(folder, notes=None):
    """Write table.md and table.json of a folder's finished runs; gives the table."""
    folder, found = Path(folder), read_folder(folder)
    if not found:
        return "no run is finished"
    analysis = analyse(found)
    text = table(analysis, notes or {})
    write(folder / "table.md", text)
    write(folder / "table.json", json.dumps({**analysis, "notes": notes or {}}, indent=1))
    return f"{text}\nThe table is in {folder.resolve()}"


if __name__ == "__main__":
    print(report_on(*(sys.argv[1:2] or ["suite"])))
