"""What a network becomes on a device: kernel calls over NHWC int8 tensors, still without weights.

Support, flash, memory, latency and every exporter read a `Program` and nothing else; exporters only fill in bytes, so
the bill and the file cannot drift apart. `targets.lower` makes one from a `Graph`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any, Literal

Runtime = Literal["tflm", "c", "x-cube-ai"]
RUNTIMES: tuple[Runtime, ...] = ("tflm", "c", "x-cube-ai")

Level = Literal["O3", "O2", "Os"]
LEVELS: tuple[Level, ...] = ("O3", "O2", "Os")
"""What the compiler is told to do with the runtime and the kernels: be fast, or small."""

CallKind = Literal[
    "conv", "dw", "fc", "add", "sub", "mul", "max_pool", "avg_pool", "concat", "pad", "reshape", "softmax", "logistic",
    "relu", "leaky_relu", "hard_swish", "tanh", "requantize", "slice", "transpose", "resize_nearest", "resize_linear",
    "transpose_conv", "crop", "elu",
]  # fmt: skip
Fused = Literal["none", "relu", "relu6", "clip"]


@dataclass(frozen=True, slots=True)
class Activation:
    """One int8 tensor in the arena.

    Attributes:
        name: unique in the program.
        tensor: the graph tensor whose values it holds, after the fused activation; a padded copy names what it pads.
        shape: `(height, width, channels)` or `(features,)`, without the batch axis, which is 1.
        scale_group: activations of one group share one scale and one zero point (pools, pad, reshape, concat).
        fixed: `(scale, zero_point)` where the scheme fixes it (softmax and sigmoid: 1/256, -128; a clip's are such that
            int8 ends where it does), else None.
    """

    name: str
    tensor: str
    shape: tuple[int, ...]
    scale_group: int
    fixed: tuple[float, int] | None = None

    @property
    def size_bytes(self) -> int:
        total = 1
        for side in self.shape:
            total *= side
        return total


@dataclass(frozen=True, slots=True)
class Call:
    """One kernel call.

    Attributes:
        kind: the kernel; "relu" is an activation nothing could absorb, and `fused` says which one.
        op: the graph operator that holds this call's weights, or None for a call without weights.
        inputs, output: names of activations.
        fused: the activation folded into the output's range; a clip is that range and costs nothing.
        kernel, stride, dilation: `(height, width)`; 1x1 where they mean nothing.
        pads: `(top, left, bottom, right)` applied by the kernel itself, or by a "pad" call; what a transposed
            convolution or a "crop" call cuts off.
        same_padding: the kernel's pads are TFLite's SAME; False is VALID (then "tflm" has no pads; a "c" kernel takes
            any pads as they are).
        weight_shape: as stored: conv and transpose_conv `O x KH x KW x I`, dw `1 x KH x KW x O`, fc `O x I`; () without
            weights.
        channel_multiplier: dw only, outputs per input channel.
        flatten_from: a call whose weights follow a flattened map of more than one position: that map's graph shape
            `(channels, height, width)`. The graph orders such features channel first, the program position first, so
            an exporter permutes the input axis of the weights; None where both orders are one.
        slope: of a leaky ReLU below 0.
        start: of a slice, the first channel it takes; how many it takes is the output's affair.
        weight_bits: 8, or 4: two weights in one byte, the first in its lower half.
    """

    kind: CallKind
    op: str | None
    inputs: tuple[str, ...]
    output: str
    fused: Fused = "none"
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)
    same_padding: bool = False
    weight_shape: tuple[int, ...] = ()
    channel_multiplier: int = 1
    flatten_from: tuple[int, int, int] | None = None
    slope: float = 0.0
    start: int = 0
    weight_bits: int = 8

    @property
    def stored_bytes(self) -> int:
        """Bytes of the weights as they are stored; 0 without weights."""
        return -(-prod(self.weight_shape) * self.weight_bits // 8) if self.weight_shape else 0

    @property
    def out_channels(self) -> int:
        """Filters of a call with weights, each with a scale and a bias of its own; 0 without weights."""
        if not self.weight_shape:
            return 0
        return self.weight_shape[-1] if self.kind == "dw" else self.weight_shape[0]


@dataclass(frozen=True)
class Program:
    """Kernel calls in execution order.

    Attributes:
        runtime: who will execute it; the padding and in-place rules are that runtime's.
        input: name of the input activation.
        outputs: names of the output activations.
        activations: every arena tensor, in the order of the file (`targets.arrangement`).
    """

    runtime: Runtime
    input: str
    outputs: tuple[str, ...]
    activations: tuple[Activation, ...]
    calls: tuple[Call, ...]

    @cached_property
    def plans(self) -> dict[tuple[int, ...], Any]:
        """Arenas by the scratch of every call: `targets.memory.planned` remembers them here."""
        return {}

    @cached_property
    def by_name(self) -> dict[str, Activation]:
        return {activation.name: activation for activation in self.activations}
