"""What is known of the scales before any weight is: zero points of -128, and scales of exactly 1.

**Zero point -128.** An activation whose producers all end in a ReLU is never negative, so its range starts at 0 and
int8 -128 is 0: saturation does the ReLU's work, and a ReLU6's too when everything in the scale group is at most 6.
Such calls are written without a fused activation.

**Scale 1.** An int8 network computes with ratios of scales alone (a convolution with input x weight / output), so a
tensor between convolutions may be counted in its own steps: its scale becomes 1, and a filter's scale the multiplier
that requantizes its sum. Not one int8 value changes. What it buys is bytes: a bias's scales, input x weight, are then
the weight's own, and the file holds them once. Where ratios tie groups together (add, mul, a ReLU of its own) one group
of the tied ones gets scale 1 and the others are measured in its steps. Scales stay physical where they mean something
outside the network or to a nonlinear function: inputs, outputs, softmax, sigmoid, tanh, hard swish, a leaky ReLU, an
ELU, an explicit ReLU6. A clip is the range of int8 itself: its scale is such that -128 and 127 are its ends.
"""

from __future__ import annotations

from dataclasses import dataclass

from targets.program import Call, Fused, Program

TINY = 2.0**-126  # the least normal float32

_CLAMPED = frozenset({"conv", "dw", "fc", "add", "sub", "mul", "transpose_conv"})
"""Kernels that make new values and can clamp them."""

_NONLINEAR = frozenset({"softmax", "logistic", "tanh", "hard_swish", "leaky_relu", "elu", "requantize"})
"""Kernels that make new values from physical ones; all others hand values on within one scale group."""


def encoding_of(low: float, high: float) -> tuple[float, int]:
    """Scale and zero point under which int8 covers [low, high], 0 being one of its values.

    A range that is nothing but 0 gets a scale of 1.
    """
    scale = (high - low) / 255
    if scale < TINY:
        return 1.0, -128
    return scale, max(-128, min(127, round(-128 - low / scale)))


@dataclass(frozen=True, slots=True)
class Scheme:
    """Facts about the scale groups of a `Program`, indexed by group.

    Attributes:
        unit: the group in whose steps this one is measured, itself where its scale is 1; None for a physical scale.
        rectified: the zero point is -128.
        at_most_6: every value is clamped at 6, so a range never ends above it.
        fused: per call, the activation its kernel still has to apply.
    """

    unit: tuple[int | None, ...]
    rectified: tuple[bool, ...]
    at_most_6: tuple[bool, ...]
    fused: tuple[Fused, ...]


def scheme(program: Program) -> Scheme:
    """The scheme of `program`, from its structure alone."""
    group_of = {activation.name: activation.scale_group for activation in program.activations}
    count = 1 + max(group_of.values())
    rectified, at_most_6, physical = [True] * count, [True] * count, [False] * count
    filters = [0] * count  # how many filters read a group: what a scale of 1 saves there
    ties: list[tuple[int, int]] = []
    at_input = group_of[program.input]
    rectified[at_input] = at_most_6[at_input] = False
    for name in (program.input, *program.outputs):
        physical[group_of[name]] = True
    for call in program.calls:
        kind, to, source = call.kind, group_of[call.output], group_of[call.inputs[0]]
        if kind in _CLAMPED:
            if call.fused != "relu6":
                at_most_6[to] = False
                if call.fused == "none":
                    rectified[to] = False
            if call.fused == "clip":
                physical[to], rectified[to] = True, _starts_at_0(program, call)
            if call.weight_shape:
                filters[source] += call.out_channels
            else:
                ties.append((source, to))
                if kind != "mul":
                    ties.extend((group_of[name], to) for name in call.inputs[1:])
                else:  # a product's scale is a product: the second factor keeps its own
                    physical[group_of[call.inputs[1]]] = True
        elif kind == "relu":
            ties.append((source, to))
            if call.fused == "relu6":
                physical[to] = True
            else:
                at_most_6[to] = False
        elif kind in _NONLINEAR:
            physical[source] = physical[to] = True
            if kind not in ("softmax", "logistic"):
                at_most_6[to], rectified[to] = False, kind == "requantize" and _starts_at_0(program, call)

    fused: list[Fused] = []
    for call in program.calls:
        to = group_of[call.output]
        kept: Fused = "none" if call.fused == "clip" else call.fused
        if kept != "none" and call.kind in _CLAMPED and rectified[to] and (kept == "relu" or at_most_6[to]):
            kept = "none"
        if kept == "relu6":
            physical[to] = True
        fused.append(kept)
    return Scheme(_units(physical, filters, ties), tuple(rectified), tuple(at_most_6), tuple(fused))


def _starts_at_0(program: Program, call: Call) -> bool:
    """Is 0 the least value of a clip's range?"""
    fixed = program.by_name[call.output].fixed
    return fixed is not None and fixed[1] == -128


def _units(physical: list[bool], filters: list[int], ties: list[tuple[int, int]]) -> tuple[int | None, ...]:
    """The reference of every group: of those tied together, the one that the most filters read."""
    if not ties:
        return tuple([None if fixed else group for group, fixed in enumerate(physical)])
    root = list(range(len(physical)))

    def find(group: int) -> int:
        while root[group] != group:
            group = root[group]
        return group

    for one, other in ties:
        root[find(one)] = find(other)
    best: dict[int, int | None] = {}
    for group in range(len(root)):
        at = find(group)
        if physical[group]:
            best[at] = None
        else:
            leader = best.setdefault(at, group)
            if leader is not None and filters[group] > filters[leader]:
                best[at] = group
    return tuple(best[find(group)] for group in range(len(root)))
