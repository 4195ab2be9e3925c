"""Names of objectives: those that are allowed hide nothing, the others are reserved."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
from plotting import closed_figures
from quick_searches import PROBLEM, SEARCHES, each_search, population, quick, toolbox
from small_data import size_of

import deap_valp as valp
from deap_valp import plots
from deap_valp.genome.fitness import RESERVED

__all__ = ["closed_figures"]

NAMES = """
    step seed graph values decision accepted_ objectives status loss weight_count place reason
    version operator gain before after parents population candidates evaluated columns search
    archive stats min avg max std applied failed objective0 start no
"""


def problem_of_names(role):
    """A problem with an objective of each name."""
    x = np.random.default_rng(1).normal(size=(60, 3))
    names = NAMES.split()
    if role == "cost":
        return valp.Problem(
            {"x": x}, {"y": valp.Regression(x)}, costs=dict.fromkeys(names, size_of)
        )
    return valp.Problem({"x": x}, {name: valp.Regression(x[:, :1]) for name in names})


@each_search
@pytest.mark.parametrize("role", ["output", "cost"])
def test_a_name_that_is_allowed_hides_nothing_and_is_drawn(name, role):
    problem = problem_of_names(role)
    archive, box = [], toolbox(partial(quick, problem=problem))
    start = population(4, problem)
    start = start[0] if name == "hillClimbing" else start
    _, logbook = SEARCHES[name](start, box, stats=valp.statistics(problem), archive=archive)
    assert {tuple(entry.named) for entry in archive} == {problem.objectives}
    if name == "hillClimbing":
        for record, entry in zip(logbook, archive, strict=True):
            assert {objective: record[objective] for objective in problem.objectives} == entry.named
            assert record["accepted"] == entry.accepted
    for objective in problem.objectives:
        assert np.isfinite(logbook.chapters[objective].select("min")).all()
    assert len(plots.plot_search(logbook, ["values", "step"], problem=problem).axes) == 2
    assert plots.plot_pareto(archive, problem=problem).axes
    assert all(objective in str(valp.payoff(archive)) for objective in problem.objectives)


@each_search
def test_every_column_that_a_search_writes_is_reserved(name):
    _, logbook = SEARCHES[name](box=toolbox(quick), stats=valp.statistics(PROBLEM))
    written = {key for record in logbook for key in record} | set(logbook.chapters)
    assert written - set(PROBLEM.objectives) <= set(RESERVED)
