"""Where the tensors and the scratch of generated C lie: the planner of the bill, on the calls of the file."""

from __future__ import annotations

from nas.deploy.bill import program_of
from nas.deploy.layers import Layer, Network
from targets.geometry import Geometry
from targets.kernels import Extension
from targets.memory import Plan, planned
from targets.scratch import generated_c_bytes


def plan(network: Network, extension: Extension) -> tuple[Plan, dict[int, int], dict[int, int]]:
    """The arena, the offset of each tensor that has bytes of its own, and that of each layer's scratch by its place."""
    sizes = [0 if call.kind == "reshape" else layer_scratch(network, call, extension) for call in network.calls]
    found = planned(program_of(network), tuple(sizes))
    at = {buffer.name: offset for buffer, offset in zip(found.buffers, found.offsets, strict=True)}
    tensors = {number: at[str(number)] for number in network.values if str(number) in at}
    scratch = {k: at[name] for k, layer in enumerate(network.layers) if (name := f"{layer.output}:scratch") in at}
    return found, tensors, scratch


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
