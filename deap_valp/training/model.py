"""The network of an individual as a ``torch.nn.Module``, which also gives the weights back.

A sub-network or an output is a receiver: it reads the results of its providers. A connection has
a block of weights, which is multiplied with the result of the provider. The receiver adds up these
products and its bias.

References:
    Paper III.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

import networkx as nx
import torch
from torch import Tensor, nn

from ..arguments import got, is_number, need_whole
from ..errors import ValpError
from ..genome import MAPS, VALP, Connection, Convolution, Input, Latent, Layer, Output, SubNetwork
from . import posterior
from .wanted import keep_wanted

if TYPE_CHECKING:
    from .mixture import Mixture

MODES = ("train", "reconstruct", "generate")


class Latents:
    """Draws the latent variables of one pass through a model, and keeps their KL divergences.

    The noise of a latent is found by the id of the latent, not by the order of the computation. So
    decoders that share a latent draw the same noise.

    Args:
        mode: ``train`` draws mean + deviation * noise, ``reconstruct`` gives the mean, and
            ``generate`` gives the noise itself.
        noise: The noise by latent id, each of shape (batch, at least dim). It is not needed to
            reconstruct.
        given: Latent variables that are not drawn, by the name of the sub-network.

    Attributes:
        moments: The mean and the log-variance that each decoder computed in this pass.
    """

    def __init__(
        self,
        mode: str,
        noise: Mapping[int, Tensor] | None = None,
        given: Mapping[str, Tensor] | None = None,
    ) -> None:
        self.mode = mode
        self.noise = noise or {}
        self.given = given or {}
        self.moments: dict[str, tuple[Tensor, Tensor]] = {}

    def __call__(self, name: str, latent: Latent, heads: Tensor) -> Tensor:
        """Return the latent variable of a decoder, shape (batch, dim).

        Args:
            name: The name of the decoder.
            latent: The id and the dimension of its latent.
            heads: The mean and the log-variance side by side, shape (batch, 2 * dim).
        """
        mean, log_variance = heads.chunk(2, 1)
        log_variance = posterior.log_variance_of(log_variance)
        self.moments[name] = mean, log_variance
        if name in self.given:
            return self.given[name]
        if self.mode == "reconstruct":
            return mean
        noise = self.noise[latent.id][:, : latent.dim]
        if self.mode == "generate":
            return noise
        return posterior.drawn(mean, torch.exp(0.5 * log_variance), noise)

    def divergence(self, name: str, weights: Tensor | None = None) -> Tensor:
        """Return the KL divergence from N(0, I) of the latent variable of a decoder.

        It is the sum over the dimensions and the mean over the batch, of each example times its
        weight if there are weights, of shape (batch,).
        """
        mean, log_variance = self.moments[name]
        if weights is not None:
            each = posterior.divergences(mean, log_variance, log_variance.exp(), dim=1)
            return each.dot(weights.to(each)) / len(each)
        return posterior.divergence(mean, log_variance, log_variance.exp(), len(mean))


class Model(nn.Module):
    """A VALP as a network. It maps a dictionary of inputs by name to one of outputs by name.

    Attributes:
        order: The sub-networks and outputs, providers before their receivers.
        components: The description of each input, sub-network and output.
        providers: The components that each sub-network and output reads.
        latents: The dimension of each latent by its id: the largest that a decoder gives it.
        tensors: The parameters, under the names of ``VALP.weights``.
        entry_bias: The name of the bias that each sub-network and output adds to what it reads.
        mixture: What ``generate`` draws latents from; None stands for N(0, I).
    """

    def __init__(self, individual: VALP, dtype: torch.dtype, device: torch.device) -> None:
        super().__init__()
        self.mixture: Mixture | None = None
        self.components: dict[str, Any] = {
            name: individual.component(name) for name in individual.order
        }
        self.order = tuple(name for name in individual.order if name not in individual.inputs)
        self.providers = {name: individual.providers(name) for name in self.order}
        self.inputs, self.outputs = individual.inputs, individual.outputs
        self._graph = nx.freeze(individual.graph.copy())
        self._behind: dict[str, tuple[str, ...]] = {}
        self.entry_bias = {name: individual.entry_bias(name) for name in self.order}
        self._keys = {name: individual.keys_of(name) for name in self.order}
        weights = individual.weights
        self.tensors = {
            key: self._parameter(key, weights[key], dtype, device) for key in individual.shapes()
        }
        self.latents = self._find_latents()
        self._text = str(individual)

    def _parameter(
        self, key: str, tensor: Tensor, dtype: torch.dtype, device: torch.device
    ) -> Tensor:
        # A copy, because training writes to it, and nothing writes to the tensors of an individual.
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

    def __repr__(self) -> str:
        first = next(self.parameters())
        _, _, components = self._text.partition("\n")
        count = sum(tensor.numel() for tensor in self.parameters())
        kind = str(first.dtype).removeprefix("torch.")
        return f"{type(self).__name__} of {count} weights, {kind} on {first.device}\n{components}"

    def behind(self, name: str) -> tuple[str, ...]:
        """Return a component and all that depend on it, in the order of computation."""
        if name not in self._behind:
            changed = nx.descendants(self._graph, name) | {name}
            self._behind[name] = tuple(other for other in self.order if other in changed)
        return self._behind[name]

    def subgraph(self, output: str) -> frozenset[str]:
        """Return the sub-networks from which the output can be reached, and the output."""
        return frozenset(nx.ancestors(self._graph, output) | {output}) - frozenset(self.inputs)

    def divergences(self, output: str) -> tuple[tuple[str, float], ...]:
        """Return the sub-networks with a latent before an output, each with its weight in the KL.

        The KL of an output is the sum over the latents before it. The KL of a latent is the mean
        over the sub-networks that draw it, so that a gentle clone of a decoder does not change it.
        """
        subgraph = self.subgraph(output)
        drawing = {name: drawn for name, drawn in self._drawing.items() if name in subgraph}
        totals: dict[int, float] = {}
        for latent, share in drawing.values():
            totals[latent.id] = totals.get(latent.id, 0.0) + share
        return tuple((name, share / totals[latent.id]) for name, (latent, share) in drawing.items())

    @cached_property
    def _drawing(self) -> dict[str, tuple[Latent, float]]:
        """The sub-networks that draw a latent, each with the latent and its share in the KL."""
        drawing = {}
        for name in self.order:
            component = self.components[name]
            if isinstance(component, SubNetwork) and component.drawn is not None:
                drawing[name] = component.drawn
        return drawing

    def generative_order(self) -> tuple[str, ...]:
        """Return the components that generating needs, in order.

        These are the generation outputs, and the sub-networks before them as far as the decoders.
        """
        needed = {name for name in self.outputs if self.components[name].draws_samples}
        for name in reversed(self.order):
            if name in needed and name not in self._drawing:
                needed.update(self.providers[name])
        return tuple(name for name in self.order if name in needed)

    def drawn_first(self) -> tuple[str, ...]:
        """Return the sub-networks whose latents generating draws, in order."""
        return tuple(name for name in self.generative_order() if name in self._drawing)

    # ---- computing -------------------------------------------------------------------------------

    def tensors_of(self, name: str) -> dict[str, Tensor]:
        """Return the parameters of a sub-network or output: its blocks, then its own."""
        return {key: self.tensors[key] for key in self._keys[name]}

    def run(
        self, known: Mapping[str, Tensor], latents: Latents, order: Iterable[str] | None = None
    ) -> dict[str, Tensor]:
        """Compute components from what is known.

        Args:
            known: The features by input, and results that are already computed, each of shape
                (batch, width).
            latents: The object that draws the latents.
            order: The components to compute. The providers of each must be known or come before
                it. By default all sub-networks and outputs are computed.

        Returns:
            What was known and what was computed, each of shape (batch, width): the results of
            sub-networks, and of outputs the head, which is not yet in the user's units.
        """
        results = dict(known)
        for name in self.order if order is None else order:
            results[name] = self._compute(name, self._entry(name, results), latents)
        return results

    def _entry(self, name: str, results: Mapping[str, Tensor]) -> Tensor:
        """Return the sum that a component reads, shape (batch, width), or (width,) if it is alone.

        Where the component reads maps, its bias is the same at every position.
        """
        component, pre = self.components[name], self.tensors[self.entry_bias[name]]
        if reads_maps(component):
            positions = component.entry_width // component.rows
            pre = pre.unsqueeze(-2).expand(*pre.shape[:-1], positions, -1).flatten(-2)
        for provider in self.providers[name]:
            block = self.tensors[Connection(provider, name)]
            by = component.convolution(self.components[provider])
            if by is None:
                pre = torch.addmm(pre, results[provider], block.t())
            else:
                pre = pre + by(results[provider], block)
        return pre

    def _compute(self, name: str, pre: Tensor, latents: Latents) -> Tensor:
        """Return the result of a component from the sum ``pre`` that it reads."""
        component = self.components[name]
        if isinstance(component, Output):
            return pre
        result: Tensor = component.compute(pre, OnTensors(self, name, latents))
        return result

    def features(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the features that the network reads, each of shape (batch, width).

        Args:
            inputs: The inputs by name, in the user's units.

        Raises:
            ValpError: An input is missing or unknown, or has another width or length.
        """
        if not isinstance(inputs, Mapping):
            raise ValpError(
                f"a decoded VALP needs the inputs {list(self.inputs)} as a mapping, "
                f"got {got(inputs)}"
            )
        if set(inputs) != set(self.inputs):
            raise ValpError(
                f"a decoded VALP needs the inputs {list(self.inputs)}, got {list(inputs)}"
            )
        features = {}
        for name, value in inputs.items():
            port: Input = self.components[name]
            first = next(self.parameters())
            try:
                value = torch.as_tensor(value)
            except (TypeError, ValueError, RuntimeError) as error:
                raise ValpError(
                    f"a decoded VALP needs input {name} as an array or tensor of numbers, got "
                    f"{got(value)} ({error}): predict takes frames"
                ) from error
            value = value.to(device=first.device, dtype=first.dtype).flatten(1)
            if value.shape[1] != port.width:
                raise ValpError(
                    f"a decoded VALP needs input {name} with {port.width} features an example, "
                    f"got {value.shape[1]}"
                )
            features[name] = (value - value.new_tensor(port.shift)) * value.new_tensor(port.scale)
        lengths = {name: len(value) for name, value in features.items()}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{name} {length}" for name, length in lengths.items())
            raise ValpError(
                f"a decoded VALP needs the same number of examples of each input, got {found}"
            )
        return features

    def draw_noise(self, size: int, generator: torch.Generator | None = None) -> dict[int, Tensor]:
        """Return standard normal noise by latent id, each of shape (size, dim)."""
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
            inputs: The inputs by name, in the user's units, each of shape (batch, width), or
                images with as many pixels.
            mode: ``reconstruct`` (latents at their mean), ``train`` (latents sampled) or
                ``generate`` (latents drawn from N(0, I)).
            noise: The noise by latent id, each of shape (batch, dim). By default it is drawn from
                torch's global generator.

        Returns:
            The predictions by output name, in the user's units, each of shape (batch, width). The
            prediction of a classification is a probability for each class.

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

    def generate(
        self,
        size: int,
        generator: torch.Generator | None = None,
        *,
        wanted: Mapping[str, int] | None = None,
        temperature: float = 1.0,
        tries: int = 32,
    ) -> dict[str, Tensor]:
        """Return new samples of every generation output, in the user's units.

        Args:
            size: Number of samples.
            generator: The generator of the noise; torch's global one by default.
            wanted: The index of a class by the name of a classification, for samples of these
                classes. The model draws ``tries`` times as many samples, classifies them itself,
                and the ``size`` surest ones are returned. It must draw what its inputs are.
            temperature: The standard deviation of the noise, or its factor where latents are drawn
                from a ``mixture``. Below 1, samples vary less and are nearer to what the model has
                seen most.
            tries: The number of samples drawn for each that is returned, if some are ``wanted``.

        Returns:
            The samples by output name, each of shape (size, width).

        Raises:
            ValpError: A number is out of range, or the model cannot tell what is wanted.
        """
        need_whole(size, 1, "generate", "size")
        need_whole(tries, 1, "generate", "tries")
        if not is_number(temperature) or not 0 <= temperature < math.inf:
            raise ValpError(f"generate needs a temperature from 0 on, got {temperature!r}")
        if wanted is not None:
            samples = self._drawn(size * tries, generator, temperature)
            return keep_wanted(self, samples, wanted, size)
        return self._drawn(size, generator, temperature)

    def _drawn(
        self, size: int, generator: torch.Generator | None, temperature: float
    ) -> dict[str, Tensor]:
        """Return samples of every generation output from new latents."""
        return self.drawn(size, self._drawn_latents(size, generator, temperature))

    def drawn(self, size: int, latents: Latents) -> dict[str, Tensor]:
        """Return samples of every generation output, in the user's units.

        Args:
            size: Number of samples.
            latents: Gives every decoder its latent, which does not depend on what it reads.
        """
        results = dict[str, Tensor]()
        order = self.generative_order()
        for name in order:
            if name in self._drawing:
                # What the decoder reads does not matter.
                unused = self.tensors[self.entry_bias[name]].expand(size, -1)
                results[name] = self._compute(name, unused, latents)
            else:
                results = self.run(results, latents, [name])
        return {
            name: self.components[name].predict(results[name])
            for name in order
            if name in self.outputs
        }

    def _drawn_latents(
        self, size: int, generator: torch.Generator | None, temperature: float
    ) -> Latents:
        """Return the latents of new samples."""
        if self.mixture is None:
            noise = self.draw_noise(size, generator)
            if temperature != 1:
                noise = {latent: rows * temperature for latent, rows in noise.items()}
            return Latents("generate", noise)
        first, names = next(iter(self.tensors.values())), self.drawn_first()
        rows = self.mixture.drawn(size, generator, temperature, first)
        dims = [self._drawing[name][0].dim for name in names]
        given = dict(zip(names, rows.split(dims, 1), strict=True))
        return Latents("generate", given=given)

    # ---- back to the genome ----------------------------------------------------------------------

    def weights(self) -> dict[str, Tensor]:
        """Return copies of the parameters, under the names of ``VALP.weights``, as float32."""
        return {key: _value(tensor) for key, tensor in self.tensors.items()}


class OnTensors:
    """Computes a sub-network of a model on tensors of shape (batch, width), under autograd.

    A sub-network kind describes its computation once, in terms of these methods. ``OnTape`` has
    the same methods, and records the computation for training.
    """

    def __init__(self, model: Model, name: str, latents: Latents) -> None:
        self.model, self.name, self.latents = model, name, latents

    def activate(self, pre: Tensor, layer: Layer) -> Tensor:
        """Apply the activation of a layer."""
        return layer.activate(pre)

    def convolve(self, hidden: Tensor, stage: int | str, by: Convolution) -> Tensor:
        """Apply the kernels and the bias of a stage of the sub-network."""
        weight = self.model.tensors[f"{self.name}.{stage}.weight"]
        return by(hidden, weight, self.model.tensors[f"{self.name}.{stage}.bias"])

    def add(self, first: Tensor, second: Tensor) -> Tensor:
        """Add two signals of the same width."""
        return first + second

    def apply(self, function: Callable[..., Tensor], *signals: Tensor) -> Tensor:
        """Apply a function of tensors of shape (batch, width)."""
        return function(*signals)

    def dense(self, hidden: Tensor, stage: int | str) -> Tensor:
        """Apply the weight and bias of a stage of the sub-network."""
        weight = self.model.tensors[f"{self.name}.{stage}.weight"]
        bias = self.model.tensors[f"{self.name}.{stage}.bias"]
        return torch.addmm(bias, hidden, weight.t())

    def draw(self, heads: Tensor, latent: Latent) -> Tensor:
        """Draw the latent variable from its mean and log-variance side by side."""
        return self.latents(self.name, latent, heads)


def reads_maps(component: Any) -> bool:
    """Return whether a component reads its providers by convolutions, not by products."""
    return isinstance(component, SubNetwork) and component.takes == {MAPS}


def _value(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()
