"""Transposed convolutions in int8: by their own sums, by TFLite's reference kernel, and by onnxruntime."""

from __future__ import annotations

import numpy as np
import pytest

from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import Quantized, calibrate, quantize
from nas.runtime import Session
from search_spaces.from_onnx import parse
from search_spaces.graph import Graph
from targets.lower import lower
from targets.program import Program
from targets.tflite_file import file_size
from tests import litert
from tests.targets.test_transposed import random_decoder
from tests.toys import Pads, Sketch, decoder, images, random_weights

CASES: dict[str, tuple[int, int, Pads, int]] = {  # kernel, stride, pads, output padding
    "whole": (3, 2, (0, 0, 0, 0), 0),
    "same": (3, 2, (0, 0, 1, 1), 0),
    "same on all sides": (3, 1, (1, 1, 1, 1), 0),
    "cut": (4, 2, (1, 1, 1, 1), 0),
    "padded and cut": (3, 2, (1, 1, 1, 1), 1),
    "uneven": (5, 3, (0, 2, 1, 0), 0),
}


def one(name: str, channels: int) -> Graph:
    """A transposed convolution alone, of `channels` x 6 x 5 to 4 channels."""
    net = Sketch(channels, 6, 5)
    kernel, stride, pads, more = CASES[name]
    net.up("up", 4, kernel, stride, pads, more)
    return net.done()


def quantized(graph: Graph, seed: int = 0) -> tuple[Program, Quantized, np.ndarray]:
    x, weights = images(graph, 12, seed), random_weights(graph, seed)
    program = lower(graph)
    return program, quantize(program, weights, calibrate(program, graph, weights, x)), x


def sums(graph: Graph, steps: np.ndarray, ints: Quantized) -> np.ndarray:
    """The int32 sums of a transposed convolution alone: every input pixel times every tap, added where they fall."""
    (op,) = graph.ops
    (kh, kw), (sh, sw), (top, left, _, _) = op["kernel"], op["stride"], op["pads"]
    _, height, width = graph.shapes[op.name]
    weight = ints.weights[op.name].astype(np.int64)  # O x I x KH x KW
    whole = np.zeros((len(steps), len(weight), *(256, 256)), np.int64)
    for row, column in np.ndindex(steps.shape[2:]):
        part = np.einsum("ni,oihw->nohw", steps[:, :, row, column], weight)
        whole[:, :, row * sh : row * sh + kh, column * sw : column * sw + kw] += part
    return whole[:, :, top : top + height, left : left + width] + ints.biases[op.name][:, None, None]


@pytest.mark.parametrize("channels", [3, 20])
@pytest.mark.parametrize("name", CASES)
def test_three_ways_to_one_answer(name: str, channels: int) -> None:
    """int32 sums requantized here, onnxruntime, and TFLite's kernel, which rounds twice: a step off near ties."""
    graph = one(name, channels)
    program, ints, x = quantized(graph)
    source, to = (program.by_name[key].scale_group for key in ("image", "up"))
    given = np.rint(x / ints.scales[source]).astype(np.int64)
    x = (given * ints.scales[source]).astype(np.float32)  # so that nobody rounds it another way
    steps, scale, zero_point = litert.int8_outputs(tflite_bytes(program, ints), x)
    total = sums(graph, given, ints)
    ratio = ints.bias_scales["up"].astype(np.float64) / ints.scales[to]
    exact = total * ratio[:, None, None]
    expected = np.clip(np.floor(exact + 0.5) + zero_point, -128, 127)
    by_onnx = Session(qdq_onnx(program, ints).SerializeToString()).logits(x).reshape(steps.shape) / scale + zero_point
    from_tie = np.abs(exact - np.floor(exact) - 0.5)
    for found in (steps, np.rint(by_onnx)):
        apart = np.abs(found - expected)
        assert apart.max() <= 1
        assert from_tie[apart > 0].max(initial=0) < 0.004
        assert np.mean(apart > 0) < 0.003
    assert np.ptp(steps.astype(int)) > 100


def test_random_decoders_agree_and_have_the_size_that_was_promised() -> None:
    for seed in range(16):
        graph = random_decoder(rng=np.random.default_rng(seed))
        program, ints, x = quantized(graph, seed)
        file = tflite_bytes(program, ints)
        assert len(file) == file_size(program)
        steps, scale, zero_point = litert.int8_outputs(file, x)
        found = Session(qdq_onnx(program, ints).SerializeToString()).logits(x).reshape(steps.shape)
        apart = np.rint(found / scale) + zero_point - steps
        assert np.abs(apart).max() <= 6, seed  # steps here and there that the layers behind add up
        assert abs(apart.mean()) < 0.03, seed


def test_an_int8_decoder_is_a_network_to_start_from() -> None:
    graph, weights = decoder()
    program = lower(graph)
    ints = quantize(program, weights, calibrate(program, graph, weights, images(graph, 8)))
    again, _ = parse(qdq_onnx(program, ints))
    shapes = [graph.shapes[op.name] for op in graph.ops if op.kind == "conv_transpose"]
    assert [again.shapes[op.name] for op in again.ops if op.kind == "conv_transpose"] == shapes
