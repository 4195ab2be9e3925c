"""The numbers of the paper's initial experiment, from the runs of paper_initial.py."""

import math
from itertools import pairwise, product

import numpy as np
from comparison_report import kruskal
from paper_numbers import FEWEST, OPERATORS, filled, interval, joined
from scipy.stats import rankdata

import deap_valp as valp
from deap_valp.genome.diagnosis import Slope

LEAST = 5e-5  # half an example of 10,000: the logarithm of an error rate of 0
CUT = 1.0  # of an improvement and of G, as in the paper
CONTROL = ("retrain", "")
BOTH = ("clone_network", "add_connection", "insert_network")  # those with two versions
METRICS = ("loss", "slope", "relevance", "input_relevance", "dependency")


# ---- what the runs found -------------------------------------------------------------------------


def improvements(run):
    """The improvements of a VALP's clones, cut, by (operator, version) and place, by output.

    An improvement is the logarithm of the objective after by the objective before, so it is below
    0 where the clone became better.
    """
    found = {}
    for operator, version, place, *after in run["clones"]:
        pairs = zip(run["objectives"], after, run["before"])
        found.setdefault((operator, version), {})[place] = {
            output: cut(math.log(max(new, LEAST) / max(old, LEAST))) for output, new, old in pairs
        }
    return found


def beyond(one):
    """The improvements of a VALP less those of its clone that only went on training."""
    control = one[CONTROL][""]
    return {
        kind: {
            place: {output: cut(value - control[output]) for output, value in by.items()}
            for place, by in places.items()
        }
        for kind, places in one.items()
    }


def cut(value):
    """The value between the bounds that the paper draws."""
    return min(max(value, -CUT), CUT)


def kinds_of(found):
    """Every (operator, version) that was applied, in the order of the operators."""
    kinds = {kind for run in found for kind in run}
    return sorted(kinds - {CONTROL}, key=lambda kind: (OPERATORS.index(kind[0]), kind[1]))


def values_of(one, kind, outputs):
    """The improvements of one VALP by one (operator, version), over all places and outputs."""
    return [by[output] for by in one.get(kind, {}).values() for output in outputs]


def metric_values(run, metric, place, output):
    """The values of a metric that bear on a place and an output: one, or one for each component."""
    if metric in ("loss", "slope"):
        value = run[metric][output]
        return [value[0] if metric == "slope" else value]
    parts = place.split("->")
    if metric == "input_relevance":
        parts = sorted({key.split()[0] for key in run[metric]})
    keys = (f"{part} {output}" for part in parts)
    return [run[metric][key] for key in keys if key in run[metric]]


def points(runs, found, metric, kind, outputs):
    """By VALP the (metric, improvement) of every clone; the largest value where it has several."""
    units = []
    for run, one in zip(runs, found):
        unit = []
        for place, output in product(one.get(kind, {}), outputs):
            values = metric_values(run, metric, place, output)
            if values:
                unit.append((max(values), one[kind][place][output]))
        units.append(unit)
    return units


# ---- Fig. 5 and the tests ------------------------------------------------------------------------


def gains(one, outputs):
    """G of every pair: improvement of the aggressive version minus that of the gentle one."""
    found = []
    for operator in BOTH:
        gentle, aggressive = (one.get((operator, v), {}) for v in ("gentle", "aggressive"))
        for place in sorted(gentle.keys() & aggressive.keys()):
            found += [cut(aggressive[place][o] - gentle[place][o]) for o in outputs]
    return found


def gentle_against_aggressive(found, outputs):
    """How often gentle won, among all pairs and among the extreme ones, and the median of G."""
    units = filled([gains(one, outputs) for one in found])
    extreme = filled([[value for value in unit if abs(value) >= CUT] for unit in units])
    return {
        "pairs": sum(map(len, units)),
        "won": interval(units, joined(lambda values: (values > 0).mean())),
        "median": interval(units, joined(np.median)),
        "extreme": sum(map(len, extreme)),
        "extreme won": of_few(extreme, interval(extreme, joined(lambda some: (some > 0).mean()))),
    }


def of_few(units, bounds):
    """The bounds of a share; exact ones where it is 0 or 1 in every unit."""
    share, edge = bounds[0], 0.025 ** (1 / max(1, len(units)))
    if share == 1:
        return [share, edge, 1.0]
    return [share, 0.0, 1 - edge] if share == 0 else bounds


def differences(found, kinds, outputs):
    """Kruskal-Wallis over the operators, and by Dunn the pairs of them that do not differ.

    ``clones`` takes every clone as independent, as the paper does; ``VALPs`` takes the mean of
    each VALP.
    """
    results = {}
    for name in ("clones", "VALPs"):
        groups = {}
        for kind in kinds:
            units = [values_of(one, kind, outputs) for one in found]
            if name == "VALPs":
                units = [[np.mean(unit)] for unit in units if unit]
            groups[" ".join(kind)] = np.concatenate(units)
        p, dunn = kruskal(groups)
        alike = [sorted(pair) for pair, value in dunn.items() if not value < 0.05]
        results[name] = {"p": p, "pairs": len(dunn), "alike": sorted(alike)}
    return results


# ---- improvement by metric -----------------------------------------------------------------------


def association(units):
    """Spearman's rank correlation of a metric and the improvement, over all VALPs."""
    x, y = np.concatenate([np.reshape(unit, (-1, 2)) for unit in units]).T
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan
    return float(np.corrcoef(rankdata(x), rankdata(y))[0, 1])


def thirds(units):
    """The improvements in each third of the metric, by VALP; the lowest third first."""
    values = [x for unit in units for x, _ in unit]
    if not values:
        return [units] * 3
    edges = [-math.inf, *np.quantile(values, [1 / 3, 2 / 3]), math.inf]
    return [
        [[y for x, y in unit if low < x <= high] for unit in units] for low, high in pairwise(edges)
    ]


def more_often(ours, theirs, event):
    """The share of our improvements with an event less that of theirs, with its interval.

    Args:
        ours: By VALP the improvements.
        theirs: The same of the same VALPs.
        event: A function from an array of improvements to booleans.
    """

    def difference(pairs):
        shares = [joined(lambda values: event(values).mean())(side) for side in zip(*pairs)]
        return shares[0] - shares[1]

    pairs = list(zip(ours, theirs))
    if min(len(filled(side)) for side in (ours, theirs)) < FEWEST:
        return [difference(pairs), np.nan, np.nan]
    return interval(pairs, difference)


# ---- thresholds ----------------------------------------------------------------------------------


def slope_units(runs, found, output):
    """By VALP its slope, and the mean improvement by what R1, R2 and R3 apply."""
    kinds = [
        ("clone_network", "gentle"),
        ("add_connection", "gentle"),
        ("insert_network", "aggressive"),
    ]
    units = []
    for run, one in zip(runs, found):
        values = [values_of(one, kind, [output]) for kind in kinds]
        if all(values):
            units.append((run["slope"][output][0], *map(np.mean, values)))
    return units


def relevance_units(runs, found, output):
    """By sub-network its relevance, and the improvement by its deletion and its gentle clone."""
    units = []
    for run, one in zip(runs, found):
        deleted = one.get(("delete_network", "aggressive"), {})
        cloned = one.get(("clone_network", "gentle"), {})
        for network in sorted(deleted.keys() & cloned.keys()):
            relevance = run["relevance"].get(f"{network} {output}")
            if relevance is not None:
                units.append((relevance, deleted[network][output], cloned[network][output]))
    return units


def best_cuts(units):
    """The thresholds under which the choice of what to apply would have improved most.

    Below the first threshold the first improvement counts, between the two the second, and so on;
    of thresholds that are equally good the lowest.
    """
    rows = np.array(sorted(units))
    sums = np.vstack([np.zeros(rows.shape[1] - 1), np.cumsum(rows[:, 1:], axis=0)])
    middles = (rows[1:, 0] + rows[:-1, 0]) / 2
    edges = np.concatenate([[rows[0, 0]], middles, [rows[-1, 0]]])
    best = sums[:, 0], [[edge] for edge in edges]  # by where the last part ended
    for column in range(1, sums.shape[1]):
        totals, cuts = [], []
        for end in range(len(edges)):
            options = best[0][: end + 1] + sums[end, column] - sums[: end + 1, column]
            where = int(np.argmin(options))
            totals.append(options[where])
            cuts.append([*best[1][where], edges[end]])
        best = np.array(totals), cuts
    return [float(edge) for edge in best[1][-1][:-1]]


def thresholds(runs, found, output):
    """Stuck, steep and relevance of an output as its best cuts, with their intervals."""
    numbers = {}
    slopes, relevances = slope_units(runs, found, output), relevance_units(runs, found, output)
    for name, units, index in (
        ("steep", slopes, 0),
        ("stuck", slopes, 1),
        ("relevance", relevances, 0),
    ):
        numbers[name] = [np.nan] * 3
        if len(units) > 1:
            numbers[name] = interval(units, lambda some, at=index: best_cuts(some)[at], 200)
    return numbers


def calibrated(runs):
    """What ``calibrateThresholds`` makes of the same VALPs; None of fewer than it needs."""
    if len(runs) < 10:
        return None
    evaluations = []
    for run in runs:
        measured = {
            "loss_slope": {o: Slope(*slope) for o, slope in run["slope"].items()},
            "module_intervention": {tuple(k.split()): v for k, v in run["relevance"].items()},
        }
        about = {"seed": run["seed"], "weights": {}, "objectives": run["objectives"]}
        diagnosis = valp.Diagnosis(measured)
        evaluations.append(valp.Evaluation(run["before"], diagnosis=diagnosis, **about))
    return valp.calibrateThresholds(evaluations)
