"""The picture of a VALP as a text in SVG, for notebooks and for pages of results.

It shows what ``plot_valp`` shows, at a fiftieth of the time and the bytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from ..genome import KINDS, Connection, Structure
from ..genome.display import painter
from .graph import Graph, curve_of, valp_data
from .layout import Point
from .style import (
    INK,
    SHARED,
    THRESHOLDS,
    AllThresholds,
    colours_of,
    darker,
    ink_on,
    markers_of,
    number,
    thresholds_of,
)

if TYPE_CHECKING:
    from matplotlib.path import Path

# Pixels of a column, of a row, of a sub-network's radius, of a line and of a letter of small text.
_COLUMN, _ROW, _RADIUS, _LINE, _LETTER = 92, 68, 14, 10, 6.0
_ARROW = 8
_SIDES = {"D": 0.72, "s": 0.9}  # so that all markers look equally large
_NUMBERS_A_LINE = 3


@painter
def valp_svg(individual: Structure, thresholds: AllThresholds = THRESHOLDS) -> str:
    """Return a picture of an individual in SVG, as ``plot_valp`` draws it.

    Names are escaped, so that whatever a user calls an output is text in the picture.

    Args:
        individual: What to draw, or anything that has its graph. It is not changed.
        thresholds: Above which a relevance is bold; one for all outputs, or by output.
    """
    canvas = _Canvas.of(valp_data(individual), individual.inputs)
    body = [
        *_connections(canvas),
        *(_network(canvas, name, thresholds) for name in canvas.graph.kinds),
        *_ports(canvas, individual.inputs),
        *_legend(canvas),
    ]
    width, height = canvas.size
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" font-family="sans-serif" font-size="11" '
        f'text-anchor="middle" role="img">{"".join(body)}</svg>'
    )


@dataclass(frozen=True)
class _Canvas:
    """Where a graph is drawn, in pixels.

    Attributes:
        graph: What is drawn.
        colour: By output.
        left: Of the first column.
        top: Of the highest row.
        highest: The height of the highest row.
        size: Width and height of the picture.
        shapes: By kind of sub-network, the element of its outline around 0.
    """

    graph: Graph
    colour: dict[str, str]
    left: float
    top: float
    highest: float
    size: Point
    shapes: dict[str, str]

    @classmethod
    def of(cls, graph: Graph, inputs: tuple[str, ...]) -> _Canvas:
        heights = [y for route in graph.routes.values() for _, y in route]
        last = max(x for x, _ in graph.positions.values())
        left, right = (12 + _box_width(names) for names in (inputs, graph.outputs))
        legend = 12 + 11 * (_LETTER + 4) * (1 + len(set(graph.kinds.values())))
        width = max(left + last * _COLUMN + right, legend)
        height = 30 + (max(heights) - min(heights)) * _ROW + 82
        markers = markers_of([*KINDS, *graph.kinds.values()])
        shapes = {kind: _outline(markers[kind]) for kind in dict.fromkeys(graph.kinds.values())}
        colour = colours_of(graph.outputs)
        return cls(graph, colour, left, 30.0, max(heights), (width, height), shapes)

    def place(self, point: Point) -> Point:
        """Return the pixels of a point of the layout."""
        return self.left + point[0] * _COLUMN, self.top + (self.highest - point[1]) * _ROW

    def position(self, name: str) -> Point:
        """Return the pixels of a component."""
        return self.place(self.graph.positions[name])

    def colour_of(self, name: str) -> str:
        """Return the colour of the output that a component belongs to, grey for a shared one."""
        owner = self.graph.owners.get(name, name)  # an output is its own
        return SHARED if owner is None else self.colour[owner]


def _box_width(names: tuple[str, ...]) -> float:
    return 14 + 6.6 * max(map(len, names))


# ---- paths ---------------------------------------------------------------------------------------


def _path_data(path: Path, digits: int = 1) -> str:
    """Return a path of matplotlib's as the attribute ``d`` of one in SVG."""
    letters = {path.MOVETO: "M", path.LINETO: "L", path.CURVE4: "C", path.CLOSEPOLY: "Z"}
    parts = []
    for points, code in path.iter_segments(simplify=False):
        numbers = (
            "" if code == path.CLOSEPOLY else " ".join(f"{value:.{digits}f}" for value in points)
        )
        parts.append(letters[code] + numbers)
    return "".join(parts)


def _outline(marker: str) -> str:
    """Return the element, without its colours, of one of matplotlib's markers around 0."""
    if marker == "o":
        return f'circle r="{_RADIUS}"'
    from matplotlib.markers import MarkerStyle
    from matplotlib.transforms import Affine2D

    style = MarkerStyle(marker)
    side = 2 * _RADIUS * _SIDES.get(marker, 1.0)
    outline = style.get_path().transformed(style.get_transform())
    return f'path d="{_path_data(outline.transformed(Affine2D().scale(side, -side)))}"'


def marker_svg(marker: str, colour: str) -> str:
    """Return one of matplotlib's markers as a small picture, for a legend in HTML."""
    side = 2 * _RADIUS + 6
    return (
        f'<svg viewBox="{-side / 2} {-side / 2} {side} {side}" width="14" height="14">'
        f'<{_outline(marker)} fill="{colour}"/></svg>'
    )


# ---- parts ---------------------------------------------------------------------------------------


def _connections(canvas: _Canvas) -> list[str]:
    """Return one path for all connections of a colour, and the arrowheads."""
    routes: dict[str, list[str]] = {}
    for name, route in canvas.graph.routes.items():
        path = curve_of([canvas.place(point) for point in route], level=0.28 * _COLUMN)
        colour = canvas.colour_of(Connection.parse(name).receiver)
        routes.setdefault(colour, []).append(_path_data(path, digits=0))
    drawn = []
    for colour, data in routes.items():
        drawn.append(
            f'<path d="{"".join(data)}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        )
    for name in [*canvas.graph.kinds, *canvas.graph.outputs]:
        x, y = canvas.position(name)
        tip = x - (_RADIUS if name in canvas.graph.kinds else 0)
        arrow = f"M{tip:.0f} {y:.0f}l-{_ARROW}-4v8z"
        drawn.append(f'<path d="{arrow}" fill="{canvas.colour_of(name)}"/>')
    return drawn


def _network(canvas: _Canvas, name: str, thresholds: AllThresholds) -> str:
    x, y = canvas.position(name)
    fill = canvas.colour_of(name)
    lines = [escape(line) for line in canvas.graph.widths[name].split("\n")]
    lines += _relevance(canvas, name, thresholds)
    below = []
    for row, line in enumerate(lines):
        below.append(f'<text y="{_RADIUS + 11 + _LINE * row}">{line}</text>')
    return (
        f'<g transform="translate({x:.0f} {y:.0f})">'
        f'<{canvas.shapes[canvas.graph.kinds[name]]} fill="{fill}" stroke="{INK}"/>'
        f'<text y="4" fill="{ink_on(fill)}">{escape(name)}</text>'
        f'<g font-size="9" stroke="white" stroke-width="3" paint-order="stroke" fill="{INK}">'
        f"{''.join(below)}</g></g>"
    )


def _relevance(canvas: _Canvas, name: str, thresholds: AllThresholds) -> list[str]:
    """Return a line for every three outputs that a sub-network reaches."""
    from matplotlib.colors import to_hex

    numbers = []
    for output in canvas.graph.outputs:
        value = canvas.graph.relevance.get((name, output))
        if value is not None:
            bold = value > thresholds_of(thresholds, output).limit()
            weight = ' font-weight="bold"' if bold else ""
            fill = to_hex(darker(canvas.colour[output]))
            numbers.append(f'<tspan fill="{fill}"{weight}>{number(value)}</tspan>')
    starts = range(0, len(numbers), _NUMBERS_A_LINE)
    return [" ".join(numbers[start : start + _NUMBERS_A_LINE]) for start in starts]


def _ports(canvas: _Canvas, inputs: tuple[str, ...]) -> list[str]:
    drawn = []
    for names, fixed, side in ((inputs, "white", -1), (canvas.graph.outputs, None, 1)):
        width = _box_width(names)
        for name in names:
            x, y = canvas.position(name)
            fill = fixed or canvas.colour[name]
            edge = x - width if side < 0 else x
            drawn.append(
                f'<g transform="translate({edge:.0f} {y:.0f})" fill="{ink_on(fill)}">'
                f'<rect y="-17" width="{width:.0f}" height="34" rx="5" fill="{fill}" '
                f'stroke="{INK}"/><text x="{width / 2:.0f}" y="-3">{escape(name)}</text>'
                f'<text x="{width / 2:.0f}" y="11" font-size="9">'
                f"{escape(canvas.graph.widths[name])}</text></g>"
            )
    return drawn


def _legend(canvas: _Canvas) -> list[str]:
    """Return a line below the graph that names the kinds and the colour of what is shared."""
    x, y = 16.0, canvas.size[1] - 14
    drawn = []
    entries = [(outline, "white", kind) for kind, outline in canvas.shapes.items()]
    if None in canvas.graph.owners.values():
        entries.append(('path d="M-10-10h20v20h-20z"', SHARED, "for several outputs"))
    for outline, fill, text in entries:
        drawn.append(
            f'<g transform="translate({x:.0f} {y:.0f})"><{outline} transform="scale(.5)" '
            f'fill="{fill}" stroke="{INK}" stroke-width="2"/>'
            f'<text x="12" y="4" text-anchor="start">{escape(text)}</text></g>'
        )
        x += 34 + 6.4 * len(text)
    return drawn
