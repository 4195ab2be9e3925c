"""The figures of the page, drawn by Bokeh. All share one source, so a choice in one shows in all.

Texts that come from users are ``PlainText``: Bokeh takes a plain string with ``$$`` in it for TeX.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import MissingExtraError
from ..plots.applied import looks_of
from ..plots.parallel import heights_of
from ..plots.search import top_of
from ..plots.style import FAINT, INK, PALETTE, is_wide
from ..search.decisions import PARTS, decisions, payoff
from .candidates import Candidates

if TYPE_CHECKING:
    from bokeh.models import ColumnDataSource
    from bokeh.plotting import figure

MARKERS = {
    "o": "circle",
    "s": "square",
    "D": "diamond",
    "p": "hex",
    "^": "triangle",
    "v": "inverted_triangle",
    "P": "plus",
    "X": "square_x",
    "<": "triangle_pin",
    ">": "square_pin",
    "*": "star",
}
"""Bokeh's names of the markers that the plots use."""

MOST_PAIRED = 6
"""The number of objectives that are drawn in pairs: 15 panels."""

_NARROW, _MEDIUM, _WIDE = 275, 385, 780  # pixels: three, two or one figure in a row

_STEP = 0.75  # of the distance between two steps, over which the candidates of one step stand
_BY = PARTS[:3]


def needs_bokeh() -> None:
    """Raise where Bokeh is not installed.

    Raises:
        MissingExtraError: It is not.
    """
    try:
        import bokeh  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "report draws with Bokeh, which is not installed: pip install 'deap_valp[report]'"
        ) from error


Figures = dict[str, list["figure"]]


def figures_of(candidates: Candidates) -> Figures:
    """Return the figures by the section of the page that they stand in."""
    drawing = _Drawing(candidates, _source(candidates))
    drawn: Figures = {"parallel": [], "pairs": []}
    count = len(candidates.objectives)
    if count > 1:
        drawn["parallel"] = [_parallel(drawing)]
        drawn["pairs"] = [
            _pair(drawing, x, y) for x, y in combinations(range(min(count, MOST_PAIRED)), 2)
        ]
    drawn["steps"] = [_course(drawing, index, "step") for index in range(count)]
    drawn["seconds"] = []
    if candidates.seconds[-1] > 0:
        drawn["seconds"] = [_course(drawing, index, "seconds") for index in range(count)]
    drawn["promise"] = _promise(drawing)
    drawn["improved"] = _improved(drawing)
    drawn["genealogy"] = [_genealogy(drawing, index) for index in range(count)]
    return drawn


@dataclass(frozen=True)
class _Drawing:
    candidates: Candidates
    source: ColumnDataSource

    @property
    def width(self) -> int:
        """The width of a figure that has one beside it for each objective."""
        return _NARROW if len(self.candidates.objectives) > 2 else _MEDIUM

    def rows(self, shown: np.ndarray) -> Any:
        """Return a view of the candidates for which ``shown`` is true."""
        from bokeh.models import CDSView, IndexFilter

        return CDSView(filter=IndexFilter(np.flatnonzero(shown).tolist()))


# ---- the numbers ---------------------------------------------------------------------------------


def _source(candidates: Candidates) -> ColumnDataSource:
    from bokeh.models import ColumnDataSource

    return ColumnDataSource(columns_of(candidates), name="candidates")


def columns_of(candidates: Candidates) -> dict[str, Any]:
    """Return the columns of the source that all figures share, with a row for each candidate.

    ``v0``, ``v1``, ... are the objectives. ``at0``, ... are the places of the candidates of one
    step beside each other, in the order of that objective. ``xs`` and ``ys`` are the lines of the
    parallel coordinates. ``predicted`` and ``achieved`` are falls of the validation loss. ``i0``,
    ... are the falls of the objectives in percent, and ``group`` is the row of the payoff.
    """
    looks = looks_of(candidates.applied)
    applied, accepted = candidates.applied, candidates.accepted
    columns: dict[str, Any] = {
        "number": list(range(len(candidates))),
        "step": candidates.steps.tolist(),
        "seconds": candidates.seconds.tolist(),
        "operator": applied,
        "colour": [looks[name]["color"] for name in applied],
        "marker": [MARKERS[looks[name]["marker"]] for name in applied],
        "size": np.where(accepted, 9, 6).tolist(),
    }
    columns["fill"] = [
        colour if into else "white"
        for colour, into in zip(columns["colour"], accepted, strict=True)
    ]
    for index, values in enumerate(candidates.values.T):
        columns[f"v{index}"] = values.tolist()
        columns[f"at{index}"] = _beside(candidates.steps, values).tolist()
    heights = _heights(candidates)
    columns["xs"] = [list(range(heights.shape[1]))] * len(candidates)
    columns["ys"] = heights.tolist()
    return {**columns, **_decided(candidates)}


def _beside(steps: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return where the candidates of a step stand, from the lowest value to the highest."""
    x = steps.astype(float)
    for step in np.unique(steps):
        members = np.flatnonzero((steps == step) & np.isfinite(values))
        ranked = members[np.argsort(values[members], kind="stable")]
        x[ranked] += _STEP * np.arange(len(ranked)) / max(len(ranked), 1)
    return x


def _reference(candidates: Candidates) -> np.ndarray:
    """Return the values that the axes of parallel coordinates span: of the front and the start."""
    shown = candidates.ok & (candidates.front | candidates.starts)
    if not shown.any():
        return np.zeros((1, len(candidates.objectives)))
    return candidates.values[shown]


def _heights(candidates: Candidates) -> np.ndarray:
    reference = _reference(candidates)
    wide = np.array([is_wide(column) for column in reference.T])
    return heights_of(candidates.values, reference.min(0), reference.max(0), wide)


def _decided(candidates: Candidates) -> dict[str, Any]:
    """Return the columns of the decisions; NaN where there was none, or its result is unknown."""
    unknown = [float("nan")] * len(candidates)
    columns: dict[str, Any] = {name: list(unknown) for name in ("group", "predicted", "achieved")}
    names = candidates.objectives
    columns.update({f"i{index}": list(unknown) for index in range(len(names))})
    paid = payoff([member.entry for member in candidates.members], _BY)
    group = {key: row for row, key in enumerate(paid.rows)}
    decided = [member.number for member in candidates.members if member.entry.step > 0]
    outcomes = decisions(member.entry for member in candidates.members)
    for number, outcome in zip(decided, outcomes, strict=True):
        columns["group"][number] = group[outcome.key(_BY)]
        columns["predicted"][number] = outcome.predicted
        columns["achieved"][number] = outcome.achieved
        improvement = outcome.improvement
        for index, name in enumerate(names):
            columns[f"i{index}"][number] = 100 * improvement.get(name, float("nan"))
    return columns


# ---- what the figures have in common -------------------------------------------------------------


def _figure(width: int, height: int, x: str, y: str, **options: Any) -> figure:
    """Return an empty figure with these labels."""
    from bokeh.models import PlainText
    from bokeh.plotting import figure

    plot = figure(
        width=width,
        height=height,
        tools="pan,box_zoom,wheel_zoom,reset",
        active_drag=None,
        active_scroll=None,
        toolbar_location="above",
        **options,
    )
    plot.toolbar.autohide = True
    plot.toolbar.logo = None
    for axis, label in ((plot.xaxis, x), (plot.yaxis, y)):
        axis.axis_label = PlainText(text=label)
        axis.axis_label_text_font_style = "normal"
    plot.grid.grid_line_alpha = 0.4
    return plot


def _clickable(plot: figure, drawing: _Drawing, renderers: Sequence[Any]) -> None:
    """Let the candidates of these renderers be chosen by a click, and say what they are."""
    from bokeh.models import HoverTool, TapTool

    tips = [("candidate", "@number"), ("step", "@step"), ("made by", "@operator")]
    for index, name in enumerate(drawing.candidates.objectives):
        tips.append((name, f"@v{index}{{0.[00000]}}"))
    plot.add_tools(TapTool(renderers=list(renderers)))
    plot.add_tools(HoverTool(renderers=list(renderers), tooltips=tips))


def _points(plot: figure, drawing: _Drawing, x: str, y: str, shown: np.ndarray) -> None:
    """Draw candidates as points: first those that were not accepted, then those that were."""
    accepted = drawing.candidates.accepted
    look = {"marker": "marker", "size": "size", "line_color": "colour", "fill_color": "fill"}
    renderers = []
    for rows in (shown & ~accepted, shown & accepted):
        if rows.any():
            renderer = plot.scatter(x, y, source=drawing.source, view=drawing.rows(rows), **look)
            _mark(renderer, size=14, line_color=INK, line_width=3)
            renderers.append(renderer)
    _clickable(plot, drawing, renderers)


def _mark(renderer: Any, **chosen: Any) -> None:
    """Draw the chosen candidate in this look, and the others as if nobody were chosen."""
    glyph = renderer.glyph.clone()
    glyph.update(**chosen)
    renderer.selection_glyph = glyph
    renderer.nonselection_glyph = renderer.glyph


def _scaled(values: np.ndarray, wanted: np.ndarray) -> dict[str, Any]:
    """Return range and kind of an axis that shows the values wanted; the others may leave it."""
    from bokeh.models import Range1d

    shown = values[wanted & np.isfinite(values)]
    if not len(shown):
        return {"range": Range1d(0, 1), "type": "linear"}
    low, high = float(shown.min()), float(shown.max())
    if low > 0 and is_wide(shown):
        margin = (high / low) ** 0.06
        return {"range": Range1d(low / margin, high * margin), "type": "log"}
    margin = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    return {"range": Range1d(low - margin, high + margin), "type": "linear"}


def _axes(x: Mapping[str, Any] | None, y: Mapping[str, Any] | None) -> dict[str, Any]:
    options = {}
    for name, scale in (("x", x), ("y", y)):
        if scale is not None:
            options[f"{name}_range"] = scale["range"]
            options[f"{name}_axis_type"] = scale["type"]
    return options


# ---- the front -----------------------------------------------------------------------------------


def _parallel(drawing: _Drawing) -> figure:
    """Draw a line for each candidate over the objectives, the lowest value of each below."""
    from bokeh.models import FixedTicker, PlainText, Range1d

    candidates = drawing.candidates
    count = len(candidates.objectives)
    ranges = {"x_range": Range1d(-0.35, count - 0.65), "y_range": Range1d(-0.14, 1.14)}
    plot = _figure(_WIDE, 320, "", "lower is better", **ranges)
    plot.grid.visible = False
    plot.yaxis.ticker = FixedTicker(ticks=[])
    plot.xaxis.ticker = FixedTicker(ticks=list(range(count)))
    plot.xaxis.major_label_overrides = {
        index: PlainText(text=label.removesuffix(" (minimised)"))
        for index, label in enumerate(candidates.labels)
    }
    plot.outline_line_color = plot.xaxis.axis_line_color = plot.yaxis.axis_line_color = None
    ends = list(range(count))
    plot.segment(ends, [0] * count, ends, [1] * count, line_color=INK)
    reference = _reference(candidates)
    for heights, bounds, base in ((0, reference.min(0), "top"), (1, reference.max(0), "bottom")):
        texts = [f"{value:.3g}" for value in bounds]
        place: dict[str, Any] = {"text_baseline": base, "y_offset": 4 if base == "top" else -4}
        style: dict[str, Any] = {"text_align": "center", "text_font_size": "11px"}
        plot.text(
            list(range(count)), [heights] * count, text=texts, text_color=INK, **place, **style
        )
    renderers = []
    front, starts, ok = candidates.front, candidates.starts, candidates.ok
    for rows, style in (
        (ok & ~front & ~starts, {"line_color": FAINT, "line_alpha": 0.25}),
        (ok & starts, {"line_color": INK, "line_dash": "dashed", "line_width": 1.5}),
        (front & ~starts, {"line_color": PALETTE[0], "line_width": 2, "line_alpha": 0.8}),
    ):
        if rows.any():
            lines = plot.multi_line(
                "xs", "ys", source=drawing.source, view=drawing.rows(rows), **style
            )
            _mark(lines, line_color=PALETTE[5], line_width=4, line_alpha=1)
            renderers.append(lines)
    _clickable(plot, drawing, renderers)
    return plot


def _pair(drawing: _Drawing, x: int, y: int) -> figure:
    """Draw candidates by two objectives, those of the front in their colour."""
    from bokeh.models import NoOverlap

    candidates = drawing.candidates
    wanted = candidates.front | candidates.starts | (candidates.ok & candidates.accepted)
    scales = _axes(*(_scaled(candidates.values[:, index], wanted) for index in (x, y)))
    plot = _figure(drawing.width, 290, candidates.labels[x], candidates.labels[y], **scales)
    plot.xaxis.major_label_policy = NoOverlap()  # a small range has long numbers
    front = candidates.values[candidates.front]
    plot.scatter(front[:, x], front[:, y], size=17, fill_color="#F0E442", line_color=None)
    _points(plot, drawing, f"v{x}", f"v{y}", candidates.ok)
    return plot


# ---- the course of the search --------------------------------------------------------------------


def _course(drawing: _Drawing, index: int, over: str) -> figure:
    """Draw an objective over the steps or the seconds of the search, with a line for its best."""
    candidates = drawing.candidates
    values = candidates.values[:, index]
    near = candidates.accepted | (values <= top_of(values, candidates.accepted))
    scale = _axes(None, _scaled(values, near))
    plot = _figure(drawing.width, 290, over, candidates.labels[index], **scale)
    x = candidates.steps if over == "step" else candidates.seconds
    plot.step(x, _best(candidates, values), mode="after", line_color=INK, line_width=1.2)
    _points(plot, drawing, over, f"v{index}", candidates.ok)
    return plot


def _best(candidates: Candidates, values: np.ndarray) -> np.ndarray:
    """Return the value of the incumbent, or in a population the lowest so far."""
    if not candidates.climbs:
        return np.fmin.accumulate(values)
    last = np.maximum.accumulate(np.where(candidates.accepted, np.arange(len(values)), 0))
    return values[last]


# ---- the decisions -------------------------------------------------------------------------------


def _promise(drawing: _Drawing) -> list[figure]:
    """Draw the achieved fall of the loss over the predicted one; nothing without predictions."""
    predicted, achieved = (
        np.array(drawing.source.data[name]) for name in ("predicted", "achieved")
    )
    shown = np.isfinite(predicted) & np.isfinite(achieved)
    if not shown.any():
        return []
    scales = _axes(_scaled(predicted, shown), _scaled(achieved, shown))
    texts = "predicted fall of the loss", "achieved, with the training that came with it"
    plot = _figure(_MEDIUM, 340, *texts, **scales)
    ends = [min(predicted[shown].min(), 0.0), predicted[shown].max()]
    plot.line(ends, ends, line_color=FAINT, line_dash="dashed")
    _points(plot, drawing, "predicted", "achieved", shown)
    return [plot]


def _improved(drawing: _Drawing) -> list[figure]:
    """Draw the fall of each objective by group of decisions, a row for each group."""
    from bokeh.models import FixedTicker, PlainText, Range1d

    paid = payoff([member.entry for member in drawing.candidates.members], _BY)
    names = [" ".join(part for part in group if part) for group in paid.rows]
    group = np.array(drawing.source.data["group"])
    drawn = []
    for index, label in enumerate(drawing.candidates.labels):
        falls = np.array(drawing.source.data[f"i{index}"])
        shown = np.isfinite(falls) & np.isfinite(group)
        if not shown.any():
            continue
        reach = min(100.0, 1.1 * float(np.abs(falls[shown]).max()) or 1.0)
        ranges = {
            "x_range": Range1d(-reach, reach),
            "y_range": Range1d(len(names) - 0.4, -0.6),
        }
        text = label.removesuffix(" (minimised)") + ", % better"
        plot = _figure(640, 110 + 24 * len(names), text, "", **ranges)
        plot.yaxis.ticker = FixedTicker(ticks=list(range(len(names))))
        plot.yaxis.major_label_overrides = {
            row: PlainText(text=name) for row, name in enumerate(names)
        }
        plot.line([0, 0], [-1, len(names)], line_color=FAINT)
        objective = drawing.candidates.objectives[index]
        means = [100 * paid.improvement(key).get(objective, np.nan) for key in paid.rows]
        bar: dict[str, Any] = {"marker": "dash", "angle": np.pi / 2, "size": 20, "line_width": 2}
        plot.scatter(means, list(range(len(names))), line_color=INK, **bar)
        _points(plot, drawing, f"i{index}", "group", shown)
        drawn.append(plot)
    return drawn


# ---- the genealogy -------------------------------------------------------------------------------


def _genealogy(drawing: _Drawing, index: int) -> figure:
    """Draw candidates by step and objective with lines from what they were made of.

    Sources of their own, ``way0`` and ``donors0``, ..., are the lines to the chosen candidate. The
    script of the page fills them.
    """
    from bokeh.models import ColumnDataSource

    candidates = drawing.candidates
    values, x = candidates.values[:, index], np.array(drawing.source.data[f"at{index}"])
    near = candidates.accepted | (values <= top_of(values, candidates.accepted))
    plot = _figure(
        _WIDE, 380, "step", candidates.labels[index], **_axes(None, _scaled(values, near))
    )
    lines: dict[str, list[list[float]]] = {"xs": [], "ys": []}
    for member in candidates.members:
        if member.host is not None and member.entry.accepted:
            ends = [member.host, member.number]
            lines["xs"].append(x[ends].tolist())
            lines["ys"].append(values[ends].tolist())
    plot.multi_line(lines["xs"], lines["ys"], line_color=FAINT, line_alpha=0.5, line_width=0.8)
    way = ColumnDataSource({"x": [], "y": []}, name=f"way{index}")
    plot.line("x", "y", source=way, line_color=INK, line_width=2.5, line_alpha=0.75)
    donors = ColumnDataSource({"xs": [], "ys": []}, name=f"donors{index}")
    plot.multi_line("xs", "ys", source=donors, line_color=INK, line_dash="dashed", line_width=1.5)
    _points(plot, drawing, f"at{index}", f"v{index}", candidates.ok)
    return plot
