"""What an NPU leaves to the CPU or refuses, known before training. As in `targets.support`, a docstring is the message.

A rule takes a call, its program and the NPU's family, and returns what breaks it, in words with values, or None. Those
of an Ethos-U are Vela 5.2's (`vela --supported-ops-report`, SUPPORTED_OPS.md), those of an RV1106 what rknn-toolkit2
2.5.0 did with networks on both sides of them, for the calls a `Program` can have.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

from search_spaces.errors import TargetError
from targets.device import RKNN, Device
from targets.program import Call, CallKind, Program

Rule = Callable[[Call, Program, str], str | None]

SMALL = ("ethos-u55", "ethos-u65")


def check(program: Program, npu: str) -> None:
    """Raises TargetError naming the first rule of an NPU, such as "ethos-u55-128", that a program breaks."""
    for message in broken(program, npu):
        raise TargetError(message)


def check_weights(weight_type: str, device: Device) -> None:
    """A network's weights are of one type that the device computes with; another type, or another device.

    Raises:
        TargetError: with this rule.
    """
    if weight_type not in device.weight_types:
        law = (check_weights.__doc__ or "").splitlines()[0]
        known = ", ".join(device.weight_types)
        raise TargetError(f"{device.name} takes weights of {known}, not of {weight_type}. {law}")


def broken(program: Program, npu: str) -> list[str]:
    """A sentence for each call that an NPU leaves to the CPU or refuses, with the rule it breaks."""
    return list(left(program, npu).values())


def left(program: Program, npu: str) -> dict[str, str]:
    """The same by operator, or by the tensor that a call without weights writes."""
    found = {}
    rockchip = RKNN.fullmatch(npu) is not None
    rules, family = (ROCKCHIP_RULES, npu) if rockchip else (RULES, npu.rpartition("-")[0])
    for call in program.calls:
        for rule in rules.get(call.kind, ()):
            broke = rule(call, program, family)
            if broke:
                law, name = (rule.__doc__ or "").splitlines()[0], call.op or call.output
                found[name] = f"{name!r} cannot run on {npu}: {broke}. {law}"
                break
    return found


def stride(call: Call, program: Program, family: str) -> str | None:
    """On an Ethos-U55 or U65 a stride above 3 goes with neither padding nor dilation; change the model's stride."""
    padded = any(call.pads) or (call.kind == "conv" and _follows_pad(call, program))  # Vela takes such a pad back in
    if family in SMALL and max(call.stride) > 3 and (padded or max(call.dilation) > 1):
        return f"{call.kind} has stride {_pair(call.stride)} and {'padding' if padded else 'dilation'}"
    return None


def depthwise_stride(call: Call, program: Program, family: str) -> str | None:
    """On an Ethos-U55 or U65 a depthwise convolution's stride is at most 3; change the model's stride."""
    return f"stride {_pair(call.stride)}" if family in SMALL and max(call.stride) > 3 else None


def transposed_stride(call: Call, program: Program, family: str) -> str | None:
    """On an Ethos-U55 or U65 a transposed convolution's stride is 1 x 1 or 2 x 2, or 2 along a single row or column."""
    height, width = program.by_name[call.inputs[0]].shape[:2]
    allowed = {(1, 1), (2, 2)}
    if height == call.kernel[0] == 1:
        allowed.add((1, 2))
    if width == call.kernel[1] == 1:
        allowed.add((2, 1))
    return f"stride {_pair(call.stride)}" if family in SMALL and call.stride not in allowed else None


def filter_size(call: Call, program: Program, family: str) -> str | None:
    """An Ethos-U sums a filter's magnitudes to 8,323,072 at most, so a filter has at most 65,536 weights of 127."""
    weights = prod(call.weight_shape[1:3]) if call.kind == "dw" else prod(call.weight_shape[1:])
    return f"{weights:,} weights a filter" if weights > 65_536 else None


def average_window(call: Call, program: Program, family: str) -> str | None:
    """An Ethos-U averages windows of up to 8 x 8 with padding, of up to 256 rows and 65,536 places without."""
    height, width = call.kernel
    too_large = max(height, width) > 8 if any(call.pads) else _beyond(height, width)
    return f"avg_pool has a window of {_pair(call.kernel)}" if too_large else None


def max_window(call: Call, program: Program, family: str) -> str | None:
    """An Ethos-U takes the maximum of windows of up to 256 rows and 65,536 places."""
    return f"max_pool has a window of {_pair(call.kernel)}" if _beyond(*call.kernel) else None


def softmax_places(call: Call, program: Program, family: str) -> str | None:
    """An Ethos-U computes softmax at up to 65,536 places."""
    places = prod(program.by_name[call.output].shape[:-1])
    return f"softmax at {places:,} places" if places > 65_536 else None


def shuffled(call: Call, program: Program, family: str) -> str | None:
    """An Ethos-U55 or U65 shuffles maps of up to 65,536 places, groups and channels each."""
    sides = program.by_name[call.inputs[0]].shape
    return f"transpose of {sides}" if family in SMALL and max(sides) > 65_536 else None


def resized(call: Call, program: Program, family: str) -> str | None:
    """An Ethos-U55 or U65 enlarges both sides twice (nearest: 2, 4 or 8 times), a U85 by a power of two up to 1024."""
    source, made = program.by_name[call.inputs[0]].shape[:2], program.by_name[call.output].shape[:2]
    factors = made[0] // source[0], made[1] // source[1]
    if source in ((1, 1), made):
        return None
    if family not in SMALL:
        whole = call.kind == "resize_nearest"
        fine = max(factors) <= 1024 and (whole or all(factor & (factor - 1) == 0 for factor in factors))
    elif call.kind == "resize_linear":
        fine = factors == (2, 2)
    else:  # of a row or a column, only the other side counts
        counted = {factor for factor, side in zip(factors, made, strict=True) if side > 1}
        fine = len(counted) == 1 and counted <= {2, 4, 8}
    return None if fine else f"{call.kind} enlarges {_pair(factors)} times"


def rockchip_stride(call: Call, program: Program, family: str) -> str | None:
    """On an RV1106 a convolution's stride is at most 7; change the model's stride."""
    return f"stride {_pair(call.stride)}" if max(call.stride) > 7 else None


def rockchip_kernel(call: Call, program: Program, family: str) -> str | None:
    """On an RV1106 a convolution's kernel has at most 16 rows and columns."""
    return f"kernel {_pair(call.kernel)}" if max(call.kernel) > 16 else None


def rockchip_transposed(call: Call, program: Program, family: str) -> str | None:
    """On an RV1106 a transposed convolution's stride is at most 8; enlarge in two steps."""
    return f"stride {_pair(call.stride)}" if max(call.stride) > 8 else None


def rockchip_average(call: Call, program: Program, family: str) -> str | None:
    """An RV1106 leaves averages over padded windows to its CPU; pool without padding."""
    return f"avg_pool pads (top, left, bottom, right) = {call.pads}" if any(call.pads) else None


def _follows_pad(call: Call, program: Program) -> bool:
    return any(other.kind == "pad" and other.output == call.inputs[0] for other in program.calls)


def _beyond(height: int, width: int) -> bool:
    return height > 256 or height * width > 65_536


def _pair(sides: tuple[int, int]) -> str:
    return f"{sides[0]} x {sides[1]}"


RULES: dict[CallKind, tuple[Rule, ...]] = {
    "conv": (stride, filter_size),
    "dw": (depthwise_stride, filter_size),
    "fc": (filter_size,),
    "transpose_conv": (transposed_stride, filter_size),
    "max_pool": (stride, max_window),
    "avg_pool": (stride, average_window),
    "softmax": (softmax_places,),
    "transpose": (shuffled,),
    "resize_nearest": (resized,),
    "resize_linear": (resized,),
}

ROCKCHIP_RULES: dict[CallKind, tuple[Rule, ...]] = {
    "conv": (rockchip_stride, rockchip_kernel),
    "dw": (rockchip_stride, rockchip_kernel),
    "transpose_conv": (rockchip_transposed, rockchip_kernel),
    "avg_pool": (rockchip_average,),
}
