"""Toys as `.tflite` files, with int8 images for them."""

from __future__ import annotations

from functools import cache

import numpy as np

from nas.int8.export.tflite import tflite_bytes
from nas.int8.quantize import calibrate, quantize
from search_spaces.graph import Graph
from targets.lower import lower
from tests.toys import Sketch, Toy, decoder, every_kind, images, modern, random_weights, toys


def gates() -> Toy:
    """What no other toy has: a difference, tanh, ELU, softmax, a clip and a ReLU of their own, a shuffle."""
    net = Sketch(3, 8, 8)
    stem = net.conv("stem", 8)
    net.add("bent", "tanh", stem)
    net.add("less", "sub", "bent", net.add("soft", "elu", stem, alpha=1.0))
    net.add("shuffled", "shuffle", groups=2)
    net.add("cut", "clip", low=-0.5, high=1.0)
    net.add("both", "add", "cut", "shuffled")
    net.add("both_relu", "relu6", "both")
    net.add("again", "relu", stem)
    net.add("joined", "concat", "both_relu", "again")
    net.classifier(5)
    net.add("shares", "softmax")
    graph = net.done()
    return graph, random_weights(graph, 5)


def small() -> Toy:
    """An average and a linear layer, which hardly take time to compile."""
    net = Sketch(3, 6, 6)
    net.classifier(4)
    graph = net.done()
    return graph, random_weights(graph, 6)


NETWORKS = {
    **{name: toys()[name] for name in ("chain", "residual")},
    "every_kind": every_kind(), "modern": modern(), "decoder": decoder(), "gates": gates(),
}  # fmt: skip


SMALL = "small"
EVERY = {**NETWORKS, SMALL: small()}


def graph_of(name: str) -> Graph:
    return EVERY[name][0]


@cache
def tflite(name: str) -> bytes:
    graph, weights = EVERY[name]
    program = lower(graph)
    return tflite_bytes(program, quantize(program, weights, calibrate(program, graph, weights, images(graph, 32))))


def int8_images(name: str, count: int) -> np.ndarray:
    """Random bytes, `count` x H x W x C."""
    channels, height, width = graph_of(name).input_shape
    return np.random.default_rng(1).integers(-128, 128, (count, height, width, channels), dtype=np.int8)
