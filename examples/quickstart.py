"""One model for three tasks on handwritten digits: their class, their histogram, and new digits.

A first VALP is trained. Then hill climbing changes one thing at a time: a diagnosis of the trained
model says what, the changed model is trained on, and it is kept if it is better over all outputs
together. The script prints each step with its reason, then the Pareto front (the models that no
other one beats in everything) and the test scores, and saves plots. In its last lines the search
stands beside the start, trained on for as many sessions without a change. It takes a minute.
"""

import os
import random
from pathlib import Path

import matplotlib
import torch
from deap import base, creator, tools

import deap_valp as valp

matplotlib.use("Agg")
SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
STEPS, FIRST_BATCHES, BATCHES = (3, 100, 50) if SMALL else (15, 1200, 300)

problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)

toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, problem)
toolbox.register(
    "evaluate", valp.evaluate, problem=problem, batches=BATCHES, first_batches=FIRST_BATCHES
)
toolbox.register("selMutation", valp.selMutation)

control = base.Toolbox()  # the same without a change: every step is one more training session
control.register("evaluate", toolbox.evaluate)
control.register("selMutation", valp.selMutation, policy="retrain")


def main() -> None:
    random.seed(1)
    start, front, archive = toolbox.individual(), tools.ParetoFront(), []
    print(problem, "", start, "", sep="\n")
    start.fitness.values = toolbox.evaluate(start)  # once for both
    best, logbook = valp.hillClimbing(
        start, toolbox, nsteps=STEPS, halloffame=front, archive=archive
    )
    trained_on, _ = valp.hillClimbing(start, control, nsteps=STEPS)

    for record in logbook:
        scores = "  ".join(f"{name} {record[name]:.4g}" for name in problem.objectives)
        verdict = "accepted" if record["accepted"] else "rejected"
        print(f"{record['gen']:3d} {verdict}  {scores}  {record['move']}")
    print(f"\nPareto front of the {len(logbook)} structures evaluated (validation):")
    for individual in front:
        values = zip(problem.objectives, individual.fitness.values)
        print("  ", *(f"{name} {value:.4g} " for name, value in values))
    print("\nThe last incumbent:", best, best.evaluation.diagnosis, sep="\n")

    folder = Path("quickstart_plots")
    folder.mkdir(exist_ok=True)
    samples = valp.decode(best).generate(64, torch.Generator().manual_seed(0))["sample"]
    real = problem.split("validation").targets["sample"]
    for name, figure in {
        "valp": valp.plots.plot_valp(best),
        "search": valp.plots.plot_search(logbook, problem=problem),
        "pareto": valp.plots.plot_pareto(archive, problem=problem),
        "samples": valp.plots.plot_samples(samples, real=real),
    }.items():
        figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
    print(f"\nPlots saved in {folder.resolve()}\n\nTest scores:")
    rows = {"the start": start, "trained on": trained_on, "the search": best}
    for what, individual in rows.items():
        tested = valp.score(individual, problem, split="test")
        scores = "  ".join(f"{name} {value:.4g}" for name, value in tested.items())
        print(f"  {what:10s}  {scores}  ({individual.weight_count} weights)")


if __name__ == "__main__":
    main()
