"""The picture of a VALP: its components, its connections, and what each output owns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ..arguments import need_type
from ..genome import KINDS, VALP, Component, Connection, Structure, SubNetwork
from .layout import Point, place
from .style import (
    INK,
    SHARED,
    THRESHOLDS,
    AllThresholds,
    colours_of,
    darker,
    figure_of,
    ink_on,
    legend_beside,
    markers_of,
    note,
    number,
    panel,
    thresholds_of,
    weight_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.path import Path

# Points of a column, a row and a sub-network's radius where fonts have full size.
_COLUMN, _ROW, _RADIUS = 74.0, 58.0, 12.0
_LEVEL = 0.28  # columns for a sub-network's border and the arrowhead before it
_LAYERS_A_LINE, _NUMBERS_A_LINE = 4, 3
_MARKER_SIZES = {"D": 0.8, "s": 0.9, "p": 1.1}  # so that all look equally large
_BACKGROUND: dict[str, Any] = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none"}


@dataclass(frozen=True)
class Graph:
    """What ``plot_valp`` draws.

    Attributes:
        positions: By component, its column and height. Inputs stand in column 0, outputs in the
            last one, providers left of their receivers.
        routes: By connection, the points it leads through; the ends are the positions of its
            components.
        owners: By sub-network, the output in whose exclusive subgraph it is (only that output can
            be reached from it); None for a sub-network of several outputs.
        kinds: By sub-network, the name of its kind.
        widths: By component, as text: the features of an input, the layers of a sub-network, the
            head of an output.
        relevance: By (sub-network, output that it reaches); empty without a diagnosis of this
            individual.
        outputs: Names of the outputs, in their order.
    """

    positions: dict[str, Point]
    routes: dict[str, list[Point]]
    owners: dict[str, str | None]
    kinds: dict[str, str]
    widths: dict[str, str]
    relevance: Mapping[tuple[str, str], float]
    outputs: tuple[str, ...]


def valp_data(individual: Structure) -> Graph:
    """Return where the components of an individual stand, what they are and whom they serve."""
    need_type(individual, Structure, "this plot", "individual as a VALP")
    positions, routes = place(individual)
    evaluation = individual.evaluation if isinstance(individual, VALP) else None
    relevance: Mapping[tuple[str, str], float] = {}
    if evaluation is not None and evaluation.diagnosis is not None:
        relevance = evaluation.diagnosis.relevance
    owners: dict[str, str | None] = dict.fromkeys(individual.networks)
    for output in individual.outputs:
        owners.update(dict.fromkeys(individual.exclusive(output), output))
    return Graph(
        positions=positions,
        routes={Connection(*pair): points for pair, points in routes.items()},
        owners=owners,
        kinds={name: individual.component(name).kind for name in individual.networks},
        widths={name: _widths(individual.component(name)) for name in individual.graph},
        relevance=relevance,
        outputs=individual.outputs,
    )


def _widths(component: Component) -> str:
    """Return the widths of the layers from first to last, four to a line, after the latent's."""
    if not isinstance(component, SubNetwork):
        return str(component.width)
    widths = [str(width) for width in component.widths()]
    lines = []
    for start in range(0, len(widths), _LAYERS_A_LINE):
        lines.append("-".join(widths[start : start + _LAYERS_A_LINE]))
    text = "-\n".join(lines)
    if component.drawn is not None:
        latent, _ = component.drawn
        text = f"z{latent.dim}: {text}"
    return text


@dataclass(frozen=True)
class _Pen:
    """Where a graph is drawn and how.

    Attributes:
        ax: Where.
        graph: What.
        colour: By output.
        size: Of fonts and markers: 1 where there is room, less in a small axes.
    """

    ax: Axes
    graph: Graph
    colour: Mapping[str, str]
    size: float

    def colour_of(self, name: str) -> str:
        """Return the colour of the output that a component belongs to, grey for a shared one."""
        owner = self.graph.owners.get(name, name)  # an output is its own
        return SHARED if owner is None else self.colour[owner]

    def radius(self, name: str) -> float:
        """Return the points from the position of a receiver to its border."""
        if name in self.graph.kinds:
            return _RADIUS * self.size
        return 0.0

    @property
    def markers(self) -> dict[str, str]:
        """The marker of each kind; kinds that are not registered follow the others."""
        return markers_of([*KINDS, *self.graph.kinds.values()])


def plot_valp(
    individual: VALP, ax: Axes | None = None, thresholds: AllThresholds = THRESHOLDS
) -> Figure:
    """Draw an individual: inputs left, outputs right, providers left of their receivers.

    The shape of a sub-network is its kind. Its colour is the output that alone can be reached from
    it, or grey where there are several; so the parts of one colour are exclusive subgraphs. Below
    it stand the widths of its layers (after ``z5``: a latent of 5 dimensions) and, where the
    individual has a diagnosis, its relevance for each output that it reaches, in the output's
    colour.

    Args:
        individual: What to draw. It is not changed.
        ax: Where to draw; by default a new figure that grows with the individual.
        thresholds: Above which a relevance is bold; one for all outputs, or by output.

    References:
        Paper III, Fig. 1 and 2.
    """
    graph = valp_data(individual)
    heights = [y for route in graph.routes.values() for _, y in route]
    last, top, bottom = max(x for x, _ in graph.positions.values()), max(heights), min(heights)
    columns, rows = last + 1, top - bottom + 1
    fits = ax is None
    ax = panel(ax, width=2.2 + columns * _COLUMN / 72, height=1.0 + max(rows, 2) * _ROW / 72)
    ax.set_axis_off()
    ax.set(xlim=(-0.3, last + _box_width(graph.outputs)), ylim=(bottom - 0.6, top + 0.4))
    pen = _Pen(ax, graph, colours_of(graph.outputs), 1.0 if fits else _size(ax, columns, rows))
    _draw_connections(pen)
    _draw_networks(pen)
    _draw_ports(pen, individual.inputs)
    _draw_relevance(pen, thresholds)
    networks = "1 sub-network" if len(graph.kinds) == 1 else f"{len(graph.kinds)} sub-networks"
    ax.set_title(f"{networks}, {individual.weight_count:,} weights", fontsize=10)
    _draw_legend(pen)
    return figure_of((ax,))


def _box_width(names: tuple[str, ...]) -> float:
    """Return the columns that the widest name takes in its box: the legend starts behind it."""
    return (20 + 5.5 * max(map(len, names))) / _COLUMN


def _size(ax: Axes, columns: float, rows: float) -> float:
    """Return 1 where an axes has room for so many columns and rows, less where it has not."""
    box = ax.get_window_extent().transformed(ax.figure.dpi_scale_trans.inverted())
    room = min(72 * box.width / columns / _COLUMN, 72 * box.height / rows / _ROW)
    return float(min(1.0, max(0.4, room)))


def _draw_connections(pen: _Pen) -> None:
    from matplotlib.patches import PathPatch

    for name, route in pen.graph.routes.items():
        colour = pen.colour_of(Connection.parse(name).receiver)
        line = PathPatch(
            curve_of(route), facecolor="none", edgecolor=colour, linewidth=1.3 * pen.size, zorder=1
        )
        pen.ax.add_patch(line)
    for name in [*pen.graph.kinds, *pen.graph.outputs]:
        _draw_arrowhead(pen, name)


def curve_of(route: Sequence[Point], level: float = _LEVEL) -> Path:
    """Return a smooth line that is level at each point of the route.

    It is straight for the last bit, where the arrowhead comes.

    Args:
        route: The points.
        level: The length of that bit.
    """
    from matplotlib.path import Path

    *before, (end_x, end_y) = route
    vertices = [route[0]]
    for (x, y), (next_x, next_y) in pairwise([*before, (end_x - level, end_y)]):
        vertices += [((x + next_x) / 2, y), ((x + next_x) / 2, next_y), (next_x, next_y)]
    codes = [Path.MOVETO] + [Path.CURVE4] * (len(vertices) - 1) + [Path.LINETO]
    return Path([*vertices, (end_x, end_y)], codes)


def _draw_arrowhead(pen: _Pen, receiver: str) -> None:
    """Draw one arrowhead for all connections of a receiver, which meet at its left.

    Its length is in points, as the border's is, so that the two touch at any size of the figure.
    """
    arrow = {
        "arrowstyle": "-|>",
        "mutation_scale": 9 * pen.size,
        "shrinkA": 0,
        "shrinkB": pen.radius(receiver),
        "color": pen.colour_of(receiver),
    }
    start = (-pen.radius(receiver) - 7 * pen.size, 0)
    pen.ax.annotate(
        "",
        pen.graph.positions[receiver],
        start,
        textcoords="offset points",
        arrowprops=arrow,
        zorder=2,
    )


def _draw_networks(pen: _Pen) -> None:
    markers = pen.markers
    for name, kind in pen.graph.kinds.items():
        x, y = pen.graph.positions[name]
        fill = pen.colour_of(name)
        side = 2 * _RADIUS * pen.size * _MARKER_SIZES.get(markers[kind], 1.0)
        pen.ax.plot(x, y, markers[kind], markersize=side, color=fill, markeredgecolor=INK, zorder=3)
        pen.ax.text(
            x,
            y,
            name,
            ha="center",
            va="center_baseline",
            fontsize=8 * pen.size,
            color=ink_on(fill),
            zorder=4,
        )
        _write_below(pen, name, pen.graph.widths[name], _RADIUS + 4)


def _write_below(pen: _Pen, name: str, text: str, points: float) -> None:
    pen.ax.annotate(
        text,
        pen.graph.positions[name],
        (0, -points * pen.size),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize=6.5 * pen.size,
        color=INK,
        bbox={**_BACKGROUND, "pad": 0.5},
        zorder=4,
    )


def _draw_ports(pen: _Pen, inputs: tuple[str, ...]) -> None:
    for name in inputs:
        _draw_port(pen, name, "white", points=-4, side="right")
    for name in pen.graph.outputs:
        _draw_port(pen, name, pen.colour_of(name), points=4, side="left")


def _draw_port(pen: _Pen, name: str, fill: str, points: float, side: str) -> None:
    pen.ax.annotate(
        f"{name}\n{pen.graph.widths[name]}",
        pen.graph.positions[name],
        (points * pen.size, 0),
        textcoords="offset points",
        ha=side,
        va="center",
        multialignment="center",
        fontsize=8 * pen.size,
        color=ink_on(fill),
        bbox={"boxstyle": "round,pad=0.35", "facecolor": fill, "edgecolor": INK},
        zorder=3,
    )


def _draw_relevance(pen: _Pen, thresholds: AllThresholds) -> None:
    from matplotlib.offsetbox import AnnotationBbox, HPacker, VPacker

    looks: dict[str, Any] = {"boxcoords": "offset points", "box_alignment": (0.5, 1.0), "pad": 0.1}
    for name in pen.graph.kinds:
        numbers = _relevance_of(pen, name, thresholds)
        lines: list[Any] = []
        for start in range(0, len(numbers), _NUMBERS_A_LINE):
            children = numbers[start : start + _NUMBERS_A_LINE]
            lines.append(HPacker(children=children, pad=0, sep=4 * pen.size))
        if lines:
            above = 1 + pen.graph.widths[name].count("\n")
            below = (0, -(_RADIUS + 6 + 8 * above) * pen.size)
            block = VPacker(children=lines, align="center", pad=0, sep=1.5 * pen.size)
            place = pen.graph.positions[name], below
            pen.ax.add_artist(AnnotationBbox(block, *place, bboxprops=_BACKGROUND, **looks))


def _relevance_of(pen: _Pen, name: str, thresholds: AllThresholds) -> list[Any]:
    """Return a text for each output that a sub-network reaches."""
    from matplotlib.offsetbox import TextArea

    numbers = []
    for output in pen.graph.outputs:
        value = pen.graph.relevance.get((name, output))
        if value is None:
            continue
        weight = weight_of(value > thresholds_of(thresholds, output).limit())
        style = {
            "fontsize": 6.5 * pen.size,
            "color": darker(pen.colour[output]),
            "fontweight": weight,
        }
        numbers.append(TextArea(number(value), textprops=style))
    return numbers


def _draw_legend(pen: _Pen) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles: list[Any] = []
    for kind, marker in pen.markers.items():
        if kind in pen.graph.kinds.values():
            side = 9 * _MARKER_SIZES.get(marker, 1.0)
            look: dict[str, Any] = {"color": "white", "markeredgecolor": INK, "markersize": side}
            handles.append(Line2D([], [], marker=marker, linestyle="", label=kind, **look))
    owners = set(pen.graph.owners.values())
    for output in pen.graph.outputs:
        if output in owners:
            colour = pen.colour[output]
            handles.append(Patch(facecolor=colour, edgecolor=INK, label=f"only for {output}"))
    if None in owners:
        handles.append(Patch(facecolor=SHARED, edgecolor=INK, label="for several outputs"))
    handles.append(note("8-16: widths of layers"))
    if pen.graph.relevance:
        handles.append(note("1.50: relevance for the output\nof its colour, bold: relevant"))
    legend_beside(pen.ax, handles=handles)
