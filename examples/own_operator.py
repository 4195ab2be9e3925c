"""An operator of your own: one decorated function.

An operator gets a draft of the genome, which it may edit, and a legal place. ``valp.operator`` does
the rest: it makes the function one that changes an individual in place, as DEAP expects, lists it
in ``valp.operators()``, lets ``mutRandom`` draw it, and refuses illegal places by name.
"""

import random

import torch
from deap import base, creator

import deap_valp as valp


def places(individual: valp.VALP, gentle: bool) -> list[str]:
    """Return the connections that are worth pruning: those of more than four weights."""
    return [name for name in individual.connections if individual.weights[name].numel() > 4]


@valp.operator(scope="micro", effect="neutral", versions=("aggressive",), places=places)
def mutPruneConnection(draft: valp.Draft, connection: valp.Connection) -> None:
    """Set the smaller half of the weights of a connection to zero."""
    block = draft.weights[connection]
    draft.weights[connection] = torch.where(block.abs() > block.abs().median(), block, 0.0)


problem = valp.problems.digits()
creator.create("FitnessMulti", valp.Fitness, weights=problem.weights)
creator.create("Individual", valp.VALP, fitness=creator.FitnessMulti)
toolbox = base.Toolbox()
toolbox.register("individual", valp.initVALP, creator.Individual, problem)


def main() -> None:
    random.seed(1)
    print(valp.operators())

    individual = toolbox.individual()
    place = places(individual, gentle=False)[0]
    mutPruneConnection(individual, place)  # at a place of your choice
    zeros = (individual.weights[place] == 0).float().mean().item()
    print(f"\n{individual.move}: {zeros:.0%} of its weights are zero")

    counts: dict[str, int] = {}
    for _ in range(300):  # or drawn like every other operator
        mutated = toolbox.clone(individual)
        valp.mutRandom(mutated, operators="micro")
        counts[mutated.move.operator] = counts.get(mutated.move.operator, 0) + 1
    print("drawn by mutRandom:", counts)

    try:
        mutPruneConnection(individual, "n0->nowhere")
    except valp.PlaceError as error:
        print("an illegal place:", error)


if __name__ == "__main__":
    main()
