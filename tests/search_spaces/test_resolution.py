"""Sizes of images at which a network stays the same network, by hand."""

from __future__ import annotations

import pytest

from search_spaces.declare import Declaration
from search_spaces.errors import ModelError, SpaceError
from search_spaces.graph import Graph
from search_spaces.padding import same_pads
from search_spaces.resolution import at_side, idle_pools, resolution_options, total_stride
from search_spaces.space import derive
from tests import toys
from tests.search_spaces.mobilenet import mobilenet_v1
from tests.toys import Sketch

SIDES = Declaration(width=False, depth=False, kernel=False, resolution=True)


def strided(side: int, strides: int) -> Graph:
    """So many convolutions of stride 2 and a classifier behind a global pool."""
    net = Sketch(1, side, side)
    for k in range(strides):
        net.conv(f"c{k}", 4, stride=2)
    net.classifier(2)
    return net.done()


@pytest.mark.parametrize(
    ("side", "strides", "sides"),
    [
        (224, 5, (128, 160, 192, 224)),  # 112, 140, 168 and 196 are 3.5, 4.4, 5.25 and 6.1 times 32
        (96, 5, (48, 64, 80, 96)),  # times 32: 64 alone; times 16: 3, 3.75, 4.5 and 5.25 times
        (64, 1, (32, 40, 48, 56, 64)),
        (28, 2, (16, 20, 24, 28)),  # 14, 17.5, 21 and 24.5 are 3.5, 4.4, 5.25 and 6.1 times 4
    ],
)
def test_sides_are_shares_of_the_original_in_multiples_of_the_stride(
    side: int, strides: int, sides: tuple[int, ...]
) -> None:
    graph = strided(side, strides)
    assert total_stride(graph) == 2**strides
    assert resolution_options(graph) == sides


def test_series_features_and_oblong_images_have_one_size() -> None:
    for shape in ((3, 1, 64), (3, 32, 64)):
        net = Sketch(*shape)
        net.conv("c", 4)
        net.classifier(2)
        assert resolution_options(net.done()) == ()
    flat = Sketch(64)
    flat.add("logits", "linear", out_channels=2)
    assert resolution_options(flat.done()) == ()


def test_a_layer_behind_a_flattened_map_ties_the_size() -> None:
    assert resolution_options(toys.every_kind()[0]) == ()


def test_an_output_that_is_a_map_ties_the_size() -> None:
    net = Sketch(1, 16, 16)
    net.conv("c", 4)
    assert resolution_options(net.done()) == ()


def test_a_node_that_is_kept_ties_the_size_of_what_it_reads() -> None:
    def with_kept(side: int, of: str) -> Graph:
        net = Sketch(1, 16, 16)
        net.conv("c", 4)
        net.add("gap", "global_avg_pool")
        settings = {"fixed": (), "learned": (), "operator": "Erf", "places": (), "settings": ()}
        net.add("kept", "onnx", of, template=(-1, 4, side, side), **settings)
        net.add("all", "global_avg_pool")
        return net.done()

    assert resolution_options(with_kept(1, "gap")) == (8, 10, 12, 14, 16)
    assert resolution_options(with_kept(16, "c")) == ()


def test_a_norm_over_positions_keeps_more_than_one() -> None:
    """Two strides make 2x2 of 8x8 and 1x1 of 4x4, whose one value less its mean is nothing; 5x5 makes 2x2."""

    def normed(over: str) -> Graph:
        net = Sketch(1, 8, 8)
        net.conv("c0", 4, stride=2)
        net.conv("c1", 4, stride=2)
        net.add("norm", "norm", epsilon=1e-5, over=over)
        net.classifier(2)
        return net.done()

    assert resolution_options(normed("channels")) == (4, 5, 6, 7, 8)
    assert resolution_options(normed("positions")) == (5, 6, 7, 8)


def test_maps_that_met_place_by_place_never_meet_as_one_value() -> None:
    """A 9x9 map halved to 5x5 and cropped by a valid 5x5 window: 1x1, which an add would spread over any map."""
    net = Sketch(1, 16, 16)
    stem = net.conv("stem", 4, stride=2)
    net.pool("left", "max_pool", 4, 4)
    net.conv("right", 4, 7, pads=(0, 0, 0, 0), of=stem)
    net.add("sum", "add", "right", "left")
    net.classifier(2)
    graph = net.done()
    assert graph.shapes["left"] == graph.shapes["right"] == (4, 2, 2)
    for side in (8, 10):  # no room for the 7x7 window
        with pytest.raises(ModelError):
            at_side(graph, side)
    shapes = at_side(graph, 14).shapes
    assert (shapes["right"], shapes["left"]) == ((4, 1, 1), (4, 1, 1))
    assert resolution_options(graph) == (14, 16)


def test_a_pool_over_the_whole_map_follows_the_map() -> None:
    net = Sketch(1, 16, 16)
    net.conv("c", 4, stride=2)
    net.pool("whole", "avg_pool", 8, 8)
    net.add("flat", "flatten")
    net.add("logits", "linear", out_channels=2)
    space = derive(net.done(), SIDES)
    assert space.apply(space.genome({"resolution:image": 12})).by_name["whole"]["kernel"] == (6, 6)
    assert space.apply(space.original) == space.graph


def test_a_padded_pool_is_not_moved_to_another_phase() -> None:
    """SAME padding of a 3x3 average pool of stride 2 is (0, 0, 1, 1) where maps are even, and (1, 1, 1, 1) else."""
    net = Sketch(1, 11, 11)
    net.conv("c", 4)
    net.add("pooled", "avg_pool", kernel=(3, 3), stride=(2, 2), pads=(1, 1, 1, 1))
    net.classifier(2)
    assert resolution_options(net.done()) == (7, 11)  # 5.5, 6.9, 8.3 and 9.6 are 6, 7, 8 and 10: even but one


def test_tensorflows_padding_is_that_of_the_other_map() -> None:
    graph = mobilenet_v1(28)
    assert resolution_options(graph) == (16, 20, 24, 28)
    assert graph.by_name["dw4"]["pads"] == (1, 1, 1, 1)  # 7 rows to 4
    assert at_side(graph, 24).by_name["dw4"]["pads"] == (0, 0, 1, 1)  # 6 rows to 3
    assert at_side(graph, 24) == mobilenet_v1(24)
    assert same_pads(graph.by_name["stem"], (1, 27, 28)) == (1, 0, 1, 1)
    assert at_side(strided(28, 3), 24).by_name["c2"]["pads"] == (1, 1, 1, 1)  # not TensorFlow's, so it stays


def test_a_pool_with_nothing_left_to_pool_is_left_out() -> None:
    """8x8 becomes 2x2 in the original, and 1x1 for 4x4 images: there the flatten reads the map itself."""
    graph = strided(8, 2)
    unit = idle_pools(graph, 4)
    assert unit is not None
    assert unit.ops == ("gap",)
    assert idle_pools(graph, 8) is None
    space = derive(graph, SIDES)
    small = space.apply(space.genome({"resolution:image": 4}))
    assert "gap" not in small.by_name
    assert small.by_name["flat"].inputs == ("c1",)
    assert "gap" in space.apply(space.genome({"resolution:image": 6})).by_name


def test_a_kernel_must_do_at_every_size() -> None:
    """A 5x5 kernel has no room on the 4x4 map that the smallest images make of 8x8; smaller ones have."""
    graph = toys.chain()[0]
    growing = Declaration(width=False, depth=False, kernel_growth=True)
    free = {gene.name: gene.options for gene in derive(graph, growing).genes}
    assert free["kernel:c1"] == (1, 3, 5)
    both = derive(graph, Declaration(width=False, depth=False, kernel_growth=True, resolution=True))
    bound = {gene.name: gene.options for gene in both.genes}
    assert bound == {**{f"kernel:c{k}": (1, 3) for k in (1, 2, 3, 4)}, "resolution:image": (4, 5, 6, 7, 8)}


def test_a_crop_goes_by_the_size_where_the_pads_do() -> None:
    """One tap of TensorFlow's 3x3 stride 2: the first where maps are even, the middle one where they are odd."""
    space = derive(mobilenet_v1(28), Declaration(width=False, depth=False, resolution=True))
    assert space.kernel_crop("dw4", 1) == (1, 1, (0, 0, 0, 0))
    assert space.kernel_crop("dw4", 1, 28) == (1, 1, (0, 0, 0, 0))
    assert space.kernel_crop("dw4", 1, 24) == (0, 0, (0, 0, 0, 0))
    made = space.apply(space.genome({"resolution:image": 24, "kernel:dw4": 1}))
    assert made.shapes["dw4"] == (128, 3, 3)


def test_a_size_that_the_space_lacks_is_refused() -> None:
    space = derive(toys.chain()[0], SIDES)
    with pytest.raises(SpaceError, match="'resolution:image' must be one of 4, 5, 6, 7, 8, got 3"):
        space.genome({"resolution:image": 3})
    with pytest.raises(SpaceError, match="side of 'image' must be one of 4, 5, 6, 7, 8, got 3"):
        space.apply(type(space.original)((3,)))


def test_limits_cut_sizes() -> None:
    """Of 4, 5, 6, 7 and 8 rows; the first layer of one channel to 8 makes 72 products a place."""
    space = derive(toys.chain()[0], SIDES)
    macs = [space.apply(space.genome({"resolution:image": side})).macs for side in (4, 5, 6, 7, 8)]
    assert macs == sorted(macs)
    cut = space.cut(lambda graph: graph.macs <= macs[2])
    assert cut.genes[0].options == (4, 5, 6)
    assert cut.apply(cut.uniform(1.0)).input_shape == (1, 6, 6)
    assert cut.apply(cut.cheapest).input_shape == (1, 4, 4)
