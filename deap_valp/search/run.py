"""What all searches do beside searching: evaluate, write down, save and go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import FunctionType, ModuleType
from typing import Any

from deap import base, tools
from tqdm.auto import tqdm

from ..errors import FileFormatError
from .checkpoint import Checkpoint, restore
from .genealogy import Entry


@dataclass
class Run:
    """One call of a search.

    Attributes:
        search: Its name.
        step: The one that is running; 0 is the start.
        logbook: What it returns.
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
    logbook: tools.Logbook = field(default_factory=tools.Logbook)

    def steps(self, last: int, span: int = 1, **state: Any) -> Iterator[int]:
        """The steps that are left, from 0 where nothing was saved; the state is saved between them.

        Args:
            last: The last step.
            span: Steps that count as a generation.
            state: What else than the hall of fame, archive and logbook changes from step to step:
                lists and sets, restored in place.
        """
        first = self._resumed(state)
        every = span * (self.checkpoint.every if self.checkpoint is not None else 1)
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
        """Evaluate those without a fitness, through the toolbox's ``map`` unless another is given; gives them."""
        invalid = [individual for individual in individuals if not individual.fitness.valid]
        map_ = map_ or self.toolbox.map
        if self.checkpoint is not None:
            map_ = partial(self.checkpoint.map, map_)
        for individual, evaluation in zip(
            invalid, map_(self.toolbox.evaluate, invalid), strict=True
        ):
            self.assign(individual, evaluation)
        return invalid

    def assign(self, individual: Any, evaluation: Any) -> None:
        """Give a candidate the result of its evaluation, and let the toolbox's ``feedback`` learn from it."""
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
        """Write down a step: what the population is now, and which candidates were compared with it."""
        compiled = self.stats.compile(population) if self.stats is not None else {}
        head = {"gen": self.step, "nevals": len(evaluated)}
        self.logbook.record(**head, **{**compiled, **columns})
        for name, chapter in compiled.items():
            if name in columns and isinstance(
                chapter, dict
            ):  # of an objective, beside the candidate's value
                self.logbook.chapters[name].record(**head, **chapter)
        if self.halloffame is not None:
            self.halloffame.update(candidates)
        if self.archive is not None:
            self._archive(
                candidates if self.step == 0 else evaluated,
                {id(individual) for individual in population},
            )
        if self.verbose:
            print(self.logbook.stream)

    def _archive(self, individuals: Sequence[Any], accepted: set[int]) -> None:
        assert self.archive is not None
        known = {entry.seed for entry in self.archive}
        for individual in individuals:
            changed = individual.seed not in known
            if changed or self.step > 0:
                entry = Entry.about(individual, self.step, id(individual) in accepted, changed)
                self.archive.append(entry)

    # ---- save and resume -------------------------------------------------------------------------

    def _state(self, state: dict[str, Any]) -> dict[str, Any]:
        ours = {"halloffame": self.halloffame, "logbook": self.logbook, "archive": self.archive}
        also = [] if self.checkpoint is None else [*self.checkpoint.also, *_learners(self.toolbox)]
        return {**state, **ours, "also": also}

    def _save(self, generation: int, state: dict[str, Any]) -> None:
        if self.checkpoint is not None:
            self.checkpoint.save(search=self.search, generation=generation, **self._state(state))

    def _resumed(self, state: dict[str, Any]) -> int:
        """The step to begin with; what was saved is restored in place."""
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
        path = self.checkpoint.path if self.checkpoint is not None else None
        if saved.get("search") != self.search:
            who = saved.get("search", "another loop")
            raise FileFormatError(
                f"{path} is a checkpoint of {who}, got {self.search}: give each its own path"
            )
        lacking = [
            name for name, value in ours.items() if value is not None and saved.get(name) is None
        ]
        if lacking or len(saved["also"]) != len(ours["also"]):
            what = lacking or f"{len(saved['also'])} further objects (also, feedback)"
            raise FileFormatError(
                f"{path} was saved {'without' if lacking else 'with'} {what}: call {self.search} with what it had, or "
                "give another path"
            )


def _learners(toolbox: base.Toolbox) -> list[Any]:
    """What ``feedback`` teaches: the object whose method it is, or that is called."""
    feedback = getattr(toolbox, "feedback", None)
    function = getattr(feedback, "func", feedback)
    learner = getattr(function, "__self__", function)
    return (
        []
        if learner is None or isinstance(learner, FunctionType | ModuleType | type)
        else [learner]
    )
