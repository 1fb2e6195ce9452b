"""Random networks that a person would not draw, for properties that must hold for any graph."""

from __future__ import annotations

import numpy as np

from search_spaces.graph import Graph
from tests.toys import Sketch


def random_graph(rng: np.random.Generator) -> Graph:
    """Any operator that fits, in any order, on any tensor; also such as a file from elsewhere would have folded away.

    Among these are an affine behind a convolution, a pool over one element, and tensors that nobody reads.
    """
    net = Sketch(*(int(side) for side in rng.integers(1, 9, 3)))
    shapes = {"image": net.input_shape}
    names = iter(f"t{k}" for k in range(1000))
    pairs = [(low, high) for low in range(3) for high in range(3)]

    def window(shape: tuple[int, ...]) -> dict[str, tuple[int, ...]]:
        (top, bottom), (left, right) = (pairs[k] for k in rng.integers(len(pairs), size=2))
        kernel = tuple(int(rng.integers(1, side + 1)) for side in shape[1:])
        return {"kernel": kernel, "stride": tuple(map(int, rng.integers(1, 4, 2))), "pads": (top, left, bottom, right)}

    for _ in range(int(rng.integers(1, 20))):
        source = str(rng.choice(list(shapes)))
        shape = shapes[source]
        groups = int(rng.choice([g for g in range(1, shape[0] + 1) if shape[0] % g == 0]))
        out = groups * int(rng.integers(1, 4))
        equal = str(rng.choice([name for name, other in shapes.items() if other == shape]))
        gates = [name for name, other in shapes.items() if other == (shape[0], *(1 for _ in shape[1:]))]
        joins = [name for name, other in shapes.items() if other[1:] == shape[1:]]
        masks = [name for name, other in shapes.items() if other == (1, *shape[1:])]
        basic = ["conv", "pool", "pointwise", "affine", "add", "mul", "concat", "reduce"]
        kind = str(rng.choice([*basic, "pad", "slice", "shuffle", "resize", "sub"]))
        name = next(names)
        if kind == "conv" and len(shape) == 3:
            attrs = {**window(shape), "groups": groups, "dilation": (1, 1), "out_channels": out}
            net.add(name, "conv", source, **attrs)
        elif kind == "conv":
            net.add(name, "linear", source, out_channels=out)
        elif kind == "pool" and len(shape) == 3:
            attrs = window(shape)
            attrs["pads"] = tuple(min(p, k - 1) for p, k in zip(attrs["pads"], attrs["kernel"] * 2, strict=True))
            net.add(name, str(rng.choice(["max_pool", "avg_pool"])), source, **attrs)
        elif kind == "affine":
            net.add(name, "affine", source)
        elif kind == "add":
            net.add(name, "add", source, equal)
        elif kind == "mul":
            net.add(name, "mul", source, str(rng.choice([equal, *gates, *masks])))
        elif kind == "sub":
            net.add(name, "sub", source, str(rng.choice([equal, *gates, *masks])))
        elif kind == "pad" and len(shape) == 3:
            net.add(name, "pad", source, pads=(1, *map(int, rng.integers(0, 3, 3))))
        elif kind == "slice" and shape[0] > 1:
            start = int(rng.integers(1, shape[0]))
            net.add(name, "slice", source, start=start, stop=int(rng.integers(start + 1, shape[0] + 1)))
        elif kind == "shuffle" and len(shape) == 3 and 1 < groups < shape[0]:
            net.add(name, "shuffle", source, groups=groups)
        elif kind == "resize" and len(shape) == 3 and min(shape[1:]) > 1 and max(shape[1:]) < 9:
            factor = tuple(map(int, rng.integers(1, 3, 2)))
            net.add(name, "resize", source, factor=factor, mode=str(rng.choice(["nearest", "linear"])))
        elif kind == "concat":
            net.add(name, "concat", source, *(str(one) for one in rng.choice(joins, int(rng.integers(0, 3)))))
        elif kind == "reduce" and len(shape) == 3:
            net.add(name, str(rng.choice(["global_avg_pool", "flatten"])), source)
        else:
            act = str(rng.choice(["relu", "relu6", "sigmoid", "softmax", "clip", "leaky_relu", "hard_swish", "tanh"]))
            settings = {"clip": {"low": -0.5, "high": 0.75}, "leaky_relu": {"slope": 0.25}}
            net.add(name, act, source, **settings.get(act, {}))
        shapes = net.done().shapes
    outputs = rng.choice([op.name for op in net.ops], size=min(len(net.ops), int(rng.integers(1, 4))), replace=False)
    return net.done(*map(str, outputs))
