"""From an individual to a ``torch.nn.Module``, and its weights back.

References:
    Paper III. A receiver adds up what its blocks make of its providers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import networkx as nx
import torch
from torch import Tensor, nn

from ..errors import ValpError
from ..genome import VALP, Connection, Input, Latent, Layer, Output, SubNetwork

MODES = ("train", "reconstruct", "generate")


class Latents:
    """Draws the latents of one pass through a model, and remembers their moments for the KL divergence.

    Noise belongs to a latent by its id, never to an order of traversal: decoders that share a
    latent draw the same.

    Args:
        mode: ``train``: mean + deviation * noise; ``reconstruct``: the mean; ``generate``: the
            noise itself.
        noise: By latent id, shape (batch, at least dim); not needed to reconstruct.
    """

    def __init__(self, mode: str, noise: Mapping[int, Tensor] | None = None) -> None:
        self.mode = mode
        self.noise = noise or {}
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, name: str, latent: Latent, heads: Tensor) -> Tensor:
        """The latent of decoder ``name``, shape (batch, dim), from its two heads, shape (batch, 2 * dim)."""
        mean, log_variance = heads.chunk(2, 1)
        log_variance = log_variance.clamp(-10, 10)
        self.moments[name] = mean, log_variance
        if self.mode == "reconstruct":
            return mean
        noise = self.noise[latent.id][:, : latent.dim]
        return (
            noise
            if self.mode == "generate"
            else torch.addcmul(mean, torch.exp(0.5 * log_variance), noise)
        )

    def divergence(self, name: str) -> Tensor:
        """KL divergence of a decoder's posterior from N(0, I): sum over dimensions, mean over the batch."""
        mean, log_variance = self.moments[name]
        # -1/2 sum(1 + logvar - mean^2 - exp(logvar)), term by term without a tensor of all of it
        total = (
            torch.dot(mean.reshape(-1), mean.reshape(-1))
            + log_variance.exp().sum()
            - log_variance.sum()
        )
        return 0.5 * (total - mean.numel()) / mean.shape[0]


class Model(nn.Module):
    """A VALP as a network: dictionaries by port name in and out.

    Attributes:
        order: Sub-networks and outputs, providers first.
        components: What each of them, and each input, is.
        providers: What each of them reads.
        latents: The latents, each once with the largest dimension that a decoder gives it.
        tensors: The parameters under the names of ``VALP.weights``.
        entry_bias: Of each sub-network and output, the name of the bias that is added to what it
            reads.
    """

    def __init__(self, individual: VALP, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.components: dict[str, Any] = {
            name: individual.component(name) for name in individual.order
        }
        self.order = tuple(name for name in individual.order if name not in individual.inputs)
        self.providers = {name: individual.providers(name) for name in self.order}
        self.inputs, self.outputs = individual.inputs, individual.outputs
        self._graph = nx.freeze(individual.graph.copy())
        self.entry_bias = {name: individual.entry_bias(name) for name in self.order}
        self._keys = {name: individual.keys_of(name) for name in self.order}
        weights = individual.trained_weights
        self.tensors = {
            key: self._parameter(key, weights[key], dtype, device) for key in individual.shapes()
        }
        self.latents = self._find_latents()

    def _parameter(
        self, key: str, tensor: Tensor, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        # one copy of its own, since training writes to it and the individual's tensors are values
        parameter = nn.Parameter(tensor.detach().to(device=device, dtype=dtype, copy=True))
        self.register_parameter(key.replace(".", ":"), parameter)
        return parameter

    def _find_latents(self) -> dict[int, int]:
        latents: dict[int, int] = {}
        for component in self.components.values():
            if isinstance(component, SubNetwork) and component.drawn is not None:
                latent, _ = component.drawn
                latents[latent.id] = max(latent.dim, latents.get(latent.id, 0))
        return latents

    # ---- structure -------------------------------------------------------------------------------

    def behind(self, name: str) -> tuple[str, ...]:
        """``name`` and what depends on it, in order: all that changes when it does."""
        changed = nx.descendants(self._graph, name) | {name}
        return tuple(other for other in self.order if other in changed)

    def subgraph(self, output: str) -> frozenset[str]:
        """The sub-networks from which the output can be reached, and the output."""
        return frozenset(nx.ancestors(self._graph, output) | {output}) - frozenset(self.inputs)

    def divergences(self, output: str) -> tuple[tuple[str, float], ...]:
        """Return the sub-networks with a latent before an output, with their share of its KL part.

        The part is the sum over latents. Each is the mean over the sub-networks that draw it, so a
        gentle clone changes nothing.
        """
        subgraph = self.subgraph(output)
        drawing = {name: drawn for name, drawn in self._drawing.items() if name in subgraph}
        totals: dict[int, float] = {}
        for latent, share in drawing.values():
            totals[latent.id] = totals.get(latent.id, 0.0) + share
        return tuple((name, share / totals[latent.id]) for name, (latent, share) in drawing.items())

    @property
    def _drawing(self) -> dict[str, tuple[Latent, float]]:
        """The sub-networks that draw a latent, with their share in its divergence."""
        drawing = {}
        for name in self.order:
            component = self.components[name]
            if isinstance(component, SubNetwork) and component.drawn is not None:
                drawing[name] = component.drawn
        return drawing

    def generative_order(self) -> tuple[str, ...]:
        """What generating needs: the generation outputs and the chains of samples that end in them."""
        needed = {name for name in self.outputs if self.components[name].draws_samples}
        for name in reversed(self.order):
            if name in needed and name not in self._drawing:
                needed.update(self.providers[name])
        return tuple(name for name in self.order if name in needed)

    # ---- computing -------------------------------------------------------------------------------

    def tensors_of(self, name: str) -> dict[str, Tensor]:
        """Return the parameters of a sub-network or output: its blocks, then its own."""
        return {key: self.tensors[key] for key in self._keys[name]}

    def run(
        self, known: Mapping[str, Tensor], latents: Latents, order: Iterable[str] | None = None
    ) -> dict[str, Tensor]:
        """Compute the components of ``order`` from what is known; all of them, from the inputs' features, by default.

        Args:
            known: Features by input, shape (batch, width), and results already computed.
            latents: Draws the latents.
            order: What to compute; its providers must be known or come before it.

        Returns:
            What was known and what was computed: results of sub-networks, and the heads of outputs
                before their
            units, shape (batch, width).
        """
        results = dict(known)
        for name in self.order if order is None else order:
            pre = self.tensors[self.entry_bias[name]]
            for provider in self.providers[name]:
                pre = torch.addmm(
                    pre, results[provider], self.tensors[Connection(provider, name)].t()
                )
            results[name] = self._compute(name, pre, latents)
        return results

    def _compute(self, name: str, pre: Tensor, latents: Latents) -> Tensor:
        component = self.components[name]
        return (
            pre
            if isinstance(component, Output)
            else component.compute(pre, OnTensors(self, name, latents))
        )

    def features(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Inputs in the user's units to features, each (batch, width).

        Raises:
            ValpError: An input is missing or unknown, or has another width.
        """
        if set(inputs) != set(self.inputs):
            raise ValpError(
                f"a decoded VALP needs the inputs {list(self.inputs)}, got {list(inputs)}"
            )
        features = {}
        for name, value in inputs.items():
            port: Input = self.components[name]
            first = next(self.parameters())
            value = torch.as_tensor(value).to(device=first.device, dtype=first.dtype).flatten(1)
            if value.shape[1] != port.width:
                raise ValpError(
                    f"input {name} has {port.width} features an example, got {value.shape[1]}"
                )
            features[name] = (value - value.new_tensor(port.shift)) * value.new_tensor(port.scale)
        return features

    def draw_noise(self, size: int, generator: torch.Generator | None = None) -> dict[int, Tensor]:
        """Standard normal noise by latent id, each (size, dim)."""
        first, dims = next(iter(self.tensors.values())), list(self.latents.values())
        drawn = torch.randn(
            sum(dims), size, generator=generator, device=first.device, dtype=first.dtype
        )
        return {
            latent: rows.t() for latent, rows in zip(self.latents, drawn.split(dims), strict=True)
        }

    def forward(
        self,
        inputs: Mapping[str, Tensor],
        mode: str = "reconstruct",
        noise: Mapping[int, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Predict every output.

        Args:
            inputs: By input name, in the user's units, shape (batch, width) or images of as many
                pixels.
            mode: ``reconstruct`` (latents at their mean), ``train`` (sampled) or ``generate`` (from
                N(0, I)).
            noise: By latent id, shape (batch, dim); drawn from torch's global generator by default.

        Returns:
            By output name, in the user's units, shape (batch, width): probabilities for
            classification.

        Raises:
            ValpError: The mode is unknown, or the inputs are not the problem's.
        """
        if mode not in MODES:
            raise ValpError(f"a decoded VALP runs in the modes {list(MODES)}, got {mode!r}")
        features = self.features(inputs)
        if noise is None and mode != "reconstruct":
            noise = self.draw_noise(next(iter(features.values())).shape[0])
        results = self.run(features, Latents(mode, noise))
        return {name: self.components[name].predict(results[name]) for name in self.outputs}

    def generate(self, size: int, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """New samples of every generation output, in the user's units, shape (size, width)."""
        noise = self.draw_noise(size, generator)
        latents, results = Latents("generate", noise), dict[str, Tensor]()
        order = self.generative_order()
        for name in order:
            if name in self._drawing:  # it reads its latent alone: nothing before it is needed
                results[name] = self._compute(
                    name, self.tensors[self.entry_bias[name]].expand(size, -1), latents
                )
            else:
                results = self.run(results, latents, [name])
        return {
            name: self.components[name].predict(results[name])
            for name in order
            if name in self.outputs
        }

    # ---- back to the genome ----------------------------------------------------------------------

    def weights(self) -> dict[str, Tensor]:
        """The parameters under the names of ``VALP.weights``, as float32 tensors with memory of their own."""
        return {key: _value(tensor) for key, tensor in self.tensors.items()}


class OnTensors:
    """Computes a sub-network of a model at once, shapes (batch, width); autograd sees it."""

    def __init__(self, model: Model, name: str, latents: Latents) -> None:
        self.model, self.name, self.latents = model, name, latents

    def activate(self, pre: Tensor, layer: Layer) -> Tensor:
        """Apply the activation of a layer."""
        return layer.activate(pre)

    def add(self, first: Tensor, second: Tensor) -> Tensor:
        """Add two signals of one width."""
        return first + second

    def dense(self, hidden: Tensor, stage: int | str) -> Tensor:
        """Apply the weight and bias of a stage of the sub-network."""
        weight, bias = (
            self.model.tensors[f"{self.name}.{stage}.{part}"] for part in ("weight", "bias")
        )
        return torch.addmm(bias, hidden, weight.t())

    def draw(self, heads: Tensor, latent: Latent) -> Tensor:
        """Draw the latent from its two heads."""
        return self.latents(self.name, latent, heads)


def _value(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def decode(
    individual: VALP, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
) -> Model:
    """The trained network of an individual; it shares no memory with it.

    >>> model = decode(individual)  # doctest: +SKIP
    >>> model({"image": images}, mode="reconstruct")["label"]  # probabilities  # doctest: +SKIP
    """
    return Model(individual, dtype, torch.device(device))
