"""The table and the figure of what the paper leaves open (docs/experiments/open.md).

usage: python paper_open_report.py [runs] [--folder paper_open_report]

``runs`` is a folder of paper_open.py, or a file that keeps its runs; by default the file with the
published ones. ``--publish`` writes that file, and the page and its figure beside it.
"""

from pathlib import Path

import numpy as np
from comparison_runs import write
from paper_figures import draw_effects
from paper_main_report import against, by_arm, effect, reference_of, volumes, whole_pairs
from paper_numbers import read_runs, report_command, table

RIVALS = {"raw_guidelines": "raw_random", "carried_guidelines": "carried_random"}
RIVALS |= {"new_guidelines": "new_random", "today": "new_random"}
"""The random arm under the same training; of all others it is ``random``."""


def compared(runs):
    """By arm its rival and the effects against it, and the median hypervolume of each arm."""
    found = by_arm(runs)
    if "random" not in found:
        return {}, {}
    grown = volumes(found, reference_of(found))
    rows = {}
    for arm in found:
        rival = RIVALS.get(arm, "random")
        if arm != "random" and whole_pairs(found, (arm, rival)):
            rows[arm] = rival, against(found, grown, arm, rival)
    return rows, {arm: np.median([one[-1] for one in some.values()]) for arm, some in grown.items()}


def report_on(source, folder):
    """Write open.md and the figure of the finished runs; gives the text and the tables."""
    settings, runs = read_runs(source)
    rows, medians = compared(runs)
    if not rows:
        return "no pair is finished", {}
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = dict(sorted(rows.items(), key=lambda row: -row[1][1]["hypervolume"]["effect"][0]))
    names = ["hypervolume", *runs[0]["objectives"]]
    cells = [
        [arm, rival, f"{medians[arm]:.3f}", *(effect(found.get(name)) for name in names)]
        for arm, (rival, found) in rows.items()
    ]
    made = {"open": table(["arm", "against", "ends with", *names], cells)}
    seconds = sum(run["seconds"] for run in runs)
    text = f"{len(runs)} runs, {seconds:,.0f} CPU seconds; {settings}\n\n{made['open']}\n"
    write(folder / "open.md", text)
    gaps = {
        f"{arm} - {rival}": found["hypervolume"]["effect"] for arm, (rival, found) in rows.items()
    }
    draw_effects(gaps, "difference of hypervolume at the last step", folder / "open_effects.png")
    return f"{text}\nThe table and the figure are in {folder.resolve()}", made


if __name__ == "__main__":
    report_command(__doc__.splitlines()[0], report_on, "open")
