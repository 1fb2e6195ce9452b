"""Pricing a genome is estimating its network, whatever was priced before it."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.declare import load_declaration
from search_spaces.graph import Graph, Op
from search_spaces.space import derive
from targets import core, lower, lowering
from targets.cost import estimate
from targets.device import load_device
from targets.pricing import Pricer
from targets.program import Runtime
from tests.targets.networks import mobilenet_v1
from tests.toys import decoder, every_kind, modern, toys

GRAPHS = {name: toy[0] for name, toy in toys().items()} | {
    "every_kind": every_kind()[0],
    "modern": modern()[0],
    "decoder": decoder()[0],
    "mobilenet": mobilenet_v1(),
}


def afresh(graph: Graph) -> Graph:
    """The same network, sharing no operator with anything that was seen before."""
    ops = tuple(Op(op.name, op.kind, tuple(op.inputs), tuple(op.attrs)) for op in graph.ops)
    return Graph(graph.input, graph.input_shape, ops, graph.outputs)


@pytest.mark.parametrize("runtime", ["tflm", "c"])
@pytest.mark.parametrize("name", GRAPHS)
def test_price_equals_the_estimate_of_the_network(name: str, runtime: Runtime) -> None:
    device = load_device("stm32l4r5")
    space = derive(GRAPHS[name], load_declaration("mcu"))
    rng = np.random.default_rng(4)
    genomes = [space.original, *(space.sample(rng=rng) for _ in range(30))]
    pricer = Pricer(space, device, runtime)
    prices = pricer.price_all(genomes)
    for memory in (lowering.shape_of, lower._conv_calls, lowering._activation, lower.window_padding, core._cost):
        memory.cache_clear()
    for genome, price in zip(reversed(genomes), reversed(prices), strict=True):
        assert estimate(afresh(space.apply(genome)), device, runtime) == price
        assert pricer.price(genome) is pricer.price(genome)
