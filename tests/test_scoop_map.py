"""``scoopMap`` and ``scoopSubmit`` without SCOOP: order, failures, progress."""

from __future__ import annotations

import logging

import pytest
import zoo

import deap_valp as valp
from deap_valp.distributed import TasksFailed, scoop_map, scoopMap, scoopSubmit
from deap_valp.errors import DistributedError, StructureError

square_calls: list[int] = []


def square(number):
    square_calls.append(number)
    return number * number


def refuse_odd(number):
    square_calls.append(number)
    if number % 2:
        raise ValueError(f"{number} is odd")
    return number


@pytest.fixture(autouse=True)
def fresh_start():
    square_calls.clear()
    scoop_map._say_serial.cache_clear()
    yield
    while scoop_map._bars:
        scoop_map._bars.popitem()[1].close()


# ---- without SCOOP -------------------------------------------------------------------------------


def test_without_scoop_it_maps_in_order():
    assert scoopMap(square, [3, 1, 2], progress=False) == [9, 1, 4]
    assert scoopMap(divmod, [7, 9], iter([2, 4, 6]), progress=False) == [(3, 1), (2, 1)]
    assert scoopMap(square, [], progress=False) == []


def test_without_scoop_it_says_once_that_it_runs_serially(caplog):
    for _ in range(3):
        scoopMap(square, [1], progress=False)
    said = [record for record in caplog.records if "serially" in record.getMessage()]
    assert len(said) == 1
    assert said[0].levelno >= logging.WARNING  # below, Python shows nothing unless asked to
    assert "python -m deap_valp.scoop" in said[0].getMessage()


def test_a_failure_costs_no_other_task_its_result():
    with pytest.raises(ValueError, match=r"^1 is odd$") as caught:
        scoopMap(refuse_odd, [0, 1, 2, 3, 4], progress=False)
    assert square_calls == [0, 1, 2, 3, 4]
    cause = caught.value.__cause__
    assert isinstance(cause, TasksFailed) and isinstance(cause, DistributedError)
    assert "2 of 5 tasks" in str(cause) and "in refuse_odd" in str(cause)
    assert [cause.results[index] for index in (0, 2, 4)] == [0, 2, 4]
    assert [str(cause.results[index]) for index in (1, 3)] == ["1 is odd", "3 is odd"]


def test_errors_of_the_caller_keep_their_type():
    with pytest.raises(StructureError):
        scoopMap(valp.evaluate, [zoo.smallest()], [zoo.mixed_problem()], progress=False)


def test_a_bar_for_each_call(capsys):
    scoopMap(square, range(4))
    shown = capsys.readouterr().err
    assert "evaluations" in shown and "/4" in shown
    scoopMap(square, range(4), progress=False)
    assert capsys.readouterr().err == ""


def test_one_bar_for_the_whole_run(capsys):
    scoopMap(square, range(4), evaluations=6)
    (bar,) = scoop_map._bars.values()
    assert (bar.n, bar.total) == (4, 6)
    scoopMap(square, range(2), evaluations=6)
    assert bar.n == 6 and not scoop_map._bars
    assert "6/6" in capsys.readouterr().err


def test_a_submitted_task_ends_as_it_would_in_a_call():
    assert scoopSubmit(square, 3).done() and scoopSubmit(square, 3).result() == 9
    submitted = scoopSubmit(refuse_odd, 3)
    with pytest.raises(ValueError, match=r"^3 is odd$") as caught:
        submitted.result()
    assert "in refuse_odd" in str(caught.value.__cause__)
