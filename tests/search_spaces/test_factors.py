"""One layer as two: which ranks there are, when they pay, and what the two look like."""

from __future__ import annotations

import pytest

from search_spaces.declare import Declaration
from search_spaces.factors import factored, pays, rank_options
from search_spaces.genes import Gene
from search_spaces.graph import Graph, Op
from search_spaces.space import SearchSpace, derive
from tests.toys import Sketch

RANKS = Declaration(depth=False, kernel=False, rank=True)


def linear(out: int) -> Op:
    return Op.make("fc", "linear", "x", out_channels=out)


def two_layers() -> Graph:
    """1x1 convolutions from 1 to 32 to 64 channels, the second of stride 2; the second is 32 x 64 weights."""
    net = Sketch(1, 4, 4)
    net.conv("a", 32, 1)
    net.conv("b", 64, 1, stride=2)
    net.classifier(2)
    return net.done()


def space_of(graph: Graph) -> SearchSpace:
    return derive(graph, RANKS)


@pytest.mark.parametrize(
    ("inputs", "outputs", "step", "ranks"),
    [
        (64, 64, 4, (4, 8, 16, 64)),  # 32 x 128 is not below 64 x 64
        (256, 64, 4, (4, 8, 16, 32, 64)),  # 32 x 320 is below 256 x 64
        (100, 100, 4, (8, 12, 28, 100)),  # 50, 25, 12 and 6 rounded up to multiples of 4; 52 x 200 does not pay
        (100, 100, 1, (1, 3, 6, 12, 25, 100)),
        (31, 33, 4, ()),  # 1023 weights are no large layer
    ],
)
def test_ranks_are_halves_of_halves_that_pay(inputs: int, outputs: int, step: int, ranks: tuple[int, ...]) -> None:
    assert rank_options(linear(outputs), inputs, step=step, least=step) == ranks


def test_only_layers_of_one_matrix_have_ranks() -> None:
    conv = two_layers().by_name["b"]
    assert rank_options(conv, 32, step=4, least=4) == (4, 8, 16, 32)
    assert rank_options(conv.replace(kernel=(3, 3)), 32, step=4, least=4) == ()
    assert rank_options(conv.replace(groups=2), 32, step=4, least=4) == ()
    assert rank_options(conv.replace(pads=(0, 0, 1, 1)), 32, step=4, least=4) == ()
    assert rank_options(Op.make("r", "relu", "x"), 64, step=4, least=4) == ()


def test_two_layers_pay_when_they_have_fewer_weights() -> None:
    assert pays(15, 30, 31)  # 15 x 61 = 915 against 930
    assert not pays(16, 32, 32)  # 16 x 64 = 32 x 32


def test_the_stride_goes_to_the_first_of_the_two_and_the_name_to_the_second() -> None:
    space = space_of(two_layers())
    assert space.genes[-1] == Gene("rank:b", "rank", (4, 8, 16, 32), 32)
    genome = space.genome({"rank:b": 8})
    made = space.apply(genome)
    first, second = made.by_name["b.rank"], made.by_name["b"]
    assert (first.inputs, first["stride"], first["out_channels"]) == (("a",), (2, 2), 8)
    assert (second.inputs, second["stride"], second["out_channels"]) == (("b.rank",), (1, 1), 64)
    assert space.factors(genome) == {"b": ("b.rank", 8)}
    assert made.params == 32 * 2 + (32 + 1) * 8 + (8 + 1) * 64 + (64 + 1) * 2
    assert space.unfactored(genome) == space.original
    assert space.factors(space.original) == {}


def test_a_linear_layer_becomes_two() -> None:
    first, second = factored(linear(40), 5, "fc.rank")
    assert first == Op.make("fc.rank", "linear", "x", out_channels=5)
    assert second == Op.make("fc", "linear", "fc.rank", out_channels=40)


def test_a_rank_that_does_not_pay_at_these_widths_is_no_rank() -> None:
    """At 8 inputs and 16 outputs: 4 x 24 = 96 weights against 128; 8 x 24 = 192."""
    space = space_of(two_layers())
    thin = {"width:a": 8, "width:b": 16}
    assert space.genome({**thin, "rank:b": 8}) == space.genome(thin)
    assert space.values(space.genome({**thin, "rank:b": 4}))["rank:b"] == 4
    assert space.active(space.genome(thin))[-1]
    thinner = space.genome({"width:a": 4, "width:b": 16, "rank:b": 4})  # 4 x 20 against 64
    assert space.values(thinner)["rank:b"] == 32
    assert not space.active(thinner)[-1]


def test_ranks_go_by_the_widths_of_their_network() -> None:
    """A quarter of 32 is 8; of 16 it is 4, which pays with 64 outputs; of 4 it is 1, and 4 does not pay."""
    space = space_of(two_layers())
    assert space.values(space.factored(space.original, 0.25))["rank:b"] == 8
    assert space.values(space.factored(space.genome({"width:a": 16}), 0.25))["rank:b"] == 4
    thin = space.genome({"width:a": 4})
    assert space.factored(thin, 0.25) == thin


def test_names_stay_unique() -> None:
    net = Sketch(64)
    net.add("fc.rank", "relu")
    net.add("fc", "linear", out_channels=64)
    net.add("act", "relu")
    net.add("logits", "linear", out_channels=2)
    space = space_of(net.done())
    assert "fc.rank_" in space.apply(space.genome({"rank:fc": 4})).by_name


def test_limits_leave_ranks_that_some_width_makes_cheap() -> None:
    space = space_of(two_layers())
    cut = space.cut(lambda graph: graph.params <= 300)  # with a = 4: 10 + 7 b
    assert cut.genes[-1] == space.genes[-1]
    assert next(gene for gene in cut.genes if gene.name == "width:b").options[-1] < 64


def test_limits_cut_ranks_where_widths_stay() -> None:
    """64 + 33 r + 64 (r + 1) + 130 = 258 + 97 r parameters: 646, 1034 and 1810; 64 + 33 x 64 + 130 = 2306 as one."""
    space = derive(two_layers(), Declaration(False, depth=False, kernel=False, rank=True))
    assert space.cut(lambda graph: graph.params <= 1810).genes[0].options == (4, 8, 16)
    short = space.cut(lambda graph: graph.params <= 1100)
    assert short.genes[0].options == (4, 8)
    assert short.values(short.uniform(1.0)) == {"rank:b": 8}


def test_ranks_that_need_too_much_memory_are_cut_and_nothing_else() -> None:
    """Where two layers are over a limit whatever their rank, the one layer stays, at any side."""
    declared = Declaration(False, depth=False, kernel=False, resolution=True, rank=True)
    space = derive(two_layers(), declared)
    cut = space.cut(lambda graph: "b.rank" not in graph.by_name)
    assert {gene.name: gene.options for gene in cut.genes} == {"resolution:image": (2, 3, 4), "rank:b": (32,)}


def test_a_layer_that_took_over_a_segment_is_two_by_what_it_makes_now() -> None:
    """32 to 32 channels, then a segment to 64: without it the first layer makes 64, and a rank of 16 begins to pay."""
    net = Sketch(1, 4, 4)
    net.conv("stem", 32, 3)
    net.conv("a", 32, 1)
    net.add("a_relu", "relu")
    net.conv("b", 64, 1)
    net.add("b_relu", "relu")
    net.classifier(2)
    space = derive(net.done(), Declaration(kernel=False, width=False, rank=True, width_step=2, width_min=2))
    assert {gene.name: gene.options for gene in space.genes if gene.name == "rank:a"} == {"rank:a": (2, 4, 8, 32)}
    short = space.apply(space.genome({"depth:b": 0, "rank:a": 8}))
    assert short.by_name["a"]["out_channels"] == 64
    assert short.by_name["a.rank"]["out_channels"] == 8
