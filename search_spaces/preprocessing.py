"""What a trained network expects its images to have gone through, as a part of the network itself."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from search_spaces.errors import InputError
from search_spaces.graph import Graph, Op, Weights

Statistics = tuple[tuple[float, ...], tuple[float, ...]]
"""Mean and standard deviation of each channel of images in [0, 1]."""

NAMED: dict[str, Statistics] = {"imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))}
"""ImageNet: https://pytorch.org/vision/stable/models.html"""


def parse_normalize(text: str) -> Statistics:
    """`imagenet`, or `mean/std`, each one number or one a channel: `0.5/0.5`, `0.485,0.456,0.406/0.229,0.224,0.225`.

    Raises:
        InputError: it is neither, or a standard deviation is not above 0.
    """
    if text in NAMED:
        return NAMED[text]
    law = "normalize must be imagenet or MEAN/STD with one number or one a channel, such as 0.5/0.5"
    halves = text.split("/")
    try:
        mean, std = (tuple(float(number) for number in half.split(",")) for half in halves)
    except ValueError:
        raise InputError(f"{law}, got {text!r}") from None
    if len(mean) != len(std) or min(std) <= 0 or not np.isfinite([*mean, *std]).all():
        raise InputError(f"{law}; as many deviations above 0 as means, got {text!r}")
    return mean, std


def parse_shape(text: str) -> tuple[int, ...]:
    """`3x96x96` as numbers.

    Raises:
        InputError: it is no list of positive whole numbers with x between them.
    """
    if not re.fullmatch(r"[1-9]\d*(x[1-9]\d*){0,2}", text):
        raise InputError(f"input-shape must be channels x height x width such as 3x96x96, got {text!r}")
    return tuple(int(side) for side in text.split("x"))


def normalized(graph: Graph, weights: Weights, statistics: Statistics) -> tuple[Graph, dict[str, np.ndarray]]:
    """The network for images in [0, 1]: (x - mean) / std comes first, as an operator like any other.

    Raises:
        InputError: the numbers are not one a channel.
    """
    channels, (mean, std) = graph.input_shape[0], statistics
    if len(mean) not in (1, channels):
        raise InputError(f"normalize must have one number or one for each of {channels} channels, got {len(mean)}")
    name = f"{graph.input}.normalized"
    while name in graph.by_name:
        name += "_"
    shift = np.broadcast_to(np.array(mean, np.float32), channels)
    scale = np.broadcast_to(1 / np.array(std, np.float32), channels)
    ops = [
        Op(op.name, op.kind, tuple(name if n == graph.input else n for n in op.inputs), op.attrs) for op in graph.ops
    ]
    found = {f"{name}.weight": np.array(scale), f"{name}.bias": np.array(-shift * scale)}
    return replace(graph, ops=(Op.make(name, "affine", graph.input), *ops)), {**found, **weights}
