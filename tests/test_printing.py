"""What ``verbose=True`` prints: lines that fit a terminal, under one header."""

from __future__ import annotations

from quick_searches import PROBLEM, SEARCHES, each_search, quick, toolbox

import deap_valp as valp


@each_search
def test_verbose_prints_lines_that_fit_with_the_objectives_first(name, capsys):
    SEARCHES[name](box=toolbox(quick), stats=valp.statistics(PROBLEM), verbose=True)
    header, *lines = capsys.readouterr().out.splitlines()
    _, logbook = SEARCHES[name](box=toolbox(quick), stats=valp.statistics(PROBLEM))
    assert len(lines) == len(logbook) and max(map(len, [header, *lines])) <= 100
    first = "label" if name == "hillClimbing" else "label min"
    assert header.startswith(f"gen  nevals  {first}") and "texture" in header


@each_search
def test_verbose_lines_have_the_objectives(name, capsys):
    SEARCHES[name](box=toolbox(quick), verbose=True)
    header = capsys.readouterr().out.splitlines()[0]
    assert header.split()[:6] == ["gen", "nevals", *PROBLEM.objectives]
