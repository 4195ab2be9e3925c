"""Ctrl-C, over every search: what is returned, and when it is real."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from deap import tools
from searching import SEARCHES
from test_populations import PROBLEM, quick
from validity import assert_valid
from watched import clock, each_search, left, search, toolbox

import deap_valp as valp
from deap_valp.search import watch as watch_module

__all__ = ["clock", "toolbox"]


def interrupting(evaluations, error=KeyboardInterrupt):
    calls = []

    def evaluate(individual):
        calls.append(individual)
        if len(calls) > evaluations:
            raise error
        return quick(individual)

    return evaluate


def check_usable(name, found, logbook, front, archive):
    members = [found] if name == "hillClimbing" else found
    assert all(member.fitness.valid for member in members) and logbook.stopped == "Ctrl-C"
    assert len(front) > 0 and len(archive) >= len(logbook) > 0
    assert_valid(members[0], PROBLEM)


@each_search
@pytest.mark.parametrize("evaluations", [4, 5, 7])
def test_an_interrupt_in_an_evaluation_returns_what_there_is(name, evaluations, toolbox, caplog):
    toolbox.register("evaluate", interrupting(evaluations))
    front, archive = tools.ParetoFront(), []
    found, logbook = search(name, toolbox, 30, halloffame=front, archive=archive)
    check_usable(name, found, logbook, front, archive)
    assert caplog.text.count("interrupted in step") == 1


@each_search
def test_an_interrupt_in_a_reporter_returns_what_there_is(name, toolbox):
    def interrupt(progress):
        if progress.step == 2:
            raise KeyboardInterrupt

    front, archive = tools.ParetoFront(), []
    found, logbook = search(
        name, toolbox, 30, halloffame=front, archive=archive, reporters=[interrupt]
    )
    check_usable(name, found, logbook, front, archive)
    assert len(logbook) == 3


@pytest.mark.parametrize("name", SEARCHES[1:])
def test_an_interrupt_in_the_start_keeps_what_was_evaluated(name, toolbox):
    toolbox.register("evaluate", interrupting(2))
    front = tools.ParetoFront()
    population, logbook = search(name, toolbox, 30, halloffame=front)
    assert [member.fitness.valid for member in population] == [True, True, False, False]
    assert len(front) > 0 and len(logbook) == 0


@each_search
def test_with_nothing_evaluated_an_interrupt_is_an_interrupt(name, toolbox):
    toolbox.register("evaluate", interrupting(0))
    with pytest.raises(KeyboardInterrupt):
        search(name, toolbox, 30)


@each_search
def test_the_second_interrupt_within_seconds_is_real(name, toolbox, clock):
    def interrupted():
        toolbox.register("evaluate", interrupting(6))
        return search(name, toolbox, 30)

    interrupted()
    clock.now += watch_module.AGAIN - 0.1
    with pytest.raises(KeyboardInterrupt):
        interrupted()
    clock.now += watch_module.AGAIN + 0.1
    assert interrupted()[1].stopped == "Ctrl-C"


@each_search
def test_in_a_process_of_a_pool_an_interrupt_is_never_taken_for_an_end(name, toolbox, monkeypatch):
    monkeypatch.setattr(watch_module, "parent_process", lambda: object())
    toolbox.register("evaluate", interrupting(6))
    with pytest.raises(KeyboardInterrupt):
        search(name, toolbox, 30)


@each_search
def test_an_interrupted_search_goes_on_from_its_checkpoint(name, toolbox, tmp_path):
    def until(progress):
        return progress.step == 9

    whole = left(name, toolbox, None, until)
    toolbox.register("evaluate", interrupting(7))
    assert left(name, toolbox, tmp_path / "c", until)[2] == "Ctrl-C"
    toolbox.register("evaluate", quick)
    assert left(name, toolbox, tmp_path / "c", until) == whole


class Futures:
    """Futures that end in the order of their making, and know whether they were cancelled."""

    def __init__(self, limit):
        self.limit, self.made = limit, []

    def submit(self, evaluate, individual):
        self.made.append(Future(self, len(self.made), evaluate, individual))
        return self.made[-1]


class Future:
    def __init__(self, futures, number, evaluate, individual):
        self.futures, self.number = futures, number
        self.call, self.cancelled = (evaluate, individual), False

    def done(self):
        if self.number >= self.futures.limit:
            raise KeyboardInterrupt
        return True

    def result(self):
        evaluate, individual = self.call
        return evaluate(individual)

    def cancel(self):
        self.cancelled = True


@pytest.mark.parametrize("limit", [8, 1000])
def test_evaluations_under_way_are_cancelled(limit, toolbox):
    """By an interrupt, and by a stop."""
    workers = Futures(limit)
    toolbox.register("submit", workers.submit)
    until = lambda progress: progress.step == 6  # noqa: E731
    _, logbook = search("eaSteadyState", toolbox, 30, workers=3, until=until)
    taken = 4 + len(logbook) - 1
    assert [future.cancelled for future in workers.made[:taken]] == [False] * taken
    assert [future.cancelled for future in workers.made[taken:]] == [True] * 2 or limit == 8
    assert workers.made[-1].cancelled


def test_threads_are_waited_for(toolbox):
    with ThreadPoolExecutor(2) as pool:
        toolbox.register("submit", pool.submit)
        population, logbook = search(
            "eaSteadyState", toolbox, None, workers=2, until=valp.Patience(5)
        )
    assert all(member.fitness.valid for member in population) and len(logbook) > 5
