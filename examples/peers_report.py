"""Tables and figure of populations that use their peers (docs/experiments/peers.md).

usage: python peers_report.py [runs] [--folder peers_report]

``runs`` is a folder of peers_in_populations.py, or a file that keeps its runs; by default the file
with the published ones. ``--publish`` writes that file, and the page and its figure beside it.
"""

from collections import defaultdict
from pathlib import Path

import numpy as np
from comparison_runs import write
from paper_figures import save
from paper_numbers import FEWEST, filled, interval, read_runs, report_command, table, told
from suite_report import log_score

COMPARISONS = {
    ("donation", "mutation"): "donations for 0.3 of the mutations",
    ("training", "mutation"): "0.3 of the mutations left out",
    ("donation", "training"): "donations for the children that only train",
    ("donation", "any_output"): "output by the ratio of the objectives, not at random",
    ("ranked", "mutation"): "growth that sees the ranks",
    ("gentle_donation", "gentle"): "donations for 0.3 of gentle moves at random",
    ("gentle_donation", "gentle_training"): "the same, for the children that only train",
    ("principles", "principles_alone"): "principles that see the ranks",
    ("principles", "principles_training"): "the same, for children that only train",
    ("principles", "mutation"): "principles with all their parts, growth without peers",
}
DONATION = "exclusive_subgraph_crossover"
KINDS = {"donation": DONATION, "only training": "training", "mutation": None}
ALL = "all problems"
MEASURES = ("hypervolume", "test front", "test score")


# ---- what the runs found -------------------------------------------------------------------------


def gap(run, arm, control):
    """What an arm has more than another: hypervolume, that of the test front, log test score.

    The score is the mean over the outputs of the logarithm of the ratio, below 0 where the arm's
    one model is better.
    """
    ours, theirs = run["arms"][arm], run["arms"][control]
    logs = []
    for output in run["kinds"]:
        scores = [log_score({**run, "test": [one["test"]]}, output) for one in (ours, theirs)]
        logs.append(scores[0] - scores[1])
    return [
        ours["hypervolume"][-1] - theirs["hypervolume"][-1],
        ours["front"] - theirs["front"],
        float(np.mean(logs)),
    ]


def effects(runs, arm, control):
    """The mean gap of these runs with its interval, for the three measures; the last as a ratio."""
    gaps = [gap(run, arm, control) for run in with_arms(runs, arm, control)]
    columns = [[row[index] for row in gaps] for index in range(3)]
    volume, front, logs = (interval(column, np.mean) for column in columns)
    won = sum(row[0] > 0 for row in gaps), sum(row[0] < 0 for row in gaps)
    return {
        "pairs": len(gaps),
        "won": won,
        "hypervolume": volume,
        "front": front,
        "test": [float(np.exp(bound)) for bound in logs],
    }


def children(runs, arm):
    """By kind of child: its part of the children, how many were kept, what a run's gained.

    Gains are means over the runs that have such children, with intervals over runs.
    """
    found, runs = {}, with_arms(runs, arm)
    for kind, wanted in KINDS.items():
        rows = [rows_of(run["arms"][arm]["children"], wanted) for run in runs]
        count = sum(row["count"] for some in rows for row in some)
        every = sum(row["count"] for run in runs for row in run["arms"][arm]["children"].values())
        if not count:
            continue
        kept = sum(row["kept"] for some in rows for row in some)
        gains = filled([gains_of(some) for some in rows])
        aimed = [row[0] for row in gains if len(row) == 2]
        found[kind] = {
            "part": count / every,
            "kept": kept / count,
            "aimed": interval(aimed, np.mean) if aimed else None,
            "gain": interval([row[-1] for row in gains], np.mean),
        }
    return found


def rows_of(made, wanted):
    """The rows of a kind; None stands for every mutation."""
    others = (DONATION, "training")
    return [row for name, row in made.items() if name == wanted or not (wanted or name in others)]


def gains_of(rows):
    """The gains of a run's children of one kind, weighted by their numbers; empty without any."""
    rows = [row for row in rows if row["gains"]]
    if not rows:
        return []
    return np.average(
        [row["gains"] for row in rows], axis=0, weights=[row["count"] for row in rows]
    )


def joined(runs):
    """One run for each population: a policy has a file of its own, and all begin alike."""
    found = {}
    for run in sorted(runs, key=lambda run: (run["problem"], run["seed"], list(run["arms"]))):
        key = run["start"], run["problem"], run["seed"]
        known = found.get(key, {"arms": {}, "seconds": 0})
        arms, seconds = {**known["arms"], **run["arms"]}, known["seconds"] + run["seconds"]
        found[key] = {**run, "arms": arms, "seconds": seconds}
    return list(found.values())


def with_arms(runs, *arms):
    """The runs that have all of these arms."""
    return [run for run in runs if all(arm in run["arms"] for arm in arms)]


def analyse(runs):
    """All numbers of the tables, by start."""
    by_start = defaultdict(list)
    for run in joined(runs):
        by_start[run["start"]].append(run)
    return {start: of_start(some) for start, some in sorted(by_start.items())}


def of_start(runs):
    """The numbers of the runs that begin alike."""
    problems = sorted({run["problem"] for run in runs})
    groups = {name: [run for run in runs if run["problem"] == name] for name in problems}
    groups[ALL] = runs
    arms = list(dict.fromkeys(arm for pair in COMPARISONS for arm in reversed(pair)))
    pairs = [pair for pair in COMPARISONS if with_arms(runs, *pair)]
    arms = [arm for arm in arms if with_arms(runs, arm)]
    return {
        "seeds": {name: len(some) for name, some in groups.items()},
        "exclusive": {
            name: float(np.mean([run["exclusive"] for run in some]))
            for name, some in groups.items()
        },
        "effects": {
            pair: {name: effects(some, *pair) for name, some in groups.items()} for pair in pairs
        },
        "children": {arm: children(runs, arm) for arm in arms},
        "seconds": {
            arm: float(np.median([run["arms"][arm]["seconds"] for run in with_arms(runs, arm)]))
            for arm in arms
        },
    }


# ---- tables and figure ---------------------------------------------------------------------------


def tables(analysis):
    """The tables in Markdown, by name and start."""
    found = {}
    for start, one in analysis.items():
        rows, by_problem = [], []
        for (arm, control), by_name in one["effects"].items():
            total = by_name[ALL]
            won = ":".join(map(str, total["won"]))
            cells = [told(total[name], 3) for name in ("hypervolume", "front", "test")]
            what = COMPARISONS[arm, control]
            rows.append([f"`{arm}` - `{control}`", what, total["pairs"], won, *cells])
            cells = [told(some["hypervolume"], 3) for name, some in by_name.items() if name != ALL]
            by_problem.append([f"`{arm}` - `{control}`", *cells])
        names = [f"{name} ({count})" for name, count in one["seeds"].items() if name != ALL]
        head = [
            "arms",
            "what differs",
            "pairs",
            "won:lost",
            "hypervolume",
            "test front",
            "test score",
        ]
        found[f"effects, {start}"] = table(head, rows)
        found[f"problems, {start}"] = table(["hypervolume", *names], by_problem)
        found[f"children, {start}"] = table(
            ["arm", "child", "part", "kept", "gain of its output", "gain of the others"],
            [
                [f"`{arm}`", kind, *described(row)]
                for arm, kinds in one["children"].items()
                for kind, row in kinds.items()
            ],
        )
    return found


def described(row):
    """The cells of a kind of child."""
    aimed = "" if row["aimed"] is None else told(row["aimed"], 3)
    return [f"{row['part']:.0%}", f"{row['kept']:.0%}", aimed, told(row["gain"], 3)]


def draw(analysis, folder):
    """The gaps of hypervolume with their intervals, by comparison and problem."""
    from matplotlib import pyplot

    known = {pair for one in analysis.values() for pair in one["effects"]}
    pairs = [pair for pair in COMPARISONS if pair in known]
    figure, [axes] = pyplot.subplots(
        1,
        len(analysis),
        figsize=(4 + 3.5 * len(analysis), 5.5),
        layout="constrained",
        sharey=True,
        squeeze=False,
    )
    for ax, (start, one) in zip(axes, analysis.items()):
        names = list(one["seeds"])
        for index, pair in enumerate(pairs):
            if pair not in one["effects"]:
                continue
            for offset, name in enumerate(names):
                value, low, high = one["effects"][pair][name]["hypervolume"]
                height = -index + 0.7 * (0.5 - (offset + 0.5) / len(names))
                colour = "black" if name == ALL else f"C{offset}"
                label = name if not index else None
                ax.plot(value, height, "o", color=colour, markersize=4, label=label)
                ax.plot([low, high], [height, height], color=colour, linewidth=1)
        ax.axvline(0, color="black", linewidth=0.8)
        ax.set(title=f"start: {start}", xlabel="difference of hypervolume")
    axes[0].set_yticks(-np.arange(len(pairs)), [" - ".join(pair) for pair in pairs])
    axes[-1].legend(frameon=False, fontsize=8)
    save(figure, folder / "peers_effects.png")


def report_on(source, folder):
    """Write peers.md and the figure of the finished runs; gives the text and the tables."""
    settings, runs = read_runs(source)
    if not runs:
        return "no run is finished", {}
    analysis = analyse(runs)
    made, folder = tables(analysis), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    arms = [run["seconds"] + sum(arm["seconds"] for arm in run["arms"].values()) for run in runs]
    parts = [f"{len(joined(runs))} populations, {sum(arms):,.0f} CPU seconds; {settings}"]
    for start, one in analysis.items():
        part = one["exclusive"][ALL]
        parts.append(f"{start}: {part:.0%} of the outputs at the start have something to donate")
    parts += [f"{name}:\n\n{text}" for name, text in made.items()]
    parts.append(f"Below {FEWEST} populations there is no interval.")
    text = "\n\n".join(parts) + "\n"
    write(folder / "peers.md", text)
    draw(analysis, folder)
    return f"{text}\nTables and figure are in {folder.resolve()}", made


if __name__ == "__main__":
    report_command(__doc__.splitlines()[0], report_on, "peers")
