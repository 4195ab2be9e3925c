"""The arms of suite.py: the package's defaults, the same with one setting changed, other policies.

An arm that is not named here is the name of a policy.
"""

from dataclasses import dataclass, field, replace

from deap import creator

import deap_valp as valp

BEFORE = {"batches": 1000, "first_batches": 5000}  # what evaluate's defaults were


@dataclass(frozen=True)
class Arm:
    """What a search does otherwise than by default: arguments by function, and the acceptance."""

    start: dict = field(default_factory=dict)  # of initVALP
    training: dict = field(default_factory=dict)  # of evaluate
    selection: dict = field(default_factory=dict)  # of selMutation
    accept: object = valp.graded
    searches: bool = True


def trained_by(**settings):
    """An arm whose training differs from the default in some settings."""
    return Arm(training={"training": valp.Training(**settings)})


def plain_but(**settings):
    """The arm ``before`` with some settings of its training as they are now."""
    training = {**BEFORE, "training": replace(valp.PLAIN, **settings)}
    return replace(ARMS["before"], training=training)


ARMS = {
    "start": Arm(searches=False),
    "search": Arm(),
    # the defaults before there were a shared start, weight decay, kept weights and growth
    "before": Arm(
        start={"start": "random"},
        training={**BEFORE, "training": valp.PLAIN},
        selection={"policy": "adaptive"},
        accept=valp.majority,
    ),
    # today's defaults, each without one thing
    "no_warmup": trained_by(warmup=0),
    "no_decay": Arm(start={"decay": 0.0}),
    "no_kept_weights": trained_by(keep=False, average=0.0, patience=None),
    "no_average": trained_by(average=0.0),
    "no_early_end": trained_by(patience=None),
    "majority": Arm(accept=valp.majority),
    "random_start": Arm(start={"start": "random"}),
}
# and with one thing more
ARMS["state"] = trained_by(carry=True)
# the defaults before, each with one thing of today
ARMS["before_warmup"] = plain_but(warmup=10)
ARMS["before_kept_weights"] = plain_but(keep=True, average=0.98)
ARMS["before_early_end"] = plain_but(keep=True, average=0.98, patience=40)
ARMS["before_acceptance"] = replace(ARMS["before"], accept=valp.graded)
ARMS["before_decay"] = replace(ARMS["before"], start={"start": "random", "decay": 1.0})
ARMS["before_start"] = replace(ARMS["before"], start={"decay": 0.0})
ARMS["before_start_decay"] = replace(ARMS["before"], start={})


def arm_of(name, settings):
    """The arm of a name, under the settings of a folder."""
    arm = ARMS.get(name) or Arm(selection={"policy": name})
    return replace(
        arm,
        start={**arm.start, **settings.start},
        training={**arm.training, **settings.training},
        selection={**settings.selection, **arm.selection},
    )


def individual_class(problem):
    """The class of individuals with as many objectives."""
    name = f"Suite{len(problem.weights)}"
    if not hasattr(creator, name):
        creator.create(f"{name}Fitness", valp.Fitness, weights=problem.weights)
        creator.create(name, valp.VALP, fitness=getattr(creator, f"{name}Fitness"))
    return getattr(creator, name)
