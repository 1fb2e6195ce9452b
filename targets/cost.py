"""The bill: what a network costs on a device, before it is trained, in one sum (`estimate`) or per call (`bill`).

Not counted anywhere: the application, the C library, stack, preparing the input and reading the output.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from search_spaces.graph import Graph
from targets import x_cube_ai
from targets.core import CallCost, call_costs
from targets.device import Device
from targets.energy import energy_uj
from targets.flash import flash_bytes
from targets.latency import call_cycles, latency_ms
from targets.levels import at_level
from targets.lower import lower
from targets.memory import Plan, plan, ram_bytes
from targets.program import Program, Runtime
from targets.tflite_file import file_size

UNPRICED = frozenset({"flash_bytes", "latency_ms", "energy_uj"})
"""What is not known of a network with weights of 4 bits: the code and the cycles of their kernels."""


@dataclass(frozen=True, slots=True)
class Cost:
    """A network on a device.

    Attributes:
        size_bytes: the `.tflite` file as written, exact.
        weights_bytes: weights as they are stored and int32 biases, exact.
        flash_bytes: model, runtime code and kernel code; within 15 %, for "c" within 3 %. Like all that follows but the
            counts, None where the device lacks what it takes (`Device.priced`), and where weights have 4 bits, whose
            kernels were not measured (`UNPRICED`). For "x-cube-ai" this, RAM, latency and
            energy are the upper ends of `bands`.
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
        weights_bytes: weights as they are stored and int32 biases.
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
        TargetError: the runtime lacks an operator (see `targets.lower`), or was never measured on the device's core.
    """
    filed = lower(graph)
    size = file_size(filed)  # a .tflite whatever executes the network, so another runtime does not change it
    program = filed if runtime == "tflm" else lower(graph, runtime, filed=filed)
    if runtime == x_cube_ai.RUNTIME:
        x_cube_ai.core_of(device)
    if device.kernels is None:
        return counted(program, device, size)
    costs = call_costs(program, device.kernel_core)
    return total(program, costs, device, size, plan(program, costs))


def runs_on(device: Device, runtime: Runtime) -> bool:
    """Is a runtime's price known on a device's core? Open ones' follows from the kernels, if these are known."""
    return runtime != x_cube_ai.RUNTIME or x_cube_ai.runs_on(device)


def bands(graph: Graph, device: Device, runtime: Runtime) -> x_cube_ai.Bands | None:
    """Where the figures of a closed runtime lie; None for an open one, whose figures are numbers with an error.

    Raises:
        TargetError: as `estimate`.
    """
    if runtime != x_cube_ai.RUNTIME:
        return None
    x_cube_ai.core_of(device)
    program = lower(graph, runtime)
    return x_cube_ai.bands(program, call_costs(program, device.kernel_core), device)


def counted(program: Program, device: Device, size_bytes: int) -> Cost:
    """What a network costs on a device whose kernels have no prices: the file and the counts."""
    lines = _counted_lines(program)
    return Cost(
        size_bytes=size_bytes,
        weights_bytes=sum([line.weights_bytes for line in lines]),
        flash_bytes=None,
        ram_bytes=None,
        macs=sum([line.macs for line in lines]),
        params=sum([prod(call.weight_shape) + call.out_channels for call in program.calls if call.weight_shape]),
        latency_ms=None,
        energy_uj=None,
        runtime=program.runtime,
        target=device.name,
    )


def total(program: Program, costs: tuple[CallCost, ...], device: Device, size_bytes: int, found: Plan) -> Cost:
    """Sums a program's call costs, with its arena `found`; for "tflm" the program's own sizes are not read."""
    flash, ram, milliseconds = _sums(program, costs, device, size_bytes, found)
    return Cost(
        size_bytes=size_bytes,
        weights_bytes=sum([cost.weights_bytes for cost in costs]),
        flash_bytes=flash,
        ram_bytes=ram,
        macs=sum([cost.macs for cost in costs]),
        params=sum([cost.weights + cost.filters for cost in costs]),
        latency_ms=milliseconds,
        energy_uj=energy_uj(milliseconds, device),
        runtime=program.runtime,
        target=device.name,
    )


def _sums(
    program: Program, costs: tuple[CallCost, ...], device: Device, size_bytes: int, found: Plan
) -> tuple[int | None, int, float | None]:
    """Flash, RAM and milliseconds; the upper ends of a closed runtime's."""
    if program.runtime == x_cube_ai.RUNTIME:
        told = x_cube_ai.bands(program, costs, device)
        return int(told.flash_bytes.high), int(told.ram_bytes.high), told.latency_ms and told.latency_ms.high
    ram = ram_bytes(program, costs, found)
    if any([cost.weight_bits < 8 for cost in costs]):
        return None, ram, None
    level = device.compiler_level
    flash = flash_bytes(program, costs, device.kernel_core, size_bytes, level)
    return flash, ram, latency_ms(at_level(costs, level), device, program.runtime)


def bill(graph: Graph, device: Device, runtime: Runtime = "tflm") -> tuple[CallBill, ...]:
    """The bill line by line; macs, cycles and milliseconds add up to those of `estimate`.

    A closed runtime's lines have no scratch and no live bytes: how it plans them is not known.
    """
    program = lower(graph, runtime)
    if device.kernels is None:
        return _counted_lines(program)
    costs = call_costs(program, device.kernel_core)
    closed = runtime == x_cube_ai.RUNTIME
    cycles = x_cube_ai.call_cycles(program, costs, device) if closed else _cycles(costs, device, runtime)
    live = [None] * len(costs) if closed else plan(program, costs).live_bytes
    lines = []
    for call, cost, taken, alive in zip(program.calls, costs, cycles, live, strict=True):
        lines.append(
            CallBill(
                call.op or call.output,
                call.kind,
                program.by_name[call.output].shape,
                cost.macs,
                taken,
                1e3 * taken / device.clock_hz if taken is not None and device.clock_hz else None,
                cost.weights_bytes,
                None if closed else cost.scratch_bytes,
                alive,
            )
        )
    return tuple(lines)


def _cycles(costs: tuple[CallCost, ...], device: Device, runtime: Runtime) -> list[float | None]:
    """Of every call; None without a scale."""
    levelled = at_level(costs, device.compiler_level)
    return [call_cycles(cost, device, runtime) if cost.weight_bits == 8 else None for cost in levelled]


def memory(graph: Graph, device: Device, runtime: Runtime = "tflm") -> Plan | None:
    """Where every tensor and every call's scratch lies in the arena; None where that is not known."""
    if device.kernels is None or runtime == x_cube_ai.RUNTIME:
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
            call.stored_bytes + 4 * call.out_channels, None, None,
        )  # fmt: skip
        lines.append(line)
    return tuple(lines)
