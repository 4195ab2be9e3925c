"""Stopping and watching, over every search: until, reporters, Ctrl-C."""

from __future__ import annotations

import csv
import random
from concurrent.futures import ThreadPoolExecutor

import pytest
import zoo
from deap import base, tools
from digests import digest, random_state
from test_populations import PROBLEM, quick
from validity import assert_valid

import deap_valp as valp
from deap_valp.search import reporters as reporters_module
from deap_valp.search import watch as watch_module

NAMES = ["hillClimbing", "eaGuided", "eaAging", "eaSteadyState"]
each_search = pytest.mark.parametrize("name", NAMES)


class Clock:
    """A clock that the evaluations move, in seconds."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(watch_module, "clock", clock)
    monkeypatch.setattr(watch_module, "_last_interrupt", float("-inf"))
    return clock


@pytest.fixture
def toolbox():
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, PROBLEM)
    toolbox.register("evaluate", quick)
    toolbox.register("selMutation", valp.selMutation, policy="random")
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    return toolbox


def start(toolbox):
    random.seed(3)
    return tools.initRepeat(list, toolbox.individual, 4)


def search(name, toolbox, steps, population=None, **options):
    """Run a search of so many steps; None for no end."""
    population = start(toolbox) if population is None else population
    options = {"progress": False, "verbose": False, **options}
    if name == "hillClimbing":
        return valp.hillClimbing(population[0], toolbox, steps, **options)
    if name == "eaGuided":
        return valp.eaGuided(population, toolbox, 4, 4, 0.3, 0.6, steps, **options)
    if name == "eaAging":
        return valp.eaAging(population, toolbox, steps, **options)
    return valp.eaSteadyState(population, toolbox, steps, **options)


def evaluated_at(clock, toolbox, seconds=1.0):
    """Let each evaluation take so many seconds of the clock."""

    def evaluate(individual):
        clock.now += seconds
        return quick(individual)

    toolbox.register("evaluate", evaluate)


def counts(logbook):
    return logbook.select("nevals")


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
        lambda: valp.Target(),
        lambda: valp.Target(label="low"),
        lambda: valp.Target(label=float("nan")),
    ],
)
def test_stops_of_wrong_numbers_are_refused(make):
    with pytest.raises(valp.ValpError, match="needs"):
        make()


@pytest.mark.parametrize("name", NAMES[1:])
def test_without_a_number_of_steps_there_has_to_be_a_stop(name, toolbox):
    with pytest.raises(valp.ValpError, match="until"):
        search(name, toolbox, None)


# ---- with a checkpoint ---------------------------------------------------------------------------


def left(name, toolbox, path, until, **options):
    """Return a digest of what a search leaves, and its number of records."""
    front, archive = tools.ParetoFront(), []
    checkpoint = None if path is None else valp.Checkpoint(path, **options)
    found, logbook = search(
        name,
        toolbox,
        None,
        until=until,
        checkpoint=checkpoint,
        halloffame=front,
        archive=archive,
    )
    return digest([found, logbook, front, archive, random_state()]), len(logbook), logbook.stopped


class Killed(BaseException):
    pass


def killed_after(evaluations):
    calls = []

    def evaluate(individual):
        if len(calls) == evaluations:
            raise Killed
        calls.append(individual)
        return quick(individual)

    return evaluate


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


# ---- Ctrl-C --------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("name", NAMES[1:])
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


# ---- reporters -----------------------------------------------------------------------------------


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


@each_search
def test_verbose_lines_have_the_objectives(name, toolbox, capsys):
    search(name, toolbox, 2, verbose=True)
    header = capsys.readouterr().out.splitlines()[0]
    assert header.split()[:6] == ["gen", "nevals", *PROBLEM.objectives]


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
