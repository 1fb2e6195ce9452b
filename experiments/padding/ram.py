"""What padding as TFLite does saves: `python experiments/padding/ram.py` writes `results/padding-ram.csv`.

RAM and latency of the bill on nrf52840, and the bytes of the file, of networks padded as PyTorch does and of the same
with `same_padding`, at several uniform widths. Needs `pip install -e '.[zoo]'`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
from run import turned

from nas.pytorch.modules import onnx_bytes
from search_spaces.declare import Declaration
from search_spaces.from_onnx import load_model, read_model
from search_spaces.graph import Graph
from search_spaces.space import derive
from targets.cost import estimate
from targets.device import load_device

sys.path.extend(str(Path(__file__).parents[1] / folder) for folder in ("coverage", "deploy"))
import originals
import zoo

OTHERS = [
    "timm:mobilenetv3_small_050", "timm:lcnet_050", "timm:mobilenetv2_035", "torchvision:mobilenet_v2",
    "timm:efficientnet_lite0", "timm:regnetx_002", "timm:resnet10t", "torchvision:resnet18",
]  # fmt: skip
SIDE = 96


def networks() -> Iterator[tuple[str, Graph]]:
    yield "mobilenet_v1@28", load_model(turned()[0])[0]
    for name, module in originals.networks().items():
        shape = (28, 28) if name == "series" else (1, 28, 28)
        yield f"{name}@28", read_model(onnx_bytes(module.eval(), shape), Path(f"{name}.onnx"))[0]
    for name in OTHERS:
        content = onnx_bytes(zoo.create(name).eval(), (3, SIDE, SIDE))
        yield f"{name}@{SIDE}", read_model(content, Path(f"{name}.onnx"))[0]


def main() -> None:
    rows, device = [], load_device("nrf52840")
    for name, graph in networks():
        spaces = {arm: derive(graph, Declaration(same_padding=arm == "same")) for arm in ("pytorch", "same")}
        for width in (1.0, 0.5, 0.25, 0.125):
            row = {"network": name, "width": width, "layers": len(spaces["same"].repadded())}
            for arm, space in spaces.items():
                cost = estimate(space.apply(space.uniform(width)), device)
                row |= {f"{arm}_{f}": getattr(cost, f) for f in ("ram_bytes", "latency_ms", "size_bytes")}
            rows.append(row)
    pd.DataFrame(rows).to_csv("results/padding-ram.csv", index=False, float_format="%.3f")


if __name__ == "__main__":
    main()
