"""Random small networks that mix everything a space knows of: for properties that must hold whatever the graph."""

from __future__ import annotations

import numpy as np

from search_spaces.graph import Graph
from tests.toys import Sketch

ACTS = ("relu", "relu6")


class _Builder:
    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.net = Sketch(int(rng.integers(1, 4)), 8, 8)
        self.made = 0
        self.channels = 0
        self.act_kind = ACTS[int(rng.integers(2))]

    def name(self, kind: str) -> str:
        self.made += 1
        return f"{kind}{self.made}"

    def conv(self, of: str, out: int, kernel: int = 3, stride: int = 1, *, act: bool = True) -> str:
        made = self.net.conv(self.name("conv"), out, kernel, stride, of=of)
        return self.act(made) if act else made

    def act(self, of: str) -> str:
        return self.net.add(self.name("act"), self.act_kind, of)

    def some(self) -> int:
        return int(self.rng.integers(3, 13))

    def block(self, of: str, depth: int = 0) -> str:
        """One block behind a tensor of `self.channels` channels; it may change their number, never height or width."""
        here = self.channels
        match self.rng.integers(9):
            case 0:
                self.channels = self.some()
                return self.conv(of, self.channels, int(self.rng.choice([1, 3, 5])))
            case 1:
                made = self.act(self.net.conv(self.name("dw"), here, groups=here, of=of))
                self.channels = self.some()
                return self.conv(made, self.channels, 1)
            case 2:
                inner = self.block(of, depth + 1) if depth < 2 else of
                branch = self.conv(inner, here, act=False)
                made = self.net.add(
                    self.name("add"), "add", *((branch, of) if self.rng.random() < 0.5 else (of, branch))
                )
                self.channels = here
                return self.act(made) if self.rng.random() < 0.5 else made
            case 3:
                self.channels = self.some()
                branch = self.conv(self.conv(of, self.some()), self.channels, act=False)
                made = self.net.add(self.name("add"), "add", branch, self.conv(of, self.channels, 1, act=False))
                return self.act(made)
            case 4:
                sizes = [self.some(), self.some()]
                parts = [self.conv(of, size, 1) for size in sizes]
                self.channels = sum(sizes)
                return self.net.add(self.name("concat"), "concat", *parts)
            case 5:
                sizes = [self.some(), self.some()]
                parts = [self.conv(of, size, 1) for size in sizes]
                joined = self.net.add(self.name("concat"), "concat", *parts)
                self.channels = sum(sizes)
                other = self.conv(of, self.channels, act=False)
                return self.act(self.net.add(self.name("add"), "add", joined, other))
            case 6:
                gate = self.net.add(self.name("gap"), "global_avg_pool", of)
                gate = self.conv(self.conv(gate, 4, 1), here, 1, act=False)
                gate = self.net.add(self.name("gate"), "sigmoid", gate)
                return self.net.add(self.name("mul"), "mul", of, gate)
            case 7:
                made = self.net.conv(self.name("dw"), 2 * here, groups=here, of=of)
                self.channels = 2 * here
                return self.act(self.net.add(self.name("affine"), "affine", made))
            case _:
                self.channels = here + 4
                return self.net.add(self.name("concat"), "concat", of, self.conv(of, 4))


def random_network(*, rng: np.random.Generator) -> Graph:
    """A stem, two to five blocks, perhaps pooled between, and a head that flattens a map or a pooled vector."""
    make = _Builder(rng)
    make.channels = make.some()
    last = make.conv("image", make.channels, stride=2)
    for _ in range(int(rng.integers(2, 6))):
        last = make.block(last)
    if rng.random() < 0.5:
        make.net.last = last
        last = make.net.pool("pool", "max_pool", 2, 2)
    if rng.random() < 0.5:
        last = make.net.add("gap", "global_avg_pool", last)
    make.net.add("flat", "flatten", last)
    for k in range(int(rng.integers(3))):
        make.net.add(f"hidden{k}", "linear", out_channels=8)
        make.net.add(f"hidden{k}_act", "relu")
    make.net.add("logits", "linear", out_channels=3)
    return make.net.done()
