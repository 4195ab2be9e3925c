"""Milliseconds of a training step: both players', a plain PyTorch loop's, the products alone.

    python tests/benchmarks/step.py [table] [digits] [images] [convolutions]
                                    [--rounds 9] [--widths 20 50 100]
                                    [--random 0] [--device cuda]

Processor time of one thread (on a GPU, wall time until it has done all). ``table`` has 500 rows of
10 numbers, VALPs of three sub-networks and batches of 100; ``digits`` and ``images`` have synthetic
images of 64 and 784 pixels, VALPs of six sub-networks and batches of 200; ``convolutions`` has the
larger images and the shared start. The contestants take
turns in blocks, so that whatever else the machine does hits all of them; each ratio is the median
over the rounds. The players' times include what a session does before its first step, spread over
the steps of a block.
"""

# ruff: noqa: E402 (the path comes first, so that the script runs from anywhere)

from __future__ import annotations

import argparse
import logging
import random
import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS.parent)]

import zoo

import deap_valp as valp
from deap_valp.genome import Convolutional, Decoder, Dense
from deap_valp.training import train
from deap_valp.training.tape import Tape

BATCH = 200
CONVOLUTIONS = "convolutions"
EXAMPLES = {"table": 500, "digits": 1797, "images": 20_000, CONVOLUTIONS: 20_000}
# 63 MB of images, more than the last cache holds
PIXELS = {"digits": (8, 8), "images": (28, 28), CONVOLUTIONS: (28, 28)}
Contestant = Callable[[valp.VALP, valp.Problem, str], Callable[[int], object]]
MODULES = {
    "relu": nn.ReLU,
    "elu": nn.ELU,
    "softplus": nn.Softplus,
    "softsign": nn.Softsign,
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "identity": nn.Identity,
    "softmax": lambda: nn.Softmax(1),
}


# ---- what is trained -----------------------------------------------------------------------------


def problem_of(name: str) -> valp.Problem:
    """A table with two outputs, or images with an output of every kind, as in the paper."""
    rng, size = np.random.default_rng(0), EXAMPLES[name]
    held = 200 if size > 1000 else 100
    inputs: dict[str, object] = {"row": rng.normal(size=(size, 10))}
    outputs: dict[str, valp.OutputKind] = {
        "label": valp.Classification(rng.integers(0, 10, size)),
        "histogram": valp.Regression(rng.random((size, 8))),
    }
    if name in PIXELS:
        inputs = {"image": rng.integers(0, 256, (size, *PIXELS[name]), dtype=np.uint8)}
        outputs["picture"] = valp.Generation()
    splits = {"train": slice(0, size - held), "validation": [size - 1], "test": [size - 2]}
    return valp.Problem(inputs, outputs, splits=splits)


def three_networks(problem: valp.Problem, width: int) -> valp.VALP:
    """Three generic sub-networks of two layers."""
    networks = {
        "n0": zoo.generic(width, width, activation="relu"),
        "n1": zoo.generic(width, width, activation="tanh"),
        "n2": zoo.generic(width, width, activation="elu"),
    }
    edges = "row->n0 row->n1 n0->n2 n1->n2 n2->label n1->histogram n2->histogram"
    return scaled(zoo.build(problem, networks, edges), 100)


def six_networks(problem: valp.Problem, width: int) -> valp.VALP:
    """Every kind of sub-network, two or three layers each; three of them read the image."""
    networks = {
        "n0": zoo.generic(width, width, activation="relu"),
        "n1": zoo.generic(width, width, width, activation="tanh"),
        "n2": zoo.generic(width, width, activation="elu"),
        "n3": zoo.discrete(width, width),
        "n4": zoo.decoder(width // 2, width, width, activation="relu"),
        "n5": zoo.refiner(width, width, width, activation="sigmoid"),
    }
    edges = (
        "image->n0 image->n1 image->n2 n0->n2 n0->n3 n1->n3 n1->n4 n2->n4 n4->n5 "
        "n3->label n2->label n2->histogram n0->histogram n5->picture"
    )
    return scaled(zoo.build(problem, networks, edges), BATCH)


def scaled(individual: valp.VALP, batch_size: int) -> valp.VALP:
    """The individual with weights of a usual size."""
    weights = {key: tensor / tensor.shape[-1] ** 0.5 for key, tensor in individual.weights.items()}
    genome = replace(individual.genome, weights=weights, batch_size=batch_size)
    return type(individual)(genome)


def started_valp(problem: valp.Problem, width: int) -> valp.VALP:
    """Return the shared start, whose convolutions read the image; no block of it is zero."""
    individual = valp.initVALP(zoo.individual_class(problem.weights), problem, batch_size=200)
    weights = {
        key: tensor if tensor.any() else 0.01 * torch.randn_like(tensor)
        for key, tensor in individual.weights.items()
    }
    return type(individual)(replace(individual.genome, weights=weights))


def drawn_valp(problem: valp.Problem, width: int, seed: int) -> valp.VALP:
    """Six sub-networks as ``initVALP`` draws them."""
    random.seed(seed)
    latent, icls = (width // 2, width // 2), zoo.individual_class(problem.weights)
    return valp.initVALP(
        icls, problem, (6, 6), layers=(2, 3), width=(width, width), latent=latent, batch_size=BATCH
    )


# ---- contestants: each gives a function of the number of steps to take ---------------------------


def by_engine(engine: str) -> Contestant:
    """``train`` by one of the engines, what it does before the first step included."""

    def of(individual: valp.VALP, problem: valp.Problem, device: str) -> Callable[[int], object]:
        model, size = valp.decode(individual, device=device), individual.batch_size
        rates = individual.optimizers
        return lambda steps: train(model, problem, steps, size, rates, seed=1, engine=engine)

    return of


class Plain(nn.Module):
    """The same network as anybody would write it with modules."""

    def __init__(self, individual: valp.VALP) -> None:
        super().__init__()
        self.individual = individual
        self.order = [name for name in individual.order if name not in individual.inputs]
        self.providers = {name: individual.providers(name) for name in self.order}
        self.kinds = {name: individual.component(name) for name in self.order}
        self.noise = torch.randn_like
        self.entries, self.bodies = nn.ModuleDict(), nn.ModuleDict()
        for name, kind in self.kinds.items():
            bias = individual.weights[individual.entry_bias(name)]
            if isinstance(kind, Convolutional):
                (provider,) = self.providers[name]
                self.entries[name] = conv(individual.block(provider, name), bias, kind.layers[0])
            else:
                blocks = [self._block(provider, name) for provider in self.providers[name]]
                self.entries[name] = linear(torch.cat(blocks, 1), bias)
            if isinstance(kind, Dense):
                self.bodies[name] = nn.Sequential(*self._modules_of(name, kind))

    def _block(self, provider: str, receiver: str) -> Tensor:
        """Return a dense block, for maps in the order of their flattened images."""
        block, maps = self.individual.block(provider, receiver), self.kinds.get(provider)
        if not isinstance(maps, Convolutional):
            return block
        return block.view(len(block), -1, maps.maps.channels).transpose(1, 2).flatten(1)

    def _modules_of(self, name: str, kind: Dense):
        for index, layer in enumerate(kind.layers):
            keys = [f"{name}.{index}.{key}" for key in ("weight", "bias")]
            if keys[0] in self.individual.weights:
                weight, bias = (self.individual.weights[key] for key in keys)
                convolves = hasattr(layer, "kernel")
                yield conv(weight, bias, layer) if convolves else linear(weight, bias)
            yield MODULES[layer.activation]()

    def forward(self, results: dict[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        results, divergence = dict(results), {}
        for name in self.order:
            if isinstance(self.kinds[name], Convolutional):
                images = results[self.providers[name][0]].unflatten(1, (1, *self.kinds[name].size))
                results[name] = self.bodies[name](self.entries[name](images)).flatten(1)
                continue
            read = [results[provider] for provider in self.providers[name]]
            hidden = self.entries[name](torch.cat(read, 1) if len(read) > 1 else read[0])
            if isinstance(self.kinds[name], Decoder):
                mean, log_variance = hidden.chunk(2, 1)
                log_variance = log_variance.clamp(-10, 10)
                hidden = mean + torch.exp(0.5 * log_variance) * self.noise(mean)
                each = 1 + log_variance - mean.pow(2) - log_variance.exp()
                divergence[name] = -0.5 * each.sum(1).mean()
            results[name] = self.bodies[name](hidden) if name in self.bodies else hidden
        return results, divergence


def linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    module = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        module.weight.copy_(weight)
        module.bias.copy_(bias)
    return module


def conv(weight: Tensor, bias: Tensor, layer) -> nn.Conv2d:
    kernels = weight.permute(0, 3, 1, 2)
    channels, read, *_ = kernels.shape
    module = nn.Conv2d(read, channels, layer.kernel, layer.stride, layer.kernel // 2)
    with torch.no_grad():
        module.weight.copy_(kernels)
        module.bias.copy_(bias)
    return module


class PlainLosses:
    """The losses of ``torch.nn.functional``, with their weights in the sum."""

    def __init__(self, individual: valp.VALP, problem: valp.Problem) -> None:
        self.problem = problem
        self.shares = {
            name: dict(valp.decode(individual).divergences(name)) for name in problem.outputs
        }

    def __call__(
        self, results: dict[str, Tensor], targets: dict[str, Tensor], divergence: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        losses = {}
        for name, kind in self.problem.outputs.items():
            if kind.kind == "classification":
                loss = functional.cross_entropy(results[name], targets[name])
            else:
                loss = functional.mse_loss(results[name], targets[name])
            if kind.kind == "generation":
                part = sum(
                    divergence[decoder] * share for decoder, share in self.shares[name].items()
                )
                loss = loss + kind.divergence_weight * part
            losses[name] = self.problem.loss_scale[name] * loss
        return losses


def plain(individual: valp.VALP, problem: valp.Problem, device: str) -> Callable[[int], object]:
    """Modules, random row indices, Adam as it comes."""
    model, losses_of = Plain(individual).to(device), PlainLosses(individual, problem)
    data = problem.split("train", device)
    optimizer = torch.optim.Adam(model.parameters())

    def steps(count: int) -> None:
        for _ in range(count):
            rows = torch.randint(data.size, (individual.batch_size,), device=device)
            results, divergence = model({name: value[rows] for name, value in data.inputs.items()})
            targets = {name: value[rows] for name, value in data.targets.items()}
            optimizer.zero_grad()
            sum(losses_of(results, targets, divergence).values()).backward()
            optimizer.step()

    return steps


def assert_same_losses(individual: valp.VALP, problem: valp.Problem) -> None:
    """Both train the same network with the same losses."""
    size = individual.batch_size
    data, model, ours = (
        problem.split("train", limit=size),
        Plain(individual),
        valp.decode(individual),
    )
    model.noise = torch.zeros_like
    results, divergence = model(data.inputs)
    plainly = PlainLosses(individual, problem)(results, data.targets, divergence)
    noise = {latent: torch.zeros(size, dim) for latent, dim in ours.latents.items()}
    losses = Tape(ours, problem, size).forward(data.inputs, data.targets, noise)
    torch.testing.assert_close(losses, torch.stack([plainly[name] for name in ours.outputs]))


def products(individual: valp.VALP, problem: valp.Problem, device: str) -> Callable[[int], object]:
    """Every product of the network forward and backward, into memory that is there; nothing else.

    Providers stand side by side, and inputs need no gradient.
    """
    calls: list[tuple[Tensor, Tensor, Tensor]] = []

    def layer(rows: int, columns: int, needed: int) -> None:
        batch = individual.batch_size
        shapes = (batch, columns), (batch, rows), (rows, columns)
        read, gradient, weight = (torch.randn(shape, device=device) for shape in shapes)
        pairs = [(read, weight.t()), (gradient.t(), read)]
        if needed:
            pairs.append((gradient, weight[:, columns - needed :]))
        calls.extend((left, right, left @ right) for left, right in pairs)

    for name in individual.order:
        if name in individual.inputs:
            continue
        widths = {
            provider: individual.component(provider).width
            for provider in individual.providers(name)
        }
        needed = sum(
            width for provider, width in widths.items() if provider not in individual.inputs
        )
        if isinstance(individual.component(name), Convolutional):
            continue  # the products alone, without the convolutions
        layer(individual.rows(name), sum(widths.values()), needed)
        if name in individual.networks:
            for key, shape in individual.component(name).shapes().items():
                if key.endswith("weight"):
                    rows, columns = shape
                    layer(rows, columns, columns)

    def steps(count: int) -> None:
        for _ in range(count):
            for left, right, out in calls:
                torch.mm(left, right, out=out)

    return steps


# ---- timing --------------------------------------------------------------------------------------

CONTESTANTS: dict[str, Contestant] = {
    "compiled": by_engine("compiled"),
    "torch": by_engine("torch"),
    "plain": plain,
    "products": products,
}


def convolves(individual: valp.VALP) -> bool:
    """Return whether there are convolutions, which the compiled player leaves to torch."""
    components = [individual.component(name) for name in individual.networks]
    return any(isinstance(component, Convolutional) for component in components)


def clock(device: str) -> float:
    """Seconds; on a GPU, after all that it was given to do."""
    if not device.startswith("cuda"):
        return process_time()
    torch.cuda.synchronize(device)
    return perf_counter()


def measure(
    individual: valp.VALP, problem: valp.Problem, rounds: int, steps: int, device: str
) -> dict[str, list[float]]:
    """Milliseconds a step of every contestant in every round."""
    with torch.no_grad():
        assert_same_losses(individual, problem)
    runs = {
        name: make(individual, problem, device)
        for name, make in CONTESTANTS.items()
        if name != "compiled" or (device == "cpu" and not convolves(individual))
    }
    seen: dict[str, list[float]] = {name: [] for name in runs}
    for index in range(-1, rounds):  # the first round warms up
        for name, run in runs.items():
            start = clock(device)
            run(steps)
            if index >= 0:
                seen[name].append(1000 * (clock(device) - start) / steps)
    return seen


def row(label: str, individual: valp.VALP, seen: dict[str, list[float]]) -> str:
    """A row of the table."""

    def ratio(one: str, other: str) -> str:
        if one not in seen:
            return ""
        return (
            f"{statistics.median(a / b for a, b in zip(seen[one], seen[other], strict=True)):.2f}"
        )

    times = [f"{statistics.median(seen.get(name, [0.0])):.3f}" for name in CONTESTANTS]
    ratios = [
        ratio("compiled", "torch"),
        ratio("torch", "plain"),
        ratio("compiled", "products"),
        ratio("torch", "products"),
    ]
    return " | ".join([f"| {label}", f"{individual.weight_count:,}", *times, *ratios]) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("problems", nargs="*", default=list(EXAMPLES))
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--steps", type=int, default=200, help="of a block")
    parser.add_argument(
        "--widths", type=int, nargs="+", default=[20, 50, 100], help="units of a layer"
    )
    parser.add_argument(
        "--random", type=int, default=0, help="VALPs of each width drawn with initVALP, besides"
    )
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    logging.getLogger("deap_valp").setLevel(logging.ERROR)  # these VALPs were never trained
    random.seed(1)
    columns = ["VALP", "weights", *(f"{name}, ms" for name in CONTESTANTS), "compiled / torch"]
    columns += ["torch / plain", "compiled / products", "torch / products"]
    print(f"| {' | '.join(columns)} |")
    print("|---" * len(columns) + "|")
    for name in arguments.problems:
        print_rows(name, arguments)


def print_rows(name: str, arguments: argparse.Namespace) -> None:
    """Print the rows of one problem."""
    problem = problem_of(name)
    build = {"table": three_networks, CONVOLUTIONS: started_valp}.get(name, six_networks)
    for width in arguments.widths[:1] if name == CONVOLUTIONS else arguments.widths:
        valps = {f"{name}, {width} units": build(problem, width)}
        valps |= {
            f"{name}, {width} units, drawn {i}": drawn_valp(problem, width, i)
            for i in range(arguments.random)
        }
        for label, individual in valps.items():
            seen = measure(individual, problem, arguments.rounds, arguments.steps, arguments.device)
            print(row(label, individual, seen), flush=True)


if __name__ == "__main__":
    main()
