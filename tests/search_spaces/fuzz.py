"""Damaged ONNX files: `python -m tests.search_spaces.fuzz COUNT [SEED]` prints what became of each kind of damage.

Each case is a file with one kind of damage. It must be read, or refused by an `EngineError` of one line, within seconds
and 2 GB; anything else is a finding. `results/fuzz-onnx.csv` is what 22,000 cases printed.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper

from search_spaces.declare import Declaration
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from search_spaces.to_onnx import to_onnx
from tests import fuzzing, toys

Damage = Callable[[onnx.ModelProto, np.random.Generator], onnx.ModelProto | bytes]


def flip(model: onnx.ModelProto, rng: np.random.Generator) -> bytes:
    """Some bits of the file."""
    content = bytearray(model.SerializeToString())
    for place in rng.integers(0, len(content), int(rng.integers(1, 20))):
        content[place] ^= 1 << int(rng.integers(8))
    return bytes(content)


def cut(model: onnx.ModelProto, rng: np.random.Generator) -> bytes:
    """The end of the file is missing."""
    content = model.SerializeToString()
    return content[: int(rng.integers(len(content)))]


def drop_node(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    del model.graph.node[int(rng.integers(len(model.graph.node)))]
    return model


def swap_kind(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """A node becomes another operator."""
    one, other = rng.integers(len(model.graph.node), size=2)
    kinds = ["Softmax", "MatMul", "Split", "Slice", "Resize", "Pad", "ConstantOfShape", "Loop", "LSTM", "Gather", "Pow"]
    model.graph.node[one].op_type = str(rng.choice([model.graph.node[other].op_type, *kinds]))
    return model


def drop_attribute(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    nodes = [node for node in model.graph.node if node.attribute]
    node = nodes[int(rng.integers(len(nodes)))]
    del node.attribute[int(rng.integers(len(node.attribute)))]
    return model


def change_attribute(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """Numbers of an attribute become huge, zero or negative."""
    nodes = [node for node in model.graph.node if any(a.ints for a in node.attribute)]
    node = nodes[int(rng.integers(len(nodes)))]
    attributes = [a for a in node.attribute if a.ints]
    chosen = attributes[int(rng.integers(len(attributes)))]
    chosen.ints[int(rng.integers(len(chosen.ints)))] = int(rng.choice([-1, 0, 7, 2**31, 2**62, -(2**63)]))
    return model


def rewire(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """A node reads another tensor, perhaps one that comes later or nowhere."""
    names = [name for node in model.graph.node for name in node.output]
    node = model.graph.node[int(rng.integers(len(model.graph.node)))]
    node.input[int(rng.integers(len(node.input)))] = str(rng.choice([*names, "nowhere", "", node.output[0]]))
    return model


def retype(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """An initializer says it holds other numbers than it does."""
    tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
    tensor.data_type = int(rng.choice([0, 2, 3, 6, 7, 8, 9, 10, 11, 16, 99]))
    return model


def resize(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """An initializer, or the input, says it has other sides than it has."""
    huge = [-1, 0, 1, 10**6, 2**31, 2**62]
    if rng.random() < 0.3:
        dims = model.graph.input[0].type.tensor_type.shape.dim
        dims[int(rng.integers(len(dims)))].dim_value = int(rng.choice(huge))
        return model
    tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
    if tensor.dims:
        tensor.dims[int(rng.integers(len(tensor.dims)))] = int(rng.choice(huge))
    return model


def leave(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """A weight lies in a file outside the folder."""
    tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (
        ("location", str(rng.choice(["../../etc/passwd", "/etc/passwd", "gone.bin", ""]))),
        ("offset", "0"),
    ):
        entry = tensor.external_data.add()
        entry.key, entry.value = key, value
    return model


def bomb(model: onnx.ModelProto, rng: np.random.Generator) -> onnx.ModelProto:
    """A few bytes that would become gigabytes."""
    graph = model.graph
    wide, high = np.ones((1, 10**5), np.float32), np.ones((int(rng.choice([10, 10**5])), 1), np.float32)
    places = np.zeros(10**5, np.int64)
    given = {
        "ConstantOfShape": [np.array([10**4, 10**5, int(rng.choice([10, 10**5]))])],
        "Expand": [np.ones(1, np.float32), np.array([10**4, 10**5])],
        "Tile": [wide, np.array([10**5, 10**2])],
        "Range": [np.array(0), np.array(10**11), np.array(1)],
        "Mul": [wide, high],
        "Where": [wide > 0, high, wide],
        "MatMul": [high, wide],
        "Gemm": [high, wide],
        "Pad": [wide, np.array([0, 0, 10**5, 0])],
        "Resize": [wide, np.zeros(0, np.float32), np.array([10**5, 1], np.float32)],
        "Gather": [wide.T.repeat(100, 1), places],
        "OneHot": [places, np.array(10**5), np.array([0, 1], np.float32)],
    }
    kind = str(rng.choice(list(given)))
    names = [f"bomb_{place}" for place in range(len(given[kind]))]
    graph.initializer.extend(
        onnx.numpy_helper.from_array(value, name) for name, value in zip(names, given[kind], strict=True)
    )
    attributes = {"mode": "nearest"} if kind == "Resize" else {}
    graph.node.insert(0, helper.make_node(kind, names, ["bombed"], name="bomb", **attributes))
    graph.node[-1].input[0] = "bombed"
    return model


DAMAGES: tuple[Damage, ...] = (
    flip, cut, drop_node, swap_kind, drop_attribute, change_attribute, rewire, retype, resize, leave, bomb,
)  # fmt: skip


def case(number: int, seed: int) -> tuple[str, bytes]:
    """The name of a case's damage, and its file."""
    rng = np.random.default_rng([seed, number])
    nets = [*toys.toys().values(), toys.every_kind(), toys.modern()]
    damage = DAMAGES[number % len(DAMAGES)]
    model = to_onnx(*nets[int(rng.integers(len(nets)))])
    if rng.random() < 0.5:
        del model.metadata_props[:]
    damaged = damage(model, rng)
    return damage.__name__, damaged if isinstance(damaged, bytes) else damaged.SerializeToString()


def read(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    graph, _ = load_model(path)
    derive(graph, Declaration())


def cases(count: int, seed: int, path: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    for number in range(count):
        kind, content = case(number, seed)
        yield kind, partial(read, path, content)


def main() -> None:
    count, seed = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 0
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        fuzzing.run(cases(count, seed, path))
        assert [other.name for other in Path(folder).iterdir()] == ["model.onnx"]


if __name__ == "__main__":
    main()
