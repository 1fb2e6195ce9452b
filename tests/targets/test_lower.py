"""What a graph becomes on a device: fusing, padding, scale groups, the order of flattened features."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.declare import load_declaration
from search_spaces.errors import TargetError
from search_spaces.graph import Graph
from search_spaces.space import derive
from targets.lower import lower, window_padding
from targets.program import Call, Program
from targets.tflite_file import write
from tests.targets.networks import mobilenet_v1
from tests.targets.test_tflite_file import data_for
from tests.tflm import arena
from tests.toys import Sketch, chain, concat, depthwise, every_kind, residual, toys

SIDE_BY_SIDE = [(name, runtime) for name in ("chain", "residual", "depthwise", "concat") for runtime in ("tflm", "c")]


def calls(program: Program) -> list[tuple[str, str, str]]:
    return [(call.kind, call.output, call.fused) for call in program.calls]


def only(program: Program, kind: str) -> Call:
    (found,) = [call for call in program.calls if call.kind == kind]
    return found


def test_a_chain_becomes_these_calls() -> None:
    # 8x8 with a 3x3 kernel, stride 2 and a pad on every side: the lower and right ones are never reached, and what is
    # left (1, 1, 0, 0) is not SAME, which would pad (0, 0, 1, 1).
    assert calls(lower(chain()[0])) == [
        ("conv", "r1", "relu"),
        ("conv", "r2", "relu"),
        ("pad", "c3:padded", "none"),
        ("conv", "r3", "relu"),
        ("conv", "r4", "relu"),
        ("avg_pool", "gap", "none"),
        ("reshape", "flat", "none"),
        ("fc", "logits", "none"),
    ]


def test_the_padded_copy_is_as_large_as_the_windows_reach() -> None:
    program = lower(chain()[0])
    padded = program.by_name["c3:padded"]
    assert (padded.shape, padded.tensor) == ((9, 9, 8), "r2")
    assert padded.scale_group == program.by_name["r2"].scale_group
    conv = program.calls[3]
    assert (conv.inputs, conv.pads, conv.same_padding) == (("c3:padded",), (0, 0, 0, 0), False)


def test_c_kernels_pad_by_themselves() -> None:
    program = lower(chain()[0], "c")
    assert "pad" not in {call.kind for call in program.calls}
    assert (program.calls[2].pads, program.calls[2].same_padding) == ((1, 1, 0, 0), False)


@pytest.mark.parametrize(
    ("size", "out", "kernel", "stride", "pads", "needed", "same"),
    [
        (8, 8, 3, 1, (1, 1, 1, 1), (1, 1, 1, 1), True),
        (8, 4, 3, 2, (0, 0, 1, 1), (0, 0, 1, 1), True),
        (8, 4, 3, 2, (1, 1, 1, 1), (1, 1, 0, 0), False),
        (7, 4, 3, 2, (1, 1, 1, 1), (1, 1, 1, 1), True),
        (8, 6, 3, 1, (0, 0, 0, 0), (0, 0, 0, 0), False),
        (8, 3, 3, 2, (0, 0, 0, 0), (0, 0, 0, 0), False),
        (8, 10, 3, 1, (2, 2, 2, 2), (2, 2, 2, 2), False),
        (8, 8, 5, 1, (2, 2, 2, 2), (2, 2, 2, 2), True),
        (8, 4, 1, 2, (0, 0, 0, 0), (0, 0, 0, 0), False),
    ],
)
def test_padding_that_same_can_and_cannot_say(
    size: int, out: int, kernel: int, stride: int, pads: tuple, needed: tuple, same: bool
) -> None:
    found = window_padding((size, size), (out, out), (kernel, kernel), (stride, stride), (1, 1), pads)
    assert found == (needed, same)


def test_a_relu_with_a_sibling_or_behind_an_output_stays_a_call() -> None:
    net = Sketch(2, 8, 8)
    both = net.conv("both", 4)
    net.add("first", "relu")
    net.add("sum", "add", "first", both)
    out = net.conv("out", 4)
    net.add("last", "relu")
    program = lower(net.done(out, "last"))
    assert calls(program) == [
        ("conv", "both", "none"),
        ("relu", "first", "relu"),
        ("add", "sum", "none"),
        ("conv", "out", "none"),
        ("relu", "last", "relu"),
    ]
    assert program.outputs == ("out", "last")


def test_a_relu6_of_its_own_shares_its_scale_and_a_relu_does_not() -> None:
    for kind, shares in (("relu", False), ("relu6", True)):
        net = Sketch(2, 8, 8)
        net.add("alone", kind)
        net.conv("after", 4)
        program = lower(net.done())
        groups = [activation.scale_group for activation in program.activations]
        assert (groups[0] == groups[1]) == shares
        assert only(program, "relu").fused == kind


def test_more_maps_than_tflm_joins_are_joined_in_parts() -> None:
    net = Sketch(2, 4, 4)
    parts = [net.conv(f"part{k}", k + 1, of="image") for k in range(21)]
    net.add("all", "concat", *parts)
    program = lower(net.done())
    first, second, third = [call for call in program.calls if call.kind == "concat"]
    assert (first.inputs, second.inputs) == (tuple(parts[:10]), (first.output, *parts[10:19]))
    assert (third.inputs, third.output) == ((second.output, *parts[19:]), "all")
    widths = [program.by_name[call.output].shape[-1] for call in (first, second, third)]
    assert widths == [55, 190, 231]  # sums of 1 to 10, 19 and 21
    assert len({activation.scale_group for activation in program.activations} - {0}) == 1
    assert arena(write(program, data_for(program))).head  # TFLM's interpreter takes it


def test_scale_groups_of_a_concat_and_its_readers() -> None:
    program = lower(concat()[0])
    group = {activation.name: activation.scale_group for activation in program.activations}
    assert group["left_relu"] == group["right_relu"] == group["joined"]
    assert group["last_relu"] == group["gap"] == group["flat"]
    assert group["mixed"] != group["joined"]
    assert sorted(set(group.values())) == list(range(len(set(group.values()))))


def test_groups_that_join_late_are_numbered_in_order_of_first_appearance() -> None:
    net = Sketch(2, 8, 8)
    first, second = net.conv("first", 4, of="image"), net.conv("second", 4, of="image")
    third = net.conv("third", 4, of="image")
    net.add("far", "concat", first, third)
    net.add("all", "concat", "far", second)
    net.conv("end", 4)
    program = lower(net.done())
    assert [a.scale_group for a in program.activations] == [0, 1, 1, 1, 1, 1, 2]


def test_a_fixed_scale_goes_through_a_pool() -> None:
    net = Sketch(4, 8, 8)
    net.add("gate", "sigmoid")
    net.add("small", "global_avg_pool")
    net.conv("conv", 4, 1)
    fixed = {activation.name: activation.fixed for activation in lower(net.done()).activations}
    assert fixed == {"image": None, "gate": (1 / 256, -128), "small": (1 / 256, -128), "conv": None}


def test_features_flattened_from_a_map_tell_the_exporter_their_order() -> None:
    program = lower(every_kind()[0])
    hidden = [call for call in program.calls if call.op == "hidden"]
    assert (hidden[0].flatten_from, hidden[0].weight_shape) == ((12, 4, 4), (10, 192))
    assert lower(chain()[0]).calls[-1].flatten_from is None  # of one position: both orders are one
    assert program.by_name["probabilities"].fixed == (1 / 256, -128)


def test_the_order_passes_through_activations_and_affines() -> None:
    net = Sketch(3, 4, 4)
    net.conv("conv", 6)
    net.add("flat", "flatten")
    net.add("scaled", "affine")
    net.add("clamped", "relu")
    net.add("logits", "linear", out_channels=5)
    program = lower(net.done())
    assert calls(program) == [
        ("conv", "conv", "none"),
        ("reshape", "flat", "none"),
        ("reshape", "scaled:map", "none"),
        ("dw", "clamped:map", "relu"),
        ("reshape", "clamped", "none"),
        ("fc", "logits", "none"),
    ]
    assert [call.flatten_from for call in program.calls if call.op] == [None, (6, 4, 4), (6, 4, 4)]
    assert program.by_name["scaled:map"].shape == (1, 1, 96)
    assert program.by_name["scaled:map"].tensor == "flat"


def test_depthwise_with_a_multiplier() -> None:
    net = Sketch(3, 8, 8)
    net.conv("dw", 12, groups=3)
    call = only(lower(net.done()), "dw")
    assert (call.weight_shape, call.channel_multiplier, call.out_channels) == ((1, 3, 3, 12), 4, 12)


def test_a_max_pool_is_padded_by_a_call_only_where_zero_changes_nothing() -> None:
    def pooled(kind: str, clamp: bool) -> Graph:
        net = Sketch(2, 8, 8)
        net.conv("conv", 4)
        if clamp:
            net.add("clamped", "relu6")
        net.add("pool", kind, kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
        return net.done()

    program = lower(pooled("max_pool", clamp=True))
    assert calls(program)[1:] == [("pad", "pool:padded", "none"), ("max_pool", "pool", "none")]
    for graph in (pooled("max_pool", clamp=False), pooled("avg_pool", clamp=True)):
        with pytest.raises(TargetError, match=r"'pool' cannot run on tflm: .*\(1, 1, 0, 0\).* must be SAME or none"):
            lower(graph)
        assert lower(graph, "c").calls[-1].pads == (1, 1, 0, 0)


def test_names_made_here_step_aside_for_the_graphs() -> None:
    net = Sketch(2, 8, 8)
    net.conv("conv:padded", 4)
    net.conv("conv", 4, stride=2)
    program = lower(net.done())
    assert [a.name for a in program.activations] == ["image", "conv:padded", "conv:padded'", "conv"]
    assert program.calls[-1].inputs == ("conv:padded'",)


def test_refusals_name_the_operator_and_the_way_out() -> None:
    net = Sketch(2, 4, 4)
    net.conv("conv", 3)
    net.add("flat", "flatten")
    with pytest.raises(TargetError, match="output 'flat' was flattened from"):
        lower(net.done())
    net = Sketch(2, 4, 4)
    gate = net.add("gate", "sigmoid")
    net.add("joined", "concat", gate, "image")
    with pytest.raises(TargetError, match=r"concat 'joined' joins gate, image: .* fixed; join before it"):
        lower(net.done())
    net = Sketch(66_400, 1, 1)
    net.add("flat", "flatten")
    net.add("logits", "linear", out_channels=2)
    with pytest.raises(TargetError, match="'logits' cannot run on tflm: 66,400 weights a filter"):
        lower(net.done())
    with pytest.raises(TargetError, match="runtime must be one of tflm, c, x-cube-ai, got 'tvm'"):
        lower(chain()[0], "tvm")  # type: ignore[arg-type]


def check_shapes(program: Program) -> None:
    """TFLite derives an output's size from SAME or VALID; it must be the one the program says."""
    for call in program.calls:
        if call.kind not in ("conv", "dw", "max_pool", "avg_pool"):
            continue
        source, output = program.by_name[call.inputs[0]].shape, program.by_name[call.output].shape
        for k in (0, 1):
            reach = (call.kernel[k] - 1) * call.dilation[k]
            size = source[k] if call.same_padding else source[k] - reach
            assert output[k] == -(-size // call.stride[k]), call
        assert any(call.pads) == call.same_padding


@pytest.mark.parametrize("name", ["chain", "residual", "depthwise", "concat"])
def test_random_networks_keep_tflites_shape_rule(name: str) -> None:
    space = derive(toys()[name][0], load_declaration("mcu"))
    rng = np.random.default_rng(1)
    for _ in range(100):
        graph = space.apply(space.sample(rng=rng))
        program = lower(graph)
        check_shapes(program)
        for activation in program.activations:
            if activation.name in graph.shapes:
                channels, *rest = graph.shapes[activation.name]
                assert activation.shape == (*rest, channels)


def test_mobilenet_needs_no_padding_calls() -> None:
    program = lower(mobilenet_v1())
    check_shapes(program)
    kinds = [call.kind for call in program.calls]
    assert kinds == ["conv", *["dw", "conv"] * 13, "avg_pool", "reshape", "fc"]


@pytest.mark.parametrize(("name", "runtime"), SIDE_BY_SIDE)
def test_every_tensor_is_written_once_and_before_it_is_read(name: str, runtime: str) -> None:
    program = lower(toys()[name][0], runtime)  # type: ignore[arg-type]
    known = {program.input}
    for call in program.calls:
        assert known.issuperset(call.inputs)
        assert call.output not in known
        known.add(call.output)
    assert known == set(program.by_name)


def test_residual_adds_take_their_relu() -> None:
    adds = [call for call in lower(residual()[0]).calls if call.kind == "add"]
    assert [(call.inputs, call.output, call.fused) for call in adds] == [
        (("a2", "stem_relu"), "a_relu", "relu"),
        (("b2", "b_project"), "b_relu", "relu"),
    ]
    assert {call.fused for call in lower(depthwise()[0]).calls if call.op} == {"relu6", "none"}


def test_an_elu_of_another_alpha_is_refused() -> None:
    net = Sketch(1, 4, 4)
    net.add("half", "elu", alpha=0.5)
    with pytest.raises(TargetError, match=r"elu 'half' cannot run on tflm: alpha = 0\.5; its alpha must be 1"):
        lower(net.done())
