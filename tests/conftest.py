"""Fixtures: seeded randomness, a cache of its own, the members of the zoo."""

from __future__ import annotations

import os
import random
import signal

import matplotlib
import pytest

# A process of the tests for each core: threads of one would wait for those of another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import zoo  # it imports torch, which reads the variable

matplotlib.use("Agg")

# A shell ignores Ctrl-C in what it starts in the background, and so would all that tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

if zoo.DEVICE == "cpu":
    # So "auto" is the same device here and in the processes that tests start.
    os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory):
    """Keep what tests make out of the user's cache, unless the caller named a cache."""
    os.environ.setdefault("DEAP_VALP_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(autouse=True)
def seeded():
    random.seed(1)


@pytest.fixture(params=zoo.NAMES)
def zoo_name(request):
    return request.param


@pytest.fixture
def zoo_member(zoo_name):
    return zoo.member(zoo_name)


@pytest.fixture
def problem(zoo_name):
    return zoo.problem_of(zoo_name)


@pytest.fixture(scope="session")
def device():
    """Return the device of the tests; ``DEAP_VALP_TEST_DEVICE=cuda`` makes it a GPU."""
    return zoo.DEVICE
