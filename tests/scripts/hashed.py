"""A short search in view of a population; it prints the hash of a string, and a digest.

python tests/scripts/hashed.py POLICY
"""

from __future__ import annotations

import random
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import zoo
from deap import base, tools
from digests import digest

import deap_valp as valp

problem = zoo.mixed_problem()
toolbox = base.Toolbox()
toolbox.register(
    "evaluate", valp.evaluate, problem=problem, batches=3, first_batches=6, metrics=valp.ALL_METRICS
)
toolbox.register("selMutation", partial(valp.selMutation, policy=sys.argv[1]))
toolbox.register("mate", valp.cxExclusiveSubgraph)
toolbox.register("select", tools.selNSGA2)
toolbox.register("map", map)

random.seed(4)
population = [zoo.random_valp(problem) for _ in range(4)]
archive: list[valp.Entry] = []
population, logbook = valp.eaGuided(
    population, toolbox, 4, 4, 0.3, 0.7, 4, verbose=False, archive=archive
)
print(hash("a string"), digest(population, logbook, archive))
