"""Two files of one network: TFLite's reference kernels and onnxruntime agree, and both agree with the float network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import Quantized, calibrate, quantize
from nas.runtime import Session
from nas.students.candidate import Student
from search_spaces.errors import ModelError
from search_spaces.from_onnx import parse
from search_spaces.graph import Graph
from search_spaces.to_onnx import to_onnx
from targets.lower import lower
from targets.program import Program
from targets.tflite_file import file_size
from tests import litert
from tests.search_spaces.random_networks import random_network
from tests.targets.networks import mobilenet_v1
from tests.toys import Sketch, Toy, decoder, depthwise, every_kind, images, modern, random_weights, toys


def quantized(graph: Graph, weights: dict[str, np.ndarray], x: np.ndarray) -> tuple[Program, Quantized]:
    program = lower(graph)
    return program, quantize(program, weights, calibrate(program, graph, weights, x))


def flat_features() -> Toy:
    """No image at all: 6 features, an affine, two linear layers."""
    net = Sketch(6)
    net.add("scaled", "affine")
    net.add("hidden", "linear", out_channels=12)
    net.add("hidden_relu", "relu")
    net.add("logits", "linear", out_channels=4)
    graph = net.done()
    return graph, random_weights(graph, 6)


def strided_pools() -> Toy:
    """Padded, overlapping and asymmetric windows, a dilated and a grouped convolution, a flatten of 8 x 4 x 4."""
    net = Sketch(2, 17, 17)
    net.conv("stem", 8, 5, 2, pads=(1, 2, 2, 1))
    net.add("stem_relu", "relu6")
    net.add("pool", "max_pool", kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    net.conv("grouped", 8, groups=2)
    net.add("grouped_relu", "relu")
    net.add("wide", "conv", out_channels=8, kernel=(3, 3), stride=(1, 1), pads=(2, 2, 2, 2), groups=1, dilation=(2, 2))
    net.add("wide_relu", "relu")
    net.add("mean", "avg_pool", kernel=(3, 3), stride=(1, 1), pads=(1, 1, 1, 1))
    net.add("flat", "flatten")
    net.add("scaled", "affine")
    net.add("logits", "linear", out_channels=4)
    graph = net.done()
    return graph, random_weights(graph, 8)


TOYS = {
    **toys(),
    "every_kind": every_kind(),
    "modern": modern(),
    "decoder": decoder(),
    "flat_features": flat_features(),
    "strided_pools": strided_pools(),
}


@pytest.mark.parametrize("name", TOYS)
def test_both_files_answer_as_the_float_network_does(name: str) -> None:
    graph, weights = TOYS[name]
    x = images(graph, 48)
    program, ints = quantized(graph, weights, x)
    steps, scale, zero_point = litert.int8_outputs(tflite_bytes(program, ints), x)
    with torch.no_grad():
        wanted = Session(to_onnx(graph, weights).SerializeToString()).logits(x).reshape(steps.shape)
    by_onnx = Session(qdq_onnx(program, ints).SerializeToString()).logits(x).reshape(steps.shape)
    by_tflite = (steps.astype(np.float64) - zero_point) * scale
    span = np.ptp(wanted)
    assert np.abs(by_onnx - by_tflite).max() <= 10 * scale  # rounding differs by a step here and there, and adds up
    for found in (by_onnx, by_tflite):
        assert np.sqrt(np.mean((found - wanted) ** 2)) < 0.03 * span
    assert (
        scale == program.by_name[graph.outputs[0]].fixed[0] if graph.ops[-1].kind == "softmax" else scale < span / 100
    )


def test_random_networks_agree() -> None:
    for seed in range(12):
        graph = random_network(rng=np.random.default_rng(seed))
        x = images(graph, 12, seed)
        weights = random_weights(graph, seed)
        program, ints = quantized(graph, weights, x)
        found = Session(qdq_onnx(program, ints).SerializeToString()).logits(x)
        steps, scale, zero_point = litert.int8_outputs(tflite_bytes(program, ints), x)
        apart = np.abs(found - (steps.astype(np.float64) - zero_point) * scale)
        assert np.sqrt(np.mean(apart**2)) < 0.03 * np.ptp(found), seed


def test_an_elu_looks_up_what_onnxruntime_computes() -> None:
    net = Sketch(2, 8, 8)
    net.conv("first", 8)
    net.add("first_elu", "elu", alpha=1.0)
    net.conv("second", 4)
    net.add("answer", "elu", alpha=1.0)
    graph = net.done()
    x, weights = images(graph, 16), random_weights(graph, 9)
    program, ints = quantized(graph, weights, x)
    file = tflite_bytes(program, ints)
    assert len(file) == file_size(program)
    steps, scale, zero_point = litert.int8_outputs(file, x, reference=False)
    by_onnx = Session(qdq_onnx(program, ints).SerializeToString()).logits(x).reshape(steps.shape)
    apart = np.rint(by_onnx / scale) + zero_point - steps
    assert np.abs(apart).max() <= 2
    assert np.mean(apart != 0) < 0.02
    wanted = Session(to_onnx(graph, weights).SerializeToString()).logits(x).reshape(steps.shape)
    assert np.sqrt(np.mean((by_onnx - wanted) ** 2)) < 0.01 * np.ptp(wanted)
    assert wanted.min() < -0.5  # the curve is used


def patterns(count: int, *, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Ten blocky patterns of 28 x 28, moved by up to a pixel under noise: uint8 images and their labels."""
    clean = np.kron(np.random.default_rng(0).integers(40, 216, (10, 1, 7, 7)), np.ones((4, 4)))
    labels = rng.integers(0, 10, count)
    moved = np.stack([np.roll(clean[label], rng.integers(-1, 2, 2), (1, 2)) for label in labels])
    return np.clip(moved + rng.normal(0, 25, moved.shape), 0, 255).astype(np.uint8), labels


def trained(graph: Graph, steps: int) -> dict[str, np.ndarray]:
    """Weights that tell the patterns apart, by plain training with batch normalization."""
    rng = np.random.default_rng(1)
    student = Student(graph, random_weights(graph, 0))
    student.add_norm(torch.from_numpy(patterns(64, rng=rng)[0]) / 255)
    optimizer = torch.optim.Adam(student.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, steps)
    student.train()
    for _ in range(steps):
        x, labels = patterns(32, rng=rng)
        loss = torch.nn.functional.cross_entropy(student(torch.from_numpy(x) / 255), torch.from_numpy(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return student.eval().folded()


def test_a_mobilenet_chooses_the_same_class_in_both_files() -> None:
    graph = mobilenet_v1(0.125)
    weights = trained(graph, steps=90)
    x, labels = patterns(500, rng=np.random.default_rng(2))
    program, ints = quantized(graph, weights, x[:128])
    float_logits = Session(to_onnx(graph, weights).SerializeToString()).logits(x)
    logits = Session(qdq_onnx(program, ints).SerializeToString()).logits(x)
    steps, _, _ = litert.int8_outputs(tflite_bytes(program, ints), x)
    chosen = logits.argmax(1)
    assert (float_logits.argmax(1) == labels).mean() > 0.9  # the network does tell them apart
    assert (steps.argmax(1) == chosen).mean() >= 0.99
    assert (float_logits.argmax(1) == chosen).mean() >= 0.98


def test_both_files_hold_the_same_integers() -> None:
    graph, weights = depthwise()
    program, ints = quantized(graph, weights, images(graph, 16))
    proto = qdq_onnx(program, ints)
    onnx.checker.check_model(proto, full_check=True)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}
    found = litert.model(tflite_bytes(program, ints))
    (lite,) = found.subgraphs
    calls = [call for call in program.calls if call.op and call.weight_shape]
    operators = [operator for operator in lite.operators if len(operator.inputs) == 3]
    assert len(calls) == len(operators) == 10
    for call, operator in zip(calls, operators, strict=True):
        weight, bias = (lite.tensors[k] for k in operator.inputs[1:])
        held = np.asarray(found.buffers[weight.buffer].data, np.uint8).view(np.int8).reshape(weight.shape)
        if call.kind == "dw":
            held = held.transpose(3, 0, 1, 2)
        elif call.kind == "conv":
            held = held.transpose(0, 3, 1, 2)
        np.testing.assert_array_equal(constants[f"{call.op}.weight:int8"], held)
        biases = np.asarray(found.buffers[bias.buffer].data, np.uint8).view(np.int32)
        np.testing.assert_array_equal(constants[f"{call.op}.bias:int32"], biases)
        np.testing.assert_array_equal(constants[f"{call.op}.weight:scale"], weight.quantization.scale)
        np.testing.assert_array_equal(constants[f"{call.op}.bias:scale"], bias.quantization.scale)
        source = lite.tensors[operator.inputs[0]].quantization.scale[0]
        np.testing.assert_allclose(bias.quantization.scale, source * weight.quantization.scale, rtol=1e-6)


def test_the_onnx_file_pads_in_its_convolutions_and_keeps_the_graphs_names() -> None:
    graph, weights = TOYS["strided_pools"]
    program, ints = quantized(graph, weights, images(graph, 4))
    proto = qdq_onnx(program, ints)
    assert any(call.kind == "pad" for call in program.calls)
    assert not any(node.op_type == "Pad" for node in proto.graph.node)
    assert [value.name for value in (*proto.graph.input, *proto.graph.output)] == ["image", "logits"]
    assert [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim] == ["n", 2, 17, 17]


def test_a_session_reads_pixels_as_fractions_whatever_the_batch(tmp_path: Path) -> None:
    graph, weights = depthwise()
    path = tmp_path / "model.onnx"
    onnx.save(to_onnx(graph, weights), path)
    pixels = np.random.default_rng(0).integers(0, 256, (10, *graph.input_shape), np.uint8)
    session = Session(path, threads=1)
    whole = session.logits(pixels)
    assert whole.shape == (10, 4)
    np.testing.assert_allclose(session.logits(pixels, batch=3), whole, atol=1e-5)
    np.testing.assert_allclose(session.logits(pixels / 255), whole, atol=1e-5)


@pytest.mark.parametrize("model", [b"", b"not a model"])
def test_a_session_refuses_what_is_not_a_model(model: bytes) -> None:
    with pytest.raises(ModelError, match="onnxruntime") as caught:
        Session(model)
    assert "\n" not in str(caught.value)


def test_an_int8_file_is_a_network_to_start_from() -> None:
    """Its weights dequantized, its rounding gone: nearly the float network's answers, and the same operators."""
    graph, weights = depthwise()
    x = images(graph, 64)
    file = qdq_onnx(*quantized(graph, weights, x))
    again, found = parse(file)
    assert [op.kind for op in again.ops if op.kind not in ("relu", "relu6")] == [
        op.kind for op in graph.ops if op.kind not in ("relu", "relu6")
    ]
    wanted = Session(to_onnx(graph, weights).SerializeToString()).logits(x)
    got = Session(to_onnx(again, found).SerializeToString()).logits(x)
    assert np.corrcoef(wanted.ravel(), got.ravel())[0, 1] > 0.99
