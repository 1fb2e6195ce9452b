"""The `.tflite` file: its size is known beforehand to the byte, equal things stand in it once, and TFLite reads it."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.compiled_model import CompiledModel

from search_spaces.declare import load_declaration
from search_spaces.errors import TargetError
from search_spaces.graph import Graph
from search_spaces.space import derive
from targets.flatbuffer import Role
from targets.lower import lower
from targets.program import Program
from targets.tflite_file import file_size, write
from tests.litert import model
from tests.search_spaces.random_networks import random_network
from tests.targets.networks import mobilenet_v1
from tests.toys import Sketch, chain, decoder, depthwise, every_kind, modern, toys

NETWORKS = {name: graph for name, (graph, _) in toys().items()} | {
    "every_kind": every_kind()[0],
    "modern": modern()[0],
    "decoder": decoder()[0],
}


def data_for(program: Program, seed: int = 0) -> dict[Role, np.ndarray]:
    """Random data under every role a file can ask for; the scales of biases are not those TFLite would want."""
    rng = np.random.default_rng(seed)
    found: dict[Role, np.ndarray] = {}
    for activation in program.activations:
        found["scale", activation.scale_group] = rng.uniform(0.01, 0.1, 1).astype(np.float32)
        found["zero_point", activation.scale_group] = rng.integers(-128, 128, 1)
    for call in program.calls:
        if call.op and call.weight_shape:
            found[call.op, "weight"] = rng.integers(-127, 128, call.stored_bytes).astype(np.int8)
            found[call.op, "bias"] = rng.integers(-1000, 1000, call.out_channels).astype(np.int32)
            for role in ("weight_scale", "bias_scale"):
                found[call.op, role] = rng.uniform(0.01, 0.1, call.out_channels).astype(np.float32)
    return found


def file_of(graph: Graph, seed: int = 0) -> bytes:
    program = lower(graph)
    return write(program, data_for(program, seed))


@pytest.mark.parametrize("name", NETWORKS)
def test_the_promised_size_is_the_size(name: str) -> None:
    assert len(file_of(NETWORKS[name])) == file_size(lower(NETWORKS[name]))


def test_the_promised_size_is_the_size_on_random_networks() -> None:
    for seed in range(60):
        graph = random_network(rng=np.random.default_rng(seed))
        assert len(file_of(graph)) == file_size(lower(graph)), seed


def test_the_promised_size_is_the_size_all_over_a_search_space() -> None:
    space = derive(mobilenet_v1(0.25), load_declaration("mcu"))
    rng = np.random.default_rng(0)
    for _ in range(30):
        graph = space.apply(space.sample(rng=rng))
        assert len(file_of(graph)) == file_size(lower(graph))


def test_size_does_not_depend_on_values_not_even_equal_ones() -> None:
    program = lower(chain()[0])
    data = data_for(program)
    same = {role: np.zeros_like(array) for role, array in data.items()}
    assert len(write(program, same)) == len(write(program, data))


def test_mobilenet_at_an_eighth_of_its_width_keeps_its_overhead_small() -> None:
    program = lower(mobilenet_v1(0.125))
    filters = sum(call.out_channels for call in program.calls)
    weights = sum(int(np.prod(call.weight_shape)) for call in program.calls if call.op)
    values = weights + 8 * filters  # int8 weights; of each filter a bias and a scale of four bytes
    zero_points = 8 * sum({call.out_channels for call in program.calls})  # one vector of 64-bit zeros per width
    assert (weights, filters, zero_points) == (55_952, 1_378, 2_096)
    overhead = file_size(program) - values - zero_points
    assert overhead < 200 * len(program.calls)
    assert file_size(program) < 73.5 * 1024


def test_four_more_classes_cost_these_bytes() -> None:
    def net(classes: int) -> Program:
        sketch = Sketch(1, 4, 4)
        sketch.conv("a", 12)
        sketch.add("a_relu", "relu")
        sketch.classifier(classes)
        return lower(sketch.done())

    # 4 x 12 weights, 4 biases of 4 bytes, 4 scales of 4 (the bias's are the weights' own), 4 zero points of 8.
    assert file_size(net(20)) - file_size(net(16)) == 48 + 16 + 16 + 32


def test_a_program_for_c_is_refused() -> None:
    program = lower(chain()[0], "c")
    with pytest.raises(TargetError, match="tflm"):
        file_size(program)
    with pytest.raises(TargetError, match="tflm"):
        write(program, {})


@pytest.mark.parametrize("fault", ["missing", "short"])
def test_data_that_does_not_fit_is_refused(fault: str) -> None:
    program = lower(chain()[0])
    data = data_for(program)
    if fault == "missing":
        del data["c2", "bias"]
        with pytest.raises(KeyError):
            write(program, data)
    else:
        data["c2", "bias"] = data["c2", "bias"][:-1]
        with pytest.raises(ValueError, match="c2"):
            write(program, data)


@pytest.mark.parametrize("name", NETWORKS)
def test_tflite_verifies_the_file(name: str) -> None:
    file = file_of(NETWORKS[name])
    CompiledModel.from_buffer(file)  # runs the FlatBuffer verifier
    with pytest.raises(RuntimeError, match="flatbuffer"):
        CompiledModel.from_buffer(file[:-40])


def test_the_file_says_what_the_program_meant() -> None:
    program = lower(depthwise()[0])
    data = data_for(program)
    found = model(write(program, data))
    (graph,) = found.subgraphs
    assert found.version == 3
    versions = {code.builtinCode: (code.deprecatedBuiltinCode, code.version) for code in found.operatorCodes}
    op = schema.BuiltinOperator
    assert versions == {
        op.CONV_2D: (op.CONV_2D, 3),
        op.DEPTHWISE_CONV_2D: (op.DEPTHWISE_CONV_2D, 3),
        op.AVERAGE_POOL_2D: (op.AVERAGE_POOL_2D, 2),
        op.RESHAPE: (op.RESHAPE, 1),
        op.FULLY_CONNECTED: (op.FULLY_CONNECTED, 4),
    }
    assert [found.operatorCodes[o.opcodeIndex].builtinCode for o in graph.operators] == [
        op.CONV_2D,
        *[op.DEPTHWISE_CONV_2D, op.CONV_2D] * 4,
        op.AVERAGE_POOL_2D,
        op.RESHAPE,
        op.FULLY_CONNECTED,
    ]
    assert list(graph.inputs) == [0]
    assert list(graph.outputs) == [len(program.activations) - 1]
    tensors = graph.tensors
    assert [list(t.shape) for t in tensors[: len(program.activations)]] == [[1, *a.shape] for a in program.activations]

    third = graph.operators[5]  # the strided depthwise convolution: 8x8 to 4x4, SAME
    assert (third.builtinOptions.strideH, third.builtinOptions.strideW, third.builtinOptions.depthMultiplier) == (
        2,
        2,
        1,
    )
    assert third.builtinOptions.padding == schema.Padding.SAME
    assert third.builtinOptions.fusedActivationFunction == schema.ActivationFunctionType.NONE
    weight, bias = (tensors[k] for k in third.inputs[1:])
    assert (list(weight.shape), weight.type) == ([1, 3, 3, 16], schema.TensorType.INT8)
    assert (list(bias.shape), bias.type) == ([16], schema.TensorType.INT32)
    assert (weight.quantization.quantizedDimension, bias.quantization.quantizedDimension) == (3, 0)
    np.testing.assert_array_equal(weight.quantization.scale, data["dw3", "weight_scale"])
    np.testing.assert_array_equal(bias.quantization.scale, data["dw3", "weight_scale"])  # the input's scale is 1
    for tensor, role in ((weight, "weight"), (bias, "bias")):
        np.testing.assert_array_equal(tensor.quantization.zeroPoint, np.zeros(16))
        held = np.asarray(found.buffers[tensor.buffer].data, np.uint8)
        assert held.tobytes() == data["dw3", role].tobytes()
    inner = tensors[third.inputs[0]].quantization
    assert (list(inner.scale), list(inner.zeroPoint)) == ([1.0], [-128])
    stem = tensors[graph.operators[0].inputs[2]]
    np.testing.assert_array_equal(stem.quantization.scale, data["stem", "bias_scale"])  # the image's scale is not


def test_paddings_of_a_pad_call_are_top_bottom_left_right_inside_batch_and_channels() -> None:
    found = model(file_of(chain()[0]))
    (graph,) = found.subgraphs
    pad = schema.BuiltinOperator.PAD
    (call,) = [o for o in graph.operators if found.operatorCodes[o.opcodeIndex].builtinCode == pad]
    amounts = graph.tensors[call.inputs[1]]
    held = np.asarray(found.buffers[amounts.buffer].data, np.uint8).view(np.int32)
    assert list(amounts.shape) == [4, 2]
    assert held.reshape(4, 2).tolist() == [[0, 0], [1, 0], [1, 0], [0, 0]]


def test_a_transposed_convolution_reads_its_outputs_shape_its_weights_and_then_its_input() -> None:
    program = lower(decoder()[0])
    found = model(file_of(decoder()[0]))
    (graph,) = found.subgraphs
    codes = {found.operatorCodes[o.opcodeIndex].builtinCode: o for o in reversed(graph.operators)}
    first, crop = codes[schema.BuiltinOperator.TRANSPOSE_CONV], codes[schema.BuiltinOperator.SLICE]
    values = [
        np.asarray(found.buffers[graph.tensors[k].buffer].data, np.uint8) for k in (first.inputs[0], *crop.inputs[1:])
    ]
    assert [part.view(np.int32).tolist() for part in values] == [[1, 8, 8, 10], [0, 1, 1, 0], [1, 16, 16, 7]]
    assert [list(graph.tensors[k].shape) for k in first.inputs[1:]] == [[10, 3, 3, 12], [1, 4, 4, 12], [10]]
    weight = graph.tensors[first.inputs[1]]
    assert (weight.type, weight.quantization.quantizedDimension) == (schema.TensorType.INT8, 0)
    options = first.builtinOptions
    assert (options.padding, options.strideW, options.strideH) == (schema.Padding.SAME, 2, 2)
    assert options.fusedActivationFunction == schema.ActivationFunctionType.NONE
    versions = {code.builtinCode: code.version for code in found.operatorCodes}
    assert versions[schema.BuiltinOperator.TRANSPOSE_CONV] == 3  # the first with a bias
    assert [call.kind for call in program.calls].count("transpose_conv") == 3


@pytest.mark.parametrize("name", NETWORKS)
def test_no_names_no_metadata_and_every_buffer_aligned(name: str) -> None:
    file = file_of(NETWORKS[name])
    found = model(file)
    assert found.metadata is None
    assert found.description is None
    assert found.subgraphs[0].name is None
    assert all(tensor.name is None for tensor in found.subgraphs[0].tensors)
    root = schema.Model.GetRootAs(file, 0)
    assert root.Buffers(0).DataIsNone()
    for k in range(1, root.BuffersLength()):
        table = root.Buffers(k)._tab
        assert table.Vector(table.Offset(4)) % 16 == 0
