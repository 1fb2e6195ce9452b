"""Weights of 4 bits on a device: the bytes they take, what is known of their price, and who refuses them."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest

from search_spaces.declare import Declaration
from search_spaces.errors import TargetError
from search_spaces.graph import Graph
from search_spaces.space import derive
from targets.cost import UNPRICED, bill, counted, estimate
from targets.device import load_device
from targets.geometry import Geometry
from targets.lower import lower
from targets.memory import planned
from targets.pricing import Pricer
from targets.program import Runtime
from targets.scratch import scratch_bytes
from targets.tflite_file import file_size, write
from targets.tflite_schema import INT4, PACKED_VERSION
from tests.litert import model
from tests.search_spaces.random_networks import random_network
from tests.targets.networks import mobilenet_v1
from tests.targets.test_tflite_file import data_for
from tests.tflm import arena
from tests.toys import Sketch

DEVICE = load_device("nrf52840")


def stem_and_depthwise(*packed: str) -> Graph:
    """3 x 3: 1 to 5 channels, 45 weights, and a depthwise of 45 more."""
    net = Sketch(1, 8, 8)
    net.conv("stem", 5)
    net.conv("dw", 5, groups=5)
    net.classifier(2)
    graph = net.done()
    ops = tuple(op.stored_in(4) if op.name in packed else op for op in graph.ops)
    return Graph(graph.input, graph.input_shape, ops, graph.outputs)


def test_two_weights_share_a_byte() -> None:
    whole, half = (estimate(stem_and_depthwise(*names), DEVICE) for names in ((), ("stem",)))
    assert whole.weights_bytes == 45 + 45 + 10 + 4 * (5 + 5 + 2)
    assert half.weights_bytes == 23 + 45 + 10 + 4 * (5 + 5 + 2)  # 45 halves of a byte, rounded up
    assert (half.params, half.macs) == (whole.params, whole.macs)
    assert [line.weights_bytes for line in bill(stem_and_depthwise("stem"), DEVICE)[:2]] == [23 + 20, 45 + 20]
    program = lower(stem_and_depthwise("stem"))
    assert counted(program, DEVICE, 0).weights_bytes == half.weights_bytes
    assert counted(program, DEVICE, 0).params == half.params


def test_the_promised_size_is_the_size() -> None:
    declared = Declaration(bits=True)
    for seed in range(30):
        rng = np.random.default_rng(seed)
        space = derive(random_network(rng=rng), declared)
        program = lower(space.apply(space.sample(rng=rng)))
        assert len(write(program, data_for(program))) == file_size(program), seed


def test_the_file_says_so() -> None:
    program = lower(stem_and_depthwise("dw"))
    content = model(write(program, data_for(program)))
    packed = [tensor for tensor in content.subgraphs[0].tensors if tensor.type == INT4]
    assert [list(tensor.shape) for tensor in packed] == [[1, 3, 3, 5]]
    assert len(content.buffers[packed[0].buffer].data) == 23
    assert {code.builtinCode: code.version for code in content.operatorCodes}[4] == PACKED_VERSION


def test_ram_is_known_and_flash_and_time_are_not() -> None:
    cost, whole = estimate(stem_and_depthwise("dw"), DEVICE), estimate(stem_and_depthwise(), DEVICE)
    assert all(getattr(cost, name) is None for name in UNPRICED)
    assert all(getattr(whole, name) is not None for name in UNPRICED)
    assert cost.ram_bytes is not None
    assert [line.cycles is None for line in bill(stem_and_depthwise("dw"), DEVICE)][:3] == [False, True, False]


@pytest.mark.parametrize(
    ("multiplier", "dilation", "expected"), [(1, (1, 1), 2 * 8 * 9), (2, (1, 1), 0), (1, (2, 2), 0)]
)
def test_a_depthwise_unrolls_one_window_on_every_core(multiplier: int, dilation: tuple, expected: int) -> None:
    shape = Geometry(
        "dw", (9, 9), 8, (9, 9), 8 * multiplier, (3, 3), dilation=dilation, pads=(1, 1), multiplier=multiplier,
        weight_bits=4,
    )  # fmt: skip
    assert [scratch_bytes(shape, core) for core in ("scalar", "dsp", "mve")] == [expected] * 3


def test_a_convolution_asks_for_what_it_asks_with_eight() -> None:
    shape = Geometry("conv", (9, 9), 6, (9, 9), 4, (3, 3), pads=(1, 1))
    assert scratch_bytes(shape._replace(weight_bits=4), "dsp") == scratch_bytes(shape, "dsp") == 4 * 56


def test_links_price_as_the_whole() -> None:
    space = derive(mobilenet_v1(0.25), Declaration(bits=True))
    pricer, rng = Pricer(space, DEVICE), np.random.default_rng(0)
    for _ in range(20):
        genome = space.sample(rng=rng)
        assert pricer.price(genome) == estimate(space.apply(genome), DEVICE)


@pytest.mark.parametrize("runtime", ["c", "x-cube-ai"])
@pytest.mark.parametrize("op", ["stem", "dw"])
def test_other_runtimes_refuse_them(runtime: Runtime, op: str) -> None:
    with pytest.raises(TargetError, match=f"'{op}' cannot run on {runtime}: weights of 4 bits"):
        lower(stem_and_depthwise(op), runtime)


def test_reference_kernels_would_unpack_whole_filters() -> None:
    """TFLM's interpreter on a PC has these kernels, not CMSIS-NN's that are billed."""
    program = lower(stem_and_depthwise("stem", "dw"))
    unpacked = tuple([prod(call.weight_shape) if call.weight_bits == 4 else 0 for call in program.calls])
    assert arena(write(program, data_for(program))).head == planned(program, unpacked).arena_bytes
