"""Pricing a genome is estimating its network, whatever was priced before it."""

from __future__ import annotations

import numpy as np
import pytest

from search_spaces.declare import load_declaration
from search_spaces.errors import TargetError
from search_spaces.graph import Graph, Op
from search_spaces.space import derive
from targets import core, lower, lowering
from targets.cost import estimate
from targets.device import load_device
from targets.links import Links
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


def padded() -> Graph:
    """A chain whose strided convolution needs zeros TFLite's SAME does not give, behind which kernels may shrink."""
    ops = (
        Op.make("a", "conv", "x", out_channels=8, kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1), groups=1,
                dilation=(1, 1)),
        Op.make("b", "relu", "a"),
        Op.make("c", "conv", "b", out_channels=8, kernel=(3, 3), stride=(1, 1), pads=(1, 1, 1, 1), groups=8,
                dilation=(1, 1)),
        Op.make("d", "relu6", "c"),
        Op.make("e", "flatten", "d"),
        Op.make("f", "linear", "e", out_channels=4),
    )  # fmt: skip
    return Graph("x", (3, 8, 8), ops, ("f",))


@pytest.mark.parametrize("target", ["stm32l4r5", "rp2040", "ra8d1", "stm32f446"])
@pytest.mark.parametrize("graph", [mobilenet_v1(), padded()], ids=["mobilenet", "padded"])
def test_chains_are_priced_by_their_links(graph: Graph, target: str) -> None:
    """Each of many genomes twice, first as one that meets new links and again as one that meets none."""
    device = load_device(target)
    space = derive(graph, load_declaration("mcu"))
    rng = np.random.default_rng(5)
    genomes, links = [space.original, *(space.sample(rng=rng) for _ in range(40))], Links(device)
    for again in (False, True):
        priced = [links.price(afresh(space.apply(genome)) if again else space.apply(genome)) for genome in genomes]
        assert sum(cost is not None for cost in priced) > len(genomes) / 2
        for genome, cost in zip(genomes, priced, strict=True):
            assert cost is None or cost == estimate(space.apply(genome), device)


def test_what_is_no_chain_of_links_is_left_to_the_estimate() -> None:
    links = Links(load_device("stm32l4r5"))
    assert links.price(toys()["residual"][0]) is None
    two = Graph("x", (3, 8, 8), padded().ops, ("d", "f"))
    assert links.price(two) is None
    huge = Graph("x", (70_000,), (Op.make("f", "linear", "x", out_channels=1),), ("f",))
    assert links.price(huge) is None  # a rule is broken, which the estimate says of the network's own names
    with pytest.raises(TargetError, match="'f' cannot run on tflm"):
        estimate(huge, load_device("stm32l4r5"))
