"""A rule of your own, beside the paper's: one function.

A rule looks at a diagnosed model and proposes moves, each with a reason. ``valp.rule`` puts it in a
rule set, and the name of a rule set is a policy: something that chooses the next change. Here the
set holds the paper's six rules, and one that widens bottlenecks.
"""

import os
import random

from deap import base, creator

import deap_valp as valp
from deap_valp.selection import RULES

SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
STEPS, FIRST_BATCHES, BATCHES = (3, 100, 50) if SMALL else (10, 1000, 200)

for guideline in RULES["guidelines"].values():  # the paper's rules, and one more
    valp.rule("mine")(guideline)


@valp.rule("mine")
def slow_bottleneck(view):
    """Widen a layer under 12 units in a relevant sub-network, while the loss still falls."""
    for network, output in view.pairs:
        widths = [layer.width for layer in view.individual.component(network).layers]
        if min(widths) < 12 and view.relevant(network, output) and view.state(output) != "stuck":
            place = f"{network}.{widths.index(min(widths))}"
            reason = f"only {min(widths)} units lead from {network} to {output}"
            yield valp.Move("extend_layer", "gentle", place, reason, "slow_bottleneck")


problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, problem, width=(6, 40))
toolbox.register(
    "evaluate", valp.evaluate, problem=problem, batches=BATCHES, first_batches=FIRST_BATCHES
)
toolbox.register("selMutation", valp.selMutation, policy="mine")


def main() -> None:
    random.seed(2)
    best, logbook = valp.hillClimbing(toolbox.individual(), toolbox, nsteps=STEPS)
    for record in logbook:
        print(record["gen"], "accepted" if record["accepted"] else "rejected", record["move"])
    view = valp.selection.View(best, best.evaluation.diagnosis, valp.Thresholds())
    figure = valp.plots.plot_search(logbook, problem=problem)
    figure.savefig("own_rule_search.png", bbox_inches="tight")
    print("\nWhat all rules propose for the last incumbent:")
    for move in valp.selection.propose(view, "mine"):
        print("  ", move.rule, move)


if __name__ == "__main__":
    main()
