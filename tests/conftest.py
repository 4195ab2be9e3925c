"""Fixtures: seeded randomness, a cache of its own, the members of the zoo."""

from __future__ import annotations

import os
import random

import matplotlib
import pytest
import zoo

matplotlib.use("Agg")

if zoo.DEVICE == "cpu":
    os.environ["CUDA_VISIBLE_DEVICES"] = (
        ""  # so that "auto" is the same device, in processes that tests start too
    )


@pytest.fixture(scope="session", autouse=True)
def cache_of_its_own(tmp_path_factory):
    """Nothing a test makes lands in the user's cache; a cache that the caller named is kept."""
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
    """``DEAP_VALP_TEST_DEVICE=cuda`` runs the same tests on a GPU."""
    return zoo.DEVICE
