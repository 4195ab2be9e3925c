"""Operators, selection and archives, called wrongly: the error says what the function needs."""

from __future__ import annotations

import pytest
import zoo
from deap import tools
from plotting import evaluated

import deap_valp as valp

PROBLEM = zoo.mixed_problem()


def fresh():
    """An individual that was never evaluated."""
    return zoo.fan_out()


BAD = {
    # operators, selection
    **{
        f"{op.apply.__name__}: a list": (
            lambda op=op: op.apply([1, 2, 3]),
            f"{op.apply.__name__} needs individual as a VALP.*got list",
        )
        for op in valp.operators().values()
        if op.scope != "crossover"
    },
    "mutAddLayer: no such place": (
        lambda: valp.mutAddLayer(fresh(), "n99"),
        r"mutAddLayer \(gentle\) needs a legal .*got 'n99'",
    ),
    "mutAddLayer: a problem": (
        lambda: valp.mutAddLayer(PROBLEM),
        "mutAddLayer needs individual as a VALP.*got Problem",
    ),
    "mutRandom: a scope that is none": (
        lambda: valp.mutRandom(fresh(), "big"),
        r"scope among .*got 'big'",
    ),
    "mutRandom: operators=3": (
        lambda: valp.mutRandom(fresh(), 3),
        "operators are chosen by a scope, 'all' or names, got 3",
    ),
    "mutRandom: functions for names": (
        lambda: valp.mutRandom(fresh(), [valp.mutAddLayer]),  # type: ignore[list-item]
        r"operators are chosen among .*mutAddLayer",
    ),
    "mutGuided: a list": (
        lambda: valp.mutGuided([1]),
        "selMutation needs individual as a VALP.*got list",
    ),
    "mutGuided: the name of a policy": (
        lambda: valp.mutGuided(fresh(), "growth"),
        "mutGuided needs select as a function from an individual to a Move or None, got 'growth'",
    ),
    "mutGuided: a selection of individuals": (
        lambda: valp.mutGuided(fresh(), lambda individual: [individual]),  # type: ignore[return-value]
        "mutGuided needs select to return a Move or None, got list",
    ),
    "selMutation: as a selection of individuals": (
        lambda: valp.selMutation([evaluated()] * 3, 2),
        "selMutation needs individual as a VALP.*got list",
    ),
    "selMutation: an unknown policy": (
        lambda: valp.selMutation(evaluated(), policy="greedy"),
        "selMutation needs a policy among .*got 'greedy'",
    ),
    "selMutation: policy=3": (
        lambda: valp.selMutation(evaluated(), policy=3),
        "selMutation needs a policy among .*got 3",
    ),
    "selMutation: the class of a policy": (
        lambda: valp.selMutation(evaluated(), policy=valp.ByGain),
        r"selMutation needs a policy among .*got the class ByGain: ByGain\(\) makes one",
    ),
    "selMutation: a population of one list": (
        lambda: valp.selMutation(evaluated(), 3),
        "selMutation needs population as a sequence of individuals or None, got 3",
    ),
    "Move: an unknown operator": (
        lambda: valp.Move("add_layers", "gentle", "n0").apply(fresh()),
        "operators are .*got 'add_layers'",
    ),
    "Move: an unknown version": (
        lambda: valp.Move("add_layer", "soft", "n0").apply(fresh()),
        r"add_layer has the versions \['gentle', 'aggressive'\], got 'soft'",
    ),
    "cxExclusiveSubgraph: lists": (
        lambda: valp.cxExclusiveSubgraph([1], [2]),
        "cxExclusiveSubgraph needs host as a VALP.*got list",
    ),
    "cxExclusiveSubgraph: of two problems": (
        lambda: valp.cxExclusiveSubgraph(fresh(), zoo.smallest()),
        "needs two VALPs of one problem",
    ),
    "cxExclusiveSubgraph: no such output": (
        lambda: valp.cxExclusiveSubgraph(fresh(), fresh(), "labels"),
        "needs an output of the individuals .*got 'labels'",
    ),
    "rank: not evaluated": (lambda: valp.rank([fresh()]), "rank needs individuals with an eval"),
    "rank: an individual": (
        lambda: valp.rank(evaluated()),
        "rank needs population as a sequence of individuals, got Zoo4",
    ),
    "calibrateThresholds: individuals": (
        lambda: valp.calibrateThresholds([evaluated()] * 10),
        "calibrateThresholds needs evaluations, got Zoo4",
    ),
    "calibrateThresholds: too few": (
        lambda: valp.calibrateThresholds([evaluated().evaluation]),
        "at least 10 successful evaluations, got 1",
    ),
    "rule: without its set": (
        lambda: valp.rule(lambda view: []),
        "rule needs the name of a rule set, as in @rule",
    ),
    "metric: a string": (lambda: valp.metric("slope"), "metric needs a function, got 'slope'"),
    "operators: an unknown scope": (lambda: valp.operators("all"), "scope among .*got 'all'"),
    # archives and statistics
    "decisions: a logbook": (
        lambda: valp.decisions(tools.Logbook()),
        "decisions needs the archive of a search",
    ),
    "decisions: individuals": (
        lambda: valp.decisions([evaluated()]),
        "needs the entries of an archive .*got Zoo4",
    ),
    "payoff: an unknown part": (
        lambda: valp.payoff([], by=["who"]),
        r"payoff groups by some of .*got \['who'\]",
    ),
    "payoff: by='rules'": (lambda: valp.payoff([], by="rules"), "payoff groups by .*got 'rules'"),
    "genealogy: individuals": (
        lambda: valp.genealogy([evaluated()]),
        "needs the entries of an archive .*got Zoo4",
    ),
    "statistics: individuals": (
        lambda: valp.statistics([evaluated()]),
        "statistics needs problem as a Problem, got list",
    ),
    "ObjectiveKey: not evaluated": (
        lambda: valp.ObjectiveKey(0)(fresh()),
        "needs an evaluated individual with an objective 0, got",
    ),
    "majority: not evaluated": (
        lambda: valp.majority(fresh(), evaluated()),
        "majority needs two evaluated individuals, got",
    ),
    "graded: not evaluated": (
        lambda: valp.graded(evaluated(), fresh()),
        "Graded needs two evaluated individuals, got",
    ),
    "Graded: margin='small'": (
        lambda: valp.Graded(margin="small"),
        "Graded needs margin from 0 on, got 'small'",
    ),
    "ByGain: deletions='often'": (
        lambda: valp.ByGain(deletions="often"),
        "ByGain needs deletions between 0 and 1, got 'often'",
    ),
    "Checkpoint: every=1.5": (
        lambda: valp.Checkpoint("x", every=1.5),
        "a Checkpoint needs every to be 1 or more, got 1.5",
    ),
    "Checkpoint: path=None": (
        lambda: valp.Checkpoint(None),
        "a Checkpoint needs path as a path of a file, got None",
    ),
}


@pytest.mark.parametrize("attempt, message", BAD.values(), ids=BAD.keys())
def test_a_wrong_argument_is_named(attempt, message):
    with pytest.raises(valp.ValpError, match=message):
        attempt()
