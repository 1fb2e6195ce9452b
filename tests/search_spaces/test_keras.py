"""Files of tf2onnx (`keras/make.py` wrote them): channels last at their borders, channels first inside."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from tests.toys import run_onnx

FOLDER = Path(__file__).parent / "keras"
KINDS = {
    "images": "conv relu6 conv relu6 conv add conv sigmoid mul global_avg_pool conv relu conv sigmoid mul max_pool "
    "flatten linear relu linear softmax",
    "series": "conv relu max_pool conv conv relu conv relu avg_pool flatten linear",
}


@pytest.mark.parametrize(("name", "shape"), [("images", (2, 12, 12)), ("series", (6, 1, 32))])
def test_their_transposes_cancel_and_their_answers_stay(name: str, shape: tuple[int, ...]) -> None:
    file = FOLDER / f"{name}.onnx"
    assert "Transpose" in {node.op_type for node in onnx.load(file).graph.node}
    graph, weights = load_model(file)
    assert graph.input_shape == shape
    assert " ".join(op.kind for op in graph.ops) == KINDS[name]
    x = np.random.default_rng(0).random((3, *shape), np.float32)
    last = x.transpose(0, 2, 3, 1) if name == "images" else x[:, :, 0].transpose(0, 2, 1)
    (of_file,), (of_graph,) = run_onnx(file, last), run_onnx(to_onnx(graph, weights), x)
    np.testing.assert_allclose(of_graph, of_file, atol=1e-6)


def test_all_layers_may_shrink() -> None:
    """Images: the stem with both depthwise layers and the gate, what the gate squeezes to, and the dense layer."""
    spaces = {name: derive(load_model(FOLDER / f"{name}.onnx")[0], load_declaration("mcu")) for name in KINDS}
    widths = {
        name: sorted(gene.original for gene in space.genes if gene.name.startswith("width"))
        for name, space in spaces.items()
    }
    assert widths == {"images": [8, 12, 16], "series": [8, 16, 16]}
    assert all(space.fixed() == [] for space in spaces.values())
