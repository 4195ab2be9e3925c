"""Stops: what ``until`` ends, over every search, also where a checkpoint goes on."""

from __future__ import annotations

import pytest
import zoo
from searching import SEARCHES
from test_populations import PROBLEM, quick
from watched import Killed, clock, counts, each_search, killed_after, left, search, toolbox

import deap_valp as valp

__all__ = ["clock", "toolbox"]


def evaluated_at(clock, toolbox, seconds=1.0):
    """Let each evaluation take so many seconds of the clock."""

    def evaluate(individual):
        clock.now += seconds
        return quick(individual)

    toolbox.register("evaluate", evaluate)


# ---- until ---------------------------------------------------------------------------------------


@each_search
@pytest.mark.parametrize("until", [valp.Seconds(9), valp.Minutes(9 / 60), [valp.Hours(9 / 3600)]])
def test_a_budget_of_time_ends_at_the_first_step_that_reaches_it(name, until, toolbox, clock):
    evaluated_at(clock, toolbox)
    _, logbook = search(name, toolbox, None, until=until)
    used = sum(counts(logbook))
    assert used >= 9 > used - counts(logbook)[-1]
    assert logbook.stopped in {"Seconds(seconds=9)", repr(until), "Hours(hours=0.0025)"}


@each_search
def test_all_steps_are_done_where_nothing_stops(name, toolbox):
    _, logbook = search(name, toolbox, 3, until=valp.Minutes(1))
    assert len(logbook) == 4 and logbook.stopped is None


@each_search
@pytest.mark.parametrize("least", [0.0, 0.3])
def test_patience_is_exact(name, least, toolbox):
    """Recounted from the populations that a predicate sees."""
    seen = []

    def note(progress):
        seen.append([tuple(member.fitness.values) for member in progress.population])

    patience = valp.Patience(3, least=least)
    _, logbook = search(name, toolbox, None, until=[note, patience])
    lowest, since = list(map(min, zip(*seen[0], strict=True))), 0
    for step, values in enumerate(seen[1:], 1):
        now = list(map(min, zip(*values, strict=True)))
        better = [new < old * (1 - least) for new, old in zip(now, lowest, strict=True)]
        since = 0 if any(better) else since + 1
        lowest = [
            new if is_better else old
            for new, old, is_better in zip(now, lowest, better, strict=True)
        ]
        assert (since >= 3) == (step == len(seen) - 1)
    assert len(logbook) == len(seen) > 3 and logbook.stopped == repr(patience)


@each_search
def test_patience_with_one_objective_looks_at_no_other(name, toolbox):
    objective = PROBLEM.objectives[0]
    falls = []
    search(
        name,
        toolbox,
        None,
        until=[lambda progress: falls.append(progress.falls), valp.Patience(4, of=objective)],
    )
    last = max(fall.step for fall in falls[-1] if fall.objective == objective)
    assert len(falls) - 1 == last + 4


@each_search
def test_a_target_is_reached_by_a_member(name, toolbox):
    first, second, *_ = PROBLEM.objectives
    target = valp.Target(**{first: 0.6, second: 0.6})
    found, logbook = search(name, toolbox, 200, until=target)
    members = [found] if name == "hillClimbing" else found
    reached = [member.fitness.values[0] <= 0.6 >= member.fitness.values[1] for member in members]
    assert any(reached) == (logbook.stopped == repr(target)) and len(logbook) <= 201


@each_search
def test_a_predicate_sees_the_logbook_and_the_step(name, toolbox):
    seen = []

    def enough(progress):
        seen.append(progress)
        assert progress.logbook[-1]["gen"] == progress.step == len(seen) - 1
        assert progress.evaluations == sum(counts(progress.logbook))
        assert progress.search == name and progress.last == 50
        return len(progress.logbook) == 5

    _, logbook = search(name, toolbox, 50, until=enough)
    assert len(logbook) == 5 == len(seen) and "enough" in logbook.stopped


@each_search
def test_patience_waits_for_an_objective_of_ones_own(name, toolbox):
    def evaluate(individual, problem):
        evaluation = quick(individual)
        return evaluation.with_values({**evaluation.named, "size": float(len(individual))})

    five = zoo.individual_class((-1.0,) * 5)
    toolbox.register("individual", valp.initVALP, five, PROBLEM, start="random")
    toolbox.register("evaluate", evaluate, problem=PROBLEM)
    patience = valp.Patience(3, of="size")
    _, logbook = search(name, toolbox, None, until=patience)
    assert logbook.stopped == repr(patience)


@pytest.mark.parametrize(
    "until",
    [2, "2 minutes", valp.Minutes, [valp.Patience(2), 3], valp.Patience(1, of="nobody")],
    ids=str,
)
@each_search
def test_what_is_no_stop_is_refused(name, until, toolbox):
    toolbox.register("evaluate", valp.evaluate, problem=PROBLEM)  # never called
    with pytest.raises(valp.ValpError, match=r"until needs|nobody"):
        search(name, toolbox, 3, until=until)


@pytest.mark.parametrize(
    "make",
    [
        lambda: valp.Minutes(0),
        lambda: valp.Seconds("2"),
        lambda: valp.Hours(-1),
        lambda: valp.Patience(0),
        lambda: valp.Patience(2.5),
        lambda: valp.Patience(2, least=1),
        lambda: valp.Patience(2, least="1 %"),
        lambda: valp.Target(),
        lambda: valp.Target(label="low"),
        lambda: valp.Target(label=float("nan")),
    ],
)
def test_stops_of_wrong_numbers_are_refused(make):
    with pytest.raises(valp.ValpError, match="needs"):
        make()


@pytest.mark.parametrize("name", SEARCHES[1:])
def test_without_a_number_of_steps_there_has_to_be_a_stop(name, toolbox):
    with pytest.raises(valp.ValpError, match="until"):
        search(name, toolbox, None)


# ---- with a checkpoint ---------------------------------------------------------------------------


@each_search
@pytest.mark.parametrize("every", [1, 3])
def test_a_killed_search_stops_where_it_would_have(name, every, toolbox, tmp_path):
    until = [valp.Patience(4), valp.Target(**{PROBLEM.objectives[0]: 0.001})]
    whole = left(name, toolbox, None, until)
    for evaluations in (1, 2, 1):
        toolbox.register("evaluate", killed_after(evaluations))
        with pytest.raises(Killed):
            left(name, toolbox, tmp_path / "c", until, every=every)
    toolbox.register("evaluate", quick)
    assert left(name, toolbox, tmp_path / "c", until, every=every) == whole
    toolbox.register("evaluate", killed_after(0))
    assert left(name, toolbox, tmp_path / "c", until, every=every) == whole  # it ends at once


@each_search
def test_a_stopped_search_goes_on_where_the_stop_is_later(name, toolbox, tmp_path):
    whole = left(name, toolbox, None, lambda progress: progress.step == 7)
    left(name, toolbox, tmp_path / "c", lambda progress: progress.step == 3)
    assert left(name, toolbox, tmp_path / "c", lambda progress: progress.step == 7)[:2] == whole[:2]


@each_search
def test_the_time_before_a_kill_counts(name, toolbox, clock, tmp_path):
    evaluated_at(clock, toolbox)
    used = left(name, toolbox, tmp_path / "c", valp.Seconds(6))[1]
    clock.now += 5000
    assert left(name, toolbox, tmp_path / "c", valp.Seconds(6))[1] == used
    assert left(name, toolbox, tmp_path / "c", valp.Seconds(13))[1] > used
    clock.now += 5000
    state = valp.Checkpoint(tmp_path / "c").load()["watch"]
    assert 13 <= state["seconds"] < 13 + 5
