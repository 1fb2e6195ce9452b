"""The space of a network: genes, edits and inheritance by hand on small networks."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from search_spaces.declare import Declaration
from search_spaces.errors import SpaceError
from search_spaces.genes import Genome
from search_spaces.graph import Graph, Op
from search_spaces.space import Origin, SearchSpace, derive
from tests import toys
from tests.search_spaces.forward import forward
from tests.search_spaces.mobilenet import mobilenet_v1
from tests.toys import Sketch

MCU = Declaration()


def space_of(graph: Graph) -> SearchSpace:
    return derive(graph, MCU)


def channels(graph: Graph, *names: str) -> list[int]:
    return [graph.shapes[name][0] for name in names]


def test_the_genes_of_a_chain() -> None:
    genes = {gene.name: (gene.options, gene.original) for gene in space_of(toys.chain()[0]).genes}
    assert genes == {
        **{
            "width:c1": ((4, 8), 8),
            "width:c2": ((4, 8), 8),
            "width:c3": ((4, 8, 12), 12),
            "width:c4": ((4, 8, 12), 12),
        },
        **{"depth:c2": ((0, 1), 1), "depth:c4": ((0, 1), 1)},
        **{f"kernel:c{k}": ((1, 3), 3) for k in (1, 2, 3, 4)},
    }


def test_a_declaration_says_which_genes_there_are() -> None:
    graph = toys.chain()[0]
    assert {gene.kind for gene in derive(graph, Declaration(depth=False, kernel=False)).genes} == {"width"}
    assert {gene.kind for gene in derive(graph, Declaration(width=False)).genes} == {"depth", "kernel"}
    grown = derive(graph, Declaration(width=False, depth=False, kernel_growth=True))
    sides = {gene.name: gene.options for gene in grown.genes}
    assert sides == {**{f"kernel:c{k}": (1, 3, 5) for k in (1, 2, 3)}, "kernel:c4": (1, 3)}  # c4 reads a 4x4 map
    assert {gene.original for gene in grown.genes} == {3}


def test_layers_whose_channels_stay_say_why() -> None:
    """1 -> 8 shuffled -> 4 -> 2: the stem stands between the input and the shuffle; 4 channels are the least."""
    net = Sketch(1, 4, 4)
    net.conv("stem", 8)
    net.add("shuffled", "shuffle", groups=2)
    net.conv("narrow", 4)
    net.classifier(2)
    assert space_of(net.done()).fixed() == [
        {"operator": "stem", "parameters": 80, "why": "the network's input; shuffle shuffled"},
        {"operator": "narrow", "parameters": 292, "why": "shuffle shuffled; 4 channels are the least"},
        {"operator": "logits", "parameters": 10, "why": "4 channels are the least; the network's output"},
    ]
    assert space_of(toys.chain()[0]).fixed() == []


def test_a_slice_moves_with_the_channels_before_it() -> None:
    """12 channels of which the last 8 go on: after a cut to 4 of the first 4 and 4 of the last 8, channels 4 to 8."""
    net = Sketch(1, 4, 4)
    net.partly(16, 8, 8)
    net.classifier(2)
    space = derive(net.done(), Declaration(depth=False, kernel=False))
    cut = space.apply(space.genome({"width:stem#0": 8, "width:stem#1": 4, "width:mixed": 4}))
    assert cut.by_name["stem"]["out_channels"] == 12
    assert (cut.by_name["right"]["start"], cut.by_name["right"]["stop"]) == (8, 12)
    assert cut.shapes["joined"] == (12, 4, 4)


def test_the_original_is_the_original() -> None:
    for graph, _ in (*toys.toys().values(), toys.every_kind()):
        space = space_of(graph)
        assert space.apply(space.original) == graph
        assert space.uniform(1.0) == space.original
        assert all(origin.tensor == tensor for tensor, origin in space.origins(space.original).items())


def test_a_width_changes_all_that_must_agree() -> None:
    graph = toys.residual()[0]
    space = space_of(graph)
    made = space.apply(space.genome({"width:stem": 4, "width:b2": 12}))
    assert channels(made, "stem", "a1", "a2", "a_relu", "b1", "b2", "b_project", "flat") == [4, 8, 4, 4, 16, 12, 12, 12]
    assert made.weight_shapes["a1.weight"] == (8, 4, 3, 3)


def test_a_depthwise_convolution_follows_with_its_groups() -> None:
    space = space_of(toys.depthwise()[0])
    made = space.apply(space.genome({"width:pw1": 12}))
    assert (made.by_name["dw2"]["groups"], made.by_name["dw2"]["out_channels"]) == (12, 12)


def test_a_concat_and_what_is_added_to_it_follow_both_widths() -> None:
    space = space_of(toys.concat()[0])
    made = space.apply(space.genome({"width:left": 4, "width:right": 8}))
    assert channels(made, "left", "right", "joined", "mixed") == [4, 8, 12, 12]


def test_leaving_out_a_segment_gives_its_channels_to_the_layer_before() -> None:
    space = space_of(toys.depthwise()[0])
    genome = space.genome({"depth:pw1": 0, "depth:pw2": 0, "width:pw2": 12, "width:stem": 4, "kernel:dw1": 1})
    made = space.apply(genome)
    assert channels(made, "stem", "stem_relu", "dw3") == [12, 12, 12]
    assert made.by_name["stem"]["stride"] == (2, 2)
    assert made.by_name["dw3"].inputs == ("stem_relu",)
    # What no longer matters has the original's value: the stem's own channels, and all of the two segments.
    assert space.values(genome) | {"width:pw2": 12, "depth:pw1": 0, "depth:pw2": 0} == space.values(genome)
    assert all(genome.values[k] == g.original for k, g in enumerate(space.genes) if not space.active(genome)[k])
    idle = [g.name for g, on in zip(space.genes, space.active(genome), strict=True) if not on]
    assert idle == ["width:stem", "width:pw1", "kernel:dw1", "kernel:dw2"]


def test_origins_after_a_segment_is_left_out() -> None:
    space = space_of(toys.depthwise()[0])
    origins = space.origins(space.genome({"depth:pw2": 0, "width:pw2": 8}))
    pw2 = next(atom.id for atom in space.channels.atoms if atom.name == "pw2")
    assert origins["pw1"] == Origin("pw2", ((pw2, 8),))
    assert origins["pw1_relu"] == Origin("pw2_relu", ((pw2, 8),))
    assert origins["dw3"] == Origin("dw3", ((pw2, 8),))
    assert "pw2" not in origins


def test_a_kernel_changes_with_its_pads_and_the_shape_stays() -> None:
    graph = toys.depthwise()[0]
    space = space_of(graph)
    made = space.apply(space.genome({"kernel:dw2": 1, "kernel:stem": 1}))
    assert (made.by_name["dw2"]["kernel"], made.by_name["dw2"]["pads"]) == ((1, 1), (0, 0, 0, 0))
    assert made.shapes == graph.shapes
    assert space.kernel_crop("dw2", 1)[:2] == (1, 1)
    assert space.kernel_crop(graph.by_name["stem"], 1)[:2] == (0, 0)  # strided SAME padding: the first tap
    assert space.kernel_crop("pw1", 1) == (0, 0, (0, 0, 0, 0))
    with pytest.raises(SpaceError, match="no 5x5 kernel for 'dw2'"):
        space.kernel_crop("dw2", 5)


def test_kept_channels_are_the_most_important_ones_in_their_own_order() -> None:
    space = space_of(toys.concat()[0])
    left, right = (next(a.id for a in space.channels.atoms if a.name == name) for name in ("left", "right"))
    origins = space.origins(space.genome({"width:left": 4, "width:right": 8}))
    order = {left: np.array([5, 0, 3, 1, 2, 4]), right: np.array([9, 8, 7, 6, 5, 4, 3, 2, 1, 0])}
    assert space.keep(origins["left"], order).tolist() == [0, 1, 3, 5]
    assert space.keep(origins["joined"], order).tolist() == [0, 1, 3, 5, *range(6 + 2, 6 + 10)]
    assert space.keep(origins["mixed"], {right: order[right]}).tolist() == [0, 1, 2, 3, *range(8, 16)]
    assert space.keep(origins["image"], order).tolist() == [0, 1]


def test_kept_features_after_a_flatten_are_whole_maps() -> None:
    net = Sketch(1, 2, 2)
    net.conv("c", 6)
    net.add("flat", "flatten")
    net.add("logits", "linear", out_channels=2)
    space = space_of(net.done())
    origin = space.origins(space.genome({"width:c": 4}))["flat"]
    order = {origin.widths[0][0]: np.array([5, 2, 1, 0, 3, 4])}
    assert space.keep(origin, order).tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 20, 21, 22, 23]


def test_a_segment_that_does_nothing_can_go_without_a_trace() -> None:
    """Delta kernels and unit matrices: the layer before, given the segment's channels, computes what was computed."""
    graph = toys.depthwise()[0]
    space = space_of(graph)
    weights = toys.random_weights(graph, 0)
    rng = np.random.default_rng(0)
    for name in ("dw1", "pw1", "dw2", "pw2"):
        weights[f"{name}.bias"][:] = 0
        weights[f"{name}.weight"][:] = 0
    for name in ("dw1", "dw2"):
        weights[f"{name}.weight"][:, 0, 1, 1] = 1
    weights["pw1.weight"][:8, :, 0, 0] = np.eye(8)  # 8 channels into the first of 16
    weights["pw2.weight"][:, :, 0, 0] = np.eye(16)[rng.permutation(16)]
    genome = space.genome({"depth:pw1": 0, "depth:pw2": 0})
    edited = space.apply(genome)
    taken_over = dict(weights)
    mixing = weights["pw2.weight"][:, :, 0, 0] @ weights["pw1.weight"][:, :, 0, 0]  # 16 x 8
    taken_over["stem.weight"] = np.einsum("oi,ihkl->ohkl", mixing, weights["stem.weight"])
    taken_over["stem.bias"] = mixing @ weights["stem.bias"]
    image = toys.images(graph, 1)[0]
    before, after = forward(graph, weights, image), forward(edited, taken_over, image)
    origins = space.origins(genome)
    assert origins.pop("stem").tensor == "pw2"  # equal behind the activation only: relu6 comes before it there
    for tensor, origin in origins.items():
        np.testing.assert_allclose(after[tensor], before[origin.tensor], atol=1e-5)


def wide_shortcut() -> Graph:
    """A concat of 8 and 16 channels added to one layer of 24: once the concat is left out only the sum shows."""
    net = Sketch(1, 8, 8)
    net.conv("stem", 8)
    stem = net.add("stem_relu", "relu")
    net.conv("left", 8, 1)
    net.add("left_relu", "relu")
    net.conv("right", 16, 1, of=stem)
    net.add("right_relu", "relu")
    net.add("joined", "concat", "left_relu", "right_relu")
    net.conv("shortcut", 24, 1, of=stem)
    net.add("sum", "add", "joined", "shortcut")
    net.classifier(2)
    return net.done()


def test_where_only_a_sum_of_widths_shows_it_is_split_evenly() -> None:
    space = space_of(wide_shortcut())
    kept, one, other = (
        space.genome({"width:left": 8, "width:right": 4}),
        space.genome({"depth:sum": 0, "width:left": 8, "width:right": 4}),
        space.genome({"depth:sum": 0, "width:left": 4, "width:right": 8}),
    )
    assert space.values(kept)["width:left"] == 8
    assert one == other
    assert space.apply(one) == space.apply(other)
    assert (space.values(one)["width:left"], space.values(one)["width:right"]) == (4, 8)


def test_uniform_takes_the_nearest_widths_and_nothing_else() -> None:
    space = space_of(toys.depthwise()[0])
    half = space.values(space.uniform(0.5))
    assert [half[f"width:{name}"] for name in ("stem", "pw1", "pw2", "pw3", "pw4")] == [4, 8, 8, 12, 12]
    assert all(value == 1 for name, value in half.items() if name.startswith("depth"))
    assert all(value == 3 for name, value in half.items() if name.startswith("kernel"))
    assert space.values(space.uniform(0.0))["width:pw4"] == 4


def test_scaled_multiplies_widths_and_leaves_the_rest() -> None:
    space = space_of(toys.depthwise()[0])
    start = space.genome({"width:pw3": 8, "width:pw4": 16, "kernel:dw3": 1})
    doubled = space.values(space.scaled(start, 2.0))
    assert (doubled["width:pw3"], doubled["width:pw4"], doubled["kernel:dw3"]) == (16, 24, 1)
    assert space.scaled(start, 1.0) == start


def test_what_is_put_back_in_has_the_scale_of_its_network() -> None:
    """A segment comes back into a network of a quarter of the width: not with the original's 16 channels."""
    space = space_of(toys.depthwise()[0])
    small = space.genome({f"width:{n}": 4 for n in ("stem", "pw1", "pw2", "pw3", "pw4")} | {"depth:pw2": 0})
    numbers = space.encode(small)
    place = {gene.name: k for k, gene in enumerate(space.genes)}
    assert space.decode(numbers) == small
    numbers[place["depth:pw2"]] = 1
    assert space.values(space.decode(numbers))["width:pw1"] == 4


def test_explain_names_the_members_of_each_gene() -> None:
    rows = {row["gene"]: row for row in space_of(toys.depthwise()[0]).explain()}
    assert rows["width:pw1"]["members"] == ["pw1", "dw2"]
    assert rows["depth:pw1"]["members"] == ["dw1", "dw1_relu", "pw1", "pw1_relu"]
    assert rows["kernel:dw1"] == {
        "gene": "kernel:dw1",
        "kind": "kernel",
        "original": 3,
        "options": [1, 3],
        "members": ["dw1"],
    }


def test_count_is_the_product_of_the_options() -> None:
    assert space_of(toys.chain()[0]).count() == 2 * 2 * 3 * 3 * 2 * 2 * 2**4


@pytest.mark.parametrize(
    ("values", "law"),
    [
        ({"width:c9": 4}, r"no gene 'width:c9'; did you mean 'width:c"),
        ({"width:c1": 5}, r"'width:c1' must be one of 4, 8, got 5"),
        ({"depth:c2": 2}, r"'depth:c2' must be one of 0, 1, got 2"),
    ],
)
def test_values_outside_the_space_are_refused(values: dict[str, int], law: str) -> None:
    with pytest.raises(SpaceError, match=law):
        space_of(toys.chain()[0]).genome(values)


def test_a_genome_of_another_space_is_refused() -> None:
    space = space_of(toys.chain()[0])
    with pytest.raises(SpaceError, match="has 10 values, got 2"):
        space.apply(Genome((4, 4)))
    with pytest.raises(SpaceError, match="10 genes, got 2"):
        space.decode([0, 0])
    with pytest.raises(SpaceError, match="options 0 to 1, got 2"):
        space.decode([2, *[0] * 9])
    with pytest.raises(SpaceError, match="kernel of 'c1' must have a side of 1, 3, got 2"):
        space.apply(Genome((8, 8, 12, 12, 1, 1, 2, 3, 3, 3)))
    assert not space.contains(Genome((4, 4)))


def test_a_space_of_one_network_has_no_neighbours() -> None:
    net = Sketch(1, 4, 4)
    net.conv("c", 4, 1)
    net.classifier(2)
    space = space_of(net.done())
    assert space.count() == 1
    with pytest.raises(SpaceError, match="without another one"):
        space.mutate(space.original, rng=np.random.default_rng(0))


def test_a_space_travels_to_another_process_as_its_four_fields() -> None:
    space = space_of(toys.residual()[0])
    genome = space.sample(rng=np.random.default_rng(0))
    there = pickle.loads(pickle.dumps(space))
    assert there.apply(genome) == space.apply(genome)


def test_the_genes_of_mobilenet() -> None:
    space = space_of(mobilenet_v1())
    assert (space.graph.params, len(space.graph.ops)) == (3_205_706, 57)
    kinds = [gene.kind for gene in space.genes]
    assert (kinds.count("width"), kinds.count("depth"), kinds.count("kernel")) == (14, 9, 14)
    stride_1 = [f"depth:pw{k}" for k in (1, 3, 5, 7, 8, 9, 10, 11, 13)]
    assert [gene.name for gene in space.genes if gene.kind == "depth"] == stride_1
    shallow = space.apply(space.genome(dict.fromkeys(stride_1, 0)))
    assert [op.name for op in shallow.ops if op.kind == "conv"] == [
        *("stem", "dw2", "pw2", "dw4", "pw4", "dw6", "pw6", "dw12", "pw12"),
    ]
    assert channels(shallow, "stem", "pw6", "pw12") == [64, 512, 1024]


def test_operators_keep_their_attributes_where_nothing_changes() -> None:
    space = space_of(toys.every_kind()[0])
    made = space.apply(space.genome({"width:hidden": 4}))
    hidden = Op.make("hidden", "linear", "flat", out_channels=4)
    assert made.ops == tuple(hidden if op.name == "hidden" else op for op in space.graph.ops)
