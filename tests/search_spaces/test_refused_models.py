"""What cannot be used is refused in one line that names the node or the file, the law and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from search_spaces.errors import ModelError, UnsupportedOp
from search_spaces.from_onnx import load_model, parse
from search_spaces.to_onnx import to_onnx
from tests.search_spaces.onnx_files import file, node, normal
from tests.toys import chain

X4 = ("n", 4)
REFUSED = {
    "If": (node("If", "x", then_branch=helper.make_graph([], "t", [], []), else_branch=None), X4, "control flow"),
    "LSTM": (node("LSTM", "x w w", hidden_size=1), X4, "convolutions over time"),
    "ConvInteger": (node("ConvInteger", "x w"), X4, "give the float model"),
    "ArgMax": (node("ArgMax", "x"), X4, "logits"),
    "Celu": (node("Celu", "x"), X4, "ReLU6"),
    "TopK": (node("TopK", "x one"), X4, "logits"),
    "RoiAlign": (node("RoiAlign", "x x x"), X4, "there is no rule"),
    "Magic": (helper.make_node("Magic", ["x"], ["y"], name="node_y", domain="my.ops"), X4, "'my.ops'"),
    "Conv": (node("Conv", "x line"), ("n", 2, 6, 6), "1 spatial axes, its input (2, 6, 6) has others"),
    "MaxPool": (node("MaxPool", "x", kernel_shape=[2, 2]), X4, "N x C x H x W"),
    "AveragePool": (
        node(
            "AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 0, 0], count_include_pad=1, ceil_mode=1, strides=[2, 2]
        ),
        ("n", 2, 5, 5),
        "use one of the two",
    ),
    "Resize": (node("Resize", "x  scales"), ("n", 2, 6, 6), "whole factors only"),
    "BatchNormalization": (
        node("BatchNormalization", "x four four four four", training_mode=1),
        X4,
        "eval mode",
    ),
    "Sum": (node("Sum", "x x x"), X4, "two inputs, got 3"),
    "Add": (node("Add", "x square"), X4, "one a channel"),
    "Squeeze": (node("Squeeze", "x"), ("n", 2, 1, 1), "axes to drop must be named"),
    "MatMul": (node("MatMul", "x x"), X4, "must be a constant"),
    "Cast": (node("Cast", "x", to=TensorProto.FLOAT16), X4, "float32"),
    "Gemm": (node("Gemm", "x square", transA=1), X4, "transA must be 0"),
}
CONSTANTS = {
    "w": 1.0,
    "low": -1.0,
    "six": 6.0,
    "four": normal(4),
    "square": normal(4, 4),
    "line": normal(3, 2, 3),
    "one": np.array([1]),
    "two": np.array([2]),
    "scales": [1.0, 1.0, 1.5, 1.5],
    "halves": np.array([-1, 2]),
    "pads": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_refused_by_name(kind: str) -> None:
    bad, shape, advice = REFUSED[kind]
    with pytest.raises(UnsupportedOp) as caught:
        parse(file([bad], shape, **CONSTANTS))
    text = str(caught.value)
    assert text.startswith(f"{kind} node 'node_y': ")
    assert advice in text
    assert "\n" not in text


@pytest.mark.parametrize("shape", [[2, 4], [4, -1], [-1]])
def test_a_batch_of_one_size_is_refused(shape: list[int]) -> None:
    with pytest.raises(ModelError, match=r"batch axis must stay|must be computed from the input"):
        parse(file([node("Reshape", "x to")], X4, to=np.array(shape)))


@pytest.mark.parametrize(
    "last", [node("Transpose", "x", perm=[1, 0]), node("Concat", "x x", axis=0), node("Einsum", "x", equation="ab->ba")]
)
def test_an_output_whose_batch_axis_moved_is_refused(last: onnx.NodeProto) -> None:
    with pytest.raises(ModelError, match="output 'y' must be computed from the input, the batch axis first"):
        parse(file([last], X4))


def test_a_squeeze_of_a_longer_axis_is_refused() -> None:
    with pytest.raises(UnsupportedOp, match=r"only axes of size 1 .* got axes \[2\] of \(2, 6, 6\)"):
        parse(file([node("Squeeze", "x two")], two=np.array([2])))


def test_weights_that_do_not_fit_are_refused() -> None:
    with pytest.raises(
        ModelError, match=r"weight must have shape \(3, 2, 1, 1\) for input \(2, 6, 6\), got \(3, 5, 1, 1\)"
    ):
        parse(file([node("Conv", "x w")], w=normal(3, 5, 1, 1)))
    with pytest.raises(ModelError, match=r"must be finite, got NaN or infinity in 'y.weight'"):
        parse(file([node("Conv", "x w")], w=np.full((3, 2, 1, 1), np.nan)))


def test_two_inputs_and_an_old_opset_are_refused() -> None:
    model = file([node("Relu", "x")])
    model.graph.input.append(helper.make_tensor_value_info("mask", TensorProto.FLOAT, ["n", 2]))
    with pytest.raises(ModelError, match="exactly one input, got x, mask"):
        parse(model)
    with pytest.raises(ModelError, match="opset 7 or newer, got 6"):
        parse(file([node("Relu", "x")], opset=6))


# Files


@pytest.fixture
def chain_file(tmp_path: Path) -> Path:
    path = tmp_path / "chain.onnx"
    onnx.save(to_onnx(*chain()), path)
    return path


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"gone\.onnx', which is not there"):
        load_model(tmp_path / "gone.onnx")


@pytest.mark.parametrize("share", [0, 0.001, 0.25, 0.5, 0.75, 0.99])
def test_a_truncated_file(chain_file: Path, share: float) -> None:
    content = chain_file.read_bytes()
    chain_file.write_bytes(content[: int(share * len(content))])
    with pytest.raises(ModelError, match=r"chain\.onnx .*export it again"):
        load_model(chain_file)


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n", b"PK\x03\x04" + bytes(100), b"hello, world"])
def test_another_kind_of_file(chain_file: Path, content: bytes) -> None:
    chain_file.write_bytes(content)
    with pytest.raises(ModelError, match=r"chain\.onnx .*export it again"):
        load_model(chain_file)


def test_a_file_that_breaks_onnx_rules(chain_file: Path) -> None:
    model = onnx.load(chain_file)
    model.graph.node[0].input[0] = "nowhere"
    onnx.save(model, chain_file)
    with pytest.raises(ModelError, match=r"nowhere.*export it again"):
        load_model(chain_file)


def test_an_unknown_operator_is_named_before_anything_else(chain_file: Path) -> None:
    model = onnx.load(chain_file)
    model.graph.node[1].op_type = "Frobnicate"
    onnx.save(model, chain_file)
    with pytest.raises(UnsupportedOp, match="Frobnicate node 'r1': there is no rule"):
        load_model(chain_file)
