"""A population of VALPs on Fashion-MNIST, by DEAP's own eaMuPlusLambda and NSGA-II.

Nothing of DEAP is changed. Children inherit the trained weights of their parents, mutation is
guided by a diagnosis, and crossover donates the sub-networks that serve one output alone. With
small settings (the environment variable DEAP_VALP_SMALL) it takes seconds.

One process:      python nsga2_fashion_mnist.py
SCOOP's workers:  python -m deap_valp.scoop -n 2 nsga2_fashion_mnist.py
"""

import os
import random
from pathlib import Path

import matplotlib
from deap import algorithms, base, creator, tools

import deap_valp as valp

matplotlib.use("Agg")
SMALL = bool(os.environ.get("DEAP_VALP_SMALL"))
MU, GENERATIONS, FIRST_BATCHES, BATCHES = (4, 2, 40, 20) if SMALL else (12, 15, 3000, 500)

problem = valp.problems.fashion_mnist()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)

toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, problem, networks=(3, 6))
toolbox.register("population", tools.initRepeat, list, toolbox.individual)
toolbox.register(
    "evaluate", valp.evaluate, problem=problem, batches=BATCHES, first_batches=FIRST_BATCHES
)
toolbox.register("selMutation", valp.selMutation)
toolbox.register("mutate", valp.mutGuided, select=toolbox.selMutation)
toolbox.register("mate", valp.cxExclusiveSubgraph)
toolbox.register("select", tools.selNSGA2)
toolbox.register("map", valp.scoopMap, evaluations=MU * (GENERATIONS + 1))


def main() -> None:
    random.seed(1)
    front = tools.ParetoFront()
    population, logbook = algorithms.eaMuPlusLambda(
        toolbox.population(n=MU),
        toolbox,
        mu=MU,
        lambda_=MU,
        cxpb=0.3,
        mutpb=0.7,
        ngen=GENERATIONS,
        stats=valp.statistics(problem),
        halloffame=front,
    )
    print(f"\nPareto front ({len(front)} of {len(population)} in the population), test scores:")
    for individual in front:
        print(
            "  ",
            *(f"{name} {value:.4g} " for name, value in valp.score(individual, problem).items()),
        )
    folder = Path("nsga2_plots")
    folder.mkdir(exist_ok=True)
    for name, figure in {
        "pareto": valp.plots.plot_pareto(population, problem=problem),
        "search": valp.plots.plot_search(logbook, problem=problem),
    }.items():
        figure.savefig(folder / f"{name}.png", dpi=120, bbox_inches="tight")
    print(f"Plots saved in {folder.resolve()}")


if __name__ == "__main__":
    main()
