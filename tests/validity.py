"""Whether an individual is valid: a check that shares no code with the package."""

from __future__ import annotations

import torch

from deap_valp.genome import Connection, SubNetwork

TAKES = {
    "generic": {"features", "values", "discrete", "samples"},
    "discrete": {"features", "values", "discrete", "samples"},
    "decoder": {"values", "discrete"},
    "refiner": {"samples"},
    "classification": {"values", "discrete"},
    "regression": {"values"},
    "generation": {"samples"},
}
GIVES = {"generic": "values", "discrete": "discrete", "decoder": "samples", "refiner": "samples"}


def takes(component) -> set[str]:
    """What a component may read; a kind that the table lacks says so itself."""
    return TAKES.get(component.kind) or set(component.takes)


def gives(component) -> str:
    return GIVES.get(component.kind) or component.gives


def assert_valid(individual, problem) -> None:
    """Every rule of the paper's III, written down a second time."""
    graph = individual.graph
    components = {name: graph.nodes[name]["component"] for name in graph}
    sub_networks = {name for name, c in components.items() if isinstance(c, SubNetwork)}
    assert set(components) == set(problem.inputs) | set(problem.outputs) | sub_networks
    for name in sub_networks | set(problem.outputs):
        assert list(graph.predecessors(name)), f"{name} has no provider"
    for name in sub_networks:
        assert list(graph.successors(name)), f"{name} has no consumer"
    for provider, receiver in graph.edges:
        assert receiver not in problem.inputs and provider not in problem.outputs
        assert not (provider in problem.inputs and receiver in problem.outputs)
        given = "features" if provider in problem.inputs else gives(components[provider])
        if takes(components[receiver]) == {"maps"}:
            assert components[provider].maps, f"{provider}->{receiver}"
        else:
            assert given in takes(components[receiver]), f"{provider}->{receiver}"
    seen: set[str] = set()
    while len(seen) < len(components):
        # Peel off whatever has all its providers; a cycle never gets them.
        ready = {n for n in components if n not in seen and set(graph.predecessors(n)) <= seen}
        assert ready, "cycle"
        seen |= ready
    for name in sub_networks:
        if components[name].kind not in GIVES:
            continue
        if components[name].kind == "discrete":
            assert components[name].layers[-1].activation == "softmax"
        assert all(layer.activation != "softmax" for layer in components[name].layers[:-1])
    assert_shapes(individual, components, sub_networks)


def assert_shapes(individual, components, sub_networks) -> None:
    expected = {}

    known = {name for name in sub_networks if components[name].kind in GIVES}

    def width(name):
        return components[name].layers[-1].width if name in known else components[name].width

    def rows(name):
        component = components[name]
        if name not in known:
            return component.rows
        return (
            2 * component.latent.dim if component.kind == "decoder" else component.layers[0].width
        )

    for provider, receiver in individual.graph.edges:
        block = rows(receiver), width(provider)
        if provider in sub_networks and components[provider].kind == "painter":
            if getattr(components[receiver], "shape", ()):
                channels, maps = components[receiver].shape[0], components[provider].maps
                block = channels, 3, 3, maps.channels
        if getattr(components[receiver], "kind", "") == "convolutional":
            first = components[receiver].layers[0]
            channels = components[provider].maps.channels
            block = first.width, first.kernel, first.kernel, channels
        expected[Connection(provider, receiver)] = block
    for name, component in components.items():
        if name in sub_networks - known:
            expected |= {f"{name}.{key}": shape for key, shape in component.shapes().items()}
        elif name in known:
            decodes = component.kind == "decoder"
            expected[f"{name}.{'latent' if decodes else '0'}.bias"] = (rows(name),)
            before = [component.latent.dim] if decodes else []
            widths = before + [layer.width for layer in component.layers]
            for k in range(0 if decodes else 1, len(component.layers)):
                expected[f"{name}.{k}.weight"] = (
                    component.layers[k].width,
                    widths[k if decodes else k - 1],
                )
                expected[f"{name}.{k}.bias"] = (component.layers[k].width,)
        elif name in individual.outputs:
            expected[f"{name}.bias"] = (component.width,)
    assert {key: tuple(tensor.shape) for key, tensor in individual.weights.items()} == expected
    assert all(tensor.is_contiguous() for tensor in individual.weights.values())
    assert torch.isfinite(
        torch.cat([tensor.flatten() for tensor in individual.weights.values()])
    ).all()
