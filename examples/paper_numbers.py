"""What the paper's two experiments share: their operators, their files, intervals and verdicts."""

import argparse
import json
import shutil
from dataclasses import fields
from pathlib import Path

import numpy as np

OPERATORS = (
    "add_connection",
    "delete_connection",
    "insert_network",
    "delete_network",
    "clone_network",
)
"""The macro operators of the paper (V-B)."""

PUBLISHED = Path(__file__).parents[1] / "docs" / "experiments"
DRAWS = 500
FEWEST = 5  # units: of fewer there is no interval


# ---- files ---------------------------------------------------------------------------------------


def rounded(value):
    """A number, or a list of numbers, to five digits."""
    if np.ndim(value):
        return [rounded(one) for one in value]
    return float(f"{value:.5g}")


def read_runs(path):
    """The settings and the finished runs of a folder, or of a file that ``publish`` wrote."""
    path = Path(path)
    if path.is_dir():
        settings = path / "settings.json"
        known = json.loads(settings.read_text()) if settings.exists() else {}
        runs = [json.loads(one.read_text()) for one in path.glob("*.jsonl")]
        return known, sorted(runs, key=lambda run: (run["seed"], run.get("arm", "")))
    if not path.exists():
        return {}, []
    found = json.loads(path.read_text())
    return found["settings"], found["runs"]


def publish(folder, path):
    """Write the finished runs of a folder into one file, a run on each line."""
    settings, runs = read_runs(folder)
    lines = ",\n".join(json.dumps(run, separators=(",", ":")) for run in runs)
    Path(path).write_text(f'{{"settings": {json.dumps(settings)},\n"runs": [\n{lines}\n]}}\n')


def fill(page, tables):
    """Put tables into a page, between ``<!-- name -->`` and ``<!-- end of name -->``."""
    text = Path(page).read_text()
    for name, content in tables.items():
        start, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
        if start in text and end in text:
            before, _, rest = text.partition(start)
            text = f"{before}{start}\n{content}\n{end}{rest.partition(end)[2]}"
    Path(page).write_text(text)


def options_of(settings, parser):
    """Give a parser an option for every field of the settings, with its value as the default."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        option = f"--{field.name.replace('_', '-')}"
        parser.add_argument(option, type=type(value), default=value, help=f"default {value}")


def settings_from(settings, arguments):
    """The settings as the arguments have them."""
    given = {field.name: getattr(arguments, field.name) for field in fields(settings)}
    return type(settings)(**given)


def report_command(about, report_on, name, argv=None):
    """The command of a report: of which runs, and where to.

    Args:
        about: What the report is, in a line.
        report_on: The report, called with the runs and the folder of its results.
        name: The name of the experiment, which the published files have.
        argv: The arguments of the command.
    """
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("runs", nargs="?", type=Path, help="default: the published ones")
    parser.add_argument("--folder", type=Path, default=Path(f"paper_{name}_report"))
    parser.add_argument("--published", type=Path, default=PUBLISHED, help="the folder of the page")
    parser.add_argument(
        "--publish", action="store_true", help="keep runs, figures and tables there"
    )
    arguments = parser.parse_args(argv)
    published = arguments.published
    known = published / f"{name}.json"
    if not arguments.publish:
        print(report_on(arguments.runs or known, arguments.folder)[0])
        return
    if arguments.runs:
        publish(arguments.runs, known)
    text, tables = report_on(known, arguments.folder)
    for figure in arguments.folder.glob(f"{name}_*.png"):
        shutil.copy(figure, published)
    fill(published / f"{name}.md", tables)
    print(text)


# ---- intervals -----------------------------------------------------------------------------------


def interval(units, statistic, draws=DRAWS):
    """Return the statistic of all units, and the bounds of its bootstrap interval of 95 %.

    The units (a VALP, a pair of runs) are drawn with replacement, each with all that was measured
    on it, since the values of one unit depend on each other.

    Args:
        units: A list of units.
        statistic: A function from a list of units to a number; NaN where it is not defined.
        draws: Number of draws.
    """
    if len(units) < FEWEST:
        return [statistic(units) if units else np.nan, np.nan, np.nan]
    rng = np.random.default_rng(1)
    drawn = []
    for _ in range(draws):
        some = [units[index] for index in rng.integers(len(units), size=len(units))]
        drawn.append(statistic(some))
    known = np.array(drawn)[~np.isnan(drawn)]
    bounds = np.percentile(known, [2.5, 97.5]) if len(known) else [np.nan, np.nan]
    return [float(statistic(units)), *map(float, bounds)]


def filled(units):
    """The units that have any value: the others say nothing, and make no interval narrower."""
    return [unit for unit in units if len(unit)]


def joined(statistic):
    """The statistic of the values of all units together; NaN of none."""

    def of(units):
        values = np.concatenate([np.asarray(unit, dtype=float) for unit in units])
        return float(statistic(values)) if len(values) else np.nan

    return of


def verdict(bounds, sign):
    """Say whether a claim about the sign of a number holds.

    Args:
        bounds: The number and the bounds of its interval.
        sign: The sign that is claimed.
    """
    low, high = sorted(sign * bound for bound in bounds[1:])
    if low > 0:
        return "holds"
    if high < 0:
        return "does not hold"
    return "not shown at this size"


def told(bounds, digits=2):
    """A number with its interval in words."""
    if np.isnan(bounds[0]):
        return ""
    if np.isnan(bounds[1]):
        return f"{bounds[0]:.{digits}f}"
    value, low, high = (f"{bound:.{digits}f}" for bound in bounds)
    return f"{value} ({low} to {high})"


def table(head, rows):
    """A table in Markdown."""
    lines = ["| " + " | ".join(map(str, cells)) + " |" for cells in (head, *rows)]
    return "\n".join([lines[0], "|" + " --- |" * len(head), *lines[1:]])
