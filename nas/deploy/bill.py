"""What the cost model says of a `.tflite` file in generated C: its calls as a `Program`, from the file alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from nas.deploy.layers import Layer, Network
from targets.core import call_costs, load_core
from targets.flash import flash_bytes
from targets.memory import plan, ram_bytes
from targets.program import Activation, Call, Program

CORES = {"m0": "cortex_m0", "m3": "cortex_m3", "m4": "cortex_m4", "m7": "cortex_m7", "m33": "cortex_m33",
         "m55": "cortex_m55"}  # fmt: skip


@dataclass(frozen=True)
class Bill:
    """The estimate; cycles are None where a core has no cycle table."""

    flash_bytes: int
    ram_bytes: int
    instructions: int
    cycles: int | None

    def record(self) -> dict[str, Any]:
        return asdict(self)


def bill_of(network: Network, core: str, size_bytes: int) -> Bill:
    """The cost model's figures for generated C on a core; `size_bytes` are the file's."""
    program, prices = program_of(network), load_core(CORES[core])
    costs = call_costs(program, prices)
    cycles = [cost.cycles for cost in costs if cost.cycles is not None]
    return Bill(
        flash_bytes(program, costs, prices, size_bytes),
        ram_bytes(program, costs, plan(program, costs)),
        round(sum(cost.instructions for cost in costs)),
        round(sum(cycles)) if len(cycles) == len(costs) else None,
    )


def program_of(network: Network) -> Program:
    """The calls as `targets.lower(graph, "c")` gives them."""
    used = sorted({network.input} | {call.output for call in network.calls})
    activations = tuple(Activation(str(n), str(n), network.values[n].shape, n) for n in used)
    calls = tuple(_call(network, call) for call in network.calls)
    return Program("c", str(network.input), (str(network.output),), activations, calls)


def _call(network: Network, layer: Layer) -> Call:
    shape = () if layer.weights is None else layer.weights.shape
    source, made = network.values[layer.inputs[0]].map, network.values[layer.output].map
    return Call(
        layer.kind, f"layer {layer.output}" if shape else None, tuple(map(str, layer.inputs)), str(layer.output),
        kernel=layer.kernel, stride=layer.stride, dilation=layer.dilation, pads=(*layer.pads, 0, 0),
        weight_shape=shape, channel_multiplier=made[2] // source[2] if layer.kind == "dw" else 1,
    )  # fmt: skip
