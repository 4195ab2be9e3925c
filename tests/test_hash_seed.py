"""Nothing that a search decides depends on the order of a set of strings."""

from __future__ import annotations

import sys

import pytest
from launching import SCRIPTS, finish, start


@pytest.mark.parametrize("policy", ["growth", "principles"])
def test_a_search_is_the_same_under_any_hash_seed(policy):
    """Python orders sets of strings anew in each process, unless it is told a seed."""
    runs = [start(SCRIPTS / "hashed.py", policy, PYTHONHASHSEED=seed) for seed in ("1", "2")]
    texts = []
    for run in runs:
        done = finish(run)
        assert done.status == 0, done.output
        texts.append(done.output.splitlines()[-1].split())
    (one_hash, one), (other_hash, other) = texts
    assert one_hash != other_hash, sys.version  # the seed has an effect in these processes
    assert one == other
