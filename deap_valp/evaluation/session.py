"""``evaluate``: inherit, train, score, diagnose. And ``score``, for final reports.

References:
    Paper VI-A (objectives), VI-C (training of the start and of each step).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from time import perf_counter

import numpy as np
import torch

from .. import device as devices
from ..diagnosis import DEFAULT_METRICS, Subject, known_metrics, measure
from ..errors import EvaluationError, ValpError
from ..genome import PENALTY, VALP, Evaluation, check
from ..problem import Problem
from ..training.loop import train
from ..training.model import decode
from .scoring import CHUNK, score_model

logger = logging.getLogger("deap_valp")


def evaluate(
    individual: VALP,
    problem: Problem,
    batches: int = 1000,
    first_batches: int = 5000,
    device: str | torch.device = "auto",
    metrics: tuple[str, ...] = DEFAULT_METRICS,
) -> Evaluation:
    """Train an individual from the weights it holds and measure it on the validation split.

    Does not change the individual; assign the result to ``individual.fitness.values``, and a
    ``Fitness`` keeps all
    of it. A pure function of its arguments: it seeds itself from the individual and runs on one CPU
    thread, so it
    gives the same result in any process. The learning rates, algorithms and batch size are the
    individual's.

    A failure costs this evaluation and no more: losses or scores that are not finite, and any
    exception, give every objective the value ``fitness.PENALTY``, a status that says what happened,
    a line in the log of ``deap_valp``, and the weights it started from. Where memory does not
    suffice, the evaluation is tried once more with each batch computed in two halves, which are the
    same steps up to rounding, before that is a failure.

    Args:
        individual: A VALP of this problem.
        problem: Gives data, losses and scores.
        batches: Training steps where some weights are inherited.
        first_batches: Training steps where none are.
        device: ``"auto"``: this process's GPU where there is one, else the CPU.
        metrics: What to diagnose.

    Returns:
        One minimised number per output, then one per cost of the problem.

    Raises:
        ValpError: The budget is not positive, the individual is not a VALP of this problem, a
            metric or the device is not there: errors of the caller's, not of the individual's.

    References:
        Paper VI-C.
    """
    if batches < 1 or first_batches < 1:
        raise EvaluationError(
            f"evaluate needs at least 1 batch, got batches={batches}, first_batches={first_batches}"
        )
    check(individual, problem)
    device, metrics = (
        devices.choose(device),
        known_metrics(metrics),
    )  # what is not there is the caller's error
    previous = individual.evaluation
    sessions = 0 if previous is None else previous.sessions
    try:
        with devices.one_thread():
            budget = batches if individual.trained else first_batches
            return _in_memory(
                partial(_evaluate, individual, problem, budget, sessions, device, metrics)
            )
    except Exception as error:  # whatever a user's loss, score or cost raises, the run goes on
        reason = str(error) if isinstance(error, _Failure) else f"{type(error).__name__}: {error}"
        logger.warning(
            "evaluation of %r failed: %s",
            individual,
            reason,
            exc_info=not isinstance(error, _Failure),
        )
        return Evaluation(
            [PENALTY] * len(problem.objectives),
            objectives=problem.objectives,
            seed=individual.seed,
            weights=individual.trained_weights,
            sessions=sessions,
            status=reason,
        )


class _Failure(ValpError):
    """The model itself went wrong: nothing to trace in the code."""


def _in_memory(attempt: Callable[[int], Evaluation]) -> Evaluation:
    """Try with whole batches, and once more with halves where memory does not suffice."""
    try:
        return attempt(1)
    except Exception as error:
        if not devices.out_of_memory(error):
            raise
        logger.warning(
            "evaluate: out of memory, so it is tried again with half the micro-batch (%s)",
            str(error),
        )
    devices.free()  # here, past the exception, whose traceback held what the first attempt had made
    try:
        return attempt(2)
    except Exception as error:
        if not devices.out_of_memory(error):
            raise
        raise _Failure(f"out of memory, with half the micro-batch too: {error}") from error


def _evaluate(
    individual: VALP,
    problem: Problem,
    batches: int,
    sessions: int,
    device: torch.device,
    metrics: tuple[str, ...],
    micro_batches: int,
) -> Evaluation:
    start = perf_counter()
    model = decode(individual, device=device)
    seed = (
        hash((individual.seed, sessions)) % 2**63
    )  # hash() of integers is the same in every process
    losses = train(
        model, problem, batches, individual.batch_size, individual.optimizers, seed, micro_batches
    )
    history = dict(
        zip(model.outputs, losses.T.cpu().numpy(), strict=True)
    )  # one device sync a session, not a batch
    _check_finite(history)
    trained = perf_counter()
    scores = score_model(model, problem, "validation", CHUNK // micro_batches)
    costs = {name: float(cost(individual)) for name, cost in problem.costs.items()}
    values = {**scores, **costs}
    _check_values(values)
    scored = perf_counter()
    diagnosis = measure(Subject(model, problem, history, individual.seed), metrics)
    return Evaluation(
        [values[name] for name in problem.objectives],
        objectives=problem.objectives,
        seed=individual.seed,
        weights=model.weights(),
        history=history,
        diagnosis=diagnosis,
        sessions=sessions + 1,
        seconds={
            "train": trained - start,
            "score": scored - trained,
            "diagnose": perf_counter() - scored,
        },
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
