"""Small networks on both sides of the rules of `targets.npu_support`, and what breaks them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from search_spaces.graph import Graph
from tests.toys import Sketch

NONE = (0, 0, 0, 0)


def _network(
    side: int | tuple[int, int], kind: str, small: bool, large: bool, **attrs: Any
) -> tuple[Graph, bool, bool]:
    """A convolution, the operator in question, and a classifier; does it break a rule of a U55 or U65, and of a U85?"""
    height, width = (side, side) if isinstance(side, int) else side
    net = Sketch(8, height, width)
    net.conv("first", 8)
    add: Callable[..., str] = net.add
    add("wide", kind, **attrs)
    if kind != "global_avg_pool":
        net.classifier(4)
    return net.done(), small, large


def _conv(side: int, small: bool, **attrs: Any) -> tuple[Graph, bool, bool]:
    given = {"out_channels": 8, "kernel": (3, 3), "stride": (1, 1), "pads": NONE, "groups": 1, "dilation": (1, 1)}
    return _network(side, "conv", small, False, **given | attrs)


def _pool(
    side: int, kind: str, kernel: int, stride: int, pad: int, small: bool, large: bool
) -> tuple[Graph, bool, bool]:
    pads = (pad,) * 4
    return _network(side, kind, small, large, kernel=(kernel, kernel), stride=(stride, stride), pads=pads)


def _resize(
    factor: tuple[int, int], mode: str, small: bool, large: bool, side: int | tuple[int, int] = 6
) -> tuple[Graph, bool, bool]:
    return _network(side, "resize", small, large, factor=factor, mode=mode)


def _transposed(side: int | tuple[int, int], kernel: tuple[int, int], small: bool) -> tuple[Graph, bool, bool]:
    given = {"out_channels": 6, "pads": NONE, "output_padding": (0, 0), "groups": 1, "dilation": (1, 1)}
    return _network(side, "conv_transpose", small, False, kernel=kernel, stride=kernel, **given)


NETWORKS: dict[str, tuple[Graph, bool, bool]] = {
    "depthwise of stride 3": _conv(16, False, stride=(3, 3), groups=8),
    "depthwise of stride 4": _conv(16, True, stride=(4, 4), groups=8),
    "stride 4": _conv(16, False, stride=(4, 4)),
    "stride 3, padded": _conv(16, False, stride=(3, 3), pads=(1, 1, 1, 1)),
    "stride 4, padded apart": _conv(16, True, stride=(4, 4), pads=(1, 1, 1, 1)),
    "stride 4, SAME": _conv(17, True, kernel=(5, 5), stride=(4, 4), pads=(2, 2, 2, 2)),
    "stride 4, dilated": _conv(17, True, stride=(4, 4), dilation=(2, 2)),
    "transposed, stride 2": _transposed(6, (2, 2), False),
    "transposed, stride 3": _transposed(6, (3, 3), True),
    "transposed, stride 2 x 1": _transposed(6, (2, 1), True),
    "transposed, a row by 2": _transposed((1, 8), (1, 2), False),
    "average of 7 x 7, padded": _pool(20, "avg_pool", 7, 1, 3, False, False),
    "average of 9 x 9, padded": _pool(20, "avg_pool", 9, 1, 4, True, True),
    "average of 9 x 9": _pool(20, "avg_pool", 9, 1, 0, False, False),
    "average of stride 4": _pool(20, "avg_pool", 4, 4, 0, False, False),
    "maximum of stride 4, SAME": _pool(17, "max_pool", 5, 4, 2, True, False),
    "mean of 256 rows": _network((256, 2), "global_avg_pool", False, False),
    "mean of 257 rows": _network((257, 2), "global_avg_pool", True, True),
    "nearest, 4 times": _resize((4, 4), "nearest", False, False),
    "nearest, 3 times": _resize((3, 3), "nearest", True, False),
    "linear, 2 times": _resize((2, 2), "linear", False, False),
    "linear, 4 times": _resize((4, 4), "linear", True, False),
    "linear, 3 times": _resize((3, 3), "linear", True, True),
    "linear, 2 and 4 times": _resize((2, 4), "linear", True, False),
    "nearest, a row twice": _resize((1, 2), "nearest", False, False, side=(1, 16)),
    "linear, a row twice": _resize((1, 2), "linear", True, False, side=(1, 16)),
}
"""By name: the network, whether it breaks a rule of an Ethos-U55 or U65, and of a U85."""

ROCKCHIP_NETWORKS: dict[str, tuple[Graph, bool]] = {
    "stride 7": (_conv(36, False, stride=(7, 7))[0], False),
    "stride 8": (_conv(36, False, stride=(8, 8))[0], True),
    "depthwise of stride 8": (_conv(36, False, stride=(8, 8), groups=8)[0], True),
    "kernel 16": (_conv(36, False, kernel=(16, 16))[0], False),
    "kernel 17": (_conv(36, False, kernel=(17, 17))[0], True),
    "transposed, stride 8": (_transposed(6, (8, 8), False)[0], False),
    "transposed, stride 9": (_transposed(6, (9, 9), False)[0], True),
    "average, padded": (_pool(20, "avg_pool", 3, 1, 1, False, False)[0], True),
    "average of 16 x 16": (_pool(36, "avg_pool", 16, 1, 0, False, False)[0], False),
}
"""By name: the network, and whether it breaks a rule of an RV1106."""
