"""Transposed convolutions on a device: which calls they become, what is refused, and their cost by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest

from search_spaces.errors import TargetError
from search_spaces.graph import Graph, Op
from targets.core import call_costs, load_core
from targets.cost import bill, estimate
from targets.device import load_device
from targets.geometry import geometry, scattered, upscaled
from targets.kernels import path
from targets.lower import lower
from targets.memory import plan, verify_plan
from targets.program import Call, Program, Runtime
from targets.scratch import scratch_bytes
from targets.tflite_file import file_size
from tests.toys import Pads, Sketch, decoder

RUNTIMES: tuple[Runtime, ...] = ("tflm", "c")
NONE: Pads = (0, 0, 0, 0)


def one(**attrs: Any) -> Graph:
    """A transposed convolution of 4 x 6 x 5 to 3 channels, 3 x 3 and of stride 2 where nothing else is said."""
    settled: dict[str, Any] = {"kernel": (3, 3), "stride": (2, 2), "pads": NONE, "output_padding": (0, 0)}
    settled |= {"out_channels": 3, "groups": 1, "dilation": (1, 1)}
    return Graph("image", (4, 6, 5), (Op.make("up", "conv_transpose", "image", **(settled | attrs)),), ("up",))


def calls(graph: Graph) -> list[Call]:
    return list(lower(graph).calls)


def kinds(found: Iterable[Call]) -> list[str]:
    return [call.kind for call in found]


@pytest.mark.parametrize(
    ("attrs", "same"),
    [
        ({}, False),  # whole: 13 x 11
        ({"pads": (0, 0, 1, 1)}, True),  # 12 x 10: SAME cuts 3 - 2, below and right
        ({"pads": (1, 1, 2, 2), "output_padding": (1, 1)}, None),  # the same size, but cut above
        ({"pads": (1, 1, 1, 1), "output_padding": (1, 1)}, None),  # PyTorch's way to double: cut above only
        ({"kernel": (3, 3), "stride": (1, 1), "pads": (1, 1, 1, 1)}, True),
        ({"kernel": (6, 6), "stride": (2, 2), "pads": (2, 2, 2, 2)}, True),
        ({"kernel": (4, 4), "pads": (1, 1, 1, 1)}, None),  # SAME, but 1 is no multiple of the stride of 2
        ({"kernel": (3, 4), "stride": (2, 2), "pads": (0, 1, 1, 1)}, True),  # to the left any number is fine
        ({"kernel": (2, 2)}, False),
        ({"pads": (0, 0, 1, 0)}, None),  # one axis is not SAME
    ],
)
def test_what_same_cuts_the_kernel_cuts_and_a_crop_the_rest(attrs: dict[str, Any], same: bool | None) -> None:
    graph = one(**attrs)
    program = lower(graph)
    first, *rest = program.calls
    channels, height, width = graph.shapes["up"]
    assert program.by_name["up"].shape == (height, width, channels)
    if same is not None:
        assert (kinds(program.calls), first.same_padding, first.output) == (["transpose_conv"], same, "up")
        assert any(first.pads) == same
        return
    assert kinds(rest) == ["crop"]
    assert (first.same_padding, first.pads, first.output) == (False, NONE, "up:whole")
    kernel, stride = first.kernel, first.stride
    whole = [(side - 1) * stride[k] + kernel[k] for k, side in enumerate((6, 5))]
    assert program.by_name["up:whole"].shape == (*whole, 3)
    top, left, bottom, right = rest[0].pads
    assert (whole[0] - top - bottom, whole[1] - left - right) == (height, width)
    assert program.by_name["up:whole"].scale_group == program.by_name["up"].scale_group


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("attrs", "said"),
    [
        ({"groups": 2, "out_channels": 4}, "groups = 2; it must have one group"),
        ({"dilation": (1, 2)}, r"dilation = \(1, 2\); its kernel must be undilated"),
        ({"kernel": (3, 1)}, r"kernel \(3, 1\), stride \(2, 2\); its kernel must be as large as its stride"),
        ({"output_padding": (0, 1)}, r"output_padding \(0, 1\), pads \(0, 0, 0, 0\); it cannot pad more than it cuts"),
        ({"kernel": (129, 129)}, "66,564 weights a filter"),
    ],
)
def test_what_no_kernel_computes_is_refused_in_one_line(attrs: dict[str, Any], said: str, runtime: Runtime) -> None:
    with pytest.raises(TargetError, match=said) as refused:
        lower(one(**attrs), runtime)
    assert "'up' cannot run on " + runtime in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_relu_folds_only_where_int8_ends_at_its_ends() -> None:
    """TFLM's kernel applies no activation: a range that starts at 0 does, one shared with negative values does not."""
    found = calls(decoder()[0])
    assert kinds(found) == [
        "conv", "pad", "conv", "transpose_conv", "relu", "concat", "transpose_conv", "crop", "transpose_conv",
    ]  # fmt: skip
    assert [call.fused for call in found if call.kind == "transpose_conv"] == ["none", "relu", "none"]


def test_scratch_by_hand() -> None:
    core = load_core("cortex_m4")
    (call,) = calls(one())
    # 3 kernel rows of (5 - 1) x 2 + 3 = 11 columns of 3 channels, in int32.
    (cost,) = call_costs(lower(one()), core)
    assert (cost.path, cost.scratch_bytes) == ("transpose_conv", 4 * 3 * 11 * 3)
    # Above 16 channels: two windows of 3 x 3 x 17 = 153 int16, rounded up to 156, so 624 bytes; and 3 filters of 153.
    wide = geometry(call, ((6, 5, 17),), (13, 11, 3))
    assert path(wide, "dsp") == "transpose_conv_reversed"
    assert scratch_bytes(wide, "dsp") == scratch_bytes(wide, "scalar") == 624 + 3 * 153
    assert scratch_bytes(wide, "mve") == 4 * 160 + 3 * 153  # Helium: four windows of whole vectors
    assert path(wide._replace(stride=(3, 2)), "dsp") == path(wide._replace(channels=16), "dsp") == "transpose_conv"


def test_the_equivalent_convolutions_make_its_products() -> None:
    (call,) = calls(one(pads=(0, 0, 1, 1)))
    shape = geometry(call, ((6, 5, 4),), (12, 10, 3))
    assert shape.macs == one(pads=(0, 0, 1, 1)).macs == 6 * 5 * 4 * 3 * 9
    assert scattered(shape).macs == shape.macs
    # The map set apart is 12 x 10 with pixels at even places; padded by 2 it is met by 12 x 10 windows.
    wide = upscaled(shape)
    assert (wide.size, wide.pads, wide.macs) == ((12, 10), (2, 2), 12 * 10 * 4 * 3 * 9)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("target", ["nrf52840", "rp2040", "stm32n6", "rv1106"])
def test_a_decoder_costs_what_its_lines_say(runtime: Runtime, target: str) -> None:
    graph, device = decoder()[0], load_device(target)
    cost, lines = estimate(graph, device, runtime), bill(graph, device, runtime)
    assert cost.macs == sum(line.macs for line in lines) == graph.macs
    assert cost.params == graph.params
    assert cost.weights_bytes == sum(line.weights_bytes for line in lines)
    if cost.latency_ms is not None:
        assert all(line.ms and line.ms > 0 for line in lines)


def random_decoder(*, rng: np.random.Generator) -> Graph:
    """A convolution, then up to four transposed ones of any window a device takes, joined with what came before."""
    net = Sketch(int(rng.integers(1, 4)), int(rng.integers(2, 5)), int(rng.integers(2, 5)))
    last = net.conv("first", int(rng.integers(3, 20)))
    for k in range(int(rng.integers(1, 5))):
        stride = int(rng.integers(1, 4 if k < 2 else 2))
        kernel = stride + int(rng.integers(0, 4))
        top, left, bottom, right = (int(rng.integers(0, (kernel - stride) // 2 + 1)) for _ in range(4))
        more = int(rng.integers(0, min(stride, bottom + 1, right + 1)))
        last = net.up(f"up{k}", int(rng.integers(2, 20)), kernel, stride, (top, left, bottom, right), more)
        match rng.integers(4):
            case 0:
                last = net.add(f"relu{k}", "relu")
            case 1:
                last = net.add(f"relu{k}", "relu6")
            case 2:
                side = net.conv(f"side{k}", 3, 1)
                last = net.add(f"joined{k}", "concat", net.add(f"relu{k}", "relu6", last), side)
            case _:
                pass
    net.conv("map", 2, 1, of=last)
    return net.done()


def program_of(seed: int) -> Program:
    return lower(random_decoder(rng=np.random.default_rng(seed)))


def test_plans_of_random_decoders_hold_and_their_files_have_a_size() -> None:
    seen: set[str] = set()
    for seed in range(60):
        program = program_of(seed)
        seen |= set(kinds(program.calls))
        verify_plan(plan(program, call_costs(program, load_core("cortex_m4"))))
        assert file_size(program) > 0
    assert seen >= {"transpose_conv", "crop", "relu", "concat"}
