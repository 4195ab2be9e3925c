"""The tasks that all searches share: evaluate, record, save, and resume after a kill."""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, ModuleType, TracebackType
from typing import Any

from deap import base
from tqdm.auto import tqdm

from ..errors import FileFormatError, ValpError
from ..problem.identity import identity_of
from ..text import shortened
from .checkpoint import checkpoint_of, restore
from .failures import Failures
from .genealogy import Entry
from .logbook import Logbook
from .needs import check_records, explain_pickling, known_objectives, problem_of
from .printing import printed
from .progress import Progress, lowest_of, objective_names
from .watch import AGAIN, Watch, takes_interrupt

logger = logging.getLogger("deap_valp")


@dataclass
class Run:
    """One call of a search, and the context in which its steps run.

    Ctrl-C ends the context and not the program, so that the search returns what there is. The
    attributes that are not listed are the arguments of the search.

    Attributes:
        search: The name of the search.
        watch: What asks the stops (``until``) and tells the reporters.
        step: The step that is running; 0 is the start.
        last: The last step; None if only a stop ends the search.
        logbook: The logbook that the search returns. Its attribute ``stopped`` says what ended the
            search: a stop, ``"Ctrl-C"``, or None where all steps were done.
        at_end: Functions to call when the search ends, whatever ends it.
    """

    search: str
    toolbox: base.Toolbox
    stats: Any = None
    halloffame: Any = None
    archive: list[Entry] | None = None
    verbose: bool = False
    progress: bool = True
    checkpoint: Any = None
    watch: Watch = field(default_factory=Watch)
    step: int = 0
    last: int | None = None
    logbook: Logbook = field(default_factory=Logbook)
    at_end: list[Callable[[], Any]] = field(default_factory=list)
    _population: Sequence[Any] = ()
    _archived: set[int] | None = None
    _failures: Failures = field(default_factory=Failures)
    _identity: dict[str, str] = field(default_factory=dict)
    _bar: Any = None
    _header: str = ""

    def __post_init__(self) -> None:
        check_records(self.search, self.stats, self.halloffame, self.archive)
        self.checkpoint = checkpoint_of(self.checkpoint, self.search)
        problem = problem_of(self.toolbox)
        if self.checkpoint is not None and problem is not None:
            self._identity = identity_of(problem)

    def steps(self, last: int | None, span: int = 1, **state: Any) -> Iterator[int]:
        """Yield the steps that are left to do, and save the state of the search between them.

        The first step is 0, or the one after the last saved step. There are no more steps once a
        stop has said so.

        Args:
            last: The last step; None for as many as it takes until a stop ends the search.
            span: The number of steps that count as a generation.
            state: The lists and sets that change from step to step, beside the hall of fame, the
                archive and the logbook. They are restored in place. One is ``population``.

        Raises:
            ValpError: There is neither a last step nor a stop.
        """
        if last is None and not self.watch.stops:
            raise ValpError(
                f"{self.search} needs a number of steps or until, such as until=Minutes(10)"
            )
        self.last, self._population = last, state["population"]
        first, every = self._resumed(state), span
        if self.checkpoint is not None:
            every *= self.checkpoint.every
        self.watch.begin(known_objectives(self.toolbox))
        finished = None
        for step in self._to_do(first):
            self.step = step
            if self.step > first and self.step % every == 0:
                self._save(self.step, state)
            yield self.step
            finished = self.step + 1
            if self.watch.reason is not None:
                break
        if finished is not None:
            self._save(finished, state)

    def _to_do(self, first: int) -> Iterable[int]:
        """Return the steps from the first on, under a progress bar."""
        if first > 0:
            # A search that a stop had ended, and that is called again, ends at once.
            self.watch.ask(self._seen(first - 1, self._population))
            if self.watch.reason is not None:
                return ()
        steps: Iterable[int] = itertools.count(first)
        total = None
        if self.last is not None:
            total = self.last + 1
            steps, first = range(first, total), min(first, total)
        self._bar = tqdm(steps, self.search, total, initial=first, disable=not self.progress)
        bar: Iterable[int] = self._bar
        return bar

    def _seen(self, step: int, population: Sequence[Any]) -> Progress:
        """Return what stops and reporters see of a step."""
        memory = self.watch.memory
        return Progress(
            search=self.search,
            step=step,
            last=self.last,
            seconds=memory["seconds"],
            evaluations=memory["evaluations"],
            falls=tuple(memory["falls"]),
            population=population,
            logbook=self.logbook,
        )

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Close what is open, and return whether an interrupt ends here."""
        interrupted = isinstance(error, KeyboardInterrupt) and takes_interrupt()
        if interrupted:
            interrupted = self._has_something()
            self.watch.reason = "Ctrl-C"
        for function in self.at_end:
            function()
        self.watch.close()
        self.logbook.stopped = self.watch.reason
        if interrupted:
            logger.warning(
                "%s: interrupted in step %d, so it returns what there is; Ctrl-C within %g s "
                "interrupts the program",
                self.search,
                self.step,
                AGAIN,
            )
        return interrupted

    def _has_something(self) -> bool:
        """Return whether something was evaluated; in step 0 the hall of fame has not seen it."""
        if len(self.logbook):
            return True
        valid = [individual for individual in self._population if individual.fitness.valid]
        if self.halloffame is not None:
            self.halloffame.update(valid)
        return bool(valid)

    def evaluate(
        self, individuals: Sequence[Any], map_: Callable[..., Any] | None = None
    ) -> list[Any]:
        """Evaluate the individuals without a valid fitness, and return these.

        The evaluations go through ``map_``, or through the toolbox's ``map`` where none is given.
        """
        invalid = [individual for individual in individuals if not individual.fitness.valid]
        map_ = map_ or self.toolbox.map
        if self.checkpoint is not None:
            map_ = partial(self.checkpoint.map, map_)

        def assign_each() -> None:  # as they come: an interrupt leaves those that are there
            evaluations = map_(self.toolbox.evaluate, invalid)
            for individual, evaluation in zip(invalid, evaluations, strict=True):
                self.assign(individual, evaluation)

        self.explained(assign_each, invalid)
        self.stop_where_all_fail()
        return invalid

    def explained(self, attempt: Callable[[], Any], individuals: Sequence[Any]) -> Any:
        """Return what an attempt to evaluate returns; say what does not pickle, where it fails."""
        try:
            return attempt()
        except Exception as error:
            task = [("toolbox.evaluate", self.toolbox.evaluate)]
            task += [("every individual", individual) for individual in individuals[:1]]
            explain_pickling(error, self.search, task)
            raise

    def stop_where_all_fail(self) -> None:
        """Raise if all evaluations of the run so far failed for one reason (``FIRST``)."""
        self._failures.stop(self.search)

    def assign(self, individual: Any, evaluation: Any) -> None:
        """Give a candidate its evaluation, and pass it to the toolbox's ``feedback`` if any."""
        individual.fitness.values = evaluation
        self._failures.see(evaluation)
        if self.step > 0 and hasattr(self.toolbox, "feedback"):
            self.toolbox.feedback(individual)

    def record(
        self,
        population: Sequence[Any],
        candidates: Sequence[Any],
        evaluated: Sequence[Any],
        columns: Mapping[str, Any] | None = None,
    ) -> None:
        """Record a step in the logbook, the hall of fame and the archive, and show it the watch.

        Args:
            population: The members of the population after the step.
            candidates: The individuals that were compared with it.
            evaluated: The candidates that were evaluated in this step.
            columns: Further columns of the logbook. It is a mapping and no keywords, so that an
                objective may have any name. If there are none and no ``stats``, they are the lowest
                value of each objective in the population, NaN where all members failed.
        """
        self._log(population, len(evaluated), columns)
        if self.halloffame is not None:
            self.halloffame.update(candidates)
        if self.archive is not None:
            individuals = candidates if self.step == 0 else evaluated
            self._archive(individuals, {id(individual) for individual in population})
        self.watch.count(self.step, population, len(evaluated))
        progress = self._seen(self.step, population)
        self.watch.ask(progress)
        self.watch.report(progress)
        if self._bar is not None:
            lowest = [f"{name} {value:.4g}" for name, value in progress.lowest.items()]
            self._bar.set_postfix_str(", ".join(lowest), refresh=False)

    def _log(
        self, population: Sequence[Any], evaluations: int, columns: Mapping[str, Any] | None
    ) -> None:
        """Add a record to the logbook, and print it if the search is verbose."""
        if columns is None and self.stats is None:
            columns = dict.fromkeys(objective_names(population[0]), math.nan)
            columns |= lowest_of(population)
            self.logbook.header = list(dict.fromkeys([*self.logbook.header, *columns]))
        columns = columns or {}
        compiled = self.stats.compile(population) if self.stats is not None else {}
        head = {"gen": self.step, "nevals": evaluations}
        self.logbook.record(**head, **{**compiled, **columns})
        for name, chapter in compiled.items():
            # A column hides the chapter of the same name: the objective of the candidate hides
            # the statistics of that objective. So the chapter is recorded apart.
            if name in columns and isinstance(chapter, dict):
                self.logbook.chapters[name].record(**head, **chapter)
        if self.verbose:
            header, line = printed({**head, **columns}, compiled)
            if header != self._header:
                print(header)
            self._header = header
            print(line)

    def _archive(self, individuals: Sequence[Any], accepted: set[int]) -> None:
        """Append an entry for each individual; ``accepted`` holds the ``id`` of those accepted."""
        assert self.archive is not None
        if self._archived is None:  # read once, as an archive of a long search is long
            self._archived = {entry.seed for entry in self.archive}
        for individual in individuals:
            changed = individual.seed not in self._archived
            if changed or self.step > 0:
                entry = Entry.about(individual, self.step, id(individual) in accepted, changed)
                self.archive.append(entry)
        self._archived.update(individual.seed for individual in individuals)

    # ---- save and resume -------------------------------------------------------------------------

    def _state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return what a checkpoint saves: the state of the search and the objects of the caller."""
        ours = {
            "halloffame": self.halloffame,
            "logbook": self.logbook,
            "archive": self.archive,
            "watch": self.watch.memory,
        }
        also = [] if self.checkpoint is None else [*self.checkpoint.also, *_learners(self.toolbox)]
        return {**state, **ours, "also": also}

    def _head(self, generation: int) -> dict[str, Any]:
        """Return what a checkpoint says about the search, which is compared and not restored."""
        return {"search": self.search, "generation": generation, "problem": self._identity}

    def _save(self, generation: int, state: dict[str, Any]) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(**self._head(generation), **self._state(state))

    def _resumed(self, state: dict[str, Any]) -> int:
        """Restore in place what was saved, if anything was, and return the step to begin with."""
        if self.checkpoint is None:
            return 0
        ours = self._state(state)
        saved = self.checkpoint.load(**self._head(0), **ours)
        self._check(saved, ours)
        for target, value in zip(ours.pop("also"), saved["also"], strict=True):
            restore(target, value)
        for name, target in ours.items():
            restore(target, saved[name])
        generation: int = saved["generation"]
        members = state.get("population", ())
        if generation > 0 and not all(individual.failed for individual in members):
            self._failures.hopeful = True
        return generation

    def _check(self, saved: dict[str, Any], ours: dict[str, Any]) -> None:
        """Raise ``FileFormatError`` unless the saved state is of such a search as this one."""
        path = self.checkpoint.path if self.checkpoint is not None else None
        if saved.get("search") != self.search:
            who = saved.get("search", "another loop")
            raise FileFormatError(
                f"{path} is a checkpoint of {who}, got {self.search}: give each its own path"
            )
        self._check_problem(saved["problem"])
        advice = f"call {self.search} with the arguments it had then, or give another path"
        lacking = [
            name for name, value in ours.items() if value is not None and saved.get(name) is None
        ]
        if lacking:
            raise FileFormatError(f"{path} was saved without {lacking}: {advice}")
        had, needed = len(saved["also"]), len(ours["also"])
        if had != needed:
            raise FileFormatError(
                f"{path} was saved with {had} further objects (also, feedback), got {needed}: "
                f"{advice}"
            )

    def _check_problem(self, had: dict[str, str]) -> None:
        """Raise ``FileFormatError`` if both problems are known and differ."""
        if not had or not self._identity or had == self._identity:
            return
        path = self.checkpoint.path if self.checkpoint is not None else None
        names = dict.fromkeys([*had, *self._identity])
        different = [
            f"{name}: {shortened(had.get(name, 'none'))} then, "
            f"{shortened(self._identity.get(name, 'none'))} now"
            for name in names
            if had.get(name) != self._identity.get(name)
        ]
        raise FileFormatError(
            f"{path} was saved with another problem ({'; '.join(different)}): give the problem "
            f"that it had, or another path, or delete {path} to start over"
        )


def _learners(toolbox: base.Toolbox) -> list[Any]:
    """Return the object that learns from ``feedback``, in a list; an empty list if there is none.

    It is the object whose method ``feedback`` is, or ``feedback`` itself where that is a callable
    object.
    """
    feedback = getattr(toolbox, "feedback", None)
    function = getattr(feedback, "func", feedback)
    learner = getattr(function, "__self__", function)
    if learner is None or isinstance(learner, FunctionType | ModuleType | type):
        return []
    return [learner]
