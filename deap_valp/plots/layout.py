"""Where the components of a VALP stand in a picture: in columns, with few crossings.

Sugiyama's method: columns by the longest path, bends where a connection passes a column, sweeps
that put each component near its neighbours in the next column, then heights that keep the order.
"""

from __future__ import annotations

from itertools import pairwise

import networkx as nx
import numpy as np

from ..genome import VALP

Point = tuple[float, float]
Columns = list[list[object]]

_SWEEPS = 12
_ROOM = {(False, False): 1.0, (True, False): 0.65, (False, True): 0.65, (True, True): 0.3}
"""Least distance of two neighbours in a column, by whether each is a bend."""


def place(individual: VALP) -> tuple[dict[str, Point], dict[tuple[str, str], list[Point]]]:
    """Position of each component, and the points that each connection leads through.

    Columns are 1 apart and providers left of their receivers; inputs stand in the first, outputs in
    the last. Components of one column are at least 1 apart.
    """
    column = _columns_by_longest_path(individual)
    bent = _with_bends(individual.graph, column)
    columns = _ordered(bent, _initial(bent, individual.order))
    heights = _heights(bent, columns)
    points = {node: (float(bent.nodes[node]["column"]), heights[node]) for node in bent}
    routes = {
        (provider, receiver): [points[node] for node in _route(provider, receiver, column)]
        for provider, receiver in individual.graph.edges
    }
    return {name: points[name] for name in individual.graph}, routes


def _columns_by_longest_path(individual: VALP) -> dict[str, int]:
    """Column of each component: the longest path to it; outputs all in the last."""
    generations = list(nx.topological_generations(individual.graph))
    column = {name: number for number, names in enumerate(generations) for name in names}
    return {**column, **dict.fromkeys(individual.outputs, len(generations) - 1)}


def _route(provider: str, receiver: str, column: dict[str, int]) -> list[object]:
    """The two ends of a connection, and between them a bend for each column that it passes."""
    bends = [
        (provider, receiver, number) for number in range(column[provider] + 1, column[receiver])
    ]
    return [provider, *bends, receiver]


def _with_bends(graph: nx.DiGraph, column: dict[str, int]) -> nx.DiGraph:
    """The graph with a vertex for each bend, so that every edge leads to the next column."""
    bent = nx.DiGraph()
    for name in graph:
        bent.add_node(name, column=column[name], bend=False)
    for provider, receiver in graph.edges:
        route = _route(provider, receiver, column)
        for number, bend in enumerate(route[1:-1], start=column[provider] + 1):
            bent.add_node(bend, column=number, bend=True)
        bent.add_edges_from(pairwise(route))
    return bent


def _initial(bent: nx.DiGraph, order: tuple[str, ...]) -> Columns:
    """Columns in the order in which a walk from the inputs meets their components."""
    met = dict.fromkeys(node for name in order for node in nx.dfs_preorder_nodes(bent, name))
    columns: Columns = [
        [] for _ in range(1 + max(number for _, number in bent.nodes(data="column")))
    ]
    for node in met:
        columns[bent.nodes[node]["column"]].append(node)
    return columns


def _ordered(bent: nx.DiGraph, columns: Columns) -> Columns:
    """Each column sorted by the mean position of its neighbours, in sweeps to and fro; the best that was met."""
    best = columns
    for sweep in range(_SWEEPS):
        forwards = sweep % 2 == 0
        columns = _swept(bent, columns, forwards)
        if crossings(bent, columns) < crossings(bent, best):
            best = columns
    return best


def _swept(bent: nx.DiGraph, columns: Columns, forwards: bool) -> Columns:
    neighbours = bent.pred if forwards else bent.succ
    position = {node: index for column in columns for index, node in enumerate(column)}
    swept = []
    for column in columns if forwards else reversed(columns):
        mean = {
            n: np.mean([position[m] for m in neighbours[n]]) if neighbours[n] else position[n]
            for n in column
        }
        swept.append(sorted(column, key=mean.__getitem__))
        position.update((node, index) for index, node in enumerate(swept[-1]))
    return swept if forwards else swept[::-1]


def crossings(bent: nx.DiGraph, columns: Columns) -> int:
    """Number of pairs of edges that cross."""
    position = {node: index for column in columns for index, node in enumerate(column)}
    total = 0
    for column in columns[:-1]:
        ends = np.array([(position[u], position[v]) for u in column for v in bent.succ[u]]).reshape(
            -1, 2
        )
        left, right = (np.sign(side[:, None] - side[None, :]) for side in ends.T)
        total += int((left * right < 0).sum()) // 2
    return total


def _heights(bent: nx.DiGraph, columns: Columns) -> dict[object, float]:
    """Height of each vertex, near the mean of its neighbours', in the order of its column and with room between."""
    offsets = [_offsets(bent, column) for column in columns]
    height = {
        node: float(value)
        for column, offset in zip(columns, offsets, strict=True)
        for node, value in zip(column, offset - offset.mean(), strict=True)
    }
    sides: tuple[list[nx.DiGraph], ...] = ([bent.pred], [bent.succ], [bent.pred, bent.succ])
    for sweep in range(_SWEEPS):
        neighbours = sides[min(sweep % 2, 1)] if sweep < _SWEEPS - 2 else sides[2]
        for column, offset in zip(columns, offsets, strict=True):
            wanted = []
            for node in column:
                near = [height[other] for side in neighbours for other in side[node]]
                wanted.append(np.mean(near) if near else height[node])
            height.update(zip(column, _spaced(np.array(wanted), offset), strict=True))
    return height


def _offsets(bent: nx.DiGraph, column: list[object]) -> np.ndarray:
    bends = [bent.nodes[node]["bend"] for node in column]
    return np.cumsum([0.0, *(_ROOM[pair] for pair in pairwise(bends))])


def _spaced(wanted: np.ndarray, offset: np.ndarray) -> list[float]:
    """The heights nearest to those wanted (least squares) whose neighbours are as far apart as their offsets."""
    from sklearn.isotonic import isotonic_regression

    return (isotonic_regression(wanted - offset) + offset).tolist()
