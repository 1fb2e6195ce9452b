"""Networks of other people that branch, on 96 x 96 images, as `experiments/coverage` makes them."""

from __future__ import annotations

import sys
import warnings
from functools import cache
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "coverage"))

import zoo

from nas.pytorch.modules import onnx_bytes
from search_spaces.from_onnx import read_model
from search_spaces.graph import Graph

SIDE = 96
NAMES = (
    "torchvision:densenet121",
    "torchvision:efficientnet_b0",
    "torchvision:googlenet",
    "torchvision:inception_v3",
    "torchvision:mobilenet_v2",
    "torchvision:mobilenet_v3_small",
    "torchvision:resnet18",
    "torchvision:shufflenet_v2_x0_5",
    "torchvision:squeezenet1_1",
    "timm:cs3darknet_focus_s",
    "timm:cspnext_tiny",
    "timm:dla46x_c",
    "timm:ghostnet_050",
    "timm:hgnetv2_b0",
    "timm:hrnet_w18_small",
    "timm:repghostnet_050",
    "timm:xception41",
)


@cache
def graphs() -> dict[str, Graph]:
    """The networks by name; exporting them takes a minute."""
    warnings.simplefilter("ignore")
    return {name: read_model(onnx_bytes(zoo.create(name), (3, SIDE, SIDE)), Path(f"{name}.onnx"))[0] for name in NAMES}
