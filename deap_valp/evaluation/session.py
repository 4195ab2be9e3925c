"""``evaluate``: inherit, train, score, diagnose. And ``score``, for final reports.

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
from ..diagnosis import DEFAULT_METRICS, Subject, known_metrics, measure
from ..errors import EvaluationError, ValpError
from ..genome import PENALTY, VALP, Evaluation, check
from ..genome.optimizers import State, on_cpu
from ..problem import Problem
from ..training import Model, Session, Training, decode, train
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
) -> Evaluation:
    """Train an individual from the weights it holds and measure it on the validation split.

    Does not change the individual; assign the result to ``individual.fitness.values``, and a
    ``Fitness`` keeps all of it. A pure function of its arguments: it seeds itself from the
    individual and runs on one CPU thread, so it gives the same result in any process. The learning
    rates, weight decays, algorithms and batch size are the individual's.

    A failure costs this evaluation and no more: losses or scores that are not finite, and any
    exception, give every objective the value ``fitness.PENALTY``, a status that says what happened,
    a line in the log of ``deap_valp``, and the weights it started from. Where memory does not
    suffice, the evaluation is tried once more with each batch computed in two halves, which are the
    same steps up to rounding, before that is a failure.

    Args:
        individual: A VALP of this problem.
        problem: Gives data, losses and scores.
        batches: Training steps where some weights are inherited; by default a fifth of the usual
            first ones, at least 300.
        first_batches: Training steps where none are; by default those of 100 epochs, but at least
            1,500 and at most 6,000.
        device: ``"auto"``: this process's GPU where there is one, else the CPU.
        metrics: What to diagnose.
        training: What a session keeps and when it ends early; ``PLAIN`` is the paper's training.

    Returns:
        One minimised number per output, then one per cost of the problem.

    Raises:
        ValpError: The budget is not positive, the individual is not a VALP of this problem, a
            metric or the device is not there: errors of the caller's, not of the individual's.

    References:
        Paper VI-C.
    """
    _check_budget(batches=batches, first_batches=first_batches)
    check(individual, problem)
    usual_first, usual = usual_budgets(problem, individual.batch_size)
    task = _Task(
        individual=individual,
        problem=problem,
        batches=(batches or usual) if individual.trained else (first_batches or usual_first),
        window=batches or usual,
        # A device or metric that is not there is the caller's error, no failed evaluation.
        device=devices.choose(device),
        metrics=known_metrics(metrics),
        training=training,
    )
    try:
        with devices.one_thread():
            return _in_memory(partial(_evaluate, task))
    except Exception as error:  # whatever a user's loss, score or cost raises, the run goes on
        return _failed(task, error)


def usual_budgets(problem: Problem, batch_size: int) -> tuple[int, int]:
    """Return the usual number of batches of a first session and of later ones.

    A first session lasts 100 epochs, but at least 1,500 and at most 6,000 batches; it mostly ends
    earlier on few examples. A later one lasts a fifth of that, at least 300.
    """
    epoch = max(1, problem.training_size // batch_size)
    first = min(max(100 * epoch, 1500), 6000)
    return first, max(300, first // 5)


def _check_budget(**budgets: int | None) -> None:
    for name, batches in budgets.items():
        whole = isinstance(batches, int) and not isinstance(batches, bool)
        if batches is not None and (not whole or batches < 1):
            raise EvaluationError(
                f"evaluate needs {name} as a whole number from 1 on, or None for the usual one, "
                f"got {batches!r}"
            )


@dataclass(frozen=True)
class _Task:
    """What one evaluation does, once its arguments are known to be sound.

    Attributes:
        batches: Budget of this session.
        window: Batches at the end of the history that the slopes look at.
    """

    individual: VALP
    problem: Problem
    batches: int
    window: int
    device: torch.device
    metrics: tuple[str, ...]
    training: Training

    @property
    def sessions(self) -> int:
        """Training sessions that the weights have been through without a change."""
        previous = self.individual.evaluation
        return 0 if previous is None else previous.sessions


class _Failure(ValpError):
    """The model itself went wrong: nothing to trace in the code."""


def _failed(task: _Task, error: Exception) -> Evaluation:
    """Log a failure, and return the evaluation that says so."""
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
    """Try with whole batches, and once more with halves where memory does not suffice."""
    try:
        return attempt(1)
    except Exception as error:
        if not devices.out_of_memory(error):
            raise
        reason = str(error)  # a log record with the exception would hold the model through it
        logger.warning(
            "evaluate: out of memory, so it is tried again with half the micro-batch (%s)", reason
        )
    devices.free()  # here, past the exception, whose traceback held what the first attempt had made
    try:
        return attempt(2)
    except Exception as error:
        if not devices.out_of_memory(error):
            raise
        raise _Failure(f"out of memory, with half the micro-batch too: {error}") from error


def _evaluate(task: _Task, micro_batches: int) -> Evaluation:
    start = perf_counter()
    individual, problem = task.individual, task.problem
    model = decode(individual, device=task.device)
    session = _trained(task, model, micro_batches)
    # one device sync for the whole history, not one a batch
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
        optimizer_state=on_cpu(session.state),
        diagnosis=diagnosis,
        sessions=task.sessions + 1,
        seconds={
            "train": trained - start,
            "score": scored - trained,
            "diagnose": perf_counter() - scored,
        },
    )


def _resolution(problem: Problem) -> dict[str, float]:
    """Return the step of each score that comes in steps, on the validation split."""
    size = problem.split("validation").size
    found = {name: output.score_step(size) for name, output in problem.outputs.items()}
    return {name: step for name, step in found.items() if step}


def _trained(task: _Task, model: Model, micro_batches: int) -> Session:
    """Train the model in place for one session."""
    individual = task.individual
    # hash() of whole numbers is the same in every process
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
    )


def _check_finite(history: dict[str, np.ndarray]) -> None:
    for name, losses in history.items():
        bad = np.flatnonzero(~np.isfinite(losses))
        if len(bad):
            raise _Failure(f"the loss of {name} is {losses[bad[0]]} at batch {bad[0]}")


def _check_values(values: dict[str, float]) -> None:
    for name, value in values.items():
        if not np.isfinite(value):
            raise _Failure(f"objective {name} is {value}")
        if value >= PENALTY:
            raise _Failure(f"objective {name} exploded to {value:.3g}, past {PENALTY:g}")
