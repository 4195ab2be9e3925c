"""``report``: everything that a search found, as one HTML file."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ..arguments import need_folder, need_many, need_path, need_type
from ..atomic import write_atomically
from ..errors import ValpError
from ..genome import VALP
from ..plots.applied import looks_of
from ..plots.svg import marker_svg
from ..problem import Problem
from ..search.decisions import payoff
from ..search.genealogy import Entry
from ..text import html_table
from .candidates import Candidates, candidates_of
from .details import details_of
from .figures import MOST_PAIRED, Figures, figures_of, needs_bokeh


def report(
    archive: Iterable[Entry | VALP],
    path: str | os.PathLike[str],
    *,
    problem: Problem | None = None,
    individuals: Iterable[VALP] = (),
    title: str = "Results of a search",
    samples: int = 25,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    """Write the page of results of a search: one HTML file that opens without a connection.

    It shows the front (parallel coordinates, and pairs of objectives), the search over steps and
    over seconds, the decisions with what they promised and what came of them, and the genealogy. A
    click on a candidate, in any figure or table, shows its graph, its diagnosis, the losses of all
    its training sessions, and samples beside real rows.

    The page makes no request, which its own security policy forbids. All names are escaped. The
    file is written whole or not at all. It has 1.5 MB, and about 8 kB for each of the first 1,000
    candidates. Drawing takes about 20 ms for each.

    Args:
        archive: The list that a search filled, or evaluated individuals.
        path: The file.
        problem: The problem of the search. It names axes by scores, and samples need it.
        individuals: Individuals with their weights, such as a hall of fame and the best: samples
            of the first 50 are drawn. The page opens with the first. Those that are not in the
            archive follow it.
        title: The heading of the page.
        samples: Number of samples, and of real rows beside them.
        shapes: Shape of one image by generation output, ``{"sample": (28, 28)}``, where the target
            was given as flat rows. Rows that are no images are drawn as lines.

    Returns:
        The path.

    Raises:
        MissingExtraError: Bokeh is not installed.
        ValpError: Nobody is in the archive, an individual was not evaluated, candidates differ in
            their objectives, or ``samples`` or ``shapes`` is not one.
        OSError: The file cannot be written.
    """
    wanted = "archive as a list of entries, or a list of individuals, [best]"
    archive = need_many(archive, "report", wanted)
    need_path(path, "report")
    need_folder(path, "report")
    if problem is not None:
        need_type(problem, Problem, "report", "problem as a Problem")
    given = need_many(individuals, "report", "individuals as a list of individuals, [best]")
    _check(samples, shapes or {}, problem)
    needs_bokeh()
    candidates = candidates_of(archive, given, problem)
    page = _page(candidates, title, samples, shapes or {})
    write_atomically(path, page.encode())
    return Path(path)


def _check(samples: Any, shapes: Mapping[str, Sequence[int]], problem: Problem | None) -> None:
    if not isinstance(samples, int) or isinstance(samples, bool) or samples < 1:
        raise ValpError(f"report needs samples as a whole number from 1 on, got {samples!r}")
    outputs = {} if problem is None else problem.outputs
    for name, shape in shapes.items():
        if name not in outputs:
            raise ValpError(f"report needs shapes by output of {list(outputs)}, got {name!r}")
        width = outputs[name].port.width
        if len(shape) not in (2, 3) or int(np.prod(shape)) != width:
            raise ValpError(
                f"report needs shapes of images of {width} pixels for {name!r}, got {tuple(shape)}"
            )


def _page(
    candidates: Candidates, title: str, samples: int, shapes: Mapping[str, Sequence[int]]
) -> str:
    from bokeh.document import Document
    from bokeh.embed import components
    from bokeh.resources import Resources

    figures = figures_of(candidates)
    named = {
        f"{section}{index}": figure
        for section, drawn in figures.items()
        for index, figure in enumerate(drawn)
    }
    document = Document()
    with document.models.freeze():  # else each root that is added visits the models of all others
        for figure in named.values():
            document.add_root(figure)
    script, divs = components(named, wrap_script=False)
    details = details_of(candidates, samples, shapes)
    source = files(__package__)
    return Template(source.joinpath("page.html").read_text()).substitute(
        title=escape(title),
        css=source.joinpath("page.css").read_text(),
        library="\n".join(Resources(mode="inline", components=["bokeh"]).js_raw),
        figures=script,
        details=_json(details),
        script=source.joinpath("page.js").read_text(),
        summary=_summary(candidates),
        legend=_legend(candidates),
        sections=_sections(candidates, figures, divs),
    )


def _json(value: Any) -> str:
    """Return JSON that can stand in a script: nothing in it ends the script or begins a comment."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


# ---- the parts of the page -----------------------------------------------------------------------


def _summary(candidates: Candidates) -> str:
    failed = int((~candidates.ok).sum())
    steps = int(candidates.steps.max())
    words = [f"{len(candidates):,} candidates in {steps:,} steps"]
    if candidates.seconds[-1] > 0:
        words.append(f"{candidates.seconds[-1]:,.1f} seconds of evaluation")
    words.append(f"{int(candidates.front.sum())} in the Pareto front")
    if failed:
        words.append(f"{failed} failed")
    rows = [["objective", "at the start", "lowest", "of candidate"]]
    for index, label in enumerate(candidates.labels):
        values = candidates.values[:, index]
        begun = values[candidates.starts & candidates.ok]
        cells = [label, f"{begun.min():.4g}" if len(begun) else "", "", ""]
        if np.isfinite(values).any():
            best = int(np.nanargmin(values))
            cells[2:] = [f"{values[best]:.4g}", str(best)]
        rows.append(cells)
    about = ""
    if candidates.problem is not None:
        text = escape(str(candidates.problem))
        about = f"<details><summary>The problem</summary><pre>{text}</pre></details>"
    return f"<p>{escape(', '.join(words))}.</p>{_boxed(html_table(rows))}{about}"


def _boxed(table: str) -> str:
    """Return a table in a box of its own, which scrolls where the table has no room."""
    return f'<div class="wide">{table}</div>'


def _legend(candidates: Candidates) -> str:
    """Return the colours and markers of the operators, the same in all figures."""
    entries = []
    for name, look in looks_of(candidates.applied).items():
        marker = marker_svg(look["marker"], look["color"])
        entries.append(f"<span>{marker}{escape(name)}</span>")
    return "".join(entries) + "<span>small and hollow: not accepted</span>"


def _sections(candidates: Candidates, figures: Figures, divs: Mapping[str, str]) -> str:
    def row(section: str) -> str:
        drawn = [divs[f"{section}{index}"] for index in range(len(figures[section]))]
        return f'<div class="row">{"".join(drawn)}</div>'

    parts = []
    if figures["parallel"]:
        text = (
            "A line is a candidate, a vertical axis an objective, lower is better. Blue: the "
            "front; dashed: the start; grey: dominated, which may leave the axes."
        )
        parts.append(_section("front", "The front", text, row("parallel")))
        text = "Yellow behind a point: it is in the front of all objectives together."
        if len(candidates.objectives) > MOST_PAIRED:
            text += f" These are the pairs of the first {MOST_PAIRED} objectives."
        parts.append(_section("pairs", "Two objectives at a time", text, row("pairs")))
    line = "the incumbent" if candidates.climbs else "the lowest so far"
    text = f"The line is {line}. Candidates far above the others are out of view: zoom or reset."
    content = f"<h3>Over steps</h3>{row('steps')}"
    if figures["seconds"]:
        content += (
            f"<h3>Over seconds of evaluation, those of all workers added up</h3>{row('seconds')}"
        )
    parts.append(_section("search", "The search", text, content))
    parts.append(_decisions(candidates, figures, row))
    text = (
        "Thin lines lead to accepted candidates; the dark one is the way to the chosen candidate, "
        "broken lines lead from donors."
    )
    tabs = _tabs(candidates, divs)
    parts.append(_section("genealogy", "The genealogy", text, tabs))
    parts.append(_section("all", "All candidates", "", '<div id="table"></div>'))
    return "".join(parts)


def _decisions(candidates: Candidates, figures: Figures, row: Any) -> str:
    paid = payoff(member.entry for member in candidates.members)
    if not paid.rows:
        return ""
    text = "A candidate is also trained on, so it would be somewhat better without any change."
    content = ""
    if figures["promise"]:
        content += f"<h3>What moves promised, and what came of it</h3>{row('promise')}"
    if figures["improved"]:
        content += f"<h3>What each kind of decision improved (bar: mean)</h3>{row('improved')}"
    content += f"<h3>Whether decisions paid</h3>{_boxed(paid._repr_html_())}"
    return _section("decisions", "The decisions", text, content)


def _tabs(candidates: Candidates, divs: Mapping[str, str]) -> str:
    buttons, panels = [], []
    for index, label in enumerate(candidates.labels):
        chosen = ' class="chosen"' if index == 0 else ""
        hidden = "" if index == 0 else " hidden"
        buttons.append(f'<button type="button" data-tab="{index}"{chosen}>{escape(label)}</button>')
        panels.append(
            f'<div class="panel" data-tab="{index}"{hidden}>{divs[f"genealogy{index}"]}</div>'
        )
    bar = f'<div class="tabs">{"".join(buttons)}</div>' if len(buttons) > 1 else ""
    return bar + "".join(panels)


def _section(name: str, heading: str, text: str, content: str) -> str:
    note = f'<p class="note">{escape(text)}</p>' if text else ""
    return f'<section id="{name}"><h2>{escape(heading)}</h2>{note}{content}</section>'
