"""What a search decided, whether it paid, and the picture of it."""

from __future__ import annotations

import math

import pytest
import zoo
from deap import base, tools
from test_populations import PROBLEM, aging, guided, hill_climbing, quick, steady

import deap_valp as valp
from deap_valp.genome.fitness import PENALTY
from deap_valp.selection.policies import nothing

SEARCHES = pytest.mark.parametrize("search", [hill_climbing, guided, aging, steady])
NAMES = ("label", "sample")


def entry(step, after, before=(), rule="R1", operator="clone_network", accepted=False, seed=None):
    move = valp.Move(operator, "gentle", "n0", "as a test wants it", rule)
    decision = valp.Decision(move, (0,), NAMES if before else (), before) if operator else None
    return valp.Entry(
        step,
        None,
        after,
        1,
        decision,
        accepted,
        step if seed is None else seed,
        NAMES,
        "ok" if max(after) < PENALTY else "the loss is nan",
    )


START = entry(0, (0.4, 20.0), operator="", accepted=True, seed=7)
MADE = [
    START,
    entry(1, (0.2, 30.0), (0.4, 20.0), accepted=True),
    entry(2, (0.3, 10.0), (0.2, 20.0)),
    entry(3, (PENALTY, PENALTY), (0.2, 20.0), rule="R3", operator="insert_network"),
    entry(4, (0.3, 10.0), rule="R3", operator="insert_network"),
    entry(5, (0.2, 20.0), operator="", seed=7),
]


def archive_of(search, policy="random", size=6):
    toolbox = base.Toolbox()
    toolbox.register("individual", zoo.random_valp, PROBLEM)
    toolbox.register("evaluate", quick)
    toolbox.register("selMutation", valp.selMutation, policy=policy)
    toolbox.register("mate", valp.cxExclusiveSubgraph)
    toolbox.register("select", tools.selNSGA2)
    archive = []
    search(tools.initRepeat(list, toolbox.individual, size), toolbox, archive=archive)
    return archive


def test_the_improvement_is_the_part_of_the_value_before_that_is_gone():
    first, second, failed, unknown, unchanged = valp.decisions(MADE)
    assert first.improvement == pytest.approx({"label": 0.5, "sample": -0.5})
    assert second.improvement == pytest.approx({"label": -0.5, "sample": 0.5})
    assert failed.failed and all(map(math.isnan, failed.improvement.values()))
    assert not unknown.failed and all(map(math.isnan, unknown.improvement.values()))
    assert unchanged.move is None and unchanged.improvement == pytest.approx(
        {"label": 0.5, "sample": 0.0}
    )


def test_payoff_counts_and_averages_what_is_known():
    paid = valp.payoff(MADE, by=("rule", "operator"))
    assert list(paid.rows) == [("R1", "clone_network"), ("R3", "insert_network"), ("", "no change")]
    clone, insert = ("R1", "clone_network"), ("R3", "insert_network")
    assert (paid.applied(clone), paid.accepted(clone), paid.failed(clone)) == (2, 1, 0)
    assert paid.improvement(clone) == pytest.approx({"label": 0.0, "sample": 0.0})
    assert (paid.applied(insert), paid.accepted(insert), paid.failed(insert)) == (2, 0, 1)
    assert all(map(math.isnan, paid.improvement(insert).values()))


def test_both_print_as_tables():
    lines = str(valp.decisions(MADE)).splitlines()
    assert lines[0].split() == ["step", "rule", "move", "label", "sample", "accepted"]
    assert (
        lines[1].split("  ")[-1] == "yes"
        and "0.4 > 0.2" in lines[1]
        and "gentle clone_network(n0)" in lines[1]
    )
    assert lines[3].count("failed") == 2 and "? > 0.3" in lines[4] and "no change" in lines[5]
    table = str(valp.payoff(MADE, by=("rule",))).splitlines()
    assert table[0].split() == [
        "rule",
        "applied",
        "accepted",
        "failed",
        "label",
        "%",
        "sample",
        "%",
    ]
    assert table[1].split() == ["R1", "2", "1", "0", "+0.0", "+0.0"] and table[2].split() == [
        "R3",
        "2",
        "0",
        "1",
    ]


@SEARCHES
def test_every_candidate_of_a_search_is_a_decision(search):
    archive = archive_of(search)
    found = valp.decisions(archive)
    assert [outcome.step for outcome in found] == [
        entry.step for entry in archive if entry.step > 0
    ]
    assert all(list(outcome.after) == list(PROBLEM.objectives) for outcome in found)
    assert sum(map(len, valp.payoff(archive).rows.values())) == len(found)
    by_seed: dict[int, list] = {}  # where nothing was changed, one seed is evaluated again
    for entry in archive:
        by_seed.setdefault(entry.seed, []).append(entry.named)
    host = {entry.seed: entry.parents[0] for entry in archive if entry.parents}
    of_moves = [entry for entry in archive if entry.move is not None]
    for entry, outcome in zip(
        of_moves, (outcome for outcome in found if outcome.move), strict=True
    ):
        assert outcome.before in by_seed[host[entry.seed]]


def test_without_a_change_the_value_before_is_the_incumbents():
    archive = archive_of(hill_climbing, policy=lambda situation: nothing(situation))
    found = valp.decisions(archive)
    assert found and all(outcome.move is None and outcome.before for outcome in found)
    incumbent = archive[0].named
    for outcome in found:
        assert outcome.before == incumbent
        incumbent = outcome.after if outcome.accepted else incumbent


@pytest.mark.parametrize("function", [valp.decisions, valp.payoff])
def test_an_empty_archive_is_refused(function):
    with pytest.raises(valp.ValpError, match="decisions needs the archive of a search"):
        function([])


@pytest.mark.parametrize("by", [(), ("step",), ("rule", "oprator")])
def test_groups_that_a_move_does_not_have_are_refused(by):
    with pytest.raises(valp.ValpError, match="payoff groups by some of"):
        valp.payoff(MADE, by=by)
