"""What a chip maker's own estimator says of a network: one record, whichever tool it is from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VendorCall:
    """One operator as the tool schedules it; tools fuse and reorder, so it need not be one of our kernel calls.

    Attributes:
        operator: the tool's name of it.
        on_npu: False where it is left to the CPU. The tool has no cycles for it then.
        macs: multiply-accumulates.
        cycles: of the accelerator, memory traffic included.
    """

    operator: str
    on_npu: bool
    macs: int
    cycles: int


@dataclass(frozen=True, slots=True)
class VendorEstimate:
    """A network on an accelerator; every figure is the tool's own.

    Attributes:
        tool, version: who says so.
        configuration: of the accelerator and its memories, in the tool's words.
        clock_hz: of the accelerator.
        cycles: of one inference; of operators on the CPU none are counted.
        compute_cycles: those it would be if memories were not to be waited for.
        latency_ms: the cycles at the clock.
        sram_bytes: the most that is used at once, input and output included.
        dram_bytes: the same in DRAM; 0 where the configuration has none.
        flash_bytes: weights as the tool compresses them, and its commands.
        macs: multiply-accumulates on the accelerator.
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
    macs: int
    calls: tuple[VendorCall, ...]

    @property
    def on_cpu(self) -> tuple[str, ...]:
        """Operators that are left to the CPU."""
        return tuple(call.operator for call in self.calls if not call.on_npu)
