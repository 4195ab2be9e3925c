"""Small problems and hand-made VALPs.

Together they have every kind of place that an operator can meet.
"""

from __future__ import annotations

import functools
import os
import random
from contextlib import contextmanager

import numpy as np
import torch
from deap import creator

import deap_valp as valp
from deap_valp.genome import (
    ACTIVATIONS,
    Convolutional,
    Decoder,
    Discrete,
    Draft,
    Filter,
    Generic,
    Genome,
    Latent,
    Layer,
    Limits,
    Optimizer,
    Painter,
    Refiner,
    Structure,
    build_graph,
)
from deap_valp.genome import SOFTMAX as SOFTMAX

DTYPES = {torch.float64: 1e-9, torch.float32: 1e-4}
EXAMPLES = 160
DEVICE = os.environ.get("DEAP_VALP_TEST_DEVICE", "cpu")


def individual_class(weights: tuple[float, ...]) -> type:
    """One creator class for each number of objectives, made once."""
    name = f"Zoo{len(weights)}"
    if not hasattr(creator, name):
        creator.create(f"{name}Fitness", valp.Fitness, weights=weights)
        creator.create(name, valp.VALP, fitness=getattr(creator, f"{name}Fitness"))
    return getattr(creator, name)


@functools.cache
def mixed_problem() -> valp.Problem:
    """Two inputs, an output of every kind, and a second generation output."""
    rng = np.random.default_rng(0)
    left, right = rng.normal(size=(EXAMPLES, 5)), rng.normal(size=(EXAMPLES, 3))
    label = (left[:, 0] > 0).astype(int) + (right[:, 0] > 0)
    return valp.Problem(
        {"left": left, "right": right},
        {
            "label": valp.Classification(label),
            "value": valp.Regression(left[:, :2] * 3 + 1),
            "image": valp.Generation(np.tanh(left @ rng.normal(size=(5, 6)))),
            "texture": valp.Generation(rng.normal(size=(EXAMPLES, 4))),
        },
        splits=(0.5, 0.25, 0.25),
    )


@functools.cache
def image_problem() -> valp.Problem:
    """Two inputs that are images, one of them in colours, and the outputs of ``mixed_problem``."""
    rng = np.random.default_rng(2)
    left, right = rng.random((EXAMPLES, 12, 13)), rng.random((EXAMPLES, 3, 14, 12))
    rows = left.reshape(EXAMPLES, -1)
    return valp.Problem(
        {"left": valp.Image(left), "right": valp.Image(right)},
        {
            "label": valp.Classification(
                (rows[:, 0] > 0.5).astype(int) + (right[:, 0, 0, 0] > 0.5)
            ),
            "value": valp.Regression(rows[:, :2] * 3 + 1),
            "image": valp.Generation(valp.Image((right + rng.random(right.shape)) / 2)),
            "texture": valp.Generation(rng.normal(size=(EXAMPLES, 4))),
        },
        splits=(0.5, 0.25, 0.25),
    )


@functools.cache
def plain_problem() -> valp.Problem:
    """One input, one regression output."""
    x = np.random.default_rng(1).normal(size=(EXAMPLES, 4))
    return valp.Problem({"x": x}, {"y": valp.Regression(x[:, :1] ** 2)}, splits=(0.5, 0.25, 0.25))


def layers(*widths: int, activation: str = "tanh") -> tuple[Layer, ...]:
    return tuple(Layer(width, activation) for width in widths)


def generic(*widths: int, activation: str = "tanh") -> Generic:
    return Generic(random.getrandbits(63), layers(*widths, activation=activation))


def discrete(*widths: int) -> Discrete:
    return Discrete(
        random.getrandbits(63),
        (*layers(*widths[:-1], activation="elu"), Layer(widths[-1], "softmax")),
    )


def decoder(
    latent: int, *widths: int, share: Decoder | None = None, activation: str = "softplus"
) -> Decoder:
    shared = share.latent.id if share else random.getrandbits(63)
    return Decoder(
        random.getrandbits(63),
        layers(*widths, activation=activation),
        latent=Latent(shared, latent),
    )


def refiner(*widths: int, activation: str = "relu") -> Refiner:
    return Refiner(random.getrandbits(63), layers(*widths, activation=activation))


def convolutional(size: tuple[int, int], *filters: tuple) -> Convolutional:
    """Each filter is channels, kernel, stride and activation."""
    layers = tuple(Filter(width, name, kernel, stride) for width, kernel, stride, name in filters)
    return Convolutional(random.getrandbits(63), layers, size)


def painter(latent: int, size: tuple[int, int], *filters: tuple) -> Painter:
    """Each filter is channels, kernel, stride and activation."""
    layers = tuple(Filter(width, name, kernel, stride) for width, kernel, stride, name in filters)
    drawn = Latent(random.getrandbits(63), latent)
    return Painter(random.getrandbits(63), layers, drawn, size=size)


def build(problem, networks, edges, limits=None):
    """Return an individual with random weights and biases.

    None of them is zero, so that nothing is exact by accident.
    """
    ports = {
        **problem.inputs,
        **networks,
        **{name: output.port for name, output in problem.outputs.items()},
    }
    graph = build_graph(ports, [tuple(edge.split("->")) for edge in edges.split()])
    structure = Structure()
    structure.graph = graph
    shapes = structure.shapes()
    generator = torch.Generator().manual_seed(3)
    weights = {key: torch.randn(shape, generator=generator) * 0.4 for key, shape in shapes.items()}
    optimizers = {name: Optimizer() for name in problem.outputs}
    cls = individual_class(problem.weights)
    genome = Genome(graph, weights, optimizers, batch_size=50, limits=limits or Limits())
    return cls(genome)


@contextmanager
def editing(individual):
    """A draft of the individual, which then holds what the draft became, under the seed it had."""
    draft = Draft(individual.genome)
    yield draft
    individual.genome = draft.genome()


def smallest():
    return build(plain_problem(), {"n0": generic(4)}, "x->n0 n0->y")


def one_discrete():
    return build(
        plain_problem(),
        {"n0": discrete(4), "n1": generic(3, activation="relu")},
        "x->n0 n0->n1 n1->y",
    )


def every_activation():
    networks = {f"n{i}": generic(3, 4, activation=name) for i, name in enumerate(ACTIVATIONS)}
    edges = " ".join(
        f"{'x' if i == 0 else f'n{i - 1}'}->n{i} n{i}->y" for i in range(len(networks))
    )
    return build(plain_problem(), networks, edges)


def deep():
    networks = {f"n{i}": generic(5, activation="softsign") for i in range(8)}
    chain = " ".join(f"n{i}->n{i + 1}" for i in range(7))
    return build(plain_problem(), networks, f"x->n0 {chain} n7->y")


def shared_provider():
    """One sub-network serves everything, one decoder both generation outputs."""
    networks = {"n0": generic(6, 5), "n1": decoder(3, 4, 5)}
    return build(
        mixed_problem(),
        networks,
        "left->n0 right->n0 n0->label n0->value n0->n1 n1->image n1->texture",
    )


def fan_in():
    """Receivers of every kind that read several providers of every kind."""
    networks = {
        "n0": generic(6, activation="relu"),
        "n1": discrete(5, 4),
        "n2": decoder(2, 5),
        "n3": decoder(3, 4, 4, activation="elu"),
        "n4": refiner(5, 3),
        "n5": generic(4, 4, activation="sigmoid"),
        "n6": discrete(3),
    }
    edges = (
        "left->n0 right->n0 left->n1 n0->n2 n1->n2 n0->n3 n1->n3 n2->n4 n3->n4 n2->n5 left->n5 "
        "n1->n5 n4->n6 n0->n6 n5->label n6->label n1->label n5->value n0->value n4->image "
        "n3->image n2->texture n4->texture"
    )
    return build(mixed_problem(), networks, edges)


def fan_out():
    """Exclusive subgraphs for every output behind one shared trunk."""
    networks = {
        "n0": generic(8, 6, activation="elu"),
        "n1": discrete(4),
        "n2": generic(5, activation="softsign"),
        "n3": decoder(2, 5),
        "n4": decoder(2, 4),
        "n5": refiner(4),
    }
    edges = (
        "left->n0 right->n0 n0->n1 n0->n2 n0->n3 n0->n4 n1->label n2->value n3->image n4->n5 "
        "n5->texture"
    )
    return build(mixed_problem(), networks, edges)


def shared_latent():
    """Two decoders of one latent, as a gentle clone leaves them, one of them grown since."""
    first = decoder(2, 4)
    networks = {
        "n0": generic(5),
        "n1": first,
        "n2": decoder(3, 5, share=first),
        "n3": decoder(2, 3),
    }
    edges = (
        "left->n0 right->n0 n0->label n0->value n0->n1 n0->n2 n0->n3 n1->image n2->image "
        "n2->texture n3->texture"
    )
    return build(mixed_problem(), networks, edges)


def nested_decoder():
    """A decoder behind another, and a regression that reads samples."""
    networks = {
        "n0": generic(5),
        "n1": decoder(2, 4),
        "n2": generic(4, activation="identity"),
        "n3": decoder(3, 4),
        "n4": refiner(3),
    }
    edges = (
        "left->n0 right->n0 n0->label n0->n1 n1->n2 n2->value n2->n3 n3->n4 n4->image n3->texture "
        "n0->value"
    )
    return build(mixed_problem(), networks, edges)


def images():
    """Convolutions that read images and each other, of equal and of other sizes."""
    networks = {
        "n0": convolutional((12, 13), (3, 5, 2, "tanh"), (2, 3, 1, "relu")),
        "n1": convolutional((6, 7), (3, 3, 1, "relu"), (4, 1, 3, "elu")),
        "n2": convolutional((5, 5), (2, 3, 2, "softsign")),
        "n3": generic(4),
        "n4": decoder(2, 4),
        "n5": discrete(3),
        "n6": painter(2, (14, 12), (3, 3, 1, "tanh"), (2, 3, 2, "relu"), (2, 3, 1, "elu")),
        "n7": convolutional((7, 6), (2, 3, 2, "relu")),
        "n8": refiner(3),
    }
    edges = (
        "n0->n6 n3->n6 n6->image n6->n7 n6->n8 n7->value n8->image "
        "left->n0 right->n1 n0->n1 n0->n2 left->n2 n1->n2 n1->n3 right->n3 n2->n3 n2->label "
        "n3->label n3->value n1->value n0->n4 n3->n4 n4->image n4->texture n2->n5 n5->label"
    )
    return build(image_problem(), networks, edges)


def image_trunk():
    """One convolution that all others read."""
    networks = {
        "n0": convolutional((12, 13), (2, 3, 2, "relu"), (3, 3, 2, "relu")),
        "n1": generic(4, activation="relu"),
        "n2": decoder(2, 4),
    }
    edges = "left->n0 right->n0 n0->n1 n0->n2 n1->label n1->value n0->value n2->image n2->texture"
    return build(image_problem(), networks, edges)


MEMBERS = (
    smallest,
    one_discrete,
    every_activation,
    deep,
    shared_provider,
    fan_in,
    fan_out,
    shared_latent,
    nested_decoder,
    images,
    image_trunk,
)
NAMES = [member.__name__ for member in MEMBERS]
IMAGES = ["images", "image_trunk"]
"""The members with convolutions."""
_PROBLEMS = {
    smallest: plain_problem,
    one_discrete: plain_problem,
    every_activation: plain_problem,
    deep: plain_problem,
    images: image_problem,
    image_trunk: image_problem,
}


def member(name: str):
    """A fresh member by name."""
    return next(member for member in MEMBERS if member.__name__ == name)()


def problem_of(name: str) -> valp.Problem:
    """The problem a member was made for."""
    return next(
        _PROBLEMS.get(member, mixed_problem) for member in MEMBERS if member.__name__ == name
    )()


def random_valp(problem: valp.Problem, networks=(3, 6)):
    cls = individual_class(problem.weights)
    return valp.initVALP(cls, problem, networks=networks, start="random")


# ---- predictions to compare ----------------------------------------------------------------------


def noise_for(problem, size: int) -> dict:
    """Return noise by latent id.

    It is drawn from the id, so it is the same before and after any operator.
    """

    class Noise(dict):
        def __missing__(self, latent_id):
            generator = torch.Generator().manual_seed(latent_id % 2**31)
            return torch.randn(size, 64, generator=generator, dtype=torch.float64)

    return Noise()


def predictions(individual, problem, dtype=torch.float64, size: int = 32) -> dict:
    """Return every output in every mode, and the losses with their KL part.

    The noise depends on the latent alone.
    """
    from deap_valp.training import sub_losses
    from deap_valp.training.model import Latents

    model = valp.decode(individual, dtype=dtype)
    data = problem.split("train", limit=size)
    noise = noise_for(problem, size)
    cast = {latent: noise[latent].to(dtype) for latent in model.latents}
    features = {name: value.to(dtype) for name, value in data.inputs.items()}
    targets = {
        name: v.to(dtype) if v.is_floating_point() else v for name, v in data.targets.items()
    }
    seen = {}
    with torch.no_grad():
        for mode in ("train", "reconstruct", "generate"):
            latents = Latents(mode, cast)
            results = model.run(features, latents)
            seen |= {f"{mode} {name}": results[name] for name in model.outputs}
            if mode != "generate":
                seen[f"{mode} losses"] = sub_losses(model, problem)(results, targets, latents)
    return seen


def largest_difference(before: dict, after: dict) -> float:
    """Largest difference, relative to the size of what is compared where that is above 1."""
    return max(
        float(((before[k] - after[k]).abs() / before[k].abs().clamp(min=1)).max()) for k in before
    )
