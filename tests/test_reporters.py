"""Reporters, over every search: the files and lines that they write."""

from __future__ import annotations

import csv

import pytest
from digests import digest, random_state
from test_populations import PROBLEM, quick
from watched import Killed, clock, counts, each_search, killed_after, search, toolbox

import deap_valp as valp
from deap_valp.search import reporters as reporters_module

__all__ = ["clock", "toolbox"]


def rows_of(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def flat(logbook):
    """The logbook as the rows of a table, written by another way than the reporter's."""
    rows = [{name: str(value) for name, value in record.items()} for record in logbook]
    for chapter, records in logbook.chapters.items():
        for row, record in zip(rows, records, strict=True):
            for name in set(record) - {"gen", "nevals"} - set(row):
                row[f"{chapter}.{name}"] = str(record[name])
    return rows


@each_search
@pytest.mark.parametrize("stats", [None, valp.statistics(PROBLEM)], ids=["plain", "statistics"])
def test_the_csv_file_is_the_logbook(name, stats, toolbox, tmp_path):
    path = tmp_path / "folder" / "run.csv"
    _, logbook = search(name, toolbox, 6, stats=stats, reporters=[f"csv:{path}"])
    assert rows_of(path) == flat(logbook) and len(logbook) == 7


@each_search
def test_the_csv_file_of_a_resumed_search_is_the_whole_logbook(name, toolbox, tmp_path):
    path, options = tmp_path / "run.csv", {"checkpoint": valp.Checkpoint(tmp_path / "c")}
    options["reporters"] = f"csv:{path}"
    toolbox.register("evaluate", killed_after(6))
    with pytest.raises(Killed):
        search(name, toolbox, 6, **options)
    toolbox.register("evaluate", quick)
    _, logbook = search(name, toolbox, 6, **options)
    assert rows_of(path) == flat(logbook) and len(logbook) == 7


@each_search
def test_without_statistics_the_csv_file_has_the_objectives(name, toolbox, tmp_path):
    population, logbook = search(name, toolbox, 6, reporters=[f"csv:{tmp_path / 'run.csv'}"])
    last = rows_of(tmp_path / "run.csv")[-1]
    assert set(PROBLEM.objectives) <= last.keys()
    if name != "hillClimbing":  # whose columns are those of the candidate
        values = zip(*(member.fitness.values for member in population), strict=True)
        expected = dict(zip(PROBLEM.objectives, map(min, values), strict=True))
        assert {key: float(last[key]) for key in expected} == expected
    assert set(PROBLEM.objectives) <= set(str(logbook).splitlines()[0].split())


def test_the_csv_file_of_another_search_is_kept(toolbox, tmp_path, caplog):
    path, texts = tmp_path / "run.csv", []
    for steps in (2, 3, 4):
        search("eaGuided", toolbox, steps, reporters=f"csv:{path}")
        texts.append(path.read_text())
    assert [path.with_stem(name).read_text() for name in ("run.1", "run.2", "run")] == texts
    assert f"{path} is of an earlier search, and is kept as run.1.csv" in caplog.text


@each_search
def test_the_progress_bar_shows_the_lowest_objectives(name, toolbox, capsys):
    _, logbook = search(name, toolbox, 3, progress=True)
    shown = capsys.readouterr().err
    for objective in PROBLEM.objectives:
        lowest = min(record[objective] for record in logbook)
        if name != "hillClimbing":
            assert f"{objective} {lowest:.4g}" in shown
        assert f"{objective} 0." in shown


@each_search
def test_a_reporter_that_raises_costs_nothing_and_is_logged_once(name, toolbox, caplog):
    heard = []

    def broken(progress):
        heard.append(progress.step)
        raise OSError("disk full")

    result = digest(search(name, toolbox, 5), random_state())
    assert digest(search(name, toolbox, 5, reporters=[broken]), random_state()) == result
    assert heard == [0, 1, 2, 3, 4, 5]
    assert caplog.text.count("OSError: disk full); the search goes on") == 1
    assert len([record for record in caplog.records if "reporter" in record.message]) == 1


@each_search
def test_the_progress_line_says_where_the_search_is(name, toolbox, capsys):
    search(name, toolbox, 2, reporters=["progress"])
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("  ")[0] for line in lines] == [f"{name} {step}/2" for step in range(3)]
    assert all(objective in lines[-1] for objective in PROBLEM.objectives)


@each_search
def test_tensorboard_reads_what_was_written(name, toolbox, tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    _, logbook = search(name, toolbox, 4, reporters=[f"tensorboard:{tmp_path}"])
    read = EventAccumulator(str(tmp_path))
    read.Reload()
    assert [(event.step, event.value) for event in read.Scalars("nevals")] == list(
        enumerate(counts(logbook))
    )
    assert {f"lowest/{objective}" for objective in PROBLEM.objectives} <= set(
        read.Tags()["scalars"]
    )


def test_a_reporter_of_ones_own_is_known_by_its_name(toolbox, monkeypatch):
    monkeypatch.setattr(reporters_module, "REPORTERS", dict(reporters_module.REPORTERS))
    heard = []

    @valp.reporter("own")
    class Own:
        def __init__(self, text):
            heard.append(text)

        def __call__(self, progress):
            heard.append(progress.step)

        def close(self):
            heard.append("closed")

    search("eaAging", toolbox, 2, reporters=["own:a:b"])
    assert heard == ["a:b", 0, 1, 2, "closed"]


@each_search
@pytest.mark.parametrize("wrong", ["nobody", "csv", "csv:", "progress:loud", [3], 3, [print, None]])
def test_a_wrong_reporter_is_refused_before_anything(name, wrong, toolbox):
    toolbox.register("evaluate", lambda individual: pytest.fail("evaluated"))
    with pytest.raises(valp.ValpError, match="reporter"):
        search(name, toolbox, 2, reporters=wrong)


@pytest.mark.parametrize("name", ["", "a:b", 3, "csv"])
def test_a_wrong_name_of_a_reporter_is_refused(name):
    with pytest.raises(valp.RegistrationError, match="reporter needs a name"):
        valp.reporter(name)(lambda text: print)
