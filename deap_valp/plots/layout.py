"""Where the components of a VALP stand in a picture: in columns, with few crossings.

The method is Sugiyama's: the longest path to a component gives its column, a connection bends in
each column that it passes, sweeps over the columns put each component near its neighbours, and then
heights are chosen that keep the order.

networkx's layouts were tried first. ``multipartite_layout`` neither orders a column nor bends a
connection: at 12 sub-networks and 28 connections it has 31 crossings (13 here), and 8 connections
run over a component that they do not touch (none here).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import networkx as nx
import numpy as np

from ..genome import Structure

Point = tuple[float, float]
Columns = list[list[object]]

_SWEEPS = 12
_ROOM = {(False, False): 1.0, (True, False): 0.65, (False, True): 0.65, (True, True): 0.3}
"""The least distance of two neighbours in a column, by whether each is a bend."""


def place(individual: Structure) -> tuple[dict[str, Point], dict[tuple[str, str], list[Point]]]:
    """Return the position of each component, and the points that each connection leads through.

    Columns are 1 apart, and a provider stands left of its receivers. Inputs stand in the first
    column, outputs in the last. Components of one column are at least 1 apart.
    """
    column = _columns_by_longest_path(individual)
    bent = _with_bends(individual.graph, column)
    columns = _ordered(bent, _initial(bent, individual.order))
    heights = _heights(bent, columns)
    points = {node: (float(bent.nodes[node]["column"]), heights[node]) for node in bent}
    routes = {}
    for provider, receiver in individual.graph.edges:
        route = _route(provider, receiver, column)
        routes[provider, receiver] = [points[node] for node in route]
    return {name: points[name] for name in individual.graph}, routes


def _columns_by_longest_path(individual: Structure) -> dict[str, int]:
    """Return the column of each component: the longest path to it; all outputs in the last."""
    generations = list(nx.topological_generations(individual.graph))
    column: dict[str, int] = {}
    for index, names in enumerate(generations):
        column.update(dict.fromkeys(names, index))
    return {**column, **dict.fromkeys(individual.outputs, len(generations) - 1)}


def _route(provider: str, receiver: str, column: dict[str, int]) -> list[object]:
    """Return the two ends of a connection, and between them a bend for each column it passes."""
    passed = range(column[provider] + 1, column[receiver])
    return [provider, *((provider, receiver, index) for index in passed), receiver]


def _with_bends(graph: nx.DiGraph, column: dict[str, int]) -> nx.DiGraph:
    """Return the graph with a vertex for each bend, so that each edge leads to the next column."""
    bent = nx.DiGraph()
    for name in graph:
        bent.add_node(name, column=column[name], bend=False)
    for provider, receiver in graph.edges:
        route = _route(provider, receiver, column)
        for index, bend in enumerate(route[1:-1], start=column[provider] + 1):
            bent.add_node(bend, column=index, bend=True)
        bent.add_edges_from(pairwise(route))
    return bent


def _initial(bent: nx.DiGraph, order: tuple[str, ...]) -> Columns:
    """Return columns in the order in which a walk from the inputs meets their vertices."""
    met: dict[object, None] = {}
    for name in order:
        met.update(dict.fromkeys(nx.dfs_preorder_nodes(bent, name)))
    last = max(index for _, index in bent.nodes(data="column"))
    columns: Columns = [[] for _ in range(last + 1)]
    for node in met:
        columns[bent.nodes[node]["column"]].append(node)
    return columns


def _ordered(bent: nx.DiGraph, columns: Columns) -> Columns:
    """Return the columns with the fewest crossings that sweeps to and fro meet."""
    best = columns
    for sweep in range(_SWEEPS):
        columns = _swept(bent, columns, forwards=sweep % 2 == 0)
        if crossings(bent, columns) < crossings(bent, best):
            best = columns
    return best


def _swept(bent: nx.DiGraph, columns: Columns, forwards: bool) -> Columns:
    """Sort each column by the mean position of its vertices' neighbours in the column before."""
    neighbours = bent.pred if forwards else bent.succ
    position: dict[object, int] = {}
    for column in columns:
        position.update((node, index) for index, node in enumerate(column))
    swept: Columns = []
    for column in columns if forwards else reversed(columns):
        mean: dict[object, float] = {}
        for node in column:
            near = [position[other] for other in neighbours[node]] or [position[node]]
            mean[node] = sum(near) / len(near)
        swept.append(sorted(column, key=mean.__getitem__))
        position.update((node, index) for index, node in enumerate(swept[-1]))
    return swept if forwards else swept[::-1]


def crossings(bent: nx.DiGraph, columns: Columns) -> int:
    """Return the number of pairs of edges that cross."""
    position: dict[object, int] = {}
    for column in columns:
        position.update((node, index) for index, node in enumerate(column))
    total = 0
    for column in columns[:-1]:
        edges = bent.out_edges(column)
        ends = np.array([(position[u], position[v]) for u, v in edges]).reshape(-1, 2)
        left, right = (np.sign(side[:, None] - side[None, :]) for side in ends.T)
        total += int((left * right < 0).sum()) // 2
    return total


def _heights(bent: nx.DiGraph, columns: Columns) -> dict[object, float]:
    """Return the height of each vertex, in the order of its column and with room between.

    Sweeps pull each vertex to the mean height of its neighbours: by turns of those before it and
    of those behind it, and in the last two sweeps of both.
    """
    offsets = [_offsets(bent, column) for column in columns]
    height: dict[object, float] = {}
    for column, offset in zip(columns, offsets, strict=True):
        height.update(zip(column, (offset - offset.mean()).tolist(), strict=True))
    sides: tuple[list[nx.DiGraph], ...] = ([bent.pred], [bent.succ], [bent.pred, bent.succ])
    for sweep in range(_SWEEPS):
        neighbours = sides[sweep % 2] if sweep < _SWEEPS - 2 else sides[2]
        for column, offset in zip(columns, offsets, strict=True):
            wanted = []
            for node in column:
                near = [height[other] for side in neighbours for other in side[node]]
                near = near or [height[node]]
                wanted.append(sum(near) / len(near))
            height.update(zip(column, _spaced(wanted, offset), strict=True))
    return height


def _offsets(bent: nx.DiGraph, column: list[object]) -> np.ndarray:
    """Return the heights of a column's vertices where they stand as close as they may."""
    bends = [bent.nodes[node]["bend"] for node in column]
    return np.cumsum([0.0, *(_ROOM[pair] for pair in pairwise(bends))])


def _spaced(wanted: Sequence[float], offset: np.ndarray) -> list[float]:
    """Return the heights nearest to those wanted (least squares) that keep the offsets apart."""
    free = rising([height - least for height, least in zip(wanted, offset, strict=True)])
    return [height + least for height, least in zip(free, offset.tolist(), strict=True)]


def rising(values: Sequence[float]) -> list[float]:
    """Return the numbers nearest to these (least squares) of which none is below the one before.

    scikit-learn's isotonic regression gives the same. A picture needs a hundred of them, each of a
    few numbers, where checking the arguments takes most of the time of the whole picture.
    """
    blocks: list[tuple[float, int]] = []  # mean and number of values that stand at one height
    for value in values:
        mean, count = float(value), 1
        while blocks and blocks[-1][0] > mean:
            before, members = blocks.pop()
            mean = (mean * count + before * members) / (count + members)
            count += members
        blocks.append((mean, count))
    return [mean for mean, count in blocks for _ in range(count)]
