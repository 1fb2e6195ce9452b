"""A file of tf2onnx (`keras/make.py` wrote it): channels last at its border, channels first inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from tests.toys import run_onnx

FILE = Path(__file__).parent / "keras" / "net.onnx"


def test_its_transposes_cancel_and_its_answers_stay() -> None:
    nodes = [node.op_type for node in onnx.load(FILE).graph.node]
    assert nodes.count("Transpose") == 2
    graph, weights = load_model(FILE)
    assert graph.input_shape == (2, 12, 12)
    assert " ".join(op.kind for op in graph.ops) == (
        "conv relu6 conv relu6 conv add conv sigmoid mul global_avg_pool conv relu conv sigmoid mul max_pool flatten "
        "linear relu linear softmax"
    )
    x = np.random.default_rng(0).random((3, 12, 12, 2), np.float32)
    (of_file,), (of_graph,) = run_onnx(FILE, x), run_onnx(to_onnx(graph, weights), x.transpose(0, 3, 1, 2))
    np.testing.assert_allclose(of_graph, of_file, atol=1e-6)


def test_all_its_layers_may_shrink() -> None:
    """The stem with both depthwise layers and the gate, what the gate squeezes to, and the dense layer."""
    space = derive(load_model(FILE)[0], load_declaration("mcu"))
    assert sorted(gene.original for gene in space.genes if gene.name.startswith("width")) == [8, 12, 16]
    assert space.fixed() == []
