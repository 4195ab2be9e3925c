"""The tasks that all searches share: evaluate, record, save, and resume after a kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

from deap import base
from tqdm.auto import tqdm

from ..errors import FileFormatError
from .checkpoint import Checkpoint, restore
from .genealogy import Entry
from .logbook import Logbook


@dataclass
class Run:
    """One call of a search.

    The attributes that are not listed are the arguments of the search.

    Attributes:
        search: The name of the search.
        step: The step that is running; 0 is the start.
        logbook: The logbook that the search returns.
    """

    search: str
    toolbox: base.Toolbox
    stats: Any = None
    halloffame: Any = None
    archive: list[Entry] | None = None
    verbose: bool = False
    progress: bool = True
    checkpoint: Checkpoint | None = None
    step: int = 0
    logbook: Logbook = field(default_factory=Logbook)

    def steps(self, last: int, span: int = 1, **state: Any) -> Iterator[int]:
        """Yield the steps that are left to do, and save the state of the search between them.

        The first step is 0, or the one after the last saved step.

        Args:
            last: The last step.
            span: The number of steps that count as a generation.
            state: The lists and sets that change from step to step, beside the hall of fame, the
                archive and the logbook. They are restored in place.
        """
        first, every = self._resumed(state), span
        if self.checkpoint is not None:
            every *= self.checkpoint.every
        done, total = min(first, last + 1), last + 1
        bar = tqdm(
            range(first, last + 1), self.search, total, initial=done, disable=not self.progress
        )
        for self.step in bar:
            if self.step > first and self.step % every == 0:
                self._save(self.step, state)
            yield self.step
        if first <= last:
            self._save(last + 1, state)

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
        evaluations = map_(self.toolbox.evaluate, invalid)
        for individual, evaluation in zip(invalid, evaluations, strict=True):
            self.assign(individual, evaluation)
        return invalid

    def assign(self, individual: Any, evaluation: Any) -> None:
        """Give a candidate its evaluation, and pass it to the toolbox's ``feedback`` if any."""
        individual.fitness.values = evaluation
        if self.step > 0 and hasattr(self.toolbox, "feedback"):
            self.toolbox.feedback(individual)

    def record(
        self,
        population: Sequence[Any],
        candidates: Sequence[Any],
        evaluated: Sequence[Any],
        **columns: Any,
    ) -> None:
        """Record a step in the logbook, the hall of fame and the archive.

        Args:
            population: The members of the population after the step.
            candidates: The individuals that were compared with it.
            evaluated: The candidates that were evaluated in this step.
            columns: Further columns of the logbook.
        """
        compiled = self.stats.compile(population) if self.stats is not None else {}
        head = {"gen": self.step, "nevals": len(evaluated)}
        self.logbook.record(**head, **{**compiled, **columns})
        for name, chapter in compiled.items():
            # A column hides the chapter of the same name: the objective of the candidate hides
            # the statistics of that objective. So the chapter is recorded apart.
            if name in columns and isinstance(chapter, dict):
                self.logbook.chapters[name].record(**head, **chapter)
        if self.halloffame is not None:
            self.halloffame.update(candidates)
        if self.archive is not None:
            individuals = candidates if self.step == 0 else evaluated
            self._archive(individuals, {id(individual) for individual in population})
        if self.verbose:
            print(self.logbook.stream)

    def _archive(self, individuals: Sequence[Any], accepted: set[int]) -> None:
        """Append an entry for each individual; ``accepted`` holds the ``id`` of those accepted."""
        assert self.archive is not None
        known = {entry.seed for entry in self.archive}
        for individual in individuals:
            changed = individual.seed not in known
            if changed or self.step > 0:
                entry = Entry.about(individual, self.step, id(individual) in accepted, changed)
                self.archive.append(entry)

    # ---- save and resume -------------------------------------------------------------------------

    def _state(self, state: dict[str, Any]) -> dict[str, Any]:
        """Return what a checkpoint saves: the state of the search and the objects of the caller."""
        ours = {"halloffame": self.halloffame, "logbook": self.logbook, "archive": self.archive}
        also = [] if self.checkpoint is None else [*self.checkpoint.also, *_learners(self.toolbox)]
        return {**state, **ours, "also": also}

    def _save(self, generation: int, state: dict[str, Any]) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(search=self.search, generation=generation, **self._state(state))

    def _resumed(self, state: dict[str, Any]) -> int:
        """Restore in place what was saved, if anything was, and return the step to begin with."""
        if self.checkpoint is None:
            return 0
        ours = self._state(state)
        saved = self.checkpoint.load(search=self.search, generation=0, **ours)
        self._check(saved, ours)
        for target, value in zip(ours.pop("also"), saved["also"], strict=True):
            restore(target, value)
        for name, target in ours.items():
            restore(target, saved[name])
        generation: int = saved["generation"]
        return generation

    def _check(self, saved: dict[str, Any], ours: dict[str, Any]) -> None:
        """Raise ``FileFormatError`` unless the saved state is of such a search as this one."""
        path = self.checkpoint.path if self.checkpoint is not None else None
        if saved.get("search") != self.search:
            who = saved.get("search", "another loop")
            raise FileFormatError(
                f"{path} is a checkpoint of {who}, got {self.search}: give each its own path"
            )
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
