"""What a chip maker's own estimator says of a network: one record, whichever tool it is from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VendorCall:
    """One operator as the tool schedules it; tools fuse and reorder, so it need not be one of our kernel calls.

    Attributes:
        operator: the tool's name of it.
        on_npu: False where it is left to the CPU.
        macs: multiply-accumulates; None where the tool does not say.
        cycles: of the accelerator, memory traffic included; None where the tool has none, as on the CPU.
        compute_cycles, memory_cycles: what the two would take alone; None where the tool does not tell them apart.
        moved_bytes: read and written in external memory; None where the tool does not say.
    """

    operator: str
    on_npu: bool
    macs: int | None
    cycles: int | None
    compute_cycles: int | None = None
    memory_cycles: int | None = None
    moved_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class VendorEstimate:
    """A network on an accelerator; every figure is the tool's own.

    Attributes:
        tool, version: who says so.
        configuration: of the accelerator and its memories, in the tool's words.
        clock_hz: of the accelerator.
        cycles: of one inference; operators without cycles are not counted.
        compute_cycles: those it would be if memories were not to be waited for.
        latency_ms: the cycles at the clock.
        sram_bytes: the most that is used at once, input and output included.
        dram_bytes: the same in DRAM, weights included where they are read from there; 0 where there is none.
        flash_bytes: weights as the tool stores them, and its commands.
        macs: multiply-accumulates on the accelerator; None where the tool does not say.
        calls: in the tool's order.
    """

    tool: str
    version: str
    configuration: str
    clock_hz: int
    cycles: int
    compute_cycles: int
    latency_ms: float
    sram_bytes: int
    dram_bytes: int
    flash_bytes: int
    macs: int | None
    calls: tuple[VendorCall, ...]

    @property
    def ram_bytes(self) -> int:
        """In both memories together."""
        return self.sram_bytes + self.dram_bytes

    @property
    def on_cpu(self) -> tuple[str, ...]:
        """Operators that are left to the CPU."""
        return tuple(call.operator for call in self.calls if not call.on_npu)

    @property
    def uncounted(self) -> tuple[str, ...]:
        """Operators of the accelerator that move data and have no cycles: the tool does not count them."""
        return tuple(call.operator for call in self.calls if call.on_npu and call.cycles is None and call.moved_bytes)


@dataclass(frozen=True, slots=True)
class Compiled:
    """What a tool made of a network.

    Attributes:
        estimate: what it says of it.
        content: the file that the chip's own runtime executes: a `.tflite` by Vela, an `.rknn`.
    """

    estimate: VendorEstimate
    content: bytes
