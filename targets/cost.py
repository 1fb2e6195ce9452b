"""The bill: what a network costs on a device, before it is trained, in one sum (`estimate`) or per call (`bill`).

Not counted anywhere: the application, the C library, stack, preparing the input and reading the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from search_spaces.graph import Graph
from targets.core import CallCost, call_costs
from targets.device import Device
from targets.energy import energy_uj
from targets.flash import flash_bytes
from targets.latency import call_cycles, latency_ms
from targets.lower import lower
from targets.memory import Plan, plan, ram_bytes
from targets.program import Program, Runtime
from targets.tflite_file import file_size


@dataclass(frozen=True, slots=True)
class Cost:
    """A network on a device.

    Attributes:
        size_bytes: the `.tflite` file as written, exact.
        weights_bytes: int8 weights and int32 biases, exact.
        flash_bytes: model, runtime code and kernel code; within 15 %. Like all that follows but the counts, None where
            the device lacks what it takes (`Device.priced`).
        ram_bytes: tensor arena with kernel scratch, input and output; for "tflm" with the interpreter's own data. The
            planned part is exact.
        macs: multiply-accumulates of the graph (`Graph.macs`).
        params: numbers that are learned (`Graph.params`).
        latency_ms: at the device's clock, within `Device.latency_band_percent`.
        energy_uj: within `Device.energy_band_percent` where power was measured, a factor of
            `Device.energy_band_factor` where it is the data sheet's.
        runtime, target: who executes it, and the device's name.
    """

    size_bytes: int
    weights_bytes: int
    flash_bytes: int | None
    ram_bytes: int | None
    macs: int
    params: int
    latency_ms: float | None
    energy_uj: float | None
    runtime: str
    target: str


@dataclass(frozen=True, slots=True)
class CallBill:
    """One kernel call's line of the bill; None as in `Cost`.

    Attributes:
        op: the operator with its weights, else the tensor it writes.
        kind: the kernel.
        shape: of the output, `(height, width, channels)` or `(features,)`.
        macs: multiply-accumulates of the call.
        cycles, ms: on the device, the runtime's share included.
        weights_bytes: int8 weights and int32 biases.
        scratch_bytes: the kernel's working memory.
        live_bytes: arena bytes alive during the call, scratch included.
    """

    op: str
    kind: str
    shape: tuple[int, ...]
    macs: int
    cycles: float | None
    ms: float | None
    weights_bytes: int
    scratch_bytes: int | None
    live_bytes: int | None


def estimate(graph: Graph, device: Device, runtime: Runtime = "tflm") -> Cost:
    """The cost of a network, exact where `Cost` says so.

    Raises:
        TargetError: the runtime lacks an operator (see `targets.lower`).
    """
    filed = lower(graph)
    size = file_size(filed)  # a .tflite whatever executes the network, so generated C does not change it
    program = filed if runtime == "tflm" else lower(graph, runtime, filed=filed)
    if device.kernels is None:
        return counted(program, device, size)
    costs = call_costs(program, device.kernel_core)
    return total(program, costs, device, size, plan(program, costs))


def counted(program: Program, device: Device, size_bytes: int) -> Cost:
    """What a network costs on a device whose kernels have no prices: the file and the counts."""
    lines = _counted_lines(program)
    filters = sum([call.out_channels for call in program.calls])
    weights = sum([line.weights_bytes for line in lines])
    return Cost(
        size_bytes=size_bytes,
        weights_bytes=weights,
        flash_bytes=None,
        ram_bytes=None,
        macs=sum([line.macs for line in lines]),
        params=weights - 3 * filters,  # a bias is one parameter of four bytes
        latency_ms=None,
        energy_uj=None,
        runtime=program.runtime,
        target=device.name,
    )


def total(program: Program, costs: tuple[CallCost, ...], device: Device, size_bytes: int, found: Plan) -> Cost:
    """Sums a program's call costs, with its arena `found`; the program's own sizes are not read."""
    milliseconds = latency_ms(costs, device, program.runtime)
    return Cost(
        size_bytes=size_bytes,
        weights_bytes=sum([cost.weights_bytes for cost in costs]),
        flash_bytes=flash_bytes(program, costs, device.kernel_core, size_bytes),
        ram_bytes=ram_bytes(program, costs, found),
        macs=sum([cost.macs for cost in costs]),
        params=sum([cost.weights + cost.filters for cost in costs]),
        latency_ms=milliseconds,
        energy_uj=energy_uj(milliseconds, device),
        runtime=program.runtime,
        target=device.name,
    )


def bill(graph: Graph, device: Device, runtime: Runtime = "tflm") -> tuple[CallBill, ...]:
    """The bill line by line; macs, cycles and milliseconds add up to those of `estimate`."""
    program = lower(graph, runtime)
    if device.kernels is None:
        return _counted_lines(program)
    costs = call_costs(program, device.kernel_core)
    live = plan(program, costs).live_bytes
    lines = []
    for call, cost, alive in zip(program.calls, costs, live, strict=True):
        cycles = call_cycles(cost, device, runtime)
        lines.append(
            CallBill(
                call.op or call.output,
                call.kind,
                program.by_name[call.output].shape,
                cost.macs,
                cycles,
                1e3 * cycles / device.clock_hz if cycles is not None and device.clock_hz else None,
                cost.weights_bytes,
                cost.scratch_bytes,
                alive,
            )
        )
    return tuple(lines)


def memory(graph: Graph, device: Device, runtime: Runtime = "tflm") -> Plan | None:
    """Where every tensor and every call's scratch lies in the arena; None where no kernel says what it needs."""
    if device.kernels is None:
        return None
    program = lower(graph, runtime)
    return plan(program, call_costs(program, device.kernel_core))


def _counted_lines(program: Program) -> tuple[CallBill, ...]:
    """The lines of a bill without prices."""
    lines = []
    for call in program.calls:
        shape, weights = program.by_name[call.output].shape, prod(call.weight_shape) if call.weight_shape else 0
        met = program.by_name[call.inputs[0]].shape if call.kind == "transpose_conv" else shape
        line = CallBill(
            call.op or call.output, call.kind, shape, prod(met[:-1]) * weights, None, None,
            weights + 4 * call.out_channels, None, None,
        )  # fmt: skip
        lines.append(line)
    return tuple(lines)
