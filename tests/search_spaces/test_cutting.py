"""Options that no network within the limits can have, by hand and against trying them all."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from search_spaces.declare import Declaration
from search_spaces.errors import NothingFits
from search_spaces.genes import Genome
from search_spaces.graph import Graph
from search_spaces.space import derive
from tests import toys
from tests.toys import Sketch

WIDTHS = Declaration(depth=False, kernel=False)


def two_layers() -> Graph:
    """8 then 16 channels of 1x1 convolutions over one input channel: (1 + 1) a + (a + 1) b + (b + 1) 2 parameters."""
    net = Sketch(1, 4, 4)
    net.conv("a", 8, 1)
    net.conv("b", 16, 1)
    net.classifier(2)
    return net.done()


def options(space_: object) -> dict[str, tuple[int, ...]]:
    return {gene.name: gene.options for gene in space_.genes}  # type: ignore[attr-defined]


def test_widths_are_cut_where_even_the_narrowest_rest_does_not_fit() -> None:
    """With a = 4: 10 + 7 b parameters, 38, 66, 94 and 122. With b = 4: 14 + 6 a, 38 and 62."""
    space = derive(two_layers(), WIDTHS)
    assert options(space.cut(lambda g: g.params <= 100)) == {"width:a": (4, 8), "width:b": (4, 8, 12)}
    assert options(space.cut(lambda g: g.params <= 61)) == {"width:a": (4,), "width:b": (4,)}
    assert options(space.cut(lambda g: True)) == options(space)


def test_nothing_fits_is_said() -> None:
    with pytest.raises(NothingFits, match="no network of the space meets the limits"):
        derive(two_layers(), WIDTHS).cut(lambda g: g.params < 38)


def test_a_layer_that_must_go_and_one_that_must_stay() -> None:
    space = derive(toys.depthwise()[0], Declaration())
    short = space.cut(lambda g: "pw2" not in g.by_name)
    assert options(short)["depth:pw2"] == (0,)
    long = space.cut(lambda g: "pw2" in g.by_name)
    assert options(long)["depth:pw2"] == (1,)
    assert options(long)["width:stem"] == (4, 8)


def test_a_gene_of_a_segment_is_judged_with_just_that_segment_put_back_in() -> None:
    """The cheapest network leaves pw2 out; its depthwise kernel is tried in the cheapest network that has it."""
    space = derive(toys.depthwise()[0], Declaration())
    with_it = space.apply(
        space.genome(space.values(space.cheapest) | {"depth:pw2": 1, "width:pw1": 4, "kernel:dw2": 1})
    )
    assert options(space.cut(lambda g: g.params <= with_it.params))["kernel:dw2"] == (1,)
    assert options(space.cut(lambda g: g.params <= with_it.params + 8 * 4))["kernel:dw2"] == (1, 3)
    without_it = space.cut(lambda g: g.params < with_it.params)
    assert options(without_it)["depth:pw2"] == (0,)
    assert options(without_it)["kernel:dw2"] == (1,)  # no network has it: the least stays


def test_the_original_may_lie_outside_but_what_does_not_matter_keeps_its_value() -> None:
    space = derive(toys.depthwise()[0], Declaration()).cut(lambda g: g.params <= 130)
    # The cheapest: 1x1 kernels, stem 1 to 4, dw3, pw3 from 4 to w (it took over pw4's channels), w to 4 logits:
    # 8 + 8 + 5 w + 4 w + 4 parameters, 56 for w = 4, 92 for 8, 128 for 12.
    assert options(space)["width:pw4"] == (4, 8, 12)
    assert not space.contains(space.original)
    assert space.apply(space.original) == space.graph
    assert space.contains(space.cheapest)
    assert space.values(space.cheapest)["width:stem"] == 8  # idle: the segment behind it is left out
    rng = np.random.default_rng(0)
    for _ in range(200):
        genome = space.sample(rng=rng)
        assert space.contains(genome)
        assert space.decode(space.encode(genome)) == genome
        assert space.contains(space.mutate(genome, rng=rng))
    assert space.contains(space.uniform(1.0))


@pytest.mark.parametrize("limit", [250, 500, 1000, 1500, 2500])
def test_no_network_within_the_limit_is_lost(limit: int) -> None:
    """Against every network of the space: an option that a fitting network has survives, others do not."""
    space = derive(toys.chain()[0], Declaration())

    def fits(graph: Graph) -> bool:
        return graph.params <= limit

    alive: dict[str, set[int]] = {gene.name: set() for gene in space.genes}
    for values in product(*(gene.options for gene in space.genes)):
        genome = Genome(values)
        if space.contains(genome) and fits(space.apply(genome)):
            for gene, value, on in zip(space.genes, values, space.active(genome), strict=True):
                if on:
                    alive[gene.name].add(value)
    if not any(alive.values()):
        with pytest.raises(NothingFits):
            space.cut(fits)
        return
    for gene in space.cut(fits).genes:
        assert set(gene.options) == (alive[gene.name] or {gene.options[0]})


def test_a_cut_asks_about_each_network_once() -> None:
    asked: list[Graph] = []
    derive(toys.residual()[0], Declaration()).cut(lambda g: asked.append(g) is None)
    assert len(asked) == len(set(asked))
