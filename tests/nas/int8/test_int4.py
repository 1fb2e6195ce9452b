"""Weights of 4 bits: packed as both formats have them, and answered like the same integers in 8."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest

from nas.deploy.export_c import export_c
from nas.int8.export.qdq_onnx import qdq_onnx
from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import Grid, calibrate, on_grid, packed
from nas.runtime import Session
from nas.timing import fresh_weights
from nas.verify.litert import LiteRT, exported
from nas.verify.tflm import Tflm
from search_spaces.declare import Declaration
from search_spaces.errors import ModelError
from search_spaces.graph import Graph
from search_spaces.space import derive
from targets.lower import lower
from targets.program import Program
from tests.targets.networks import mobilenet_v1
from tests.toys import depthwise, residual

NETWORKS = {"depthwise": depthwise()[0], "residual": residual()[0], "mobilenet": mobilenet_v1(0.25)}


def random_bits(graph: Graph, seed: int) -> Graph:
    space = derive(graph, Declaration(width=False, depth=False, kernel=False, bits=True))
    rng = np.random.default_rng(seed)
    names = [gene.name for gene in space.genes if rng.random() < 0.6]
    return space.apply(space.genome(dict.fromkeys(names, 4)))


def made(graph: Graph, seed: int = 0) -> tuple[Program, Grid, np.ndarray]:
    """Random weights, rounded; and four inputs."""
    rng, weights, program = np.random.default_rng(seed), fresh_weights(graph, seed=seed), lower(graph)
    x = rng.random((4, *graph.input_shape), np.float32)
    return program, on_grid(program, weights, calibrate(program, graph, weights, x)), x


def test_the_first_of_two_lies_in_the_lower_half() -> None:
    assert packed(np.array([[1, -1], [7, -7]], np.int8)).tolist() == [0xF1, 0x97]
    assert packed(np.array([3], np.int8)).tolist() == [0x03]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_runtime_answers_like_the_same_integers_in_eight(name: str) -> None:
    runners = [LiteRT(), LiteRT(reference=False), Tflm()]
    for seed in range(2):
        program, grid, x = made(random_bits(NETWORKS[name], seed), seed)
        assert any(call.weight_bits == 4 for call in program.calls)
        wide = replace(program, calls=tuple(replace(call, weight_bits=8) for call in program.calls))
        both = [exported(tflite_bytes(each, grid.quantized)) for each in (program, wide)]
        assert [each.packed for each in both] == [True, False]
        images = both[0].input.quantized(x)
        for runner in runners:
            if not runner.missing():
                np.testing.assert_array_equal(*(runner.answers(each, images) for each in both))
        files = [qdq_onnx(each, grid.quantized).SerializeToString() for each in (program, wide)]
        np.testing.assert_array_equal(*(Session(file, threads=1).logits(x) for file in files))


def test_integers_are_what_their_bits_hold() -> None:
    program, grid, _ = made(random_bits(NETWORKS["mobilenet"], 0))
    for call in program.calls:
        if call.op:
            most = 7 if call.weight_bits == 4 else 127
            assert np.abs(grid.quantized.weights[call.op]).max() == grid.limits[call.op] == most


def test_only_files_that_hold_them_need_the_newer_opset() -> None:
    for graph, opset in ((NETWORKS["residual"], 17), (random_bits(NETWORKS["residual"], 0), 21)):
        program, grid, _ = made(graph)
        file = qdq_onnx(program, grid.quantized)
        onnx.checker.check_model(file, full_check=True)
        assert file.opset_import[0].version == opset


def test_they_are_not_exported_as_c(tmp_path: Path) -> None:
    program, grid, _ = made(random_bits(NETWORKS["residual"], 0))
    with pytest.raises(ModelError, match="no kernels for weights of 4 bits"):
        export_c(tflite_bytes(program, grid.quantized), tmp_path / "c")
    assert not (tmp_path / "c").exists()
