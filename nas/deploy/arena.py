"""Where the tensors and the scratch of generated C lie: the planner of the bill, on the calls of the file."""

from __future__ import annotations

from nas.deploy.layers import Layer, Network
from targets.geometry import Geometry
from targets.kernels import Extension
from targets.memory import Buffer, Plan, aligned, place
from targets.scratch import generated_c_bytes


def plan(network: Network, extension: Extension) -> tuple[Plan, dict[int, int], dict[int, int]]:
    """The arena, the offset of each tensor that has bytes of its own, and that of each layer's scratch by its place."""
    first, last = {network.input: 0}, {network.input: 0}
    for k, layer in enumerate(network.layers, start=1):
        for number in layer.inputs:
            last[network.holder(number)] = k
        first[layer.output] = last[layer.output] = k
    last[network.holder(network.output)] = len(network.layers)
    numbers = sorted(first)  # as the file has them: of equal sizes the planner takes the last one first
    buffers = [Buffer(first[n], last[n], aligned(network.values[n].size_bytes), str(n)) for n in numbers]
    needs = {k: layer_scratch(network, layer, extension) for k, layer in enumerate(network.layers)}
    buffers += [Buffer(k + 1, k + 1, aligned(size), f"{k}:scratch") for k, size in needs.items() if size]
    offsets = place(buffers)
    tensors = dict(zip(numbers, offsets, strict=False))
    scratch = dict(zip([k for k, size in needs.items() if size], offsets[len(first) :], strict=True))
    return Plan(tuple(buffers), tuple(offsets), len(network.layers)), tensors, scratch


def layer_scratch(network: Network, layer: Layer, extension: Extension) -> int:
    """Bytes the kernel of a layer works in."""
    return generated_c_bytes(geometry_of(network, layer), extension)


def geometry_of(network: Network, layer: Layer) -> Geometry:
    """The layer as the cost model sees it."""
    source, made = network.values[layer.inputs[0]].map, network.values[layer.output].map
    depth = layer.weights.shape[-1] if layer.kind == "conv" and layer.weights is not None else source[2]
    return Geometry(
        layer.kind, source[:2], source[2], made[:2], made[2], layer.kernel, layer.stride, layer.dilation, layer.pads,
        source[2] // depth, made[2] // source[2] if layer.kind == "dw" else 1,
        sum(network.values[n].size_bytes for n in layer.inputs), len(layer.inputs),
    )  # fmt: skip
