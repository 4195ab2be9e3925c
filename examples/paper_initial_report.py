"""Tables and figures of the paper's initial experiment (docs/experiments/initial.md).

usage: python paper_initial_report.py [runs] [--folder paper_initial_report]

``runs`` is a folder of paper_initial.py, or a file that keeps its runs; by default the file with
the published ones. ``--publish`` writes that file, and the page and its figures beside it.
"""

from itertools import product
from pathlib import Path

import numpy as np
import paper_initial_numbers as numbers
from comparison_runs import write
from paper_figures import draw_clouds, draw_gains
from paper_initial_numbers import BOTH, CONTROL, METRICS
from paper_numbers import filled, interval, joined, read_runs, report_command, table, told, verdict

REGRESSION = "histogram"  # the output that the paper's Figs. 6 and 7 show
MUCH = 0.1  # of an improvement beyond the control's: some 10 % of an objective


# ---- all numbers ---------------------------------------------------------------------------------


def analyse(runs):
    """All numbers of the tables."""
    outputs, found = runs[0]["objectives"], [numbers.improvements(run) for run in runs]
    kinds = numbers.kinds_of(found)
    every = {**{output: [output] for output in outputs}, "all": outputs}
    medians = {}
    for kind in (CONTROL, *kinds):
        medians[kind] = {}
        for name, some in every.items():
            units = filled([numbers.values_of(one, kind, some) for one in found])
            medians[kind][name] = interval(units, joined(np.median))
    added = [numbers.beyond(one) for one in found]
    metrics, thirds = {}, {}
    for metric, kind in product(METRICS, kinds):
        units = numbers.points(runs, added, metric, kind, outputs)
        metrics[metric, kind] = interval(
            [np.array(unit) for unit in units], numbers.association, 200
        )
    for metric, kind in product(("slope", "relevance"), kinds):
        units = numbers.points(runs, added, metric, kind, [REGRESSION])
        thirds[metric, kind] = numbers.thirds(units)
    return {
        "valps": len(runs),
        "clones": sum(len(run["clones"]) - 1 for run in runs),
        "seconds": sum(run["seconds"] for run in runs),
        "medians": medians,
        "G": {name: numbers.gentle_against_aggressive(found, some) for name, some in every.items()},
        "tests": {name: numbers.differences(found, kinds, some) for name, some in every.items()},
        "metrics": metrics,
        "thirds": thirds,
        "thresholds": {output: numbers.thresholds(runs, found, output) for output in outputs},
        "calibrated": numbers.calibrated(runs),
    }


# ---- the claims of the paper ---------------------------------------------------------------------


def worse(values):
    """Whether a clone lost much, beside going on with training."""
    return values > MUCH


def better(values):
    """Whether a clone gained much."""
    return values < -MUCH


def claims(analysis):
    """Every claim of VII-A in words: a number, its interval, and the verdict."""
    every, thirds = analysis["G"]["all"], analysis["thirds"]
    slope = {kind: some for (metric, kind), some in thirds.items() if metric == "slope"}
    relevance = {kind: some for (metric, kind), some in thirds.items() if metric == "relevance"}
    clone, rough_clone = ("clone_network", "gentle"), ("clone_network", "aggressive")
    connect, insert = ("add_connection", "gentle"), ("insert_network", "aggressive")
    compared = {
        "Fig. 5: gentle is better more often than aggressive": less_half(every["won"]),
        "Fig. 5: among extreme differences too": less_half(every["extreme won"]),
    }
    for name, ours, theirs, event in (
        (
            "6a: where steep, gentle clones lose much less often",
            (slope, rough_clone, 0),
            (slope, clone, 0),
            worse,
        ),
        (
            "6b: new connections gain much more often where steep",
            (slope, connect, 0),
            (slope, connect, 2),
            better,
        ),
        (
            "6c: insertions change much more often where flat",
            (slope, insert, 2),
            (slope, insert, 0),
            changed,
        ),
        (
            "7: where relevant, gentle clones lose much less often",
            (relevance, rough_clone, 2),
            (relevance, clone, 2),
            worse,
        ),
        (
            "7: insertions gain much more often where relevant",
            (relevance, insert, 2),
            (relevance, insert, 0),
            better,
        ),
    ):
        sides = [by.get(kind, [[]] * 3)[third] for by, kind, third in (ours, theirs)]
        compared[f"Fig. {name}"] = numbers.more_often(*sides, event)
    return {name: [*bounds, verdict(bounds, 1)] for name, bounds in compared.items()}


def changed(values):
    """Whether a clone gained or lost much."""
    return np.abs(values) > MUCH


def less_half(bounds):
    """A share, and its interval, less a half."""
    return [bound - 0.5 for bound in bounds]


# ---- tables --------------------------------------------------------------------------------------


def tables(analysis):
    """The tables in Markdown, by name."""
    claimed = [[name, told(bounds), text] for name, (*bounds, text) in claims(analysis).items()]
    names = list(analysis["G"])
    medians = [
        [" ".join(kind).strip(), *(told(row[name], 3) for name in names)]
        for kind, row in analysis["medians"].items()
    ]
    shares = []
    for name, one in analysis["G"].items():
        won = [told(one["won"]), told(one["median"], 3), one["extreme"], told(one["extreme won"])]
        shares.append([name, one["pairs"], *won])
    tests = []
    for name, by in analysis["tests"].items():
        cells = [
            [f"{one['p']:.1g}", f"{one['pairs'] - len(one['alike'])} of {one['pairs']}"]
            for one in by.values()
        ]
        tests.append([name, *cells[0], *cells[1]])
    kinds = list(analysis["medians"])[1:]
    metrics = [
        [" ".join(kind), *(told(analysis["metrics"][metric, kind]) for metric in METRICS)]
        for kind in kinds
    ]
    return {
        "claims": table(["claim", "difference of shares", "verdict"], claimed),
        "medians": table(["operator", *names], medians),
        "G": table(
            ["objective", "pairs", "gentle won", "median G", "extreme", "gentle won"], shares
        ),
        "tests": table(["objective", "p, clones", "pairs apart", "p, VALPs", "pairs apart"], tests),
        "metrics": table(["operator", *METRICS], metrics),
        "slope": thirds_table(analysis, "slope", kinds),
        "relevance": thirds_table(analysis, "relevance", kinds),
        "thresholds": thresholds_table(analysis),
    }


def thirds_table(analysis, metric, kinds):
    """The medians in each third of a metric."""
    rows = []
    for kind in kinds:
        thirds = [filled(some) for some in analysis["thirds"][metric, kind]]
        medians = [interval(some, joined(np.median)) for some in thirds]
        rows.append([" ".join(kind), *(told(bounds, 3) for bounds in medians)])
    return table(["operator", "lowest third", "middle", "highest third"], rows)


def thresholds_table(analysis):
    """Ours from improvements, beside ``calibrateThresholds`` and the paper's."""
    paper = {"steep": "-2e-05", "stuck": "-1e-10", "relevance": "1.2 or 1.25"}
    rows = []
    for output, found in analysis["thresholds"].items():
        for name, bounds in found.items():
            ours, low, high = (f"{bound:.2g}" for bound in bounds)
            other = ""
            if analysis["calibrated"]:
                other = f"{getattr(analysis['calibrated'][output], name):.2g}"
            rows.append([output, name, f"{ours} ({low} to {high})", other, paper[name]])
    head = ["output", "threshold", "by improvement", "`calibrateThresholds`", "paper"]
    return table(head, rows)


def report_on(source, folder):
    """Write initial.md and the figures of the finished VALPs; gives the text and the tables."""
    settings, runs = read_runs(source)
    if not runs:
        return "no VALP is finished", {}
    analysis = analyse(runs)
    made, folder = tables(analysis), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    counts = (
        f"{analysis['valps']} VALPs, {analysis['clones']} changed clones, "
        f"{analysis['seconds']:,.0f} CPU seconds; {settings}"
    )
    parts = [counts, *(f"{name}:\n\n{text}" for name, text in made.items())]
    text = "\n\n".join(parts) + "\n"
    write(folder / "initial.md", text)
    draw(runs, folder)
    return f"{text}\nTables and figures are in {folder.resolve()}", made


def draw(runs, folder):
    """The figures."""
    found = [numbers.improvements(run) for run in runs]
    added = [numbers.beyond(one) for one in found]
    outputs = runs[0]["objectives"]
    draw_gains({o: [numbers.gains(one, [o]) for one in found] for o in outputs}, folder)
    for metric in ("slope", "relevance"):
        clouds = {}
        for kind in product(BOTH, ("aggressive", "gentle")):
            units = numbers.points(runs, added, metric, kind, [REGRESSION])
            clouds[kind] = [point for unit in units for point in unit]
        draw_clouds(clouds, metric, folder)


if __name__ == "__main__":
    report_command(__doc__.splitlines()[0], report_on, "initial")
