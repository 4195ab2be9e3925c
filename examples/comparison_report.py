"""Statistics, table and figures of a folder of compare_with_classic_neuroevolution.py.

The page docs/comparison.md explains them.

usage: python comparison_report.py [folder]
"""

import json
import math
import sys
from collections import Counter
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import matplotlib
import moocore
import numpy as np
import scikit_posthocs
from comparison_runs import write
from scipy import stats

matplotlib.use("Agg")
CONTROLS = ("retrain", "gentle")
HYPERVOLUME = "hypervolume"
SPLITS = ("validation", "test")


# ---- what a run found ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """A finished run; scores are NaN where the arm cannot do a task, or an evaluation failed."""

    objectives: tuple[str, ...]
    examples: np.ndarray  # seen by the end of each evaluation
    seconds: np.ndarray
    values: np.ndarray  # validation scores, shape (evaluations, objectives)
    start: np.ndarray | None  # of the start that all arms of the seed share
    test: np.ndarray  # test scores of the front, shape (points, objectives)
    chosen: np.ndarray  # by objective the test score of what is best in it on validation
    weights: float  # median over the front
    spent: str  # the budget that ended it
    cannot: dict[str, str]  # by objective why there is no score

    @property
    def whole(self):
        """Whether it has every objective."""
        return len(self.test) > 0 and not np.isnan(self.test).any()


def read(path):
    """A finished run from its file."""
    *lines, last = map(json.loads, path.read_text().splitlines())
    names, front = last["objectives"], last["front"]

    def rows(scores):
        return np.array([[one.get(name, np.nan) for name in names] for one in scores], dtype=float)

    validation, test = (
        rows([member[split] for member in front]).reshape(-1, len(names)) for split in SPLITS
    )
    best = np.argmin(validation, axis=0) if front else np.zeros(len(names), dtype=int)
    return Found(
        objectives=tuple(names),
        examples=np.array([line["examples"] for line in lines]),
        seconds=np.array([line["seconds"] for line in lines]),
        values=rows([line["values"] for line in lines]).reshape(-1, len(names)),
        start=None if last["start"] is None else rows([last["start"]])[0],
        test=test,
        chosen=test[best, np.arange(len(names))] if front else np.full(len(names), np.nan),
        weights=float(np.median([member["weights"] for member in front])) if front else math.nan,
        spent=last["spent"],
        cannot=last["cannot"],
    )


def read_folder(folder, order):
    """The finished runs, by arm in this order and seed."""
    found = {arm: {} for arm in order}
    for path in sorted(Path(folder).glob("*.jsonl")):
        arm, _, seed = path.stem.rpartition("-")
        found.setdefault(arm, {})[int(seed)] = read(path)
    return {arm: dict(sorted(runs.items())) for arm, runs in found.items() if runs}


def reference_of(found):
    """Return the corner of the hypervolumes: 1.2 times the median of the starts of all seeds."""
    starts = {
        seed: run.start
        for runs in found.values()
        for seed, run in runs.items()
        if run.start is not None
    }
    return 1.2 * np.nanmedian(list(starts.values()), axis=0) if starts else None


def hypervolume(points, reference):
    """Share of the box from zero to the reference that the points dominate; of none, 0."""
    points = points[~np.isnan(points).any(axis=1)]
    return (
        float(moocore.hypervolume(points / reference, ref=np.ones(len(reference))))
        if len(points)
        else 0.0
    )


def front_shares(found):
    """By arm, how much of the front of all runs together, on test, is its own."""
    owned = [
        (arm, point)
        for arm, runs in found.items()
        for run in runs.values()
        if run.whole
        for point in run.test
    ]
    if not owned:
        return {}
    best = moocore.is_nondominated(np.array([point for _, point in owned]), keep_weakly=True)
    counts = Counter(arm for (arm, _), kept in zip(owned, best) if kept)
    return {arm: counts[arm] / counts.total() for arm, _ in owned}


# ---- statistics ----------------------------------------------------------------------------------


def vargha_delaney(ours, theirs):
    """Return the probability that a value of ours is lower than one of theirs (A12).

    A tie counts half, so 0.5 is no effect.
    """
    differences = np.subtract.outer(np.asarray(theirs), np.asarray(ours))
    return float((differences > 0).mean() + (differences == 0).mean() / 2)


def kruskal(groups):
    """Return the p of Kruskal-Wallis, and of Dunn's test with Holm's correction for each pair.

    They are 1 where all values are the same.
    """
    names, samples = list(groups), list(groups.values())
    pairs = list(combinations(range(len(names)), 2))
    if len(names) < 2 or len(set(np.concatenate(samples))) < 2:
        return 1.0, {frozenset((names[a], names[b])): 1.0 for a, b in pairs}
    dunn = scikit_posthocs.posthoc_dunn(samples, p_adjust="holm").to_numpy()
    by_pair = {frozenset((names[a], names[b])): float(dunn[a, b]) for a, b in pairs}
    return float(stats.kruskal(*samples).pvalue), by_pair


def paired(ours, theirs):
    """Return the seeds in which ours is lower, those in which theirs is, and Wilcoxon's p."""
    differences = np.array(
        [ours[seed] - theirs[seed] for seed in sorted(ours.keys() & theirs.keys())]
    )
    differences = differences[differences != 0]
    p = float(stats.wilcoxon(differences, method="exact").pvalue) if len(differences) else 1.0
    return int((differences < 0).sum()), int((differences > 0).sum()), p


def measured(found):
    """Return a number by measure, arm and seed; lower is better.

    The numbers are the test scores, and minus the hypervolume.
    """
    objectives = next(run.objectives for runs in found.values() for run in runs.values())
    values = {name: {arm: {} for arm in found} for name in (*objectives, HYPERVOLUME)}
    reference = reference_of(found)
    for arm, seed, run in (
        (arm, seed, run) for arm, runs in found.items() for seed, run in runs.items()
    ):
        scores = dict(zip(objectives, run.chosen.tolist()))
        if reference is not None and run.whole:
            scores[HYPERVOLUME] = -hypervolume(run.test, reference)
        for name, value in scores.items():
            if not math.isnan(value):
                values[name][arm][seed] = value
    return {
        name: {arm: some for arm, some in by_arm.items() if some} for name, by_arm in values.items()
    }


def compared(by_arm):
    """Statistics of one measure, of values by arm and seed."""
    groups = {arm: list(some.values()) for arm, some in by_arm.items()}
    p, dunn = kruskal(groups) if groups else (1.0, {})
    against = {control: {} for control in CONTROLS if control in groups}
    for control, arm in ((control, arm) for control in against for arm in groups if arm != control):
        wins, losses, wilcoxon = paired(by_arm[arm], by_arm[control])
        effect, difference = (
            vargha_delaney(groups[arm], groups[control]),
            dunn[frozenset((arm, control))],
        )
        pairs = {"wins": wins, "losses": losses, "wilcoxon_p": wilcoxon}
        against[control][arm] = {"a12": effect, "dunn_p": difference, **pairs}
    return {
        "quartiles": {
            arm: np.percentile(some, [25, 50, 75]).tolist() for arm, some in groups.items()
        },
        "kruskal_p": p,
        "dunn_p": [[*sorted(pair), value] for pair, value in dunn.items()],
        "against": against,
    }


def described(runs):
    """What the runs of one arm used."""
    medians = {
        "evaluations": [len(run.examples) for run in runs],
        "examples": [run.examples[-1] for run in runs if len(run.examples)],
        "seconds": [run.seconds[-1] for run in runs if len(run.examples)],
        "weights": [run.weights for run in runs],
    }
    ended, cannot = dict(Counter(run.spent for run in runs)), runs[0].cannot
    numbers = {name: float(np.median(some)) if some else math.nan for name, some in medians.items()}
    return {"runs": len(runs), **numbers, "ended": ended, "cannot": cannot}


def analyse(found):
    """All numbers of the table."""
    shares, reference = front_shares(found), reference_of(found)
    return {
        "reference": None if reference is None else reference.tolist(),
        "arms": {
            arm: {**described(list(runs.values())), "share": shares.get(arm)}
            for arm, runs in found.items()
        },
        "measures": {name: compared(by_arm) for name, by_arm in measured(found).items()},
    }


# ---- the table -----------------------------------------------------------------------------------


def table(analysis, notes):
    """The analysis as Markdown."""
    measures = analysis["measures"]
    used = ["runs", "evaluations", "examples", "seconds", "weights"]
    lines = [["arm", *used, "ended by", *measures, "share of the front"]]
    for arm, about in analysis["arms"].items():
        numbers = [f"{about[name]:,.0f}" for name in used]
        cells = [
            quartiles(measure["quartiles"].get(arm)) or about["cannot"].get(name, "not defined")
            for name, measure in measures.items()
        ]
        ended = ", ".join(f"{budget} {runs}" for budget, runs in about["ended"].items())
        lines.append(
            [
                arm,
                *numbers,
                ended,
                *cells,
                "not defined" if about["share"] is None else f"{about['share']:.0%}",
            ]
        )
    lines.append(
        [
            "Kruskal-Wallis p",
            *[""] * (len(used) + 1),
            *(f"{m['kruskal_p']:.2g}" for m in measures.values()),
            "",
        ]
    )
    text = [markdown(lines)]
    for control in CONTROLS:
        against = {name: measure["against"].get(control, {}) for name, measure in measures.items()}
        rows = [
            [arm, *(effect(some.get(arm)) for some in against.values())] for arm in analysis["arms"]
        ]
        rows = [row for row in rows if set(row[1:]) != {"not defined"}]
        if rows:
            text += [f"Against `{control}`:", markdown([["arm", *measures], *rows])]
    return (
        "\n\n".join(
            [*text, "\n".join(f"- {name}: {reason}" for name, reason in notes.items())]
        ).rstrip()
        + "\n"
    )


def quartiles(values):
    """Median and quartiles."""
    if values is None:
        return ""
    low, median, high = sorted(map(abs, values))
    return f"{median:.3g} ({low:.3g} to {high:.3g})"


def effect(numbers):
    """Effect size, p of the groups, and the pairs of one arm against a control."""
    if numbers is None:
        return "not defined"
    pairs = f"{numbers['wins']}:{numbers['losses']} (p {numbers['wilcoxon_p']:.2g})"
    return f"A12 {numbers['a12']:.2f} (p {numbers['dunn_p']:.2g}), {pairs}"


def markdown(lines):
    head, *body = ["| " + " | ".join(cells) + " |" for cells in lines]
    return "\n".join([head, "|" + " --- |" * len(lines[0]), *body])


# ---- figures -------------------------------------------------------------------------------------


def courses(found, clock):
    """Return the best scores so far on validation by arm and measure, at the same times of a clock.

    The clock counts examples or seconds. The result has these times, and by measure and arm an
    array (seeds, times), which is NaN before the first evaluation.
    """
    reference, objectives = (
        reference_of(found),
        next(run.objectives for runs in found.values() for run in runs.values()),
    )
    positions = np.linspace(
        0, max(getattr(run, clock)[-1] for runs in found.values() for run in runs.values()), 200
    )
    curves = {name: {arm: [] for arm in found} for name in (*objectives, HYPERVOLUME)}
    for arm, run in ((arm, run) for arm, runs in found.items() for run in runs.values()):
        best = [*np.fmin.accumulate(run.values, axis=0).T]
        if reference is not None and run.whole:
            best.append(
                np.array(
                    [
                        hypervolume(run.values[: end + 1], reference)
                        for end in range(len(run.values))
                    ]
                )
            )
        index = np.searchsorted(getattr(run, clock), positions, side="right") - 1
        for name, values in zip(curves, best):
            curves[name][arm].append(np.where(index < 0, np.nan, values[index]))
    return positions, {
        name: {arm: np.array(c) for arm, c in by_arm.items() if c}
        for name, by_arm in curves.items()
    }


def looks(found):
    """Colour and line of each arm."""
    colours = matplotlib.colormaps["tab10"].colors
    return {
        arm: {"color": colours[i % 10], "linestyle": "-" if i < 10 else "--"}
        for i, arm in enumerate(found)
    }


def draw_courses(found, names, path):
    """Median and quartiles of the best so far, over examples and over seconds: a row each."""
    from matplotlib import pyplot
    from matplotlib.ticker import EngFormatter

    figure, grid = pyplot.subplots(
        2, len(names), figsize=(4.5 * len(names) + 2, 7), layout="constrained", squeeze=False
    )
    for row, clock in zip(grid, ("examples", "seconds")):
        positions, curves = courses(found, clock)
        for ax, name in zip(row, names):
            for arm, values in curves[name].items():
                begun = ~np.isnan(values).any(axis=0)  # in every seed
                low, median, high = np.percentile(values[:, begun], [25, 50, 75], axis=0)
                ax.plot(positions[begun], median, label=arm, **looks(found)[arm])
                ax.fill_between(
                    positions[begun],
                    low,
                    high,
                    color=looks(found)[arm]["color"],
                    alpha=0.12,
                    linewidth=0,
                )
            ax.set(xlabel=f"{clock} of a run", ylabel=f"{name} (validation, best so far)")
            ax.xaxis.set_major_formatter(EngFormatter(sep=""))
            if name != HYPERVOLUME:
                ax.set_yscale("log")
    save(figure, path)


def attained(runs, pair):
    """Return the 50 % attainment surface of two objectives: what half of the runs reach, on test.

    It is a set of points, in the order of the first objective.
    """
    fronts = [
        run.test[:, pair] for run in runs if len(run.test) and not np.isnan(run.test[:, pair]).any()
    ]
    if not fronts:
        return np.empty((0, 2))
    sets = np.repeat(np.arange(len(fronts)), [len(front) for front in fronts])
    surface = moocore.eaf(np.concatenate(fronts), sets, percentiles=[50])[:, :2]
    return surface[np.argsort(surface[:, 0])]


def draw_attainment(found, objectives, path):
    """The 50 % attainment surfaces of each pair of objectives."""
    from matplotlib import pyplot

    pairs = list(combinations(range(len(objectives)), 2))
    figure, [row] = pyplot.subplots(
        1, len(pairs), figsize=(4.5 * len(pairs) + 2, 4), layout="constrained", squeeze=False
    )
    for ax, pair in zip(row, pairs):
        for arm, runs in found.items():
            surface = attained(runs.values(), list(pair))
            if len(surface):
                ax.step(*surface.T, where="post", marker=".", label=arm, **looks(found)[arm])
        ax.set(
            xlabel=f"{objectives[pair[0]]} (test)",
            ylabel=f"{objectives[pair[1]]} (test)",
            yscale="log",
        )
    save(figure, path)


def save(figure, path):
    """With one legend, to the right of all."""
    from matplotlib import pyplot

    handles = {
        label: handle
        for ax in figure.axes
        for handle, label in zip(*ax.get_legend_handles_labels())
    }
    figure.legend(handles.values(), handles.keys(), loc="outside right upper", frameon=False)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


# ---- all of it -----------------------------------------------------------------------------------


def report_on(folder, order=(), notes=None):
    """Write table.md, table.json and the figures of a folder's finished runs; gives the table."""
    folder, found = Path(folder), read_folder(folder, order)
    if not found:
        return "no run is finished"
    analysis = analyse(found)
    objectives = [name for name in analysis["measures"] if name != HYPERVOLUME]
    text = table(analysis, notes or {})
    write(folder / "table.md", text)
    write(folder / "table.json", json.dumps({**analysis, "notes": notes or {}}, indent=1))
    draw_courses(found, objectives, folder / "objectives.png")
    draw_courses(found, [HYPERVOLUME], folder / "hypervolume.png")
    draw_attainment(found, objectives, folder / "attainment.png")
    return f"{text}\nTable and figures are in {folder.resolve()}"


if __name__ == "__main__":
    print(report_on(*(sys.argv[1:2] or ["comparison"])))
