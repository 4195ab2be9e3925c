"""What ``verbose=True`` prints: lines that fit a terminal, under one header."""

from __future__ import annotations

import numpy as np
from quick_searches import PROBLEM, SEARCHES, each_search, failing, quick, toolbox

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


def failing_at_first(count):
    """Evaluations of which so many fail, each for a reason of its own."""
    reasons = iter(["no room", "no loss", "no gradient", "no end"][:count])

    def evaluate(individual):
        reason = next(reasons, None)
        return quick(individual) if reason is None else failing(individual, reason)

    return evaluate


@each_search
def test_a_start_that_failed_as_a_whole_has_all_columns(name, capsys):
    size = 1 if name == "hillClimbing" else 4
    _, logbook = SEARCHES[name](box=toolbox(failing_at_first(size)), verbose=True)
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split()[:6] == ["gen", "nevals", *PROBLEM.objectives]
    assert len(lines) == len(logbook)
    starts = [header.index(objective) for objective in PROBLEM.objectives]
    for line in lines:
        assert all(line[start - 1] == " " != line[start] for start in starts), line
    if name != "hillClimbing":  # which shows the penalty of the candidate
        assert lines[0].split()[2:] == ["nan"] * 4 and "nan" not in lines[-1]
        assert np.isnan([logbook[0][objective] for objective in PROBLEM.objectives]).all()


@each_search
def test_a_search_that_goes_on_prints_its_header_again(name, capsys, tmp_path):
    headers = []
    for last in (1, 3):
        until = lambda progress, last=last: progress.step == last  # noqa: E731
        options = {"checkpoint": tmp_path / "c", "until": until, "verbose": True}
        SEARCHES[name](box=toolbox(quick), **options)
        headers.append(capsys.readouterr().out.splitlines()[0])
    assert headers[0] == headers[1] and "gen" in headers[0]
