"""What the paper leaves open in its guided search, one thing at a time, against random operators.

The paper does not say in which version its rules insert and clone, how long a refused move stays
barred, what is drawn where no rule proposes anything, whether losses are normalised, and whether
an optimizer goes on from its state. Each arm changes one of these. The runs are those of
paper_main.py: the arms of a pair start from the same random VALP. The results are in
docs/experiments/open.md.

usage: python paper_open.py [--pairs 15] [--problem digits] [--folder paper_open]

Finished runs stay in the folder: called again, the script goes on from them. paper_open_report.py
makes tables and a figure.
"""

import sys
from dataclasses import dataclass, replace

import paper_main
from paper_main import ARMS, GUIDED, Arm, Guidelines
from paper_numbers import OPERATORS
from paper_open_report import report_on

import deap_valp as valp

# ---- arms ----------------------------------------------------------------------------------------


class Unbarred(Guidelines):
    """A refused proposal may be drawn again at once."""

    def __call__(self, situation):
        return super().__call__(replace(situation, barred=()))


@dataclass(frozen=True)
class BarredForGood(Guidelines):
    """A refused proposal is never drawn again in a run."""

    refused: set = None

    def __post_init__(self):
        object.__setattr__(self, "refused", set())

    def __call__(self, situation):
        self.refused.update(situation.barred)
        return super().__call__(replace(situation, barred=self.refused))


class AnyFallback(Guidelines):
    """Where no rule proposes anything, an operator of either version is drawn."""

    def fallback(self, situation):
        return valp.AtRandom(OPERATORS)(situation)


GUIDELINES, RANDOM = ARMS["guidelines"], ARMS["random"]


def guided(policy):
    """The arm of the guidelines with another policy."""
    return replace(GUIDELINES, policy=policy)


OPEN = {
    "random": RANDOM,
    "guidelines": GUIDELINES,
    "gentle_rules": guided(Guidelines(insertion="gentle")),
    "unbarred": guided(Unbarred()),
    "barred_for_good": guided(BarredForGood()),
    "any_fallback": guided(AnyFallback()),
    "plain_stuck": guided(Guidelines(thresholds=valp.Thresholds(deviations=None))),
    "calibrated": replace(GUIDELINES, calibrate=True),
    "grace": guided(Guidelines(grace=3)),
    "raw_guidelines": replace(GUIDELINES, normalize=False),
    "raw_random": replace(RANDOM, normalize=False),
    "carried_guidelines": replace(GUIDELINES, carry=True),
    "carried_random": replace(RANDOM, carry=True),
    "new_guidelines": Arm(Guidelines(), GUIDED, paper=False),
    "new_random": Arm(RANDOM.policy, paper=False),
    "today": ARMS["today"],
}


def run_one(settings, name, seed, folder):
    """One arm of one pair, into its file."""
    paper_main.run_arm(settings, name, OPEN[name], seed, folder)


if __name__ == "__main__":
    sys.exit(
        paper_main.main(about=__doc__, name="paper_open", arms=OPEN, run=run_one, tell=report_on)
    )
