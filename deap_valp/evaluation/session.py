"""``evaluate``: train an individual from the weights it holds, score it and diagnose it.

References:
    Paper VI-A (objectives), VI-C (training of the start and of each step).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from time import perf_counter

import numpy as np
import torch

from .. import device as devices
from ..arguments import is_whole, need_type
from ..diagnosis import DEFAULT_METRICS, Subject, known_metrics, measure
from ..errors import EngineError, EvaluationError, MissingExtraError, ValpError
from ..genome import PENALTY, VALP, Evaluation, check
from ..genome.optimizers import State, on_cpu
from ..genome.valp import need_valp
from ..problem import Problem
from ..training import AUTO, Model, Session, Training, check_engine, train
from .scoring import CHUNK, score_model

logger = logging.getLogger("deap_valp")


def evaluate(
    individual: VALP,
    problem: Problem,
    batches: int | None = None,
    first_batches: int | None = None,
    device: str | torch.device = "auto",
    metrics: Iterable[str] = DEFAULT_METRICS,
    training: Training = Training(),
    engine: str = AUTO,
) -> Evaluation:
    """Train an individual from the weights it holds and measure it on the validation split.

    The individual is not changed. Assign the result to ``individual.fitness.values``; a
    ``Fitness`` then keeps the trained weights and the diagnosis with it. The
    result depends on the arguments only: all random numbers are seeded from the individual, and
    a CPU is used with one thread. So it is the same in every process. Learning rates, weight
    decays, SGD algorithms and the batch size are those of the individual.

    The evaluation fails if a loss or score is not finite, or if anything raises an exception. A
    failure does not end the search. Every objective then has the value ``PENALTY``, the status
    says what happened, the log of ``deap_valp`` has a line, and the weights are those that the
    individual started from. If memory does not suffice, the evaluation is first tried once more
    with each batch computed in two halves, which takes the same steps up to rounding.

    Args:
        individual: A VALP of this problem.
        problem: The problem, which has the data, the losses and the scores.
        batches: Number of training steps of an individual that inherits some weights. The default
            is a fifth of that for ``first_batches``, but at least 300.
        first_batches: Number of training steps of an individual that inherits none. The default is
            100 epochs, but at least 1,500 and at most 6,000 steps.
        device: The device to train on. ``"auto"`` is the GPU of this process if there is one,
            and otherwise the CPU.
        metrics: The names of the metrics to diagnose the individual by.
        training: Which weights a session keeps, and when it ends early. ``PLAIN`` is the paper's
            training.
        engine: What takes the training steps. ``"compiled"`` is a player compiled by numba, which
            takes the same steps as ``"torch"``, up to rounding, in less time on a CPU.
            ``"auto"`` takes it where it can be taken: numba is installed, the device is the CPU,
            and it knows every loss, layer and SGD algorithm of the individual. Otherwise torch
            trains it. The evaluation says which one it was.

    Returns:
        One minimised number per output, then one per cost of the problem.

    Raises:
        ValpError: An argument has the wrong type, the budget is not positive, the individual is not
            a VALP of this problem, a metric, the device or the engine does not exist, or the engine
            ``"compiled"`` cannot train this individual (``EngineError``) or lacks numba
            (``MissingExtraError``). These are mistakes of the caller, so they are raised and do not
            count as a failed evaluation.

    References:
        Paper VI-C.
    """
    need_valp(individual, "evaluate")
    need_type(problem, Problem, "evaluate", "problem as a Problem", EvaluationError)
    need_type(training, Training, "evaluate", "training as a Training", EvaluationError)
    check_engine(engine, "evaluate")
    _check_budget(batches=batches, first_batches=first_batches)
    check(individual, problem)
    usual_first, usual = usual_budgets(problem, individual.batch_size)
    budget = first_batches or usual_first
    if individual.trained:
        budget = batches or usual
    task = _Task(
        individual=individual,
        problem=problem,
        batches=budget,
        window=batches or usual,
        # A missing device or metric raises here, because it is a mistake of the caller.
        device=devices.choose(device),
        metrics=known_metrics(metrics),
        training=training,
        engine=engine,
    )
    try:
        with devices.one_thread():
            return _in_memory(partial(_evaluate, task))
    except (EngineError, MissingExtraError):
        raise
    except Exception as error:  # losses, scores and costs of a user may raise anything
        return _failed(task, error)


def usual_budgets(problem: Problem, batch_size: int) -> tuple[int, int]:
    """Return the usual number of batches of a first session and of later ones.

    A first session has 100 epochs, but at least 1,500 and at most 6,000 batches. With few examples
    it mostly ends earlier (``Training.patience``). A later session has a fifth of the batches, but
    at least 300.
    """
    epoch = max(1, problem.training_size // batch_size)
    first = min(max(100 * epoch, 1500), 6000)
    return first, max(300, first // 5)


def _check_budget(**budgets: int | None) -> None:
    for name, batches in budgets.items():
        if batches is not None and (not is_whole(batches) or batches < 1):
            raise EvaluationError(
                f"evaluate needs {name} as a whole number from 1 on, or None for the usual one, "
                f"got {batches!r}"
            )


@dataclass(frozen=True)
class _Task:
    """The checked arguments of one evaluation.

    Attributes:
        batches: Number of batches of this session at most.
        window: Number of batches, at the end of the history, that the loss slopes are fitted to.
    """

    individual: VALP
    problem: Problem
    batches: int
    window: int
    device: torch.device
    metrics: tuple[str, ...]
    training: Training
    engine: str

    @property
    def sessions(self) -> int:
        """The number of training sessions that the individual had since it was last changed."""
        previous = self.individual.evaluation
        return 0 if previous is None else previous.sessions


class _Failure(ValpError):
    """A failure of the model itself. The log shows no traceback, as no code is at fault."""


def _failed(task: _Task, error: Exception) -> Evaluation:
    """Log a failure, and return the evaluation that stands for it."""
    expected = isinstance(error, _Failure)
    reason = str(error) if expected else f"{type(error).__name__}: {error}"
    message = "evaluation of %r failed: %s"
    logger.warning(message, task.individual, reason, exc_info=not expected)
    handed_on = task.individual.inherited()
    return Evaluation(
        [PENALTY] * len(task.problem.objectives),
        objectives=task.problem.objectives,
        seed=task.individual.seed,
        weights=handed_on.weights,
        optimizer_state=handed_on.optimizer_state,
        sessions=task.sessions,
        status=reason,
    )


def _in_memory(attempt: Callable[[int], Evaluation]) -> Evaluation:
    """Run an attempt with whole batches, and once more with halves if memory does not suffice."""
    try:
        return attempt(1)
    except Exception as error:
        if not devices.out_of_memory(error):
            raise
        reason = str(error)  # a log record with the exception would hold the model through it
        logger.warning(
            "evaluate: out of memory, so it is tried again with half the micro-batch (%s)", reason
        )
    # The traceback of the exception held the tensors of the first attempt. Here it is gone.
    devices.free()
    try:
        return attempt(2)
    except Exception as error:
        if not devices.out_of_memory(error):
            raise
        raise _Failure(f"out of memory, with half the micro-batch too: {error}") from error


def _evaluate(task: _Task, micro_batches: int) -> Evaluation:
    """Train, score and diagnose an individual, with each batch in so many parts."""
    start = perf_counter()
    individual, problem = task.individual, task.problem
    model = Model(individual, torch.float32, task.device)
    session = _trained(task, model, micro_batches)
    # One synchronisation with the device for the whole history, not one for each batch.
    history = dict(zip(model.outputs, session.history.T.cpu().numpy(), strict=True))
    _check_finite(history)
    trained = perf_counter()
    scores = score_model(model, problem, "validation", CHUNK // micro_batches)
    costs = {name: float(cost(individual)) for name, cost in problem.costs.items()}
    values = {**scores, **costs}
    _check_values(values)
    scored = perf_counter()
    recent = {name: losses[-task.window :] for name, losses in history.items()}
    diagnosis = measure(Subject(model, problem, recent, individual.seed), task.metrics)
    losses: dict[str, float] = {}
    if session.losses is not None:
        losses = dict(zip(model.outputs, session.losses.tolist(), strict=True))
    return Evaluation(
        [values[name] for name in problem.objectives],
        objectives=problem.objectives,
        seed=individual.seed,
        weights=model.weights(),
        history=history,
        kept=session.kept,
        losses=losses,
        resolution=_resolution(problem),
        window=task.window,
        optimizer_state=on_cpu(session.state) if task.training.carry else {},
        diagnosis=diagnosis,
        sessions=task.sessions + 1,
        engine=session.engine,
        seconds={
            "train": trained - start,
            "score": scored - trained,
            "diagnose": perf_counter() - scored,
        },
    )


def _resolution(problem: Problem) -> dict[str, float]:
    """Return the smallest difference of each score that has one, on the validation split.

    An error rate has: with 100 examples it changes by 0.01 at least.
    """
    found = {
        name: output.score_step(len(output.targets["validation"]))
        for name, output in problem.outputs.items()
    }
    return {name: step for name, step in found.items() if step}


def _trained(task: _Task, model: Model, micro_batches: int) -> Session:
    """Train the model in place for one session."""
    individual = task.individual
    # The hash of whole numbers is the same in every process.
    seed = hash((individual.seed, task.sessions)) % 2**63
    state: State = {}
    if task.training.carry:
        state = individual.inherited().optimizer_state
    return train(
        model,
        task.problem,
        task.batches,
        individual.batch_size,
        individual.optimizers,
        seed,
        micro_batches,
        training=task.training,
        state=state,
        engine=task.engine,
    )


def _check_finite(history: dict[str, np.ndarray]) -> None:
    """Raise ``_Failure`` at the first loss that is not finite."""
    for name, losses in history.items():
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            raise _Failure(f"the loss of {name} is {losses[bad[0]]} at batch {bad[0]}")


def _check_values(values: dict[str, float]) -> None:
    """Raise ``_Failure`` at the first objective that is not finite or reaches the penalty."""
    for name, value in values.items():
        if not np.isfinite(value):
            raise _Failure(f"objective {name} is {value}")
        if value >= PENALTY:
            raise _Failure(f"objective {name} exploded to {value:.3g}, past {PENALTY:g}")
