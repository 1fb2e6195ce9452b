"""The size of the file, told before there is one, against files that are written: random networks of the quickstart."""

from __future__ import annotations

import numpy as np

from nas import quickstart
from search_spaces.declare import load_declaration
from search_spaces.from_onnx import load_model
from search_spaces.space import derive
from targets.cost import estimate
from targets.device import load_device
from targets.flatbuffer import Role
from targets.lower import lower
from targets.program import Program
from targets.tflite_file import write

NETWORKS = 500
Told = list[tuple[float, float]]


def files() -> dict[str, Told]:
    """Prints how many sizes are exact; written and predicted bytes, for the plot."""
    space, rng = derive(load_model(quickstart.MODEL_PATH)[0], load_declaration("mcu")), np.random.default_rng(0)
    device, sizes, weights = load_device("nrf52840"), [], []
    for _ in range(NETWORKS):
        graph = space.apply(space.sample(rng=rng))
        cost, program = estimate(graph, device), lower(graph)
        data = values(program)
        sizes.append((float(len(write(program, data))), float(cost.size_bytes)))
        held = sum(array.nbytes for (_, what), array in data.items() if what in ("weight", "bias"))
        weights.append((float(held), float(cost.weights_bytes)))
    for title, told in (("files", sizes), ("weights and biases in them", weights)):
        exact = sum(measured == said for measured, said in told)
        print(f"\n{title}: {exact} of {len(told)} random networks have the predicted bytes")
    return {"`.tflite` file, bytes": sizes, "weights and biases, bytes": weights}


def values(program: Program) -> dict[Role, np.ndarray]:
    """Something to write under every role; what it is does not change the size."""
    data: dict[Role, np.ndarray] = {}
    for activation in program.activations:
        data["scale", activation.scale_group] = np.ones(1, np.float32)
        data["zero_point", activation.scale_group] = np.zeros(1, np.int64)
    for call in program.calls:
        if call.op is not None:
            data[call.op, "weight"] = np.ones(call.weight_shape, np.int8)
            data[call.op, "bias"] = np.ones(call.out_channels, np.int32)
            data[call.op, "weight_scale"] = data[call.op, "bias_scale"] = np.ones(call.out_channels, np.float32)
    return data
