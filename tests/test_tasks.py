"""One task, packed, run and unpacked in this process: what travels, and what cannot."""

from __future__ import annotations

import pytest

from deap_valp.distributed.task import TaskOutcome, attempt, pack, perform, unpack
from deap_valp.errors import DistributedError


class Awkward(Exception):
    """It pickles, but does not unpickle."""

    def __init__(self, one, other):
        super().__init__(f"{one} {other}")


class Stubborn:
    """It pickles, but does not unpickle in the process that gets it."""

    def __reduce__(self):
        return refuse, (3,)


def refuse(number):
    raise ValueError(f"{number} is refused")


def awkward():
    raise Awkward("the", "fourth")


def make_function():
    return lambda: None


def travelled(function, *arguments):
    """What comes back of a task that went to another process."""
    return unpack(perform(pack(function, arguments)))


def test_a_value_comes_back():
    assert travelled(divmod, 7, 2) == TaskOutcome((3, 1))


def test_an_exception_comes_back_with_the_traceback_as_text():
    outcome = travelled(refuse, 3)
    assert isinstance(outcome.error, ValueError) and str(outcome.error) == "3 is refused"
    assert "in refuse" in outcome.trace


@pytest.mark.parametrize(
    ("function", "said"),
    [(make_function, "got the result function: "), (awkward, "got the exception Awkward(")],
)
def test_a_result_that_does_not_pickle_is_named(function, said):
    outcome = travelled(function)
    assert isinstance(outcome.error, DistributedError)
    assert f"needs results and exceptions that pickle, {said}" in str(outcome.error)
    assert function.__name__ in outcome.trace or "pickle" in outcome.trace


def test_a_result_that_does_not_unpickle_here_is_an_outcome_too():
    outcome = travelled(Stubborn)
    assert isinstance(outcome.error, ValueError) and "in refuse" in outcome.trace


@pytest.mark.parametrize("task", [(lambda: None, ()), (len, ([lambda: None],))])
def test_a_task_that_does_not_pickle_is_named(task):
    function, arguments = task
    with pytest.raises(DistributedError) as caught:
        pack(function, arguments)
    said = f"a function and arguments that pickle, got {function!r} for {arguments!r}"
    assert said in str(caught.value)


def test_what_is_no_exception_passes():
    """A KeyboardInterrupt is to end a process, not to become the outcome of a task."""
    with pytest.raises(KeyboardInterrupt):
        attempt(interrupt, ())
    with pytest.raises(KeyboardInterrupt):
        perform(pack(interrupt, ()))


def interrupt():
    raise KeyboardInterrupt
