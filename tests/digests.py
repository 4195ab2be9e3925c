"""One number for all that a search leaves.

It is the same in every process, so that two runs can be compared bit for bit.
"""

from __future__ import annotations

import hashlib
import json
import random

import networkx as nx


def digest(*values) -> str:
    """Return the digest of individuals, logbooks, halls of fame, archives and plain values."""
    hashed = hashlib.sha256()
    for value in values:
        _feed(hashed.update, value)
    return hashed.hexdigest()


def random_state() -> str:
    return digest(list(random.getstate()[1]))


def _feed(update, value) -> None:
    update(type(value).__name__.encode())
    if hasattr(value, "weights") and hasattr(value, "seed"):
        _feed_valp(update, value)
    elif hasattr(value, "chapters"):
        _feed(update, [dict(record) for record in value])
        _feed(update, dict(value.chapters))
    elif hasattr(value, "maxsize"):
        _feed(update, list(value))
    elif isinstance(value, nx.DiGraph):
        _feed(update, [(name, repr(value.nodes[name]["component"])) for name in sorted(value)])
        _feed(update, sorted(value.edges))
    elif isinstance(value, dict):
        _feed(update, sorted(value.items(), key=repr))
    elif isinstance(value, list | tuple):
        for element in value:
            _feed(update, element)
    elif hasattr(value, "__dataclass_fields__"):
        # The time that an evaluation took is another one every time.
        _feed(update, {name: one for name, one in vars(value).items() if name != "seconds"})
    else:
        update(repr(value).encode())


def _feed_valp(update, individual) -> None:
    _feed(update, individual.graph)
    _feed(
        update,
        [
            individual.seed,
            individual.batch_size,
            individual.optimizers,
            individual.genome.ages,
            individual.decision,
        ],
    )
    _feed_tensors(update, individual.weights)
    _feed_state(update, individual.genome.optimizer_state)
    _feed(update, tuple(individual.fitness.values))
    evaluation = individual.evaluation
    if evaluation is not None:
        _feed(
            update,
            [tuple(evaluation), evaluation.sessions, evaluation.status, str(evaluation.diagnosis)],
        )
        _feed_tensors(update, evaluation.weights)
        _feed_state(update, evaluation.optimizer_state)
        for name, losses in sorted(evaluation.history.items()):
            update(name.encode() + losses.tobytes())


def _feed_state(update, state) -> None:
    for key, by_algorithm in sorted(state.items()):
        for name, block in sorted(by_algorithm.items()):
            _feed(update, [str(key), name, block.steps])
            _feed_tensors(update, {str(index): m for index, m in enumerate(block.moments)})


def _feed_tensors(update, tensors) -> None:
    for name, tensor in sorted(tensors.items()):
        update(json.dumps([name, list(tensor.shape)]).encode() + tensor.numpy().tobytes())
